/* objective.h -- the row functions of the distillation head.  Private to autograd/.
 *
 * objective.c drives a row: temperature, cross-entropy, z-loss, weights.  What the divergence adds is in objective_stored.c
 * (k + m entries a row) and objective_whole.c (a teacher's logits of the whole vocabulary).
 */
#ifndef AG_OBJECTIVE_H
#define AG_OBJECTIVE_H
#include "autograd/autograd.h"

typedef struct ag_row_result {
    double loss, kl, ce;
    int    bad; /* the teacher's logits are not finite: the row has no loss */
} ag_row_result;

/* One row, for one thread. */
typedef struct ag_row {
    const kn_table         *k;
    const ag_loss_settings *set;
    const ag_target_rows   *rows;
    int64_t                 n, V;
    real                   *z, *y; /* [V] logits of the student, and of the teacher where there are; both are used up */
    real                   *work;  /* [3 V] where ag_row_work says so: exponentials at temperature 1; the student's; the teacher's */
} ag_row;

/* Loss of the row; with `gradient`, z becomes rows->scale weight dloss/dz. */
ag_row_result ag_row_loss(const ag_row *r, int gradient);

/* ---- between the three files --------------------------------------------------------------- */

/* A row on its way: logits are divided by the temperature. */
typedef struct ag_state {
    ag_row         r;
    double         max, sum, lse; /* of the student's logits; sum of exp(z - max) */
    double         scale;         /* of the gradient, by the unchanged logits, of CE and z-loss */
    double         by_q;          /* what CE and z-loss add to the coefficient of q, in units of `scale` */
    double         by_kl;         /* what a divergence's gradient by z counts, in the same units */
    double         value, kl;     /* of the divergence: what is minimised; what is shown (NaN: no true divergence) */
    kn_softmaxes   soft;          /* objective_whole.c */
    double         moment, sum_y;
    int64_t        k, m; /* objective_stored.c: what of the row it uses */
    const int32_t *ids, *tail;
    double         p[AG_MAX_ENTRIES], lp[AG_MAX_ENTRIES], zk[AG_MAX_ENTRIES], zt[AG_MAX_ENTRIES], zx, P, R;
    int32_t        x;
} ag_state;

/* What is read before logits become exponentials; then value, kl and, with `gradient`, the row's gradient in z. */
void ag_stored_take(ag_state *s);
void ag_stored_lose(ag_state *s, int gradient);
void ag_whole_take(ag_state *s);
void ag_whole_lose(ag_state *s, int gradient);

double ag_block_sum(const kn_table *k, const real *x, int64_t n);                    /* in double, block by block */
double ag_soften(const kn_table *k, real *e, const real *z, int64_t n, double *max); /* e = exp(z - max); the sum of them */
#endif
