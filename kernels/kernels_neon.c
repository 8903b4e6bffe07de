/* kernels_neon.c -- the kernels for one instruction set; flags in CMakeLists.txt. */
#if defined(__aarch64__)
#define KN_ISA      neon
#define KN_VECTOR   16 /* bytes */
#define KN_MR       5  /* a sixth row fits in 32 registers, but not with gcc, which loads a whole column of A ahead */
#define KN_NV       4
#define KN_OPENBLAS 0
#include "kernels/kernels_body.h"
#else
extern int kn_no_neon;
int        kn_no_neon; /* an empty translation unit is no C */
#endif
