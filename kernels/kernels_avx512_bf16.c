/* kernels_avx512_bf16.c -- the kernels for AVX-512 with products of bf16 (AVX512_BF16); CMakeLists.txt sets the compiler flags. */
#if defined(__x86_64__)
#include <immintrin.h>
#define KN_ISA                avx512_bf16
#define KN_VECTOR             64 /* bytes */
#define KN_MR                 12
#define KN_NV                 2
#define KN_PAIR_MR            12
#define KN_PAIR_NV            2
#define KN_DOT_NAME           "vdpbf16ps"
#define KN_DOT_PAIRS(s, a, b) (vec) _mm512_dpbf16_ps((__m512)(s), (__m512bh)(b), (__m512bh)_mm512_set1_epi32((int)(a)))
/* Rounds n <= 16 floats to bf16; the instruction flushes denormals to zero. */
#define KN_TO_BF16(y, x, n)                                     \
    _mm256_mask_storeu_epi16((y), (__mmask16)((1u << (n)) - 1), \
                             (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), (x))))
#include "kernels/kernels_body.h"
#else
extern int kn_no_avx512_bf16;
int        kn_no_avx512_bf16; /* ISO C forbids an empty translation unit */
#endif
