/* measure.h -- what this machine can do: product rate, memory bandwidth, decoding with a model. */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H
#include "model/model.h"
#include <stdint.h>

/* Best rate of square products of side n in 1e9 floating-point operations a second; about `seconds` long.
 * On all threads, after kn_init. */
rt_status cli_measure_gemm(double *gflops, int64_t n, double seconds);
/* Best rate of copying one array of `bytes` into another on all threads, in 1e9 bytes a
 * second, read and written bytes both counted. */
rt_status cli_measure_copy(double *gb_s, int64_t bytes);
/* Tokens a second, one after the other from an empty context: up to 32 of them, or as many as 0.3 seconds hold. */
rt_status cli_measure_decoding(double *tok_s, const md_model *m);
#endif
