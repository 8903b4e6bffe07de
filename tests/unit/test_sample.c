/* The sampler: what each filter keeps, and how often each id comes. */
#include "core/rng.h"
#include "infer/infer.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { V = 6, DRAWS = 6000 };
/* probabilities 0.4 0.1 0.2 0.1 0.15 0.05 */
static const double p[V] = {0.4, 0.1, 0.2, 0.1, 0.15, 0.05};
static inf_sampler *g_sampler;

static int set_up(void **state)
{
    (void)state;
    return inf_sampler_create(&g_sampler, V) != RT_OK;
}

static int tear_down(void **state)
{
    (void)state;
    inf_sampler_destroy(&g_sampler);
    return g_sampler != NULL;
}

static void logits(real *z)
{
    for (int v = 0; v < V; v++) z[v] = (real)(log(p[v]) + 3);
}

/* Frequencies over an even grid of u must be the expected probabilities to one grid cell. */
static void expect(const inf_sampling *o, const double *want)
{
    real   z[V];
    double seen[V] = {0};
    logits(z);
    for (int i = 0; i < DRAWS; i++) {
        const int32_t id = inf_sample(g_sampler, z, o, (i + 0.5) / DRAWS);
        assert_in_range(id, 0, V - 1);
        seen[id]++;
    }
    for (int v = 0; v < V; v++) assert_true(fabs(seen[v] - want[v] * DRAWS) <= 2);
}

static void temperature_zero_is_greedy(void **state)
{
    const inf_sampling o    = {.temperature = 0, .top_p = 1};
    const real         z[V] = {1, 2, 7, 7, 3, 0};
    (void)state;
    assert_int_equal(inf_sample(g_sampler, z, &o, 0.99), 2); /* the smaller id of a tie */
}

static void without_filters_it_is_the_softmax(void **state)
{
    const inf_sampling o = {.temperature = 1, .top_p = 1};
    (void)state;
    expect(&o, p);
}

static void temperature_sharpens(void **state)
{
    const inf_sampling o = {.temperature = 0.5, .top_p = 1};
    double             want[V], sum = 0;
    (void)state;
    for (int v = 0; v < V; v++) sum += p[v] * p[v];
    for (int v = 0; v < V; v++) want[v] = p[v] * p[v] / sum;
    expect(&o, want);
}

static void top_k_keeps_k_and_the_smaller_id_of_a_tie(void **state)
{
    const inf_sampling o       = {.temperature = 1, .top_k = 4, .top_p = 1};
    const double       want[V] = {0.4 / 0.85, 0.1 / 0.85, 0.2 / 0.85, 0, 0.15 / 0.85, 0};
    (void)state;
    expect(&o, want);
}

static void top_p_keeps_the_id_that_crosses_it(void **state)
{
    const inf_sampling o       = {.temperature = 1, .top_p = 0.7};
    const double       want[V] = {0.4 / 0.75, 0, 0.2 / 0.75, 0, 0.15 / 0.75, 0};
    (void)state;
    expect(&o, want);
}

static void top_p_counts_within_top_k(void **state)
{
    const inf_sampling o       = {.temperature = 1, .top_k = 3, .top_p = 0.7}; /* 0.7 of 0.75: 0.4 + 0.2 */
    const double       want[V] = {0.4 / 0.6, 0, 0.2 / 0.6, 0, 0, 0};
    (void)state;
    expect(&o, want);
}

static void a_tiny_top_p_still_gives_the_best(void **state)
{
    const inf_sampling o       = {.temperature = 1, .top_p = 1e-9};
    const double       want[V] = {1, 0, 0, 0, 0, 0};
    (void)state;
    expect(&o, want);
}

static void what_has_no_mass_is_never_drawn(void **state)
{
    const inf_sampling plain = {.temperature = 1, .top_p = 1}, cut = {.temperature = 1, .top_k = 5, .top_p = 0.999};
    const real         z[V]    = {(real)-INFINITY, 1, (real)NAN, 1, (real)-INFINITY, (real)NAN};
    const real         none[V] = {(real)NAN, (real)NAN, (real)NAN, (real)NAN, (real)NAN, (real)NAN};
    (void)state;
    for (int i = 0; i <= 1000; i++) {
        const double  u = i == 1000 ? 1 - 0x1p-53 : i / 1000.0;
        const int32_t a = inf_sample(g_sampler, z, &plain, u), b = inf_sample(g_sampler, z, &cut, u);
        assert_true((a == 1 || a == 3) && (b == 1 || b == 3));
        assert_in_range(inf_sample(g_sampler, none, &cut, u), 0, V - 1);
    }
}

static void a_large_row_agrees_with_and_without_a_filter_that_keeps_all(void **state)
{
    enum { N = 600 };
    static real  z[N];
    static int   seen[2][N];
    inf_sampler *s = NULL;
    rt_rng       r = {4};
    (void)state;
    assert_int_equal(inf_sampler_create(&s, N), RT_OK);
    for (int v = 0; v < N; v++) z[v] = (real)(4 * rt_rng_normal(&r));
    for (int i = 0; i < 4000; i++) {
        const inf_sampling all = {.temperature = 1, .top_p = 1}, most = {.temperature = 1, .top_k = N - 1, .top_p = 1};
        seen[0][inf_sample(s, z, &all, i / 4000.0)]++;
        seen[1][inf_sample(s, z, &most, i / 4000.0)]++;
    }
    for (int v = 0; v < N; v++) assert_true(seen[0][v] - seen[1][v] <= 1 && seen[1][v] - seen[0][v] <= 1);
    inf_sampler_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_zero_is_greedy),
        cmocka_unit_test(without_filters_it_is_the_softmax),
        cmocka_unit_test(temperature_sharpens),
        cmocka_unit_test(top_k_keeps_k_and_the_smaller_id_of_a_tie),
        cmocka_unit_test(top_p_keeps_the_id_that_crosses_it),
        cmocka_unit_test(top_p_counts_within_top_k),
        cmocka_unit_test(a_tiny_top_p_still_gives_the_best),
        cmocka_unit_test(what_has_no_mass_is_never_drawn),
        cmocka_unit_test(a_large_row_agrees_with_and_without_a_filter_that_keeps_all),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
