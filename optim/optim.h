/* optim.h -- AdamW, learning-rate schedules, clipping.
 *
 * The optimiser owns f32 master weights and two moments of every parameter.  For KN_REAL
 * models the master is the weight itself; for bf16 models each step rounds it into the weight.
 */
#ifndef OPT_OPTIM_H
#define OPT_OPTIM_H
#include "kernels/kernels.h"

/* ---- schedule ---------------------------------------------------------------------------- */

typedef enum opt_schedule_kind { OPT_COSINE, OPT_WSD, OPT_CONSTANT } opt_schedule_kind;
typedef struct opt_schedule {
    opt_schedule_kind kind;
    int64_t           steps, warmup, decay; /* decay: the last part of OPT_WSD, linear */
    double            lr, min_ratio;
} opt_schedule;
/* Learning rate of step s = 0, 1, ...: lr (s+1)/warmup while s < warmup; then
 *   cosine    lr (min + (1 - min)(1 + cos(pi a))/2),  a = (s - warmup)/(steps - warmup)
 *   wsd       lr, and over the last `decay` steps linearly towards lr min_ratio
 *   constant  lr */
double opt_rate(const opt_schedule *o, int64_t s);

/* ---- AdamW --------------------------------------------------------------------------------- */

typedef struct opt_adamw {
    double lr, beta1, beta2, eps, weight_decay, clip;
} opt_adamw; /* clip 0: off */

typedef struct opt_param {
    void   *weight; /* [n] of `type` */
    kn_type type;
    real   *grad; /* [n] */
    int64_t n;
    int     decay; /* matrices: 1 */
} opt_param;

typedef struct opt_state opt_state;

/* The parameters are cut into blocks by shape alone, in their order.  A state may own a range of blocks: the moments and masters
 * of these, and the steps that change them. */
int64_t opt_blocks(const opt_param *p, int n);

/* A state of blocks from .. to of these parameters: 0 .. opt_blocks for all. */
rt_status opt_create(opt_state **out, const opt_param *p, int n, int64_t from, int64_t to);
void      opt_destroy(opt_state **s);
int64_t   opt_bytes(const opt_param *p, int n); /* what opt_create will allocate for all blocks */

/* 2-norm of all gradients, whatever the range: sums of squares by block, added in order, in f64. */
double opt_grad_norm(const opt_state *s);
/* Step number t = 1, 2, ...: clip by min(1, clip / (norm + 1e-6)), then AdamW (see kn_adamw). */
void opt_step(opt_state *s, const opt_adamw *o, double lr, double norm, int64_t t);

/* The state of elements at .. at+n of parameter i, those of the range: for checkpoints.  The master of a KN_REAL weight is the weight. */
typedef struct opt_view {
    real   *master, *m, *v; /* [n] */
    int64_t at, n;          /* n 0: none of it is in the range */
} opt_view;
opt_view opt_at(opt_state *s, int i);
/* After masters were changed from outside: round them into the weights. */
void opt_sync_weights(opt_state *s);
#endif
