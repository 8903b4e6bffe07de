/* decode.c -- decoding of one sequence: a KV pool of one slot and two plans, one for single tokens and one for chunks of a
 * prompt.  The division of the fed tokens into chunks depends only on their number, so that equal calls give equal logits. */
#include "infer/infer.h"
#include "infer/kv_pool.h"
#include "model/score.h"
#include <stdlib.h>

enum { CHUNK = 32, PLANS = 2 };
static const int64_t plan_T[PLANS] = {1, CHUNK};

struct inf_session {
    const md_model *m;
    int64_t         max, used;
    int             longer; /* 1: the rotary tables are those of sequences longer than the original context */
    inf_kv_pool    *pool;
    md_graph        g[PLANS];
    ag_plan        *p[PLANS];
    real           *rope, *logits, *x;
    int32_t         ids[CHUNK], pos[CHUNK], slot[CHUNK];
};

static rt_status session_make_plan(inf_session *s, int i)
{
    RT_TRY(inf_kv_pool_plan(s->pool, plan_T[i], &s->g[i], &s->p[i]));
    md_bind(s->p[i], &s->g[i], &(md_leaves){.m = s->m, .ids = s->ids, .pos = s->pos, .slot = s->slot, .rope = s->rope});
    return RT_OK;
}

static rt_status session_make(inf_session *s)
{
    const md_config *c = &s->m->config;
    RT_TRY(inf_kv_pool_create(&s->pool, s->m, 1, s->max));
    RT_TRY(inf_kv_pool_acquire(s->pool, &s->slot[0]));
    for (int i = 1; i < CHUNK; i++) s->slot[i] = s->slot[0];
    RT_TRY(md_rope_tables(&s->rope, c));
    RT_TRY(RT_NEW(s->logits, c->V));
    RT_TRY(RT_NEW(s->x, c->C));
    for (int i = 0; i < PLANS; i++) RT_TRY(session_make_plan(s, i));
    return RT_OK;
}

rt_status inf_session_create(inf_session **out, const md_model *m, int64_t max)
{
    inf_session *s;
    RT_TRY(RT_NEW(s, 1));
    s->m               = m;
    s->max             = max;
    const rt_status st = session_make(s);
    if (st != RT_OK) inf_session_destroy(&s);
    else *out = s;
    return st;
}

void inf_session_destroy(inf_session **sp)
{
    inf_session *s = *sp;
    if (!s) return;
    for (int i = 0; i < PLANS; i++) {
        ag_plan_destroy(&s->p[i]);
        md_graph_destroy(&s->g[i]);
    }
    inf_kv_pool_destroy(&s->pool);
    free(s->rope), free(s->logits), free(s->x), free(s);
    *sp = NULL;
}

void inf_session_reset(inf_session *s) { s->used = 0; }

static void session_run(inf_session *s, int plan, const int32_t *ids)
{
    for (int64_t i = 0; i < plan_T[plan]; i++) {
        s->ids[i] = ids[i];
        s->pos[i] = (int32_t)(s->used + i);
    }
    ag_forward(s->p[plan]);
    s->used += plan_T[plan];
}

static void session_head(inf_session *s, int plan)
{
    const md_config *c = &s->m->config;
    const md_tensor *w = md_head(s->m);
    void            *hidden;
    ag_plan_value(s->p[plan], s->g[plan].value, &hidden);
    const real *x = kn_load(hidden, md_activations(s->m), (plan_T[plan] - 1) * c->C, c->C, s->x);
    kn_matvec(s->logits, w->data, w->type, x, c->V, c->C);
    md_cap_logits(s->m, s->logits);
}

/* Binds the rotary tables for a sequence of `tokens` tokens if others were bound: a longrope model has others for long sequences. */
static void session_bind_rope(inf_session *s, int64_t tokens)
{
    const int longer = tokens > s->m->config.rope.original;
    for (int i = 0; i < PLANS && longer != s->longer; i++) md_bind_rope(s->p[i], &s->g[i], &s->m->config, s->rope, tokens);
    s->longer = longer;
}

rt_status inf_feed(inf_session *s, const int32_t *ids, int64_t n, const real **logits)
{
    int plan = 0;
    RT_CHECK(n >= 1 && s->used + n <= s->max, RT_EINVAL, "cannot add %lld tokens to %lld: this sequence has room for %lld", (long long)n,
             (long long)s->used, (long long)s->max);
    for (int64_t i = 0; i < n; i++)
        RT_CHECK(ids[i] >= 0 && ids[i] < s->m->config.V, RT_EINVAL, "token %lld is %d, but the vocabulary has %lld entries", (long long)i,
                 ids[i], (long long)s->m->config.V);
    session_bind_rope(s, s->used + n);
    for (int64_t i = 0; i < n; i += plan_T[plan]) {
        plan = n - i >= CHUNK ? 1 : 0;
        session_run(s, plan, ids + i);
    }
    session_head(s, plan);
    RT_CHECK(kn_not_finite(s->logits, KN_REAL, s->m->config.V) < 0, RT_ECHECK,
             "the model's logits after token %lld are not finite; its weights are damaged or too large", (long long)s->used - 1);
    *logits = s->logits;
    return RT_OK;
}
