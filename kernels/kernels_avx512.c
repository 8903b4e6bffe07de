/* kernels_avx512.c -- the kernels for AVX-512; CMakeLists.txt sets the compiler flags. */
#if defined(__x86_64__)
#define KN_ISA     avx512
#define KN_VECTOR  64 /* bytes */
#define KN_MR      12
#define KN_NV      2
#define KN_PAIR_MR 12
#define KN_PAIR_NV 2
#include "kernels/kernels_body.h"
#else
extern int kn_no_avx512;
int        kn_no_avx512; /* ISO C forbids an empty translation unit */
#endif
