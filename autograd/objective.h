/* objective.h -- the row functions of the distillation head.  Private to autograd/.
 *
 * objective.c computes a row's loss: temperature, cross-entropy, z-loss, weights.  The divergences are in objective_stored.c
 * (k + m entries per row) and objective_whole.c (the teacher's logits of the whole vocabulary).
 */
#ifndef AG_OBJECTIVE_H
#define AG_OBJECTIVE_H
#include "autograd/autograd.h"

typedef struct ag_row_result {
    double loss, kl, ce;
    int    bad; /* 1: the teacher's logits are not finite and the row has no loss */
} ag_row_result;

/* One row; one thread works on it. */
typedef struct ag_row {
    const kn_table         *k;
    const ag_loss_settings *set;
    const ag_target_rows   *rows;
    int64_t                 n, V;
    real                   *z, *y; /* [V] logits of the student; of the teacher, or NULL; both are overwritten */
    real                   *work;  /* [3 V] if ag_row_work returns 1: exponentials at temperature 1; the student's; the teacher's */
} ag_row;

/* Returns the loss of the row.  If `gradient` is set, z becomes rows->scale weight dloss/dz. */
ag_row_result ag_row_loss(const ag_row *r, int gradient);

/* ---- shared by the three files --------------------------------------------------------------- */

/* The state of a row while its loss is computed.  Its logits are already divided by the temperature. */
typedef struct ag_state {
    ag_row         r;
    double         max, sum, lse; /* of the student's logits; sum of exp(z - max) */
    double         scale;         /* factor of the gradient of CE and z-loss by the undivided logits */
    double         by_q;          /* coefficient of q in the gradient of CE and z-loss, in units of `scale` */
    double         by_kl;         /* factor of the divergence's gradient by z, in the same units */
    double         value, kl;     /* of the divergence: minimised; reported (NaN: the row has none) */
    kn_softmaxes   soft;          /* used by objective_whole.c */
    double         moment, sum_y;
    int64_t        k, m; /* used by objective_stored.c: entries and samples of this row */
    const int32_t *ids, *tail;
    double         p[AG_MAX_ENTRIES], lp[AG_MAX_ENTRIES], zk[AG_MAX_ENTRIES], zt[AG_MAX_ENTRIES], zx, P, R;
    int32_t        x;
} ag_state;

/* *_take reads the logits before they become exponentials.  *_lose sets value and kl and, if `gradient` is set, the row's gradient in z. */
void ag_stored_take(ag_state *s);
void ag_stored_lose(ag_state *s, int gradient);
void ag_whole_take(ag_state *s);
void ag_whole_lose(ag_state *s, int gradient);

double ag_block_sum(const kn_table *k, const real *x, int64_t n);                    /* returns the sum in double, block by block */
double ag_soften(const kn_table *k, real *e, const real *z, int64_t n, double *max); /* e = exp(z - max); returns the sum of e */
#endif
