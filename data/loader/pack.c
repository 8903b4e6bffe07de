/* pack.c -- packing windows into sequences by best fit with look-ahead. */
#include "data/loader/pack.h"
#include <stdlib.h>
#include <string.h>

typedef struct pool {
    int64_t v[DS_POOL]; /* windows, oldest first */
    int     n;
} pool;

static int64_t pack_take(pool *p, int at)
{
    const int64_t x = p->v[at];
    memmove(p->v + at, p->v + at + 1, (size_t)(p->n - at - 1) * sizeof *p->v);
    p->n--;
    return x;
}

/* Index of the largest window of at most `left` tokens; -1: none. */
static int pack_largest(const pool *p, const ds_window *w, int64_t left)
{
    int best = -1;
    for (int i = 0; i < p->n; i++)
        if (w[p->v[i]].n <= left && (best < 0 || w[p->v[i]].n > w[p->v[best]].n)) best = i;
    return best;
}

static void pack_fill(ds_packing *p, const ds_window *w, const int64_t *order, int64_t n, int64_t T, int pack)
{
    const int size = pack ? DS_POOL : 1;
    pool      q    = {.n = 0};
    for (int64_t next = 0; next < n || q.n > 0;) {
        int64_t left             = T;
        int     at               = 0;
        p->begin[p->sequences++] = p->items;
        do {
            while (next < n && q.n < size) q.v[q.n++] = order[next++];
            const int64_t x     = pack_take(&q, at);
            p->item[p->items++] = x;
            left -= w[x].n;
            if (next < n && q.n < size) q.v[q.n++] = order[next++];
            at = pack ? pack_largest(&q, w, left) : -1;
        } while (at >= 0);
    }
    p->begin[p->sequences] = p->items;
}

rt_status ds_pack(ds_packing *p, const ds_window *w, const int64_t *order, int64_t n, int64_t T, int pack)
{
    ds_packing x = {0};
    RT_TRY(RT_NEW(x.item, n));
    const rt_status st = RT_NEW(x.begin, n + 1);
    if (st != RT_OK) {
        ds_packing_free(&x);
        return st;
    }
    pack_fill(&x, w, order, n, T, pack);
    *p = x;
    return RT_OK;
}

void ds_packing_free(ds_packing *p)
{
    free(p->item);
    free(p->begin);
    *p = (ds_packing){0};
}
