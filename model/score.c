/* score.c -- a forward pass over one document, its logits handed out row by row.
 *
 * A plan is made for lengths rounded up to a multiple of 32 and kept; which plan serves a
 * text depends on its length alone, and unused positions come after all others, where
 * causal attention cannot see them.  Logits exist a block of rows at a time.
 */
#include "model/model.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUND = 32, BLOCK_ROWS = 64 };

typedef struct length_plan { md_graph g; ag_plan *p; } length_plan;

struct md_scorer {
    const md_model *m;
    int64_t         max, n_plans;
    length_plan    *plans; /* [max / ROUND] */
    int32_t        *ids, *pos, *start;
    real           *rope, *x, *z;
};

static rt_status make(md_scorer *s, int64_t max)
{
    s->max     = (max + ROUND - 1) / ROUND * ROUND;
    s->n_plans = s->max / ROUND;
    RT_TRY(RT_NEW(s->plans, s->n_plans));
    RT_TRY(RT_NEW(s->ids, s->max));
    RT_TRY(RT_NEW(s->pos, s->max));
    RT_TRY(RT_NEW(s->start, s->max));
    RT_TRY(RT_NEW(s->x, BLOCK_ROWS * s->m->config.C));
    RT_TRY(RT_NEW(s->z, BLOCK_ROWS * s->m->config.V));
    return md_rope(&s->rope, &s->m->config);
}

rt_status md_scorer_create(md_scorer **out, const md_model *m, int64_t max)
{
    md_scorer *s;
    RT_CHECK(max >= 1 && max <= m->config.context, RT_EINVAL, "the model sees 1 to %lld tokens at once, asked for %lld",
             (long long)m->config.context, (long long)max);
    RT_TRY(RT_NEW(s, 1));
    s->m               = m;
    const rt_status st = make(s, max);
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
    free(s->plans), free(s->ids), free(s->pos), free(s->start), free(s->rope), free(s->x), free(s->z), free(s);
    *sp = NULL;
}

static kn_type activations(const md_model *m) { return m->t[0].type == KN_REAL ? KN_REAL : KN_BF16; }

static rt_status plan_for(md_scorer *s, int64_t n, length_plan **out)
{
    length_plan *l = &s->plans[(n - 1) / ROUND];
    *out           = l;
    if (l->p) return RT_OK;
    const md_graph_opts o = {.use = MD_SCORE, .B = 1, .T = ((n - 1) / ROUND + 1) * ROUND, .activations = activations(s->m)};
    const ag_plan_opts  f = {.forward_only = 1};
    if (!l->g.g) RT_TRY(md_graph_create(&l->g, s->m, &o));
    RT_TRY(ag_plan_create(&l->p, l->g.g, l->g.value, &f));
    ag_plan_bind(l->p, l->g.ids, s->ids, NULL);
    ag_plan_bind(l->p, l->g.pos, s->pos, NULL);
    ag_plan_bind(l->p, l->g.start, s->start, NULL);
    ag_plan_bind(l->p, l->g.rope, s->rope, NULL);
    for (int i = 0; i < s->m->n; i++) ag_plan_bind(l->p, l->g.weight[i], s->m->t[i].data, NULL);
    return RT_OK;
}

typedef struct rows { md_scorer *s; int64_t t0; md_row_fn row; void *ud; } rows;

static void hand_out(int64_t i, int thread, void *ud)
{
    const rows *r = ud;
    r->row(r->ud, r->t0 + i, r->s->z + i * r->s->m->config.V, thread);
}

static const md_tensor *head_of(const md_model *m) { return m->config.tied ? &m->t[0] : &m->t[m->n - 1]; }

static void logits(md_scorer *s, const void *hidden, int64_t t0, int64_t n)
{
    const int64_t    C = s->m->config.C, V = s->m->config.V;
    const md_tensor *w = head_of(s->m);
    const kn_mat     a = {s->x, KN_REAL, C, 0}, b = {w->data, w->type, C, 1};
    const real      *x = kn_load(hidden, activations(s->m), t0 * C, n * C, s->x);
    if (x != s->x) memcpy(s->x, x, (size_t)(n * C) * sizeof(real));
    if (kn_size(w->type)) kn_gemm(s->z, KN_REAL, V, a, b, n, V, C, 0);
    else
        for (int64_t i = 0; i < n; i++) kn_matvec(s->z + i * V, w->data, w->type, s->x + i * C, V, C);
}

rt_status md_score(md_scorer *s, const int32_t *ids, int64_t n, md_row_fn row, void *ud)
{
    length_plan *l;
    void        *hidden;
    RT_CHECK(n >= 1 && n <= s->max, RT_EINVAL, "a text of %lld tokens: this model takes 1 to %lld", (long long)n, (long long)s->max);
    RT_TRY(plan_for(s, n, &l));
    for (int64_t i = 0; i < s->max; i++) {
        s->ids[i] = i < n ? ids[i] : 0;
        s->pos[i] = (int32_t)(i < s->m->config.context ? i : 0);
        RT_CHECK(s->ids[i] >= 0 && s->ids[i] < s->m->config.V, RT_EINVAL, "token %lld is %d, the vocabulary has %lld entries", (long long)i,
                 s->ids[i], (long long)s->m->config.V);
    }
    ag_forward(l->p);
    ag_plan_value(l->p, l->g.value, &hidden);
    rows r = {.s = s, .row = row, .ud = ud};
    for (r.t0 = 0; r.t0 < n; r.t0 += BLOCK_ROWS) {
        const int64_t m = n - r.t0 < BLOCK_ROWS ? n - r.t0 : BLOCK_ROWS;
        logits(s, hidden, r.t0, m);
        rt_parallel(m, hand_out, &r);
    }
    return RT_OK;
}
