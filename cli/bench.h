/* bench.h -- the options of retort bench and its parts. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H
#include "core/options.h"
#include "kernels/kernels.h"
#include "train/train.h"

typedef struct bench_options {
    const char *preset, *objective;
    rt_strings  set;
    int64_t     steps, warmup, threads;
    int         json;
} bench_options;

rt_status bench_step(const bench_options *o);
rt_status bench_objective(const bench_options *o); /* steps of an objective and of cross-entropy in turn */
rt_status bench_gemm(const bench_options *o);
rt_status bench_optimiser(const bench_options *o);

/* ---- what steps run on --------------------------------------------------------------------------- */

typedef struct bench_preset {
    const char *name;
    int64_t     C, L, H, KV, D, F, V, B, T;
} bench_preset;

typedef struct bench_place { /* a temporary folder with random rows and a teacher of the student's size */
    const bench_preset *preset;
    char                dir[64], shard[96], teacher[96], tokenizer[RT_SHA_HEX];
} bench_place;

rt_status bench_open(bench_place *b, const bench_options *o); /* the teacher's weights only where o->objective is set */
void      bench_close(bench_place *b);
/* The preset, then --set, then `more` (KEY=VALUE texts, NULL at the end; may be NULL). */
rt_status                bench_configure(tr_config *c, const bench_place *b, const bench_options *o, const char *const *more);
double                   bench_median(double *x, int64_t n); /* sorts x */
extern const char *const bench_work_keys[TR_WORKS];          /* "products", ... */

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
