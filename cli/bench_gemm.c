/* bench_gemm.c -- gemm of square matrices with each backend. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BACKENDS = 8, ROUNDS = 3 };

/* Measures all backends in turn on the same gemm and keeps the best of ROUNDS for each. */
static rt_status measure_all(double best[MOST_BACKENDS], int *n)
{
    const char *in_use = kn_gemm_name(), *of_reals = kn_gemm_name_of_reals();
    double      rate;
    for (*n = 0; *n < MOST_BACKENDS && kn_gemm_name_at(*n); ++*n) best[*n] = 0;
    for (int i = 0; i < ROUNDS * *n; i++) {
        RT_TRY(kn_gemm_use(kn_gemm_name_at(i % *n), "own"));
        RT_TRY(cli_measure_gemm(&rate, KN_BF16, 1536, 0.4));
        if (rate > best[i % *n]) best[i % *n] = rate;
    }
    return kn_gemm_use(in_use, of_reals);
}

static rt_status bench_gemm_print_json(const double *best, int n)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    char           key[64];
    rt_put_object(&w, NULL);
    rt_put_int(&w, "threads", rt_threads());
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%s_gflops", kn_gemm_name_at(i));
        rt_put_fixed(&w, key, best[i], 1);
    }
    rt_put_text(&w, "engine", kn_gemm_name());
    rt_put_text(&w, "why", kn_gemm_why());
    rt_put_end(&w);
    return cli_print_line(&w);
}

rt_status bench_gemm(const bench_options *o)
{
    double best[MOST_BACKENDS];
    int    n;
    RT_TRY(measure_all(best, &n));
    if (o->json) return bench_gemm_print_json(best, n);
    printf("gemm of 1536 x 1536 matrices on %d threads, GFLOP/s\n", rt_threads());
    for (int i = 0; i < n; i++)
        printf("  %s %-16s %6.1f\n", strcmp(kn_gemm_name_at(i), kn_gemm_name()) ? " " : "*", kn_gemm_name_at(i), best[i]);
    printf("* the backend in use (%s); set RETORT_GEMM to choose another\n", kn_gemm_why());
    return RT_OK;
}
