/* bpe_train.c -- learning merges from counted pieces (Sennrich, Haddow, Birch 2016).
 *
 * Each pair of adjacent symbols has its count and the words in which it occurred.  A heap returns the most frequent pair.  Counts
 * in the heap may be out of date, so a popped count is compared with the current one and pushed again if it has changed.  Equal
 * counts: the smaller left id, then the smaller right id.  Overlapping pairs count ("aaa" contains (a,a) twice), as in Hugging
 * Face's trainer.
 */
#include "core/rng.h"
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

typedef struct pair {
    uint64_t key; /* left << 32 | right */
    int64_t  count;
    ds_ids   words; /* words in which it occurred; some no longer contain it */
    int      touched;
    int      merged; /* 1: in the list of merges */
} pair;

typedef struct candidate {
    int64_t  count;
    uint64_t key;
} candidate;

typedef struct trainer {
    ds_trained    *t;
    const int64_t *count; /* of each word */
    int32_t       *sym;   /* symbols of all words */
    int64_t       *at;    /* [words + 1] first symbol of each word */
    int32_t       *len;   /* [words] remaining symbols */
    pair          *pair;
    int64_t        pairs, pair_cap;
    int32_t       *slot; /* open addressing over `pair`: index + 1 */
    int64_t        slots;
    candidate     *heap;
    int64_t        heap_n, heap_cap;
    ds_ids         touched; /* pairs whose count grew in this merge */
} trainer;

/* ---- pairs ------------------------------------------------------------------------ */

static int64_t bpe_train_place(const trainer *k, uint64_t key)
{
    int64_t i = (int64_t)(rt_mix64(key) & (uint64_t)(k->slots - 1));
    while (k->slot[i] && k->pair[k->slot[i] - 1].key != key) i = (i + 1) & (k->slots - 1);
    return i;
}

static rt_status bpe_train_grow_slots(trainer *k)
{
    if (k->pairs * 2 < k->slots) return RT_OK;
    free(k->slot);
    k->slot  = NULL;
    k->slots = k->slots ? k->slots * 4 : 1 << 14;
    RT_TRY(RT_NEW(k->slot, k->slots));
    for (int64_t i = 0; i < k->pairs; i++) k->slot[bpe_train_place(k, k->pair[i].key)] = (int32_t)i + 1;
    return RT_OK;
}

static rt_status pair_of(trainer *k, int32_t left, int32_t right, int64_t *index)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    RT_TRY(bpe_train_grow_slots(k));
    const int64_t s = bpe_train_place(k, key);
    if (!k->slot[s]) {
        RT_CHECK(k->pairs < INT32_MAX, RT_ENOMEM, "the text has more pairs of symbols than can be counted; train on a part of it");
        RT_TRY(rt_grow((void **)&k->pair, k->pairs, &k->pair_cap, sizeof *k->pair));
        k->pair[k->pairs] = (pair){.key = key};
        k->slot[s]        = (int32_t)++k->pairs;
    }
    *index = k->slot[s] - 1;
    return RT_OK;
}

static rt_status change(trainer *k, int32_t left, int32_t right, int64_t by, int32_t word)
{
    int64_t i = 0;
    RT_TRY(pair_of(k, left, right, &i));
    pair *p = &k->pair[i];
    p->count += by;
    if (by < 0) return RT_OK;
    if (!p->touched) RT_TRY(ds_ids_add(&k->touched, (int32_t)i));
    p->touched = 1;
    return p->words.n && p->words.v[p->words.n - 1] == word ? RT_OK : ds_ids_add(&p->words, word);
}

/* ---- the heap --------------------------------------------------------------------------- */

static int before(candidate a, candidate b) { return a.count != b.count ? a.count > b.count : a.key < b.key; }

static rt_status bpe_train_push(trainer *k, int64_t count, uint64_t key)
{
    const candidate c = {count, key};
    RT_TRY(rt_grow((void **)&k->heap, k->heap_n, &k->heap_cap, sizeof *k->heap));
    int64_t i = k->heap_n++;
    for (; i && before(c, k->heap[(i - 1) / 2]); i = (i - 1) / 2) k->heap[i] = k->heap[(i - 1) / 2];
    k->heap[i] = c;
    return RT_OK;
}

static candidate bpe_train_pop(trainer *k)
{
    const candidate top = k->heap[0], v = k->heap[--k->heap_n];
    int64_t         i = 0;
    for (;;) {
        int64_t c = 2 * i + 1;
        if (c >= k->heap_n) break;
        if (c + 1 < k->heap_n && before(k->heap[c + 1], k->heap[c])) c++;
        if (!before(k->heap[c], v)) break;
        k->heap[i] = k->heap[c];
        i          = c;
    }
    k->heap[i] = v;
    return top;
}

static rt_status push_touched(trainer *k)
{
    for (int64_t i = 0; i < k->touched.n; i++) {
        pair *p    = &k->pair[k->touched.v[i]];
        p->touched = 0;
        if (p->count > 0) RT_TRY(bpe_train_push(k, p->count, p->key));
    }
    k->touched.n = 0;
    return RT_OK;
}

/* Gets the index of the pair to merge next; -1: none is left. */
static rt_status best(trainer *k, int64_t *out)
{
    *out = -1;
    while (*out < 0 && k->heap_n) {
        const candidate c = bpe_train_pop(k);
        const int64_t   i = k->slot[bpe_train_place(k, c.key)] - 1, count = k->pair[i].count;
        if (count == c.count) *out = i;
        else if (count > 0) RT_TRY(bpe_train_push(k, count, c.key));
    }
    return RT_OK;
}

/* ---- merging ---------------------------------------------------------------------------- */

static rt_status merge_in_word(trainer *k, int32_t w, int32_t left, int32_t right, int32_t id)
{
    int32_t      *s  = k->sym + k->at[w];
    const int64_t c  = k->count[w];
    int32_t       to = 0;
    for (int32_t i = 0; i < k->len[w]; i++) {
        if (s[i] != left || i + 1 == k->len[w] || s[i + 1] != right) {
            s[to++] = s[i];
            continue;
        }
        if (to) {
            RT_TRY(change(k, s[to - 1], left, -c, w));
            RT_TRY(change(k, s[to - 1], id, c, w));
        }
        if (++i + 1 < k->len[w]) {
            RT_TRY(change(k, right, s[i + 1], -c, w));
            RT_TRY(change(k, id, s[i + 1], c, w));
        }
        s[to++] = id;
    }
    k->len[w] = to;
    return RT_OK;
}

/* Gets the id of the concatenation of two entries, which is added if it is new.  A string has one id, whichever pair forms it. */
static rt_status joined(ds_vocab *v, int32_t left, int32_t right, int32_t *id)
{
    rt_buf      b = {0};
    size_t      n;
    rt_status   st = RT_OK;
    const char *s  = ds_vocab_text(v, left, &n);
    RT_TRY_OR(rt_buf_add(&b, s, n), out);
    s = ds_vocab_text(v, right, &n);
    RT_TRY_OR(rt_buf_add(&b, s, n), out);
    *id = ds_vocab_find(v, b.p, b.len);
    if (*id >= 0) goto out;
    *id = (int32_t)v->n;
    RT_TRY_OR(ds_vocab_put(v, b.p, b.len, v->n, "tokenizer train"), out);
out:
    rt_buf_free(&b);
    return st;
}

/* A pair can occur again if one of its halves is formed by another merge.  It is then merged again, but is listed once, at its
 * first rank. */
static rt_status record(trainer *k, int64_t index, int32_t left, int32_t right)
{
    if (k->pair[index].merged) return RT_OK;
    k->pair[index].merged = 1;
    RT_TRY(ds_ids_add(&k->t->merges, left));
    return ds_ids_add(&k->t->merges, right);
}

static rt_status merge(trainer *k, int64_t index)
{
    const int32_t left = (int32_t)(k->pair[index].key >> 32), right = (int32_t)(k->pair[index].key & UINT32_MAX);
    ds_ids        words  = k->pair[index].words;
    int32_t       id     = 0;
    k->pair[index].words = (ds_ids){0};
    rt_status st         = joined(&k->t->vocab, left, right, &id);
    if (st == RT_OK && id > 0) { /* 0: text that spells the end token is not merged into it */
        st = record(k, index, left, right);
        for (int64_t i = 0; st == RT_OK && i < words.n; i++) st = merge_in_word(k, words.v[i], left, right, id);
    }
    k->pair[index].count = 0;
    free(words.v);
    return st == RT_OK ? push_touched(k) : st;
}

/* ---- beginning and end --------------------------------------------------------------------- */

static rt_status add_words(trainer *k, const ds_vocab *pieces)
{
    int32_t byte_id[256] = {0};
    for (int i = 0; i < 256; i++) byte_id[ds_alphabet_order(i)] = i + 1;
    RT_TRY(RT_NEW(k->sym, (int64_t)pieces->text.len));
    RT_TRY(RT_NEW(k->at, pieces->n + 1));
    RT_TRY(RT_NEW(k->len, pieces->n));
    for (int32_t w = 0; w < pieces->n; w++) {
        size_t      n;
        const char *s   = ds_vocab_text(pieces, w, &n);
        int32_t    *sym = k->sym + k->at[w];
        k->at[w + 1]    = k->at[w] + (int64_t)n;
        k->len[w]       = (int32_t)n;
        for (size_t i = 0; i < n; i++) {
            sym[i] = byte_id[(unsigned char)s[i]];
            if (i) RT_TRY(change(k, sym[i - 1], sym[i], k->count[w], w));
        }
    }
    return push_touched(k);
}

static rt_status bpe_train_run(trainer *k, const ds_vocab *pieces, int64_t size, rt_progress *p)
{
    RT_TRY(add_words(k, pieces));
    while (k->t->vocab.n < size) {
        int64_t next;
        RT_TRY(best(k, &next));
        if (next < 0) break;
        RT_TRY(merge(k, next));
        if (p) rt_progress_at(p, k->t->vocab.n, NULL);
    }
    return RT_OK;
}

rt_status ds_bpe_train(const ds_vocab *pieces, const int64_t *count, int64_t size, ds_trained *t, rt_progress *p)
{
    trainer         k  = {.t = t, .count = count};
    const rt_status st = bpe_train_run(&k, pieces, size, p);
    for (int64_t i = 0; i < k.pairs; i++) free(k.pair[i].words.v);
    free(k.pair);
    free(k.slot);
    free(k.heap);
    free(k.sym);
    free(k.at);
    free(k.len);
    free(k.touched.v);
    return st;
}
