/* chat.c -- loading and rendering chat templates. */
#include "data/chat.h"
#include "core/file.h"
#include "data/chat/eval.h"
#include <stdlib.h>
#include <string.h>

struct ds_chat {
    ds_jarena arena; /* of the tree */
    rt_buf    where, source;
    ds_jnode *tree;
    cJSON    *tokens; /* the special tokens' texts, by the names of variables; NULL: none */
};

enum { CHAT_FILE = 64 << 20 }; /* largest size of a file in bytes */

/* ---- parsing -------------------------------------------------------------------------------------------- */

/* Lines end with "\n", and one end of line at the end of the template does not count. */
static rt_status take_source(rt_buf *to, const char *p, size_t n, const char *where)
{
    RT_CHECK(n <= DS_JSOURCE, RT_EFORMAT, "%s: the chat template is larger than %d MB", where, DS_JSOURCE >> 20);
    RT_CHECK(rt_utf8_valid(p, n), RT_EFORMAT, "%s: the chat template is not valid UTF-8", where);
    RT_TRY(rt_buf_room(to, n + 1));
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r' && i + 1 < n && p[i + 1] == '\n') i++;
        to->p[to->len++] = p[i];
        if (p[i] == '\r') to->p[to->len - 1] = '\n';
    }
    if (to->len && to->p[to->len - 1] == '\n') to->len--;
    to->p[to->len] = '\0';
    return RT_OK;
}

rt_status ds_chat_parse(ds_chat **out, const char *template, size_t n, const char *where)
{
    ds_chat  *c  = NULL;
    rt_status st = RT_NEW(c, 1);
    if (st != RT_OK) return rt_trace(st, __FILE__, __LINE__);
    c->arena.most = DS_JTREE;
    st            = rt_buf_str(&c->where, where);
    if (st == RT_OK) st = take_source(&c->source, template, n, where);
    if (st == RT_OK) st = ds_jparse(&c->arena, c->source.p, c->source.len, c->where.p, &c->tree);
    if (st != RT_OK) ds_chat_destroy(&c);
    else *out = c;
    return st;
}

void ds_chat_destroy(ds_chat **out)
{
    ds_chat *c = *out;
    if (!c) return;
    ds_jarena_free(&c->arena);
    rt_buf_free(&c->where);
    rt_buf_free(&c->source);
    cJSON_Delete(c->tokens);
    free(c);
    *out = NULL;
}

/* ---- the folder ------------------------------------------------------------------------------------------- */

typedef struct chat_folder {
    const char *dir;
    rt_buf      path, text; /* chat_template.jinja */
    cJSON      *config, *map;
} chat_folder;

static rt_status read_json(chat_folder *f, cJSON **out, const char *name)
{
    RT_TRY(rt_path_inside(&f->path, f->dir, name));
    return rt_file_exists(f->path.p) ? rt_json_read(out, f->path.p, RT_JSON_DUPLICATES) : RT_OK;
}

/* Returns the template of tokenizer_config.json; NULL: none. */
static const char *config_template(const cJSON *config)
{
    const cJSON *t    = cJSON_GetObjectItemCaseSensitive(config, "chat_template"), *e;
    const char  *text = cJSON_GetStringValue(t);
    cJSON_ArrayForEach(e, t)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "name"));
        if (name && !strcmp(name, "default")) text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "template"));
    }
    return text;
}

/* A special token is a text or an object with its "content". */
static rt_status take_tokens(ds_chat *c, const cJSON *config)
{
    static const char ending[] = "_token";
    const cJSON      *e;
    cJSON_ArrayForEach(e, config)
    {
        const size_t n = e->string ? strlen(e->string) : 0, m = sizeof ending - 1;
        const cJSON *text = cJSON_IsObject(e) ? cJSON_GetObjectItemCaseSensitive(e, "content") : e;
        if (n < m || strcmp(e->string + n - m, ending) != 0 || !cJSON_IsString(text)) continue;
        if (cJSON_HasObjectItem(c->tokens, e->string)) continue;
        RT_CHECK(cJSON_AddStringToObject(c->tokens, e->string, text->valuestring), RT_ENOMEM, "no memory for the special tokens");
    }
    return RT_OK;
}

/* f->path becomes the file that has the template. */
static rt_status read_template(chat_folder *f, int *there)
{
    const char *text = config_template(f->config);
    RT_TRY(rt_path_inside(&f->path, f->dir, "chat_template.jinja"));
    *there = rt_file_exists(f->path.p);
    if (*there) return rt_file_read(&f->text, f->path.p, CHAT_FILE);
    *there = text != NULL;
    RT_TRY(rt_path_inside(&f->path, f->dir, "tokenizer_config.json"));
    return text ? rt_json_bytes(&f->text, text) : RT_OK;
}

static rt_status read_folder(chat_folder *f, ds_chat **out)
{
    ds_chat *c     = NULL;
    int      there = 0;
    RT_TRY(read_json(f, &f->map, "special_tokens_map.json"));
    RT_TRY(read_json(f, &f->config, "tokenizer_config.json"));
    RT_TRY(read_template(f, &there));
    *out = NULL;
    if (!there) return RT_OK;
    RT_TRY(ds_chat_parse(&c, f->text.p ? f->text.p : "", f->text.len, f->path.p));
    c->tokens    = cJSON_CreateObject();
    rt_status st = take_tokens(c, f->config);
    if (st == RT_OK) st = take_tokens(c, f->map);
    if (st != RT_OK) ds_chat_destroy(&c);
    *out = c;
    return st;
}

rt_status ds_chat_source(rt_buf *out, const char *dir, int *there)
{
    chat_folder f  = {.dir = dir};
    rt_status   st = read_json(&f, &f.config, "tokenizer_config.json");
    if (st == RT_OK) st = read_template(&f, there);
    if (st == RT_OK && *there) st = rt_buf_add(out, f.text.len ? f.text.p : "", f.text.len);
    rt_buf_free(&f.path);
    rt_buf_free(&f.text);
    cJSON_Delete(f.config);
    return st;
}

rt_status ds_chat_load(ds_chat **out, const char *dir)
{
    chat_folder     f  = {.dir = dir};
    const rt_status st = read_folder(&f, out);
    rt_buf_free(&f.path);
    rt_buf_free(&f.text);
    cJSON_Delete(f.config);
    cJSON_Delete(f.map);
    return st;
}

/* ---- messages ------------------------------------------------------------------------------------------------ */

static const char *const reasoning[] = {"reasoning_content", "thinking", "reasoning"};

/* Reasoning goes by three names: the first that a message has is given under "reasoning_content" too, and under "thinking" if that is
 * missing. */
static rt_status alias_reasoning(ds_jrun *r, ds_jvalue *message)
{
    const ds_jvalue *v = NULL;
    ds_jdict        *d;
    for (int i = 0; i < 3 && !v; i++) {
        const ds_jvalue key = ds_jtext(reasoning[i], strlen(reasoning[i]));
        RT_TRY(ds_jdict_find(r, message->dict, &key, &v));
    }
    if (!v) return RT_OK;
    const ds_jvalue text = *v;
    RT_TRY(ds_jdict_new(r, &d));
    RT_TRY(ds_jdict_set(r, d, ds_jtext("thinking", 8), text));
    for (int64_t i = 0; i < message->dict->n; i++) RT_TRY(ds_jdict_set(r, d, message->dict->key[i], message->dict->value[i]));
    RT_TRY(ds_jdict_set(r, d, ds_jtext("reasoning_content", 17), text));
    message->dict = d;
    return RT_OK;
}

static rt_status take_message(ds_jrun *r, const cJSON *o, ds_jvalue *out)
{
    ds_jvalue all;
    ds_jdict *d;
    RT_CHECK(cJSON_IsObject(o), RT_EINVAL, "a message of a chat must be an object with \"role\" and \"content\"");
    RT_TRY(ds_jfrom_json(r, o, &all));
    RT_TRY(ds_jdict_new(r, &d));
    for (int64_t i = 0; i < all.dict->n; i++)
        if (all.dict->value[i].kind != DS_JNONE) RT_TRY(ds_jdict_set(r, d, all.dict->key[i], all.dict->value[i]));
    *out = (ds_jvalue){.kind = DS_JDICT, .dict = d};
    return alias_reasoning(r, out);
}

static rt_status take_messages(ds_jrun *r, const cJSON *messages, ds_jvalue *out)
{
    ds_jvalues l = {0};
    ds_jvalue  v;
    RT_CHECK(cJSON_IsArray(messages) && messages->child, RT_EINVAL, "a chat must be a list of at least one message");
    for (const cJSON *e = messages->child; e; e = e->next) {
        RT_TRY(take_message(r, e, &v));
        RT_TRY(ds_jadd(r, &l, v));
    }
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}

/* ---- rendering ------------------------------------------------------------------------------------------------- */

static rt_status set_values(ds_jrun *r, const cJSON *o)
{
    const cJSON *e;
    ds_jvalue    v;
    cJSON_ArrayForEach(e, o)
    {
        RT_TRY(ds_jfrom_json(r, e, &v));
        RT_TRY(ds_jset(r, e->string, strlen(e->string), v));
    }
    return RT_OK;
}

static rt_status render(ds_jrun *r, const ds_chat *c, const cJSON *messages, const cJSON *values, int prompt)
{
    ds_jvalue v;
    RT_TRY(ds_jscope_open(r, NULL));
    RT_TRY(set_values(r, c->tokens));
    RT_TRY(ds_jset(r, "tools", 5, ds_jnone()));
    RT_TRY(ds_jset(r, "documents", 9, ds_jnone()));
    RT_TRY(ds_jset(r, "add_generation_prompt", 21, ds_jbool(prompt)));
    RT_TRY(set_values(r, values));
    RT_TRY(take_messages(r, messages, &v));
    RT_TRY(ds_jset(r, "messages", 8, v));
    RT_TRY(ds_jscope_open(r, r->scope));
    return ds_jexecute(r, c->tree);
}

rt_status ds_chat_render(const ds_chat *c, const cJSON *messages, const cJSON *values, int prompt, rt_buf *out)
{
    ds_jout   text = {0};
    ds_jrun   r    = {.where = c->where.p, .out = &text};
    rt_status st   = render(&r, c, messages, values, prompt);
    if (st == RT_OK) st = rt_buf_add(out, text.p ? text.p : "", text.n);
    ds_jarena_free(&r.arena);
    return st;
}

rt_status ds_chat_ids(const ds_chat *c, const ds_tokenizer *t, const cJSON *messages, const cJSON *values, int prompt, ds_ids *out)
{
    rt_buf    text = {0};
    rt_status st   = ds_chat_render(c, messages, values, prompt, &text);
    if (st == RT_OK) st = ds_encode(t, text.p, text.len, DS_ADDED, out);
    rt_buf_free(&text);
    return st;
}
