/* The teacher's row against the plain formula over a fully sorted row, and its draws against their frequencies. */
#include "core/rng.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_V = 1200, MAX_K = 64, MAX_M = 64 };

static const real *g_z;

static int by_likelihood(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (g_z[x] != g_z[y]) return g_z[x] < g_z[y] ? 1 : -1;
    return x < y ? -1 : 1;
}

static void order_of(const real *z, int64_t V, int32_t *order)
{
    for (int64_t v = 0; v < V; v++) order[v] = (int32_t)v;
    g_z = z;
    qsort(order, (size_t)V, sizeof *order, by_likelihood);
}

/* In double: md_lse is as exact as `real`, a teacher's row is exact. */
static double exact_lse(const real *z, int64_t V)
{
    double top = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++) top = fmax(top, (double)z[v]);
    for (int64_t v = 0; v < V; v++) sum += exp((double)z[v] - top);
    return top + log(sum);
}

static void check(const real *z, int64_t V, int64_t k, int64_t m, int32_t actual, uint64_t seed)
{
    int32_t      order[MAX_V], ids[MAX_K], tail[MAX_M];
    float        lp[MAX_K];
    uint8_t      valid = 0;
    float        column[3];
    ds_rows      rows = {.n = 1, .k = k, .m = m, .valid = &valid, .topk_ids = ids, .topk_logprob = lp, .tail_ids = tail};
    const double lse  = exact_lse(z, V);
    double       mass = 0, entropy = 0;
    order_of(z, V, order);
    rows.tail_mass = column, rows.tail_entropy = column + 1, rows.actual_logprob = column + 2;
    const md_teacher_row r = md_teacher_fill(&rows, 0, z, V, actual, seed);
    assert_true(valid == 1 && column[0] == (float)r.tail_mass && column[1] == (float)r.tail_entropy &&
                column[2] == (float)r.actual_logprob);
    for (int64_t i = 0; i < k; i++) {
        assert_int_equal(ids[i], order[i]);
        if (isinf((double)z[ids[i]])) assert_true(isinf(lp[i]) && lp[i] < 0);
        else assert_true(fabs((double)lp[i] - ((double)z[ids[i]] - lse)) < 1e-6 * (1 + fabs((double)lp[i])));
    }
    for (int64_t i = k; i < V; i++) {
        const double l = (double)z[order[i]] - lse;
        if (isinf(l)) continue;
        mass += exp(l);
        entropy -= exp(l) * l;
    }
    assert_true(fabs(r.tail_mass - mass) < 1e-12 && r.tail_mass >= 0);
    assert_true(fabs(r.tail_entropy - entropy) < 1e-11);
    for (int64_t j = 0; j < m; j++) {
        int64_t at = 0;
        assert_in_range(tail[j], 0, V - 1);
        while (order[at] != tail[j]) at++;
        if (mass > 0) assert_true(at >= k && !isinf((double)z[tail[j]]));
        else assert_int_equal(tail[j], order[0]);
    }
    if (actual < 0) {
        assert_true(r.actual_logprob == 0 && r.actual_rank == 0);
        return;
    }
    assert_int_equal(order[r.actual_rank - 1], actual);
    if (!isinf((double)z[actual])) assert_true(fabs(r.actual_logprob - ((double)z[actual] - lse)) < 1e-12);
}

static void random_row(real *z, int64_t V, uint64_t seed, double scale, int ties)
{
    rt_rng r = {seed};
    for (int64_t v = 0; v < V; v++) {
        z[v] = (real)(scale * rt_rng_normal(&r));
        if (ties) z[v] = (real)floor((double)z[v]);
        if (rt_rng_below(&r, 40) == 0) z[v] = (real)-INFINITY;
    }
    z[rt_rng_below(&r, (uint64_t)V)] = (real)scale; /* one is finite */
}

static void rows_agree_with_the_sorted_formula(void **state)
{
    static const int64_t sizes[] = {1, 2, 3, 17, 64, 511, 512, 513, 1024, 1199};
    real                 z[MAX_V];
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint64_t s = 0; s < 60; s++) {
            const int64_t V = sizes[i], k = (int64_t)(s % 9) * 8 < V ? (int64_t)(s % 9) * 8 : V;
            random_row(z, V, rt_mix2(s, i), s % 3 == 0 ? 30 : 2, s % 2 == 0);
            check(z, V, k > MAX_K ? MAX_K : k, (int64_t)(s % 5), (int32_t)((int64_t)s % V), s);
            check(z, V, V < 8 ? V : 8, 3, -1, s);
        }
}

static void equal_logits_keep_the_order_of_ids(void **state)
{
    real z[100] = {0};
    (void)state;
    check(z, 100, 8, 8, 50, 1);
}

static void a_rest_without_mass_gives_the_top_id(void **state)
{
    real z[100];
    (void)state;
    for (int i = 0; i < 100; i++) z[i] = (real)-INFINITY;
    z[37] = 1;
    check(z, 100, 1, 8, 37, 1);
    for (int i = 0; i < 100; i++) z[i] = -1e5;
    z[99] = 0;
    check(z, 100, 4, 8, 99, 1);
}

static void huge_logits_neither_overflow_nor_lose_the_sum(void **state)
{
    real z[50];
    (void)state;
    for (int i = 0; i < 50; i++) z[i] = (real)(1e4 + i % 7);
    check(z, 50, 5, 8, 49, 3);
}

static void the_row_is_a_function_of_its_arguments(void **state)
{
    int32_t a_ids[8], b_ids[16], a_tail[32], b_tail[64]; /* b: two rows, of which the second is filled */
    float   a_lp[8], b_lp[16];
    real    z[600];
    ds_rows a = {.n = 1, .k = 8, .m = 32, .topk_ids = a_ids, .topk_logprob = a_lp, .tail_ids = a_tail};
    ds_rows b = {.n = 2, .k = 8, .m = 32, .topk_ids = b_ids, .topk_logprob = b_lp, .tail_ids = b_tail};
    (void)state;
    random_row(z, 600, 5, 1, 0);
    const md_teacher_row x = md_teacher_fill(&a, 0, z, 600, 7, 11), y = md_teacher_fill(&b, 1, z, 600, 7, 11);
    assert_memory_equal(a_tail, b_tail + 32, sizeof a_tail);
    assert_memory_equal(a_ids, b_ids + 8, sizeof a_ids);
    assert_memory_equal(a_lp, b_lp + 8, sizeof a_lp);
    assert_true(x.tail_mass == y.tail_mass);
    md_teacher_fill(&b, 1, z, 600, 7, 12);
    assert_memory_not_equal(a_tail, b_tail + 32, sizeof a_tail);
}

/* 64 draws a row under 4000 seeds.  An id of expected count e is drawn floor(e) or floor(e) + 1 times, so that the
 * variance of a row's count is f (1 - f), f the fraction of e: the mean must lie within 5 standard deviations.  The
 * seeds are fixed, so the test gives the same answer every time. */
static void draws_are_unbiased_and_miss_no_heavy_id(void **state)
{
    enum { V = 700, M = 64, ROWS = 4000 };
    static double seen[V], p[V];
    static real   z[V];
    int32_t       ids[8], tail[M];
    float         lp[8];
    ds_rows       r   = {.n = 1, .m = M, .topk_ids = ids, .topk_logprob = lp, .tail_ids = tail};
    rt_rng        rng = {9};
    (void)state;
    for (int v = 0; v < V; v++) z[v] = (real)(2 * rt_rng_normal(&rng));
    const double lse = exact_lse(z, V);
    for (int64_t k = 0; k <= 8; k += 8) {
        int heavy = 0;
        memset(seen, 0, sizeof seen);
        r.k                    = k;
        const double tail_mass = md_teacher_fill(&r, 0, z, V, -1, 0).tail_mass;
        for (int v = 0; v < V; v++) p[v] = M * exp((double)z[v] - lse) / tail_mass;
        for (int64_t i = 0; i < k; i++) p[ids[i]] = 0;
        for (uint64_t s = 0; s < ROWS; s++) {
            int count[V] = {0};
            md_teacher_fill(&r, 0, z, V, -1, s);
            for (int j = 0; j < M; j++) count[tail[j]]++, assert_true(!j || tail[j] >= tail[j - 1]);
            for (int v = 0; v < V; v++) seen[v] += count[v], assert_true(fabs(count[v] - p[v]) < 1);
        }
        for (int v = 0; v < V; v++) {
            const double f = p[v] - floor(p[v]);
            assert_true(fabs(seen[v] - ROWS * p[v]) < 5 * sqrt(ROWS * f * (1 - f)) + 1);
            heavy += p[v] >= 1;
        }
        assert_true(heavy > 2);
    }
}

static void without_a_top_k_the_rest_is_all(void **state)
{
    int32_t tail[16];
    real    z[40];
    double  entropy = 0;
    ds_rows rows    = {.n = 1, .m = 16, .tail_ids = tail};
    (void)state;
    random_row(z, 40, 3, 2, 0);
    const double lse = exact_lse(z, 40);
    for (int v = 0; v < 40; v++)
        if (!isinf((double)z[v])) entropy -= exp((double)z[v] - lse) * ((double)z[v] - lse);
    md_teacher_row r = md_teacher_fill(&rows, 0, z, 40, 7, 1);
    assert_true(r.tail_mass == 1 && fabs(r.tail_entropy - entropy) < 1e-12);
    for (int v = 0; v < 40; v++) z[v] = (real)NAN; /* a damaged model: no place without a top k may be read */
    r = md_teacher_fill(&rows, 0, z, 40, 7, 1);
    assert_true(isnan(r.tail_mass));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_agree_with_the_sorted_formula),     cmocka_unit_test(equal_logits_keep_the_order_of_ids),
        cmocka_unit_test(a_rest_without_mass_gives_the_top_id),   cmocka_unit_test(huge_logits_neither_overflow_nor_lose_the_sum),
        cmocka_unit_test(the_row_is_a_function_of_its_arguments), cmocka_unit_test(draws_are_unbiased_and_miss_no_heavy_id),
        cmocka_unit_test(without_a_top_k_the_rest_is_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
