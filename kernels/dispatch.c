/* dispatch.c -- chooses the kernel table for this CPU. */
#include "kernels/gemm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

extern const kn_table kn_table_ref;
#if defined(__x86_64__)
extern const kn_table kn_table_avx2, kn_table_avx512, kn_table_avx512_bf16;
#elif defined(__aarch64__)
extern const kn_table kn_table_neon, kn_table_neon_bf16;
#endif

static const kn_table *g_table = &kn_table_ref;

/* Appends the tables besides `ref` that this CPU can run to able[] and returns their number. */
static int able_here(const kn_table *able[])
{
    int n = 0;
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return n;
    able[n++] = &kn_table_avx2;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return n;
    able[n++] = &kn_table_avx512;
    if (__builtin_cpu_supports("avx512bf16")) able[n++] = &kn_table_avx512_bf16;
#elif defined(__aarch64__)
    enum { BF16 = 1 << 14 };    /* HWCAP2_BF16 of Linux's <asm/hwcap.h> */
    able[n++] = &kn_table_neon; /* every AArch64 CPU has NEON */
    if (getauxval(AT_HWCAP2) & BF16) able[n++] = &kn_table_neon_bf16;
#else
    (void)able;
#endif
    return n;
}

const kn_table *kn_at(int i)
{
    const kn_table *able[4] = {&kn_table_ref};
    const int       n       = 1 + able_here(able + 1);
    return i < n ? able[i] : NULL;
}

const kn_table *kn_get(void) { return g_table; }

static rt_status dispatch_choose(void)
{
    const char *want    = getenv("RETORT_CPU");
    char        can[64] = "";
    for (int i = 0; kn_at(i); i++) {
        g_table = kn_at(i);
        if (want && !strcmp(want, g_table->isa)) return RT_OK;
        strcat(strcat(can, " "), g_table->isa);
    }
    RT_CHECK(!want || !*want, RT_EINVAL,
             "RETORT_CPU=%s: expected kernels that this CPU can run:%s; choose one of these, or unset RETORT_CPU", want, can);
    return RT_OK;
}

rt_status kn_init(void)
{
    RT_TRY(dispatch_choose());
    return kn_gemm_init(g_table);
}

rt_status kn_init_measured(void)
{
    RT_TRY(kn_init());
    kn_gemm_measure();
    return RT_OK;
}

const char *kn_describe(void)
{
    static char text[256];
    snprintf(text, sizeof text, "%s; %s", g_table->isa, kn_blas_config());
    return text;
}
