/* test_choice.c -- which gemm backend is chosen: by RETORT_GEMM, by stored or measured rates, by the default order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_dir[] = "/tmp/retort_choice.XXXXXX", g_file[64];

static void assert_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0) fail_msg("expected '%s...', found '%s'", with, text);
}

/* The stored lines; empty: there is no file. */
static rt_buf stored(void)
{
    rt_buf b = {0};
    if (rt_file_exists(g_file)) assert_int_equal(rt_file_read(&b, g_file, 1 << 16), RT_OK);
    else assert_int_equal(rt_buf_str(&b, ""), RT_OK);
    return b;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

/* Measures, and replaces the rates in the newest line by these. */
static void store(const char *rates)
{
    unlink(g_file);
    assert_int_equal(kn_init_measured(), RT_OK);
    rt_buf b = stored(), changed = {0};
    char  *tab = strchr(b.p, '\t');
    assert_non_null(tab);
    assert_int_equal(rt_buf_fmt(&changed, "%.*s%s\n", (int)(tab - b.p), b.p, rates), RT_OK);
    assert_int_equal(rt_file_write(g_file, changed.p, changed.len), RT_OK);
    rt_buf_free(&b), rt_buf_free(&changed);
}

static void nothing_stored_the_order_decides(void **state)
{
    (void)state;
    assert_int_equal(kn_init(), RT_OK);
    assert_begins(kn_gemm_why(), "not measured, the first of ");
    assert_string_equal(kn_gemm_name_of_reals(), "own");
    assert_false(rt_file_exists(g_file));
}

static void rates_are_measured_once(void **state)
{
    (void)state;
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_begins(kn_gemm_why(), "measured: ");
    rt_buf first = stored();
    assert_int_equal(lines(first.p), 1);
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_int_equal(kn_init(), RT_OK);
    assert_begins(kn_gemm_why(), "measured: ");
    rt_buf second = stored();
    assert_string_equal(first.p, second.p);
    rt_buf_free(&first), rt_buf_free(&second);
}

static void a_lead_of_a_tenth_overturns_the_order(void **state)
{
    (void)state;
    store("\tbf16 1\town 100.0\topenblas 109.0");
    assert_int_equal(kn_init(), RT_OK);
    assert_string_equal(kn_gemm_name(), "own");
    store("\tbf16 1\town 100.0\topenblas 111.0");
    assert_int_equal(kn_init(), RT_OK);
    assert_string_equal(kn_gemm_name(), "openblas");
    assert_non_null(strstr(kn_gemm_why(), "own 100, openblas 111 GFLOP/s"));
    if (!kn_get()->gemm_bf16.emulated) {
        store("\tbf16 103\town 100.0\topenblas 111.0");
        assert_int_equal(kn_init(), RT_OK);
        assert_string_equal(kn_gemm_name(), "bf16");
        assert_string_equal(kn_gemm_name_of_reals(), "openblas");
    }
}

static void damaged_lines_are_measured_again(void **state)
{
    const char *const damaged[] = {"", "\town 100.0", "\town x\topenblas 1", "\town 100.0\topenblas -5", "\town 100.0\topenblas 1e99"};
    (void)state;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        store(damaged[i]);
        assert_int_equal(kn_init(), RT_OK);
        assert_begins(kn_gemm_why(), "not measured");
        assert_int_equal(kn_init_measured(), RT_OK);
        assert_begins(kn_gemm_why(), "measured: ");
        rt_buf b = stored();
        assert_int_equal(lines(b.p), 1);
        rt_buf_free(&b);
    }
    assert_int_equal(rt_file_write(g_file, "\0\n\xff", 3), RT_OK);
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_begins(kn_gemm_why(), "measured: ");
}

/* Another machine's line, from a folder that several share, is kept but does not decide. */
static void lines_of_others_are_kept(void **state)
{
    (void)state;
    store("\town 100.0\topenblas 111.0");
    rt_buf b = stored();
    b.p[0]   = 'X';
    assert_int_equal(rt_file_write(g_file, b.p, b.len), RT_OK);
    rt_buf_free(&b);
    assert_int_equal(kn_init(), RT_OK);
    assert_begins(kn_gemm_why(), "not measured");
    assert_int_equal(kn_init_measured(), RT_OK);
    b = stored();
    assert_int_equal(lines(b.p), 2);
    assert_begins(b.p, "retort ");
    assert_begins(strchr(b.p, '\n') + 1, "Xetort ");
    rt_buf_free(&b);
    setenv("RETORT_CPU", "ref", 1);
    assert_int_equal(kn_init(), RT_OK);
    if (kn_at(1)) assert_begins(kn_gemm_why(), "not measured");
    unsetenv("RETORT_CPU");
}

static void without_a_cache_nothing_is_measured(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_begins(kn_gemm_why(), "not measured");
    setenv("XDG_CACHE_HOME", "relative", 1); /* does not count, by the standard that defines it */
    setenv("HOME", "/dev/null", 1);
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_begins(kn_gemm_why(), "not measured");
    setenv("HOME", g_dir, 1);
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_begins(kn_gemm_why(), "measured: ");
}

static void a_file_that_cannot_be_written_keeps_the_order(void **state)
{
    (void)state;
    unlink(g_file);
    assert_int_equal(rt_dir_make(g_file), RT_OK); /* a folder in the file's place */
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_begins(kn_gemm_why(), "not measured");
    assert_string_equal(kn_gemm_name_of_reals(), "own");
}

static void a_request_decides(void **state)
{
    (void)state;
    store("\town 100.0\topenblas 111.0");
    setenv("RETORT_GEMM", "own", 1);
    assert_int_equal(kn_init_measured(), RT_OK);
    assert_string_equal(kn_gemm_name(), "own");
    assert_string_equal(kn_gemm_why(), "set by RETORT_GEMM");
    assert_true(kn_gemm_requested());
    setenv("RETORT_GEMM", "auto", 1);
    assert_int_equal(kn_init(), RT_OK);
    assert_string_equal(kn_gemm_name(), "openblas");
    assert_false(kn_gemm_requested());
    setenv("RETORT_GEMM", "fastest", 1);
    assert_int_equal(kn_init(), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "RETORT_GEMM=fastest: expected one of auto, bf16, own, openblas"));
}

static void what_is_used_is_recorded(void **state)
{
    char           expected[256];
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    (void)state;
    assert_int_equal(kn_gemm_take("openblas", "openblas", "for a test"), RT_OK);
    kn_gemm_put(&w, NULL);
    snprintf(
        expected, sizeof expected,
        "{\"backend\":\"openblas\",\"of_reals\":\"openblas\",\"kernel\":\"%s\",\"instruction\":\"%s\",\"tile\":\"%dx%d\",\"openblas\":\"%s\"}",
        kn_get()->isa, kn_get()->gemm.name, (int)kn_get()->gemm.mr, (int)kn_get()->gemm.nr, kn_blas_kernel());
    assert_string_equal(b.p, expected);
    assert_string_equal(kn_gemm_why(), "for a test");
    assert_int_equal(kn_gemm_take("amx", "own", "for a test"), RT_EINVAL);
    assert_int_equal(kn_gemm_take("bf16", "bf16", "for a test"), RT_EINVAL);
    assert_int_equal(kn_gemm_take("bf16", "openblas", "for a test"), RT_OK);
    rt_buf_clear(&b);
    kn_gemm_put(&w, NULL);
    assert_non_null(strstr(b.p, "\"backend\":\"bf16\",\"of_reals\":\"openblas\""));
    rt_buf_free(&b);
}

static int fresh(void **state)
{
    (void)state;
    unsetenv("RETORT_GEMM"), unsetenv("RETORT_CPU");
    setenv("XDG_CACHE_HOME", g_dir, 1);
    rt_dir_remove(g_file);
    return kn_init() != RT_OK;
}

static int choice_end(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_stored_the_order_decides, fresh),
        cmocka_unit_test_setup(rates_are_measured_once, fresh),
        cmocka_unit_test_setup(a_lead_of_a_tenth_overturns_the_order, fresh),
        cmocka_unit_test_setup(damaged_lines_are_measured_again, fresh),
        cmocka_unit_test_setup(lines_of_others_are_kept, fresh),
        cmocka_unit_test_setup(without_a_cache_nothing_is_measured, fresh),
        cmocka_unit_test_setup(a_file_that_cannot_be_written_keeps_the_order, fresh),
        cmocka_unit_test_setup(a_request_decides, fresh),
        cmocka_unit_test_setup(what_is_used_is_recorded, fresh),
    };
    if (!mkdtemp(g_dir) || fresh(NULL)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    snprintf(g_file, sizeof g_file, "%s/retort/gemm.txt", g_dir);
    if (kn_have_blas()) return cmocka_run_group_tests(tests, NULL, choice_end);
    choice_end(NULL);
    return printf("skipped: without OpenBLAS there is one backend to choose from\n"), 77;
}
