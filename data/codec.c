/* codec.c -- the hidden-state codec: a few bytes per row from which a teacher's whole distribution is approximated.
 *
 * The coordinates of a row are close enough to a normal distribution that one uniform quantiser, with a clip for each number of
 * bits, is near the optimum.  distill/codec_fit.c, which fits the decoder, chooses each coordinate's number of bits.
 */
#include "data/shard/columns.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BITS = 8 };

/* Clips in standard deviations, by number of bits: a wider clip costs resolution, a narrower one cuts off large values. */
static const float clips[MAX_BITS + 1] = {0, 1.6f, 1.9f, 2.3f, 2.7f, 3.1f, 3.5f, 3.8f, 4.0f};

static float codec_step_of(int bits) { return 2 * clips[bits] / (float)(1 << bits); }

rt_status ds_codec_create(ds_codec **out, int64_t r, int64_t V, int64_t bytes)
{
    ds_codec *s;
    RT_CHECK(r >= 1 && V >= 1 && bytes >= 1 && bytes <= DS_MAX_SKETCH && r <= 8 * bytes, RT_EINVAL,
             "a codec cannot have %lld coordinates in %lld bytes; expected 1 to %d bytes and at least one bit per coordinate", (long long)r,
             (long long)bytes, (int)DS_MAX_SKETCH);
    RT_TRY(RT_NEW(s, 1));
    *s           = (ds_codec){.r = r, .V = V, .bytes = bytes, .loss = NAN};
    rt_status st = RT_NEW(s->bits, r);
    if (st == RT_OK) st = RT_NEW(s->scale, r);
    if (st == RT_OK) st = RT_NEW(s->head, V * (r + 1));
    if (st != RT_OK) ds_codec_destroy(&s);
    else *out = s;
    return st;
}

rt_status ds_codec_add_map(ds_codec *s, int64_t C)
{
    s->C = C;
    return RT_NEW(s->map, s->r * (C + 1));
}

void ds_codec_destroy(ds_codec **codec)
{
    ds_codec *s = *codec;
    if (!s) return;
    free(s->bits), free(s->scale), free(s->head), free(s->map), free(s);
    *codec = NULL;
}

rt_status ds_codec_check(const ds_codec *s, rt_status code, const char *path)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < s->r; i++) {
        RT_CHECK(s->bits[i] >= 1 && s->bits[i] <= MAX_BITS, code, "%s: coordinate %lld of the codec has %d bits, expected 1 to %d", path,
                 (long long)i, (int)s->bits[i], (int)MAX_BITS);
        RT_CHECK(isfinite(s->scale[i]) && s->scale[i] > 0, code,
                 "%s: coordinate %lld of the codec has the scale %g, expected a positive number", path, (long long)i, (double)s->scale[i]);
        sum += s->bits[i];
    }
    RT_CHECK(sum <= 8 * s->bytes, code, "%s: the codec's coordinates need %lld bits, but its rows have %lld", path, (long long)sum,
             (long long)(8 * s->bytes));
    for (int64_t i = 0; i < s->V * (s->r + 1); i++) /* an exponent of all ones means infinity or NaN */
        RT_CHECK((s->head[i] & 0x7f80) != 0x7f80, code, "%s: row %lld of the decoder's head holds a value that is not finite", path,
                 (long long)(i / (s->r + 1)));
    RT_CHECK(isnan(s->loss) || (isfinite(s->loss) && s->loss >= 0), code, "%s: the codec's loss is %g, expected a non-negative number",
             path, s->loss);
    for (int64_t i = 0; s->map && i < s->r * (s->C + 1); i++)
        RT_CHECK(isfinite(s->map[i]), code, "%s: row %lld of the encoder's map holds a value that is not finite", path,
                 (long long)(i / (s->C + 1)));
    return RT_OK;
}

const char *ds_codec_differs(const ds_codec *a, const ds_codec *b)
{
    const size_t r = (size_t)a->r;
    if (a->bytes != b->bytes || a->r != b->r || memcmp(a->bits, b->bits, r) != 0) return "bits";
    if (memcmp(a->scale, b->scale, r * sizeof *a->scale) != 0) return "scale";
    return a->V != b->V || memcmp(a->head, b->head, (size_t)a->V * (r + 1) * sizeof *a->head) != 0 ? "head" : NULL;
}

/* Writes `bits` bits at bit `at` of a row.  They span at most two bytes. */
static void put_bits(uint8_t *row, int64_t at, int bits, unsigned code)
{
    row[at / 8] |= (uint8_t)(code << at % 8);
    if (at % 8 + bits > 8) row[at / 8 + 1] |= (uint8_t)(code >> (8 - at % 8));
}

static unsigned get_bits(const uint8_t *row, int64_t at, int bits)
{
    unsigned x = row[at / 8];
    if (at % 8 + bits > 8) x |= (unsigned)row[at / 8 + 1] << 8;
    return x >> at % 8 & ((1u << bits) - 1);
}

void ds_codec_encode(const ds_codec *s, const float *y, uint8_t *row)
{
    int64_t at = 0;
    memset(row, 0, (size_t)s->bytes);
    for (int64_t i = 0; i < s->r; at += s->bits[i++]) {
        const float n = (float)(1 << s->bits[i]);
        const float x = floorf(y[i] / s->scale[i] / codec_step_of(s->bits[i])) + n / 2;
        put_bits(row, at, s->bits[i], (unsigned)fminf(fmaxf(x, 0), n - 1));
    }
    RT_ASSERT(at <= 8 * s->bytes);
}

void ds_codec_decode(const ds_codec *s, const uint8_t *row, float *y)
{
    int64_t at = 0;
    for (int64_t i = 0; i < s->r; at += s->bits[i++]) {
        const float half = (float)(1 << s->bits[i]) / 2;
        y[i]             = ((float)get_bits(row, at, s->bits[i]) - half + 0.5f) * codec_step_of(s->bits[i]) * s->scale[i];
    }
    RT_ASSERT(at <= 8 * s->bytes);
    y[s->r] = 1;
}
