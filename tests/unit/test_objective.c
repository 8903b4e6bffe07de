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

#include "autograd/objective.h"
#include "core/rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_V = 100003, MAX_K = 24, MAX_M = 16 };

/* Relative to 1 + the number itself. */
static const double tolerance = sizeof(real) == 8 ? 1e-10 : 2e-5;

/* One row of targets and logits; `t` points into it. */
typedef struct row_case {
    ag_targets t;
    int64_t    V;
    int32_t    target, ids[MAX_K], tail[MAX_M];
    uint8_t    count;
    float      logp[MAX_K], entropy;
} row_case;

static real   g_z[MAX_V], g_out[MAX_V];
static double g_q[MAX_V], g_w[MAX_V], g_want[MAX_V];

static void close_to(const char *what, double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s is %.12g, not %.12g", what, got, want);
}

/* ---- the definitions ------------------------------------------------------------------------------------ */

static double softmax(const real *z, int64_t V)
{
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++) max = fmax(max, (double)z[v]);
    for (int64_t v = 0; v < V; v++) sum += exp((double)z[v] - max);
    for (int64_t v = 0; v < V; v++) g_q[v] = exp((double)z[v] - max) / sum;
    return max + log(sum);
}

static double plogp(double p) { return p > 0 ? p * log(p) : 0; }

/* kl of K against q; every p divided by P; w gets its part. */
static double stored(const row_case *c, double lse, double P, double weight)
{
    double kl = 0;
    for (int64_t i = 0; i < c->t.k; i++) {
        const double p = exp((double)c->logp[i]) / P;
        if (p > 0) kl += plogp(p) - p * ((double)g_z[c->ids[i]] - lse);
        g_w[c->ids[i]] -= weight * p;
    }
    return kl;
}

static double rest_of(const row_case *c)
{
    double P = 0;
    for (int64_t i = 0; i < c->t.k; i++) P += exp((double)c->logp[i]);
    return fmax(0, 1 - P);
}

static double sampled(const row_case *c, double lse, double weight)
{
    double loss = stored(c, lse, 1, weight), plogps = 0;
    for (int64_t j = 0; j < c->t.m; j++) {
        const double r = rest_of(c) / (double)c->t.m;
        loss -= r * ((double)g_z[c->tail[j]] - lse);
        g_w[c->tail[j]] -= weight * r;
    }
    for (int64_t i = 0; i < c->t.k; i++) plogps += plogp(exp((double)c->logp[i]));
    return c->t.m && !isnan(c->entropy) ? loss - (double)c->entropy : loss - plogps; /* what is unknown is a constant */
}

static double tail(const row_case *c, double lse, double weight)
{
    double rest_q = 0, kl = stored(c, lse, 1, weight);
    for (int64_t v = 0; v < c->V; v++) {
        int outside = 1;
        for (int64_t i = 0; i < c->t.k; i++) outside &= c->ids[i] != v;
        if (outside) rest_q += g_q[v];
        else g_q[v] = -g_q[v]; /* a mark */
    }
    for (int64_t v = 0; v < c->V; v++)
        if (g_q[v] < 0) g_q[v] = -g_q[v];
        else g_w[v] -= weight * rest_of(c) * g_q[v] / rest_q;
    return kl + plogp(rest_of(c)) - (rest_of(c) > 0 ? rest_of(c) * log(rest_q) : 0);
}

static ag_row_result define(const row_case *c)
{
    const double  ce = c->t.objective == AG_CE ? 1 : c->t.ce_weight, lse = softmax(g_z, c->V);
    ag_row_result r = {.kl = NAN, .ce = lse - (double)g_z[c->target]};
    double        P = 0, value, sum = 0;
    memset(g_w, 0, (size_t)c->V * sizeof *g_w);
    g_w[c->target] -= ce;
    for (int64_t i = 0; i < c->t.k; i++) P += exp((double)c->logp[i]);
    switch (c->t.objective) {
    case AG_SAMPLED:
        value = sampled(c, lse, 1 - ce);
        r.kl  = tail(c, lse, 0); /* what is shown: k + 1 outcomes */
        break;
    case AG_TAIL: value = r.kl = tail(c, lse, 1 - ce); break;
    case AG_RENORM: value = r.kl = stored(c, lse, P, 1 - ce); break;
    default: value = 0;
    }
    r.loss = (1 - ce) * value + ce * r.ce;
    for (int64_t v = 0; v < c->V; v++) sum += g_w[v];
    for (int64_t v = 0; v < c->V; v++) g_want[v] = g_w[v] - g_q[v] * sum;
    return r;
}

/* ---- cases -------------------------------------------------------------------------------------------------- */

static void compare(const row_case *c)
{
    const double        scale = 0.125;
    row_case            own   = *c;
    const ag_row_result want  = define(c);
    for (int i = 0; kn_at(i); i++)
        for (int gradient = 0; gradient < 2; gradient++) {
            own.t.target = &own.target, own.t.count = &own.count, own.t.topk_ids = own.ids, own.t.topk_logprob = own.logp;
            own.t.tail_ids = own.tail, own.t.rest_entropy = &own.entropy, own.t.scale = scale;
            memcpy(g_out, g_z, (size_t)c->V * sizeof *g_z);
            const ag_row_result got = ag_row_loss(kn_at(i), &own.t, 0, g_out, c->V, gradient);
            close_to("loss", got.loss, want.loss), close_to("kl", got.kl, want.kl), close_to("ce", got.ce, want.ce);
            for (int64_t v = 0; gradient && v < c->V; v++)
                if (!(fabs((double)g_out[v] / scale - g_want[v]) <= tolerance))
                    fail_msg("%s: objective %d, d/dz[%lld] is %.9g, not %.9g", kn_at(i)->isa, (int)c->t.objective, (long long)v,
                             (double)g_out[v] / scale, g_want[v]);
        }
}

static void compare_all(row_case *c)
{
    static const double weights[] = {0, 0.3, 1};
    for (int o = AG_CE; o <= AG_RENORM; o++)
        for (int w = 0; w < 3; w++) {
            c->t.objective = (ag_objective)o, c->t.ce_weight = weights[w];
            compare(c);
        }
}

/* k stored ids that hold `mass`, m samples outside; logits of this spread. */
static row_case make_case(int64_t V, int64_t k, int64_t m, double mass, double spread, uint64_t seed)
{
    row_case c     = {.t = {.k = k, .m = m}, .V = V, .count = 1, .entropy = 0.2f};
    rt_rng   r     = {seed};
    double   total = 0;
    for (int64_t v = 0; v < V; v++) g_z[v] = (real)(spread * rt_rng_normal(&r));
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
        for (int64_t v = 0; v < c.V; v++) g_z[v] = (real)(v % 2 == up ? 80 : -80); /* ids on both sides */
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
        c.t.objective = AG_TAIL, c.t.scale = 1;
        c.t.target = &c.target, c.t.topk_ids = c.ids, c.t.topk_logprob = c.logp;
        const ag_row_result r = ag_row_loss(kn_get(), &c.t, 0, g_z, c.V, 1);
        assert_true(isfinite(r.kl) && r.kl > 0.3 * 60 && r.loss == r.kl);
        for (int64_t v = 0; v < c.V; v++) assert_true(isfinite(g_z[v]) && fabs((double)g_z[v]) <= 1);
    }
}

static void divergences_are_not_negative(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        row_case     c   = make_case(97, 8, 4, 0.2 + 0.0026 * (double)seed, (double)(seed % 4), seed);
        const double lse = softmax(g_z, c.V);
        for (int i = 0; i < 8 && seed % 3 == 0; i++) c.logp[i] = (float)((double)g_z[c.ids[i]] - lse); /* q = p on K */
        c.t.target = &c.target, c.t.topk_ids = c.ids, c.t.topk_logprob = c.logp;
        c.t.tail_ids = c.tail, c.t.rest_entropy = &c.entropy;
        for (int o = AG_SAMPLED; o <= AG_RENORM; o++) {
            c.t.objective = (ag_objective)o;
            memcpy(g_out, g_z, (size_t)c.V * sizeof *g_z);
            const ag_row_result r = ag_row_loss(kn_get(), &c.t, 0, g_out, c.V, 0);
            assert_true(r.kl > -1e-6);
            if (o != AG_RENORM && seed % 3 == 0) assert_true(r.kl < 1e-6);
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
    double   lse = softmax(g_z, V);
    (void)state;
    for (int v = 0; v < V; v++) total += p[v] = 1.0 / (v + 2);
    for (int v = 0; v < V; v++) p[v] /= total, full += p[v] * (log(p[v]) - ((double)g_z[v] - lse));
    for (int v = K; v < V; v++) mass += p[v], entropy -= plogp(p[v]);
    for (int i = 0; i < K; i++) c.ids[i] = i, c.logp[i] = (float)log(p[i]);
    c.entropy = (float)entropy, c.t.objective = AG_SAMPLED;
    c.t.target = &c.target, c.t.topk_ids = c.ids, c.t.topk_logprob = c.logp;
    c.t.tail_ids = c.tail, c.t.rest_entropy = &c.entropy;
    for (int d = 0; d < DRAWS; d++) {
        for (int j = 0; j < M; j++) c.tail[j] = draw(p, K, V, mass, &r);
        memcpy(g_out, g_z, V * sizeof *g_z);
        const double kl = ag_row_loss(kn_get(), &c.t, 0, g_out, V, 0).loss;
        sum += kl, squares += kl * kl;
    }
    const double mean = sum / DRAWS, error = sqrt((squares / DRAWS - mean * mean) / DRAWS);
    assert_true(error > 1e-5 && error < 0.1 * full);
    if (!(fabs(mean - full) < 4 * error)) fail_msg("mean %.6g, KL %.6g, standard error %.2g", mean, full, error);
}

/* ---- through the head ----------------------------------------------------------------------------------------- */

enum { ROWS = 7, HEAD_V = 19, HEAD_K = 2 };

typedef struct head {
    ag_graph  *g;
    ag_plan   *p;
    ag_targets t;
    int32_t    target[ROWS], ids[ROWS * HEAD_K], tail[ROWS];
    uint8_t    count[ROWS];
    float      logp[ROWS * HEAD_K], entropy[ROWS];
    real       x[ROWS * HEAD_V], w[HEAD_V * HEAD_V], dx[ROWS * HEAD_V], dw[HEAD_V * HEAD_V];
} head;

/* An identity as weights: hidden states are logits.  Gradients begin as NaN: they must be set. */
static void make_head(head *h, ag_objective o)
{
    rt_rng             r    = {5};
    const ag_plan_opts opts = {.poison = 1};
    memset(h, 0, sizeof *h);
    for (int n = 0; n < ROWS; n++) {
        h->target[n] = n, h->entropy[n] = 0.1f, h->tail[n] = 18 - n;
        for (int i = 0; i < HEAD_K; i++) h->ids[n * HEAD_K + i] = n + 1 + i, h->logp[n * HEAD_K + i] = logf(0.5f / (float)(i + 1));
    }
    for (int i = 0; i < ROWS * HEAD_V; i++) h->x[i] = (real)rt_rng_normal(&r), h->dx[i] = (real)NAN;
    for (int i = 0; i < HEAD_V * HEAD_V; i++) h->w[i] = i % (HEAD_V + 1) == 0, h->dw[i] = (real)NAN;
    h->t = (ag_targets){o, 0.5, 0.25, HEAD_K, 1, h->target, h->count, h->ids, h->logp, h->tail, h->entropy, 0, 0, 0, 0};
    assert_int_equal(ag_graph_create(&h->g, KN_REAL), RT_OK);
    const ag_id x = ag_param(h->g, "x", KN_REAL, 2, (int64_t[]){ROWS, HEAD_V}), t = ag_opaque(h->g, "targets");
    const ag_id w = ag_param(h->g, "w", KN_REAL, 2, (int64_t[]){HEAD_V, HEAD_V});
    if (ag_plan_create(&h->p, h->g, ag_head(h->g, x, w, t), &opts) != RT_OK) fail_msg("%s", rt_error_text());
    ag_plan_bind(h->p, x, h->x, h->dx), ag_plan_bind(h->p, w, h->w, h->dw), ag_plan_bind(h->p, t, &h->t, NULL);
}

static void check_rows(head *h)
{
    double loss = 0, kl = 0, ce = 0;
    real   dz[ROWS * HEAD_V];
    memcpy(dz, h->x, sizeof dz);
    for (int n = 0; n < ROWS; n++) {
        if (!h->count[n]) {
            memset(dz + n * HEAD_V, 0, HEAD_V * sizeof *dz);
            continue;
        }
        const ag_row_result r = ag_row_loss(kn_get(), &h->t, n, dz + n * HEAD_V, HEAD_V, 1);
        loss += h->t.scale * r.loss, kl += h->t.scale * r.kl, ce += h->t.scale * r.ce;
    }
    close_to("loss", h->t.loss, loss), close_to("kl", h->t.kl, kl), close_to("ce", h->t.ce, ce);
    for (int i = 0; i < ROWS * HEAD_V; i++) close_to("dx", (double)h->dx[i], (double)dz[i]);
    for (int v = 0; v < HEAD_V; v++)
        for (int c = 0; c < HEAD_V; c++) {
            double want = 0;
            for (int n = 0; n < ROWS; n++) want += (double)dz[n * HEAD_V + v] * (double)h->x[n * HEAD_V + c];
            close_to("dw", (double)h->dw[v * HEAD_V + c], want);
        }
}

static void rows_without_target_get_no_gradient(void **state)
{
    static const uint8_t masks[] = {0x7f, 0x01, 0x40, 0x2a, 0x00}; /* all, first, last, every other, none */
    static head          h;
    (void)state;
    for (int o = AG_SAMPLED; o <= AG_RENORM; o++)
        for (size_t k = 0; k < sizeof masks; k++) {
            make_head(&h, (ag_objective)o);
            int64_t rows = 0;
            for (int n = 0; n < ROWS; n++) rows += h.count[n] = masks[k] >> n & 1;
            const double loss = ag_step(h.p, 0);
            assert_int_equal(h.t.rows, rows);
            close_to("the step's loss", loss, h.t.loss);
            close_to("the forward pass's loss", ag_forward(h.p), loss);
            if (!rows) assert_true(loss == 0 && h.t.kl == 0 && h.t.ce == 0);
            check_rows(&h);
            ag_plan_destroy(&h.p), ag_graph_destroy(&h.g);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_agree_with_the_definitions),     cmocka_unit_test(certain_teachers),
        cmocka_unit_test(without_samples_or_entropy),          cmocka_unit_test(steep_logits),
        cmocka_unit_test(a_rest_that_underflows_stays_finite), cmocka_unit_test(divergences_are_not_negative),
        cmocka_unit_test(sampled_divergence_is_unbiased),      cmocka_unit_test(rows_without_target_get_no_gradient),
    };
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
