/* kernels_neon.c -- the kernels for NEON; CMakeLists.txt sets the compiler flags. */
#if defined(__aarch64__)
#define KN_ISA     neon
#define KN_VECTOR  16 /* bytes */
#define KN_MR      5  /* six rows would fit in 32 registers, but not with gcc, which loads a whole column of A ahead */
#define KN_NV      4
#define KN_PAIR_MR 4
#define KN_PAIR_NV 2
#include "kernels/kernels_body.h"
#else
extern int kn_no_neon;
int        kn_no_neon; /* ISO C forbids an empty translation unit */
#endif
