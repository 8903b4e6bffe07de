/* test_objective.c -- what a row loses, and its gradient, against the definitions in double.
 *
 * The gradient here goes through the softmax's Jacobian, dL/dz_v = w_v - q_v sum w with w = q dL/dq; the code's
 * goes through sparse targets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "tests/support/objective.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_V = 100003, MAX_K = 24, MAX_M = 16 };

/* One row of targets and logits; `t` points into it. */
typedef struct row_case {
    ag_targets t;
    int64_t    V;
    int32_t    target, ids[MAX_K], tail[MAX_M];
    uint8_t    loss_mask;
    float      logp[MAX_K], entropy, weight;
} row_case;

static real g_z[MAX_V], g_y[MAX_V], g_out[MAX_V], g_out_y[MAX_V],
    g_work[3 * MAX_V]; /* logits of student and teacher; what the code used up */
static double g_q[MAX_V], g_p[MAX_V], g_w[MAX_V], g_want[MAX_V];

/* ---- the definitions ------------------------------------------------------------------------------------ */

static double plogp(double p) { return p > 0 ? p * log(p) : 0; }

/* The teacher's k entries and the rest at the row's temperature. */
typedef struct stored {
    double p[MAX_K], rest, P, lse, T; /* lse: of the student's logits over T */
} stored;

static stored take(const row_case *c)
{
    stored o = {.T = c->t.settings.temperature > 0 ? c->t.settings.temperature : 1};
    double Z, ids;
    for (int64_t i = 0; i < c->t.settings.k; i++) o.P += o.p[i] = exp((double)c->logp[i]);
    o.rest = fmax(0, 1 - o.P);
    o.lse  = softmax(g_q, g_z, c->V, o.T);
    if (o.T == 1) return o;
    ids    = isnan(c->entropy) || o.rest <= 0 ? 1 : exp((double)c->entropy / o.rest) * o.rest; /* even over so many */
    ids    = fmax(1, fmin(ids, (double)(c->V - c->t.settings.k)));
    o.rest = o.rest > 0 ? ids * pow(o.rest / ids, 1 / o.T) : 0;
    Z      = o.rest;
    for (int64_t i = 0; i < c->t.settings.k; i++) Z += o.p[i] = pow(o.p[i], 1 / o.T);
    for (int64_t i = 0; i < c->t.settings.k; i++) o.p[i] /= Z;
    o.rest /= Z, o.P = 1 - o.rest;
    return o;
}

/* Adds -weight t log q_v to what is minimised: its value, and -weight t to w[v] = q_v d/dq_v. */
static double hit(const stored *o, int32_t v, double t, double weight)
{
    g_w[v] -= weight * t;
    return t > 0 ? -t * ((double)g_z[v] / o->T - o->lse) : 0;
}

static int in_k(const row_case *c, int64_t v)
{
    for (int64_t i = 0; i < c->t.settings.k; i++)
        if (c->ids[i] == v) return 1;
    return 0;
}

/* sum p log(p/q) over K with each p divided by P */
static double on_k(const row_case *c, const stored *o, double P, double weight)
{
    double kl = 0;
    for (int64_t i = 0; i < c->t.settings.k; i++) kl += plogp(o->p[i] / P) + hit(o, c->ids[i], o->p[i] / P, weight);
    return kl;
}

static double bucket(const row_case *c, double mass, double weight)
{
    double tail_q = 0;
    for (int64_t v = 0; v < c->V; v++) tail_q += in_k(c, v) ? 0 : g_q[v];
    for (int64_t v = 0; v < c->V; v++) g_w[v] -= in_k(c, v) ? 0 : weight * mass * g_q[v] / tail_q;
    return plogp(mass) - (mass != 0 ? mass * log(tail_q) : 0);
}

static double tail(const row_case *c, const stored *o, double weight) { return on_k(c, o, 1, weight) + bucket(c, o->rest, weight); }

static double sampled(const row_case *c, const stored *o, double weight)
{
    const double b = c->t.settings.m ? c->t.settings.bucket_share : 0, constant = (1 - b) * (double)c->entropy;
    double       loss = on_k(c, o, 1, weight) + bucket(c, b * o->rest, weight) - plogp(b * o->rest), plogps = 0;
    for (int64_t j = 0; j < c->t.settings.m; j++) loss += hit(o, c->tail[j], (1 - b) * o->rest / (double)c->t.settings.m, weight);
    for (int64_t i = 0; i < c->t.settings.k; i++) plogps += plogp(o->p[i]);
    return c->t.settings.m && !isnan(c->entropy) && o->T == 1 ? loss - constant + b * plogp(o->rest)
                                                              : loss - plogps; /* what is unknown is a constant */
}

static double both(const row_case *c, const stored *o, double weight)
{
    double       Q  = 0;
    const double kl = on_k(c, o, o->P, weight);
    for (int64_t i = 0; i < c->t.settings.k; i++) Q += g_q[c->ids[i]];
    for (int64_t i = 0; i < c->t.settings.k; i++) g_w[c->ids[i]] += weight * g_q[c->ids[i]] / Q;
    return kl + log(Q);
}

/* K as a cross-entropy, and a weight on the token that follows */
static double with_target(const row_case *c, const stored *o, double on_x, double weight)
{
    double plogps = 0;
    for (int64_t i = 0; i < c->t.settings.k; i++) plogps += plogp(o->p[i]);
    return on_k(c, o, 1, weight) - plogps + hit(o, c->target, on_x, weight);
}

/* The definitions over the vocabulary, by logarithms of the softmaxes. */
static double whole(const row_case *c, const stored *o, double weight, double *kl)
{
    const double lse_y = softmax(g_p, g_y, c->V, o->T), a = c->t.settings.alpha, b = c->t.settings.beta;
    double       d = 0;
    *kl            = 0;
    for (int64_t v = 0; v < c->V; v++) {
        const double lp = (double)g_y[v] / o->T - lse_y, lq = (double)g_z[v] / o->T - o->lse, p = g_p[v], q = g_q[v];
        const double m_jsd = b * p + (1 - b) * q, m = a * p + (1 - a) * q, m_back = (1 - a) * p + a * q;
        *kl += p * (lp - lq);
        switch (c->t.settings.objective) {
        case AG_KL: d += p * (lp - lq), g_w[v] += weight * -p; break;
        case AG_REVERSE: d += q * (lq - lp), g_w[v] += weight * q * (lq - lp + 1); break;
        case AG_JSD:
            d += (p > 0 ? b * p * log(p / m_jsd) : 0) + (q > 0 ? (1 - b) * q * log(q / m_jsd) : 0);
            g_w[v] += weight * (q > 0 ? (1 - b) * q * log(q / m_jsd) : 0);
            break;
        case AG_SKEW: d += p > 0 ? p * log(p / m) : 0, g_w[v] -= weight * (m > 0 ? q * p * (1 - a) / m : 0); break;
        case AG_SKEW_REVERSE:
            d += q > 0 ? q * log(q / m_back) : 0;
            g_w[v] += weight * (q > 0 ? q * (log(q / m_back) - a * q / m_back) : 0);
            break;
        default: d += fabs(p - q) / 2, g_w[v] += weight * q * (p > q ? -0.5 : 0.5);
        }
    }
    return d;
}

static double divergence(const row_case *c, const stored *o, double weight, double *kl)
{
    if (needs((int)c->t.settings.objective) == AG_WHOLE) return whole(c, o, weight, kl);
    *kl = c->t.settings.k ? tail(c, o, 0) : NAN; /* what is shown: k + 1 outcomes */
    switch (c->t.settings.objective) {
    case AG_SAMPLED: return sampled(c, o, weight);
    case AG_TAIL: return tail(c, o, weight);
    case AG_RENORM: return on_k(c, o, o->P, weight);
    case AG_RENORM_BOTH: return both(c, o, weight);
    case AG_TRUNCATED: return on_k(c, o, 1, weight);
    case AG_RESIDUAL: return with_target(c, o, o->rest, weight);
    case AG_TAIL_TOKEN: {
        const double hit_x = in_k(c, c->target) ? 0 : 1 - c->t.settings.bucket_share;
        return tail(c, o, weight) + hit(o, c->target, hit_x, weight) + (hit_x > 0 ? bucket(c, -hit_x, weight) : 0);
    }
    case AG_ONEHOT: return with_target(c, o, !in_k(c, c->target), weight);
    default: return 0;
    }
}

/* want[v] += w_v - q_v sum w, over T: through the softmax's Jacobian. */
static void add_gradient(int64_t V, double T)
{
    double sum = 0;
    for (int64_t v = 0; v < V; v++) sum += g_w[v];
    for (int64_t v = 0; v < V; v++) g_want[v] += (g_w[v] - g_q[v] * sum) / T;
}

static ag_row_result define(const row_case *c)
{
    const double  a = c->t.settings.objective == AG_CE ? 1 : c->t.settings.ce_weight, n = c->t.rows.weight ? (double)c->weight : 1;
    ag_row_result r = {.kl = NAN};
    memset(g_want, 0, (size_t)c->V * sizeof *g_want);
    if (c->t.settings.objective != AG_CE) {
        memset(g_w, 0, (size_t)c->V * sizeof *g_w);
        const stored o = take(c);
        const double f = c->t.settings.t2 ? o.T * o.T : 1;
        r.loss         = n * (1 - a) * f * divergence(c, &o, n * (1 - a) * f, &r.kl);
        r.kl *= n;
        add_gradient(c->V, o.T);
    }
    memset(g_w, 0, (size_t)c->V * sizeof *g_w);
    const double lse = softmax(g_q, g_z, c->V, 1);
    r.ce             = n * (lse - (double)g_z[c->target]);
    r.loss += a * r.ce + n * c->t.settings.z_loss * lse * lse;
    g_w[c->target] -= n * a;
    for (int64_t v = 0; v < c->V; v++) g_want[v] += n * 2 * c->t.settings.z_loss * lse * g_q[v];
    add_gradient(c->V, 1);
    return r;
}

/* ---- cases -------------------------------------------------------------------------------------------------- */

static ag_row_result lose(const kn_table *k, row_case *own, int gradient)
{
    own->t.rows.target = &own->target, own->t.rows.loss_mask = &own->loss_mask, own->t.rows.topk_ids = own->ids,
    own->t.rows.topk_logprob = own->logp;
    own->t.rows.tail_ids = own->tail, own->t.rows.tail_entropy = &own->entropy;
    if (own->t.rows.weight) own->t.rows.weight = &own->weight;
    memcpy(g_out, g_z, (size_t)own->V * sizeof *g_z);
    memcpy(g_out_y, g_y, (size_t)own->V * sizeof *g_y);
    const ag_row r = {k, &own->t.settings, &own->t.rows, 0, own->V, g_out, g_out_y, g_work};
    return ag_row_loss(&r, gradient);
}

static void compare(const row_case *c)
{
    const double        scale = 0.125;
    row_case            own   = *c;
    const ag_row_result want  = define(c);
    own.t.rows.scale          = scale;
    for (int i = 0; kn_at(i); i++)
        for (int gradient = 0; gradient < 2; gradient++) {
            const ag_row_result got = lose(kn_at(i), &own, gradient);
            char                what[64];
            snprintf(what, sizeof what, "%s, objective %d: ", kn_at(i)->isa, (int)c->t.settings.objective);
            close_to(strcat(what, "loss"), got.loss, want.loss), close_to("kl", got.kl, want.kl), close_to("ce", got.ce, want.ce);
            for (int64_t v = 0; gradient && v < c->V; v++)
                if (!(fabs((double)g_out[v] / scale - g_want[v]) <=
                      tolerance * fmax(1, fmax(c->t.settings.z_loss, own.t.rows.weight ? 3 : 1))))
                    fail_msg("%s: objective %d, d/dz[%lld] is %.9g, not %.9g", kn_at(i)->isa, (int)c->t.settings.objective, (long long)v,
                             (double)g_out[v] / scale, g_want[v]);
        }
}

static void compare_all(row_case *c)
{
    static const float            yes;
    static const ag_loss_settings settings[] = {{.ce_weight = 0},
                                                {.ce_weight = 0.3, .bucket_share = 0.25},
                                                {.ce_weight = 1},
                                                {.ce_weight = 0.5, .temperature = 2, .t2 = 1},
                                                {.ce_weight = 0, .temperature = 0.7, .z_loss = 1e-3}};
    const ag_targets              was        = c->t;
    for (int o = AG_CE; o < AG_OBJECTIVES; o++)
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
            c->t.settings           = settings[i];
            c->t.settings.objective = (ag_objective)o, c->t.settings.k = was.settings.k, c->t.settings.m = was.settings.m;
            c->t.settings.beta = 0.3, c->t.settings.alpha = 0.1;
            c->t.rows.weight = settings[i].t2 ? &yes : NULL;
            compare(c);
        }
    c->t = was;
}

/* k stored ids that hold `mass`, m samples outside; logits of this spread. */
static row_case make_case(int64_t V, int64_t k, int64_t m, double mass, double spread, uint64_t seed)
{
    row_case c     = {.t.settings = {.k = k, .m = m}, .V = V, .loss_mask = 1, .entropy = 0.2f, .weight = 2.5f};
    rt_rng   r     = {seed};
    double   total = 0;
    for (int64_t v = 0; v < V; v++) g_z[v] = (real)(spread * rt_rng_normal(&r)), g_y[v] = (real)(spread * rt_rng_normal(&r));
    for (int64_t i = 0; i < k; i++) total += 1.0 / (double)(i + 1);
    for (int64_t i = 0; i < k; i++) {
        c.ids[i]  = (int32_t)((V / (k + 1)) * (i + 1) - 1); /* ascending, apart, the last one below V - 1 */
        c.logp[i] = (float)log(mass / total / (double)(i + 1));
    }
    for (int64_t j = 0; j < m; j++) c.tail[j] = (int32_t)((c.ids[0] + 1 + j % 3) % V); /* with duplicates */
    c.target = seed % 2 ? c.ids[k / 2] : (int32_t)(V - 1);
    return c;
}

static void rows_agree_with_the_definitions(void **state)
{
    static const struct {
        int64_t V, k, m;
    } shapes[] = {{17, 1, 1}, {33, 3, 2}, {101, 8, 8}, {513, 24, 16}, {1025, 8, 5}, {MAX_V, 16, 8}};
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (uint64_t seed = 0; seed < (shapes[s].V > 5000 ? 2 : 6); seed++) {
            row_case c = make_case(shapes[s].V, shapes[s].k, shapes[s].m, 0.4 + 0.1 * (double)seed, 1 + (double)seed, seed);
            compare_all(&c);
        }
}

static void certain_teachers(void **state)
{
    (void)state;
    row_case c = make_case(65, 1, 3, 1, 2, 1);
    c.logp[0] = 0, c.entropy = 0;
    compare_all(&c);
    c         = make_case(65, 4, 3, 0.9, 2, 2); /* ids that the teacher holds impossible, in both forms */
    c.logp[2] = -9999, c.logp[3] = (float)-INFINITY;
    compare_all(&c);
    c = make_case(65, 5, 3, 1 + 1e-6, 2, 3); /* more than 1 by rounding */
    compare_all(&c);
    c         = make_case(65, 2, 3, 1, 2, 4); /* the rest that floats leave is smaller than the one whose entropy is stored */
    c.logp[0] = (float)log(0.5), c.logp[1] = (float)log(0.49999997), c.entropy = 1e-4f;
    compare_all(&c);
}

static void without_samples_or_entropy(void **state)
{
    (void)state;
    row_case c = make_case(65, 5, 0, 0.8, 2, 1);
    compare_all(&c);
    c         = make_case(65, 5, 4, 0.8, 2, 1);
    c.entropy = NAN;
    compare_all(&c);
}

static void steep_logits(void **state)
{
    (void)state;
    for (int up = 0; up < 2; up++) {
        row_case c = make_case(129, 4, 4, 0.7, 0, 1);
        for (int64_t v = 0; v < c.V; v++)
            g_z[v] = (real)(v % 2 == up ? 80 : -80), g_y[v] = (real)(v % 3 ? -80 : 80); /* ids on both sides */
        compare_all(&c);
        for (int64_t v = 0; v < c.V; v++) g_z[v] = (real)(up ? 80 : -80);
        compare_all(&c);
    }
}

/* All of the student's mass on K: the rest's is below what the type can tell from 0, or there is no other id. */
static void a_rest_that_underflows_stays_finite(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        row_case c = make_case(129, 4, 4, 0.7, 0, 1);
        for (int64_t v = 0; v < c.V; v++) g_z[v] = -80;
        for (int i = 0; all && i < 4; i++) c.ids[i] = i;
        for (int i = 0; i < 4; i++) g_z[c.ids[i]] = 80;
        c.V = all ? 4 : c.V, c.target = all ? 1 : c.target;
        c.t.settings.objective = AG_TAIL, c.t.rows.scale = 1;
        const ag_row_result r = lose(kn_get(), &c, 1);
        assert_true(isfinite(r.kl) && r.kl > 0.3 * 60 && r.loss == r.kl);
        for (int64_t v = 0; v < c.V; v++) assert_true(isfinite(g_out[v]) && fabs((double)g_out[v]) <= 1);
    }
}

static void divergences_are_not_negative(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        row_case     c   = make_case(97, 8, 4, 0.2 + 0.0026 * (double)seed, (double)(seed % 4), seed);
        const double lse = softmax(g_q, g_z, c.V, 1);
        for (int i = 0; i < 8 && seed % 3 == 0; i++) c.logp[i] = (float)((double)g_z[c.ids[i]] - lse); /* q = p on K */
        for (int v = 0; v < 97 && seed % 3 == 0; v++) g_y[v] = g_z[v] + 3;                             /* and everywhere */
        c.t.settings.beta = 0.1, c.t.settings.alpha = 0.1;
        for (int o = AG_SAMPLED; o < AG_OBJECTIVES; o++) {
            c.t.settings.objective = (ag_objective)o;
            const ag_row_result r  = lose(kn_get(), &c, 0);
            assert_true(r.kl >= 0 && (needs(o) != AG_WHOLE || r.loss >= 0));
            if (seed % 3 == 0) assert_true(r.kl < 1e-6 && (needs(o) != AG_WHOLE || r.loss < 1e-6));
        }
    }
}

/* ---- the estimate is unbiased ----------------------------------------------------------------------------- */

static int32_t draw(const double *p, int64_t from, int64_t V, double mass, rt_rng *r)
{
    double  u = rt_rng_uniform(r) * mass;
    int64_t v = from;
    while (v + 1 < V && u >= p[v]) u -= p[v++];
    return (int32_t)v;
}

/* The teacher prefers small ids: the first k are stored, the rest is drawn from. */
static void sampled_divergence_is_unbiased(void **state)
{
    enum { V = 61, K = 5, M = 4, DRAWS = 40000 };
    row_case c = make_case(V, K, M, 0.5, 1.5, 8);
    double   p[V], total = 0, full = 0, mass = 0, entropy = 0, sum = 0, squares = 0;
    rt_rng   r   = {12};
    double   lse = softmax(g_q, g_z, V, 1);
    (void)state;
    for (int v = 0; v < V; v++) total += p[v] = 1.0 / (v + 2);
    for (int v = 0; v < V; v++) p[v] /= total, full += p[v] * (log(p[v]) - ((double)g_z[v] - lse));
    for (int v = K; v < V; v++) mass += p[v], entropy -= plogp(p[v]);
    for (int i = 0; i < K; i++) c.ids[i] = i, c.logp[i] = (float)log(p[i]);
    c.entropy = (float)entropy, c.t.settings.objective = AG_SAMPLED;
    for (int d = 0; d < DRAWS; d++) {
        for (int j = 0; j < M; j++) c.tail[j] = draw(p, K, V, mass, &r);
        const double kl = lose(kn_get(), &c, 0).loss;
        sum += kl, squares += kl * kl;
    }
    const double mean = sum / DRAWS, error = sqrt((squares / DRAWS - mean * mean) / DRAWS);
    assert_true(error > 1e-5 && error < 0.1 * full);
    if (!(fabs(mean - full) < 4 * error)) fail_msg("mean %.6g, KL %.6g, standard error %.2g", mean, full, error);
}

/* K exact and 1 on the token that follows outside K: over tokens drawn from p the gradient is that of KL(p||q). */
static void a_token_from_the_teacher_stands_for_the_rest(void **state)
{
    enum { V = 31, K = 4, DRAWS = 200000 };
    row_case      c = make_case(V, K, 1, 0.5, 1.5, 8);
    static double mean[V];
    double        p[V], total = 0;
    rt_rng        r = {3};
    (void)state;
    for (int v = 0; v < V; v++) total += p[v] = 1.0 / (v + 2);
    for (int v = 0; v < V; v++) p[v] /= total;
    for (int i = 0; i < K; i++) c.ids[i] = i, c.logp[i] = (float)log(p[i]);
    c.t.rows.scale = 1;
    softmax(g_q, g_z, V, 1);
    for (int kind = 0; kind < 2; kind++) {
        c.t.settings.objective = kind ? AG_TAIL_TOKEN : AG_ONEHOT;
        memset(mean, 0, sizeof mean);
        for (int d = 0; d < DRAWS; d++) {
            c.target = draw(p, 0, V, 1, &r);
            lose(kn_get(), &c, 1);
            for (int v = 0; v < V; v++) mean[v] += (double)g_out[v] / DRAWS;
        }
        for (int v = 0; v < V; v++)
            if (!(fabs(mean[v] - (g_q[v] - p[v])) < 5e-3)) fail_msg("id %d: %.4f, not %.4f", v, mean[v], g_q[v] - p[v]);
    }
}

/* The row as the third of a batch, behind two rows of other numbers. */
static ag_row_result lose_as_third(row_case *own)
{
    static int32_t target[3], ids[3 * MAX_K], tail[3 * MAX_M];
    static float   logp[3 * MAX_K], entropy[3];
    static uint8_t count[3];
    const int64_t  k = own->t.settings.k, m = own->t.settings.m;
    for (int64_t i = 0; i < 2 * k; i++) ids[i] = (int32_t)(i % k), logp[i] = -9;
    for (int64_t j = 0; j < 2 * m; j++) tail[j] = (int32_t)(k + j % m);
    memcpy(ids + 2 * k, own->ids, (size_t)k * sizeof *ids);
    memcpy(logp + 2 * k, own->logp, (size_t)k * sizeof *logp);
    memcpy(tail + 2 * m, own->tail, (size_t)m * sizeof *tail);
    target[2] = own->target, count[2] = own->loss_mask, entropy[2] = own->entropy;
    own->t.rows.target = target, own->t.rows.loss_mask = count, own->t.rows.topk_ids = ids, own->t.rows.topk_logprob = logp;
    own->t.rows.tail_ids = tail, own->t.rows.tail_entropy = entropy, own->t.rows.weight = NULL;
    memcpy(g_out, g_z, (size_t)own->V * sizeof *g_z);
    const ag_row r = {kn_get(), &own->t.settings, &own->t.rows, 2, own->V, g_out, g_out_y, g_work};
    return ag_row_loss(&r, 1);
}

/* Behind a row's last entry stands -1: the row is as one of so many entries, wherever it stands. */
static void rows_may_hold_fewer_entries(void **state)
{
    enum { V = 33, KEPT = 5, DRAWN = 3 };
    static real gradient[V];
    (void)state;
    for (int o = 0; o < AG_OBJECTIVES; o++) {
        if (needs(o) != AG_ENTRIES) continue;
        row_case few             = make_case(V, 8, 6, 0.7, 2, 1), all;
        few.t.settings.objective = (ag_objective)o, few.t.rows.scale = 1, few.t.settings.ce_weight = 0.2;
        few.t.settings.k = KEPT, few.t.settings.m = DRAWN;
        all              = few;
        all.t.settings.k = 8, all.t.settings.m = 6;
        const ag_row_result want = lose(kn_get(), &few, 1);
        memcpy(gradient, g_out, sizeof gradient);
        for (int i = KEPT; i < 8; i++) all.ids[i] = -1;
        for (int j = DRAWN; j < 6; j++) all.tail[j] = -1;
        const ag_row_result got = lose(kn_get(), &all, 1);
        assert_true(got.loss == want.loss && got.kl == want.kl);
        assert_memory_equal(g_out, gradient, sizeof gradient);
        const ag_row_result third = lose_as_third(&all);
        assert_true(third.loss == want.loss && third.kl == want.kl);
        assert_memory_equal(g_out, gradient, sizeof gradient);
        for (int i = 0; i < 8; i++) all.ids[i] = -1;
        for (int j = 0; j < 6; j++) all.tail[j] = -1;
        assert_true(isfinite(lose(kn_get(), &all, 1).loss));
        for (int v = 0; v < V; v++) assert_true(isfinite(g_out[v]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_agree_with_the_definitions),     cmocka_unit_test(certain_teachers),
        cmocka_unit_test(without_samples_or_entropy),          cmocka_unit_test(steep_logits),
        cmocka_unit_test(a_rest_that_underflows_stays_finite), cmocka_unit_test(divergences_are_not_negative),
        cmocka_unit_test(sampled_divergence_is_unbiased),      cmocka_unit_test(a_token_from_the_teacher_stands_for_the_rest),
        cmocka_unit_test(rows_may_hold_fewer_entries),
    };
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
