/* autograd.h -- build a graph once per shape, plan it once, replay it for ever.
 *
 *   ag_graph *g;  ag_plan *p;
 *   ag_graph_create(&g, KN_BF16);              -- how activations are stored
 *   ag_id x = ag_input(g, "x", KN_BF16, 2, (int64_t[]){N, C});
 *   ag_id w = ag_param(g, "w", KN_BF16, 2, (int64_t[]){M, C});
 *   ag_id y = ag_linear(g, x, w);              -- shape errors are kept in g
 *   ag_plan_create(&p, g, loss, &opts);        -- every failure surfaces here
 *   ag_plan_bind(p, x, data, NULL); ...        -- the caller owns inputs and params
 *   ag_step(p, 0);                             -- cannot fail, cannot allocate
 *
 * Shapes are outermost first ([rows, cols]); tensors are row-major and contiguous.
 * Gradients of parameters are reals, those of activations have the activations' type.
 * Nothing here is thread-safe except through distinct plans; replay uses all threads.
 */
#ifndef AG_AUTOGRAD_H
#define AG_AUTOGRAD_H
#include "core/memory.h"
#include "core/status.h"
#include "kernels/kernels.h"
#include <stddef.h>
#include <stdint.h>

#define AG_MAX_DIM 4
#define AG_MAX_IN  6

typedef int32_t         ag_id;    /* a value's index in its graph; -1 after an error */
typedef struct ag_graph ag_graph; /* opaque; owns names, shapes, nodes */
typedef struct ag_plan  ag_plan;  /* opaque; owns schedule and arena; borrows the graph */

rt_status ag_graph_create(ag_graph **out, kn_type activations);
void      ag_graph_destroy(ag_graph **g); /* sets *g to NULL; NULL is a no-op */

/* Leaves.  The caller owns their memory and binds it to the plan.  A frozen parameter is an input. */
ag_id ag_input(ag_graph *g, const char *name, kn_type t, int nd, const int64_t *shape);
ag_id ag_param(ag_graph *g, const char *name, kn_type t, int nd, const int64_t *shape);

/* The same memory under another shape: no step, no copy. */
ag_id ag_view(ag_graph *g, ag_id x, int nd, const int64_t *shape);

/* Ops append one node and return its output.  After the first error every call returns
 * -1 and ag_plan_create() reports that first error. */
ag_id ag_add(ag_graph *g, ag_id a, ag_id b);                 /* y = a + b, same shape             */
ag_id ag_mul(ag_graph *g, ag_id a, ag_id b);                 /* y = a * b, same shape             */
ag_id ag_bias(ag_graph *g, ag_id x, ag_id b);                /* x[N,C] + b[C] on each row         */
ag_id ag_sum(ag_graph *g, ag_id x);                          /* y = sum_i x_i, a real scalar      */
ag_id ag_embed(ag_graph *g, ag_id ids, ag_id w);             /* rows ids[N] of w[V,C]: [N,C]      */
ag_id ag_linear(ag_graph *g, ag_id x, ag_id w);              /* x[N,C] w[M,C]^T: [N,M]            */
ag_id ag_linear_add(ag_graph *g, ag_id x, ag_id w, ag_id r); /* x w^T + r[N,M]                    */
ag_id ag_rmsnorm(ag_graph *g, ag_id x, ag_id w, double eps); /* rows of [N,C], w is [C]           */
ag_id ag_swiglu(ag_graph *g, ag_id gate, ag_id up);          /* silu(gate) * up, same shape       */

/* Rotary embedding of x[N, n D] by position pos[N]; table[2, P, D/2] holds cosines, then sines
 * (ag_rope_table fills it).  Halves of a head are paired, as in Hugging Face's files. */
ag_id ag_rope(ag_graph *g, ag_id x, ag_id pos, ag_id table, int64_t D);
void  ag_rope_table(real *table, int64_t positions, int64_t D, double theta);

/* Causal attention with grouped queries inside documents: q[BT, H D], k and v[BT, KV D];
 * position i of a sequence sees start[i] .. i of the same sequence.  No buffer of T x T. */
typedef struct ag_heads {
    int64_t B, T, H, KV, D;
} ag_heads;
ag_id ag_attention(ag_graph *g, ag_id q, ag_id k, ag_id v, ag_id start, const ag_heads *h);
/* Decoding: T new rows (B = 1) are appended to caches [P, KV D] at row past[0], which the
 * caller advances; forward only. */
ag_id ag_attention_cached(ag_graph *g, ag_id q, ag_id k, ag_id v, ag_id cache_k, ag_id cache_v, ag_id past, const ag_heads *h);

/* ---- the distillation head ------------------------------------------------------------------ */

/* What an objective learns from: text alone; k stored entries a row (and m samples of the rest where `samples`); a teacher's whole
 * distribution (ag_target_rows.teacher). */
typedef enum ag_needs { AG_TEXT, AG_ENTRIES, AG_WHOLE } ag_needs;

/* clang-format off */

/* Constant; word in configurations; what it needs; samples; its usual share of cross-entropy (what was measured to be best:
 * experiments/objectives); the kernel of a divergence from a whole distribution (-1: none); source.
 * Per row: p teacher, q student, K the k stored ids, P their mass, R = max(0, 1 - P) the tail, x the token that follows. */
#define AG_OBJECTIVE_LIST(X)                                                                                                        \
    X(AG_CE, "ce", AG_TEXT, 0, 1, -1, "-log q_x")                                                                                  \
    X(AG_SAMPLED, "sampled", AG_ENTRIES, 1, 0.1, -1, "K exact, each of m samples of the tail weighs R/m: unbiased estimate of KL(p||q)") \
    X(AG_TAIL, "tail", AG_ENTRIES, 0, 0.5, -1, "KL over k + 1 outcomes: K and one bucket for the tail")                            \
    X(AG_RENORM, "renorm", AG_ENTRIES, 0, 0, -1, "KL(p/P over K || q): biased")                                                    \
    X(AG_RENORM_BOTH, "renorm-both", AG_ENTRIES, 0, 0, -1, "KL(p/P over K || q/Q over K): says nothing about the tail")            \
    X(AG_TRUNCATED, "truncated", AG_ENTRIES, 0, 0, -1, "sum_K p log(p/q): no divergence, biased as renorm")                        \
    X(AG_RESIDUAL, "residual", AG_ENTRIES, 0, 0, -1, "K exact, all of R on x")                                                     \
    X(AG_ONEHOT, "onehot", AG_ENTRIES, 0, 0, -1, "K exact, 1 on x where x is not in K: unbiased where x was drawn from p")         \
    X(AG_TAIL_TOKEN, "tail-token", AG_ENTRIES, 0, 0, -1, "tail, and x among all outside K where it is there: onehot's mean with R exact") \
    X(AG_KL, "kl", AG_WHOLE, 0, 0.1, -1, "KL(p||q)")                                                                               \
    X(AG_REVERSE, "reverse", AG_WHOLE, 0, 0, KN_REVERSE, "KL(q||p)")                                                               \
    X(AG_JSD, "jsd", AG_WHOLE, 0, 0, KN_JSD, "beta KL(p||m) + (1-beta) KL(q||m), m = beta p + (1-beta) q")                         \
    X(AG_SKEW, "skew", AG_WHOLE, 0, 0, KN_SKEW, "KL(p || alpha p + (1-alpha) q)")                                                  \
    X(AG_SKEW_REVERSE, "skew-reverse", AG_WHOLE, 0, 0, KN_SKEW_REVERSE, "KL(q || (1-alpha) p + alpha q)")                          \
    X(AG_TV, "tv", AG_WHOLE, 0, 0, KN_TV, "half the sum of |p - q|")
/* clang-format on */

typedef enum ag_objective {
#define X(id, ...) id,
    AG_OBJECTIVE_LIST(X)
#undef X
        AG_OBJECTIVES
} ag_objective;

typedef struct ag_objective_info {
    const char *word;
    ag_needs    needs;
    int         samples;
    double      ce_weight;
    int         divergence; /* of kn_table.diverge; -1: none */
    const char *formula;
} ag_objective_info;
extern const ag_objective_info ag_objectives[AG_OBJECTIVES];
const ag_objective_info       *ag_objective_find(const char *word); /* NULL: none is called so */

/* A teacher's logits of row n are w [V, C] times its hidden row n.  Where its V is larger than the student's, the first rows
 * are its distribution: that given that the id is one of the student's.  Where it is smaller, the ids that it lacks count
 * as of a probability of e^-30 of its most likely one: nothing, but finite for divergences taken the other way. */
typedef struct ag_teacher {
    const void *hidden, *w; /* [N, C], [V, C] */
    kn_type     hidden_type, w_type;
    int64_t     C, V; /* V 0: the student's */
    /* Where set: fills row n of topk_ids .. tail_entropy from the row's logits (from any thread); the objective is then one of the first. */
    void (*draw)(void *ud, int64_t n, const real *logits, int64_t V);
    void *draw_ud;
} ag_teacher;

typedef enum ag_match { AG_NO_MATCH, AG_MATCH_MSE, AG_MATCH_COSINE } ag_match;

enum { AG_MAX_ENTRIES = 512 }; /* largest k and m */

/* How rows are learnt from.  Zeroed settings are neutral. */
typedef struct ag_loss_settings {
    ag_objective objective;
    double       ce_weight;    /* loss = (1 - ce_weight) divergence + ce_weight ce + z_loss lse^2 */
    double       temperature;  /* of the divergence: both rows' logits are divided by it; 0 is 1 */
    int          t2;           /* the divergence is multiplied by temperature^2 */
    double       beta, alpha;  /* AG_JSD; AG_SKEW, AG_SKEW_REVERSE */
    double       bucket_share; /* AG_SAMPLED, AG_TAIL_TOKEN: so much of the tail's shape is left to the student, as in AG_TAIL */
    double       z_loss;
    int64_t      k, m;
    ag_match     match; /* the hidden-state term (ag_match_hidden) */
    double       match_weight;
} ag_loss_settings;

/* What is known of the N rows of a batch; arrays as in ds_batch (data/data.h), not owned. */
typedef struct ag_target_rows {
    double         scale;    /* 1 / sum of weights of the rows that count in the whole global batch */
    const int32_t *target;   /* [N] */
    const uint8_t *count;    /* [N] */
    const float   *weight;   /* [N] of rows that count; NULL: 1 each */
    const int32_t *topk_ids; /* [N, k]; a row may have fewer: -1 stands behind its last */
    const float   *topk_logprob;
    const int32_t *tail_ids;     /* [N, m]; the same */
    const float   *tail_entropy; /* [N]; NaN: unknown */
    ag_teacher     teacher;
} ag_target_rows;

/* Of the last replay: scaled sums over this batch's rows. */
typedef struct ag_loss_result {
    double  loss, ce;
    double  kl;         /* a true divergence whatever is minimised: KL(p||q) over all ids or over k + 1 outcomes, at `temperature` */
    double  kl_missing; /* of the rows that have none, which kl leaves out: no exact entry is stored, or none is an id of the student's */
    double  matched;    /* the hidden-state term, part of loss */
    int64_t rows;       /* rows that counted */
    int64_t bad_row;    /* the first of them whose teacher's logits are not finite numbers: losses and gradients are void; -1: none */
} ag_loss_result;

/* Bound to the head's `targets` input. */
typedef struct ag_targets {
    ag_loss_settings settings;
    ag_target_rows   rows;
    ag_loss_result   result;
} ag_targets;

/* The mean divergence of the rows that have one, from sums of kl and kl_missing over a whole global batch; NaN where no row has one. */
double ag_mean_kl(double kl, double kl_missing);

/* hidden[N,C] x w[V,C] x targets -> the scaled loss.  Blocks of rows, never [N,V]; in
 * ag_step the gradient is made in the same pass.  targets: an ag_opaque input. */
typedef struct ag_head_opts {
    int64_t teacher; /* C of targets.teacher; 0: none */
    int     work;    /* another temperature than 1, or a divergence after AG_KL, will be asked for */
} ag_head_opts;
int   ag_row_work(const ag_loss_settings *s); /* ag_head_opts.work for these settings */
ag_id ag_opaque(ag_graph *g, const char *name);
void  ag_head_block(
     int64_t bytes); /* of logits at once, in graphs built from here on; 64 MB unless changed; a teacher's take as much again */
ag_id ag_head(ag_graph *g, ag_id hidden, ag_id w, ag_id targets, const ag_head_opts *o);
/* Hands hidden[N,C] on, and adds to the head's loss, over the rows that count,
 * match_weight times mean_c (y - t)^2 or 1 - cos(y, t), y = projection[Ct,C] hidden, t the teacher's hidden row [Ct]. */
ag_id ag_match_hidden(ag_graph *g, ag_id hidden, ag_id projection, ag_id targets);

/* Values made between begin and end are recomputed in backward, not kept. */
void ag_segment_begin(ag_graph *g);
void ag_segment_end(ag_graph *g);

/* ---- plans -------------------------------------------------------------------------------------- */

typedef struct ag_plan_opts {
    int forward_only;                          /* no gradients: `loss` may be any value, read by ag_plan_value */
    int recompute;                             /* honour the segments                                   */
    int outline;                               /* schedule and sizes alone, no arena: to look at, not to run */
    int no_reuse;                              /* debug: every value has memory of its own               */
    int poison;                                /* debug: fill memory with NaN as soon as it is dead       */
    void (*grad_ready)(void *ud, ag_id param); /* its gradient is final (its exchange may start) */
    void *grad_ready_ud;
} ag_plan_opts;

/* What a step spends its time on. */
typedef enum ag_work {
    AG_GEMM,
    AG_ATTENTION,
    AG_ROWS,
    AG_LOSS,
    AG_WORKS
} ag_work; /* linear; attention; norms, rotary, element by element; head */

typedef struct ag_plan_info {
    size_t arena_bytes, sum_bytes; /* with every lifetime's memory shared, and without */
    size_t kept_bytes, head_bytes; /* of the arena: what waits from forward to backward; the head's work space */
    int    n_steps, n_buffers;
} ag_plan_info;

rt_status ag_plan_create(ag_plan **out, const ag_graph *g, ag_id loss, const ag_plan_opts *o);
void      ag_plan_destroy(ag_plan **p);
/* `data` and `grad` stay the caller's; grad is NULL for inputs. */
void   ag_plan_bind(ag_plan *p, ag_id v, void *data, void *grad);
void   ag_plan_value(const ag_plan *p, ag_id v, void **data); /* valid until the next replay; leaves and the loss only */
double ag_forward(ag_plan *p);                                /* returns the loss */
void   ag_backward(ag_plan *p, int accumulate);               /* after ag_forward; accumulate: add to the params' gradients */
double ag_step(ag_plan *p, int accumulate);                   /* both, the head's work done once; returns the loss */
/* As ag_step, but looks at all that each operator makes.  RT_ECHECK names the first that made a value which is not finite. */
rt_status    ag_plan_find_anomaly(ag_plan *p, int accumulate);
ag_plan_info ag_plan_stats(const ag_plan *p);
/* The schedule as text, a line a step: number, pass, operator, output's shape, bytes and place in the arena, how long it lives.
 * Then every buffer of the arena: whose, bytes, offset, first and last step. */
rt_status     ag_plan_print(const ag_plan *p, rt_buf *out);
const double *ag_plan_seconds(const ag_plan *p); /* [AG_WORKS]: spent in replays so far */
#endif
