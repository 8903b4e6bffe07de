/* kernels_avx2.c -- the kernels for one instruction set; flags in CMakeLists.txt. */
#if defined(__x86_64__)
#define KN_ISA      avx2
#define KN_VECTOR   32 /* bytes */
#define KN_MR       6
#define KN_NV       2
#define KN_OPENBLAS 0
#include "kernels/kernels_body.h"
#else
extern int kn_no_avx2;
int        kn_no_avx2; /* an empty translation unit is no C */
#endif
