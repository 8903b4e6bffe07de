/* gemm.h -- the product's work space and OpenBLAS; private to kernels/. */
#ifndef KN_GEMM_H
#define KN_GEMM_H
#include "kernels/kernels.h"
rt_status   kn_gemm_init(const kn_table *table);
rt_status   kn_blas_init(const kn_table *table);
const char *kn_blas_config(void); /* OpenBLAS's own description of itself */
#endif
