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

typedef struct row {
    const kn_table   *k;
    const ag_targets *t;
    int64_t           n, V;
    real             *z;   /* logits, then exp(z - max) */
    double            lse; /* log sum exp z */
    double            sum; /* of exp(z - max) */
    const int32_t    *ids, *tail;
    const float      *logp;
    double            R;
} row;

static double xlogx(double x) { return x > 0 ? x * log(x) : 0; }

/* log-probability of id, from the logit that is still in z (before the exponentials). */
static double logq(const row *r, int32_t id) { return (double)r->z[id] - r->lse; }

/* What is minimised: an unbiased estimate of KL(p||q) before the samples were learnt from. Over many
 * passes the student learns these samples by heart and it falls below 0, so it is no divergence to show. */
static double estimate_sampled(const row *r)
{
    const int64_t m  = r->t->m;
    double        kl = -(double)r->t->rest_entropy[r->n];
    for (int64_t i = 0; i < r->t->k; i++) {
        const double p = exp((double)r->logp[i]);
        if (p > 0) kl += p * ((double)r->logp[i] - logq(r, r->ids[i]));
    }
    for (int64_t j = 0; j < m; j++) kl -= r->R / (double)m * logq(r, r->tail[j]);
    return kl;
}

/* The same sum without the teacher's entropy: where the entropy is not known. */
static double ce_sampled(const row *r)
{
    const int64_t m = r->t->m;
    double        c = 0;
    for (int64_t i = 0; i < r->t->k; i++) c -= exp((double)r->logp[i]) * logq(r, r->ids[i]);
    for (int64_t j = 0; j < m; j++) c -= r->R / (double)m * logq(r, r->tail[j]);
    return c;
}

static double kl_stored(const row *r, double P)
{
    double kl = 0;
    for (int64_t i = 0; i < r->t->k; i++) {
        const double p = exp((double)r->logp[i]) / P;
        if (p > 0) kl += p * (log(p) - logq(r, r->ids[i]));
    }
    return kl;
}

static double mass(const row *r)
{
    double P = 0;
    for (int64_t i = 0; i < r->t->k; i++) P += exp((double)r->logp[i]);
    return P;
}

/* z holds exponentials e, of sum r->sum: z = scale (w_kl a q + w_ce q) - sparse targets. */
static void finish(const row *r, double q_weight) { r->k->scale(r->z, r->z, (real)(r->t->scale * q_weight / r->sum), r->V); }

static void subtract(const row *r, int32_t id, double target) { r->z[id] -= (real)(r->t->scale * target); }

static void gradient_sampled(const row *r, double w_kl, double w_ce)
{
    const double S = mass(r) + (r->t->m ? r->R : 0);
    finish(r, w_kl * S + w_ce);
    for (int64_t i = 0; i < r->t->k; i++) subtract(r, r->ids[i], w_kl * exp((double)r->logp[i]));
    for (int64_t j = 0; j < r->t->m; j++) subtract(r, r->tail[j], w_kl * r->R / (double)r->t->m);
}

/* q_id known from its log: the gradient on K is scale (w_kl (S q - p) + w_ce q). */
static void gradient_tail(const row *r, double rest_q, const double *q, double w_kl, double w_ce)
{
    const double S = mass(r) + r->R, a = S - r->R / rest_q;
    finish(r, w_kl * a + w_ce);
    for (int64_t i = 0; i < r->t->k; i++)
        r->z[r->ids[i]] = (real)(r->t->scale * (w_kl * (S * q[i] - exp((double)r->logp[i])) + w_ce * q[i]));
}

static void gradient_renorm(const row *r, double P, double w_kl, double w_ce)
{
    finish(r, w_kl + w_ce);
    for (int64_t i = 0; i < r->t->k; i++) subtract(r, r->ids[i], w_kl * exp((double)r->logp[i]) / P);
}

/* A true divergence from k stored entries: K and one bucket for the rest. */
static double kl_bucket(const row *r)
{
    double rest_q = 1;
    for (int64_t i = 0; i < r->t->k; i++) rest_q -= exp(logq(r, r->ids[i]));
    if (rest_q < 1e-7) rest_q = 1e-7; /* for show: no nearer to 0 than a float's difference from 1 */
    return kl_stored(r, 1) + xlogx(r->R) - r->R * log(rest_q);
}

enum { MAX_K = 512 };

/* The tail bucket needs the mass outside K: exponentials on K are set to 0 and summed again. */
static ag_row_result lose_tail(row *r, double max, ag_row_result o, double w_kl, double w_ce, int gradient)
{
    double q[MAX_K], kl = kl_stored(r, 1);
    for (int64_t i = 0; i < r->t->k; i++) q[i] = exp(logq(r, r->ids[i]));
    r->k->exp_sub(r->z, r->z, (real)max, r->V);
    for (int64_t i = 0; i < r->t->k; i++) r->z[r->ids[i]] = 0;
    double rest_q = (double)r->k->sum(r->z, r->V) / r->sum;
    if (rest_q < 1e-30) rest_q = 1e-30; /* below what the type can tell from 0 */
    kl += xlogx(r->R) - r->R * log(rest_q);
    o.kl   = kl;
    o.loss = w_kl * kl + w_ce * o.ce;
    if (gradient) gradient_tail(r, rest_q, q, w_kl, w_ce);
    return o;
}

static ag_row_result lose_other(row *r, double max, ag_row_result o, double w_kl, double w_ce, int gradient)
{
    const ag_targets *t     = r->t;
    const double      P     = t->objective == AG_RENORM ? mass(r) : 1;
    double            value = 0;
    o.kl                    = NAN;
    if (t->objective == AG_SAMPLED) {
        o.kl  = kl_bucket(r);
        value = t->m ? estimate_sampled(r) : NAN;
        if (isnan(value)) value = ce_sampled(r);
    } else if (t->objective == AG_RENORM) o.kl = value = kl_stored(r, P);
    o.loss = (w_kl > 0 ? w_kl * value : 0) + w_ce * o.ce;
    if (!gradient) return o;
    r->k->exp_sub(r->z, r->z, (real)max, r->V);
    if (t->objective == AG_SAMPLED) gradient_sampled(r, w_kl, w_ce);
    else if (t->objective == AG_RENORM) gradient_renorm(r, P, w_kl, w_ce);
    else finish(r, w_ce);
    return o;
}

static double exp_sum(const row *r, double max)
{
    enum { BLOCK = 512 };
    real   work[BLOCK];
    double s = 0;
    for (int64_t v = 0; v < r->V; v += BLOCK) s += (double)r->k->exp_sub(work, r->z + v, (real)max, r->V - v < BLOCK ? r->V - v : BLOCK);
    return s;
}

ag_row_result ag_row_loss(const kn_table *k, const ag_targets *t, int64_t n, real *z, int64_t V, int gradient)
{
    const double  w_ce = t->objective == AG_CE ? 1 : t->ce_weight, w_kl = 1 - w_ce;
    const double  max = (double)k->max(z, V);
    const int32_t x   = t->target[n];
    row           r   = {.k = k, .t = t, .n = n, .V = V, .z = z};
    ag_row_result o   = {0};
    r.sum             = exp_sum(&r, max);
    r.lse             = max + log(r.sum);
    if (t->objective != AG_CE) {
        r.ids  = t->topk_ids + n * t->k;
        r.logp = t->topk_logprob + n * t->k;
        r.tail = t->m ? t->tail_ids + n * t->m : NULL;
        r.R    = (double)t->rest_mass[n];
    }
    o.ce = -logq(&r, x);
    o    = t->objective == AG_TAIL ? lose_tail(&r, max, o, w_kl, w_ce, gradient) : lose_other(&r, max, o, w_kl, w_ce, gradient);
    if (gradient && w_ce > 0) subtract(&r, x, w_ce);
    return o;
}
