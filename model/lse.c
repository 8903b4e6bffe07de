/* lse.c -- log-sum-exp of one row of logits. */
#include "model/model.h"
#include <math.h>

double md_lse(const real *z, int64_t V)
{
    double top = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++)
        if ((double)z[v] > top) top = (double)z[v];
    if (!isfinite(top)) return top;
    for (int64_t v = 0; v < V; v++) sum += exp((double)z[v] - top);
    return top + log(sum);
}
