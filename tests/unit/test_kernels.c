/* test_kernels.c -- every kernel of every table of this CPU against formulas in a wider type, on sizes
 * around the lanes, unaligned, with infinities and NaN.  Called as `test_kernels small` it tries exp on fewer points (for
 * valgrind and emulators).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/kernels.h"
#include <float.h>
#include <math.h>
#include <string.h>

#ifdef RT_REAL_F64
#define EPS DBL_EPSILON
#else
#define EPS FLT_EPSILON
#endif
typedef long double wide;

enum { MAX_N = 1000, GUARD = 3, ROOM = 2 * MAX_N + 2 * GUARD + 1 };
static const int64_t sizes[] = {1, 2, 3, 15, 16, 17, 31, 33, 100, MAX_N};

/* Work space; each kernel gets pointers one element past an aligned address. */
static _Alignas(64) real g_a[ROOM], g_b[ROOM], g_c[ROOM], g_d[ROOM], g_y[ROOM], g_z[ROOM];
static _Alignas(64) kn_bf16 g_h[ROOM];
static _Alignas(64) uint8_t g_u[ROOM];

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

/* Pairs of g_a and g_b, in g_h; the bits are those of to_bf16. */
static int check_pair_bf16(const kn_table *k, int64_t n, uint64_t seed)
{
    static kn_bf16 even[MAX_N], odd[MAX_N];
    int            wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_odd(g_b, n + 1, seed + 1);
    k->to_bf16(even, g_a + 1, n), k->to_bf16(odd, g_b + 1, n);
    g_h[2 * n + 1] = 0x1234;
    k->pair_bf16(g_h + 1, g_a + 1, g_b + 1, n);
    for (int64_t i = 0; i < n; i++) wrong += g_h[1 + 2 * i] != even[i] || g_h[2 + 2 * i] != odd[i];
    return wrong + (g_h[2 * n + 1] != 0x1234);
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

/* s(2 a) and its derivative over s(2 a); g is cut at 20 as in the kernel. */
static wide gelu_wide(wide g, wide *relative)
{
    const wide x = g < -20 ? -20 : g > 20 ? 20 : g, twice = 2 * sqrtl(2 / acosl(-1)), cubic = 0.044715L;
    const wide s = 1 / (1 + exp_clamped(-twice * (x + cubic * x * x * x)));
    *relative    = x * (1 - s) * twice * (1 + 3 * cubic * x * x);
    return s;
}

/* The exponent of the logistic function is rounded, which moves the result by up to 87 roundings where it is nearly 0. */
static int check_gelu_mul(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1);
    clear(g_y), k->gelu_mul(g_y + 1, g_a + 1, g_b + 1, n);
    for (int64_t i = 1; i <= n; i++) {
        wide       relative;
        const wide s = gelu_wide((wide)g_a[i], &relative);
        wrong += !near(g_y[i], (wide)(real)((wide)g_a[i] * s) * (wide)g_b[i], 100, 0);
    }
    return wrong + !guards_hold(g_y, n);
}

static int check_gelu_mul_back(const kn_table *k, int64_t n, uint64_t seed)
{
    int wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1), fill_normal(g_c, n + 1, seed + 2);
    clear(g_y), clear(g_z), k->gelu_mul_back(g_y + 1, g_z + 1, g_a + 1, g_b + 1, g_c + 1, n);
    for (int64_t i = 1; i <= n; i++) {
        wide       relative;
        const wide g = (wide)g_a[i], s = gelu_wide(g, &relative), us = (wide)g_b[i] * s * (wide)g_c[i];
        wrong += !near(g_y[i], us * (1 + relative), 120, us * (1 + fabsl(relative)));
        wrong += !near(g_z[i], g * s * (wide)g_c[i], 100, 0);
    }
    return wrong + !guards_hold(g_y, n) + !guards_hold(g_z, n);
}

/* In place, as attention and the head use it. */
static int check_soft_cap(const kn_table *k, int64_t n, uint64_t seed)
{
    const real cap   = (real)1.7;
    int        wrong = 0;
    fill_odd(g_a, n + 1, seed);
    clear(g_y), memcpy(g_y + 1, g_a + 1, (size_t)n * sizeof(real)), k->soft_cap(g_y + 1, g_y + 1, cap, n);
    for (int64_t i = 1; i <= n; i++) wrong += !near(g_y[i], (wide)cap * tanhl((wide)g_a[i] / (wide)cap), 8, (wide)cap);
    return wrong + !guards_hold(g_y, n);
}

static int check_soft_cap_back(const kn_table *k, int64_t n, uint64_t seed)
{
    const real cap   = (real)1.7;
    int        wrong = 0;
    fill_odd(g_a, n + 1, seed), fill_normal(g_b, n + 1, seed + 1);
    clear(g_y), memcpy(g_y + 1, g_b + 1, (size_t)n * sizeof(real)), k->soft_cap_back(g_y + 1, g_a + 1, cap, n);
    for (int64_t i = 1; i <= n; i++) {
        const wide t = (wide)(real)((wide)g_a[i] / (wide)cap);
        wrong += !near(g_y[i], (wide)g_b[i] * (1 - (wide)(real)(t * t)), 8, fabsl((wide)g_b[i]) * (1 + t * t));
    }
    return wrong + !guards_hold(g_y, n);
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
        cmocka_unit_test(every_kernel_of_every_table),        cmocka_unit_test(exp_is_within_3_ulp),
        cmocka_unit_test(bf16_conversions_are_exact),         cmocka_unit_test(long_bf16_conversions_agree),
        cmocka_unit_test(a_cpu_that_is_not_there_is_refused),
    };
    return begin(argc, argv) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
