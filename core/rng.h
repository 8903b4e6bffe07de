/* rng.h -- random numbers that depend only on seeds.
 *
 * splitmix64 (Steele, Lea, Flood 2014): the state is a counter, so a stream starts as
 * {seed} and any position in it can be computed directly.  Not for secrets.
 */
#ifndef RT_CORE_RNG_H
#define RT_CORE_RNG_H
#include "core/status.h"
#include <stdint.h>

typedef struct rt_rng {
    uint64_t s;
} rt_rng;

/* Returns a hash of x, the same on every machine. */
static inline uint64_t rt_mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Returns the seed of sub-stream `b` of seed `a`, e.g. of (run seed, index). */
static inline uint64_t rt_mix2(uint64_t a, uint64_t b) { return rt_mix64(rt_mix64(a) ^ (b + 0x632be59bd9b4e019u)); }

static inline uint64_t rt_rng_u64(rt_rng *r)
{
    const uint64_t x = rt_mix64(r->s);
    r->s += 0x9e3779b97f4a7c15u;
    return x;
}

/* Uniform in [0, 1), 53 bits. */
static inline double rt_rng_uniform(rt_rng *r) { return (double)(rt_rng_u64(r) >> 11) * 0x1p-53; }
/* Uniform in 0 .. n-1, 1 <= n < 2^32 (multiply-shift of the upper 32 bits; bias below n / 2^32). */
static inline uint64_t rt_rng_below(rt_rng *r, uint64_t n)
{
    RT_ASSERT(n >= 1 && n <= UINT32_MAX);
    return ((rt_rng_u64(r) >> 32) * n) >> 32;
}

double rt_rng_normal(rt_rng *r);                         /* mean 0, variance 1 (Box-Muller) */
void   rt_rng_shuffle(rt_rng *r, int64_t *a, int64_t n); /* Fisher-Yates */
#endif
