/* test_entries.c -- a teacher's stored entries over the ids that a smaller vocabulary has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "data/rows.h"
#include <math.h>
#include <string.h>

enum { IDS = 12, HAS = 9, K = 4 }; /* the teacher's; the student's; entries */

/* Most likely first 10, 2, 9, 5: the student lacks 9, 10, 11. */
static const double p[IDS] = {0.02, 0.03, 0.2, 0.04, 0.05, 0.1, 0.03, 0.02, 0.01, 0.15, 0.3, 0.05};
static const int    top[K] = {10, 2, 9, 5};

static double entropy_of_rest(const double *q, int n)
{
    double h = 0;
    for (int v = 0; v < n; v++)
        if (v != 10 && v != 2 && v != 9 && v != 5) h -= q[v] > 0 ? q[v] * log(q[v]) : 0;
    return h;
}

/* Without samples the mass outside is known on the entries alone. */
static void kept_entries_are_given_that_the_student_has_the_id(void **state)
{
    int32_t      ids[K];
    float        lp[K], entropy = (float)entropy_of_rest(p, IDS);
    const double left = 1 - p[10] - p[9], rest = 1 - p[10] - p[2] - p[9] - p[5];
    (void)state;
    for (int i = 0; i < K; i++) ids[i] = top[i], lp[i] = (float)log(p[top[i]]);
    ds_entries_share(HAS, K, ids, lp, 0, NULL, &entropy);
    assert_true(ids[0] == 2 && ids[1] == 5 && ids[2] == -1 && ids[3] == -1);
    assert_true(fabs(exp((double)lp[0]) - p[2] / left) < 1e-6 && fabs(exp((double)lp[1]) - p[5] / left) < 1e-6);
    assert_true(fabs((double)entropy - (entropy_of_rest(p, IDS) + rest * log(left)) / left) < 1e-6);
}

/* With many samples of the rest, kept entries and kept samples are the teacher's distribution over the student's ids. */
static void samples_say_how_much_of_the_rest_is_outside(void **state)
{
    enum { M = 40000 };
    static int32_t tail[M];
    int32_t        ids[K];
    float          lp[K];
    rt_rng         r    = {3};
    double         left = 0, mass[IDS] = {0}, P = 0;
    int            kept = 0;
    (void)state;
    for (int v = 0; v < HAS; v++) left += p[v];
    for (int i = 0; i < K; i++) ids[i] = top[i], lp[i] = (float)log(p[top[i]]);
    for (int j = 0; j < M; j++) do {
            double u = rt_rng_uniform(&r);
            for (tail[j] = 0; tail[j] < IDS - 1 && u >= p[tail[j]]; tail[j]++) u -= p[tail[j]];
        } while (tail[j] == 10 || tail[j] == 2 || tail[j] == 9 || tail[j] == 5);
    ds_entries_share(HAS, K, ids, lp, M, tail, NULL);
    for (int i = 0; i < K && ids[i] >= 0; i++) P += mass[ids[i]] = exp((double)lp[i]);
    while (kept < M && tail[kept] >= 0) kept++;
    for (int j = 0; j < kept; j++) mass[tail[j]] += (1 - P) / kept;
    for (int j = kept; j < M; j++) assert_int_equal(tail[j], -1);
    for (int v = 0; v < HAS; v++)
        if (!(fabs(mass[v] - p[v] / left) < 3e-3)) fail_msg("id %d has %.4f, not %.4f", v, mass[v], p[v] / left);
}

static void what_is_all_shared_is_not_touched(void **state)
{
    int32_t     ids[3] = {4, 1, 7}, tail[2] = {0, 8};
    const float was[3] = {-0.5f, -1.7f, -3.1f};
    float       lp[3], entropy = 0.25f;
    (void)state;
    memcpy(lp, was, sizeof lp);
    ds_entries_share(HAS, 3, ids, lp, 2, tail, &entropy);
    assert_memory_equal(lp, was, sizeof lp);
    assert_true(ids[0] == 4 && ids[1] == 1 && ids[2] == 7 && tail[0] == 0 && tail[1] == 8 && entropy == 0.25f);
}

static void a_row_of_nothing_shared_says_nothing(void **state)
{
    int32_t ids[2] = {10, 11}, tail[1] = {9};
    float   lp[2] = {-0.1f, -2.4f}, entropy = 0.01f;
    (void)state;
    ds_entries_share(HAS, 2, ids, lp, 1, tail, &entropy);
    assert_true(ids[0] == -1 && ids[1] == -1 && tail[0] == -1 && isfinite(entropy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_entries_are_given_that_the_student_has_the_id),
        cmocka_unit_test(samples_say_how_much_of_the_rest_is_outside),
        cmocka_unit_test(what_is_all_shared_is_not_touched),
        cmocka_unit_test(a_row_of_nothing_shared_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
