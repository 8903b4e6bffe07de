/* gemm_own.c -- the gemm backend "own": the table's register tile of reals; bf16 operands are cast to reals while they are packed. */
#include "kernels/gemm.h"
#include <stdio.h>

static rt_status own_load(const kn_table *t)
{
    (void)t;
    return RT_OK;
}

static int own_ready(void) { return 1; }

static const char *own_describe(void)
{
    static char           text[64];
    const kn_gemm_kernel *g = &kn_get()->gemm;
    snprintf(text, sizeof text, "own (%s, %lld x %lld)", g->name, (long long)g->mr, (long long)g->nr);
    return text;
}

const kn_gemm_backend kn_gemm_own = {.name       = "own",
                                     .operands   = KN_REAL,
                                     .describe   = own_describe,
                                     .load       = own_load,
                                     .ready      = own_ready,
                                     .cut        = kn_packed_cut,
                                     .pack_items = kn_packed_items,
                                     .pack       = kn_packed_pack,
                                     .tile       = kn_packed_tile};
