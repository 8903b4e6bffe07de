/* bench.h -- the options and sub-commands of retort bench, private to cli/. */
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
rt_status bench_objective(const bench_options *o); /* alternating steps of an objective and of cross-entropy */
rt_status bench_gemm(const bench_options *o);
rt_status bench_optimiser(const bench_options *o);
rt_status bench_tokenizer(const bench_options *o, int words, char **word); /* DIR FILE... */

/* ---- data for the steps -------------------------------------------------------------------------- */

typedef struct bench_preset {
    const char *name;
    int64_t     C, L, H, KV, D, F, V, B, T;
} bench_preset;

typedef struct bench_place { /* a temporary folder with a shard of random rows and a teacher of the student's size */
    const bench_preset *preset;
    char                dir[64], shard[96], teacher[96], tokenizer[RT_SHA_HEX];
} bench_place;

rt_status bench_open(bench_place *b, const bench_options *o); /* writes the teacher's weights only if o->objective is set */
void      bench_close(bench_place *b);
/* Sets the configuration from the preset, then from --set, then from `more` (KEY=VALUE texts, NULL-terminated; may be NULL). */
rt_status                bench_configure(tr_config *c, const bench_place *b, const bench_options *o, const char *const *more);
double                   bench_median(double *x, int64_t n); /* sorts x[n] */
extern const char *const bench_work_keys[TR_WORKS];          /* "products", ... */

/* ---- the gemm calls of a step, recorded and repeated alone (bench_alone.c) ---------------------- */

typedef struct bench_gemm_call {
    int64_t M, N, K;
    int     a_trans, b_trans;
    kn_type at, bt, ct;
} bench_gemm_call;
typedef struct bench_list {
    bench_gemm_call *p;
    int64_t          n, cap;
    rt_status        st;
} bench_list;
typedef struct bench_alone { /* memory for the recorded calls, which all use the same operands and output */
    const bench_list *list;
    real             *a, *b, *c;
} bench_alone;

void      bench_watch(bench_list *l); /* starts to record the calls of kn_gemm in l; NULL stops */
rt_status bench_alone_create(bench_alone *o, const bench_list *l);
void      bench_alone_destroy(bench_alone *o);
double    bench_alone_seconds(const bench_alone *o); /* the time of one pass over the list */
#endif
