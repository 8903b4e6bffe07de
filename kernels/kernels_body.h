/* kernels_body.h -- plain C kernels, compiled once per instruction set with its own
 * flags.  The including file defines KN_ISA and the other KN_* parameters.  Inner loops
 * run over contiguous memory with independent lanes, so -O3 vectorises them without -ffast-math. */
#include "kernels/kernels.h"
#include <math.h>
#include <string.h>
#define KN_CAT_(a, b) a##_##b
#define KN_CAT(a, b)  KN_CAT_(a, b)
#define KN_STR_(a)    #a
#define KN_STR(a)     KN_STR_(a)

enum { LANES = 16 };

/* ---- exp ------------------------------------------------------------------------------- */

#ifdef RT_REAL_F64
static inline real fast_exp(real x) { return exp(x); }
static inline real fast_log(real x) { return log(x); }
#else
/* Returns exp(x) within 2 ulp on [-87, 88]; x is clamped to this range and NaN is kept.  x = n ln 2 + r with |r| <= ln 2 / 2;
 * exp(r) is a Taylor polynomial of degree 7, 2^n is set through its exponent bits. */
static inline real fast_exp(real x)
{
    const real lo = -87.0f, hi = 88.0f;
    x            = x < lo ? lo : x;
    x            = x > hi ? hi : x;
    const real z = x * 1.44269504f + 12582912.0f, n = z - 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer */
    const real r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    real       p = 1.0f / 5040.0f;
    p            = p * r + 1.0f / 720.0f;
    p            = p * r + 1.0f / 120.0f;
    p            = p * r + 1.0f / 24.0f;
    p            = p * r + 1.0f / 6.0f;
    p            = p * r + 0.5f;
    p            = p * r + 1.0f;
    p            = p * r + 1.0f;
    union {
        float    f;
        uint32_t u;
    } s = {.f = z};
    s.u = (s.u + 127u) << 23;
    return p * s.f;
}

/* Returns log(x) of a positive normal x within 2 ulp, near 1 within 1e-8 of the value.  x = 2^n m with m in [sqrt(1/2), sqrt(2));
 * log m = 2 artanh(s), s = (m - 1) / (m + 1), by its series up to s^9. */
static inline real fast_log(real x)
{
    union {
        float    f;
        uint32_t u;
    } v              = {.f = x};
    const uint32_t a = v.u - 0x3f3504f3u; /* bits of sqrt(1/2) */
    const real     n = (real)((int32_t)a >> 23);
    v.u              = (a & 0x7fffffu) + 0x3f3504f3u;
    const real s = (v.f - 1) / (v.f + 1), w = s * s;
    const real series = (((w * (1.0f / 9.0f) + 1.0f / 7.0f) * w + 1.0f / 5.0f) * w + 1.0f / 3.0f) * w;
    return n * 0.693359375f + (2 * s + (2 * s * series - n * 2.12194440e-4f));
}
#endif

/* ---- types ------------------------------------------------------------------------------ */

static inline float bf16_to_float(kn_bf16 h)
{
    union {
        uint32_t u;
        float    f;
    } v = {.u = (uint32_t)h << 16};
    return v.f;
}

static void from_bf16(real *restrict y, const kn_bf16 *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = (real)bf16_to_float(x[i]);
}

/* Rounds to nearest, ties to even, by adding half of the discarded part.  A NaN is made quiet and not rounded, which could overflow it. */
static inline kn_bf16 float_to_bf16(float x)
{
    union {
        float    f;
        uint32_t u;
    } v                = {.f = x};
    const uint32_t nan = v.f != v.f ? 0xffffffffu : 0, half = 0x7fffu + ((v.u >> 16) & 1u);
    return (kn_bf16)(((v.u + (half & ~nan)) >> 16) | (nan & 0x40u));
}

static void to_bf16(kn_bf16 *restrict y, const real *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = float_to_bf16((float)x[i]);
}

static void pair_bf16(kn_bf16 *restrict y, const real *restrict a, const real *restrict b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[2 * i] = float_to_bf16((float)a[i]), y[2 * i + 1] = float_to_bf16((float)b[i]);
}

#include "kernels/micro_body.h"
#include "kernels/micro_pairs.h"

/* ---- sums --------------------------------------------------------------------------------- */

static inline real add_lanes(const real *lane)
{
    real s[LANES / 2];
    for (int l = 0; l < LANES / 2; l++) s[l] = lane[l] + lane[l + LANES / 2];
    for (int w = LANES / 4; w; w /= 2)
        for (int l = 0; l < w; l++) s[l] += s[l + w];
    return s[0];
}

/* Returns the sum over i of TERM (an expression of i), in LANES lanes. */
#define SUM_LANES(TERM)                                          \
    real    lane[LANES] = {0};                                   \
    int64_t base        = 0;                                     \
    for (; base + LANES <= n; base += LANES)                     \
        for (int l = 0; l < LANES; l++) {                        \
            const int64_t i = base + l;                          \
            lane[l] += (TERM);                                   \
        }                                                        \
    for (int64_t i = base; i < n; i++) lane[i - base] += (TERM); \
    return add_lanes(lane)

static real dot(const real *restrict a, const real *restrict b, int64_t n) { SUM_LANES(a[i] * b[i]); }
static real dot_bf16(const real *restrict a, const kn_bf16 *restrict b, int64_t n) { SUM_LANES(a[i] * (real)bf16_to_float(b[i])); }
static real dot_u8(const real *restrict a, const uint8_t *restrict b, int64_t n) { SUM_LANES(a[i] * (real)b[i]); }
static real sum(const real *x, int64_t n) { SUM_LANES(x[i]); }

static real dot_u4(const real *restrict a, const uint8_t *restrict b, int64_t n2)
{
    const int64_t n = n2 / 2;
    SUM_LANES(a[2 * i] * (real)(b[i] & 15) + a[2 * i + 1] * (real)(b[i] >> 4));
}

/* x > m is false for a NaN, so NaN is ignored. */
static real max(const real *x, int64_t n)
{
    real lane[LANES], m;
    for (int l = 0; l < LANES; l++) lane[l] = -INFINITY;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (int l = 0; i < n; i++, l++) lane[l] = x[i] > lane[l] ? x[i] : lane[l];
    m = lane[0];
    for (int l = 1; l < LANES; l++) m = lane[l] > m ? lane[l] : m;
    return m;
}

/* ---- elementwise ---------------------------------------------------------------------------- */

static void scale(real *y, const real *x, real s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = s * x[i];
}

static void axpy(real *restrict y, const real *restrict x, real s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += s * x[i];
}

static void add(real *y, const real *a, const real *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void mul(real *y, const real *a, const real *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

static real exp_sub(real *y, const real *x, real m, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = fast_exp(x[i] - m);
    return sum(y, n);
}

/* ---- two rows, a teacher's and a student's ---------------------------------------------------- */

static real exp_moment(real *restrict y, const real *restrict z, real my, real mz, int64_t n, real *moment)
{
    real part[KN_ROW_BLOCK], total = 0;
    for (int64_t at = 0; at < n; at += KN_ROW_BLOCK) {
        const int64_t b = n - at < KN_ROW_BLOCK ? n - at : KN_ROW_BLOCK;
        for (int64_t i = 0; i < b; i++) {
            const real e = fast_exp(y[at + i] - my);
            part[i]      = e * ((y[at + i] - my) - (z[at + i] - mz));
            y[at + i]    = e;
        }
        *moment += sum(part, b);
        total += sum(y + at, b);
    }
    return total;
}

static void axpby(real *restrict y, real b, const real *restrict x, real a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = b * y[i] + a * x[i];
}

/* VALUE and SLOPE use q, p, d = log(p/q), r = p/q and lr = log r.  In r and lr, q is at least e^-87; D is flat below that. */
#define DIVERGENCE(NAME, VALUE, SLOPE)                                                                                                  \
    static void NAME(real *restrict z, real *restrict y, const real *restrict ez, const real *restrict ey, const kn_softmaxes *s,       \
                     real mix, int64_t n, kn_divergence_sums *sums)                                                                     \
    {                                                                                                                                   \
        real       value[KN_ROW_BLOCK], kl[KN_ROW_BLOCK];                                                                               \
        const real rest = 1 - mix, least = fast_exp(-87);                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                                                               \
            const real lq = (z[i] - s->max_z) - s->log_z, lp = (y[i] - s->max_y) - s->log_y, low = lq < -87 ? -87 : lq;                 \
            const real eq = ez[i] * s->inv_z, q = eq < least ? least : eq, p = ey[i] * s->inv_y, d = lp - lq, lr = lp - low, r = p / q; \
            value[i] = (VALUE);                                                                                                         \
            kl[i]    = p * d;                                                                                                           \
            y[i]     = q * (SLOPE);                                                                                                     \
            z[i]     = q;                                                                                                               \
            (void)rest, (void)lr, (void)r;                                                                                              \
        }                                                                                                                               \
        sums->value += (double)sum(value, n);                                                                                           \
        sums->moment += (double)sum(y, n);                                                                                              \
        sums->kl += (double)sum(kl, n);                                                                                                 \
    }

DIVERGENCE(reverse_kl, -q *d, -d)
DIVERGENCE(jsd, mix *p *(lr - fast_log(mix * r + rest)) - rest * q * fast_log(mix * r + rest), -rest *fast_log(mix *r + rest))
DIVERGENCE(skew, p *(lr - fast_log(mix * r + rest)), -rest *r / (mix * r + rest))
DIVERGENCE(skew_reverse, -q *fast_log(rest *r + mix), -fast_log(rest *r + mix) - mix / (rest * r + mix))
DIVERGENCE(tv, (p > q ? p - q : q - p) / 2, p > q ? (real)-0.5 : (real)0.5)

static void softmax_back(real *restrict dx, const real *restrict p, real delta, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dx[i] = p[i] * (dx[i] - delta);
}

static void norm_back(real *restrict dx, const real *restrict x, const real *restrict w, const real *restrict dy, real r, real m, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dx[i] = r * (w[i] * dy[i] - m * x[i]);
}

static void silu_mul(real *y, const real *g, const real *u, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = g[i] / (1 + fast_exp(-g[i])) * u[i];
}

static void silu_mul_back(real *dg, real *du, const real *g, const real *u, const real *dy, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const real s = 1 / (1 + fast_exp(-g[i])), gi = g[i], ui = u[i], d = dy[i];
        dg[i] = ui * s * (1 + gi * (1 - s)) * d;
        du[i] = gi * s * d;
    }
}

/* Sets *slope to the derivative of 2 a by g, and returns s(2 a).  Beyond 20 the logistic function is 0 or 1, and g^3 might overflow. */
static inline real gelu_gate(real *clamped, real *slope, real g)
{
    const real twice = (real)1.5957691216057308, cubic = (real)0.044715; /* 2 sqrt(2 / pi) */
    real       x = g < -20 ? -20 : g;
    x            = x > 20 ? 20 : x;
    *clamped     = x;
    *slope       = twice * (1 + 3 * cubic * x * x);
    return 1 / (1 + fast_exp(-twice * (x + cubic * x * x * x)));
}

static void gelu_mul(real *y, const real *g, const real *u, int64_t n)
{
    real x, slope;
    for (int64_t i = 0; i < n; i++) y[i] = g[i] * gelu_gate(&x, &slope, g[i]) * u[i];
}

static void gelu_mul_back(real *dg, real *du, const real *g, const real *u, const real *dy, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        real       x, slope;
        const real s = gelu_gate(&x, &slope, g[i]), gi = g[i], ui = u[i], d = dy[i];
        dg[i] = ui * s * (1 + x * (1 - s) * slope) * d;
        du[i] = gi * s * d;
    }
}

static void soft_cap(real *y, const real *x, real cap, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = cap - 2 * cap / (1 + fast_exp(2 / cap * x[i]));
}

static void soft_cap_back(real *restrict dx, const real *restrict y, real cap, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dx[i] *= 1 - y[i] / cap * (y[i] / cap);
}

static void rotate(real *restrict y, const real *restrict x, const real *restrict c, const real *restrict s, real sign, int64_t half)
{
    for (int64_t i = 0; i < half; i++) {
        y[i]        = x[i] * c[i] - sign * x[i + half] * s[i];
        y[i + half] = x[i + half] * c[i] + sign * x[i] * s[i];
    }
}

static void adamw(real *restrict w, real *restrict m, real *restrict v, const real *restrict g, const kn_adamw *o, int64_t n)
{
    const real b1 = o->beta1, b2 = o->beta2, keep = 1 - o->decay, step = o->lr / o->correct1, eps = o->eps, gs = o->scale;
    const real root = (real)1 / (real)sqrt((double)o->correct2);
    for (int64_t i = 0; i < n; i++) {
        const real gi = gs * g[i];
        m[i]          = b1 * m[i] + (1 - b1) * gi;
        v[i]          = b2 * v[i] + (1 - b2) * gi * gi;
#ifdef RT_REAL_F64
        const real denominator = sqrt(v[i]) * root + eps;
#else
        const real denominator = sqrtf(v[i]) * root + eps;
#endif
        w[i] = keep * w[i] - step * m[i] / denominator;
    }
}

extern const kn_table KN_CAT(kn_table, KN_ISA);

const kn_table KN_CAT(kn_table, KN_ISA) = {
    .isa       = KN_STR(KN_ISA),
    .gemm      = {"fma", KN_REAL, 1, MR, NR, 0, micro, pack_a, pack_b},
    .gemm_bf16 = PAIR_KERNEL,
    .diverge   = {[KN_REVERSE] = reverse_kl, [KN_JSD] = jsd, [KN_SKEW] = skew, [KN_SKEW_REVERSE] = skew_reverse, [KN_TV] = tv},
#define X(type, name, args) .name = name,
    KN_KERNELS(X)
#undef X
};
