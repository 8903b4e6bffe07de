/* gguf_quantise.c -- writes weights as blocks of GGUF's types (gguf_blocks.h).
 *
 * The levels and scales are those of ggml's reference, bit by bit: sums are made in float and in its order. */
#include "model/gguf_blocks.h"
#include "model/half.h"
#include <math.h>
#include <string.h>

enum { SMALL = 32, LARGE = 256, FIVE_BITS = 32 };
static const float TINY = 1e-15f; /* a group whose largest magnitude is below this has only zeros */

static void put_half(uint8_t *b, float x)
{
    const uint16_t bits = md_half_bits(x);
    b[0]                = (uint8_t)bits;
    b[1]                = (uint8_t)(bits >> 8);
}

static float get_half(const uint8_t *b) { return (float)md_half_value((uint16_t)(b[0] | b[1] << 8)); }

/* Returns x within least .. most, cut to an integer; for NaN, which tiny weights give by 0 times infinity, least. */
static int gguf_within(float x, int least, int most) { return !(x > (float)least) ? least : x > (float)most ? most : (int)x; }

/* Returns the integer nearest to x, of two the even one, within least .. most, which are below 2^22: a sum with `shift` has no bits for a fraction.  On CPUs
 * without an instruction for it nearbyintf is a call, with which all of this takes 1.4 times as long. */
static int quantise_level(float x, int least, int most)
{
    const float shift = 0x1.8p23f;
    return !(x > (float)least) ? least : x > (float)most ? most : (int)(x + shift - shift);
}

/* Returns the element of the largest magnitude, of several the first. */
static float gguf_extreme(const float *x, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    return most;
}

/* ---- blocks of 32: one scale, from the largest magnitude ------------------------------------------- */

void md_gguf_write_q8_0(uint8_t *b, const float *x)
{
    const float d = fabsf(gguf_extreme(x, SMALL)) / 127, inverse = d != 0 ? 1 / d : 0;
    put_half(b, d);
    for (int i = 0; i < SMALL; i++) b[2 + i] = (uint8_t)(int8_t)gguf_within(roundf(x[i] * inverse), -127, 127);
}

void md_gguf_write_q4_0(uint8_t *b, const float *x)
{
    const float d = gguf_extreme(x, SMALL) / -8, inverse = d != 0 ? 1 / d : 0;
    int         level[SMALL];
    put_half(b, d);
    for (int i = 0; i < SMALL; i++) level[i] = gguf_within(x[i] * inverse + 8.5f, 0, 15);
    for (int i = 0; i < SMALL / 2; i++) b[2 + i] = (uint8_t)(level[i] | level[i + SMALL / 2] << 4);
}

/* ---- Q4_K: groups of 32 with a scale and a minimum ---------------------------------------------------- */

enum { GROUP = 32, GROUPS = LARGE / GROUP };

typedef struct fit { /* values scale level + least */
    float scale, least;
} fit;

/* Sums over a group with weights w: of w, w x, and for levels of w l, w l^2, w l x. */
typedef struct fit_sums {
    float w, x, l, l2, xl;
} fit_sums;

static float weighted_error(const float *x, const float *w, const int *level, fit f)
{
    float error = 0;
    for (int i = 0; i < GROUP; i++) {
        const float diff = f.scale * (float)level[i] + f.least - x[i];
        error += w[i] * (diff * diff);
    }
    return error;
}

/* Sets the levels by `inverse` and returns the weighted least-squares fit to them; a minimum above 0 is not allowed.  0: there is none. */
static int fit_levels(fit *f, int *level, const float *x, const float *w, fit_sums s, float inverse, float least)
{
    for (int i = 0; i < GROUP; i++) {
        level[i]      = quantise_level(inverse * (x[i] - least), 0, 15);
        const float l = (float)level[i];
        s.l += w[i] * l, s.l2 += w[i] * l * l, s.xl += w[i] * l * x[i];
    }
    const float det = s.w * s.l2 - s.l * s.l;
    if (!(det > 0)) return 0;
    *f = (fit){(s.w * s.xl - s.x * s.l) / det, (s.l2 * s.x - s.l * s.xl) / det};
    if (f->least > 0) *f = (fit){s.xl / s.l2, 0};
    return 1;
}

static void set_weights(float *w, const float *x)
{
    float squares = 0;
    for (int i = 0; i < GROUP; i++) squares += x[i] * x[i];
    for (int i = 0; i < GROUP; i++) w[i] = sqrtf(squares / GROUP) + fabsf(x[i]);
}

/* Sets the levels of a group and returns their scale and minimum: the best of 22 fits, which begin with levels for slightly different ranges. */
static fit fit_group(int *level, const float *x)
{
    float    w[GROUP], least = x[0], most = x[0];
    fit_sums s = {0};
    set_weights(w, x);
    for (int i = 0; i < GROUP; i++) {
        least = fminf(least, x[i]), most = fmaxf(most, x[i]);
        s.w += w[i], s.x += w[i] * x[i];
    }
    if (least > 0) least = 0;
    memset(level, 0, GROUP * sizeof *level);
    if (most == least) return (fit){0, least};
    float inverse = 15 / (most - least);
    fit   best    = {1 / inverse, least};
    for (int i = 0; i < GROUP; i++) level[i] = quantise_level(inverse * (x[i] - least), 0, 15);
    float error = weighted_error(x, w, level, best);
    for (int step = 0; step <= 20; step++) {
        int tried[GROUP];
        fit f;
        inverse = (-1.f + 0.1f * (float)step + 15) / (most - best.least);
        if (!fit_levels(&f, tried, x, w, s, inverse, best.least)) continue;
        const float e = weighted_error(x, w, tried, f);
        if (!(e < error)) continue;
        memcpy(level, tried, sizeof tried);
        error = e, best = f;
    }
    return best;
}

/* Puts the scale and the minimum of group g, 6 bits each (gguf_blocks.c: scale_of_8). */
static void put_scale(uint8_t *s, int g, int scale, int least)
{
    if (g < 4) {
        s[g]     = (uint8_t)(s[g] | scale);
        s[g + 4] = (uint8_t)(s[g + 4] | least);
        return;
    }
    s[g + 4] = (uint8_t)((scale & 15) | (least & 15) << 4);
    s[g - 4] = (uint8_t)(s[g - 4] | scale >> 4 << 6);
    s[g]     = (uint8_t)(s[g] | least >> 4 << 6);
}

void md_gguf_write_q4_k(uint8_t *b, const float *x)
{
    int   level[LARGE], scale[GROUPS], least[GROUPS];
    fit   f[GROUPS];
    float most_scale = 0, most_least = 0;
    for (int g = 0; g < GROUPS; g++) {
        f[g]       = fit_group(level + g * GROUP, x + g * GROUP);
        most_scale = fmaxf(most_scale, f[g].scale), most_least = fmaxf(most_least, -f[g].least);
    }
    memset(b, 0, 144);
    put_half(b, most_scale / 63), put_half(b + 2, most_least / 63);
    for (int g = 0; g < GROUPS; g++) {
        scale[g] = most_scale > 0 ? quantise_level(63 / most_scale * f[g].scale, 0, 63) : 0;
        least[g] = most_least > 0 ? quantise_level(63 / most_least * -f[g].least, 0, 63) : 0;
        put_scale(b + 4, g, scale[g], least[g]);
    }
    for (int i = 0; i < LARGE; i++) {
        const float d = get_half(b) * (float)scale[i / GROUP], m = get_half(b + 2) * (float)least[i / GROUP];
        if (d != 0) level[i] = quantise_level((x[i] + m) / d, 0, 15);
        uint8_t *q = &b[16 + i / 64 * 32 + i % 32];
        *q         = (uint8_t)(*q | level[i] << (i % 64 / 32 * 4));
    }
}

/* ---- Q6_K: groups of 16 with a scale ------------------------------------------------------------------- */

enum { PART = 16, PARTS = LARGE / PART };

/* Sets the levels of a group by `inverse`; returns the sums of w l x and w l^2 with weights w = x^2. */
static void scale_levels(int *level, const float *x, float inverse, float *lx, float *l2)
{
    *lx = *l2 = 0;
    for (int i = 0; i < PART; i++) {
        level[i]      = quantise_level(inverse * x[i], -FIVE_BITS, FIVE_BITS - 1);
        const float w = x[i] * x[i], l = (float)level[i];
        *lx += w * x[i] * l, *l2 += w * l * l;
    }
}

/* Sets the levels of a group and returns their scale: the best of 19 weighted least-squares fits, which begin with levels for slightly different
 * ranges. */
static float fit_scale(int *level, const float *x)
{
    const float extreme = gguf_extreme(x, PART);
    float       lx, l2;
    memset(level, 0, PART * sizeof *level);
    for (int i = 0; i < PART && fabsf(extreme) < TINY; i++) level[i] = -FIVE_BITS;
    if (fabsf(extreme) < TINY) return 0;
    scale_levels(level, x, -FIVE_BITS / extreme, &lx, &l2);
    float scale = l2 != 0 ? lx / l2 : 0, best = scale * lx;
    for (int step = -9; step <= 9; step++) {
        int tried[PART];
        if (!step) continue;
        scale_levels(tried, x, -(FIVE_BITS + 0.1f * (float)step) / extreme, &lx, &l2);
        if (!(l2 > 0 && lx * lx > best * l2)) continue;
        memcpy(level, tried, sizeof tried);
        scale = lx / l2, best = scale * lx;
    }
    return scale;
}

void md_gguf_write_q6_k(uint8_t *b, const float *x)
{
    int   level[LARGE];
    float scale[PARTS];
    for (int g = 0; g < PARTS; g++) scale[g] = fit_scale(level + g * PART, x + g * PART);
    const float most = gguf_extreme(scale, PARTS);
    memset(b, 0, 210);
    if (fabsf(most) < TINY) return;
    put_half(b + 208, 1 / (-128 / most));
    for (int g = 0; g < PARTS; g++) b[192 + g] = (uint8_t)(int8_t)quantise_level(-128 / most * scale[g], -128, 127);
    for (int i = 0; i < LARGE; i++) {
        const float d   = get_half(b + 208) * (float)(int8_t)b[192 + i / PART];
        const int   l   = (d != 0 ? quantise_level(x[i] / d, -FIVE_BITS, FIVE_BITS - 1) : level[i]) + FIVE_BITS;
        uint8_t    *low = &b[i / 128 * 64 + i % 64], *high = &b[128 + i / 128 * 32 + i % 32];
        *low  = (uint8_t)(*low | (l & 15) << (i % 128 / 64 * 4));
        *high = (uint8_t)(*high | l >> 4 << (i % 128 / 32 * 2));
    }
}
