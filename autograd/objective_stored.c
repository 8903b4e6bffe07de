/* objective_stored.c -- divergences from a stored teacher row: k exact entries and m tail samples.
 *
 * p teacher, q student, K the k stored ids of mass P, Q the student's mass on K, R = max(0, 1 - P), x the next token.
 * With weights t on ids, the mass B of a bucket of all ids outside K, and `both` (0 or 1):
 *
 *   D = constant - sum t log q - B log(1-Q) + both log Q
 *   dD/dz_j = S q_j - t_j + both q_j/Q [j in K] - B q_j/(1-Q) [j not in K],   S = sum t + B - both
 *
 *   AG_SAMPLED     t = p on K, R/m on each sample; a share bucket_share of R goes to the bucket instead
 *   AG_TAIL        t = p on K, B = R: KL over k + 1 outcomes
 *   AG_RENORM      t = p/P on K: KL(p/P || q), the student not renormalised
 *   AG_RENORM_BOTH the same with both = 1: KL(p/P || q/Q)
 *   AG_TRUNCATED   t = p on K: sum_K p log(p/q), which is not a divergence
 *   AG_RESIDUAL    t = p on K, R on x
 *   AG_ONEHOT      t = p on K, 1 on x if x is not in K: the mean of t over x drawn from p is p
 *   AG_TAIL_TOKEN  t = p on K, h on x, B = R - h, with h = 1-bucket_share if x is not in K, else 0: AG_TAIL, plus
 *                  -log(q_x / (1-Q)) if x is not in K.  With bucket_share 0 its mean is that of AG_ONEHOT, but the tail mass does not
 *                  depend on whether x is in K, which is most of the noise of AG_ONEHOT
 *
 * The gradient is derived by hand; tests/unit/test_objective.c checks it against direct formulas in double and finite
 * differences.  All samples have the same weight R/m: systematic sampling makes this an unbiased estimate.
 *
 * Temperature: p_i^(1/T) is exact on K, and so are the two renormalised divergences.  The tail mass at T is not stored.  It is
 * computed as if the tail were uniform over exp(its entropy) ids, or one id if the entropy is unknown, which gives the smallest
 * mass.  The samples were drawn at temperature 1 and are not changed.
 */
#include "autograd/objective.h"
#include <math.h>

typedef struct parts { /* terms of D, see above; k: factor of p on K */
    double k, sample, x, bucket, both, constant;
} parts;

static double xlogx(double x) { return x > 0 ? x * log(x) : 0; }

/* ---- the row's entries -------------------------------------------------------------------------- */

/* Returns the sum of p^(1/T) over the tail of mass R and at most `most` ids.  If R is near rounding error the entropy is unreliable,
 * so the effective support is clamped to [1, most]. */
static double tail_at(double R, double entropy, double T, double most)
{
    if (R <= 0) return 0;
    const double ids = isnan(entropy) ? 1 : exp(fmax(0, fmin(entropy / R + log(R), log(fmax(most, 1)))));
    return pow(R, 1 / T) * pow(ids, 1 - 1 / T);
}

static void temper(ag_state *s, double T)
{
    double rest = tail_at(s->R, (double)s->r.rows->tail_entropy[s->r.n], T, (double)(s->r.V - s->k)), sum = rest;
    for (int64_t i = 0; i < s->k; i++) sum += s->p[i] = exp(s->lp[i] /= T);
    for (int64_t i = 0; i < s->k; i++) s->p[i] /= sum, s->lp[i] -= log(sum);
    s->R = rest / sum, s->P = 1 - s->R;
}

/* Returns how many of a row's n entries are ids; the row is padded with -1. */
static int64_t given(const int32_t *ids, int64_t n)
{
    while (n > 0 && ids[n - 1] < 0) n--;
    return n;
}

void ag_stored_take(ag_state *s)
{
    const ag_loss_settings *t = s->r.set;
    const real             *z = s->r.z;
    s->k                      = t->objective == AG_CE ? 0 : t->k;
    s->m                      = ag_objectives[t->objective].samples ? t->m : 0;
    s->ids                    = s->k ? s->r.rows->topk_ids + s->r.n * s->k : NULL;
    s->tail                   = s->m ? s->r.rows->tail_ids + s->r.n * s->m : NULL;
    s->P                      = 0;
    s->k = given(s->ids, s->k), s->m = given(s->tail, s->m);
    for (int64_t i = 0; i < s->k; i++) {
        s->zk[i]        = (double)z[s->ids[i]];
        s->lp[i]        = (double)s->r.rows->topk_logprob[s->r.n * t->k + i]; /* the row may have fewer than k */
        s->P += s->p[i] = exp(s->lp[i]);
    }
    for (int64_t j = 0; j < s->m; j++) s->zt[j] = (double)z[s->tail[j]];
    s->R = fmax(0, 1 - s->P);
    if (s->k && t->temperature > 0 && t->temperature != 1) temper(s, t->temperature);
}

/* ---- values --------------------------------------------------------------------------------------- */

/* sum_K p log p */
static double plogp(const ag_state *s)
{
    double h = 0;
    for (int64_t i = 0; i < s->k; i++) h += s->p[i] > 0 ? s->p[i] * s->lp[i] : 0;
    return h;
}

static int is_in_k(const ag_state *s)
{
    for (int64_t i = 0; i < s->k; i++)
        if (s->ids[i] == s->x) return 1;
    return 0;
}

/* If the tail entropy is unknown or belongs to another temperature, the constant is left out and D is a cross-entropy. */
static parts sampled_parts(const ag_state *s)
{
    const ag_loss_settings *t     = s->r.set;
    const double            share = s->m ? 1 - t->bucket_share : 0, H = (double)s->r.rows->tail_entropy[s->r.n];
    const int               known = s->m && !isnan(H) && !(t->temperature > 0 && t->temperature != 1);
    parts                   o = {.k = 1, .sample = share * s->R / (double)(s->m ? s->m : 1), .bucket = s->m ? t->bucket_share * s->R : 0};
    if (known) o.constant = plogp(s) - share * H + t->bucket_share * xlogx(s->R);
    return o;
}

static parts token_parts(const ag_state *s)
{
    const double hit = is_in_k(s) ? 0 : 1 - s->r.set->bucket_share;
    return (parts){.k = 1, .x = hit, .bucket = s->R - hit, .constant = plogp(s) + xlogx(s->R)};
}

static parts objective_stored_choose(const ag_state *s)
{
    const double P = s->P > 1e-30 ? s->P : INFINITY;
    switch (s->r.set->objective) {
    case AG_SAMPLED: return sampled_parts(s);
    case AG_TAIL: return (parts){.k = 1, .bucket = s->R, .constant = plogp(s) + xlogx(s->R)};
    case AG_RENORM:
        if (!s->k) return (parts){0}; /* no entry of the teacher is an id of the student: no divergence */
        return (parts){.k = 1 / P, .constant = plogp(s) / P - log(s->P) * (s->P / P)};
    case AG_RENORM_BOTH:
        if (!s->k) return (parts){0};
        return (parts){.k = 1 / P, .both = 1, .constant = plogp(s) / P - log(s->P) * (s->P / P)};
    case AG_TRUNCATED: return (parts){.k = 1, .constant = plogp(s)};
    case AG_RESIDUAL: return (parts){.k = 1, .x = s->R};
    case AG_ONEHOT: return (parts){.k = 1, .x = !is_in_k(s)};
    case AG_TAIL_TOKEN: return token_parts(s);
    default: return (parts){0};
    }
}

/* Returns log Q; accurate for any Q. */
static double log_mass_on_k(const ag_state *s)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < s->k; i++) max = fmax(max, s->zk[i]);
    for (int64_t i = 0; i < s->k; i++) sum += exp(s->zk[i] - max);
    return max + log(sum) - s->lse;
}

static double value_of(const ag_state *s, const parts *o, double log_tail, double log_q)
{
    double v = o->constant - o->x * (s->x >= 0 ? s->zx - s->lse : 0);
    for (int64_t i = 0; i < s->k; i++) v -= o->k * s->p[i] * (s->zk[i] - s->lse);
    for (int64_t j = 0; j < s->m; j++) v -= o->sample * (s->zt[j] - s->lse);
    return v - (o->bucket != 0 ? o->bucket * log_tail : 0) + (o->both > 0 ? log_q : 0);
}

/* Returns the reported KL, over k + 1 outcomes: K and the tail.  NaN if the row has no exact entry. */
static double shown(const ag_state *s, double log_tail)
{
    double kl = plogp(s) + xlogx(s->R) - s->R * log_tail;
    for (int64_t i = 0; i < s->k; i++) kl -= s->p[i] * (s->zk[i] - s->lse);
    return s->k ? fmax(kl, 0) : NAN; /* negative only by rounding */
}

/* ---- gradient --------------------------------------------------------------------------------------- */

/* Sets the gradient on K, where the coefficient of q differs from that of the other ids. */
static void set_on_k(const ag_state *s, const parts *o, double all, double log_q)
{
    for (int64_t i = 0; i < s->k; i++) {
        const double lq = s->zk[i] - s->lse, t = o->k * s->p[i];
        s->r.z[s->ids[i]] = (real)(s->scale * (s->by_kl * (all * exp(lq) - t + (o->both > 0 ? exp(lq - log_q) : 0)) + s->by_q * exp(lq)));
    }
}

static void subtract(const ag_state *s, int32_t id, double target) { s->r.z[id] -= (real)(s->scale * s->by_kl * target); }

static void gradient_of(const ag_state *s, const parts *o, double tail_q, double log_q)
{
    const double all    = o->k * s->P + (double)s->m * o->sample + o->x + o->bucket - o->both;
    const double others = o->bucket != 0 ? all - o->bucket / tail_q : all;
    s->r.k->scale(s->r.z, s->r.z, (real)(s->scale * (s->by_kl * others + s->by_q) / s->sum), s->r.V);
    if (o->bucket != 0 || o->both > 0) set_on_k(s, o, all, log_q);
    else
        for (int64_t i = 0; i < s->k; i++) subtract(s, s->ids[i], o->k * s->p[i]);
    for (int64_t j = 0; j < s->m; j++) subtract(s, s->tail[j], o->sample);
    if (o->x > 0) subtract(s, s->x, o->x);
}

/* Returns 1 - Q for the gradient.  If 1 - Q exceeds 1/20, it is the total sum minus the exponentials on K.  A smaller difference
 * would lose too many digits, so the exponentials on K are set to 0 and the others are summed again. */
static double tail_for_gradient(const ag_state *s)
{
    double on_k = 0;
    for (int64_t i = 0; i < s->k; i++) on_k += (double)s->r.z[s->ids[i]];
    if (s->sum - on_k > s->sum / 20) return (s->sum - on_k) / s->sum;
    for (int64_t i = 0; i < s->k; i++) s->r.z[s->ids[i]] = 0;
    return fmax(ag_block_sum(s->r.k, s->r.z, s->r.V) / s->sum, 1e-30); /* avoids a division by 0 */
}

/* Returns 1 - Q for reporting, at least 1e-7, the resolution of a float near 1. */
static double tail_for_display(const ag_state *s)
{
    double rest = 1;
    for (int64_t i = 0; i < s->k; i++) rest -= exp(s->zk[i] - s->lse);
    return fmax(rest, 1e-7);
}

void ag_stored_lose(ag_state *s, int gradient)
{
    const parts  o      = objective_stored_choose(s);
    const double tail_q = o.bucket != 0 ? tail_for_gradient(s) : tail_for_display(s), log_q = o.both > 0 ? log_mass_on_k(s) : 0;
    if (s->r.set->objective != AG_CE) {
        s->value = value_of(s, &o, log(tail_q), log_q);
        s->kl    = shown(s, log(tail_q));
    }
    if (gradient) gradient_of(s, &o, tail_q, log_q);
}
