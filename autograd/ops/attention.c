/* attention.c -- the operator attention: causal grouped-query softmax attention within documents.
 *
 * For sequence b, head h (which reads kv head h KV / H), position t and s in doc_start[t] .. t:
 *   S = q_t . k_s / sqrt(D),  P = softmax_s S,  o_t = sum_s P v_s
 *   dv_s += P do_t,  dS = P (do_t . v_s - do_t . o_t),  dq_t = dS k_s / sqrt(D),  dk_s += dS q_t / sqrt(D)
 * A work item is a (sequence, head) in forward and a (sequence, kv head) in backward.  It multiplies tiles of TQ
 * positions by blocks of TK keys, with a running maximum and sum (Milakov & Gimelshein 2018,
 * arXiv:1805.02867).  Backward recomputes P from the saved log-sum-exp (Dao et al. 2022, arXiv:2205.14135).
 * Keys and values are packed for gemm once per item.
 */
#include "autograd/op.h"
#include <math.h>
#include <string.h>

enum { TQ = 96, GROUP = 24, TK = 512, LD = TK + 16 }; /* LD: row stride of a tile of scores, padded so that rows do not share cache sets */
enum { B_, T_, H_, KV_, D_ };

typedef struct tile {
    int64_t t0, rows, first, end; /* positions t0 .. t0+rows-1, which attend to keys in first .. end-1 */
    int64_t k0, keys;             /* the current block of keys */
} tile;

static rt_status attention_infer(ag_infer *i, const ag_attr *attr)
{
    const int64_t *n = attr->i, N = n[B_] * n[T_];
    RT_CHECK(n[KV_] > 0 && n[H_] % n[KV_] == 0, RT_ESHAPE,
             "attention: expected a number of heads that is a multiple of the kv heads, found %lld and %lld", (long long)n[H_],
             (long long)n[KV_]);
    for (int j = 0; j < 3; j++)
        RT_CHECK(i->in[j]->nd == 2 && i->in[j]->d[0] == N && i->in[j]->d[1] == (j ? n[KV_] : n[H_]) * n[D_], RT_ESHAPE,
                 "attention: operand %d is [%lld,%lld], expected [%lld,%lld]", j, (long long)i->in[j]->d[0], (long long)i->in[j]->d[1],
                 (long long)N, (long long)((j ? n[KV_] : n[H_]) * n[D_]));
    RT_CHECK(i->type[3] == KN_I32 && ag_len(i->in[3]) == N, RT_ESHAPE, "attention: expected doc_start[%lld] of type i32", (long long)N);
    const int64_t T = n[T_], D = n[D_];
    i->out   = *i->in[0];
    i->saved = N * n[H_];
    i->scratch =
        kn_panels(D, T) + 2 * kn_panels(T, D) + 2 * kn_panels(D, TQ) + 2 * T * D + 4 * TQ * D + 2 * TQ * LD; /* see attention_cut() */
    return RT_OK;
}

/* Copies columns [c, c+D) of rows [n, n+rows) as reals [rows, D], multiplied by s. */
static void attention_gather(const ag_args *a, real *to, const void *x, kn_type t, int64_t width, int64_t n, int64_t rows, int64_t c,
                             real s)
{
    const int64_t D = a->attr.i[D_];
    for (int64_t i = 0; i < rows; i++, to += D) a->k->scale(to, kn_load(x, t, (n + i) * width + c, D, to), s, D);
}

static void scatter(void *x, kn_type t, int64_t width, int64_t n, int64_t rows, int64_t c, int64_t D, const real *from, int add)
{
    for (int64_t i = 0; i < rows; i++) kn_put(x, t, (n + i) * width + c, from + i * D, D, add);
}

/* Packs the keys or values of one kv head as a gemm operand of T rows, or of T columns if `turned`. */
static void attention_pack(const ag_args *a, real *to, int j, int64_t b, int64_t kv, int turned)
{
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], W = n[KV_] * D;
    const kn_mat   m = {(const char *)a->in[j] + (size_t)(b * T * W + kv * D) * kn_size(a->type[j]), a->type[j], W, turned};
    kn_pack(to, m, turned ? T : D, turned ? D : T);
}

static tile tile_at(const int32_t *doc_start, int64_t t0, int64_t T)
{
    tile q  = {.t0 = t0, .rows = T - t0 < TQ ? T - t0 : TQ};
    q.first = doc_start[t0];
    for (int64_t i = 0; i < q.rows; i++) {
        RT_ASSERT(doc_start[t0 + i] >= 0 && doc_start[t0 + i] <= t0 + i);
        if (doc_start[t0 + i] < q.first) q.first = doc_start[t0 + i];
    }
    q.first = q.first / KN_MAX_NR * KN_MAX_NR; /* a panel boundary for every nr */
    q.end   = t0 + q.rows;
    return q;
}

static int attention_next_block(tile *q)
{
    q->k0   = q->keys ? q->k0 + q->keys : q->first;
    q->keys = q->end - q->k0 < TK ? q->end - q->k0 : TK;
    return q->keys > 0;
}

/* Returns how many keys of the block the rows before `end` can attend to; the scores of later keys are not computed. */
static int64_t attention_seen(const tile *q, int64_t end)
{
    const int64_t n = q->t0 + end - q->k0;
    return n < 0 ? 0 : n < q->keys ? n : q->keys;
}

/* Returns the column up to which row end-1 must be zero-filled, because attention_mix() and spread() read whole groups of rows and keys. */
static int64_t cleared(const tile *q, int64_t end) { return attention_seen(q, end + 2 * GROUP); }

/* Sets [*from, *to) to the columns of the block that row i of a tile may attend to; the range may be empty. */
static void visible(const tile *q, const int32_t *doc_start, int64_t i, int64_t *from, int64_t *to)
{
    const int64_t last = q->t0 + i + 1 - q->k0;
    *from              = doc_start[q->t0 + i] > q->k0 ? doc_start[q->t0 + i] - q->k0 : 0;
    *to                = last < q->keys ? last : q->keys;
    if (*from > *to) *from = *to = 0;
}

/* S = rows [TQ, D] times an operand packed with `turned`: a block of scores, only the columns that attention_seen() returns. */
static void scores(real *S, const real *rows, const real *turned, const tile *q, int64_t D)
{
    for (int64_t i = 0; i < q->rows; i += GROUP) {
        const int64_t n = q->rows - i < GROUP ? q->rows - i : GROUP;
        kn_gemm_packed(S + i * LD, LD, kn_plain(rows + i * D, D, 1), turned + q->k0 * D, D, n, attention_seen(q, i + n), D, 0);
    }
}

/* O = weights [TQ, keys] times the packed rows of the keys; from the second block on it is added to O. */
static void attention_mix(real *O, const real *S, const real *packed, int64_t T, const tile *q, int64_t D, int64_t nr)
{
    for (int64_t i = 0; i < q->rows; i += GROUP) {
        const int64_t n = q->rows - i < GROUP ? q->rows - i : GROUP;
        kn_gemm_packed(O + i * D, D, kn_plain(S + i * LD, LD, 1), packed + q->k0 * nr, T, n, D, attention_seen(q, i + n), q->k0 > q->first);
    }
}

/* dK += the transposed weights times the packed rows; only the rows that can attend to a group of keys are used. */
static void spread(real *dK, const real *S, const real *packed, const tile *q, int64_t D, int64_t nr)
{
    const int64_t past = q->t0 > q->k0 ? q->t0 - q->k0 : 0, whole = past < q->keys ? past : q->keys;
    kn_gemm_packed(dK + q->k0 * D, D, kn_plain(S, 1, LD), packed, q->rows, whole, D, q->rows, 1);
    for (int64_t j = whole; j < q->keys; j += GROUP) {
        const int64_t n = q->keys - j < GROUP ? q->keys - j : GROUP, i = (q->k0 + j - q->t0) / GROUP * GROUP;
        kn_gemm_packed(dK + (q->k0 + j) * D, D, kn_plain(S + i * LD + j, 1, LD), packed + i * nr, q->rows, n, D, q->rows - i, 1);
    }
}

/* Sets a row of scores to exp(S - m) in [from, to) and to 0 outside, up to `end`; returns the sum. */
static real weights(const kn_table *k, real *s, int64_t from, int64_t to, int64_t end, real m)
{
    memset(s, 0, (size_t)from * sizeof(real));
    memset(s + to, 0, (size_t)(end - to) * sizeof(real));
    return to > from ? k->exp_sub(s + from, s + from, m, to - from) : 0;
}

/* ---- forward ------------------------------------------------------------------------------------- */

typedef struct running {
    real *K, *V, *Q, *O, *S, *max, *sum;
} running;

static void soften(const ag_args *a, const running *r, const tile *q, const int32_t *doc_start)
{
    const int64_t D = a->attr.i[D_];
    for (int64_t i = 0; i < q->rows; i++) {
        int64_t from, to;
        real   *s = r->S + i * LD;
        visible(q, doc_start, i, &from, &to);
        const real top = to > from ? a->k->max(s + from, to - from) : r->max[i], m = top > r->max[i] ? top : r->max[i];
        const real keep = (real)exp((double)(r->max[i] - m)); /* 0 in the first block, whose previous maximum is -infinity */
        r->sum[i]       = weights(a->k, s, from, to, cleared(q, i + 1), m) + (r->sum[i] > 0 ? keep * r->sum[i] : 0);
        if (q->k0 > q->first && keep < 1) a->k->scale(r->O + i * D, r->O + i * D, keep, D);
        r->max[i] = m;
    }
}

static void forward_tile(const ag_args *a, const running *r, const int32_t *doc_start, int64_t b, int64_t h, int64_t t0)
{
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], W = n[H_] * D;
    tile           q = tile_at(doc_start, t0, T);
    attention_gather(a, r->Q, a->in[0], a->type[0], W, b * T + t0, q.rows, h * D, (real)(1 / sqrt((double)D)));
    for (int64_t i = 0; i < q.rows; i++) r->max[i] = -INFINITY, r->sum[i] = 0;
    while (attention_next_block(&q)) {
        scores(r->S, r->Q, r->K, &q, D);
        soften(a, r, &q, doc_start);
        attention_mix(r->O, r->S, r->V, T, &q, D, a->k->gemm.nr);
    }
    for (int64_t i = 0; i < q.rows; i++) {
        a->k->scale(r->O + i * D, r->O + i * D, 1 / r->sum[i], D);
        a->saved[(b * T + t0 + i) * n[H_] + h] = r->max[i] + (real)log((double)r->sum[i]);
    }
    scatter(a->out, a->out_type, W, b * T + t0, q.rows, h * D, D, r->O, 0);
}

static void forward_head(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], b = item / n[H_], h = item % n[H_], kv = h * n[KV_] / n[H_];
    running        r = {.K = ag_scratch(a, thread)};
    r.V = r.K + kn_panels(T, D), r.Q = r.V + kn_panels(D, T), r.O = r.Q + TQ * D, r.S = r.O + TQ * D, r.max = r.S + TQ * LD,
    r.sum = r.max + TQ;
    attention_pack(a, r.K, 1, b, kv, 1);
    attention_pack(a, r.V, 2, b, kv, 0);
    for (int64_t t0 = 0; t0 < T; t0 += TQ) forward_tile(a, &r, (const int32_t *)a->in[3] + b * T, b, h, t0);
}

static void attention_forward(const ag_args *a) { rt_parallel(a->attr.i[B_] * a->attr.i[H_], forward_head, (void *)(uintptr_t)a); }

/* ---- backward --------------------------------------------------------------------------------- */

typedef struct panels {
    real *K, *K_turned, *V_turned, *dO_packed, *Q_packed; /* packed operands */
    real *dK, *dV, *Q, *O, *dO, *dQ, *S, *dS;             /* row-major */
} panels;

static panels attention_cut(real *w, int64_t T, int64_t D)
{
    panels p    = {.K = w};
    p.K_turned  = p.K + kn_panels(D, T);
    p.V_turned  = p.K_turned + kn_panels(T, D);
    p.dO_packed = p.V_turned + kn_panels(T, D);
    p.Q_packed  = p.dO_packed + kn_panels(D, TQ);
    p.dK = p.Q_packed + kn_panels(D, TQ), p.dV = p.dK + T * D, p.Q = p.dV + T * D;
    p.O = p.Q + TQ * D, p.dO = p.O + TQ * D, p.dQ = p.dO + TQ * D, p.S = p.dQ + TQ * D, p.dS = p.S + TQ * LD;
    return p;
}

/* Replaces S by P and dS by P (dP - delta), row by row.  On entry dS holds dP; delta = do_t . o_t. */
static void score_gradients(const ag_args *a, const panels *p, const tile *q, const int32_t *doc_start, int64_t row0, int64_t h)
{
    const int64_t D = a->attr.i[D_], H = a->attr.i[H_];
    for (int64_t i = 0; i < q->rows; i++) {
        int64_t    from, to;
        const real delta = a->k->dot(p->dO + i * D, p->O + i * D, D);
        visible(q, doc_start, i, &from, &to);
        const int64_t end = cleared(q, i + 1);
        weights(a->k, p->S + i * LD, from, to, end, a->saved[(row0 + i) * H + h]);
        a->k->softmax_back(p->dS + i * LD + from, p->S + i * LD + from, delta, to - from);
        memset(p->dS + i * LD, 0, (size_t)from * sizeof(real));
        memset(p->dS + i * LD + to, 0, (size_t)(end - to) * sizeof(real));
    }
}

static void attention_backward_block(const ag_args *a, const panels *p, const tile *q, const int32_t *doc_start, int64_t b, int64_t h)
{
    const int64_t T = a->attr.i[T_], D = a->attr.i[D_];
    scores(p->S, p->Q, p->K_turned, q, D);
    scores(p->dS, p->dO, p->V_turned, q, D);
    score_gradients(a, p, q, doc_start, b * T + q->t0, h);
    spread(p->dV, p->S, p->dO_packed, q, D, a->k->gemm.nr);
    spread(p->dK, p->dS, p->Q_packed, q, D, a->k->gemm.nr);
    attention_mix(p->dQ, p->dS, p->K, T, q, D, a->k->gemm.nr);
}

static void backward_tile(const ag_args *a, const panels *p, const int32_t *doc_start, int64_t b, int64_t h, int64_t t0)
{
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], W = n[H_] * D, row0 = b * T + t0;
    const real     inv = (real)(1 / sqrt((double)D));
    tile           q   = tile_at(doc_start, t0, T);
    attention_gather(a, p->Q, a->in[0], a->type[0], W, row0, q.rows, h * D, inv);
    attention_gather(a, p->O, a->out, a->out_type, W, row0, q.rows, h * D, 1);
    attention_gather(a, p->dO, a->dout, a->out_type, W, row0, q.rows, h * D, 1);
    kn_pack(p->Q_packed, (kn_mat){p->Q, KN_REAL, D, 0}, D, q.rows);
    kn_pack(p->dO_packed, (kn_mat){p->dO, KN_REAL, D, 0}, D, q.rows);
    while (attention_next_block(&q)) attention_backward_block(a, p, &q, doc_start, b, h);
    if (!a->din[0]) return;
    a->k->scale(p->dQ, p->dQ, inv, q.rows * D);
    scatter(a->din[0], a->din_type[0], W, row0, q.rows, h * D, D, p->dQ, a->acc & 1);
}

static void backward_group(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], b = item / n[KV_], kv = item % n[KV_], group = n[H_] / n[KV_];
    const panels   p = attention_cut(ag_scratch(a, thread), T, D);
    attention_pack(a, p.K, 1, b, kv, 0);
    attention_pack(a, p.K_turned, 1, b, kv, 1);
    attention_pack(a, p.V_turned, 2, b, kv, 1);
    memset(p.dK, 0, (size_t)(2 * T * D) * sizeof(real)); /* dK and dV, which is adjacent */
    for (int64_t h = kv * group; h < (kv + 1) * group; h++)
        for (int64_t t0 = 0; t0 < T; t0 += TQ) backward_tile(a, &p, (const int32_t *)a->in[3] + b * T, b, h, t0);
    if (a->din[1]) scatter(a->din[1], a->din_type[1], n[KV_] * D, b * T, T, kv * D, D, p.dK, a->acc >> 1 & 1);
    if (a->din[2]) scatter(a->din[2], a->din_type[2], n[KV_] * D, b * T, T, kv * D, D, p.dV, a->acc >> 2 & 1);
}

static void attention_backward(const ag_args *a) { rt_parallel(a->attr.i[B_] * a->attr.i[KV_], backward_group, (void *)(uintptr_t)a); }

const ag_op ag_op_attention = {.name     = "attention",
                               .n_in     = 4,
                               .work     = AG_ATTENTION,
                               .keeps    = 1 | 2 | 4 | 8 | AG_KEEP_OUT | AG_KEEP_SAVED,
                               .nograd   = 8,
                               .infer    = attention_infer,
                               .forward  = attention_forward,
                               .backward = attention_backward};
