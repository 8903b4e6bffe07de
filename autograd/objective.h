/* objective.h -- the row functions of the distillation head.  Private to autograd/. */
#ifndef AG_OBJECTIVE_H
#define AG_OBJECTIVE_H
#include "autograd/autograd.h"

typedef struct ag_row_result {
    double loss, kl, ce;
} ag_row_result;

/* Loss of one row of logits z[V] against row n of the targets; with `gradient`, z becomes
 * t->scale dloss/dz; without, it is used up all the same.  Every variant is "a q minus sparse targets", q = softmax(z):
 * a and the targets are what differs. */
ag_row_result ag_row_loss(const kn_table *k, const ag_targets *t, int64_t n, real *z, int64_t V, int gradient);
#endif
