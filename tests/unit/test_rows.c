/* test_rows.c -- blocks of rows: slices, copies, and rows restricted to the ids that a smaller vocabulary has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "data/rows.h"
#include <math.h>
#include <stdlib.h>
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

static void restrict_row(ds_rows r) { ds_rows_restrict(&r, 0, HAS); }

/* Without samples the mass outside is known on the entries alone. */
static void kept_entries_are_given_that_the_student_has_the_id(void **state)
{
    int32_t      ids[K];
    float        lp[K], entropy = (float)entropy_of_rest(p, IDS);
    const double left = 1 - p[10] - p[9], rest = 1 - p[10] - p[2] - p[9] - p[5];
    (void)state;
    for (int i = 0; i < K; i++) ids[i] = top[i], lp[i] = (float)log(p[top[i]]);
    restrict_row((ds_rows){.n = 1, .k = K, .topk_ids = ids, .topk_logprob = lp, .tail_entropy = &entropy});
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
    restrict_row((ds_rows){.n = 1, .k = K, .m = M, .topk_ids = ids, .topk_logprob = lp, .tail_ids = tail});
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
    restrict_row((ds_rows){.n = 1, .k = 3, .m = 2, .topk_ids = ids, .topk_logprob = lp, .tail_ids = tail, .tail_entropy = &entropy});
    assert_memory_equal(lp, was, sizeof lp);
    assert_true(ids[0] == 4 && ids[1] == 1 && ids[2] == 7 && tail[0] == 0 && tail[1] == 8 && entropy == 0.25f);
}

static void a_row_of_nothing_shared_says_nothing(void **state)
{
    int32_t ids[2] = {10, 11}, tail[1] = {9};
    float   lp[2] = {-0.1f, -2.4f}, entropy = 0.01f;
    (void)state;
    restrict_row((ds_rows){.n = 1, .k = 2, .m = 1, .topk_ids = ids, .topk_logprob = lp, .tail_ids = tail, .tail_entropy = &entropy});
    assert_true(ids[0] == -1 && ids[1] == -1 && tail[0] == -1 && isfinite(entropy));
}

/* ---- blocks -------------------------------------------------------------------------------------- */

/* Fills every value with its own number. */
static void fill(ds_rows *r)
{
    for (int64_t i = 0; i < r->n; i++) {
        r->valid[i]        = (uint8_t)(i + 1);
        r->tail_mass[i]    = (float)i + 0.5f;
        r->tail_entropy[i] = (float)i + 0.25f;
        for (int64_t j = 0; j < r->k; j++) {
            r->topk_ids[i * r->k + j]     = (int32_t)(10 * i + j);
            r->topk_logprob[i * r->k + j] = -(float)(i + j + 1);
        }
        for (int64_t j = 0; j < r->m; j++) r->tail_ids[i * r->m + j] = (int32_t)(100 * i + j);
        for (int64_t j = 0; j < r->bytes; j++) r->encoded[i * r->bytes + j] = (uint8_t)(50 * i + j);
    }
}

static void a_slice_begins_at_its_row_in_every_column(void **state)
{
    ds_rows r = {.n = 4, .k = 3, .m = 2, .bytes = 5};
    (void)state;
    assert_int_equal(ds_rows_alloc(&r, DS_ALL_COLUMNS), RT_OK);
    fill(&r);
    const ds_rows s = ds_rows_slice(&r, 2, 2);
    assert_true(s.n == 2 && s.k == 3 && s.m == 2 && s.bytes == 5);
    assert_true(s.valid[0] == 3 && s.topk_ids[0] == 20 && s.topk_logprob[3] == -4.0f && s.tail_ids[1] == 201 && s.encoded[5] == 150);
    assert_true(s.tail_mass[1] == 3.5f && s.tail_entropy[0] == 2.25f && s.actual_logprob == r.actual_logprob + 2);
    ds_rows_free(&r);
    assert_null(r.encoded);
}

static void only_columns_that_are_asked_for_and_have_values_are_allocated(void **state)
{
    ds_rows r = {.n = 4, .k = 3};
    (void)state;
    assert_int_equal(ds_rows_alloc(&r, DS_COLUMN(topk_ids) | DS_COLUMN(tail_ids) | DS_COLUMN(tail_mass)), RT_OK);
    assert_true(r.topk_ids && r.tail_mass && !r.tail_ids && !r.topk_logprob && !r.valid && !r.encoded);
    r.topk_ids[11] = 7, r.topk_ids[5] = 7;
    ds_rows_clear(&r, 3);
    assert_true(r.topk_ids[5] == 0 && r.topk_ids[11] == 7);
    ds_rows_free(&r);
}

/* Entries beyond the smaller k move into the tail: its entropy grows by their -p log p. */
static void a_copy_may_have_fewer_entries(void **state)
{
    ds_rows from = {.n = 3, .k = 3, .m = 2, .bytes = 1}, to = {.n = 2, .k = 1, .m = 2};
    (void)state;
    assert_int_equal(ds_rows_alloc(&from, DS_ALL_COLUMNS), RT_OK);
    assert_int_equal(ds_rows_alloc(&to, DS_COLUMN(topk_ids) | DS_COLUMN(topk_logprob) | DS_COLUMN(tail_ids) | DS_COLUMN(tail_entropy)),
                     RT_OK);
    fill(&from);
    ds_rows_copy(&to, 1, &from, 2);
    assert_true(to.topk_ids[0] == 0 && to.topk_ids[1] == 20 && to.topk_logprob[1] == -3.0f && to.tail_ids[2] == 200 &&
                to.tail_ids[3] == 201);
    assert_true(fabs((double)to.tail_entropy[1] - (2.25 + 4 * exp(-4) + 5 * exp(-5))) < 1e-6);
    from.tail_entropy = (free(from.tail_entropy), NULL);
    ds_rows_copy(&to, 0, &from, 0);
    assert_true(isnan(to.tail_entropy[0]) && to.topk_ids[0] == 0 && to.topk_logprob[0] == -1.0f);
    ds_rows_free(&from), ds_rows_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_entries_are_given_that_the_student_has_the_id),
        cmocka_unit_test(samples_say_how_much_of_the_rest_is_outside),
        cmocka_unit_test(what_is_all_shared_is_not_touched),
        cmocka_unit_test(a_row_of_nothing_shared_says_nothing),
        cmocka_unit_test(a_slice_begins_at_its_row_in_every_column),
        cmocka_unit_test(only_columns_that_are_asked_for_and_have_values_are_allocated),
        cmocka_unit_test(a_copy_may_have_fewer_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
