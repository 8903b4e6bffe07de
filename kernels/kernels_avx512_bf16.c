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
#include "kernels/kernels_body.h"
#else
extern int kn_no_avx512_bf16;
int        kn_no_avx512_bf16; /* ISO C forbids an empty translation unit */
#endif
