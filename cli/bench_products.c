/* bench_products.c -- matrix products alone: those of a step, and square ones by both engines. */
#include "cli/bench.h"
#include "cli/measure.h"
#include "core/clock.h"
#include <stdio.h>
#include <stdlib.h>

static void seen(void *ud, const kn_mat *a, const kn_mat *b, int64_t M, int64_t N, int64_t K)
{
    bench_list *l = ud;
    if (l->st == RT_OK) l->st = rt_grow((void **)&l->p, l->n, &l->cap, sizeof *l->p);
    if (l->st == RT_OK) l->p[l->n++] = (bench_product){M, N, K, a->trans, b->trans};
}

void bench_watch(bench_list *l) { kn_gemm_watch(l ? seen : NULL, l); }

static void once(const bench_list *l, real *a, real *b, real *c)
{
    for (int64_t i = 0; i < l->n; i++) {
        const bench_product *p = &l->p[i];
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

/* Both engines over the same tiles, in turn. */
rt_status bench_products(const bench_options *o)
{
    double    best[2] = {0}, rate;
    char      theirs[16];
    const int engine = kn_product_is_blas(), both = kn_have_blas();
    for (int i = 0; i < 6; i += both ? 1 : 2) {
        kn_product_use_blas(i % 2);
        RT_TRY(cli_measure_products(&rate, 1536, 0.4));
        if (rate > best[i % 2]) best[i % 2] = rate;
    }
    if (both) snprintf(theirs, sizeof theirs, "%.1f", best[1]);
    else snprintf(theirs, sizeof theirs, "%s", o->json ? "null" : "none");
    kn_product_use_blas(engine);
    if (o->json)
        printf("{\"threads\":%d,\"own_gflops\":%.1f,\"openblas_gflops\":%s,\"engine\":\"%s\"}\n", rt_threads(), best[0], theirs,
               engine ? "openblas" : "own");
    else
        printf(
            "products of 1536 x 1536 on %d threads, GF/s\n  %s our own kernel   %6.1f\n  %s OpenBLAS         %6s\n* in use; RETORT_PRODUCT=own "
            "or openblas chooses\n",
            rt_threads(), engine ? " " : "*", best[0], engine ? "*" : " ", theirs);
    return RT_OK;
}
