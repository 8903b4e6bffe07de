/* json.c -- parsing the model (vocabulary, merges) and the added tokens of tokenizer.json. */
#include "data/tokenizer/parts.h"
#include <string.h>

/* ---- model ---------------------------------------------------------------------- */

static rt_status refuse_text(const cJSON *model, const char *key, const char *where)
{
    const char *s = "";
    RT_TRY(rt_json_text(model, key, &s, where));
    RT_CHECK(!*s, RT_EFORMAT, "%s: the model's %s \"%s\" is not supported, only byte-level BPE is", where, key, s);
    return RT_OK;
}

static rt_status check_model(const cJSON *model, const char *where)
{
    const char *type    = "BPE"; /* older files omit it */
    double      dropout = 0;
    RT_CHECK(cJSON_IsObject(model), RT_EFORMAT, "%s: expected an object \"model\", found none; the file is not a tokenizer.json", where);
    RT_TRY(rt_json_text(model, "type", &type, where));
    RT_CHECK(!strcmp(type, "BPE"), RT_EFORMAT, "%s: the model type \"%s\" is not supported, only byte-level BPE is", where, type);
    RT_TRY(rt_json_real(model, "dropout", &dropout, where));
    RT_CHECK(dropout == 0, RT_EFORMAT, "%s: the model's dropout %g would make ids random; set it to null", where, dropout);
    RT_TRY(refuse_text(model, "continuing_subword_prefix", where));
    return refuse_text(model, "end_of_word_suffix", where);
}

static rt_status parse_vocab(ds_tokenizer *t, const cJSON *model, const char *where)
{
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, "vocab"), *e;
    RT_CHECK(cJSON_IsObject(vocab), RT_EFORMAT, "%s: the model has no \"vocab\"", where);
    cJSON_ArrayForEach(e, vocab)
    {
        int64_t id = 0;
        RT_CHECK(rt_json_whole(e, 0, DS_MAX_ENTRIES - 1, &id), RT_EFORMAT,
                 "%s: the id of \"%.60s\" must be a non-negative integer below %d", where, e->string, DS_MAX_ENTRIES);
        RT_TRY(ds_vocab_put(&t->vocab, e->string, strlen(e->string), id, where));
    }
    for (int b = 0; b < 256; b++) {
        char         c[2];
        const size_t n = ds_alphabet_put((unsigned char)b, c);
        t->byte_id[b]  = ds_vocab_find(&t->vocab, c, n);
        RT_CHECK(t->byte_id[b] >= 0, RT_EFORMAT, "%s: the vocabulary lacks \"%.*s\", the entry of byte 0x%02x; it is not byte-level", where,
                 (int)n, c, (unsigned)b);
    }
    return RT_OK;
}

/* Gets the two halves of "a b" or ["a","b"]. */
static rt_status merge_halves(const cJSON *e, const char *half[2], size_t n[2], int64_t number, const char *where)
{
    if (cJSON_IsArray(e) && cJSON_GetArraySize(e) == 2 && cJSON_IsString(e->child) && cJSON_IsString(e->child->next)) {
        half[0] = e->child->valuestring;
        half[1] = e->child->next->valuestring;
        n[0]    = strlen(half[0]);
    } else {
        const char *s = cJSON_IsString(e) ? e->valuestring : "", *space = strchr(s, ' ');
        RT_CHECK(space && !strchr(space + 1, ' '), RT_EFORMAT, "%s: merge %lld must be [\"a\", \"b\"] or \"a b\"", where,
                 (long long)number);
        half[0] = s;
        half[1] = space + 1;
        n[0]    = (size_t)(space - s);
    }
    n[1] = strlen(half[1]);
    return RT_OK;
}

static rt_status parse_merge(ds_tokenizer *t, const cJSON *e, int64_t number, rt_buf *both, const char *where)
{
    const char *half[2] = {0};
    size_t      n[2]    = {0};
    int32_t     id[3];
    RT_TRY(merge_halves(e, half, n, number, where));
    rt_buf_clear(both);
    for (int i = 0; i < 2; i++) {
        id[i] = ds_vocab_find(&t->vocab, half[i], n[i]);
        RT_TRY(rt_buf_add(both, half[i], n[i]));
    }
    id[2] = ds_vocab_find(&t->vocab, both->p, both->len);
    for (int i = 0; i < 3; i++)
        RT_CHECK(id[i] >= 0, RT_EFORMAT, "%s: merge %lld, \"%.*s\" + \"%.60s\", has \"%.*s\", which is not in the vocabulary", where,
                 (long long)number, (int)n[0], half[0], half[1], i < 2 ? (int)n[i] : (int)both->len, i < 2 ? half[i] : both->p);
    ds_merges_put(&t->merges, id[0], id[1], (int32_t)number, id[2]);
    return RT_OK;
}

static rt_status parse_merges(ds_tokenizer *t, const cJSON *model, const char *where)
{
    const cJSON *merges = cJSON_GetObjectItemCaseSensitive(model, "merges"), *e;
    rt_buf       both   = {0};
    int64_t      number = 0;
    rt_status    st     = RT_OK;
    RT_CHECK(cJSON_IsArray(merges), RT_EFORMAT, "%s: the model has no \"merges\"", where);
    RT_TRY(ds_merges_reserve(&t->merges, cJSON_GetArraySize(merges)));
    cJSON_ArrayForEach(e, merges) RT_TRY_OR(parse_merge(t, e, number++, &both, where), out);
out:
    rt_buf_free(&both);
    return st;
}

/* ---- added tokens ---------------------------------------------------------------- */

typedef struct added_flags {
    int word, lstrip, rstrip, normalized, special;
} added_flags;

static rt_status put_added(ds_tokenizer *t, const char *text, int64_t id, const added_flags *f, rt_buf *nfc, const char *where)
{
    const size_t n   = strlen(text);
    const int    how = (f->word ? DS_ADDED_WORD : 0) | (f->lstrip ? DS_ADDED_LSTRIP : 0) | (f->rstrip ? DS_ADDED_RSTRIP : 0);
    if (ds_vocab_find(&t->vocab, text, n) != (int32_t)id) RT_TRY(ds_vocab_put(&t->vocab, text, n, id, where));
    t->vocab.entry[id].flags |= DS_ENTRY_ADDED | (f->special ? DS_ENTRY_SPECIAL : 0);
    if (!f->normalized) return ds_added_put(&t->raw, text, n, (int32_t)id, how);
    rt_buf_clear(nfc);
    RT_TRY(t->nfc ? ds_nfc(text, n, nfc) : rt_buf_add(nfc, text, n));
    return ds_added_put(&t->normalized, nfc->p, nfc->len, (int32_t)id, how);
}

static rt_status parse_added_one(ds_tokenizer *t, const cJSON *e, rt_buf *nfc, const char *where)
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
    return put_added(t, text, id, &f, nfc, where);
}

static rt_status parse_added(ds_tokenizer *t, const cJSON *root, const char *where)
{
    const cJSON *e;
    rt_buf       nfc = {0};
    rt_status    st  = RT_OK;
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(root, "added_tokens")) RT_TRY_OR(parse_added_one(t, e, &nfc, where), out);
    ds_added_sort(&t->raw);
    ds_added_sort(&t->normalized);
out:
    rt_buf_free(&nfc);
    return st;
}

static rt_status check_template_ids(const ds_tokenizer *t, const ds_ids *ids, const char *where)
{
    for (int64_t i = 0; i < ids->n; i++)
        RT_CHECK(ids->v[i] < t->vocab.n && t->vocab.entry[ids->v[i]].flags, RT_EFORMAT,
                 "%s: the post_processor adds the id %d, which has no entry", where, ids->v[i]);
    return RT_OK;
}

/* Truncation and padding are ignored, as in transformers. */
rt_status ds_tokenizer_parse(ds_tokenizer *t, const cJSON *root, const char *where)
{
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    RT_TRY(check_model(model, where));
    RT_TRY(rt_json_bool(model, "ignore_merges", &t->ignore_merges, where));
    RT_TRY(ds_tokenizer_parse_chain(t, root, where));
    RT_TRY(parse_vocab(t, model, where));
    RT_TRY(parse_merges(t, model, where));
    RT_TRY(parse_added(t, root, where));
    RT_TRY(check_template_ids(t, &t->prefix, where));
    return check_template_ids(t, &t->suffix, where);
}
