/* objective.c -- what a row of logits loses against a row of teacher targets.
 *
 * p teacher, q = softmax(z) student, K the k stored ids with mass P, R the rest, x the token
 * that follows.  kl and d kl / dz per variant:
 *
 *   AG_SAMPLED  t = p on K, R/m on each of m samples of the rest;  loss = sum_K p log p - H_rest - sum t log q
 *               (H_rest = -sum p log p over the rest, stored);  S q - t with S = sum t;  its kl is AG_TAIL's
 *   AG_TAIL     sum_K p log(p/q) + R log(R / (1-Q));  S q - p on K, q (S - R/(1-Q)) elsewhere, S = P + R,
 *               which is 1 but for rounding
 *   AG_RENORM   sum_K p/P log((p/P) / q);  q - p/P
 *   AG_CE       -log q_x;  q - 1_x
 *
 * Derived by hand from the definitions; checked against direct formulas in double and
 * finite differences in tests/unit/test_objective.c.  1 - Q is the sum of the other
 * exponentials, never a difference where a gradient depends on it.
 */
#include "autograd/objective.h"
#include <math.h>

enum { MAX_K = 512 };

typedef struct row {
    const kn_table   *k;
    const ag_targets *t;
    int64_t           n, V;
    real             *z;                        /* exp(logit - max) */
    double            lse, sum;                 /* log sum exp of the logits; sum of z */
    double            zk[MAX_K], zt[MAX_K], zx; /* logits of the stored ids, of the samples, of the token that follows */
    const int32_t    *ids, *tail;
    const float      *logp;
    double            P, R;
} row;

static double xlogx(double x) { return x > 0 ? x * log(x) : 0; }

static double p_of(const row *r, int64_t i) { return exp((double)r->logp[i]); }
static double logq_k(const row *r, int64_t i) { return r->zk[i] - r->lse; }
static double logq_t(const row *r, int64_t j) { return r->zt[j] - r->lse; }

/* sum_K p log q + R/m sum_j log q_j */
static double sampled_log(const row *r)
{
    double s = 0;
    for (int64_t i = 0; i < r->t->k; i++) s += p_of(r, i) * logq_k(r, i);
    for (int64_t j = 0; j < r->t->m; j++) s += r->R / (double)r->t->m * logq_t(r, j);
    return s;
}

/* What is minimised: an unbiased estimate of KL(p||q) before the samples were learnt from. Over many
 * passes the student learns these samples by heart and it falls below 0, so it is no divergence to show.
 * Where the teacher's entropy is not known it is left out. */
static double estimate_sampled(const row *r)
{
    const double H = (double)r->t->rest_entropy[r->n];
    double       s = 0;
    for (int64_t i = 0; i < r->t->k; i++) s += p_of(r, i) > 0 ? p_of(r, i) * (double)r->logp[i] : 0;
    return (r->t->m && !isnan(H) ? s - H : 0) - sampled_log(r);
}

static double kl_stored(const row *r, double P)
{
    double kl = 0;
    for (int64_t i = 0; i < r->t->k; i++) {
        const double p = p_of(r, i) / P;
        if (p > 0) kl += p * (log(p) - logq_k(r, i));
    }
    return kl;
}

/* z holds exponentials e, of sum r->sum: z = scale (w_kl a q + w_ce q) - sparse targets. */
static void finish(const row *r, double q_weight) { r->k->scale(r->z, r->z, (real)(r->t->scale * q_weight / r->sum), r->V); }

static void subtract(const row *r, int32_t id, double target) { r->z[id] -= (real)(r->t->scale * target); }

static void gradient_sampled(const row *r, double w_kl, double w_ce)
{
    const double S = r->P + (r->t->m ? r->R : 0);
    finish(r, w_kl * S + w_ce);
    for (int64_t i = 0; i < r->t->k; i++) subtract(r, r->ids[i], w_kl * p_of(r, i));
    for (int64_t j = 0; j < r->t->m; j++) subtract(r, r->tail[j], w_kl * r->R / (double)r->t->m);
}

/* The exponentials on K are 0 here: the gradient there is scale (w_kl (S q - p) + w_ce q). */
static void gradient_tail(const row *r, double rest_q, double w_kl, double w_ce)
{
    const double S = r->P + r->R;
    finish(r, w_kl * (S - r->R / rest_q) + w_ce);
    for (int64_t i = 0; i < r->t->k; i++) {
        const double q  = exp(logq_k(r, i));
        r->z[r->ids[i]] = (real)(r->t->scale * (w_kl * (S * q - p_of(r, i)) + w_ce * q));
    }
}

static void gradient_renorm(const row *r, double P, double w_kl, double w_ce)
{
    finish(r, w_kl + w_ce);
    for (int64_t i = 0; i < r->t->k; i++) subtract(r, r->ids[i], w_kl * p_of(r, i) / P);
}

/* A true divergence from k stored entries: K and one bucket for the rest. */
static double kl_bucket(const row *r)
{
    double rest_q = 1;
    for (int64_t i = 0; i < r->t->k; i++) rest_q -= exp(logq_k(r, i));
    if (rest_q < 1e-7) rest_q = 1e-7; /* for show: no nearer to 0 than a float's difference from 1 */
    return kl_stored(r, 1) + xlogx(r->R) - r->R * log(rest_q);
}

enum { BLOCK = 512 }; /* of sums in double */

static double sum_of(const row *r)
{
    double s = 0;
    for (int64_t v = 0; v < r->V; v += BLOCK) s += (double)r->k->sum(r->z + v, r->V - v < BLOCK ? r->V - v : BLOCK);
    return s;
}

/* The tail bucket needs the mass outside K: exponentials on K are set to 0 and summed again. */
static ag_row_result lose_tail(row *r, ag_row_result o, double w_kl, double w_ce, int gradient)
{
    for (int64_t i = 0; i < r->t->k; i++) r->z[r->ids[i]] = 0;
    double rest_q = sum_of(r) / r->sum;
    if (rest_q < 1e-30) rest_q = 1e-30; /* below what the type can tell from 0 */
    o.kl   = kl_stored(r, 1) + xlogx(r->R) - r->R * log(rest_q);
    o.loss = w_kl * o.kl + w_ce * o.ce;
    if (gradient) gradient_tail(r, rest_q, w_kl, w_ce);
    return o;
}

static ag_row_result lose_other(row *r, ag_row_result o, double w_kl, double w_ce, int gradient)
{
    const ag_targets *t     = r->t;
    const double      P     = t->objective == AG_RENORM ? r->P : 1;
    double            value = 0;
    o.kl                    = NAN;
    if (t->objective == AG_SAMPLED) {
        o.kl  = kl_bucket(r);
        value = estimate_sampled(r);
    } else if (t->objective == AG_RENORM) o.kl = value = kl_stored(r, P);
    o.loss = (w_kl > 0 ? w_kl * value : 0) + w_ce * o.ce;
    if (!gradient) return o;
    if (t->objective == AG_SAMPLED) gradient_sampled(r, w_kl, w_ce);
    else if (t->objective == AG_RENORM) gradient_renorm(r, P, w_kl, w_ce);
    else finish(r, w_ce);
    return o;
}

/* The row's targets, and their logits before these become exponentials. */
static void take(row *r, int32_t x)
{
    const ag_targets *t    = r->t;
    const int         soft = t->objective != AG_CE, sampled = t->objective == AG_SAMPLED && t->m > 0;
    r->zx   = (double)r->z[x];
    r->ids  = soft ? t->topk_ids + r->n * t->k : NULL;
    r->logp = soft ? t->topk_logprob + r->n * t->k : NULL;
    r->tail = sampled ? t->tail_ids + r->n * t->m : NULL;
    r->P    = 0;
    for (int64_t i = 0; soft && i < t->k; i++) r->zk[i] = (double)r->z[r->ids[i]], r->P += p_of(r, i);
    r->R = fmax(0, 1 - r->P);
    for (int64_t j = 0; sampled && j < t->m; j++) r->zt[j] = (double)r->z[r->tail[j]];
}

/* z becomes exp(z - max): once a row, whatever the objective. */
static void soften(row *r)
{
    const real max = r->k->max(r->z, r->V);
    r->sum         = 0;
    for (int64_t v = 0; v < r->V; v += BLOCK) r->sum += (double)r->k->exp_sub(r->z + v, r->z + v, max, r->V - v < BLOCK ? r->V - v : BLOCK);
    r->lse = (double)max + log(r->sum);
}

ag_row_result ag_row_loss(const kn_table *k, const ag_targets *t, int64_t n, real *z, int64_t V, int gradient)
{
    const double  w_ce = t->objective == AG_CE ? 1 : t->ce_weight, w_kl = 1 - w_ce;
    const int32_t x = t->target[n];
    row           r;
    ag_row_result o = {0};
    r.k = k, r.t = t, r.n = n, r.V = V, r.z = z;
    take(&r, x);
    soften(&r);
    o.ce = r.lse - r.zx;
    o    = t->objective == AG_TAIL ? lose_tail(&r, o, w_kl, w_ce, gradient) : lose_other(&r, o, w_kl, w_ce, gradient);
    if (gradient && w_ce > 0) subtract(&r, x, w_ce);
    return o;
}
