/* kernels_ref.c -- the kernels for any CPU; CMakeLists.txt sets the compiler flags. */
#define KN_ISA     ref
#define KN_VECTOR  16 /* bytes */
#define KN_MR      4
#define KN_NV      2
#define KN_PAIR_MR 4
#define KN_PAIR_NV 2
#define KN_DOT_EXACT
#include "kernels/kernels_body.h"
