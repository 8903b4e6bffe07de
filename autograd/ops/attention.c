/* attention.c -- the operator attention: causal grouped-query softmax attention within documents.
 *
 * For sequence b, head h (which reads kv head h KV / H), position t and s in doc_start[t] .. t, of a window only the last:
 *   S = a q_t . k_s,  P = softmax_s S,  o_t = sum_s P v_s, where a is the scale, by default 1 / sqrt(D)
 *   dv_s += P do_t,  dS = P (do_t . v_s - do_t . o_t),  dq_t = a dS k_s,  dk_s += a dS q_t
 * With a cap c the scores are S = c tanh(a q_t . k_s / c), and dS is multiplied by 1 - (S / c)^2 (Gemma 2, arXiv:2408.00118).
 * A work item is a (sequence, head) in forward and a (sequence, kv head) in backward.  It multiplies tiles of TQ
 * positions by blocks of TK keys, with a running maximum and sum (Milakov & Gimelshein 2018,
 * arXiv:1805.02867).  Backward recomputes P from the saved log-sum-exp (Dao et al. 2022, arXiv:2205.14135).
 * Keys and values are packed for gemm once per item; attention_tile.h has the products.
 */
#include "autograd/attention_tile.h"
#include "autograd/op.h"
#include <math.h>
#include <string.h>

enum { TQ = AG_TQ, LD = AG_LD };
enum { B_, T_, H_, KV_, D_, WINDOW };

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
    RT_CHECK(n[WINDOW] >= 0 && attr->f > 0 && attr->g >= 0, RT_EINVAL,
             "attention: expected a window and a cap of at least 0 and a positive scale, found %lld, %g and %g", (long long)n[WINDOW],
             attr->g, attr->f);
    const int64_t T = n[T_], D = n[D_];
    i->out   = *i->in[0];
    i->saved = N * n[H_];
    i->scratch =
        kn_panels(D, T) + 2 * kn_panels(T, D) + 2 * kn_panels(D, TQ) + 2 * T * D + 6 * TQ * (D + 1) + 3 * TQ * LD; /* see attention_cut() */
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
static void attention_pack(const ag_args *a, const kn_gemm_kernel *g, real *to, int j, int64_t b, int64_t kv, int turned)
{
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], W = n[KV_] * D;
    const kn_mat   m = {(const char *)a->in[j] + (size_t)(b * T * W + kv * D) * kn_size(a->type[j]), a->type[j], W, turned};
    kn_pack(g, to, m, turned ? T : D, turned ? D : T);
}

static ag_tile_gemm attention_gemm(const ag_args *a) { return ag_tile_gemm_of(a->k, a->type[0], a->attr.i[D_], a->attr.f); }

static ag_sight attention_sight(const ag_args *a, int64_t b)
{
    return (ag_sight){(const int32_t *)a->in[3] + b * a->attr.i[T_], a->attr.i[WINDOW]};
}

/* Multiplies the scores that a row may attend to by what is left of their scale, and caps them. */
static void attention_rescale(const ag_args *a, const ag_tile_gemm *o, real *s, int64_t from, int64_t to)
{
    if (o->score_scale != 1) a->k->scale(s + from, s + from, o->score_scale, to - from);
    if (a->attr.g > 0) a->k->soft_cap(s + from, s + from, (real)a->attr.g, to - from);
}

/* Clears a row up to `end` outside [from, to). */
static void zero_outside(real *s, int64_t from, int64_t to, int64_t end)
{
    memset(s, 0, (size_t)from * sizeof(real));
    memset(s + to, 0, (size_t)(end - to) * sizeof(real));
}

/* ---- forward ------------------------------------------------------------------------------------- */

typedef struct running {
    ag_tile_gemm o;
    real        *K, *V, *Q, *O, *S, *max, *sum, *Q_rounded, *S_rounded;
} running;

static void soften(const ag_args *a, const running *r, const ag_tile *q, const ag_sight *sight)
{
    const int64_t D = a->attr.i[D_];
    for (int64_t i = 0; i < q->rows; i++) {
        int64_t from, to;
        real   *s = r->S + i * LD;
        ag_tile_visible(q, sight, i, &from, &to);
        attention_rescale(a, &r->o, s, from, to);
        const real top = to > from ? a->k->max(s + from, to - from) : r->max[i], m = top > r->max[i] ? top : r->max[i];
        const real keep = (real)exp((double)(r->max[i] - m)); /* 0 in the first block, whose previous maximum is -infinity */
        zero_outside(s, from, to, ag_tile_cleared(q, i));
        r->sum[i] = (to > from ? a->k->exp_sub(s + from, s + from, m, to - from) : 0) + (r->sum[i] > 0 ? keep * r->sum[i] : 0);
        if (q->k0 > q->first && keep < 1) a->k->scale(r->O + i * D, r->O + i * D, keep, D);
        r->max[i] = m;
    }
}

static void forward_tile(const ag_args *a, const running *r, const ag_sight *sight, int64_t b, int64_t h, int64_t t0)
{
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], W = n[H_] * D;
    ag_tile        q = ag_tile_at(sight, t0, T);
    attention_gather(a, r->Q, a->in[0], a->type[0], W, b * T + t0, q.rows, h * D, r->o.q_scale);
    const kn_rows Q = ag_tile_rows(&r->o, r->Q_rounded, r->Q, &q);
    for (int64_t i = 0; i < q.rows; i++) r->max[i] = -INFINITY, r->sum[i] = 0;
    while (ag_tile_next(&q)) {
        ag_tile_scores(&r->o, r->S, Q, r->K, &q);
        soften(a, r, &q, sight);
        ag_tile_mix(&r->o, r->O, ag_tile_weights(&r->o, r->S_rounded, r->S, &q), r->V, T, &q);
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
    const ag_sight sight = attention_sight(a, b);
    running        r     = {.o = attention_gemm(a), .K = ag_scratch(a, thread)};
    r.V = r.K + kn_panels(T, D), r.Q = r.V + kn_panels(D, T), r.O = r.Q + TQ * D, r.S = r.O + TQ * D, r.max = r.S + TQ * LD;
    r.sum = r.max + TQ, r.Q_rounded = r.sum + TQ, r.S_rounded = r.Q_rounded + TQ * (D + 1) / 2;
    attention_pack(a, r.o.g, r.K, 1, b, kv, 1);
    attention_pack(a, r.o.g, r.V, 2, b, kv, 0);
    for (int64_t t0 = 0; t0 < T; t0 += TQ) forward_tile(a, &r, &sight, b, h, t0);
}

static void attention_forward(const ag_args *a) { rt_parallel(a->attr.i[B_] * a->attr.i[H_], forward_head, (void *)(uintptr_t)a); }

/* ---- backward --------------------------------------------------------------------------------- */

typedef struct panels {
    ag_tile_gemm o;
    real        *K, *K_turned, *V_turned, *dO_packed, *Q_packed; /* packed operands */
    real        *dK, *dV, *Q, *O, *dO, *dQ, *S, *dS;             /* row-major */
    real        *Q_rounded, *dO_rounded, *S_rounded;             /* in bf16 */
} panels;

static panels attention_cut(const ag_args *a, real *w, int64_t T, int64_t D)
{
    panels p    = {.o = attention_gemm(a), .K = w};
    p.K_turned  = p.K + kn_panels(D, T);
    p.V_turned  = p.K_turned + kn_panels(T, D);
    p.dO_packed = p.V_turned + kn_panels(T, D);
    p.Q_packed  = p.dO_packed + kn_panels(D, TQ);
    p.dK = p.Q_packed + kn_panels(D, TQ), p.dV = p.dK + T * D, p.Q = p.dV + T * D;
    p.O = p.Q + TQ * D, p.dO = p.O + TQ * D, p.dQ = p.dO + TQ * D, p.S = p.dQ + TQ * D, p.dS = p.S + TQ * LD;
    p.S_rounded = p.dS + TQ * LD, p.Q_rounded = p.S_rounded + TQ * (LD / 2), p.dO_rounded = p.Q_rounded + TQ * (D + 1) / 2;
    return p;
}

/* Replaces the visible scores s[n] by P and ds by P (dP - delta) times the slope of the cap, given the row's log-sum-exp. */
static void score_gradient(const ag_args *a, real *s, real *ds, int64_t n, real delta, real lse)
{
    const real cap = (real)a->attr.g;
    real       capped[AG_TK];
    if (cap > 0) memcpy(capped, s, (size_t)n * sizeof *s);
    a->k->exp_sub(s, s, lse, n);
    a->k->softmax_back(ds, s, delta, n);
    if (cap > 0) a->k->soft_cap_back(ds, capped, cap, n);
}

/* Replaces a tile's S by P and dS by its gradient, row by row.  On entry dS holds dP; delta = do_t . o_t. */
static void score_gradients(const ag_args *a, const panels *p, const ag_tile *q, const ag_sight *sight, int64_t row0, int64_t h)
{
    const int64_t D = a->attr.i[D_], H = a->attr.i[H_];
    for (int64_t i = 0; i < q->rows; i++) {
        int64_t       from, to;
        real         *s = p->S + i * LD, *ds = p->dS + i * LD;
        const int64_t end = ag_tile_cleared(q, i);
        ag_tile_visible(q, sight, i, &from, &to);
        attention_rescale(a, &p->o, s, from, to);
        score_gradient(a, s + from, ds + from, to - from, a->k->dot(p->dO + i * D, p->O + i * D, D), a->saved[(row0 + i) * H + h]);
        zero_outside(s, from, to, end);
        zero_outside(ds, from, to, end);
    }
}

/* The operands of one tile's products, Q and dO. */
typedef struct tile_rows {
    kn_rows Q, dO;
} tile_rows;

static void attention_backward_block(const ag_args *a, const panels *p, const tile_rows *r, const ag_tile *q, const ag_sight *sight,
                                     int64_t b, int64_t h)
{
    const int64_t T = a->attr.i[T_];
    ag_tile_scores(&p->o, p->S, r->Q, p->K_turned, q);
    ag_tile_scores(&p->o, p->dS, r->dO, p->V_turned, q);
    score_gradients(a, p, q, sight, b * T + q->t0, h);
    ag_tile_spread(&p->o, p->dV, ag_tile_turned(&p->o, p->S_rounded, p->S, q), p->dO_packed, q);
    ag_tile_spread(&p->o, p->dK, ag_tile_turned(&p->o, p->S_rounded, p->dS, q), p->Q_packed, q);
    ag_tile_mix(&p->o, p->dQ, ag_tile_weights(&p->o, p->S, p->dS, q), p->K, T, q); /* P is no longer needed */
}

static void backward_tile(const ag_args *a, const panels *p, const ag_sight *sight, int64_t b, int64_t h, int64_t t0)
{
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], W = n[H_] * D, row0 = b * T + t0;
    ag_tile        q = ag_tile_at(sight, t0, T);
    attention_gather(a, p->Q, a->in[0], a->type[0], W, row0, q.rows, h * D, p->o.q_scale);
    attention_gather(a, p->O, a->out, a->out_type, W, row0, q.rows, h * D, 1);
    attention_gather(a, p->dO, a->dout, a->out_type, W, row0, q.rows, h * D, 1);
    kn_pack(p->o.g, p->Q_packed, (kn_mat){p->Q, KN_REAL, D, 0}, D, q.rows);
    kn_pack(p->o.g, p->dO_packed, (kn_mat){p->dO, KN_REAL, D, 0}, D, q.rows);
    const tile_rows r = {ag_tile_rows(&p->o, p->Q_rounded, p->Q, &q), ag_tile_rows(&p->o, p->dO_rounded, p->dO, &q)};
    while (ag_tile_next(&q)) attention_backward_block(a, p, &r, &q, sight, b, h);
    if (!a->din[0]) return;
    a->k->scale(p->dQ, p->dQ, (real)a->attr.f, q.rows * D);
    scatter(a->din[0], a->din_type[0], W, row0, q.rows, h * D, D, p->dQ, a->acc & 1);
}

static void backward_group(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t *n = a->attr.i, T = n[T_], D = n[D_], b = item / n[KV_], kv = item % n[KV_], group = n[H_] / n[KV_];
    const panels   p     = attention_cut(a, ag_scratch(a, thread), T, D);
    const ag_sight sight = attention_sight(a, b);
    attention_pack(a, p.o.g, p.K, 1, b, kv, 0);
    attention_pack(a, p.o.g, p.K_turned, 1, b, kv, 1);
    attention_pack(a, p.o.g, p.V_turned, 2, b, kv, 1);
    memset(p.dK, 0, (size_t)(2 * T * D) * sizeof(real)); /* dK and dV, which is adjacent */
    for (int64_t h = kv * group; h < (kv + 1) * group; h++)
        for (int64_t t0 = 0; t0 < T; t0 += TQ) backward_tile(a, &p, &sight, b, h, t0);
    if (p.o.score_scale != 1) a->k->scale(p.dK, p.dK, p.o.score_scale, T * D);
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
