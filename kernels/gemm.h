/* gemm.h -- the product's work space and OpenBLAS; private to kernels/. */
#ifndef KN_GEMM_H
#define KN_GEMM_H
#include "kernels/kernels.h"
/* One call of OpenBLAS on one thread: C = op(A) op(B), + C when acc. */
void kn_blas(real *c, int64_t ldc, const real *a, int64_t lda, int ta, const real *b, int64_t ldb, int tb, int64_t M, int64_t N, int64_t K,
             int acc);
rt_status   kn_gemm_init(const kn_table *table);
rt_status   kn_blas_init(const kn_table *table);
const char *kn_blas_config(void); /* OpenBLAS's own description of itself */
#endif
