/* types.c -- the table of tensor types, and reading and writing tensors of any type as reals. */
#include "kernels/kernels.h"
#include <float.h>
#include <string.h>

/* ---- plain types ------------------------------------------------------------------------------- */

static void real_to_real(real *y, const void *x, int64_t at, int64_t n) { memcpy(y, (const real *)x + at, (size_t)n * sizeof(real)); }
static void real_from_real(void *y, int64_t at, const real *x, int64_t n)
{
    if ((real *)y + at != x) memcpy((real *)y + at, x, (size_t)n * sizeof(real));
}
static void real_row(real *y, const void *x, int64_t row, int64_t cols) { real_to_real(y, x, row * cols, cols); }
static real real_dot(const void *w, int64_t row, const real *x, int64_t cols)
{
    return kn_get()->dot(x, (const real *)w + row * cols, cols);
}

/* The loop has no branch, so that the compiler vectorises it. */
static int real_not_finite(const void *p, int64_t at, int64_t n)
{
    const real *x = (const real *)p + at, most = sizeof(real) == 8 ? (real)DBL_MAX : (real)FLT_MAX;
    int         bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= !(x[i] <= most && x[i] >= -most);
    return bad;
}

static void bf16_to_real(real *y, const void *x, int64_t at, int64_t n) { kn_get()->from_bf16(y, (const kn_bf16 *)x + at, n); }
static void bf16_from_real(void *y, int64_t at, const real *x, int64_t n) { kn_get()->to_bf16((kn_bf16 *)y + at, x, n); }
static void bf16_row(real *y, const void *x, int64_t row, int64_t cols) { bf16_to_real(y, x, row * cols, cols); }
static real bf16_dot(const void *w, int64_t row, const real *x, int64_t cols)
{
    return kn_get()->dot_bf16(x, (const kn_bf16 *)w + row * cols, cols);
}

static int bf16_not_finite(const void *p, int64_t at, int64_t n) /* infinity and NaN have an exponent of all ones */
{
    const kn_bf16 *x   = (const kn_bf16 *)p + at;
    int            bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= (x[i] & 0x7f80) == 0x7f80;
    return bad;
}

/* ---- quantised types: x = (level - zero) / scale ------------------------------------------------ */

static void q_row(real *y, const void *p, int64_t row, int64_t cols)
{
    const kn_quant *w = p;
    const uint8_t  *q = w->q + row * cols * w->bits / 8;
    const float    *s = w->scale + row * w->groups, *z = w->zero + row * w->groups;
    for (int64_t c = 0; c < cols; c++) {
        const int v = w->bits == 8 ? q[c] : (q[c / 2] >> (c % 2 * 4)) & 15;
        y[c]        = ((real)v - (real)z[c / w->group]) / (real)s[c / w->group];
    }
}

static real q_dot(const void *p, int64_t row, const real *x, int64_t cols)
{
    const kn_quant *w = p;
    const kn_table *k = kn_get();
    const uint8_t  *q = w->q + row * cols * w->bits / 8;
    real            y = 0;
    for (int64_t g = 0; g < w->groups; g++) {
        const int64_t c = g * w->group, n = cols - c < w->group ? cols - c : w->group;
        const real    d = w->bits == 8 ? k->dot_u8(x + c, q + c, n) : k->dot_u4(x + c, q + c / 2, n);
        y += (d - (real)w->zero[row * w->groups + g] * k->sum(x + c, n)) / (real)w->scale[row * w->groups + g];
    }
    return y;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const kn_type_info types[KN_TYPES] = {
    [KN_REAL] = {sizeof(real) == 8 ? "f64" : "f32", 1, sizeof(real), 0, real_to_real, real_from_real, real_row, real_dot, real_not_finite},
    [KN_BF16] = {"bf16", 1, 2, 0, bf16_to_real, bf16_from_real, bf16_row, bf16_dot, bf16_not_finite},
    [KN_I32]  = {.name = "i32", .block = 1, .bytes = 4},
    [KN_Q8]   = {.name = "int8", .block = 1, .bytes = 1, .quantised = 1, .row = q_row, .dot = q_dot},
    [KN_Q4]   = {.name = "int4", .block = 2, .bytes = 1, .quantised = 1, .row = q_row, .dot = q_dot},
};

const kn_type_info *kn_type_of(kn_type t)
{
    RT_ASSERT(t < KN_TYPES);
    return &types[t];
}

kn_type kn_type_quantised(int bits)
{
    RT_ASSERT(bits == 8 || bits == 4);
    return bits == 8 ? KN_Q8 : KN_Q4;
}

size_t kn_size(kn_type t) { return types[t].quantised ? 0 : types[t].bytes; }

const char *kn_type_name(kn_type t) { return types[t].name; }

const real *kn_load(const void *x, kn_type t, int64_t at, int64_t n, real *work)
{
    RT_ASSERT(at >= 0 && n >= 0 && types[t].to_real);
    if (t == KN_REAL) return (const real *)x + at;
    types[t].to_real(work, x, at, n);
    return work;
}

real *kn_target(void *y, kn_type t, int64_t at, real *work) { return t == KN_REAL ? (real *)y + at : work; }

void kn_commit(void *y, kn_type t, int64_t at, const real *work, int64_t n)
{
    if (t != KN_REAL) types[t].from_real(y, at, work, n);
}

void kn_put(void *y, kn_type t, int64_t at, const real *x, int64_t n, int add)
{
    enum { BLOCK = 256 };
    real work[BLOCK];
    RT_ASSERT(at >= 0 && n >= 0 && types[t].from_real);
    if (!add) {
        types[t].from_real(y, at, x, n);
        return;
    }
    for (int64_t i = 0, m; i < n; i += BLOCK) {
        m        = n - i < BLOCK ? n - i : BLOCK;
        real *to = kn_target(y, t, at + i, work);
        kn_get()->add(to, kn_load(y, t, at + i, m, work), x + i, m);
        kn_commit(y, t, at + i, to, m);
    }
}

/* Tests whole blocks, then searches for the index within the first block that is not finite. */
int64_t kn_not_finite(const void *x, kn_type t, int64_t n)
{
    enum { BLOCK = 1024 };
    int64_t at = 0, m = BLOCK;
    RT_ASSERT(types[t].not_finite);
    for (; at < n; at += m) {
        m = n - at < m ? n - at : m;
        if (types[t].not_finite(x, at, m)) break;
    }
    while (at < n && !types[t].not_finite(x, at, 1)) at++;
    return at < n ? at : -1;
}

void kn_row(real *y, const void *x, kn_type t, int64_t row, int64_t cols)
{
    RT_ASSERT(row >= 0 && cols >= 0 && types[t].row);
    types[t].row(y, x, row, cols);
}
