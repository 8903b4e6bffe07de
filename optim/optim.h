/* optim.h -- AdamW, learning-rate schedules, gradient clipping.
 *
 * The optimiser owns master weights and two moments of every parameter, all of type KN_REAL.
 * The master of a KN_REAL weight is the weight itself.  A bf16 weight is the rounded master after each step.
 */
#ifndef OPT_OPTIM_H
#define OPT_OPTIM_H
#include "kernels/kernels.h"

/* ---- schedule ---------------------------------------------------------------------------- */

typedef enum opt_schedule_kind { OPT_COSINE, OPT_WSD, OPT_CONSTANT } opt_schedule_kind;
typedef struct opt_schedule {
    opt_schedule_kind kind;
    int64_t           steps, warmup, decay; /* in steps; decay: length of the linear decay that ends OPT_WSD */
    double            lr, min_ratio;
} opt_schedule;
const char *opt_schedule_word(int i); /* word of schedule i = 0, 1, ... in configurations; NULL past the end */
/* Returns the learning rate of step s = 0, 1, ...: lr (s+1)/warmup while s < warmup; then
 *   cosine    lr (min + (1 - min)(1 + cos(pi a))/2),  a = (s - warmup)/(steps - warmup)
 *   wsd       lr; over the last `decay` steps it decreases linearly towards lr min_ratio
 *   constant  lr */
double opt_rate(const opt_schedule *o, int64_t s);

/* ---- AdamW --------------------------------------------------------------------------------- */

typedef struct opt_adamw {
    double lr, beta1, beta2, eps, weight_decay, clip;
} opt_adamw; /* clip: largest gradient norm; 0: no clipping */

typedef struct opt_param {
    void   *weight; /* [n] of `type` */
    kn_type type;
    real   *grad; /* [n] */
    int64_t n;
    int     decay; /* 1: weight decay applies (matrices) */
} opt_param;

typedef struct opt_state opt_state;

/* Returns the number of blocks.  The parameters are cut into blocks in their order; the cut depends only on their sizes.  A state
 * may own a range of blocks: it holds their moments and masters, and opt_step updates only their weights. */
int64_t opt_blocks(const opt_param *p, int n);

/* Creates a state for blocks from .. to-1 of the parameters; 0 and opt_blocks() select all.  The caller keeps weights and gradients. */
rt_status opt_create(opt_state **out, const opt_param *p, int n, int64_t from, int64_t to);
void      opt_destroy(opt_state **s);
int64_t   opt_bytes(kn_type type, int64_t n); /* allocated by opt_create for n weights of this type */

/* Returns the 2-norm of all gradients, for any range: sums of squares per block are added in order, in f64. */
double opt_grad_norm(const opt_state *s);
/* Does step t = 1, 2, ...: scales the gradient by min(1, clip / (norm + 1e-6)), then applies AdamW (see kn_adamw). */
void opt_step(opt_state *s, const opt_adamw *o, double lr, double norm, int64_t t);

/* opt_at returns the state of parameter i within the range, elements at .. at+n-1, for checkpoints.  The state owns the arrays. */
typedef struct opt_view {
    real   *master, *m, *v; /* [n] */
    int64_t at, n;          /* n 0: no element is in the range */
    int64_t size;           /* of the whole parameter */
} opt_view;
opt_view opt_at(opt_state *s, int i);
int      opt_params(const opt_state *s); /* number of parameters */
/* Rounds the masters into the weights.  Call it after changing masters directly. */
void opt_sync_weights(opt_state *s);
#endif
