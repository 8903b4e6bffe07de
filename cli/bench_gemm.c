/* bench_gemm.c -- gemm alone: the recorded calls of a step, and square matrices with each backend. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BACKENDS = 8, ROUNDS = 3 };

static void bench_gemm_seen(void *ud, const kn_mat *a, const kn_mat *b, int64_t M, int64_t N, int64_t K)
{
    bench_list *l = ud;
    if (l->st == RT_OK) l->st = rt_grow((void **)&l->p, l->n, &l->cap, sizeof *l->p);
    if (l->st == RT_OK) l->p[l->n++] = (bench_gemm_call){M, N, K, a->trans, b->trans};
}

void bench_watch(bench_list *l) { kn_gemm_watch(l ? bench_gemm_seen : NULL, l); }

static void once(const bench_list *l, real *a, real *b, real *c)
{
    for (int64_t i = 0; i < l->n; i++) {
        const bench_gemm_call *p = &l->p[i];
        kn_gemm(c, KN_REAL, p->N, (kn_mat){a, KN_REAL, p->a_trans ? p->M : p->K, p->a_trans},
                (kn_mat){b, KN_REAL, p->b_trans ? p->K : p->N, p->b_trans}, p->M, p->N, p->K, NULL);
    }
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

rt_status bench_alone(const bench_list *l, double *seconds)
{
    int64_t na = 0, nb = 0, nc = 0;
    real   *m = NULL;
    for (int64_t i = 0; i < l->n; i++) {
        na = larger(na, l->p[i].M * l->p[i].K);
        nb = larger(nb, l->p[i].K * l->p[i].N);
        nc = larger(nc, l->p[i].M * l->p[i].N);
    }
    RT_TRY(RT_NEW(m, na + nb + nc));
    for (int64_t i = 0; i < na + nb; i++) m[i] = (real)(i % 7 - 3) / 4;
    for (int i = 0; i < 3; i++) {
        const double began = rt_now();
        once(l, m, m + na, m + na + nb);
        const double took = rt_now() - began;
        if (!i || took < *seconds) *seconds = took;
    }
    free(m);
    return RT_OK;
}

/* Measures all backends in turn on the same gemm and keeps the best of ROUNDS for each. */
static rt_status measure_all(double best[MOST_BACKENDS], int *n)
{
    const char *in_use = kn_gemm_name(), *of_reals = kn_gemm_name_of_reals();
    double      rate;
    for (*n = 0; *n < MOST_BACKENDS && kn_gemm_name_at(*n); ++*n) best[*n] = 0;
    for (int i = 0; i < ROUNDS * *n; i++) {
        RT_TRY(kn_gemm_use(kn_gemm_name_at(i % *n), "own"));
        RT_TRY(cli_measure_gemm(&rate, 1536, 0.4));
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
    printf("* the backend in use; set RETORT_GEMM to choose another\n");
    return RT_OK;
}
