/* test_h5.c -- HDF5 wrapper: round trips, wrong types and sizes, damage, a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/h5.h"
#include "tests/support/one_file.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { N = 100000 };

static void write_file(void)
{
    ds_h5   *f;
    float   *x = malloc(N * sizeof *x);
    int64_t *y = malloc(N * sizeof *y);
    for (int i = 0; i < N; i++) x[i] = (float)i * 0.5f, y[i] = i - 5;
    assert_int_equal(ds_h5_create(&f, g_path), RT_OK);
    assert_int_equal(ds_h5_put(f, "/moments/first", DS_F32, x, N), RT_OK);
    assert_int_equal(ds_h5_put(f, "/y", DS_I64, y, N), RT_OK);
    assert_int_equal(ds_h5_put(f, "/none", DS_U8, NULL, 0), RT_OK);
    assert_int_equal(ds_h5_put_text(f, "note", "a text\nof two lines: \xc3\xa9"), RT_OK);
    assert_int_equal(ds_h5_close(&f), RT_OK);
    assert_null(f);
    free(x);
    free(y);
}

static void round_trip(void **state)
{
    (void)state;
    ds_h5  *f;
    float  *x = malloc(N * sizeof *x);
    int64_t y[3];
    rt_buf  b = {0};
    write_file();
    assert_int_equal(ds_h5_open(&f, g_path), RT_OK);
    assert_int_equal(ds_h5_get(f, "/moments/first", DS_F32, x, N), RT_OK);
    for (int i = 0; i < N; i++) assert_true(x[i] == (float)i * 0.5f);
    assert_int_equal(ds_h5_get(f, "/none", DS_U8, x, 0), RT_OK);
    assert_int_equal(ds_h5_get_text(f, "note", &b), RT_OK);
    assert_string_equal(b.p, "a text\nof two lines: \xc3\xa9");
    assert_int_equal(ds_h5_get(f, "/y", DS_I64, y, 3), RT_EFORMAT);
    assert_int_equal(ds_h5_get(f, "/y", DS_F64, x, N / 2), RT_EFORMAT);
    assert_int_equal(ds_h5_get(f, "/absent", DS_F64, x, 1), RT_EFORMAT);
    assert_int_equal(ds_h5_get_text(f, "absent", &b), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "absent"));
    assert_int_equal(ds_h5_close(&f), RT_OK);
    rt_buf_free(&b);
    free(x);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    ds_h5 *f;
    write_file();
    const int64_t size = rt_file_size(g_path);
    for (int i = 15; i >= 0; i--) {
        assert_int_equal(truncate(g_path, size * i / 16), 0);
        assert_int_equal(ds_h5_open(&f, g_path), RT_EFORMAT);
        assert_non_null(strstr(rt_error_text(), g_path));
        assert_null(strchr(rt_error_text(), '\n'));
    }
    unlink(g_path);
    assert_int_equal(ds_h5_open(&f, g_path), RT_ENOENT);
}

static void flipped_byte_is_found(void **state)
{
    (void)state;
    ds_h5 *f;
    float *x = malloc(N * sizeof *x);
    write_file();
    FILE *raw = fopen(g_path, "r+b");
    fseek(raw, (long)rt_file_size(g_path) / 4, SEEK_SET); /* inside the first data set */
    const int c = fgetc(raw);
    fseek(raw, -1, SEEK_CUR);
    fputc(c ^ 1, raw);
    fclose(raw);
    assert_int_equal(ds_h5_open(&f, g_path), RT_OK);
    assert_int_equal(ds_h5_get(f, "/moments/first", DS_F32, x, N), RT_EFORMAT);
    assert_int_equal(ds_h5_close(&f), RT_OK);
    free(x);
}

/* An unfinished file says so: its writer died before closing. */
static void unfinished_is_refused(void **state)
{
    (void)state;
    ds_h5 *f, *g;
    int    x = 1;
    assert_int_equal(ds_h5_create(&f, g_path), RT_OK);
    assert_int_equal(ds_h5_put(f, "/x", DS_I32, &x, 1), RT_OK);
    char other[128], line[300];
    snprintf(other, sizeof other, "%s/b.h5", g_dir);
    snprintf(line, sizeof line, "cp %s %s", g_path, other);
    assert_int_equal(system(line), 0);
    assert_int_not_equal(ds_h5_open(&g, other), RT_OK);
    assert_int_equal(ds_h5_close(&f), RT_OK);
}

static void full_disk(void **state)
{
    (void)state;
    struct rlimit old, small;
    ds_h5        *f;
    double       *x = malloc(N * sizeof *x);
    for (int i = 0; i < N; i++) x[i] = 1.0 / (i + 1);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t limit = 50; limit < 900000; limit = limit * 3 / 2) {
        small = (struct rlimit){limit, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        rt_status st = ds_h5_create(&f, g_path);
        if (st == RT_OK) {
            st                   = ds_h5_put(f, "/x", DS_F64, x, N);
            const rt_status last = ds_h5_close(&f);
            if (st == RT_OK) st = last;
        }
        setrlimit(RLIMIT_FSIZE, &old);
        if (limit < 800000) assert_int_equal(st, RT_ENOSPC);
    }
    free(x);
}

/* HDF5 records times in seconds unless it is told not to. */
static void equal_content_gives_equal_files(void **state)
{
    static char   bytes[2][1 << 14];
    size_t        n[2];
    const int64_t y[3] = {1, 2, 3};
    (void)state;
    for (int i = 0; i < 2; i++) {
        ds_h5 *f;
        unlink(g_path);
        if (i) usleep(1100000);
        assert_int_equal(ds_h5_create(&f, g_path), RT_OK);
        assert_int_equal(ds_h5_put(f, "/y", DS_I64, y, 3), RT_OK);
        assert_int_equal(ds_h5_close(&f), RT_OK);
        FILE *in = fopen(g_path, "rb");
        n[i]     = fread(bytes[i], 1, sizeof bytes[i], in);
        fclose(in);
    }
    assert_true(n[0] == n[1] && n[0] < sizeof bytes[0]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(flipped_byte_is_found),
        cmocka_unit_test(unfinished_is_refused),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(equal_content_gives_equal_files),
    };
    return cmocka_run_group_tests_name("h5", tests, set_up, tear_down);
}
