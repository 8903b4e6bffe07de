/* copy.c -- copying a tokenizer's files from one model folder to another.
 *
 * The copy's template puts no token after a text, because other programs apply the template to prompts, and a model that sees an
 * end token begins a new document.  The tokens that end training documents, and the hash of the former file, which shards of older
 * versions hold, are recorded in tokenizer_config.json.
 */
#include "core/file.h"
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

/* ---- the template ------------------------------------------------------------------------- */

/* Returns the position after the string, number or bracketed value at p; NULL if the text ends inside it. */
static const char *skip_value(const char *p)
{
    int depth = 0;
    for (; *p; p++) {
        if (*p == '"') {
            for (p++; *p && *p != '"'; p++)
                if (*p == '\\' && p[1]) p++;
            if (!*p) return NULL;
        } else if (*p == '{' || *p == '[') depth++;
        else if (*p == '}' || *p == ']') {
            if (!depth) return p;
            depth--;
        } else if (*p == ',' && !depth) return p;
        if (!depth && (*p == '"' || *p == '}' || *p == ']')) return p + 1;
    }
    return NULL;
}

/* Finds the value of a key of the outermost object, in text that has been parsed before; NULL: none. */
static const char *find_value(const char *text, const char *key, const char **end)
{
    static const char blank[] = " \t\r\n,:";
    const char       *p       = strchr(text, '{');
    for (p = p ? p + 1 : NULL; p;) {
        p                = p + strspn(p, blank);
        const char *name = p;
        if (*p != '"' || !(p = skip_value(p))) return NULL;
        const int   found = (size_t)(p - name) == strlen(key) + 2 && !strncmp(name + 1, key, strlen(key));
        const char *value = p + strspn(p, blank);
        if (!(p = skip_value(value))) return NULL;
        *end = p;
        if (found) return value;
    }
    return NULL;
}

/* Removes the tokens after the text from a list of the template; returns their number. */
static int cut_list(cJSON *list)
{
    int n = cJSON_GetArraySize(list), cut = 0;
    for (; n > 0 && cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, n - 1), "SpecialToken"); n--, cut++)
        cJSON_DeleteItemFromArray(list, n - 1);
    return cut;
}

static int cut_template(cJSON *post)
{
    cJSON *e;
    int    cut = cut_list(cJSON_GetObjectItemCaseSensitive(post, "single"));
    cut_list(cJSON_GetObjectItemCaseSensitive(post, "pair"));
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(post, "processors")) cut += cut_template(e);
    return cut;
}

/* Writes the text of tokenizer.json with a shortened post_processor; if there is nothing to remove, *changed = 0 and `to` stays
 * empty. */
static rt_status cut_text(const rt_buf *from, rt_buf *to, int *changed, const char *where)
{
    const char *end = NULL, *value = find_value(from->p, "post_processor", &end);
    cJSON      *post = NULL;
    rt_buf      copy = {0};
    *changed         = 0;
    if (!value) return RT_OK;
    RT_TRY(rt_buf_add(&copy, value, (size_t)(end - value)));
    rt_status st = rt_json_parse(&post, copy.p, copy.len, RT_JSON_DUPLICATES | RT_JSON_ANY, where);
    rt_buf_free(&copy);
    RT_TRY(st);
    *changed   = cut_template(post) > 0;
    char *text = *changed ? cJSON_PrintUnformatted(post) : NULL;
    cJSON_Delete(post);
    if (!*changed) return RT_OK;
    RT_CHECK(text, RT_ENOMEM, "no memory for the post_processor of %s", where);
    st = rt_buf_add(to, from->p, (size_t)(value - from->p));
    if (st == RT_OK) st = rt_buf_str(to, text);
    if (st == RT_OK) st = rt_buf_add(to, end, from->len - (size_t)(end - from->p));
    free(text);
    return st;
}

/* ---- files ---------------------------------------------------------------------------------- */

rt_status ds_tokenizer_copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    rt_buf    bytes = {0};
    int       there;
    rt_status st = ds_tokenizer_read_file(from_dir, name, &bytes, &there);
    if (st == RT_OK && there) st = ds_tokenizer_write_file(to_dir, name, &bytes);
    rt_buf_free(&bytes);
    return st;
}

static rt_status copy_tokenizer(const char *from_dir, const char *to_dir, int *changed)
{
    rt_buf    from = {0}, to = {0}, path = {0};
    rt_status st = ds_tokenizer_json(&from, &path, from_dir);
    if (st == RT_OK) st = cut_text(&from, &to, changed, from_dir);
    if (st == RT_OK) st = ds_tokenizer_write_file(to_dir, "tokenizer.json", *changed ? &to : &from);
    rt_buf_free(&from), rt_buf_free(&to), rt_buf_free(&path);
    return st;
}

/* ---- tokenizer_config.json ---------------------------------------------------------------------- */

static rt_status copy_add_text(cJSON *o, const char *key, const char *text)
{
    RT_CHECK(cJSON_AddStringToObject(o, key, text), RT_ENOMEM, "no memory for tokenizer_config.json");
    return RT_OK;
}

static rt_status copy_add_entry(cJSON *list, const ds_tokenizer *t, int32_t id)
{
    rt_buf    text = {0};
    cJSON    *e    = NULL;
    rt_status st   = ds_tokenizer_entry(t, id, &text);
    if (st == RT_OK) e = cJSON_CreateString(text.p);
    rt_buf_free(&text);
    RT_TRY(st);
    RT_CHECK(e && cJSON_AddItemToArray(list, e), RT_ENOMEM, "no memory for tokenizer_config.json");
    return RT_OK;
}

/* Records what the shortened template no longer contains. */
static rt_status add_ours(cJSON *config, const ds_tokenizer *t)
{
    cJSON_DeleteItemFromObjectCaseSensitive(config, DS_OURS);
    cJSON *ours = cJSON_AddObjectToObject(config, DS_OURS), *list = cJSON_AddArrayToObject(ours, "document_end");
    RT_CHECK(ours && list, RT_ENOMEM, "no memory for tokenizer_config.json");
    for (int64_t i = 0; i < t->close.n; i++) RT_TRY(copy_add_entry(list, t, t->close.v[i]));
    RT_TRY(copy_add_text(ours, "identity", t->identity));
    return copy_add_text(ours, "former_file", *t->former ? t->former : t->file);
}

/* A folder without tokenizer_config.json gets one with the tokens that special_tokens_map.json names. */
static rt_status default_config(cJSON **out, const ds_tokenizer *t)
{
    rt_buf    text = {0};
    rt_status st   = ds_tokenizer_config_text(t, &text);
    if (st == RT_OK) st = rt_json_parse(out, text.p, text.len, 0, "tokenizer_config.json");
    rt_buf_free(&text);
    return st;
}

static rt_status write_config(cJSON *config, const char *dir)
{
    char *text = cJSON_Print(config);
    RT_CHECK(text, RT_ENOMEM, "no memory for tokenizer_config.json");
    rt_buf    b  = {0};
    rt_status st = rt_buf_fmt(&b, "%s\n", text);
    if (st == RT_OK) st = ds_tokenizer_write_file(dir, "tokenizer_config.json", &b);
    rt_buf_free(&b);
    free(text);
    return st;
}

static rt_status copy_config(const ds_tokenizer *t, const char *from_dir, const char *to_dir, int changed)
{
    rt_buf    bytes  = {0};
    cJSON    *config = NULL;
    int       there;
    rt_status st = ds_tokenizer_read_file(from_dir, "tokenizer_config.json", &bytes, &there);
    if (st == RT_OK && there && !changed) st = ds_tokenizer_write_file(to_dir, "tokenizer_config.json", &bytes);
    else if (st == RT_OK) {
        st = there ? rt_json_parse(&config, bytes.p, bytes.len, RT_JSON_DUPLICATES, from_dir) : default_config(&config, t);
        if (st == RT_OK && changed) st = add_ours(config, t);
        if (st == RT_OK) st = write_config(config, to_dir);
    }
    cJSON_Delete(config);
    rt_buf_free(&bytes);
    return st;
}

static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
                                    "merges.txt",     "chat_template.jinja"};
enum { NAMES = sizeof names / sizeof *names, BESIDE = 2 }; /* files from BESIDE on are copied unchanged */

const char *ds_tokenizer_part(int i) { return i >= 0 && i < NAMES ? names[i] : NULL; }

static rt_status copy_all(const ds_tokenizer *t, const char *from_dir, const char *to_dir)
{
    int changed;
    RT_TRY(copy_tokenizer(from_dir, to_dir, &changed));
    for (int i = BESIDE; i < NAMES; i++) RT_TRY(ds_tokenizer_copy_file(from_dir, to_dir, names[i]));
    return copy_config(t, from_dir, to_dir, changed);
}

rt_status ds_tokenizer_copy(const char *from_dir, const char *to_dir)
{
    ds_tokenizer *t = NULL;
    RT_TRY(ds_tokenizer_load(&t, from_dir));
    const rt_status st = copy_all(t, from_dir, to_dir);
    ds_tokenizer_destroy(&t);
    return st;
}
