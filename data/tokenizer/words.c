/* words.c -- the ids of pieces: by the cache of words, or by the model.
 */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

/* ---- the model -------------------------------------------------------------------------- */

/* With ignore_merges, a piece that is an entry is not merged. */
static rt_status whole_entry(ds_words *w, const char *s, size_t n, int32_t *id)
{
    *id = -1;
    if (!w->t->ignore_merges) return RT_OK;
    rt_buf_clear(&w->entry);
    RT_TRY(w->t->pre.byte_level ? ds_alphabet_encode(s, n, &w->entry) : rt_buf_add(&w->entry, s, n));
    *id = ds_vocab_find(&w->t->vocab, w->entry.p, w->entry.len);
    return RT_OK;
}

static rt_status words_merge(ds_words *w, const char *s, size_t n, ds_ids *out)
{
    int64_t left;
    RT_TRY(ds_ids_reserve(out, (int64_t)n));
    const int64_t symbols = ds_symbols_fill(&w->t->symbols, s, n, out->v + out->n);
    RT_TRY(ds_bpe_merge(&w->t->merges, &w->bpe, out->v + out->n, symbols, &left));
    out->n += left;
    return RT_OK;
}

rt_status ds_words_plain(ds_words *w, const char *s, size_t n, ds_ids *out)
{
    int32_t id;
    if (w->t->is_unigram) return ds_unigram_encode(&w->t->unigram, &w->t->vocab, &w->unigram, s, n, out);
    RT_TRY(whole_entry(w, s, n, &id));
    return id >= 0 ? ds_ids_add(out, id) : words_merge(w, s, n, out);
}

/* ---- the cache -------------------------------------------------------------------------- */

static rt_status words_miss(ds_words *w, ds_key key, const char *s, size_t n, ds_ids *out)
{
    const int64_t before = out->n;
    RT_TRY(ds_words_plain(w, s, n, out));
    return n > DS_LONGEST_WORD ? RT_OK : ds_cache_put(&w->cache, key, s, n, out->v + before, out->n - before);
}

/* Appends the ids of one word.  `out` has room for as many as the word has bytes, and DS_WORD_IDS more. */
static inline rt_status words_put(ds_words *w, ds_key key, uint64_t hash, const char *s, size_t n, ds_ids *out)
{
    const ds_word *found = n > DS_LONGEST_WORD ? NULL : ds_cache_find(&w->cache, key, hash, s, n);
    if (!found) return words_miss(w, key, s, n, out);
    const int32_t *ids = ds_cache_ids(&w->cache, found, n);
    memcpy(out->v + out->n, ids, DS_WORD_IDS * sizeof *ids);
    for (int32_t i = DS_WORD_IDS; i < found->n; i++) out->v[out->n + i] = ids[i];
    out->n += found->n;
    return RT_OK;
}

/* Appends the ids of words that end at end[0..count), the first of which begins at `from`.  The text has n bytes. */
static rt_status words_batch(ds_words *w, const char *text, size_t n, size_t from, const uint32_t *end, int count, ds_ids *out)
{
    ds_batch_keys k;
    RT_TRY(ds_cache_ready(&w->cache));
    RT_TRY(ds_ids_reserve(out, (int64_t)(end[count - 1] - from) + DS_WORD_IDS));
    ds_cache_request(&w->cache, &k, text, n, from, end, count);
    for (int i = 0; i < count; from = end[i++]) RT_TRY(words_put(w, k.key[i], k.hash[i], text + from, end[i] - from, out));
    return RT_OK;
}

/* ---- pieces ------------------------------------------------------------------------------ */

/* A model that looks at whole pieces, with ignore_merges or Unigram, gets no parts of them. */
rt_status ds_words_piece(ds_words *w, const char *s, size_t n, ds_ids *out)
{
    uint32_t  end[DS_BATCH];
    const int whole = w->t->is_unigram || w->t->ignore_merges;
    for (size_t at = 0; at < n;) {
        const size_t from  = at;
        const int    count = whole ? 1 : ds_symbols_cut(&w->t->symbols, s, n, &at, end, DS_BATCH);
        if (whole) *end = (uint32_t)(at = n);
        RT_TRY(words_batch(w, s, n, from, end, count, out));
    }
    return RT_OK;
}

static rt_status words_valid(ds_words *w, const ds_matcher *m, const char *s, size_t n, ds_ids *out)
{
    uint32_t end[DS_BATCH];
    for (size_t at = 0; at < n;) {
        const size_t from  = at;
        const int    count = m->match(m->kind, s, n, &at, end, DS_BATCH);
        RT_TRY(words_batch(w, s, n, from, end, count, out));
    }
    return RT_OK;
}

/* A byte that is not valid UTF-8 is a piece, and cuts the text, as in ds_split. */
rt_status ds_words_text(ds_words *w, const char *s, size_t n, ds_ids *out)
{
    for (size_t i = 0; i < n;) {
        const size_t valid = rt_utf8_prefix(s + i, n - i);
        RT_TRY(words_valid(w, &w->t->pre.step[0].splitter.matcher, s + i, valid, out));
        i += valid;
        if (i < n) RT_TRY(ds_words_piece(w, s + i++, 1, out));
    }
    return RT_OK;
}

void ds_words_free(ds_words *w)
{
    ds_cache_free(&w->cache);
    ds_bpe_work_free(&w->bpe);
    ds_unigram_work_free(&w->unigram);
    rt_buf_free(&w->entry);
}
