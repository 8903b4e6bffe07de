/* bpe.c -- merging the symbols of one piece.
 *
 * Each step merges the pair with the lowest rank, and of equal ranks the leftmost.  Short pieces (nearly all) find it by a scan
 * over the ranks.  Long pieces use a heap of (rank, position) over a linked list, so that a run of 10^5 letters does not take
 * quadratic time.
 */
#include "core/rng.h"
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

enum { SHORT = 32, NO_RANK = INT32_MAX };

static uint64_t key_of(int32_t left, int32_t right) { return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1; }

static ds_merge *bpe_place(const ds_merges *m, uint64_t key)
{
    for (uint64_t i = rt_mix64(key);; i++) {
        ds_merge *s = &m->slot[i & (uint64_t)(m->slots - 1)];
        if (s->key == key || !s->key) return s;
    }
}

rt_status ds_merges_reserve(ds_merges *m, int64_t n)
{
    m->slots = 64;
    while (m->slots < 2 * n) m->slots *= 2;
    return RT_NEW(m->slot, m->slots);
}

void ds_merges_put(ds_merges *m, int32_t left, int32_t right, int32_t rank, int32_t id)
{
    const uint64_t key = key_of(left, right);
    *bpe_place(m, key) = (ds_merge){key, rank, id};
}

const ds_merge *ds_merges_find(const ds_merges *m, int32_t left, int32_t right)
{
    const ds_merge *s = bpe_place(m, key_of(left, right));
    return s->key ? s : NULL;
}

/* Returns the rank of a pair; *id gets the id of the merged symbol. */
static int32_t bpe_rank_of(const ds_merges *m, int32_t left, int32_t right, int32_t *id)
{
    const ds_merge *s = ds_merges_find(m, left, right);
    if (!s) return NO_RANK;
    *id = s->id;
    return s->rank;
}

static void remove_at(int32_t *a, int64_t i, int64_t n) { memmove(a + i, a + i + 1, (size_t)(n - i - 1) * sizeof *a); }

static int64_t merge_short(const ds_merges *m, int32_t *ids, int64_t n)
{
    int32_t rank[SHORT], becomes[SHORT] = {0}; /* of the pair that begins at each position */
    for (int64_t i = 0; i + 1 < n; i++) rank[i] = bpe_rank_of(m, ids[i], ids[i + 1], &becomes[i]);
    rank[n - 1] = NO_RANK;
    for (;;) {
        int64_t best = 0;
        for (int64_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NO_RANK) return n;
        ids[best] = becomes[best];
        remove_at(ids, best + 1, n);
        remove_at(rank, best + 1, n);
        remove_at(becomes, best + 1, n);
        n--;
        rank[best] = best + 1 < n ? bpe_rank_of(m, ids[best], ids[best + 1], &becomes[best]) : NO_RANK;
        if (best) rank[best - 1] = bpe_rank_of(m, ids[best - 1], ids[best], &becomes[best - 1]);
    }
}

/* ---- long pieces: a binary heap of rank << 32 | position ------------------------- */

static void heap_push(int64_t *h, int64_t *n, int64_t v)
{
    int64_t i = (*n)++;
    for (; i && h[(i - 1) / 2] > v; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
    h[i] = v;
}

static int64_t heap_pop(int64_t *h, int64_t *n)
{
    const int64_t top = h[0], v = h[--*n];
    int64_t       i = 0;
    for (;;) {
        int64_t c = 2 * i + 1;
        if (c >= *n) break;
        if (c + 1 < *n && h[c + 1] < h[c]) c++;
        if (h[c] >= v) break;
        h[i] = h[c];
        i    = c;
    }
    h[i] = v;
    return top;
}

static void rank_at(const ds_merges *m, ds_bpe_work *w, const int32_t *ids, int64_t i, int64_t *heap)
{
    const int32_t next = w->next[i];
    w->rank[i]         = next < 0 ? NO_RANK : bpe_rank_of(m, ids[i], ids[next], &w->id[i]);
    if (w->rank[i] != NO_RANK) heap_push(w->heap, heap, (int64_t)w->rank[i] << 32 | i);
}

static int64_t merge_long(const ds_merges *m, ds_bpe_work *w, int32_t *ids, int64_t n)
{
    int64_t heap = 0, left = 0;
    for (int64_t i = 0; i < n; i++) w->next[i] = i + 1 < n ? (int32_t)i + 1 : -1, w->prev[i] = (int32_t)i - 1;
    for (int64_t i = 0; i < n; i++) rank_at(m, w, ids, i, &heap);
    while (heap) {
        const int64_t top = heap_pop(w->heap, &heap);
        const int32_t i   = (int32_t)(top & INT32_MAX);
        if (w->rank[i] != (int32_t)(top >> 32)) continue; /* the pair has changed since it was pushed */
        const int32_t removed = w->next[i], after = w->next[removed];
        ids[i]           = w->id[i];
        w->rank[removed] = NO_RANK;
        w->next[i]       = after;
        if (after >= 0) w->prev[after] = i;
        rank_at(m, w, ids, i, &heap);
        if (w->prev[i] >= 0) rank_at(m, w, ids, w->prev[i], &heap);
    }
    for (int32_t i = 0; i >= 0; i = w->next[i]) ids[left++] = ids[i];
    return left;
}

/* Each merge pops one pair and pushes at most two, so the heap holds fewer than 2 n. */
static rt_status bpe_reserve(ds_bpe_work *w, int64_t n)
{
    if (n <= w->cap) return RT_OK;
    ds_bpe_work_free(w);
    RT_TRY(RT_NEW(w->rank, n));
    RT_TRY(RT_NEW(w->id, n));
    RT_TRY(RT_NEW(w->next, n));
    RT_TRY(RT_NEW(w->prev, n));
    RT_TRY(RT_NEW(w->heap, 2 * n));
    w->cap = n;
    return RT_OK;
}

void ds_bpe_work_free(ds_bpe_work *w)
{
    free(w->rank);
    free(w->id);
    free(w->next);
    free(w->prev);
    free(w->heap);
    *w = (ds_bpe_work){0};
}

rt_status ds_bpe_merge(const ds_merges *m, ds_bpe_work *w, int32_t *ids, int64_t n, int64_t *left)
{
    if (n > SHORT) RT_TRY(bpe_reserve(w, n));
    *left = n < 2 ? n : n > SHORT ? merge_long(m, w, ids, n) : merge_short(m, ids, n);
    return RT_OK;
}
