/* kernels_neon_bf16.c -- the kernels for NEON with products of bf16 (Arm v8.6, BFDOT); CMakeLists.txt sets the compiler flags. */
#if defined(__aarch64__)
#include <arm_neon.h>
#define KN_ISA                neon_bf16
#define KN_VECTOR             16 /* bytes */
#define KN_MR                 5  /* as in kernels_neon.c */
#define KN_NV                 4
#define KN_PAIR_MR            5
#define KN_PAIR_NV            4
#define KN_DOT_NAME           "bfdot"
#define KN_DOT_PAIRS(s, a, b) (vec) vbfdotq_f32((float32x4_t)(s), (bfloat16x8_t)(b), (bfloat16x8_t)vdupq_n_u32(a))
#include "kernels/kernels_body.h"
#else
extern int kn_no_neon_bf16;
int        kn_no_neon_bf16; /* ISO C forbids an empty translation unit */
#endif
