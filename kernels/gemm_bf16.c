/* gemm_bf16.c -- the gemm backend "bf16": pairs of bf16 are multiplied and summed in f32 by one instruction.
 *
 * It multiplies operands that are both stored in bf16.  Products with an f32 operand go to a backend of reals, so a model in f32 computes
 * in f32.  A CPU without such an instruction computes the same by operations on reals, if RETORT_GEMM=bf16 asks for it.
 */
#include "kernels/gemm.h"
#include <stdio.h>

static int bf16_ready(void) { return kn_get()->gemm_bf16.step > 0; }

static rt_status bf16_load(const kn_table *t)
{
    RT_CHECK(t->gemm_bf16.step, RT_EINVAL, "the gemm backend bf16 needs arithmetic in f32; this build computes in f64");
    return RT_OK;
}

static const char *bf16_describe(void)
{
    static char           text[64];
    const kn_gemm_kernel *g = &kn_get()->gemm_bf16;
    snprintf(text, sizeof text, "bf16 (%s, %lld x %lld)", g->name, (long long)g->mr, (long long)g->nr);
    return text;
}

const kn_gemm_backend kn_gemm_bf16 = {.name       = "bf16",
                                      .operands   = KN_BF16,
                                      .describe   = bf16_describe,
                                      .load       = bf16_load,
                                      .ready      = bf16_ready,
                                      .cut        = kn_packed_cut,
                                      .pack_items = kn_packed_items,
                                      .pack       = kn_packed_pack,
                                      .tile       = kn_packed_tile};
