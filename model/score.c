/* score.c -- a forward pass over one or several documents that calls back with each row of logits.
 *
 * One plan per length, rounded up to a multiple of 32, is created at its first use and kept.  The plan of a text depends only on
 * its length.  Unused positions follow all others, so causal attention never reads them.  Logits are computed
 * in blocks of rows.
 */
#include "model/score.h"
#include "model/graph.h"
#include <stdlib.h>

enum { ROUND = 32, BLOCK_ROWS = 128 };

typedef struct length_plan {
    md_graph g;
    ag_plan *p;
} length_plan;

struct md_scorer {
    const md_model *m;
    int64_t         max, n_plans;
    length_plan    *plans;                                   /* [max / ROUND] */
    int32_t        *ids, *pos, *doc_start, *counting, *zero; /* [max] each; counting: 0, 1, 2, ... */
    real           *rope, *z, *head;                         /* head: the weights of a quantised head cast to reals, else NULL */
    void           *hidden;                                  /* hidden states of the last pass, owned by its plan */
};

static rt_status scorer_make(md_scorer *s, int64_t max)
{
    s->max     = (max + ROUND - 1) / ROUND * ROUND;
    s->n_plans = s->max / ROUND;
    RT_TRY(RT_NEW(s->plans, s->n_plans));
    RT_TRY(RT_NEW(s->ids, s->max));
    RT_TRY(RT_NEW(s->pos, s->max));
    RT_TRY(RT_NEW(s->doc_start, s->max));
    RT_TRY(RT_NEW(s->counting, s->max));
    RT_TRY(RT_NEW(s->zero, s->max));
    for (int64_t i = 0; i < s->max; i++) s->counting[i] = (int32_t)i;
    RT_TRY(RT_NEW(s->z, BLOCK_ROWS * s->m->config.V));
    RT_TRY(md_head_cast(&s->head, s->m));
    return md_rope_tables(&s->rope, &s->m->config);
}

rt_status md_scorer_create(md_scorer **out, const md_model *m, int64_t max)
{
    md_scorer *s;
    RT_CHECK(max >= 1, RT_EINVAL, "a scorer must take at least 1 token, found %lld", (long long)max);
    RT_TRY(RT_NEW(s, 1));
    s->m               = m;
    const rt_status st = scorer_make(s, max);
    if (st != RT_OK) md_scorer_destroy(&s);
    else *out = s;
    return st;
}

void md_scorer_destroy(md_scorer **sp)
{
    md_scorer *s = *sp;
    if (!s) return;
    for (int64_t i = 0; s->plans && i < s->n_plans; i++) {
        ag_plan_destroy(&s->plans[i].p);
        md_graph_destroy(&s->plans[i].g);
    }
    free(s->plans), free(s->ids), free(s->pos), free(s->doc_start), free(s->counting), free(s->zero), free(s->rope), free(s->head),
        free(s->z), free(s);
    *sp = NULL;
}

static rt_status plan_for(md_scorer *s, int64_t n, length_plan **out)
{
    length_plan *l = &s->plans[(n - 1) / ROUND];
    *out           = l;
    if (l->p) return RT_OK;
    const md_graph_opts o = {.use = MD_SCORE, .B = 1, .T = ((n - 1) / ROUND + 1) * ROUND, .activations = md_activations(s->m)};
    const ag_plan_opts  f = {.forward_only = 1};
    if (!l->g.g) RT_TRY(md_graph_create(&l->g, s->m, &o));
    RT_TRY(ag_plan_create(&l->p, l->g.g, l->g.value, &f));
    md_bind(l->p, &l->g, &(md_leaves){.m = s->m, .ids = s->ids, .pos = s->pos, .doc_start = s->doc_start, .rope = s->rope, .tokens = o.T});
    return RT_OK;
}

/* Computes the logits of positions t0 .. t0+n-1 in s->z. */
static void logits(md_scorer *s, int64_t t0, int64_t n)
{
    const int64_t    C = s->m->config.C, V = s->m->config.V;
    const md_tensor *w = md_head(s->m);
    const kn_mat     a = {(const char *)s->hidden + (size_t)(t0 * C) * kn_size(md_activations(s->m)), md_activations(s->m), C, 0};
    const kn_mat     b = {s->head ? s->head : w->data, s->head ? KN_REAL : w->type, C, 1};
    kn_gemm(s->z, KN_REAL, V, a, b, n, V, C, NULL);
}

static rt_status scorer_check(const md_scorer *s, const md_packed *b)
{
    const md_config *c = &s->m->config;
    RT_CHECK(b->n >= 1 && b->n <= s->max, RT_EINVAL, "the text has %lld tokens, but this model accepts 1 to %lld", (long long)b->n,
             (long long)s->max);
    for (int64_t i = 0; i < b->n; i++) {
        RT_CHECK(b->ids[i] >= 0 && b->ids[i] < c->V, RT_EINVAL, "token %lld is %d, but the vocabulary has %lld entries", (long long)i,
                 b->ids[i], (long long)c->V);
        RT_CHECK(b->pos[i] >= 0 && b->pos[i] < c->context, RT_EINVAL, "the text has more than %lld tokens, the model's context",
                 (long long)c->context);
    }
    return RT_OK;
}

static rt_status scorer_forward(md_scorer *s, const md_packed *b)
{
    length_plan *l = NULL;
    RT_TRY(scorer_check(s, b));
    RT_TRY(plan_for(s, b->n, &l));
    for (int64_t i = 0; i < s->max; i++) { /* each unused position is a document of its own */
        s->ids[i]       = i < b->n ? b->ids[i] : 0;
        s->pos[i]       = i < b->n ? b->pos[i] : 0;
        s->doc_start[i] = i < b->n ? b->doc_start[i] : (int32_t)i;
    }
    ag_forward(l->p);
    ag_plan_value(l->p, l->g.value, &s->hidden);
    return RT_OK;
}

typedef struct rows {
    md_scorer *s, *s2;
    int64_t    t0;
    md_row_fn  row;
    md_pair_fn pair;
    void      *ud;
    uint8_t    bad[BLOCK_ROWS]; /* 1 or 2: the logits of the first or second model are not finite */
} rows;

static void hand_out(int64_t i, int thread, void *ud)
{
    rows         *r  = ud;
    const int64_t V  = r->s->m->config.V;
    const int64_t V2 = r->s2 ? r->s2->m->config.V : 0;
    md_cap_logits(r->s->m, r->s->z + i * V);
    if (r->s2) md_cap_logits(r->s2->m, r->s2->z + i * V2);
    r->bad[i] = kn_not_finite(r->s->z + i * V, KN_REAL, V) >= 0 ? 1 : r->s2 && kn_not_finite(r->s2->z + i * V2, KN_REAL, V2) >= 0 ? 2 : 0;
    if (r->bad[i]) return;
    if (r->s2) r->pair(r->ud, r->t0 + i, r->s->z + i * V, r->s2->z + i * V2, thread);
    else r->row(r->ud, r->t0 + i, r->s->z + i * V, thread);
}

static rt_status scorer_check_logits(const rows *r, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const char *dir = (r->bad[i] == 2 ? r->s2 : r->s)->m->dir;
        RT_CHECK(!r->bad[i], RT_ECHECK, "%s: the model's logits after token %lld are not finite; its weights are damaged or too large",
                 dir ? dir : "a new model", (long long)(r->t0 + i));
    }
    return RT_OK;
}

static rt_status score(rows *r, const md_packed *b)
{
    RT_TRY(scorer_forward(r->s, b));
    if (r->s2) RT_TRY(scorer_forward(r->s2, b));
    for (r->t0 = 0; (r->row || r->pair) && r->t0 < b->n; r->t0 += BLOCK_ROWS) {
        const int64_t m = b->n - r->t0 < BLOCK_ROWS ? b->n - r->t0 : BLOCK_ROWS;
        logits(r->s, r->t0, m);
        if (r->s2) logits(r->s2, r->t0, m);
        rt_parallel(m, hand_out, r);
        RT_TRY(scorer_check_logits(r, m));
    }
    return RT_OK;
}

rt_status md_score(md_scorer *s, const int32_t *ids, int64_t n, md_row_fn row, void *ud)
{
    return md_score_packed(s, &(md_packed){ids, s->counting, s->zero, n}, row, ud);
}

rt_status md_score_packed(md_scorer *s, const md_packed *b, md_row_fn row, void *ud)
{
    rows r = {.s = s, .row = row, .ud = ud};
    return score(&r, b);
}

rt_status md_score_pair(md_scorer *s, md_scorer *s2, const md_packed *b, md_pair_fn pair, void *ud)
{
    rows r = {.s = s, .s2 = s2, .pair = pair, .ud = ud};
    return score(&r, b);
}

void md_scorer_hidden(const md_scorer *s, int64_t t, real *h)
{
    RT_ASSERT(s->hidden && t >= 0 && t < s->max);
    kn_row(h, s->hidden, md_activations(s->m), t, s->m->config.C);
}
