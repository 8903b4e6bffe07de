/* test_attention.c -- what the options of attention mean: a window is a document that begins later, the scale is a factor of q, and a wide
 * cap changes nothing.  Sequences longer than a tile of positions and a block of keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "autograd/autograd.h"
#include "core/rng.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T = 700, H = 2, KV = 1, D = 4, WIDTH = H * D };

static real    g_q[T * WIDTH], g_k[T * KV * D], g_v[T * KV * D], g_dq[T * WIDTH], g_dk[T * KV * D], g_dv[T * KV * D];
static int32_t g_start[T];

/* Returns the sum over attention's outputs, each with a weight of its own; gradients are in g_dq, g_dk, g_dv. */
static double attend(ag_heads h)
{
    ag_graph *g    = NULL;
    ag_plan  *p    = NULL;
    real     *r    = calloc(T * WIDTH, sizeof *r);
    rt_rng    rng  = {5};
    double    loss = 0;
    h.B = 1, h.T = T, h.H = H, h.KV = KV, h.D = D;
    for (int i = 0; i < T * WIDTH; i++) r[i] = (real)rt_rng_normal(&rng);
    ok(ag_graph_create(&g, KN_REAL));
    const ag_id q = ag_param(g, "q", KN_REAL, 2, (int64_t[]){T, WIDTH}), k = ag_param(g, "k", KN_REAL, 2, (int64_t[]){T, KV * D});
    const ag_id v = ag_param(g, "v", KN_REAL, 2, (int64_t[]){T, KV * D}), start = ag_input(g, "start", KN_I32, 1, (int64_t[]){T});
    const ag_id weights = ag_input(g, "r", KN_REAL, 2, (int64_t[]){T, WIDTH});
    ok(ag_plan_create(&p, g, ag_sum(g, ag_mul(g, ag_attention(g, q, k, v, start, &h), weights)), &(ag_plan_opts){.poison = 1}));
    ag_plan_bind(p, q, g_q, g_dq), ag_plan_bind(p, k, g_k, g_dk), ag_plan_bind(p, v, g_v, g_dv);
    ag_plan_bind(p, start, g_start, NULL), ag_plan_bind(p, weights, r, NULL);
    loss = ag_step(p, 0);
    ag_plan_destroy(&p), ag_graph_destroy(&g);
    free(r);
    return loss;
}

static void fill(real *x, int n, uint64_t seed)
{
    rt_rng r = {seed};
    for (int i = 0; i < n; i++) x[i] = (real)rt_rng_normal(&r);
}

static int start_inputs(void **state)
{
    (void)state;
    fill(g_q, T * WIDTH, 1), fill(g_k, T * KV * D, 2), fill(g_v, T * KV * D, 3);
    for (int t = 0; t < T; t++) g_start[t] = t < 150 ? 0 : 150;
    return 0;
}

/* Losses and gradients of two options agree; the second is called with the inputs that `change` has changed. */
static void same(ag_heads a, void (*change)(void), ag_heads b, double tolerance)
{
    static real  dq[T * WIDTH], dk[T * KV * D], dv[T * KV * D];
    const double first = attend(a);
    memcpy(dq, g_dq, sizeof dq), memcpy(dk, g_dk, sizeof dk), memcpy(dv, g_dv, sizeof dv);
    if (change) change();
    const double second = attend(b);
    assert_true(fabs(first - second) <= tolerance * fabs(first));
    for (int i = 0; i < T * WIDTH; i++) assert_true(fabs((double)dq[i] - (double)g_dq[i]) <= tolerance * (1 + fabs((double)dq[i])));
    for (int i = 0; i < T * KV * D; i++) assert_true(fabs((double)dk[i] - (double)g_dk[i]) <= tolerance * (1 + fabs((double)dk[i])));
    for (int i = 0; i < T * KV * D; i++) assert_true(fabs((double)dv[i] - (double)g_dv[i]) <= tolerance * (1 + fabs((double)dv[i])));
}

static int  g_window;
static void begin_later(void)
{
    for (int t = 0; t < T; t++) g_start[t] = t - g_window + 1 > g_start[t] ? t - g_window + 1 : g_start[t];
}

static void a_window_is_a_later_start(void **state)
{
    for (g_window = 1; g_window <= T; g_window = 5 * g_window + 1) {
        start_inputs(state);
        same((ag_heads){.window = g_window}, begin_later, (ag_heads){.scale = 0}, 0);
    }
}

static void the_default_scale_is_one_over_sqrt_d(void **state)
{
    start_inputs(state);
    same((ag_heads){.scale = 0.5}, NULL, (ag_heads){.scale = 0}, 0);
}

static void a_wide_cap_changes_little(void **state)
{
    start_inputs(state);
    same((ag_heads){.cap = 1e3, .window = 40}, NULL, (ag_heads){.window = 40}, sizeof(real) == 8 ? 1e-4 : 2e-3);
}

/* All scores become nearly equal, so every output is nearly the mean of the values. */
static void a_narrow_cap_makes_scores_equal(void **state)
{
    start_inputs(state);
    for (int i = 0; i < T * WIDTH; i++) g_q[i] *= 1000;
    const double capped = attend((ag_heads){.cap = 1e-3});
    memset(g_q, 0, sizeof g_q);
    assert_true(fabs(capped - attend((ag_heads){.scale = 0})) <= 5e-3 * fabs(capped));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_window_is_a_later_start), cmocka_unit_test(the_default_scale_is_one_over_sqrt_d),
                                       cmocka_unit_test(a_wide_cap_changes_little), cmocka_unit_test(a_narrow_cap_makes_scores_equal)};
    if (kn_init() != RT_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
