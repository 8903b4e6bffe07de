/* test_comm.c -- collectives: sums in rank order, the same bits on all ranks.  `test_comm [RANKS]`: by itself it is one rank;
 * tests/cli/ranks.sh runs it under mpirun with 1 to 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "tests/support/check.h"
#include "train/train.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rt_comm *g_comm;

/* What rank r holds at i: of sizes so different that the order of a sum shows. */
static double value(int r, int64_t i) { return ((double)(rt_mix2((uint64_t)r, (uint64_t)i) >> 40) - 8e6) * (i % 3 ? 1 : 1e-7); }

static float sum_f32(int64_t i)
{
    float s = (float)value(0, i);
    for (int r = 1; r < g_comm->size; r++) s += (float)value(r, i);
    return s;
}

static double sum_f64(int64_t i)
{
    double s = value(0, i);
    for (int r = 1; r < g_comm->size; r++) s += value(r, i);
    return s;
}

static const int64_t lengths[] = {0, 1, 2, 3, 1000, (1 << 20) + 5, 5000001}; /* fewer than ranks; more than one message each */

/* Wrong elements; no assertion in between, since a rank that left would leave the others waiting. */
static int64_t count_wrong(int64_t n)
{
    float  *x = malloc((size_t)(n + 1) * sizeof *x);
    double *y = malloc((size_t)(n + 1) * sizeof *y);
    int64_t from, to, wrong = 0;
    for (int64_t i = 0; i <= n; i++) x[i] = (float)(y[i] = value(g_comm->rank, i));
    wrong += g_comm->reduce_scatter(g_comm, x, n, sizeof *x) != RT_OK;
    wrong += g_comm->reduce_scatter(g_comm, y, n, sizeof *y) != RT_OK;
    rt_comm_share(g_comm, g_comm->rank, n, &from, &to);
    for (int64_t i = from; i < to; i++) wrong += x[i] != sum_f32(i) || y[i] != sum_f64(i);
    wrong += g_comm->all_gather(g_comm, x, n, sizeof *x) != RT_OK;
    wrong += g_comm->all_gather(g_comm, y, n, sizeof *y) != RT_OK;
    for (int64_t i = 0; i < n; i++) wrong += x[i] != sum_f32(i) || y[i] != sum_f64(i);
    wrong += x[n] != (float)value(g_comm->rank, n) || y[n] != value(g_comm->rank, n);
    free(x), free(y);
    return wrong;
}

static void gradients_are_added_in_rank_order(void **state)
{
    int64_t wrong = 0;
    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) wrong += count_wrong(lengths[l]);
    assert_int_equal(wrong, 0);
}

static void shares_cover_all(void **state)
{
    (void)state;
    for (int size = 1; size < 9; size++)
        for (int64_t n = 0; n < 40; n++) {
            const rt_comm c  = {.size = size};
            int64_t       at = 0, from, to;
            for (int r = 0; r < size; r++) {
                rt_comm_share(&c, r, n, &from, &to);
                assert_true(from == at && to - from >= n / size && to - from <= (n + size - 1) / size);
                at = to;
            }
            assert_int_equal(at, n);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shares_cover_all), cmocka_unit_test(gradients_are_added_in_rank_order)};
    if (tr_comm_open(&g_comm) != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    if (g_comm->size != (argc > 1 ? atoi(argv[1]) : 1)) return fprintf(stderr, "a world of %d ranks\n", g_comm->size), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
