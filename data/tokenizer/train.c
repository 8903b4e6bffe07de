/* train.c -- training a tokenizer on text files: counting pieces, learning merges (bpe_train.c), writing files
 * (write.c). */
#include "core/utf8.h"
#include "data/text.h"
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

typedef struct counter {
    ds_splitter splitter;
    ds_cache    cache;  /* the numbers of pieces; those that it has forgotten are found in `pieces` */
    ds_vocab    pieces; /* a piece's id is its number */
    int64_t    *count, cap;
} counter;

/* Gets the number of a piece, which is added if it is new. */
static rt_status piece_number(counter *c, const char *s, size_t n, int32_t *id)
{
    *id = ds_vocab_find(&c->pieces, s, n);
    if (*id >= 0) return RT_OK;
    RT_CHECK(c->pieces.n < DS_MAX_ENTRIES, RT_EINVAL, "the text has more than %d distinct words; train on a part of it", DS_MAX_ENTRIES);
    *id = (int32_t)c->pieces.n;
    RT_TRY(rt_grow((void **)&c->count, *id, &c->cap, sizeof *c->count));
    c->count[*id] = 0;
    return ds_vocab_put(&c->pieces, s, n, *id, "tokenizer train");
}

static rt_status count_piece(counter *c, ds_key key, uint64_t hash, const char *s, size_t n)
{
    const ds_word *known = n <= DS_LONGEST_WORD ? ds_cache_find(&c->cache, key, hash, s, n) : NULL;
    int32_t        id    = known ? *ds_cache_ids(&c->cache, known, n) : -1;
    if (!known) {
        RT_TRY(piece_number(c, s, n, &id));
        if (n <= DS_LONGEST_WORD) RT_TRY(ds_cache_put(&c->cache, key, s, n, &id, 1));
    }
    c->count[id]++;
    return RT_OK;
}

static rt_status count_document(void *ud, const ds_text *t)
{
    counter          *c = ud;
    const ds_matcher *m = &c->splitter.matcher;
    uint32_t          end[DS_BATCH];
    ds_batch_keys     k;
    RT_CHECK(t->n <= UINT32_MAX, RT_EINVAL, "a document of %zu bytes is too long to train on; divide it", t->n);
    RT_ASSERT(rt_utf8_valid(t->text, t->n)); /* data/text.h */
    for (size_t at = 0; at < t->n;) {
        size_t    from = at;
        const int n    = m->match(m->kind, t->text, t->n, &at, end, DS_BATCH);
        ds_cache_request(&c->cache, &k, t->text, t->n, from, end, n);
        for (int i = 0; i < n; from = end[i++]) RT_TRY(count_piece(c, k.key[i], k.hash[i], t->text + from, end[i] - from));
    }
    return RT_OK;
}

static rt_status count_files(counter *c, const ds_input *in)
{
    RT_TRY(ds_splitter_add(&c->splitter, ds_gpt2_pattern, 0, DS_KEEP_BOTH, "tokenizer train"));
    RT_TRY(ds_splitter_ready(&c->splitter, "tokenizer train"));
    RT_TRY(ds_cache_ready(&c->cache));
    RT_TRY(ds_text_read(in, NULL, count_document, c));
    RT_CHECK(c->pieces.n, RT_EFORMAT, "tokenizer train: there is no text in %s%s", in->n ? in->names[0] : "no file",
             in->n > 1 ? " and the others" : "");
    return RT_OK;
}

/* Entry 0 is the end token, followed by the 256 bytes in the order of their characters. */
static rt_status begin_vocab(ds_vocab *v, const char *end)
{
    RT_TRY(ds_vocab_put(v, end, strlen(end), 0, "tokenizer train"));
    for (int i = 0; i < 256; i++) {
        char         c[2];
        const size_t n = ds_alphabet_put((unsigned char)ds_alphabet_order(i), c);
        RT_TRY(ds_vocab_put(v, c, n, i + 1, "tokenizer train"));
    }
    return RT_OK;
}

static rt_status train_vocabulary(counter *c, ds_trained *t, const ds_input *in, int64_t vocab, const char *end, rt_progress *p)
{
    RT_TRY(begin_vocab(&t->vocab, end));
    RT_TRY(count_files(c, in));
    return ds_bpe_train(&c->pieces, c->count, vocab, t, p);
}

rt_status ds_tokenizer_train(const ds_input *in, int64_t vocab, const char *end, const char *dir, rt_progress *p)
{
    counter    c = {0};
    ds_trained t = {0};
    RT_CHECK(vocab >= 257 && vocab <= DS_MAX_ENTRIES, RT_EINVAL, "--vocab %lld: expected 257 (the end token and 256 bytes) to %d entries",
             (long long)vocab, DS_MAX_ENTRIES);
    RT_CHECK(*end && rt_utf8_valid(end, strlen(end)), RT_EINVAL, "--end must be a non-empty UTF-8 text, for example <|end|>");
    if (p) rt_progress_begin(p, "learning merges", "entries", vocab, 0);
    rt_status st = train_vocabulary(&c, &t, in, vocab, end, p);
    if (p) rt_progress_end(p);
    if (st == RT_OK) st = ds_tokenizer_write(&t, dir);
    ds_splitter_free(&c.splitter);
    ds_cache_free(&c.cache);
    ds_vocab_free(&c.pieces);
    free(c.count);
    ds_vocab_free(&t.vocab);
    free(t.merges.v);
    return st;
}
