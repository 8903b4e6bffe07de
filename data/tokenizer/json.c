/* json.c -- parsing tokenizer.json: its parts in order, and the added tokens. */
#include "data/tokenizer/parts.h"
#include <string.h>

/* ---- added tokens ---------------------------------------------------------------- */

typedef struct added_flags {
    int word, lstrip, rstrip, normalized, special;
} added_flags;

static rt_status put_added(ds_tokenizer *t, const char *text, int64_t id, const added_flags *f, ds_norm_work *w, const char *where)
{
    size_t    n   = strlen(text);
    const int how = (f->word ? DS_ADDED_WORD : 0) | (f->lstrip ? DS_ADDED_LSTRIP : 0) | (f->rstrip ? DS_ADDED_RSTRIP : 0);
    if (ds_vocab_find(&t->vocab, text, n) != (int32_t)id) RT_TRY(ds_vocab_put(&t->vocab, text, n, id, where));
    t->vocab.entry[id].flags |= DS_ENTRY_ADDED | (f->special ? DS_ENTRY_SPECIAL : 0);
    if (!f->normalized) return ds_added_put(&t->raw, text, n, (int32_t)id, how);
    const char *content = text;
    RT_TRY(ds_normalize(&t->normalizer, w, &text, &n));
    if (n && (n != strlen(content) || memcmp(text, content, n))) t->vocab.entry[id].flags |= DS_ENTRY_CHANGED;
    return n ? ds_added_put(&t->normalized, text, n, (int32_t)id, how) : RT_OK;
}

static rt_status parse_added_one(ds_tokenizer *t, const cJSON *e, ds_norm_work *w, const char *where)
{
    const char *text = "";
    int64_t     id   = -1;
    added_flags f    = {0};
    RT_TRY(rt_json_text(e, "content", &text, where));
    RT_TRY(rt_json_int(e, "id", &id, where));
    RT_TRY(rt_json_bool(e, "single_word", &f.word, where));
    RT_TRY(rt_json_bool(e, "lstrip", &f.lstrip, where));
    RT_TRY(rt_json_bool(e, "rstrip", &f.rstrip, where));
    RT_TRY(rt_json_bool(e, "normalized", &f.normalized, where));
    RT_TRY(rt_json_bool(e, "special", &f.special, where));
    RT_CHECK(*text && id >= 0 && id < DS_MAX_ENTRIES, RT_EFORMAT,
             "%s: an added token must have a \"content\" and an \"id\" below %d, found \"%s\" and %lld", where, DS_MAX_ENTRIES, text,
             (long long)id);
    return put_added(t, text, id, &f, w, where);
}

static rt_status parse_added(ds_tokenizer *t, const cJSON *root, const char *where)
{
    const cJSON *e;
    ds_norm_work w  = {0};
    rt_status    st = RT_OK;
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(root, "added_tokens")) RT_TRY_OR(parse_added_one(t, e, &w, where), out);
    RT_TRY_OR(ds_added_ready(&t->raw), out);
    RT_TRY_OR(ds_added_ready(&t->normalized), out);
out:
    ds_norm_work_free(&w);
    return st;
}

static rt_status check_template_ids(const ds_tokenizer *t, const ds_ids *ids, const char *where)
{
    for (int64_t i = 0; i < ids->n; i++)
        RT_CHECK(ids->v[i] < t->vocab.n && t->vocab.entry[ids->v[i]].flags, RT_EFORMAT,
                 "%s: the post_processor adds the id %d, which has no entry", where, ids->v[i]);
    return RT_OK;
}

static rt_status check_decoder(const ds_tokenizer *t, const char *where)
{
    const int bytes = ds_decode_steps_have(&t->decoder, "ByteLevel");
    RT_CHECK(t->decoder.n, RT_EFORMAT, "%s: there is no decoder; expected one, such as ByteLevel", where);
    RT_CHECK(bytes == t->pre.byte_level, RT_EFORMAT, "%s: the %s is ByteLevel but the %s is not", where,
             bytes ? "decoder" : "pre_tokenizer", bytes ? "pre_tokenizer" : "decoder");
    return RT_OK;
}

/* Truncation and padding are ignored, as in transformers. */
rt_status ds_tokenizer_parse(ds_tokenizer *t, const cJSON *root, const char *where)
{
    RT_TRY(ds_normalizer_read(&t->normalizer, root, where));
    RT_TRY(ds_pre_read(&t->pre, root, where));
    RT_TRY(ds_decode_steps_read(&t->decoder, root, where));
    RT_TRY(ds_tokenizer_parse_post(t, root, where));
    RT_TRY(ds_tokenizer_parse_model(t, root, where));
    RT_TRY(check_decoder(t, where));
    RT_TRY(parse_added(t, root, where));
    RT_TRY(check_template_ids(t, &t->prefix, where));
    return check_template_ids(t, &t->suffix, where);
}
