/* test_kernels.c -- every kernel of every table of this CPU against formulas in a wider type, on sizes
 * around the lanes, unaligned, with infinities and NaN; the matrix product against a triple loop.
 *
 * Operands of gemm are small multiples of 1/64: then each sum is exact in every type and order, and
 * results must be equal, those of OpenBLAS too, where it is there.  Called as `test_kernels small` it leaves out the large
 * products (for valgrind and emulators).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "kernels/kernels.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef RT_REAL_F64
#define EPS DBL_EPSILON
#else
#define EPS FLT_EPSILON
#endif
typedef long double wide;

enum { MAX_N = 1000, GUARD = 3, ROOM = 2 * MAX_N + 2 * GUARD + 1 };
static const int64_t sizes[] = {1, 2, 3, 15, 16, 17, 31, 33, 100, MAX_N};
static const real    guard   = -77;
static int           g_small;

/* Work space; each kernel gets pointers one element past an aligned address. */
static _Alignas(64) real g_a[ROOM], g_b[ROOM], g_c[ROOM], g_d[ROOM], g_y[ROOM], g_z[ROOM];
static _Alignas(64) kn_bf16 g_h[ROOM];
static _Alignas(64) uint8_t g_u[ROOM];

static void fill_normal(real *x, int64_t n, uint64_t seed)
{
    rt_rng r = {seed};
    for (int64_t i = 0; i < n; i++) x[i] = (real)(2 * rt_rng_normal(&r));
}

/* Every seventh value is one that arithmetic stumbles over. */
static void fill_odd(real *x, int64_t n, uint64_t seed)
{
    const real odd[] = {NAN, INFINITY, -INFINITY, (real)1e-40, (real)-1e30, 0, (real)-0.0, (real)1e30, (real)-1e-44};
    fill_normal(x, n, seed);
    for (int64_t i = (int64_t)seed % 7; i < n; i += 7) x[i] = odd[((uint64_t)i / 7 + seed) % (sizeof odd / sizeof *odd)];
}

/* `got` is `want` rounded, up to `ulps` roundings of numbers as large as `scale`. */
static int near(real got, wide want, double ulps, wide scale)
{
    const real w = (real)want;
    if (isnan(w) || isnan(got)) return isnan(w) && isnan(got);
    if (got == w) return 1;
    if (isinf(w) || isinf(got)) return 0;
    const wide room = (wide)ulps * (wide)EPS * fmaxl(fabsl(scale), fabsl(want));
    return fabsl((wide)got - want) <= room + (wide)(8e-45);
}

static wide exp_clamped(wide x)
{
#ifndef RT_REAL_F64
    if (x < -87) x = -87;
    if (x > 88) x = 88;
#endif
    return expl(x);
}

static void clear(real *y)
{
    for (int i = 0; i < ROOM; i++) y[i] = guard;
}

static int guards_hold(const real *y, int64_t n)
{
    int ok = y[0] == guard;
    for (int64_t i = n + 1; i < ROOM; i++) ok &= y[i] == guard;
    return ok;
}

/* ---- one check per kernel: how many results are wrong ----------------------------------------------- */

typedef int (*check_fn)(const kn_table *k, int64_t n, uint64_t seed);

/* a . b, a . h (b in bf16) and a . u from index 1 on: what they are, and what their rounding is measured by. */
typedef struct dots {
    wide dot, bf16, u8, scale;
} dots;

static dots fill_dots(const kn_table *k, int64_t n, uint64_t seed)
{
    dots d = {0};
    fill_normal(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1);
    if (seed & 1) fill_odd(g_a, n + 1, seed);
    k->to_bf16(g_h + 1, g_b + 1, n);
    for (int64_t i = 1; i <= n; i++) {
        g_u[i]       = (uint8_t)(i * 37 + (int64_t)seed);
        const real h = (union {
                           uint32_t u;
                           float    f;
                       }){.u = (uint32_t)g_h[i] << 16}
                           .f;
        d.dot += (wide)g_a[i] * (wide)g_b[i], d.bf16 += (wide)g_a[i] * (wide)h, d.u8 += (wide)g_a[i] * g_u[i];
        d.scale += fabsl((wide)g_a[i]) * fmaxl(g_u[i], fmaxl(fabsl((wide)g_b[i]), fabsl((wide)h)));
    }
    return d;
}

static double dot_ulps(int64_t n) { return 8 + (double)n / 16; }

static int check_dot(const kn_table *k, int64_t n, uint64_t seed)
{
    const dots d = fill_dots(k, n, seed);
    return !near(k->dot(g_a + 1, g_b + 1, n), d.dot, dot_ulps(n), d.scale);
}

static int check_dot_bf16(const kn_table *k, int64_t n, uint64_t seed)
{
    const dots d = fill_dots(k, n, seed);
    return !near(k->dot_bf16(g_a + 1, g_h + 1, n), d.bf16, dot_ulps(n), d.scale);
}

static int check_dot_u8(const kn_table *k, int64_t n, uint64_t seed)
{
    const dots d = fill_dots(k, n, seed);
    return !near(k->dot_u8(g_a + 1, g_u + 1, n), d.u8, dot_ulps(n), d.scale);
}

static int check_dot_u4(const kn_table *k, int64_t n, uint64_t seed)
{
    wide want = 0, scale = 0;
    fill_normal(g_a, 2 * n + 1, seed);
    for (int64_t i = 0; i < 2 * n; i++) {
        const int q    = (int)((i * 7 + (int64_t)seed) % 16);
        g_u[1 + i / 2] = (uint8_t)(i % 2 ? g_u[1 + i / 2] | q << 4 : q);
        want += (wide)g_a[1 + i] * q, scale += fabsl((wide)g_a[1 + i]) * q;
    }
    return !near(k->dot_u4(g_a + 1, g_u + 1, 2 * n), want, 8 + (double)n / 8, scale);
}

/* The same bits on every table. */
static int check_sum(const kn_table *k, int64_t n, uint64_t seed)
{
    wide sum = 0, scale = 0;
    fill_normal(g_a, n + 1, seed);
    if (seed & 1) fill_odd(g_a, n + 1, seed);
    for (int64_t i = 1; i <= n; i++) sum += (wide)g_a[i], scale += fabsl((wide)g_a[i]);
    const real s = k->sum(g_a + 1, n), same = kn_at(0)->sum(g_a + 1, n);
    return !near(s, sum, dot_ulps(n), scale) + !(s == same || (isnan(s) && isnan(same)));
}

static int check_max(const kn_table *k, int64_t n, uint64_t seed)
{
    wide max = -INFINITY;
    fill_normal(g_a, n + 1, seed);
    if (seed & 1) fill_odd(g_a, n + 1, seed);
    if (seed == 2) g_a[1] = (real)NAN; /* where the search begins */
    for (int64_t i = 1; i <= n; i++)
        if ((wide)g_a[i] > max) max = (wide)g_a[i];
    const real m = k->max(g_a + 1, n);
    return !(n == 1 && isnan(g_a[1]) ? isinf(m) && m < 0 : m == (real)max);
}

static void fill_pair(int64_t n, uint64_t seed)
{
    fill_odd(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1);
    clear(g_y), memcpy(g_y + 1, g_b + 1, (size_t)n * sizeof(real));
}

static int check_add(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_pair(n, seed), k->add(g_y + 1, g_a + 1, g_b + 1, n);
    for (int64_t i = 1; i <= n; i++) wrong += !near(g_y[i], (wide)(g_a[i] + g_b[i]), 0, 0);
    return wrong + !guards_hold(g_y, n);
}

static int check_mul(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_pair(n, seed), k->mul(g_y + 1, g_a + 1, g_b + 1, n);
    for (int64_t i = 1; i <= n; i++) wrong += !near(g_y[i], (wide)(g_a[i] * g_b[i]), 0, 0);
    return wrong + !guards_hold(g_y, n);
}

static int check_scale(const kn_table *k, int64_t n, uint64_t seed)
{
    const real s     = (real)0.75;
    int        wrong = 0;
    fill_pair(n, seed), k->scale(g_y + 1, g_a + 1, s, n);
    for (int64_t i = 1; i <= n; i++) wrong += !near(g_y[i], (wide)(g_a[i] * s), 0, 0);
    return wrong + !guards_hold(g_y, n);
}

static int check_axpy(const kn_table *k, int64_t n, uint64_t seed)
{
    const real s     = (real)0.75;
    int        wrong = 0;
    fill_pair(n, seed), k->axpy(g_y + 1, g_a + 1, s, n);
    for (int64_t i = 1; i <= n; i++) {
        const wide p = (wide)g_a[i] * (wide)s, b = (wide)g_b[i];
        wrong += !near(g_y[i], b + p, 1.1, fabsl(b) + fabsl(p));
    }
    return wrong + !guards_hold(g_y, n);
}

static int check_axpby(const kn_table *k, int64_t n, uint64_t seed)
{
    const real a = (real)0.75, b = (real)-1.3;
    int        wrong = 0;
    fill_pair(n, seed), k->axpby(g_y + 1, b, g_a + 1, a, n);
    for (int64_t i = 1; i <= n; i++) {
        const wide p = (wide)g_a[i] * (wide)a, q = (wide)g_b[i] * (wide)b;
        wrong += !near(g_y[i], q + p, 2, fabsl(q) + fabsl(p));
    }
    return wrong + !guards_hold(g_y, n);
}

/* Conversions bit by bit: bf16_conversions_are_exact and long_bf16_conversions_agree, below. */
static int check_from_bf16(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    for (int64_t i = 1; i <= n; i++) g_h[i] = (kn_bf16)(rt_mix2(seed, (uint64_t)i) & 0xbfff); /* no NaN */
    clear(g_y), k->from_bf16(g_y + 1, g_h + 1, n);
    for (int64_t i = 1; i <= n; i++) {
        const uint32_t u = (uint32_t)g_h[i] << 16;
        float          want;
        memcpy(&want, &u, sizeof want);
        wrong += !(g_y[i] == (real)want);
    }
    return wrong + !guards_hold(g_y, n);
}

static int check_to_bf16(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_odd(g_a, n + 1, seed);
    g_h[n + 1] = 0x1234;
    k->to_bf16(g_h + 1, g_a + 1, n), k->from_bf16(g_y + 1, g_h + 1, n);
    for (int64_t i = 1; i <= n; i++) {
        const wide a = (wide)g_a[i], y = (wide)g_y[i];
        if (isnan(a)) wrong += !isnan(y);
        else if (isinf(y)) wrong += !(fabsl(a) > 3.38e38L && a * y > 0);
        else wrong += !(fabsl(y - a) <= fabsl(a) / 256 + 1e-40L); /* half a unit in the eighth bit; subnormals are coarser */
    }
    return wrong + (g_h[n + 1] != 0x1234);
}

static int check_exp_sub(const kn_table *k, int64_t n, uint64_t seed)
{
    const real m     = (real)(seed % 5) - 2;
    wide       sum   = 0;
    int        wrong = 0;
    fill_normal(g_a, n + 1, seed);
    if (seed & 1) fill_odd(g_a, n + 1, seed);
    clear(g_y);
    const real got = k->exp_sub(g_y + 1, g_a + 1, m, n);
    for (int64_t i = 1; i <= n; i++) {
        wrong += !near(g_y[i], exp_clamped((wide)(real)(g_a[i] - m)), 3, 0);
        sum += (wide)g_y[i];
    }
    memcpy(g_z, g_a, sizeof g_z); /* in place, as softmax uses it */
    k->exp_sub(g_z + 1, g_z + 1, m, n);
    wrong += memcmp(g_z + 1, g_y + 1, (size_t)n * sizeof(real)) != 0;
    return wrong + !guards_hold(g_y, n) + !near(got, sum, 8 + (double)n / 16, sum);
}

static int check_exp_moment(const kn_table *k, int64_t n, uint64_t seed)
{
    const real my = (real)1.5, mz = (real)0.5;
    real       moment = 2;
    wide       sum = 0, want = 2, scale = 2;
    int        wrong = 0;
    fill_normal(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1);
    clear(g_y), memcpy(g_y + 1, g_a + 1, (size_t)n * sizeof(real));
    const real got = k->exp_moment(g_y + 1, g_b + 1, my, mz, n, &moment);
    for (int64_t i = 1; i <= n; i++) {
        const wide e = exp_clamped((wide)(real)(g_a[i] - my)), d = ((wide)g_a[i] - (wide)my) - ((wide)g_b[i] - (wide)mz);
        wrong += !near(g_y[i], e, 3, 0);
        sum += e, want += e * d, scale += e * (fabsl((wide)g_a[i]) + fabsl((wide)g_b[i]) + 2);
    }
    return wrong + !guards_hold(g_y, n) + !near(got, sum, dot_ulps(n), sum) + !near(moment, want, dot_ulps(n), scale);
}

static int check_norm_back(const kn_table *k, int64_t n, uint64_t seed)
{
    const real r = (real)1.7, m = (real)-0.3;
    int        wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1), fill_odd(g_c, n + 1, seed + 3);
    clear(g_y), k->norm_back(g_y + 1, g_a + 1, g_b + 1, g_c + 1, r, m, n);
    for (int64_t i = 1; i <= n; i++) {
        const wide p = (wide)g_b[i] * (wide)g_c[i], q = (wide)m * (wide)g_a[i];
        wrong += !near(g_y[i], (wide)r * (p - q), 4, (wide)r * (fabsl(p) + fabsl(q)));
    }
    return wrong + !guards_hold(g_y, n);
}

/* In place: dx = p (dx - delta). */
static int check_softmax_back(const kn_table *k, int64_t n, uint64_t seed)
{
    const real delta = (real)0.7;
    int        wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_odd(g_b, n + 1, seed + 3);
    clear(g_y), memcpy(g_y + 1, g_b + 1, (size_t)n * sizeof(real)), k->softmax_back(g_y + 1, g_a + 1, delta, n);
    for (int64_t i = 1; i <= n; i++)
        wrong += !near(g_y[i], (wide)g_a[i] * ((wide)g_b[i] - (wide)delta), 4, fabsl((wide)g_a[i]) * (fabsl((wide)g_b[i]) + (wide)delta));
    return wrong + !guards_hold(g_y, n);
}

static int check_silu_mul(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1);
    clear(g_y), k->silu_mul(g_y + 1, g_a + 1, g_b + 1, n);
    for (int64_t i = 1; i <= n; i++)
        wrong += !near(g_y[i], (wide)(real)((wide)g_a[i] / (1 + exp_clamped(-(wide)g_a[i]))) * (wide)g_b[i], 8, 0);
    return wrong + !guards_hold(g_y, n);
}

static int check_silu_mul_back(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1), fill_normal(g_c, n + 1, seed + 2);
    clear(g_y), clear(g_z), k->silu_mul_back(g_y + 1, g_z + 1, g_a + 1, g_b + 1, g_c + 1, n);
    for (int64_t i = 1; i <= n; i++) {
        const wide g = (wide)g_a[i], u = (wide)g_b[i], d = (wide)g_c[i], s = 1 / (1 + exp_clamped(-g)), us = u * s * d;
        wrong += !near(g_y[i], us * (1 + g * (1 - s)), 16, us * (1 + fabsl(g)));
        wrong += !near(g_z[i], g * s * d, 8, 0);
    }
    return wrong + !guards_hold(g_y, n) + !guards_hold(g_z, n);
}

static int check_rotate(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_odd(g_a, 2 * n + 1, seed), fill_normal(g_b, n + 1, seed);
    for (int64_t i = 1; i <= n; i++) g_c[i] = (real)sin((double)g_b[i]), g_b[i] = (real)cos((double)g_b[i]);
    for (int sign = -1; sign <= 1; sign += 2) {
        clear(g_y), k->rotate(g_y + 1, g_a + 1, g_b + 1, g_c + 1, (real)sign, n), wrong += !guards_hold(g_y, 2 * n);
        for (int64_t i = 1; i <= n; i++) {
            const wide a = (wide)g_a[i], b = (wide)g_a[i + n], c = (wide)g_b[i], s = sign * (wide)g_c[i];
            wrong += !near(g_y[i], a * c - b * s, 3, fabsl(a * c) + fabsl(b * s));
            wrong += !near(g_y[i + n], b * c + a * s, 3, fabsl(b * c) + fabsl(a * s));
        }
    }
    return wrong;
}

static int check_adamw(const kn_table *k, int64_t n, uint64_t seed)
{
    const kn_adamw o     = {(real)1e-2, (real)0.9, (real)0.95, (real)1e-8, (real)1e-3, (real)0.271, (real)0.142625, (real)0.5};
    int            wrong = 0;
    fill_normal(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1), fill_normal(g_c, n + 1, seed + 2), fill_normal(g_d, n + 1, seed + 3);
    clear(g_y), clear(g_z);
    for (int64_t i = 1; i <= n; i++) g_c[i] *= g_c[i], g_y[i] = g_b[i], g_z[i] = g_c[i];
    k->adamw(g_a + 1, g_y + 1, g_z + 1, g_d + 1, &o, n);
    real before[MAX_N + 1];
    fill_normal(before, n + 1, seed);
    for (int64_t i = 1; i <= n; i++) {
        const wide g = (wide)o.scale * (wide)g_d[i], m = (wide)o.beta1 * (wide)g_b[i] + (1 - (wide)o.beta1) * g;
        const wide v = (wide)o.beta2 * (wide)g_c[i] + (1 - (wide)o.beta2) * g * g, w = (1 - (wide)o.decay) * (wide)before[i];
        const wide by = (wide)o.lr / (wide)o.correct1 / (sqrtl(v / (wide)o.correct2) + (wide)o.eps);
        wrong += !near(g_y[i], m, 4, fabsl((wide)g_b[i]) + fabsl(g)) + !near(g_z[i], v, 8, 0);
        wrong += !near(g_a[i], w - by * m, 4, fabsl(w) + 8 * by * (fabsl((wide)g_b[i]) + fabsl(g)));
    }
    return wrong + !guards_hold(g_y, n) + !guards_hold(g_z, n);
}

static const struct {
    const char *name;
    check_fn    check;
} checks[] = {
#define X(type, name, args) {#name, check_##name},
    KN_KERNELS(X)
#undef X
};

static void every_kernel_of_every_table(void **state)
{
    (void)state;
    for (int t = 0; kn_at(t); t++)
        for (size_t c = 0; c < sizeof checks / sizeof *checks; c++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                for (uint64_t seed = 0; seed < 10; seed++) {
                    const int wrong = checks[c].check(kn_at(t), sizes[s], seed);
                    if (wrong)
                        fail_msg("%s: %s, n = %lld, seed %d: %d wrong", kn_at(t)->isa, checks[c].name, (long long)sizes[s], (int)seed,
                                 wrong);
                }
}

/* ---- exp by ulps ---------------------------------------------------------------------------------------- */

static void exp_is_within_3_ulp(void **state)
{
    enum { POINTS = 1 << 20, BLOCK = 512 };
    const double step = 175.0 / POINTS;
    (void)state;
    for (int t = 0; kn_at(t); t++)
        for (int64_t b = 0; b < POINTS / BLOCK; b += g_small ? 64 : 1) {
            for (int64_t i = 0; i < BLOCK; i++) g_a[i] = (real)(-87 + step * (double)(b * BLOCK + i));
            kn_at(t)->exp_sub(g_y, g_a, 0, BLOCK);
            for (int64_t i = 0; i < BLOCK; i++) {
                const double want = exp((double)g_a[i]);
                const double ulp  = sizeof(real) == 4 ? (double)(nextafterf((float)want, INFINITY) - (float)want) : want * DBL_EPSILON;
                if (!(fabs((double)g_y[i] - want) <= 3 * ulp))
                    fail_msg("%s: exp(%.9g) = %.9g, not %.9g", kn_at(t)->isa, (double)g_a[i], (double)g_y[i], want);
            }
        }
}

/* ---- bf16 --------------------------------------------------------------------------------------------------- */

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The nearer of the two neighbours, the even one of equally near ones; by cases, not by carries. */
static int rounds_to(uint32_t bits, kn_bf16 got)
{
    const uint32_t low = bits & 0xffffu, down = bits >> 16;
    if (isnan(float_of(bits))) return isnan(float_of((uint32_t)got << 16)) && (got >> 15) == (bits >> 31);
    if (low < 0x8000u || (low == 0x8000u && down % 2 == 0)) return got == down;
    return got == down + 1;
}

static void bf16_conversions_are_exact(void **state)
{
    static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    (void)state;
    for (int t = 0; kn_at(t); t++)
        for (uint32_t h = 0; h < 0x10000u; h++) {
            uint32_t bits[6];
            for (int i = 0; i < 6; i++) {
                bits[i]    = h << 16 | low[i];
                g_a[1 + i] = (real)float_of(bits[i]);
            }
            kn_at(t)->to_bf16(g_h + 1, g_a + 1, 6);
            for (int i = 0; i < 6; i++)
                if (!rounds_to(bits[i], g_h[1 + i])) fail_msg("%s: %08x was rounded to %04x", kn_at(t)->isa, bits[i], g_h[1 + i]);
            g_h[1] = (kn_bf16)h;
            kn_at(t)->from_bf16(g_y + 1, g_h + 1, 1);
            const float want = float_of(h << 16);
            assert_true(isnan(want) ? isnan(g_y[1]) : (float)g_y[1] == want && signbit((float)g_y[1]) == signbit(want));
        }
}

static void long_bf16_conversions_agree(void **state)
{
    (void)state;
    for (int t = 0; kn_at(t); t++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            kn_bf16 one;
            fill_odd(g_a, sizes[s] + 1, s);
            memset(g_h, 0x55, sizeof g_h);
            kn_at(t)->to_bf16(g_h + 1, g_a + 1, sizes[s]);
            assert_int_equal(g_h[0], 0x5555);
            assert_int_equal(g_h[sizes[s] + 1], 0x5555);
            clear(g_y), kn_at(t)->from_bf16(g_y + 1, g_h + 1, sizes[s]);
            assert_true(guards_hold(g_y, sizes[s]));
            for (int64_t i = 1; i <= sizes[s]; i++) {
                kn_at(0)->to_bf16(&one, g_a + i, 1);
                assert_int_equal(g_h[i], one);
                assert_true(isnan(g_a[i]) ? isnan(g_y[i]) : (float)g_y[i] == float_of((uint32_t)one << 16));
            }
        }
}

/* ---- gemm ------------------------------------------------------------------------------------------------- */

enum { PAD = 3, MAX_LD = 700 + PAD, VARIANTS = 128 };

/* A matrix in all forms that kn_gemm takes: x[trans][padded] as reals and as bf16. */
typedef struct forms {
    int64_t  rows, cols;
    double  *plain; /* [rows, cols] */
    real    *x[2][2];
    kn_bf16 *h[2][2];
} forms;

static void *memory(int64_t n, size_t size)
{
    void *p;
    if (rt_alloc(&p, n, size, "test") != RT_OK) fail_msg("%s", rt_error_text());
    return p;
}

static forms make_forms(int64_t rows, int64_t cols, uint64_t seed)
{
    forms  f = {.rows = rows, .cols = cols, .plain = memory(rows * cols, sizeof(double))};
    rt_rng r = {seed};
    for (int64_t i = 0; i < rows * cols; i++) f.plain[i] = ((double)rt_rng_below(&r, 129) - 64) / 64;
    for (int trans = 0; trans < 2; trans++)
        for (int pad = 0; pad < 2; pad++) {
            const int64_t h = trans ? cols : rows, w = trans ? rows : cols, ld = w + PAD * pad;
            real         *x = f.x[trans][pad] = memory(h * ld, sizeof(real));
            f.h[trans][pad]                   = memory(h * ld, sizeof(kn_bf16));
            for (int64_t i = 0; i < h; i++)
                for (int64_t j = 0; j < ld; j++) x[i * ld + j] = j < w ? (real)f.plain[trans ? j * cols + i : i * cols + j] : (real)NAN;
            kn_get()->to_bf16(f.h[trans][pad], x, h * ld);
        }
    return f;
}

static void free_forms(forms *f)
{
    free(f->plain);
    for (int i = 0; i < 4; i++) free(f->x[i / 2][i % 2]), free(f->h[i / 2][i % 2]);
}

static kn_mat mat(const forms *f, int trans, int pad, int bf16)
{
    const int64_t ld = (trans ? f->rows : f->cols) + PAD * pad;
    return (kn_mat){bf16 ? (const void *)f->h[trans][pad] : (const void *)f->x[trans][pad], bf16 ? KN_BF16 : KN_REAL, ld, trans};
}

static void multiply(double *c, const forms *a, const forms *b)
{
    memset(c, 0, (size_t)(a->rows * b->cols) * sizeof *c);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = 0; k < a->cols; k++)
            for (int64_t j = 0; j < b->cols; j++) c[i * b->cols + j] += a->plain[i * a->cols + k] * b->plain[k * b->cols + j];
}

/* bits of v: A transposed, B transposed, A bf16, B bf16, C bf16, acc, padded rows */
static int count_wrong(const double *want, const forms *a, const forms *b, void *c, int v)
{
    const int     bf16 = v >> 4 & 1, acc = v >> 5 & 1, pad = v >> 6 & 1;
    const int64_t M = a->rows, N = b->cols, ldc = N + PAD * pad;
    const kn_type t     = bf16 ? KN_BF16 : KN_REAL;
    const real    start = (real)0.25;
    int           wrong = 0;
    real          row[MAX_LD], work[MAX_LD];
    kn_bf16       h[MAX_LD];
    for (int64_t j = 0; j < ldc; j++) row[j] = j < N ? start : guard;
    for (int64_t i = 0; i < M; i++) kn_put(c, t, i * ldc, row, ldc, 0);
    kn_gemm(c, t, ldc, mat(a, v & 1, pad, v >> 2 & 1), mat(b, v >> 1 & 1, pad, v >> 3 & 1), M, N, a->cols, acc ? c : NULL);
    for (int64_t i = 0; i < M; i++) {
        const real *got = kn_load(c, t, i * ldc, ldc, work);
        for (int64_t j = 0; j < N; j++) row[j] = (real)(want[i * N + j] + (acc ? (double)start : 0));
        if (bf16) kn_at(0)->to_bf16(h, row, ldc), kn_at(0)->from_bf16(row, h, ldc);
        for (int64_t j = 0; j < ldc; j++) wrong += !(got[j] == row[j]);
    }
    return wrong;
}

/* From here on table t and this gemm backend. */
static void choose(int t, const char *backend)
{
    setenv("RETORT_CPU", kn_at(t)->isa, 1);
    assert_int_equal(kn_init(), RT_OK);
    assert_string_equal(kn_get()->isa, kn_at(t)->isa);
    assert_int_equal(kn_gemm_use(backend), RT_OK);
}

static void choose_best(void)
{
    unsetenv("RETORT_CPU");
    assert_int_equal(kn_init(), RT_OK);
}

static void check_variants(const forms *a, const forms *b, const double *want, void *c, int first, int stride)
{
    for (int v = first; v < VARIANTS; v += stride) {
        const int wrong = count_wrong(want, a, b, c, v);
        if (wrong)
            fail_msg("%s, %s: M %lld, N %lld, K %lld, variant %02x: %d wrong", kn_get()->isa, kn_gemm_name(), (long long)a->rows,
                     (long long)b->cols, (long long)a->cols, (unsigned)v, wrong);
    }
}

static void check_shape(int64_t M, int64_t N, int64_t K, int first, int stride)
{
    forms   a = make_forms(M, K, 1), b = make_forms(K, N, 2);
    double *want = memory(M * N, sizeof *want);
    void   *c    = memory(M * (N + PAD), sizeof(real));
    multiply(want, &a, &b);
    for (int t = 0; kn_at(t); t++)
        for (int i = 0; kn_gemm_name_at(i); i++) {
            choose(t, kn_gemm_name_at(i));
            check_variants(&a, &b, want, c, first, stride);
        }
    free_forms(&a), free_forms(&b), free(want), free(c);
}

/* Small shapes in all variants; of large ones every 29th, another first one each time. */
static void gemm_is_a_triple_loop(void **state)
{
    static const int64_t m[] = {1, 5, 129, 300}, n[] = {1, 33, 513, MAX_LD - PAD}, k[] = {1, 7, 512, 600};
    (void)state;
    for (int s = 0; s < 64; s++) {
        const int64_t M = m[s / 16], N = n[s / 4 % 4], K = k[s % 4];
        const int     large = M * N * K > 1000000;
        if (large && g_small) continue;
        check_shape(M, N, K, large || g_small ? s % 29 : 0, large || g_small ? 29 : 1);
    }
    choose_best();
}

static void threads_do_not_change_gemm(void **state)
{
    const int64_t M = g_small ? 130 : 300, N = g_small ? 520 : 700, K = g_small ? 20 : 600;
    real         *a = memory(M * K, sizeof *a), *b = memory(N * K, sizeof *b), *c[2], *y[2];
    (void)state;
    fill_normal(a, M * K, 1), fill_normal(b, N * K, 2);
    for (int t = 0; t < 2; t++) {
        c[t] = memory(M * N, sizeof(real)), y[t] = memory(N, sizeof(real));
        rt_threads_set(t + 1);
        assert_int_equal(kn_init(), RT_OK);
        kn_gemm(c[t], KN_REAL, N, (kn_mat){a, KN_REAL, K, 0}, (kn_mat){b, KN_REAL, K, 1}, M, N, K, NULL);
        kn_matvec(y[t], b, KN_REAL, a, N, K);
    }
    assert_memory_equal(c[0], c[1], (size_t)(M * N) * sizeof(real));
    assert_memory_equal(y[0], y[1], (size_t)N * sizeof(real));
    for (int t = 0; t < 2; t++) free(c[t]), free(y[t]);
    free(a), free(b);
}

/* ---- matrix times vector ---------------------------------------------------------------------------------------- */

enum { ROWS = 70, COLS = 100, GROUP = 32, GROUPS = 4 }; /* the last group is short */

static double quantise(kn_quant *q, int64_t i, int64_t j)
{
    const int v = (int)((i * 31 + j * 7) % (q->bits == 8 ? 256 : 16));
    if (q->bits == 8) q->q[i * COLS + j] = (uint8_t)v;
    else q->q[(i * COLS + j) / 2] |= (uint8_t)(v << (j % 2 * 4));
    const int64_t at = i * GROUPS + j / GROUP;
    q->scale[at]     = at % 2 ? 64 : 16;
    q->zero[at]      = (float)(at % 11);
    return ((double)v - (double)q->zero[at]) / (double)q->scale[at];
}

static void check_quantised(int bits, const real *x)
{
    static uint8_t bytes[ROWS * COLS];
    static float   scale[ROWS * GROUPS], zero[ROWS * GROUPS];
    static real    row[COLS], y[ROWS];
    static double  w[ROWS][COLS];
    kn_quant q = {.bits = bits, .rows = ROWS, .cols = COLS, .group = GROUP, .groups = GROUPS, .q = bytes, .scale = scale, .zero = zero};
    const kn_type t = bits == 8 ? KN_Q8 : KN_Q4;
    memset(bytes, 0, sizeof bytes);
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t j = 0; j < COLS; j++) w[i][j] = quantise(&q, i, j);
    kn_matvec(y, &q, t, x, ROWS, COLS);
    for (int64_t i = 0; i < ROWS; i++) {
        double want = 0;
        kn_row(row, &q, t, i, COLS);
        for (int64_t j = 0; j < COLS; j++) {
            want += w[i][j] * (double)x[j];
            assert_true((double)row[j] == w[i][j]);
        }
        if ((double)y[i] != want) fail_msg("%s: int%d, row %lld: %.9g, not %.9g", kn_get()->isa, bits, (long long)i, (double)y[i], want);
    }
}

static void check_matvec(int64_t N, const forms *w, const forms *x, const double *want)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        real y[ROWS + 1];
        for (int i = 0; i <= ROWS; i++) y[i] = guard;
        kn_matvec(y, mat(w, 0, 0, bf16).p, bf16 ? KN_BF16 : KN_REAL, x->x[0][0], N, COLS);
        for (int64_t i = 0; i < N; i++)
            if ((double)y[i] != want[i]) fail_msg("%s: bf16 %d, row %lld of %lld", kn_get()->isa, bf16, (long long)i, (long long)N);
        assert_true(y[N] == guard);
    }
}

static void matvec_takes_every_type(void **state)
{
    static const int64_t rows[] = {1, 31, 32, 33, ROWS};
    forms                w = make_forms(ROWS, COLS, 3), x = make_forms(COLS, 1, 4);
    double               want[ROWS];
    (void)state;
    multiply(want, &w, &x);
    for (int t = 0; kn_at(t); t++) {
        choose(t, "own");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_matvec(rows[i], &w, &x, want);
        check_quantised(8, x.x[0][0]), check_quantised(4, x.x[0][0]);
    }
    choose_best();
    free_forms(&w), free_forms(&x);
}

static void eigenvectors_rebuild_the_matrix(void **state)
{
    enum { N = 37 };
    static double a[N * N], e[N * N], w[N];
    uint64_t      s = 1;
    (void)state;
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++)
            a[i * N + j] = a[j * N + i] = (double)((s = s * 6364136223846793005u + 1442695040888963407u) >> 40) / 0x1p23 - 1;
    memcpy(e, a, sizeof e);
    if (kn_eigen(e, w, N) == RT_ENOENT) return; /* no OpenBLAS: said in one line */
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0, dot = 0;
            for (int k = 0; k < N; k++) sum += w[k] * e[k * N + i] * e[k * N + j], dot += e[i * N + k] * e[j * N + k];
            assert_true(fabs(sum - a[i * N + j]) < 1e-12 * N && fabs(dot - (i == j)) < 1e-12 * N);
        }
    for (int i = 1; i < N; i++) assert_true(w[i] >= w[i - 1]);
    assert_int_equal(kn_eigen(e, w, 0), RT_EINVAL);
}

static void a_cpu_that_is_not_there_is_refused(void **state)
{
    (void)state;
    setenv("RETORT_CPU", "abacus", 1);
    assert_int_equal(kn_init(), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "abacus"));
    choose_best();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_of_every_table),
        cmocka_unit_test(exp_is_within_3_ulp),
        cmocka_unit_test(bf16_conversions_are_exact),
        cmocka_unit_test(long_bf16_conversions_agree),
        cmocka_unit_test(gemm_is_a_triple_loop),
        cmocka_unit_test(matvec_takes_every_type),
        cmocka_unit_test(threads_do_not_change_gemm),
        cmocka_unit_test(eigenvectors_rebuild_the_matrix),
        cmocka_unit_test(a_cpu_that_is_not_there_is_refused),
    };
    g_small = argc > 1 && !strcmp(argv[1], "small");
    unsetenv("RETORT_CPU");
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    printf("kernels: %s\n", kn_describe());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
