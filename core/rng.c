/* rng.c -- normal variates and shuffling. */
#include "core/rng.h"
#include <math.h>

double rt_rng_normal(rt_rng *r)
{
    const double u = 1.0 - rt_rng_uniform(r), v = rt_rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void rt_rng_shuffle(rt_rng *r, int64_t *a, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)rt_rng_below(r, (uint64_t)i + 1), t = a[i];
        a[i] = a[j];
        a[j] = t;
    }
}
