/* attention: causal softmax attention with grouped queries inside documents.
 *
 * For sequence b, head h (reading kv head h KV / H), position t and s in start[t] .. t:
 *   S = q_t . k_s / sqrt(D),  P = softmax_s S,  o_t = sum_s P v_s
 *   dv_s += P do_t,  dS = P (do_t . v_s - do_t . o_t),  dq_t = dS k_s / sqrt(D),  dk_s += dS q_t / sqrt(D)
 * One item is a (sequence, head) forward and a (sequence, kv head) backward; inside, tiles
 * of TQ positions against all that they may see, so that memory is TQ x T.  Backward makes
 * P again from the saved log-sum-exp (as Dao et al. 2022, arXiv:2205.14135).
 */
#include "autograd/op.h"
#include <math.h>
#include <string.h>

enum { TQ = 64 };
enum { B_, T_, H_, KV_, D_ };

typedef struct tile {
    int64_t t0, rows, lo, keys;
} tile; /* positions t0.., keys lo.. */

static rt_status infer(ag_infer *i, const ag_attr *attr)
{
    const int64_t *n = attr->i, N = n[B_] * n[T_];
    RT_CHECK(n[KV_] > 0 && n[H_] % n[KV_] == 0, RT_ESHAPE, "attention: %lld heads are no multiple of %lld kv heads", (long long)n[H_],
             (long long)n[KV_]);
    for (int j = 0; j < 3; j++)
        RT_CHECK(i->in[j]->nd == 2 && i->in[j]->d[0] == N && i->in[j]->d[1] == (j ? n[KV_] : n[H_]) * n[D_], RT_ESHAPE,
                 "attention: operand %d is [%lld,%lld], expected [%lld,%lld]", j, (long long)i->in[j]->d[0], (long long)i->in[j]->d[1],
                 (long long)N, (long long)((j ? n[KV_] : n[H_]) * n[D_]));
    RT_CHECK(i->type[3] == KN_I32 && ag_len(i->in[3]) == N, RT_ESHAPE, "attention: expected start[%lld] of type i32", (long long)N);
    i->out     = *i->in[0];
    i->saved   = N * n[H_];
    i->scratch = 4 * n[T_] * n[D_] + 4 * TQ * n[D_] + 2 * TQ * n[T_] + n[D_];
    return RT_OK;
}

/* Columns [c, c+D) of rows [n, n+rows) as reals [rows, D]. */
static void gather(real *to, const void *x, kn_type t, int64_t width, int64_t n, int64_t rows, int64_t c, int64_t D)
{
    for (int64_t i = 0; i < rows; i++, to += D) {
        const real *row = kn_load(x, t, (n + i) * width + c, D, to);
        if (row != to) memcpy(to, row, (size_t)D * sizeof(real));
    }
}

static void scatter(void *x, kn_type t, int64_t width, int64_t n, int64_t rows, int64_t c, int64_t D, const real *from, int add)
{
    for (int64_t i = 0; i < rows; i++) kn_put(x, t, (n + i) * width + c, from + i * D, D, add);
}

static tile tile_at(const int32_t *start, int64_t t0, int64_t T)
{
    tile q = {.t0 = t0, .rows = T - t0 < TQ ? T - t0 : TQ, .lo = start[t0]};
    for (int64_t i = 1; i < q.rows; i++)
        if (start[t0 + i] < q.lo) q.lo = start[t0 + i];
    q.keys = t0 + q.rows - q.lo;
    return q;
}

static void scores(real *S, const real *Q, const real *K, const tile *q, int64_t D)
{
    kn_gemm_one(S, q->keys, Q, D, 0, K + q->lo * D, D, 1, q->rows, q->keys, D, (real)(1.0 / sqrt((double)D)), 0);
}

/* What row i of a tile may see: columns [*from, *to) of its scores. */
static void visible(const tile *q, const int32_t *start, int64_t i, int64_t *from, int64_t *to)
{
    *from = start[q->t0 + i] - q->lo;
    *to   = q->t0 + i + 1 - q->lo;
}

/* Row of scores -> exp(S - m) inside [from, to), 0 outside; returns the sum. */
static real weights(const kn_table *k, real *s, int64_t from, int64_t to, int64_t keys, real m)
{
    memset(s, 0, (size_t)from * sizeof(real));
    memset(s + to, 0, (size_t)(keys - to) * sizeof(real));
    return k->exp_sub(s + from, s + from, m, to - from);
}

static void forward_head(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], b = item / n[H_], h = item % n[H_], kv = h * n[KV_] / n[H_];
    const int32_t *start = (const int32_t *)a->in[3] + b * T;
    real          *K = ag_scratch(a, thread), *V = K + T * D, *Q = V + T * D, *O = Q + TQ * D, *S = O + TQ * D;
    gather(K, a->in[1], a->type[1], n[KV_] * D, b * T, T, kv * D, D);
    gather(V, a->in[2], a->type[2], n[KV_] * D, b * T, T, kv * D, D);
    for (int64_t t0 = 0; t0 < T; t0 += TQ) {
        const tile q = tile_at(start, t0, T);
        gather(Q, a->in[0], a->type[0], n[H_] * D, b * T + t0, q.rows, h * D, D);
        scores(S, Q, K, &q, D);
        for (int64_t i = 0; i < q.rows; i++) {
            int64_t from, to;
            real   *s = S + i * q.keys;
            visible(&q, start, i, &from, &to);
            const real m = a->k->max(s + from, to - from), sum = weights(a->k, s, from, to, q.keys, m);
            a->k->scale(s + from, s + from, 1 / sum, to - from);
            a->saved[(b * T + t0 + i) * n[H_] + h] = m + (real)log((double)sum);
        }
        kn_gemm_one(O, D, S, q.keys, 0, V + q.lo * D, D, 0, q.rows, D, q.keys, 1, 0);
        scatter(a->out, a->out_type, n[H_] * D, b * T + t0, q.rows, h * D, D, O, 0);
    }
}

static void forward(const ag_args *a) { rt_parallel(a->attr.i[B_] * a->attr.i[H_], forward_head, (void *)(uintptr_t)a); }

/* ---- backward --------------------------------------------------------------------------------- */

typedef struct panels {
    real *K, *V, *dK, *dV, *Q, *O, *dO, *dQ, *S, *dS;
} panels;

static panels cut(real *w, int64_t T, int64_t D)
{
    panels p = {.K = w};
    p.V = p.K + T * D, p.dK = p.V + T * D, p.dV = p.dK + T * D, p.Q = p.dV + T * D;
    p.O = p.Q + TQ * D, p.dO = p.O + TQ * D, p.dQ = p.dO + TQ * D, p.S = p.dQ + TQ * D, p.dS = p.S + TQ * T;
    return p;
}

/* S -> P, and dS = P (dP - delta), row by row; dS holds dP on entry. */
static void score_gradients(const ag_args *a, const panels *p, const tile *q, const int32_t *start, int64_t row0, int64_t h)
{
    const int64_t D = a->attr.i[D_], H = a->attr.i[H_];
    for (int64_t i = 0; i < q->rows; i++) {
        int64_t    from, to;
        real      *s = p->S + i * q->keys, *ds = p->dS + i * q->keys;
        const real delta = a->k->dot(p->dO + i * D, p->O + i * D, D);
        visible(q, start, i, &from, &to);
        weights(a->k, s, from, to, q->keys, a->saved[(row0 + i) * H + h]);
        for (int64_t j = 0; j < q->keys; j++) ds[j] = s[j] * (ds[j] - delta);
    }
}

static void backward_tile(const ag_args *a, const panels *p, const int32_t *start, int64_t b, int64_t h, int64_t t0)
{
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], W = n[H_] * D, row0 = b * T + t0;
    const tile     q   = tile_at(start, t0, T);
    const real     inv = (real)(1.0 / sqrt((double)D));
    gather(p->Q, a->in[0], a->type[0], W, row0, q.rows, h * D, D);
    gather(p->O, a->out, a->out_type, W, row0, q.rows, h * D, D);
    gather(p->dO, a->dout, a->out_type, W, row0, q.rows, h * D, D);
    scores(p->S, p->Q, p->K, &q, D);
    kn_gemm_one(p->dS, q.keys, p->dO, D, 0, p->V + q.lo * D, D, 1, q.rows, q.keys, D, 1, 0);
    score_gradients(a, p, &q, start, row0, h);
    kn_gemm_one(p->dV + q.lo * D, D, p->S, q.keys, 1, p->dO, D, 0, q.keys, D, q.rows, 1, 1);
    kn_gemm_one(p->dK + q.lo * D, D, p->dS, q.keys, 1, p->Q, D, 0, q.keys, D, q.rows, inv, 1);
    if (!a->din[0]) return;
    kn_gemm_one(p->dQ, D, p->dS, q.keys, 0, p->K + q.lo * D, D, 0, q.rows, D, q.keys, inv, 0);
    scatter(a->din[0], a->din_type[0], W, row0, q.rows, h * D, D, p->dQ, a->acc & 1);
}

static void backward_group(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], b = item / n[KV_], kv = item % n[KV_], group = n[H_] / n[KV_];
    const int32_t *start = (const int32_t *)a->in[3] + b * T;
    const panels   p     = cut(ag_scratch(a, thread), T, D);
    gather(p.K, a->in[1], a->type[1], n[KV_] * D, b * T, T, kv * D, D);
    gather(p.V, a->in[2], a->type[2], n[KV_] * D, b * T, T, kv * D, D);
    memset(p.dK, 0, (size_t)(2 * T * D) * sizeof(real)); /* and dV, which follows */
    for (int64_t h = kv * group; h < (kv + 1) * group; h++)
        for (int64_t t0 = 0; t0 < T; t0 += TQ) backward_tile(a, &p, start, b, h, t0);
    if (a->din[1]) scatter(a->din[1], a->din_type[1], n[KV_] * D, b * T, T, kv * D, D, p.dK, a->acc >> 1 & 1);
    if (a->din[2]) scatter(a->din[2], a->din_type[2], n[KV_] * D, b * T, T, kv * D, D, p.dV, a->acc >> 2 & 1);
}

static void backward(const ag_args *a) { rt_parallel(a->attr.i[B_] * a->attr.i[KV_], backward_group, (void *)(uintptr_t)a); }

const ag_op ag_op_attention = {.name     = "attention",
                               .n_in     = 4,
                               .keeps    = 1 | 2 | 4 | 8 | AG_KEEP_OUT | AG_KEEP_SAVED,
                               .nograd   = 8,
                               .infer    = infer,
                               .forward  = forward,
                               .backward = backward};
