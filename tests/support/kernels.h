/* kernels.h -- shared by the tests of the kernels, which are also compiled for other machines; include it after cmocka.h. */
#ifndef TESTS_KERNELS_H
#define TESTS_KERNELS_H
#include "core/rng.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const real guard = -77; /* stands around results, to show a write outside them */
static int        g_small;     /* 1: called with the word "small" */

static inline void fill_normal(real *x, int64_t n, uint64_t seed)
{
    rt_rng r = {seed};
    for (int64_t i = 0; i < n; i++) x[i] = (real)(2 * rt_rng_normal(&r));
}

static inline void choose_best(void)
{
    unsetenv("RETORT_CPU");
    assert_int_equal(kn_init(), RT_OK);
}

/* Reads the words, chooses the table and prints it; returns 0 on success. */
static inline int begin(int argc, char **argv)
{
    g_small = argc > 1 && !strcmp(argv[1], "small");
    unsetenv("RETORT_CPU");
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return printf("kernels: %s\n", kn_describe()) < 0;
}
#endif
