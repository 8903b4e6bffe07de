/* dispatch.c -- which table this CPU runs, and typed memory on top of it. */
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const kn_table kn_table_ref;
#if defined(__x86_64__)
extern const kn_table kn_table_avx2, kn_table_avx512;
#elif defined(__aarch64__)
extern const kn_table kn_table_neon;
#endif

static const kn_table *g_table = &kn_table_ref;

const kn_table *kn_at(int i)
{
    const kn_table *able[4] = {&kn_table_ref};
    int             n       = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        able[n++] = &kn_table_avx2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl"))
            able[n++] = &kn_table_avx512;
    }
#elif defined(__aarch64__)
    able[n++] = &kn_table_neon; /* every such CPU has it */
#endif
    return i < n ? able[i] : NULL;
}

const kn_table *kn_get(void) { return g_table; }

static rt_status choose(void)
{
    const char *want    = getenv("RETORT_CPU");
    char        can[64] = "";
    for (int i = 0; kn_at(i); i++) {
        g_table = kn_at(i);
        if (want && !strcmp(want, g_table->isa)) return RT_OK;
        strcat(strcat(can, " "), g_table->isa);
    }
    RT_CHECK(!want || !*want, RT_EINVAL, "RETORT_CPU=%s: this CPU can run%s; unset it or choose one of these", want, can);
    return RT_OK;
}

rt_status kn_init(void)
{
    RT_TRY(choose());
    return kn_gemm_init(g_table);
}

const char *kn_describe(void)
{
    static char text[256];
    snprintf(text, sizeof text, "%s; %s", g_table->isa, kn_blas_config());
    return text;
}

size_t kn_size(kn_type t) { return t == KN_REAL ? sizeof(real) : t == KN_BF16 ? 2 : t == KN_I32 ? 4 : 0; }

const char *kn_type_name(kn_type t)
{
    static const char *const names[] = {sizeof(real) == 8 ? "f64" : "f32", "bf16", "i32", "int8", "int4"};
    return names[t];
}

const real *kn_load(const void *x, kn_type t, int64_t at, int64_t n, real *work)
{
    if (t == KN_REAL) return (const real *)x + at;
    g_table->widen(work, (const kn_bf16 *)x + at, n);
    return work;
}

real *kn_target(void *y, kn_type t, int64_t at, real *work) { return t == KN_REAL ? (real *)y + at : work; }

void kn_commit(void *y, kn_type t, int64_t at, const real *work, int64_t n)
{
    if (t != KN_REAL) g_table->narrow((kn_bf16 *)y + at, work, n);
}

void kn_put(void *y, kn_type t, int64_t at, const real *x, int64_t n, int add)
{
    enum { BLOCK = 256 };
    real work[BLOCK];
    if (t == KN_REAL) {
        real *to = (real *)y + at;
        if (add) g_table->add(to, to, x, n);
        else if (to != x) memcpy(to, x, (size_t)n * sizeof(real));
        return;
    }
    kn_bf16 *to = (kn_bf16 *)y + at;
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (add) {
            g_table->widen(work, to + i, m);
            g_table->add(work, work, x + i, m);
        }
        g_table->narrow(to + i, add ? work : x + i, m);
    }
}

/* Blocks without a branch, which the compiler turns into vector code; the place is looked for in a block that has one. */
static int any_real(const real *x, int64_t n)
{
    const real most = sizeof(real) == 8 ? (real)DBL_MAX : (real)FLT_MAX;
    int        bad  = 0;
    for (int64_t i = 0; i < n; i++) bad |= !(x[i] <= most && x[i] >= -most);
    return bad;
}

static int any_bf16(const kn_bf16 *x, int64_t n) /* an exponent of all ones */
{
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= (x[i] & 0x7f80) == 0x7f80;
    return bad;
}

int64_t kn_not_finite(const void *x, kn_type t, int64_t n)
{
    enum { BLOCK = 1024 };
    int64_t at = 0, m = BLOCK;
    for (; at < n; at += m) {
        m = n - at < m ? n - at : m;
        if (t == KN_REAL ? any_real((const real *)x + at, m) : any_bf16((const kn_bf16 *)x + at, m)) break;
    }
    while (at < n && !(t == KN_REAL ? any_real((const real *)x + at, 1) : any_bf16((const kn_bf16 *)x + at, 1))) at++;
    return at < n ? at : -1;
}

static void quant_row(real *y, const kn_quant *w, int64_t row)
{
    const uint8_t *q = w->q + row * w->cols * w->bits / 8;
    const float   *s = w->scale + row * w->groups, *z = w->zero + row * w->groups;
    for (int64_t c = 0; c < w->cols; c++) {
        const int v = w->bits == 8 ? q[c] : (q[c / 2] >> (c % 2 * 4)) & 15;
        y[c]        = ((real)v - (real)z[c / w->group]) / (real)s[c / w->group];
    }
}

void kn_row(real *y, const void *x, kn_type t, int64_t row, int64_t cols)
{
    if (t == KN_Q8 || t == KN_Q4) {
        quant_row(y, x, row);
        return;
    }
    const real *r = kn_load(x, t, row * cols, cols, y);
    if (r != y) memcpy(y, r, (size_t)cols * sizeof(real));
}
