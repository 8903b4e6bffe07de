/* tokenizer.c -- a tokenizer's folder: loading, its facts, copying. */
#include "data/tokenizer.h"
#include "core/file.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 256 << 20 };

rt_status ds_ids_add(ds_ids *ids, int32_t id)
{
    RT_TRY(rt_grow((void **)&ids->v, ids->n, &ids->cap, sizeof *ids->v));
    ids->v[ids->n++] = id;
    return RT_OK;
}

/* ---- bos and eos ------------------------------------------------------------------ */

/* A token is written "text" or {"content": "text", ...}. */
static rt_status special_token(const ds_tokenizer *t, const cJSON *o, const char *key, int32_t *id, const char *where)
{
    const cJSON *f    = cJSON_GetObjectItemCaseSensitive(o, key);
    const char  *text = cJSON_GetStringValue(f);
    if (cJSON_IsObject(f)) text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(f, "content"));
    if (!text) return RT_OK;
    *id = ds_tokenizer_id(t, text);
    RT_CHECK(*id >= 0, RT_EFORMAT, "%s: the %s \"%.60s\" is no entry of the tokenizer.json beside it", where, key, text);
    return RT_OK;
}

static rt_status read_ends_of(ds_tokenizer *t, const char *dir, const char *name)
{
    rt_buf    path = {0};
    cJSON    *o    = NULL;
    rt_status st   = rt_path(&path, dir, name);
    if (st == RT_OK && rt_file_exists(path.p)) {
        st = rt_json_read(&o, path.p, RT_JSON_DUPLICATES);
        if (st == RT_OK) st = special_token(t, o, "bos_token", &t->bos, path.p);
        if (st == RT_OK) st = special_token(t, o, "eos_token", &t->eos, path.p);
    }
    cJSON_Delete(o);
    rt_buf_free(&path);
    return st;
}

/* Old folders say it in special_tokens_map.json; tokenizer_config.json wins. */
static rt_status read_ends(ds_tokenizer *t, const char *dir)
{
    RT_TRY(read_ends_of(t, dir, "special_tokens_map.json"));
    return read_ends_of(t, dir, "tokenizer_config.json");
}

/* ---- loading ----------------------------------------------------------------------- */

static rt_status read_tokenizer(ds_tokenizer *t, const char *dir)
{
    rt_buf    path = {0}, text = {0};
    cJSON    *root = NULL;
    rt_status st   = RT_OK;
    RT_TRY_OR(rt_path(&path, dir, "tokenizer.json"), out);
    RT_TRY_OR(rt_file_read(&text, path.p, MAX_FILE), out);
    RT_TRY_OR(rt_sha_bytes(text.p, text.len, t->sha256), out);
    /* core's search for duplicate keys is made for configurations; ds_vocab_put finds those of a vocabulary */
    RT_TRY_OR(rt_json_parse(&root, text.p, text.len, RT_JSON_DUPLICATES, path.p), out);
    RT_TRY_OR(ds_tokenizer_parse(t, root, path.p), out);
    RT_TRY_OR(read_ends(t, dir), out);
out:
    cJSON_Delete(root);
    rt_buf_free(&text);
    rt_buf_free(&path);
    return st;
}

rt_status ds_tokenizer_load(ds_tokenizer **out, const char *dir)
{
    ds_tokenizer *t = NULL;
    RT_TRY(RT_NEW(t, 1));
    t->bos = t->eos    = -1;
    const rt_status st = read_tokenizer(t, dir);
    if (st != RT_OK) ds_tokenizer_destroy(&t);
    else *out = t;
    return st;
}

void ds_tokenizer_destroy(ds_tokenizer **t)
{
    ds_tokenizer *k = *t;
    if (!k) return;
    ds_vocab_free(&k->vocab);
    ds_splitter_free(&k->splitter);
    ds_added_free(&k->raw);
    ds_added_free(&k->normalized);
    free(k->merges.slot);
    free(k->prefix.v);
    free(k->suffix.v);
    free(k);
    *t = NULL;
}

int64_t     ds_tokenizer_size(const ds_tokenizer *t) { return t->vocab.n; }
int32_t     ds_tokenizer_bos(const ds_tokenizer *t) { return t->bos; }
int32_t     ds_tokenizer_eos(const ds_tokenizer *t) { return t->eos; }
const char *ds_tokenizer_sha256(const ds_tokenizer *t) { return t->sha256; }
int32_t     ds_tokenizer_id(const ds_tokenizer *t, const char *token) { return ds_vocab_find(&t->vocab, token, strlen(token)); }

/* ---- copying ------------------------------------------------------------------------ */

static rt_status copy_file(const char *from_dir, const char *to_dir, const char *name, int *copied)
{
    rt_buf    from = {0}, to = {0}, bytes = {0};
    rt_status st = RT_OK;
    *copied      = 0;
    RT_TRY_OR(rt_path(&from, from_dir, name), out);
    RT_TRY_OR(rt_path(&to, to_dir, name), out);
    if (!rt_file_exists(from.p)) goto out;
    RT_TRY_OR(rt_file_read(&bytes, from.p, MAX_FILE), out);
    RT_TRY_OR(rt_file_write(to.p, bytes.p, bytes.len), out);
    *copied = 1;
out:
    rt_buf_free(&from);
    rt_buf_free(&to);
    rt_buf_free(&bytes);
    return st;
}

static const char *name_of(const ds_tokenizer *t, int32_t id, rt_buf *b, rt_status *st)
{
    size_t n;
    if (id < 0 || *st != RT_OK) return NULL;
    const char *s = ds_vocab_text(&t->vocab, id, &n);
    *st           = rt_buf_add(b, s, n);
    return b->p;
}

static rt_status make_config(const char *from_dir, const char *to_dir)
{
    ds_tokenizer *t   = NULL;
    rt_buf        bos = {0}, eos = {0};
    RT_TRY(ds_tokenizer_load(&t, from_dir));
    rt_status   st = RT_OK;
    const char *b = name_of(t, t->bos, &bos, &st), *e = name_of(t, t->eos, &eos, &st);
    if (st == RT_OK) st = ds_tokenizer_write_config(to_dir, b, e);
    rt_buf_free(&bos);
    rt_buf_free(&eos);
    ds_tokenizer_destroy(&t);
    return st;
}

rt_status ds_tokenizer_copy(const char *from_dir, const char *to_dir)
{
    static const char *const beside[] = {"special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"};
    int                      copied;
    RT_TRY(copy_file(from_dir, to_dir, "tokenizer.json", &copied));
    RT_CHECK(copied, RT_ENOENT, "%s: expected a tokenizer.json in this folder, found none", from_dir);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) RT_TRY(copy_file(from_dir, to_dir, beside[i], &copied));
    RT_TRY(copy_file(from_dir, to_dir, "tokenizer_config.json", &copied));
    return copied ? RT_OK : make_config(from_dir, to_dir);
}
