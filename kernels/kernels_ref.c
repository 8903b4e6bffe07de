/* kernels_ref.c -- the kernels for one instruction set; flags in CMakeLists.txt. */
#define KN_ISA ref
#include "kernels/kernels_body.h"
