/* autograd.h -- build a graph once per shape, plan it once, replay it every step.
 *
 *   ag_graph *g;  ag_plan *p;
 *   ag_graph_create(&g, KN_BF16);              -- how activations are stored
 *   ag_id x = ag_input(g, "x", KN_BF16, 2, (int64_t[]){N, C});
 *   ag_id w = ag_param(g, "w", KN_BF16, 2, (int64_t[]){M, C});
 *   ag_id y = ag_linear(g, x, w);              -- shape errors are kept in g
 *   ag_plan_create(&p, g, loss, &opts);        -- returns the first error, if any
 *   ag_plan_bind(p, x, data, NULL); ...        -- the caller owns the memory of inputs and parameters
 *   ag_step(p, 0);                             -- cannot fail, cannot allocate
 *
 * Shapes are outermost first ([rows, cols]); tensors are row-major and contiguous.
 * Gradients of parameters have type KN_REAL; gradients of activations have the activations' type.
 * Only calls on distinct plans may run concurrently.  A replay uses all threads.
 */
#ifndef AG_AUTOGRAD_H
#define AG_AUTOGRAD_H
#include "core/memory.h"
#include "core/status.h"
#include "kernels/kernels.h"
#include <stddef.h>
#include <stdint.h>

#define AG_MAX_DIM 4
#define AG_MAX_IN  7

typedef int32_t         ag_id;    /* a value's index in its graph; -1 after an error */
typedef struct ag_graph ag_graph; /* opaque; owns names, shapes, nodes */
typedef struct ag_plan  ag_plan;  /* opaque; owns schedule and arena; borrows the graph */

/* Creates an empty graph whose activations are stored as KN_REAL or KN_BF16.  Destroy it after its plans.  RT_ENOMEM. */
rt_status ag_graph_create(ag_graph **out, kn_type activations);
void      ag_graph_destroy(ag_graph **g); /* sets *g to NULL; NULL is a no-op */

/* Leaves.  The caller owns their memory and binds it with ag_plan_bind.  Declare a frozen parameter as an input. */
ag_id ag_input(ag_graph *g, const char *name, kn_type t, int nd, const int64_t *shape);
ag_id ag_param(ag_graph *g, const char *name, kn_type t, int nd, const int64_t *shape);

/* Returns a value that shares the memory of x under another shape.  It adds no step and copies nothing. */
ag_id ag_view(ag_graph *g, ag_id x, int nd, const int64_t *shape);

/* Each operator appends one node and returns its output.  After the first error every call returns
 * -1, and ag_plan_create() returns that first error. */
ag_id ag_add(ag_graph *g, ag_id a, ag_id b);                 /* y = a + b, same shape, a's type   */
ag_id ag_mul(ag_graph *g, ag_id a, ag_id b);                 /* y = a * b, same shape             */
ag_id ag_scale(ag_graph *g, ag_id x, double s);              /* y = s x                           */
ag_id ag_bias(ag_graph *g, ag_id x, ag_id b);                /* x[N,C] + b[C] on each row         */
ag_id ag_sum(ag_graph *g, ag_id x);                          /* y = sum_i x_i, a real scalar      */
ag_id ag_embed(ag_graph *g, ag_id ids, ag_id w);             /* rows ids[N] of w[V,C]: [N,C]      */
ag_id ag_linear(ag_graph *g, ag_id x, ag_id w);              /* x[N,C] w[M,C]^T: [N,M]            */
ag_id ag_linear_add(ag_graph *g, ag_id x, ag_id w, ag_id r); /* x w^T + r[N,M]                    */
ag_id ag_swiglu(ag_graph *g, ag_id gate, ag_id up);          /* silu(gate) * up, same shape       */
ag_id ag_geglu(ag_graph *g, ag_id gate, ag_id up);           /* gelu(gate) * up, same shape; the tanh approximation */

/* RMSNorm of the rows of x[N,C], multiplied by w[C] or, if `plus_one`, by 1 + w[C]. */
ag_id ag_rmsnorm(ag_graph *g, ag_id x, ag_id w, double eps, int plus_one);

/* Rotary embedding of the first R elements of each head of x[N, n D], at positions pos[N].  table[2, P, R/2] holds the cosines, then
 * the sines.  Element i of a head is paired with element i + R/2, as in Hugging Face's files. */
ag_id ag_rope(ag_graph *g, ag_id x, ag_id pos, ag_id table, int64_t D);
/* Fills table [2, positions, R/2]: the cosines and sines of position times frequency[R/2], multiplied by `factor`. */
void ag_rope_table(real *table, int64_t positions, int64_t R, const double *frequency, double factor);

/* Causal grouped-query attention within documents: q[BT, H D], k and v[BT, KV D].
 * Position i of a sequence attends to doc_start[i] .. i of the same sequence; with a window only to the last `window` of these,
 * itself included.  No T x T buffer is allocated. */
typedef struct ag_heads {
    int64_t B, T, H, KV, D;
    int64_t window; /* 0: none */
    double  scale;  /* multiplies the scores q . k; 0: 1 / sqrt(D) */
    double  cap;    /* scores become cap tanh(score / cap); 0: none */
} ag_heads;
ag_id ag_attention(ag_graph *g, ag_id q, ag_id k, ag_id v, ag_id doc_start, const ag_heads *h);
/* Decoding, forward only: attention of R new rows q[R, H D], k and v[R, KV D] over a cache of B slots of T rows, one sequence per
 * slot.  Row r's k and v are stored at row pos[r] of slot[r]; then row r attends to rows 0 .. pos[r] of its slot.  All rows are
 * stored before any attends, so several rows may belong to one sequence, in any order.  The caller ensures that each slot[r] is
 * in 0 .. B-1, pos[r] in 0 .. T-1, that no two rows have the same place, and that all earlier rows of the sequence are stored. */
typedef struct ag_cache {
    ag_id k, v;      /* [B T, KV D], written */
    ag_id slot, pos; /* i32 [R]; pos: the number of tokens before the row's in its sequence */
} ag_cache;
ag_id ag_attention_cached(ag_graph *g, ag_id q, ag_id k, ag_id v, const ag_cache *c, const ag_heads *h);

/* ---- the distillation head ------------------------------------------------------------------ */

/* The data that an objective needs: the text alone; k stored entries per row (and m tail samples if `samples` is set); the
 * teacher's whole distribution (ag_target_rows.teacher). */
typedef enum ag_needs { AG_TEXT, AG_ENTRIES, AG_WHOLE } ag_needs;

/* clang-format off */

/* Constant; word in configurations; data needed; whether it uses tail samples; defaults of ce_weight and bucket_share (the
 * best measured in experiments/objectives); kernel of a divergence from a whole distribution (-1: none).
 * Per row: p teacher, q student, K the k stored ids, P their mass, R = max(0, 1 - P) the tail mass, x the next token. */
#define AG_OBJECTIVE_LIST(X)                                                                                                                                    \
    X(AG_CE, "ce", AG_TEXT, 0, 1, 0, -1)                                 /* -log q_x */                                                                         \
    X(AG_SAMPLED, "sampled", AG_ENTRIES, 1, 0.1, 0, -1)                  /* K exact, each of m samples of the tail weighs R/m: unbiased estimate of KL(p||q) */ \
    X(AG_TAIL, "tail", AG_ENTRIES, 0, 0.5, 0, -1)                        /* KL over k + 1 outcomes: K and one bucket for the tail */                            \
    X(AG_RENORM, "renorm", AG_ENTRIES, 0, 0, 0, -1)                      /* KL(p/P over K || q): biased */                                                      \
    X(AG_RENORM_BOTH, "renorm-both", AG_ENTRIES, 0, 0, 0, -1)            /* KL(p/P over K || q/Q over K): says nothing about the tail */                        \
    X(AG_TRUNCATED, "truncated", AG_ENTRIES, 0, 0, 0, -1)                /* sum_K p log(p/q): no divergence, biased as renorm */                                \
    X(AG_RESIDUAL, "residual", AG_ENTRIES, 0, 0, 0, -1)                  /* K exact, all of R on x */                                                           \
    X(AG_ONEHOT, "onehot", AG_ENTRIES, 0, 0, 0, -1)                      /* K exact, 1 on x where x is not in K: unbiased where x was drawn from p */           \
    X(AG_TAIL_TOKEN, "tail-token", AG_ENTRIES, 0, 0, 0.85, -1)           /* tail, and x among all outside K where it is there: onehot's mean with R exact */    \
    X(AG_KL, "kl", AG_WHOLE, 0, 0.1, 0, -1)                              /* KL(p||q) */                                                                         \
    X(AG_REVERSE, "reverse", AG_WHOLE, 0, 0, 0, KN_REVERSE)              /* KL(q||p) */                                                                         \
    X(AG_JSD, "jsd", AG_WHOLE, 0, 0, 0, KN_JSD)                          /* beta KL(p||m) + (1-beta) KL(q||m), m = beta p + (1-beta) q */                       \
    X(AG_SKEW, "skew", AG_WHOLE, 0, 0, 0, KN_SKEW)                       /* KL(p || alpha p + (1-alpha) q) */                                                   \
    X(AG_SKEW_REVERSE, "skew-reverse", AG_WHOLE, 0, 0, 0, KN_SKEW_REVERSE) /* KL(q || (1-alpha) p + alpha q) */                                                 \
    X(AG_TV, "tv", AG_WHOLE, 0, 0, 0, KN_TV)                             /* half the sum of |p - q| */
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
    double      ce_weight, bucket_share; /* defaults */
    int         divergence;              /* index into kn_table.diverge; -1: none */
} ag_objective_info;
extern const ag_objective_info ag_objectives[AG_OBJECTIVES];
const ag_objective_info       *ag_objective_find(const char *word); /* NULL: unknown word */

/* The teacher's logits of row n are w [V, C] times its hidden row n.  If its V is larger than the student's, only the first rows
 * of w are read, which gives the distribution conditioned on the student's ids.  If its V is smaller, each id that it lacks gets
 * e^-30 times the probability of its most likely id: negligible, but it keeps the reverse divergences finite. */
typedef struct ag_teacher {
    const void *hidden, *w; /* [N, C], [V, C] */
    kn_type     hidden_type, w_type;
    int64_t     C, V; /* V 0: the student's V */
    double      cap;  /* as ag_head_opts.cap, of the teacher's logits */
    /* If set, it fills row n of topk_ids .. tail_entropy from the row's logits; any thread may call it.  The objective is then one
     * that needs AG_TEXT or AG_ENTRIES. */
    void (*draw)(void *ud, int64_t n, const real *logits, int64_t V);
    void *draw_ud;
} ag_teacher;

typedef enum ag_match { AG_NO_MATCH, AG_MATCH_MSE, AG_MATCH_COSINE } ag_match;

enum { AG_MAX_ENTRIES = 512 }; /* largest k and m */

/* Settings of the loss.  Zero means neutral in every field. */
typedef struct ag_loss_settings {
    ag_objective objective;
    double       ce_weight;    /* loss = (1 - ce_weight) divergence + ce_weight ce + z_loss lse^2 */
    double       temperature;  /* of the divergence: divides both rows' logits; 0 means 1 */
    int          t2;           /* 1: multiply the divergence by temperature^2 */
    double       beta, alpha;  /* AG_JSD; AG_SKEW, AG_SKEW_REVERSE */
    double       bucket_share; /* AG_SAMPLED, AG_TAIL_TOKEN: share of the tail taken as one bucket, as in AG_TAIL */
    double       z_loss;
    int64_t      k, m;
    ag_match     match; /* the hidden-state term (ag_match_hidden) */
    double       match_weight;
} ag_loss_settings;

/* Targets of the N rows of a batch.  The arrays are those of ds_batch (data/loader.h) and its ds_rows (data/rows.h), and are not owned. */
typedef struct ag_target_rows {
    double         scale;     /* 1 / sum of the weights of the rows in the loss, over the global batch */
    const int32_t *target;    /* [N] */
    const uint8_t *loss_mask; /* [N] loss mask: 1 if the row is in the loss */
    const float   *weight;    /* [N] of the rows in the loss; NULL: 1 each */
    const int32_t *topk_ids;  /* [N, k]; a row with fewer ids is padded with -1 */
    const float   *topk_logprob;
    const int32_t *tail_ids;     /* [N, m]; padded likewise */
    const float   *tail_entropy; /* [N]; NaN: unknown */
    ag_teacher     teacher;
} ag_target_rows;

/* Result of the last replay: scaled sums over this batch's rows. */
typedef struct ag_loss_result {
    double  loss, ce;   /* of the head */
    double  kl;         /* KL(p||q) at `temperature`, over all ids or over k + 1 outcomes, whatever the objective */
    double  kl_missing; /* scaled weight of the rows left out of kl, which have no exact entry among the student's ids */
    double  matched;    /* of ag_match_hidden; the loss that is minimised is loss + matched */
    int64_t rows;       /* rows in the loss */
    int64_t bad_row;    /* first row whose teacher logits are not all finite: losses and gradients are invalid; -1: none */
} ag_loss_result;

/* The caller binds this to the head's `targets` input. */
typedef struct ag_targets {
    ag_loss_settings settings;
    ag_target_rows   rows;
    ag_loss_result   result;
} ag_targets;

/* Returns the mean divergence of the rows that have one, given the sums of kl and kl_missing over a global batch; NaN if no row has one. */
double ag_mean_kl(double kl, double kl_missing);

/* hidden[N,C] x w[V,C] x targets -> the scaled loss.  Logits are computed in blocks of rows, never as [N,V].
 * targets is an ag_opaque input. */
typedef struct ag_head_opts {
    int64_t teacher; /* C of targets.rows.teacher; 0: none */
    int     work;    /* 1: the settings will use a temperature other than 1, or a divergence that has a kernel */
    double  cap;     /* logits become cap tanh(logit / cap); 0: none */
} ag_head_opts;
int   ag_row_work(const ag_loss_settings *s); /* ag_head_opts.work for these settings */
ag_id ag_opaque(ag_graph *g, const char *name);
void  ag_head_block(
     int64_t bytes); /* sets the size of a block of logits in graphs built later; default 64 MB; a teacher's logits need the same again */
ag_id ag_head(ag_graph *g, ag_id hidden, ag_id w, ag_id targets, const ag_head_opts *o);
/* hidden[N,C] x projection[Ct,C] x targets -> the scaled hidden-state loss: the sum over the rows in the loss of match_weight times
 * mean_c (y - t)^2 or 1 - cos(y, t), where y = projection hidden and t is the teacher's hidden row [Ct]. */
ag_id ag_match_hidden(ag_graph *g, ag_id hidden, ag_id projection, ag_id targets);

/* Values computed between begin and end, a segment, are recomputed in backward instead of kept, if ag_plan_opts.recompute is set.
 * Segments do not nest. */
void ag_segment_begin(ag_graph *g);
void ag_segment_end(ag_graph *g);

/* ---- plans -------------------------------------------------------------------------------------- */

typedef struct ag_plan_opts {
    int forward_only; /* no gradients; `loss` may then be any value, read by ag_plan_value */
    int recompute;    /* recompute the segments in backward */
    int outline;      /* compute the schedule and sizes but allocate no arena; the plan cannot run */
    int poison;       /* for tests: fill a buffer with NaN when its lifetime ends */
} ag_plan_opts;

/* Categories of the time of a step. */
typedef enum ag_work {
    AG_GEMM,
    AG_ATTENTION,
    AG_ROWS,
    AG_LOSS,
    AG_WORKS
} ag_work; /* linear; attention; norms, rotary and elementwise operators; head and match_hidden */

typedef struct ag_plan_info {
    size_t arena_bytes, sum_bytes; /* size of the arena; sum of all buffers, i.e. the size without reuse */
    size_t kept_bytes, head_bytes; /* buffers kept from forward to backward; work space of head and match_hidden */
    int    n_steps, n_buffers;
} ag_plan_info;

/* Plans the steps that compute `loss` and its gradients, and allocates the arena.  Destroy it with ag_plan_destroy.  Returns the first
 * error of the graph, if any.  RT_EINVAL: `loss` is not a scalar of g.  RT_ENOMEM: the arena does not fit. */
rt_status ag_plan_create(ag_plan **out, const ag_graph *g, ag_id loss, const ag_plan_opts *o);
void      ag_plan_destroy(ag_plan **p);
/* Binds a leaf.  The caller keeps ownership of `data` and `grad`.  grad is NULL for inputs. */
void   ag_plan_bind(ag_plan *p, ag_id v, void *data, void *grad);
void   ag_plan_value(const ag_plan *p, ag_id v, void **data); /* valid until the next replay; leaves and the loss only */
double ag_forward(ag_plan *p);                                /* returns the loss */
void   ag_backward(ag_plan *p, int accumulate);               /* after ag_forward; accumulate: add to the parameters' gradients */
/* Forward and backward; returns the loss.  ag_head and ag_match_hidden compute their loss together with its gradient, so only their
 * backward runs, and sums of their losses are computed after it.  If backward reads what was computed from such a loss (as that of
 * ag_mul does), their forward runs too. */
double ag_step(ag_plan *p, int accumulate);
/* As ag_step, but checks every operator's results.  RT_ECHECK: its message names the first operator whose result is not finite. */
rt_status    ag_plan_find_anomaly(ag_plan *p, int accumulate);
ag_plan_info ag_plan_stats(const ag_plan *p);
/* Appends the schedule to `out`, one line per step: number, pass, operator, output's shape, bytes and offset in the arena, lifetime.
 * Then it appends one line per buffer of the arena: owner, bytes, offset, first and last step. */
rt_status     ag_plan_print(const ag_plan *p, rt_buf *out);
const double *ag_plan_seconds(const ag_plan *p); /* [AG_WORKS]: seconds spent in replays so far */
#endif
