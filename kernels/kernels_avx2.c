/* kernels_avx2.c -- the kernels for AVX2; CMakeLists.txt sets the compiler flags. */
#if defined(__x86_64__)
#define KN_ISA     avx2
#define KN_VECTOR  32 /* bytes */
#define KN_MR      6
#define KN_NV      2
#define KN_PAIR_MR 4
#define KN_PAIR_NV 2
#include "kernels/kernels_body.h"
#else
extern int kn_no_avx2;
int        kn_no_avx2; /* ISO C forbids an empty translation unit */
#endif
