/* lse.c -- one row of logits: the cap that some models have, and the log-sum-exp. */
#include "model/score.h"
#include <math.h>

enum { BLOCK = 512 };

void md_cap_logits(const md_model *m, real *z)
{
    const real cap = (real)m->config.logit_cap;
    if (cap > 0) kn_get()->soft_cap(z, z, cap, m->config.V);
}

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
