/* gemm.h -- the product's work space and OpenBLAS; private to kernels/. */
#ifndef KN_GEMM_H
#define KN_GEMM_H
#include "kernels/kernels.h"

enum { KN_BLAS_K = 1024, KN_BLAS_SPACE = 32 << 10 };

/* One call of OpenBLAS on one thread: C[M,N] = op(A)[M,K] op(B)[K,N], + C when acc.  K is at most KN_BLAS_K; `space` is
 * KN_BLAS_SPACE reals of this thread's own.  It allocates nothing once OpenBLAS has its buffers (after the first call). */
void kn_blas(real *c, int64_t ldc, const real *a, int64_t lda, int ta, const real *b, int64_t ldb, int tb, int64_t M, int64_t N, int64_t K,
             int acc, real *space);

rt_status   kn_gemm_init(const kn_table *table);
rt_status   kn_blas_init(const kn_table *table);
const char *kn_blas_config(void); /* OpenBLAS's own description of itself */
#endif
