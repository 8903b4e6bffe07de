/* attention_tile.c -- which keys a tile attends to, and its products, in groups of rows: a group skips the keys that it cannot see. */
#include "autograd/attention_tile.h"
#include "core/status.h"
#include <math.h>

enum { GROUP = 24 };

/* The first position that position t may attend to. */
static int64_t first_seen(const ag_sight *s, int64_t t)
{
    const int64_t start = s->doc_start[t], window = s->window ? t - s->window + 1 : 0;
    RT_ASSERT(start >= 0 && start <= t);
    return window > start ? window : start;
}

ag_tile ag_tile_at(const ag_sight *s, int64_t t0, int64_t T)
{
    ag_tile q = {.t0 = t0, .rows = T - t0 < AG_TQ ? T - t0 : AG_TQ};
    q.first   = first_seen(s, t0);
    for (int64_t i = 0; i < q.rows; i++) {
        const int64_t first = first_seen(s, t0 + i);
        if (first < q.first) q.first = first;
    }
    q.first = q.first / KN_MAX_NR * KN_MAX_NR; /* a panel boundary for every nr */
    q.end   = t0 + q.rows;
    return q;
}

int ag_tile_next(ag_tile *q)
{
    q->k0   = q->keys ? q->k0 + q->keys : q->first;
    q->keys = q->end - q->k0 < AG_TK ? q->end - q->k0 : AG_TK;
    return q->keys > 0;
}

/* Returns how many keys of the block the rows before `end` can attend to; the scores of later keys are not computed. */
static int64_t tile_seen(const ag_tile *q, int64_t end)
{
    const int64_t n = q->t0 + end - q->k0;
    return n < 0 ? 0 : n < q->keys ? n : q->keys;
}

int64_t ag_tile_cleared(const ag_tile *q, int64_t i) { return tile_seen(q, i + 1 + 2 * GROUP); }

void ag_tile_visible(const ag_tile *q, const ag_sight *s, int64_t i, int64_t *from, int64_t *to)
{
    const int64_t last = q->t0 + i + 1 - q->k0, first = first_seen(s, q->t0 + i);
    *from = first > q->k0 ? first - q->k0 : 0;
    *to   = last < q->keys ? last : q->keys;
    if (*from > *to) *from = *to = 0;
}

/* ---- products ------------------------------------------------------------------------------------ */

ag_tile_gemm ag_tile_gemm_of(const kn_table *k, kn_type t, int64_t D, double scale)
{
    ag_tile_gemm o = {k, kn_gemm_kernel_of(kn_gemm_operand(t)), D, (real)scale, 1};
    if (o.g->type == KN_BF16) {
        o.q_scale     = (real)exp2(ceil(log2(scale)));
        o.score_scale = (real)(scale / (double)o.q_scale);
    }
    return o;
}

/* Rounds n elements to bf16; a zero follows an odd last one. */
static void tile_round(const kn_table *k, real *to, const real *x, int64_t n)
{
    kn_bf16 *h = (kn_bf16 *)to;
    k->to_bf16(h, x, n);
    if (n % 2) h[n] = 0;
}

kn_rows ag_tile_rows(const ag_tile_gemm *o, real *to, const real *x, const ag_tile *q)
{
    const int64_t D = o->D, row = (D + 1) / 2;
    if (o->g->type == KN_REAL) return kn_plain(o->g, x, D, 1);
    for (int64_t i = 0; i < q->rows; i++) tile_round(o->k, to + i * row, x + i * D, D);
    return kn_plain(o->g, to, row, 1);
}

kn_rows ag_tile_weights(const ag_tile_gemm *o, real *to, const real *S, const ag_tile *q)
{
    if (o->g->type == KN_REAL) return kn_plain(o->g, S, AG_LD, 1);
    for (int64_t i = 0; i < q->rows; i++) tile_round(o->k, to + i * (AG_LD / 2), S + i * AG_LD, ag_tile_cleared(q, i));
    return kn_plain(o->g, to, AG_LD / 2, 1);
}

/* An odd last row is paired with itself: the packed operand has a zero there. */
kn_rows ag_tile_turned(const ag_tile_gemm *o, real *to, const real *S, const ag_tile *q)
{
    if (o->g->type == KN_REAL) return kn_plain(o->g, S, 1, AG_LD);
    for (int64_t i = 0; i < q->rows; i += 2) {
        const real *even = S + i * AG_LD, *odd = i + 1 < q->rows ? even + AG_LD : even;
        o->k->pair_bf16((kn_bf16 *)(to + i / 2 * AG_LD), even, odd, ag_tile_cleared(q, i));
    }
    return kn_plain(o->g, to, 1, AG_LD);
}

static kn_rows rows_from(kn_rows a, int64_t i, int64_t k) { return (kn_rows){a.p + i * a.row + k * a.col, a.row, a.col, a.tile}; }

void ag_tile_scores(const ag_tile_gemm *o, real *S, kn_rows rows, const real *turned, const ag_tile *q)
{
    const int64_t D = o->D, units = (D + o->g->step - 1) / o->g->step;
    for (int64_t i = 0; i < q->rows; i += GROUP) {
        const int64_t n = q->rows - i < GROUP ? q->rows - i : GROUP;
        kn_gemm_packed(o->g, S + i * AG_LD, AG_LD, rows_from(rows, i, 0), turned + q->k0 * units, D, n, tile_seen(q, i + n), D, 0);
    }
}

void ag_tile_mix(const ag_tile_gemm *o, real *O, kn_rows weights, const real *packed, int64_t T, const ag_tile *q)
{
    const int64_t D = o->D;
    for (int64_t i = 0; i < q->rows; i += GROUP) {
        const int64_t n = q->rows - i < GROUP ? q->rows - i : GROUP;
        kn_gemm_packed(o->g, O + i * D, D, rows_from(weights, i, 0), packed + q->k0 / o->g->step * o->g->nr, T, n, D, tile_seen(q, i + n),
                       q->k0 > q->first);
    }
}

void ag_tile_spread(const ag_tile_gemm *o, real *dK, kn_rows turned, const real *packed, const ag_tile *q)
{
    const int64_t D = o->D, past = q->t0 > q->k0 ? q->t0 - q->k0 : 0, whole = past < q->keys ? past : q->keys;
    kn_gemm_packed(o->g, dK + q->k0 * D, D, turned, packed, q->rows, whole, D, q->rows, 1);
    for (int64_t j = whole; j < q->keys; j += GROUP) {
        const int64_t n = q->keys - j < GROUP ? q->keys - j : GROUP, i = (q->k0 + j - q->t0) / GROUP * GROUP, u = i / o->g->step;
        kn_gemm_packed(o->g, dK + (q->k0 + j) * D, D, rows_from(turned, j, u), packed + u * o->g->nr, q->rows, n, D, q->rows - i, 1);
    }
}
