/* lse.c -- the log-sum-exp of one row of logits. */
#include "model/score.h"
#include <math.h>

enum { BLOCK = 512 };

double md_lse(const real *z, int64_t V)
{
    const kn_table *k   = kn_get();
    const real      top = k->max(z, V);
    real            work[BLOCK];
    double          sum = 0;
    if (!isfinite(top)) return (double)top;
    for (int64_t v = 0; v < V; v += BLOCK) sum += (double)k->exp_sub(work, z + v, top, V - v < BLOCK ? V - v : BLOCK);
    return (double)top + log(sum);
}
