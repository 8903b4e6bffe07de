/* bench_alone.c -- the gemm calls of a step, recorded and repeated without the rest of the step. */
#include "cli/bench.h"
#include "core/clock.h"
#include <stdlib.h>

static void alone_seen(void *ud, kn_type ct, const kn_mat *a, const kn_mat *b, int64_t M, int64_t N, int64_t K)
{
    bench_list *l = ud;
    if (l->st == RT_OK) l->st = rt_grow((void **)&l->p, l->n, &l->cap, sizeof *l->p);
    if (l->st == RT_OK) l->p[l->n++] = (bench_gemm_call){M, N, K, a->trans, b->trans, a->t, b->t, ct};
}

void bench_watch(bench_list *l) { kn_gemm_watch(l ? alone_seen : NULL, l); }

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* The operands are finite numbers of both types: every half of a real is a small bf16. */
rt_status bench_alone_create(bench_alone *o, const bench_list *l)
{
    int64_t na = 0, nb = 0, nc = 0;
    for (int64_t i = 0; i < l->n; i++) {
        na = larger(na, l->p[i].M * l->p[i].K);
        nb = larger(nb, l->p[i].K * l->p[i].N);
        nc = larger(nc, l->p[i].M * l->p[i].N);
    }
    *o = (bench_alone){.list = l};
    RT_TRY(RT_NEW(o->a, na + nb + nc));
    o->b       = o->a + na;
    o->c       = o->b + nb;
    kn_bf16 *h = (kn_bf16 *)o->a;
    for (int64_t i = 0; i < (na + nb) * (int64_t)(sizeof(real) / sizeof *h); i++) h[i] = (kn_bf16)(0x3e80 + i % 7 * 16 + i % 2 * 0x8000);
    return RT_OK;
}

void bench_alone_destroy(bench_alone *o)
{
    free(o->a);
    o->a = NULL;
}

double bench_alone_seconds(const bench_alone *o)
{
    const double began = rt_now();
    for (int64_t i = 0; i < o->list->n; i++) {
        const bench_gemm_call *p = &o->list->p[i];
        kn_gemm(o->c, p->ct, p->N, (kn_mat){o->a, p->at, p->a_trans ? p->M : p->K, p->a_trans},
                (kn_mat){o->b, p->bt, p->b_trans ? p->K : p->N, p->b_trans}, p->M, p->N, p->K, NULL);
    }
    return rt_now() - began;
}
