/* objective.h -- what the tests of rows and of the head share; include it after cmocka.h. */
#ifndef TESTS_OBJECTIVE_H
#define TESTS_OBJECTIVE_H
#include "autograd/objective.h"
#include <math.h>

/* Relative to 1 + the number itself. */
static const double tolerance = sizeof(real) == 8 ? 1e-10 : 2e-5;

static inline void close_to(const char *what, double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s is %.12g, not %.12g", what, got, want);
}

static inline ag_needs needs(int o) { return ag_objectives[o].needs; }

/* q = softmax(z / T); returns the log-sum-exp of z / T. */
static inline double softmax(double *q, const real *z, int64_t V, double T)
{
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++) max = fmax(max, (double)z[v] / T);
    for (int64_t v = 0; v < V; v++) sum += exp((double)z[v] / T - max);
    for (int64_t v = 0; v < V; v++) q[v] = exp((double)z[v] / T - max) / sum;
    return max + log(sum);
}
#endif
