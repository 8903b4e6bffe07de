/* gemm.c -- one gemm backend for all ranks of a run.  Ranks measure on their own, and other backends give other bits. */
#include "core/progress.h"
#include "train/trainer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 16 }; /* size of a backend's name */

/* What a rank has chosen, or what all are to take; compared as bytes. */
typedef struct choice {
    char backend[WORD], of_reals[WORD];
} choice;

static int choice_is(const choice *a, const choice *b) { return !memcmp(a, b, sizeof *a); }

static void choice_now(choice *c)
{
    memset(c, 0, sizeof *c);
    snprintf(c->backend, WORD, "%s", kn_gemm_name());
    snprintf(c->of_reals, WORD, "%s", kn_gemm_name_of_reals());
}

/* For each kind of operands the backend that all n ranks have chosen, else that of reals, else own: every rank has it, with the same bits. */
static void common_choice(choice *all, const choice *c, int n)
{
    int same = 1, same_reals = 1;
    for (int i = 1; i < n; i++) same &= !strcmp(c[i].backend, c[0].backend), same_reals &= !strcmp(c[i].of_reals, c[0].of_reals);
    const int beside = same && strcmp(c[0].backend, c[0].of_reals) != 0; /* a backend of bf16, beside that of reals */
    snprintf(all->of_reals, WORD, "%s", same_reals ? c[0].of_reals : "own");
    snprintf(all->backend, WORD, "%s", beside ? c[0].backend : all->of_reals);
}

/* "own on rank 0 and 2 more, bf16 (of reals own) on rank 1": each choice once, with the first rank and the number of the others. */
static rt_status list_choices(rt_buf *b, const choice *c, int n)
{
    for (int i = 0; i < n; i++) {
        int before = 0, after = 0;
        for (int k = 0; k < n; k++) before += k < i && choice_is(&c[k], &c[i]), after += k > i && choice_is(&c[k], &c[i]);
        if (before) continue;
        RT_TRY(rt_buf_fmt(b, "%s%s", i ? ", " : "", c[i].backend));
        if (strcmp(c[i].backend, c[i].of_reals) != 0) RT_TRY(rt_buf_fmt(b, " (of reals %s)", c[i].of_reals));
        RT_TRY(rt_buf_fmt(b, " on rank %d", i));
        if (after) RT_TRY(rt_buf_fmt(b, " and %d more", after));
    }
    return RT_OK;
}

static rt_status take_common(const rt_comm *comm, const choice *c)
{
    choice all;
    rt_buf text = {0};
    common_choice(&all, c, comm->size);
    RT_TRY(kn_gemm_take(all.backend, all.of_reals, "common to all ranks"));
    const rt_status st = list_choices(&text, c, comm->size);
    if (st == RT_OK && !comm->rank)
        rt_note("the ranks have chosen different gemm backends: %s; all use %s; RETORT_GEMM chooses for all", text.p, kn_gemm_describe());
    rt_buf_free(&text);
    return st;
}

/* Gathers all ranks' choices in c [size]; collective. */
static rt_status gather_choices(rt_comm *comm, choice *c, int *differ)
{
    choice_now(&c[comm->rank]);
    RT_TRY(comm->all_gather(comm, c, comm->size, sizeof *c));
    for (int i = 1; i < comm->size; i++) *differ |= !choice_is(&c[i], &c[0]);
    return RT_OK;
}

rt_status tr_gemm_agree(rt_comm *comm)
{
    choice *c         = NULL;
    int     differ    = 0;
    int64_t requested = kn_gemm_requested();
    if (comm->size == 1) return RT_OK;
    RT_TRY(comm->max_i64(comm, &requested, 1));
    if (requested) return RT_OK; /* tr_given_agree reports a difference */
    RT_TRY(rt_comm_agree(comm, RT_NEW(c, comm->size)));
    rt_status st = gather_choices(comm, c, &differ);
    if (st == RT_OK && differ) st = rt_comm_agree(comm, take_common(comm, c));
    free(c);
    return st;
}
