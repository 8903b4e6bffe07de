/* bench.h -- the options of retort bench and its parts. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H
#include "core/options.h"
#include "kernels/kernels.h"

typedef struct bench_options {
    const char *preset;
    rt_texts    set;
    int64_t     steps, warmup, threads;
    int         json;
} bench_options;

rt_status bench_step(const bench_options *o);
rt_status bench_products(const bench_options *o);
rt_status bench_optimiser(const bench_options *o);

/* ---- the step's own products, written down while it runs and run alone ------------------------- */

typedef struct bench_product {
    int64_t M, N, K;
    int     a_trans, b_trans;
} bench_product;
typedef struct bench_list {
    bench_product *p;
    int64_t        n, cap;
    rt_status      st;
} bench_list;

void bench_watch(bench_list *l); /* from here on kn_gemm's calls are written down; NULL ends it */
/* Seconds of one pass over the list with f32 operands and outputs of their own: the best of three. */
rt_status bench_alone(const bench_list *l, double *seconds);
#endif
