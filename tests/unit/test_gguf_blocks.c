/* test_gguf_blocks.c -- the values of GGUF's blocks: a block of each type written out by hand, and the blocks of tests/golden, whose values are those
 * that ggml's Python package reads (tests/peers/make_gguf_blocks.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/gguf_blocks.h"
#include "model/safetensors.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const all_types[] = {"F32",  "F16",  "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                        "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"};
enum { TYPES = sizeof all_types / sizeof *all_types };

/* ---- by hand ------------------------------------------------------------------------------------ */

/* A block of zeros but for these bytes, in half precision 0x3c00 = 1 and 0xb800 = -1/2, and the values of some elements. */
typedef struct example {
    const char *type;
    struct {
        int     at, n;
        uint8_t byte[4];
    } bytes[8];
    struct {
        int    element;
        double value;
    } values[4];
} example;

#define ONE  0x00, 0x3c
#define HALF 0x00, 0xb8
static const example examples[] = {
    {"F32", {{0, 4, {0, 0, 0x80, 0x3f}}}, {{0, 1}}},
    {"F16", {{0, 2, {ONE}}}, {{0, 1}}},
    {"BF16", {{0, 2, {0x80, 0x3f}}}, {{0, 1}}},
    {"Q4_0", {{0, 2, {HALF}}, {2, 2, {0x9f, 0x08}}}, {{0, -3.5}, {16, -0.5}, {1, -0.0}, {17, 4}}},
    {"Q4_1", {{0, 4, {ONE, HALF}}, {5, 1, {0x2f}}}, {{1, 14.5}, {17, 1.5}, {0, -0.5}}},
    {"Q5_0", {{0, 2, {ONE}}, {2, 4, {0x02, 0, 0x01, 0}}, {6, 1, {0x30}}}, {{0, -16}, {1, 0}, {16, 3}}},
    {"Q5_1", {{0, 4, {ONE, HALF}}, {7, 1, {0x80}}, {8, 1, {0x51}}}, {{0, 0.5}, {16, 4.5}, {31, 15.5}}},
    {"Q8_0", {{0, 2, {HALF}}, {2, 1, {0x80}}, {33, 1, {3}}}, {{0, 64}, {31, -1.5}, {1, -0.0}}},
    {"Q2_K",
     {{0, 2, {0x21, 0x03}}, {16, 1, {0xe4}}, {32, 1, {0x03}}, {8, 1, {0x01}}, {48, 1, {0x02}}, {80, 4, {ONE, HALF}}},
     {{0, 1}, {16, 9}, {96, 0}, {128, 2}}},
    {"Q3_K",
     {{0, 1, {0x01}}, {32, 1, {0x03}}, {96, 1, {0x52}}, {104, 1, {0x12}}, {108, 2, {ONE}}},
     {{0, 6}, {1, -8}, {16, 128}, {128, 44}}},
    {"Q4_K",
     {{0, 4, {ONE, HALF}}, {4, 1, {0x43}}, {8, 1, {0x82}}, {12, 1, {0x51}}, {16, 1, {0x52}}, {80, 1, {0x03}}},
     {{0, 7}, {32, 0}, {128, 69.5}, {160, 0}}},
    {"Q5_K", {{0, 4, {ONE, HALF}}, {5, 1, {0x02}}, {9, 1, {0x04}}, {16, 1, {0x02}}, {48, 1, {0x50}}}, {{0, 0}, {32, 44}, {33, 2}, {64, 0}}},
    {"Q6_K",
     {{0, 1, {0x71}}, {128, 1, {0x0e}}, {192, 4, {2, 0, 1, 0}}, {196, 1, {0xff}}, {208, 2, {ONE}}},
     {{0, 2}, {1, -64}, {32, 16}, {64, 25}}},
    {"IQ4_NL", {{0, 2, {ONE}}, {2, 1, {0xf8}}}, {{0, 1}, {16, 113}, {1, -127}}},
};

static void blocks_written_by_hand(void **state)
{
    (void)state;
    assert_int_equal(sizeof examples / sizeof *examples, TYPES);
    for (size_t i = 0; i < TYPES; i++) {
        const example      *e                        = &examples[i];
        const md_gguf_type *type                     = md_gguf_type_named(e->type);
        _Alignas(8) uint8_t block[MD_GGUF_MAX_BLOCK] = {0};
        real                x[MD_GGUF_MAX_BLOCK];
        for (int j = 0; j < 8; j++) memcpy(block + e->bytes[j].at, e->bytes[j].byte, (size_t)e->bytes[j].n);
        type->to_real(x, block, 1);
        for (int j = 0; j < 4 && (!j || e->values[j].element); j++) {
            const double v = (double)x[e->values[j].element];
            if (v != e->values[j].value || !signbit(v) != !signbit(e->values[j].value))
                fail_msg("%s[%d]: %g, expected %g", e->type, e->values[j].element, v, e->values[j].value);
        }
    }
}

/* ---- by ggml ------------------------------------------------------------------------------------- */

/* A tensor of the golden file as it is stored; free(). */
static void *golden(const char *tensor, int64_t *bytes)
{
    static md_st *file;
    char          path[512];
    void         *p;
    snprintf(path, sizeof path, "%s/tests/golden/gguf_blocks.safetensors", getenv("SOURCE_DIR"));
    if (!file) ok(md_st_open(&file, path));
    const md_st_tensor *t = md_st_find(file, tensor);
    if (!t) fail_msg("no %s", tensor);
    *bytes = t->end - t->begin;
    ok(rt_alloc(&p, *bytes, 1, tensor));
    ok(md_st_read(file, t, p));
    return p;
}

/* All bits are equal, those of a NaN too. */
static void values_are_those_of_ggml(void **state)
{
    (void)state;
    for (int i = 0; i < TYPES; i++) {
        const md_gguf_type *type = md_gguf_type_named(all_types[i]);
        int64_t             bytes, n;
        char                name[2][32];
        snprintf(name[0], sizeof *name, "%s.blocks", type->name), snprintf(name[1], sizeof *name, "%s.values", type->name);
        uint8_t *blocks = golden(name[0], &bytes);
        float   *values = golden(name[1], &n);
        real     x[2 * MD_GGUF_MAX_BLOCK];
        assert_int_equal(bytes, 2 * type->bytes);
        assert_int_equal(n, 2 * type->block * (int64_t)sizeof *values);
        assert_ptr_equal(md_gguf_type_of(type->id), type);
        type->to_real(x, blocks, 2);
        for (int64_t j = 0; j < 2 * type->block; j++) {
            const float v = (float)x[j];
            if (memcmp(&v, &values[j], sizeof v) != 0)
                fail_msg("%s[%lld]: %.9g, ggml %.9g", type->name, (long long)j, (double)v, (double)values[j]);
        }
        free(blocks), free(values);
    }
}

/* The blocks that ggml makes of the same values: the same levels and scales. */
static void blocks_are_those_of_ggml(void **state)
{
    static const char *const written[] = {"Q4_0", "Q8_0", "Q4_K", "Q6_K"};
    int64_t                  size, bytes;
    float                   *source = golden("source", &size);
    const int64_t            n      = size / (int64_t)sizeof *source;
    real                    *x      = calloc((size_t)n, sizeof *x);
    (void)state;
    for (int64_t i = 0; i < n; i++) x[i] = (real)source[i];
    for (int i = 0; i < 4; i++) {
        const md_gguf_type *type = md_gguf_type_named(written[i]);
        char                name[32];
        snprintf(name, sizeof name, "%s.written", type->name);
        uint8_t *blocks = golden(name, &bytes), *ours = calloc(1, (size_t)bytes);
        assert_int_equal(bytes, n / type->block * type->bytes);
        type->from_real(ours, x, n / type->block);
        for (int64_t j = 0; j < bytes; j++)
            if (ours[j] != blocks[j])
                fail_msg("%s: byte %lld of block %lld: %d, ggml %d", type->name, (long long)(j % type->bytes), (long long)(j / type->bytes),
                         ours[j], blocks[j]);
        free(blocks), free(ours);
    }
    free(source), free(x);
}

/* Weights so small that the inverse of their scale is infinite, and such weights among others. */
static void tiny_weights_stay_tiny(void **state)
{
    static const char *const written[] = {"Q4_0", "Q8_0", "Q4_K", "Q6_K"};
    (void)state;
    for (int i = 0; i < 8; i++) {
        const md_gguf_type *type = md_gguf_type_named(written[i / 2]);
        real                x[MD_GGUF_MAX_BLOCK], back[MD_GGUF_MAX_BLOCK];
        _Alignas(8) uint8_t block[8 * 34];
        for (int j = 0; j < MD_GGUF_MAX_BLOCK; j++) x[j] = (real)(1e-44f * (float)(j % 7 - 3));
        if (i % 2) x[100] = 1;
        type->from_real(block, x, MD_GGUF_MAX_BLOCK / type->block);
        type->to_real(back, block, MD_GGUF_MAX_BLOCK / type->block);
        for (int j = 0; j < MD_GGUF_MAX_BLOCK; j++)
            if (!(fabs((double)back[j] - (double)x[j]) < 0.04)) fail_msg("%s[%d]: %g for %g", type->name, j, (double)back[j], (double)x[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_written_by_hand), cmocka_unit_test(values_are_those_of_ggml),
                                       cmocka_unit_test(blocks_are_those_of_ggml), cmocka_unit_test(tiny_weights_stay_tiny)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
