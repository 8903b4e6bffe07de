/* test_state.c -- the optimiser's state in parts: any cut is read into any other, and parts that do not cover the whole are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "data/h5.h"
#include "tests/support/check.h"
#include "train/state.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seven blocks: three of a matrix, one of a vector, three of a matrix. */
enum { PARAMETERS = 3, MOST = 40000, BLOCKS = 7 };
static const int64_t   g_n[PARAMETERS]    = {MOST, 100, 33000};
static const kn_type   g_type[PARAMETERS] = {KN_REAL, KN_BF16, KN_BF16};
static real            g_weight[MOST], g_grad[MOST];
static kn_bf16         g_half[PARAMETERS][MOST];
static const tr_counts g_counts = {.step = 12, .skipped = 2, .best_step = 8, .best_ce = 1.25};
static char            g_dir[]  = "/tmp/retort-state-XXXXXX";

static opt_state *owner(int64_t from, int64_t to)
{
    opt_param  p[PARAMETERS];
    opt_state *s = NULL;
    for (int i = 0; i < PARAMETERS; i++)
        p[i] = (opt_param){g_type[i] == KN_REAL ? (void *)g_weight : (void *)g_half[i], g_type[i], g_grad, g_n[i], 1};
    assert_int_equal(opt_blocks(p, PARAMETERS), BLOCKS);
    ok(opt_create(&s, p, PARAMETERS, from, to));
    return s;
}

static real value(int parameter, int what, int64_t j) { return (real)((parameter * 3 + what) * MOST + j) / 7; }

static void fill(opt_state *s, int with_values)
{
    for (int i = 0; i < PARAMETERS; i++) {
        const opt_view v     = opt_at(s, i);
        real *const    all[] = {v.master, v.m, v.v};
        for (int what = 0; what < 3; what++)
            for (int64_t j = 0; j < v.n; j++) all[what][j] = with_values ? value(i, what, v.at + j) : -1;
    }
}

static void check(opt_state *s)
{
    for (int i = 0; i < PARAMETERS; i++) {
        const opt_view v     = opt_at(s, i);
        real *const    all[] = {v.master, v.m, v.v};
        for (int what = 0; what < 3; what++)
            for (int64_t j = 0; j < v.n; j++)
                if (all[what][j] != value(i, what, v.at + j)) fail_msg("parameter %d, array %d, element %d", i, what, (int)(v.at + j));
        for (int64_t j = 0; g_type[i] == KN_BF16 && j < v.n; j++) {
            kn_bf16 rounded;
            kn_put(&rounded, KN_BF16, 0, v.master + j, 1, 0);
            assert_int_equal(g_half[i][v.at + j], rounded);
        }
    }
}

static void empty_folder(void)
{
    ok(rt_dir_remove(g_dir));
    ok(rt_dir_make(g_dir));
}

/* Writes blocks from .. to-1 as a part of the state. */
static void write_part(int64_t from, int64_t to, int part, int parts, int64_t step)
{
    tr_counts  c = g_counts;
    opt_state *s = owner(from, to);
    c.step       = step;
    fill(s, 1);
    ok(tr_state_write(g_dir, s, &c, part, parts));
    opt_destroy(&s);
}

/* The order of the files need not be that of the elements. */
static void write_cut(int parts)
{
    empty_folder();
    for (int k = 0; k < parts; k++)
        write_part(BLOCKS * k / parts, BLOCKS * (k + 1) / parts, parts == 3 ? parts - 1 - k : k, parts, g_counts.step);
}

static rt_status read_range(int64_t from, int64_t to, int checked)
{
    tr_counts       c  = {0};
    opt_state      *s  = owner(from, to);
    const rt_status st = (fill(s, 0), tr_state_read(g_dir, s, &c));
    if (st == RT_OK && checked) {
        check(s);
        assert_memory_equal(&c, &g_counts, sizeof c);
    }
    opt_destroy(&s);
    return st;
}

static void refused(const char *why)
{
    assert_int_equal(read_range(0, BLOCKS, 0), RT_EFORMAT);
    if (!strstr(rt_error_text(), why)) fail_msg("\"%s\" does not say \"%s\"", rt_error_text(), why);
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

static void any_cut_is_read_into_any_other(void **state)
{
    (void)state;
    for (int parts = 1; parts <= 4; parts++) {
        write_cut(parts);
        for (int readers = 1; readers <= 4; readers++)
            for (int k = 0; k < readers; k++) ok(read_range(BLOCKS * k / readers, BLOCKS * (k + 1) / readers, 1));
        ok(read_range(1, 2, 1)); /* the middle of a parameter, inside a part */
    }
}

static int has(const char *file, const char *set)
{
    char   path[96];
    ds_h5 *f = NULL;
    snprintf(path, sizeof path, "%s/%s", g_dir, file);
    ok(ds_h5_open(&f, path));
    const int found = ds_h5_has(f, set);
    ok(ds_h5_close(&f));
    return found;
}

static void ranges_are_recorded_where_a_part_is_not_whole(void **state)
{
    (void)state;
    write_cut(1);
    assert_true(has("state-000-of-001.h5", "0.master") && !has("state-000-of-001.h5", "0.range"));
    write_cut(4); /* blocks 0; 1, 2; 3, 4; 5, 6 */
    assert_true(has("state-000-of-004.h5", "0.range") && !has("state-000-of-004.h5", "1.master"));
    assert_true(has("state-002-of-004.h5", "1.master") && !has("state-002-of-004.h5", "1.range") && has("state-002-of-004.h5", "2.range"));
}

static void missing_parts_are_refused(void **state)
{
    char path[96];
    (void)state;
    empty_folder();
    refused("state-000-of-001.h5 is missing");
    write_cut(3);
    snprintf(path, sizeof path, "%s/state-002-of-003.h5", g_dir);
    assert_int_equal(unlink(path), 0);
    refused("state-002-of-003.h5 is missing");
    write_cut(3);
    snprintf(path, sizeof path, "%s/state-001-of-003.h5", g_dir);
    assert_int_equal(unlink(path), 0);
    refused("expected state-001-of-003.h5");
    write_cut(2);
    write_part(0, BLOCKS, 0, 1, g_counts.step);
    refused("expected state-001-of-001.h5");
}

static void elements_in_no_part_or_in_two_are_refused(void **state)
{
    (void)state;
    empty_folder();
    write_part(0, 1, 0, 2, 12), write_part(2, BLOCKS, 1, 2, 12);
    refused("elements 16384 to 32767 of parameter 0 are in no part");
    write_part(0, 3, 0, 2, 12), write_part(4, BLOCKS, 1, 2, 12);
    refused("elements 0 to 99 of parameter 1 are in no part");
    write_part(0, 4, 0, 2, 12), write_part(4, BLOCKS - 1, 1, 2, 12);
    refused("elements 32768 to 32999 of parameter 2 are in no part");
    write_part(0, 4, 0, 2, 12), write_part(2, BLOCKS, 1, 2, 12);
    refused("element 32768 of parameter 0 is in two parts");
    write_part(0, 4, 0, 2, 12), write_part(3, BLOCKS, 1, 2, 12);
    refused("element 0 of parameter 1 is in two parts");
    write_part(0, 4, 0, 2, 12), write_part(4, BLOCKS, 1, 2, 12);
    ok(read_range(0, BLOCKS, 1));
}

static void parts_of_two_steps_are_refused(void **state)
{
    (void)state;
    write_cut(4);
    write_part(BLOCKS * 2 / 4, BLOCKS * 3 / 4, 2, 4, 13);
    refused("state-002-of-004.h5 is of step 13, part 0 of step 12");
}

static int clean(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_is_read_into_any_other), cmocka_unit_test(ranges_are_recorded_where_a_part_is_not_whole),
        cmocka_unit_test(missing_parts_are_refused),      cmocka_unit_test(elements_in_no_part_or_in_two_are_refused),
        cmocka_unit_test(parts_of_two_steps_are_refused),
    };
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, clean);
}
