/* trim.c -- writing a tokenizer with a part of another's entries: tokenizer.json and tokenizer_config.json with dense ids.
 *
 * Both files are changed as JSON, so that everything that holds no id stays as it is.
 */
#include "core/file.h"
#include "data/tokenizer/parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct trimming {
    const ds_tokenizer *t;
    int32_t            *to; /* [entries] new ids; -1: the entry is dropped */
    const char         *where;
} trimming;

/* Returns the new id of an id in a file; -1: dropped, or none. */
static int32_t trim_id(const trimming *x, const cJSON *e)
{
    int64_t id = 0;
    return rt_json_whole(e, 0, x->t->vocab.n - 1, &id) ? x->to[id] : -1;
}

/* Replaces the member `key` of o, which the function owns from now on.  NULL: there was no memory for it. */
static rt_status trim_replace(cJSON *o, const char *key, cJSON *value)
{
    if (value && cJSON_ReplaceItemInObjectCaseSensitive(o, key, value)) return RT_OK;
    cJSON_Delete(value);
    RT_FAIL(RT_ENOMEM, "no memory for \"%s\" of the trimmed tokenizer", key);
}

static rt_status trim_add(cJSON *list, cJSON *e)
{
    if (e && cJSON_AddItemToArray(list, e)) return RT_OK;
    cJSON_Delete(e);
    RT_FAIL(RT_ENOMEM, "no memory for a list of the trimmed tokenizer");
}

/* ---- the model -------------------------------------------------------------------------------- */

/* {"entry": id} */
static rt_status trim_ids(const trimming *x, cJSON *model)
{
    cJSON       *kept = cJSON_CreateObject();
    const cJSON *e;
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(model, "vocab"))
    {
        const int32_t id = trim_id(x, e);
        if (id >= 0 && !cJSON_AddNumberToObject(kept, e->string, id)) break;
    }
    if (e) cJSON_Delete(kept), kept = NULL;
    return trim_replace(model, "vocab", kept);
}

/* [["entry", score]], where the place is the id */
static rt_status trim_scores(const trimming *x, cJSON *model)
{
    cJSON  *kept = cJSON_CreateArray(), *vocab = cJSON_GetObjectItemCaseSensitive(model, "vocab"), *next;
    int64_t id = 0;
    for (cJSON *e = kept ? vocab->child : NULL; e; e = next, id++) {
        next = e->next;
        if (x->to[id] >= 0) cJSON_AddItemToArray(kept, cJSON_DetachItemViaPointer(vocab, e));
    }
    RT_TRY(trim_replace(model, "vocab", kept));
    if (x->t->unigram.unk < 0) return RT_OK;
    return trim_replace(model, "unk_id", cJSON_CreateNumber(x->to[x->t->unigram.unk]));
}

static rt_status trim_merges(const trimming *x, cJSON *model)
{
    cJSON    *kept = cJSON_CreateArray(), *merges = cJSON_GetObjectItemCaseSensitive(model, "merges"), *next;
    rt_buf    both   = {0};
    rt_status st     = RT_OK;
    int64_t   number = 0;
    for (cJSON *e = kept ? merges->child : NULL; st == RT_OK && e; e = next, number++) {
        int32_t id[3] = {0};
        next          = e->next;
        st            = ds_merge_read(x->t, e, number, &both, id, x->where);
        if (st == RT_OK && x->to[id[0]] >= 0 && x->to[id[1]] >= 0 && x->to[id[2]] >= 0)
            cJSON_AddItemToArray(kept, cJSON_DetachItemViaPointer(merges, e));
    }
    rt_buf_free(&both);
    if (st == RT_OK) return trim_replace(model, "merges", kept);
    cJSON_Delete(kept);
    return st;
}

static rt_status trim_model(const trimming *x, cJSON *root)
{
    cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    if (x->t->is_unigram) return trim_scores(x, model);
    RT_TRY(trim_ids(x, model));
    return trim_merges(x, model);
}

/* ---- the rest of tokenizer.json --------------------------------------------------------------------- */

static rt_status trim_added(const trimming *x, cJSON *root)
{
    cJSON *added = cJSON_GetObjectItemCaseSensitive(root, "added_tokens"), *next;
    for (cJSON *e = added ? added->child : NULL; e; e = next) {
        const int32_t id = trim_id(x, cJSON_GetObjectItemCaseSensitive(e, "id"));
        next             = e->next;
        if (id < 0) cJSON_Delete(cJSON_DetachItemViaPointer(added, e));
        else RT_TRY(trim_replace(e, "id", cJSON_CreateNumber(id)));
    }
    return RT_OK;
}

/* Renumbers the "ids" of a template's special tokens. */
static rt_status trim_special(const trimming *x, cJSON *special)
{
    cJSON *o;
    cJSON_ArrayForEach(o, special)
    {
        cJSON       *ids = cJSON_CreateArray();
        const cJSON *e;
        rt_status    st = RT_OK;
        cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(o, "ids")) if (st == RT_OK) st =
            trim_add(ids, cJSON_CreateNumber(trim_id(x, e)));
        if (st == RT_OK) st = trim_replace(o, "ids", ids);
        else cJSON_Delete(ids);
        RT_TRY(st);
    }
    return RT_OK;
}

/* The post-processor is a template, or a sequence that may hold one (post.c). */
static rt_status trim_post(const trimming *x, const cJSON *post)
{
    const cJSON *e;
    RT_TRY(trim_special(x, cJSON_GetObjectItemCaseSensitive(post, "special_tokens")));
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(post, "processors")) RT_TRY(trim_post(x, e));
    return RT_OK;
}

/* Padding names a token by its id. */
static rt_status trim_padding(const trimming *x, cJSON *root)
{
    cJSON       *padding = cJSON_GetObjectItemCaseSensitive(root, "padding");
    const cJSON *id      = cJSON_GetObjectItemCaseSensitive(padding, "pad_id");
    if (!id) return RT_OK;
    if (trim_id(x, id) < 0) return trim_replace(root, "padding", cJSON_CreateNull());
    return trim_replace(padding, "pad_id", cJSON_CreateNumber(trim_id(x, id)));
}

static rt_status trim_root(const trimming *x, cJSON *root)
{
    RT_TRY(trim_model(x, root));
    RT_TRY(trim_added(x, root));
    RT_TRY(trim_padding(x, root));
    return trim_post(x, cJSON_GetObjectItemCaseSensitive(root, "post_processor"));
}

/* ---- tokenizer_config.json ----------------------------------------------------------------------------- */

/* {"id": {"content": ...}} */
static rt_status trim_decoder(const trimming *x, cJSON *config)
{
    cJSON *kept = cJSON_CreateObject(), *all = cJSON_GetObjectItemCaseSensitive(config, "added_tokens_decoder"), *next;
    for (cJSON *e = kept && all ? all->child : NULL; e; e = next) {
        char          name[16];
        char         *end = NULL;
        const long    old = strtol(e->string, &end, 10);
        const int32_t id  = *end || old < 0 || old >= x->t->vocab.n ? -1 : x->to[old];
        next              = e->next;
        snprintf(name, sizeof name, "%d", id);
        if (id >= 0) cJSON_AddItemToObject(kept, name, cJSON_DetachItemViaPointer(all, e));
    }
    if (all) return trim_replace(config, "added_tokens_decoder", kept);
    cJSON_Delete(kept);
    return RT_OK;
}

/* What Retort recorded about the former file does not hold for the new one. */
static rt_status trim_config(const trimming *x, cJSON *config)
{
    cJSON *ours = cJSON_GetObjectItemCaseSensitive(config, DS_OURS);
    cJSON_DeleteItemFromObjectCaseSensitive(ours, "former_file");
    cJSON_DeleteItemFromObjectCaseSensitive(ours, "identity");
    return trim_decoder(x, config);
}

/* ---- files ------------------------------------------------------------------------------------------------ */

typedef rt_status (*trim_fn)(const trimming *x, cJSON *root);

/* Changes the text of a JSON file and writes it to dir/name. */
static rt_status trim_text(const trimming *x, rt_buf *text, trim_fn change, const char *dir, const char *name)
{
    cJSON    *root = NULL;
    rt_buf    out  = {0};
    rt_status st   = rt_json_parse(&root, text->p, text->len, RT_JSON_DUPLICATES | RT_JSON_EXACT, name);
    if (st == RT_OK) st = change(x, root);
    if (st == RT_OK) st = rt_json_print(&out, root);
    if (st == RT_OK) st = rt_buf_str(&out, "\n");
    if (st == RT_OK) st = ds_tokenizer_write_file(dir, name, &out);
    cJSON_Delete(root);
    rt_buf_free(&out);
    return st;
}

static rt_status trim_files(const trimming *x, const char *from_dir, const char *to_dir)
{
    rt_buf    main = {0}, config = {0}, path = {0};
    int       there = 0;
    rt_status st    = RT_OK;
    RT_TRY_OR(ds_tokenizer_json(&main, &path, from_dir), out);
    RT_TRY_OR(ds_tokenizer_read_file(from_dir, "tokenizer_config.json", &config, &there), out);
    if (!there) RT_TRY_OR(ds_tokenizer_config_text(x->t, &config), out);
    RT_TRY_OR(rt_dir_make(to_dir), out);
    RT_TRY_OR(trim_text(x, &main, trim_root, to_dir, "tokenizer.json"), out);
    RT_TRY_OR(trim_text(x, &config, trim_config, to_dir, "tokenizer_config.json"), out);
    RT_TRY_OR(ds_tokenizer_copy_file(from_dir, to_dir, "special_tokens_map.json"), out);
    RT_TRY_OR(ds_tokenizer_copy_file(from_dir, to_dir, "chat_template.jinja"), out);
out:
    rt_buf_free(&main), rt_buf_free(&config), rt_buf_free(&path);
    return st;
}

/* Numbers the entries that are kept. */
static rt_status trim_number(trimming *x, const uint8_t *used)
{
    const ds_vocab *v    = &x->t->vocab;
    uint8_t        *keep = NULL;
    int32_t         n    = 0;
    RT_TRY(RT_NEW(keep, v->n));
    memcpy(keep, used, (size_t)v->n);
    const rt_status st = ds_tokenizer_keep(x->t, keep);
    for (int32_t id = 0; id < v->n; id++) x->to[id] = keep[id] && v->entry[id].flags & DS_ENTRY_PRESENT ? n++ : -1;
    free(keep);
    return st;
}

rt_status ds_tokenizer_trim(const char *from_dir, const uint8_t *used, const char *to_dir)
{
    ds_tokenizer *t = NULL;
    RT_TRY(ds_tokenizer_load(&t, from_dir));
    trimming  x  = {.t = t, .where = from_dir};
    rt_status st = RT_NEW(x.to, t->vocab.n);
    if (st == RT_OK) st = trim_number(&x, used);
    if (st == RT_OK) st = trim_files(&x, from_dir, to_dir);
    free(x.to);
    ds_tokenizer_destroy(&t);
    return st;
}
