/* test_stored.c -- the types and the places of stored weights: floats of 16 and 8 bits, and links out of a model's folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "model/half.h"
#include "model/model.h"
#include "model/safetensors.h"
#include "tests/support/check.h"
#include "tests/support/tensor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_dir[] = "/tmp/retort-stored-XXXXXX";

/* ---- numbers ---------------------------------------------------------------------------------- */

static void small_floats_have_the_values_of_their_standards(void **state)
{
    static const struct {
        int    bits;
        double value;
    } half[] = {{0x0001, 0x1p-24}, {0x03ff, 1023 * 0x1p-24}, {0x0400, 0x1p-14}, {0x3c00, 1}, {0x3c01, 1 + 0x1p-10},
                {0xc000, -2},      {0x7bff, 65504}},
      e4m3[] = {{0x01, 0x1p-9}, {0x07, 7 * 0x1p-9}, {0x08, 0x1p-6}, {0x38, 1}, {0x39, 1.125}, {0xc4, -3}, {0x7e, 448}},
      e5m2[] = {{0x01, 0x1p-16}, {0x03, 3 * 0x1p-16}, {0x04, 0x1p-14}, {0x3c, 1}, {0x3d, 1.25}, {0xc2, -3}, {0x7b, 57344}};
    (void)state;
    for (int i = 0; i < 7; i++) {
        assert_true(md_half_value((uint16_t)half[i].bits) == half[i].value);
        assert_true(md_e4m3_value((uint8_t)e4m3[i].bits) == e4m3[i].value);
        assert_true(md_e5m2_value((uint8_t)e5m2[i].bits) == e5m2[i].value);
    }
    assert_true(isnan(md_e4m3_value(0x7f)) && isnan(md_e4m3_value(0xff)) && isnan(md_e5m2_value(0x7d)) && isnan(md_half_value(0x7e00)));
    assert_true(md_e5m2_value(0xfc) == -(double)INFINITY && md_half_value(0x7c00) == (double)INFINITY);
    assert_true(signbit(md_half_value(0x8000)) && signbit(md_e4m3_value(0x80)));
}

static void halves_are_rounded_to_the_nearest(void **state)
{
    (void)state;
    for (int b = 0; b < 0x10000; b++)
        if (!isnan(md_half_value((uint16_t)b))) assert_int_equal(md_half_bits((float)md_half_value((uint16_t)b)), b);
    for (int b = 0; b < 0x7bff; b++) { /* halfway between two neighbours: the even one */
        const double middle = (md_half_value((uint16_t)b) + md_half_value((uint16_t)(b + 1))) / 2;
        assert_int_equal(md_half_bits((float)middle), b + (b & 1));
        assert_int_equal(md_half_bits(nextafterf((float)middle, 1e9f)), b + 1);
        assert_int_equal(md_half_bits(-nextafterf((float)middle, 0)), b | 0x8000);
    }
    assert_int_equal(md_half_bits(65519), 0x7bff);
    assert_int_equal(md_half_bits(65520), 0x7c00);
    assert_int_equal(md_half_bits(-1e30f), 0xfc00);
    assert_int_equal(md_half_bits(1e-9f), 0);
    assert_true(isnan(md_half_value(md_half_bits(NAN))));
}

/* ---- types of safetensors ----------------------------------------------------------------------- */

static char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", g_dir, name);
    return path;
}

static void small_floats_are_read_as_reals(void **state)
{
    static const struct {
        const char *type;
        uint8_t     bytes[4];
        int64_t     n;
        double      value[4];
    } all[] = {{"F8_E4M3", {0x38, 0xc4, 0x01, 0x7e}, 4, {1, -3, 0x1p-9, 448}},
               {"F8_E5M2", {0x3c, 0xc2, 0x01, 0x7b}, 4, {1, -3, 0x1p-16, 57344}},
               {"F16", {0x00, 0x3c, 0x01, 0x00}, 2, {1, 0x1p-24}}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        md_st_tensor list = {.name = "x", .nd = 1, .shape = {all[i].n}};
        md_st       *f;
        real         x[4];
        strcpy(list.dtype, all[i].type);
        ok(md_st_begin(&f, in_dir("x.safetensors"), &list, 1));
        ok(md_st_write(f, all[i].bytes, 4));
        ok(md_st_end(&f));
        ok(md_st_open(&f, in_dir("x.safetensors")));
        ok(md_st_read_real(f, md_st_find(f, "x"), x));
        for (int j = 0; j < all[i].n; j++) assert_true((double)x[j] == all[i].value[j]);
        md_st_close(&f);
    }
}

/* ---- links ----------------------------------------------------------------------------------------- */

static void write_model(const char *dir)
{
    const md_config c = {
        .V = 8, .C = 8, .L = 1, .H = 2, .KV = 1, .D = 4, .F = 8, .context = 8, .rope.theta = 1e4, .norm_eps = 1e-5, .bos = -1};
    md_model *m;
    ok(md_create(&m, &c, KN_REAL));
    md_init(m, 1);
    ok(md_save(m, dir, KN_REAL));
    md_destroy(&m);
}

/* Replaces the weights of the folder `dir` by a link to `target`, to which they are moved, and returns the status of loading. */
static rt_status load_linked(const char *dir, const char *from, const char *target)
{
    char      weights[256];
    md_model *m = NULL;
    write_model(dir);
    snprintf(weights, sizeof weights, "%s/model.safetensors", dir);
    assert_int_equal(rename(weights, in_dir(from)), 0);
    assert_int_equal(symlink(target, weights), 0);
    const rt_status st = md_load(&m, dir, KN_REAL);
    md_destroy(&m);
    return st;
}

static void links_stay_within_the_folder(void **state)
{
    char plain[128], snapshot[192];
    (void)state;
    snprintf(plain, sizeof plain, "%s/plain", g_dir);
    ok(load_linked(plain, "plain/weights", "weights"));
    ok(rt_dir_remove(plain));
    assert_int_equal(load_linked(plain, "outside", "../outside"), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "expected a file of the model's folder, found a link to"));
    ok(rt_dir_make(in_dir("plainer")));
    ok(rt_dir_remove(plain));
    assert_int_equal(load_linked(plain, "plainer/x", "../plainer/x"), RT_EFORMAT); /* a name that begins like the folder's */

    snprintf(snapshot, sizeof snapshot, "%s/models--a--b/snapshots/1", g_dir);
    ok(rt_dir_make(in_dir("models--a--b/blobs")));
    ok(load_linked(snapshot, "models--a--b/blobs/f0", "../../blobs/f0"));
    ok(rt_dir_remove(snapshot));
    assert_int_equal(load_linked(snapshot, "outside", "../../../outside"), RT_EFORMAT);
    ok(rt_dir_remove(snapshot));
    ok(rt_dir_make(in_dir("models--c/blobs")));
    assert_int_equal(load_linked(snapshot, "models--c/blobs/f0", "../../../models--c/blobs/f0"), RT_EFORMAT);
}

static rt_status load_tokenizer(const char *dir)
{
    ds_tokenizer *t = NULL;
    return ds_tokenizer_load(&t, dir);
}

static rt_status read_config(const char *dir)
{
    md_config c;
    return md_config_read(&c, dir);
}

static rt_status load_model(const char *dir)
{
    md_model       *m  = NULL;
    const rt_status st = md_load(&m, dir, KN_REAL);
    md_destroy(&m);
    return st;
}

static void every_file_stays_within_the_folder(void **state)
{
    static const struct {
        const char *name;
        rt_status (*load)(const char *dir);
    } files[] = {{"config.json", read_config},
                 {"generation_config.json", read_config},
                 {"model.gguf", read_config},
                 {"model.safetensors.index.json", load_model},
                 {"tokenizer.json", load_tokenizer}};
    (void)state;
    ok(rt_file_write(in_dir("any"), "{}", 2));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char dir[128], link[192];
        snprintf(dir, sizeof dir, "%s/linked", g_dir);
        snprintf(link, sizeof link, "%s/%s", dir, files[i].name);
        write_model(dir);
        if (i == 2) ok(rt_dir_remove(in_dir("linked/model.safetensors")));
        unlink(link);
        assert_int_equal(symlink("../any", link), 0);
        assert_int_equal(files[i].load(dir), RT_EFORMAT);
        if (!strstr(rt_error_text(), "expected a file of the model's folder")) fail_msg("%s: %s", files[i].name, rt_error_text());
        ok(rt_dir_remove(dir));
    }
}

static int remove_dir(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_floats_have_the_values_of_their_standards),
                                       cmocka_unit_test(halves_are_rounded_to_the_nearest),
                                       cmocka_unit_test(small_floats_are_read_as_reals), cmocka_unit_test(links_stay_within_the_folder),
                                       cmocka_unit_test(every_file_stays_within_the_folder)};
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, remove_dir);
}
