/* measure.h -- measurements of this machine: gemm rate, memory bandwidth, decoding speed of a model. */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H
#include "model/model.h"
#include <stdint.h>

/* Measures for about `seconds` the best rate of a square gemm of size n on all threads, in 1e9 floating-point operations
 * per second.  The operands have type t, the output is of reals.  Call kn_init first. */
rt_status cli_measure_gemm(double *gflops, kn_type t, int64_t n, double seconds);
/* Measures the best rate of copying an array of `bytes` on all threads, in 1e9 bytes per
 * second; read and written bytes are both counted. */
rt_status cli_measure_copy(double *gb_s, int64_t bytes);
/* Measures the decoding of single tokens from an empty context in tokens per second, over at most 32 tokens or 0.3 seconds. */
rt_status cli_measure_decoding(double *tok_s, const md_model *m);
#endif
