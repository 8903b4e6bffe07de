/* kernels.h -- numeric kernels behind one table chosen for this CPU, and the matrix
 * product (OpenBLAS is loaded only in kernels/gemm.c).
 *
 * Kernels never fail, allocate or print.  Matrices are row-major.  `real` is the
 * type that arithmetic runs in: float, or double in the f64 build that checks gradients.
 */
#ifndef KN_KERNELS_H
#define KN_KERNELS_H
#include "core/memory.h"
#include "core/threads.h"

#ifdef RT_REAL_F64
typedef double real;
#else
typedef float real;
#endif

/* How a tensor is stored. */
typedef enum kn_type { KN_REAL, KN_BF16, KN_I32, KN_Q8, KN_Q4 } kn_type;

#endif
