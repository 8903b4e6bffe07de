/* gguf_blocks.c -- the tensor types of GGUF files and the values of their blocks (gguf_blocks.h).
 *
 * Values are computed in float and in the order of the reference, so that they are the same bits. */
#include "model/gguf_blocks.h"
#include "model/half.h"
#include <string.h>
#include <strings.h>

static float half_at(const uint8_t *b) { return (float)md_half_value((uint16_t)(b[0] | b[1] << 8)); }

/* ---- plain types ------------------------------------------------------------------------------ */

static void f32_values(real *x, const uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = (real)((const float *)(const void *)b)[i];
}

static void f16_values(real *x, const uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = (real)half_at(b + 2 * i);
}

static void bf16_values(real *x, const uint8_t *b, int64_t n) { kn_get()->from_bf16(x, (const kn_bf16 *)(const void *)b, n); }

static void f32_write(uint8_t *b, const real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) ((float *)(void *)b)[i] = (float)x[i];
}

static void f16_write(uint8_t *b, const real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) ((uint16_t *)(void *)b)[i] = md_half_bits((float)x[i]);
}

static void bf16_write(uint8_t *b, const real *x, int64_t n) { kn_get()->to_bf16((kn_bf16 *)(void *)b, x, n); }

/* ---- blocks of 32 ------------------------------------------------------------------------------- */

enum { SMALL = 32, LARGE = 256 };

/* Sets level[32] to the 4-bit levels of q[16], the lower halves of all bytes first.  Bit j of high[4], if there is one, is bit 4 of level j. */
static void unpack_levels(int *level, const uint8_t *q, const uint8_t *high)
{
    for (int j = 0; j < SMALL; j++) level[j] = (q[j % 16] >> (j / 16 * 4) & 15) | (high ? (high[j / 8] >> (j % 8) & 1) << 4 : 0);
}

static void q4_0_block(real *x, const uint8_t *b)
{
    int level[SMALL];
    unpack_levels(level, b + 2, NULL);
    for (int j = 0; j < SMALL; j++) x[j] = (real)(half_at(b) * (float)(level[j] - 8));
}

static void q4_1_block(real *x, const uint8_t *b)
{
    int level[SMALL];
    unpack_levels(level, b + 4, NULL);
    for (int j = 0; j < SMALL; j++) x[j] = (real)(half_at(b) * (float)level[j] + half_at(b + 2));
}

static void q5_0_block(real *x, const uint8_t *b)
{
    int level[SMALL];
    unpack_levels(level, b + 6, b + 2);
    for (int j = 0; j < SMALL; j++) x[j] = (real)(half_at(b) * (float)(level[j] - 16));
}

static void q5_1_block(real *x, const uint8_t *b)
{
    int level[SMALL];
    unpack_levels(level, b + 8, b + 4);
    for (int j = 0; j < SMALL; j++) x[j] = (real)(half_at(b) * (float)level[j] + half_at(b + 2));
}

static void q8_0_block(real *x, const uint8_t *b)
{
    for (int j = 0; j < SMALL; j++) x[j] = (real)((float)(int8_t)b[2 + j] * half_at(b));
}

/* The levels are indices of values that lie closer together near 0. */
static void iq4_nl_block(real *x, const uint8_t *b)
{
    static const float value[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    int                level[SMALL];
    unpack_levels(level, b + 2, NULL);
    for (int j = 0; j < SMALL; j++) x[j] = (real)(half_at(b) * value[level[j]]);
}

/* ---- blocks of 256, in groups with scales of their own --------------------------------------------- */

/* Returns level i of q[64], 2 bits each: byte by byte 32 levels from the lowest bits, then 32 from the next, then those of the next 32 bytes. */
static int level_of_2(const uint8_t *q, int i) { return q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

/* Returns level i of q[128], 4 bits each, in the same order. */
static int level_of_4(const uint8_t *q, int i) { return q[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15; }

/* Returns bit i of bits[32]: bit 0 of all bytes first. */
static int bit_of(const uint8_t *bits, int i) { return bits[i % 32] >> (i / 32) & 1; }

static void q2_k_block(real *x, const uint8_t *b)
{
    const float d = half_at(b + 80), least = half_at(b + 82);
    for (int i = 0; i < LARGE; i++) {
        const uint8_t scale = b[i / 16];
        x[i]                = (real)(d * (float)(scale & 15) * (float)level_of_2(b + 16, i) - least * (float)(scale >> 4));
    }
}

/* Returns scale g of 16 in s[12], 6 bits each: the lower 4 bits are in the first 8 bytes, the upper 2 in the last 4. */
static int scale_of_16(const uint8_t *s, int g) { return ((s[g % 8] >> (g / 8 * 4) & 15) | (s[8 + g % 4] >> (g / 4 * 2) & 3) << 4) - 32; }

static void q3_k_block(real *x, const uint8_t *b)
{
    const float d = half_at(b + 108);
    for (int i = 0; i < LARGE; i++) {
        const int level = level_of_2(b + 32, i) - (bit_of(b, i) ? 0 : 4);
        x[i]            = (real)(d * (float)scale_of_16(b + 96, i / 16) * (float)level);
    }
}

/* Sets the scale and the minimum of group g of 8 from s[12], 6 bits each.  The upper 2 bits of those of groups 4 .. 7 are those that the first
 * 8 bytes have left. */
static void scale_of_8(const uint8_t *s, int g, int *scale, int *least)
{
    *scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
    *least = g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) | (s[g] >> 6) << 4;
}

/* Q4_K and Q5_K: levels of 4 bits in q, of 5 with those in `high`. */
static void scaled_block(real *x, const uint8_t *b, const uint8_t *high, const uint8_t *q)
{
    for (int g = 0; g < 8; g++) {
        int scale, least;
        scale_of_8(b + 4, g, &scale, &least);
        const float d = half_at(b) * (float)scale, m = half_at(b + 2) * (float)least;
        for (int i = 32 * g; i < 32 * (g + 1); i++) x[i] = (real)(d * (float)(level_of_4(q, i) | (high ? bit_of(high, i) << 4 : 0)) - m);
    }
}

static void q4_k_block(real *x, const uint8_t *b) { scaled_block(x, b, NULL, b + 16); }
static void q5_k_block(real *x, const uint8_t *b) { scaled_block(x, b, b + 16, b + 48); }

static void q6_k_block(real *x, const uint8_t *b)
{
    const float d = half_at(b + 208);
    for (int i = 0; i < LARGE; i++) {
        const int low   = b[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
        const int level = (low | level_of_2(b + 128, i) << 4) - 32;
        x[i]            = (real)(d * (float)(int8_t)b[192 + i / 16] * (float)level);
    }
}

/* ---- the table ---------------------------------------------------------------------------------------- */

/* clang-format off */

/* Name, number, elements and bytes of a block, its functions: name_values and name_write for many blocks, or name_block for one and the
 * function that writes one. */
#define PLAIN_TYPES(X)         \
    X(F32,  0, 1, 4, f32, NULL) \
    X(F16,  1, 1, 2, f16, NULL) \
    X(BF16, 30, 1, 2, bf16, NULL)
#define WRITTEN_TYPES(X)                                      \
    X(Q4_0,    2, SMALL,  18, q4_0, md_gguf_write_q4_0)       \
    X(Q8_0,    8, SMALL,  34, q8_0, md_gguf_write_q8_0)       \
    X(Q4_K,   12, LARGE, 144, q4_k, md_gguf_write_q4_k)       \
    X(Q6_K,   14, LARGE, 210, q6_k, md_gguf_write_q6_k)
#define READ_TYPES(X)                    \
    X(Q4_1,    3, SMALL,  20, q4_1, NULL)      \
    X(Q5_0,    6, SMALL,  22, q5_0, NULL)      \
    X(Q5_1,    7, SMALL,  24, q5_1, NULL)      \
    X(Q2_K,   10, LARGE,  84, q2_k, NULL)      \
    X(Q3_K,   11, LARGE, 110, q3_k, NULL)      \
    X(Q5_K,   13, LARGE, 176, q5_k, NULL)      \
    X(IQ4_NL, 20, SMALL,  18, iq4_nl, NULL)
/* clang-format on */

#define X(name, id, block, bytes, function, write)                                          \
    static void function##_values(real *x, const uint8_t *b, int64_t n)                     \
    {                                                                                       \
        for (int64_t i = 0; i < n; i++) function##_block(x + i * (block), b + i * (bytes)); \
    }
READ_TYPES(X)
WRITTEN_TYPES(X)
#undef X

#define X(name, id, block, bytes, function, write)                     \
    static void function##_write(uint8_t *b, const real *x, int64_t n) \
    {                                                                  \
        float v[block];                                                \
        for (int64_t i = 0; i < n; i++, x += (block)) {                \
            for (int j = 0; j < (block); j++) v[j] = (float)x[j];      \
            write(b + i * (bytes), v);                                 \
        }                                                              \
    }
WRITTEN_TYPES(X)
#undef X

static const md_gguf_type types[] = {
#define X(name, id, block, bytes, function, write) {#name, id, block, bytes, function##_values, function##_write},
    PLAIN_TYPES(X) WRITTEN_TYPES(X)
#undef X
#define X(name, id, block, bytes, function, write) {#name, id, block, bytes, function##_values, NULL},
        READ_TYPES(X)
#undef X
};
#define X(name, ...) " " #name
const char md_gguf_type_list[] = PLAIN_TYPES(X) WRITTEN_TYPES(X) READ_TYPES(X);
#undef X
enum { TYPES = sizeof types / sizeof *types };

const md_gguf_type *md_gguf_type_of(int id)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].id == id) return &types[i];
    return NULL;
}

const md_gguf_type *md_gguf_type_named(const char *name)
{
    for (int i = 0; i < TYPES; i++)
        if (!strcasecmp(types[i].name, name)) return &types[i];
    return NULL;
}
