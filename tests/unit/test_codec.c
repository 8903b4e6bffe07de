/* test_codec.c -- codes of coordinates: the quantiser, the packing of bits, what a decoder may not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "data/shard/columns.h"
#include <math.h>
#include <string.h>

enum { R = 9, V = 5, BYTES = 6 };
static const uint8_t bits[R]  = {8, 7, 6, 5, 4, 3, 2, 1, 5}; /* 41 bits; codes begin everywhere in a byte */
static const double  clips[9] = {0, 1.6, 1.9, 2.3, 2.7, 3.1, 3.5, 3.8, 4.0};

static ds_codec *make(void)
{
    ds_codec *s;
    assert_int_equal(ds_codec_create(&s, R, V, BYTES), RT_OK);
    memcpy(s->bits, bits, R);
    for (int i = 0; i < R; i++) s->scale[i] = 0.25f * (float)(i + 1);
    return s;
}

static void codes_are_the_formula(void **state)
{
    (void)state;
    ds_codec *s = make();
    rt_rng    r = {4};
    float     y[R], back[R + 1];
    uint8_t   row[BYTES];
    for (int n = 0; n < 2000; n++) {
        int at = 0;
        for (int i = 0; i < R; i++) y[i] = s->scale[i] * (float)(2 * rt_rng_normal(&r));
        ds_codec_encode(s, y, row);
        ds_codec_decode(s, row, back);
        assert_true(back[R] == 1);
        for (int i = 0; i < R; at += bits[i++]) {
            const double half = (double)(1 << bits[i]) / 2, step = clips[bits[i]] / half, x = (double)(y[i] / s->scale[i]);
            int          code = 0;
            for (int b = 0; b < bits[i]; b++) code |= (row[(at + b) / 8] >> (at + b) % 8 & 1) << b;
            assert_true(fabs((double)back[i] - (code - half + 0.5) * step * (double)s->scale[i]) < 1e-5);
            if (fabs(x) < clips[bits[i]]) assert_true(fabs((double)(back[i] / s->scale[i]) - x) < step / 2 + 1e-5);
            else assert_int_equal(code, x < 0 ? 0 : 2 * half - 1);
        }
        assert_int_equal(row[5] >> 1, 0); /* bits that no code uses */
    }
    ds_codec_destroy(&s);
    assert_null(s);
}

/* A normal number's mean square error, in variances: the integral over the quantiser's cells, which is within 3 % of
 * the best uniform quantiser's (Max 1960). */
static void error_falls_with_bits(void **state)
{
    (void)state;
    static const double expected[9] = {1, 0.363, 0.120, 0.0375, 0.01155, 0.00352, 0.00107, 0.000311, 0.0000880};
    for (int b = 1; b <= 8; b++) {
        ds_codec *s;
        rt_rng    r   = {(uint64_t)b};
        double    sum = 0;
        float     back[2];
        uint8_t   row[1];
        assert_int_equal(ds_codec_create(&s, 1, 1, 1), RT_OK);
        s->bits[0]  = (uint8_t)b;
        s->scale[0] = 3;
        for (int n = 0; n < 50000; n++) {
            const float y = 3 * (float)rt_rng_normal(&r);
            ds_codec_encode(s, &y, row);
            ds_codec_decode(s, row, back);
            sum += pow((double)(y - back[0]) / 3, 2) / 50000;
        }
        assert_true(fabs(sum / expected[b] - 1) < 0.1);
        ds_codec_destroy(&s);
    }
}

static void what_is_no_number_becomes_a_code(void **state)
{
    (void)state;
    ds_codec   *s      = make();
    const float odd[3] = {NAN, INFINITY, -INFINITY};
    float       y[R], back[R + 1];
    uint8_t     row[BYTES];
    for (int n = 0; n < 3; n++) {
        for (int i = 0; i < R; i++) y[i] = odd[n];
        ds_codec_encode(s, y, row);
        ds_codec_decode(s, row, back);
        for (int i = 0; i < R; i++) assert_true(isfinite(back[i]) && (n == 1) == (back[i] > 0));
    }
    ds_codec_destroy(&s);
}

#define REFUSED(change, word)                                           \
    do {                                                                \
        ds_codec *s = make();                                           \
        change;                                                         \
        assert_int_equal(ds_codec_check(s, RT_ECHECK, "x"), RT_ECHECK); \
        assert_non_null(strstr(rt_error_text(), word));                 \
        ds_codec_destroy(&s);                                           \
    } while (0)

static void decoders_are_checked(void **state)
{
    (void)state;
    ds_codec *good = make(), *other;
    assert_int_equal(ds_codec_check(good, RT_ECHECK, "x"), RT_OK);
    REFUSED(s->bits[8] = 0, "coordinate 8");
    REFUSED(s->bits[0] = 9, "9 bits");
    REFUSED(memset(s->bits, 6, R), "need 54 bits, but its rows have 48");
    REFUSED(s->scale[2] = 0, "coordinate 2");
    REFUSED(s->scale[2] = NAN, "scale nan");
    REFUSED(s->scale[2] = INFINITY, "scale inf");
    REFUSED(s->head[4 * (R + 1) + R] = 0xff80, "row 4"); /* -infinity */
    REFUSED(s->head[0] = 0x7fc0, "row 0");
    REFUSED(s->loss = -1, "loss is -1");
    REFUSED(s->loss = INFINITY, "loss is inf");
    REFUSED(assert_int_equal(ds_codec_add_map(s, 3), RT_OK); s->map[4] = NAN, "row 1 of the encoder's map");
    assert_int_equal(ds_codec_create(&other, 8 * BYTES + 1, V, BYTES), RT_EINVAL);
    assert_int_equal(ds_codec_create(&other, 0, V, BYTES), RT_EINVAL);
    other = make();
    assert_null(ds_codec_differs(good, other));
    other->head[V * (R + 1) - 1] = 1;
    assert_string_equal(ds_codec_differs(good, other), "head");
    other->scale[R - 1] = 1;
    assert_string_equal(ds_codec_differs(good, other), "scale");
    other->bits[R - 1] = 1;
    assert_string_equal(ds_codec_differs(good, other), "bits");
    ds_codec_destroy(&other);
    ds_codec_destroy(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_the_formula),
        cmocka_unit_test(error_falls_with_bits),
        cmocka_unit_test(what_is_no_number_becomes_a_code),
        cmocka_unit_test(decoders_are_checked),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
