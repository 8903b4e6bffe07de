/* model.c -- parsing the model of tokenizer.json: BPE (vocabulary, merges) or Unigram (vocabulary with scores). */
#include "data/tokenizer/parts.h"
#include <string.h>

/* ---- BPE ------------------------------------------------------------------------ */

static rt_status refuse_text(const cJSON *model, const char *key, const char *where)
{
    const char *s = "";
    RT_TRY(rt_json_text(model, key, &s, where));
    RT_CHECK(!*s, RT_EFORMAT, "%s: the model's %s \"%s\" is not supported; expected null or \"\"", where, key, s);
    return RT_OK;
}

/* Parsed strings hold U+0000 in a form of their own (rt_json_bytes). */
static rt_status model_put_entry(ds_vocab *v, const char *text, int64_t id, const char *where)
{
    rt_buf    b  = {0};
    rt_status st = rt_json_bytes(&b, text);
    if (st == RT_OK) st = ds_vocab_put(v, b.p ? b.p : "", b.len, id, where);
    rt_buf_free(&b);
    return st;
}

static rt_status check_bpe(const cJSON *model, const char *where)
{
    double dropout = 0;
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
        RT_TRY(model_put_entry(&t->vocab, e->string, id, where));
    }
    return RT_OK;
}

static rt_status parse_symbols(ds_tokenizer *t, const cJSON *model, const char *where)
{
    ds_symbols *s   = &t->symbols;
    const char *unk = NULL;
    if (t->pre.byte_level) return ds_symbols_of_bytes(s, &t->vocab, where);
    RT_TRY(rt_json_text(model, "unk_token", &unk, where));
    RT_TRY(rt_json_bool(model, "byte_fallback", &s->byte_fallback, where));
    RT_TRY(rt_json_bool(model, "fuse_unk", &s->fuse_unk, where));
    s->unk = unk ? ds_vocab_find(&t->vocab, unk, strlen(unk)) : -1;
    RT_CHECK(!unk || s->unk >= 0, RT_EFORMAT, "%s: the model's unk_token \"%.60s\" is not in its vocabulary", where, unk);
    return ds_symbols_of_characters(s, &t->vocab);
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

rt_status ds_merge_read(const ds_tokenizer *t, const cJSON *e, int64_t number, rt_buf *both, int32_t id[3], const char *where)
{
    const char *half[2] = {0};
    size_t      n[2]    = {0};
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
    return RT_OK;
}

static rt_status parse_merge(ds_tokenizer *t, const cJSON *e, int64_t number, rt_buf *both, const char *where)
{
    int32_t id[3];
    RT_TRY(ds_merge_read(t, e, number, both, id, where));
    ds_merges_put(&t->merges, id[0], id[1], (int32_t)number, id[2]);
    ds_symbols_join(&t->symbols, &t->vocab, id[0], id[1]);
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

static rt_status parse_bpe(ds_tokenizer *t, const cJSON *model, const char *where)
{
    RT_TRY(check_bpe(model, where));
    RT_TRY(rt_json_bool(model, "ignore_merges", &t->ignore_merges, where));
    RT_TRY(parse_vocab(t, model, where));
    RT_TRY(parse_symbols(t, model, where));
    return parse_merges(t, model, where);
}

/* ---- Unigram -------------------------------------------------------------------------- */

static rt_status parse_scored(ds_tokenizer *t, const cJSON *e, const char *where)
{
    ds_unigram  *u     = &t->unigram;
    const cJSON *score = cJSON_IsArray(e) && cJSON_IsString(e->child) ? e->child->next : NULL;
    RT_CHECK(cJSON_IsNumber(score) && !score->next, RT_EFORMAT, "%s: entry %lld of the model's vocabulary must be [text, score]", where,
             (long long)u->n);
    RT_TRY(rt_grow((void **)&u->score, u->n, &u->cap, sizeof *u->score));
    u->score[u->n] = score->valuedouble;
    return model_put_entry(&t->vocab, e->child->valuestring, u->n++, where);
}

static rt_status parse_unigram(ds_tokenizer *t, const cJSON *model, const char *where)
{
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, "vocab"), *e;
    int64_t      unk   = -1;
    RT_CHECK(!t->pre.byte_level, RT_EFORMAT, "%s: a Unigram model after the pre_tokenizer ByteLevel is not supported", where);
    RT_CHECK(cJSON_IsArray(vocab), RT_EFORMAT, "%s: the model has no list \"vocab\"", where);
    cJSON_ArrayForEach(e, vocab) RT_TRY(parse_scored(t, e, where));
    RT_TRY(rt_json_int(model, "unk_id", &unk, where));
    RT_TRY(rt_json_bool(model, "byte_fallback", &t->unigram.byte_fallback, where));
    RT_CHECK(unk >= -1 && unk < t->unigram.n, RT_EFORMAT, "%s: the model's unk_id %lld is not in its vocabulary", where, (long long)unk);
    t->unigram.unk = (int32_t)unk;
    t->is_unigram  = 1;
    return ds_unigram_ready(&t->unigram, &t->vocab);
}

rt_status ds_tokenizer_parse_model(ds_tokenizer *t, const cJSON *root, const char *where)
{
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    const char  *type  = "BPE"; /* older files omit it */
    RT_CHECK(cJSON_IsObject(model), RT_EFORMAT, "%s: expected an object \"model\", found none; the file is not a tokenizer.json", where);
    RT_TRY(rt_json_text(model, "type", &type, where));
    if (!strcmp(type, "BPE")) return parse_bpe(t, model, where);
    if (!strcmp(type, "Unigram")) return parse_unigram(t, model, where);
    return ds_component_refuse("model type", type, "BPE or Unigram", where);
}
