/* decode.c -- decoding of one sequence: a KV cache and two plans, one for single tokens and one for chunks of a
 * prompt.  The division of the fed tokens into chunks depends only on their number, so that equal calls give equal logits. */
#include "infer/infer.h"
#include <stdlib.h>

enum { CHUNK = 32, PLANS = 2 };
static const int64_t plan_T[PLANS] = {1, CHUNK};

struct inf_session {
    const md_model *m;
    int64_t         max, used;
    md_graph        g[PLANS];
    ag_plan        *p[PLANS];
    void          **cache; /* [2 L] keys and values of each layer */
    real           *rope, *logits, *x;
    int32_t         ids[CHUNK], pos[CHUNK], past;
};

static rt_status make_plan(inf_session *s, int i)
{
    const md_graph_opts o = {.use = MD_DECODE, .B = 1, .T = plan_T[i], .cache = s->max, .activations = md_activations(s->m)};
    const ag_plan_opts  f = {.forward_only = 1};
    md_graph           *g = &s->g[i];
    RT_TRY(md_graph_create(g, s->m, &o));
    RT_TRY(ag_plan_create(&s->p[i], g->g, g->value, &f));
    md_bind(s->p[i], g, &(md_leaves){.m = s->m, .ids = s->ids, .pos = s->pos, .past = &s->past, .rope = s->rope});
    for (int64_t l = 0; l < s->m->config.L; l++) {
        ag_plan_bind(s->p[i], g->cache_k[l], s->cache[2 * l], NULL);
        ag_plan_bind(s->p[i], g->cache_v[l], s->cache[2 * l + 1], NULL);
    }
    return RT_OK;
}

static rt_status make(inf_session *s)
{
    const md_config *c = &s->m->config;
    RT_TRY(md_rope(&s->rope, c));
    RT_TRY(RT_NEW(s->logits, c->V));
    RT_TRY(RT_NEW(s->x, c->C));
    RT_TRY(RT_NEW(s->cache, 2 * c->L));
    for (int64_t i = 0; i < 2 * c->L; i++)
        RT_TRY(rt_alloc(&s->cache[i], s->max * c->KV * c->D, kn_size(md_activations(s->m)), "the KV cache"));
    for (int i = 0; i < PLANS; i++) RT_TRY(make_plan(s, i));
    return RT_OK;
}

rt_status inf_session_create(inf_session **out, const md_model *m, int64_t max)
{
    inf_session *s;
    RT_CHECK(max >= 1 && max <= m->config.context, RT_EINVAL, "the model sees 1 to %lld tokens at once, asked for %lld",
             (long long)m->config.context, (long long)max);
    RT_TRY(RT_NEW(s, 1));
    s->m               = m;
    s->max             = max;
    const rt_status st = make(s);
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
    for (int64_t i = 0; s->cache && i < 2 * s->m->config.L; i++) free(s->cache[i]);
    free(s->cache), free(s->rope), free(s->logits), free(s->x), free(s);
    *sp = NULL;
}

void inf_session_reset(inf_session *s) { s->used = 0; }

static void run(inf_session *s, int plan, const int32_t *ids)
{
    for (int64_t i = 0; i < plan_T[plan]; i++) {
        s->ids[i] = ids[i];
        s->pos[i] = (int32_t)(s->used + i);
    }
    s->past = (int32_t)s->used;
    ag_forward(s->p[plan]);
    s->used += plan_T[plan];
}

static void head(inf_session *s, int plan)
{
    const md_config *c = &s->m->config;
    const md_tensor *w = md_head(s->m);
    void            *hidden;
    ag_plan_value(s->p[plan], s->g[plan].value, &hidden);
    const real *x = kn_load(hidden, md_activations(s->m), (plan_T[plan] - 1) * c->C, c->C, s->x);
    kn_matvec(s->logits, w->data, w->type, x, c->V, c->C);
}

rt_status inf_feed(inf_session *s, const int32_t *ids, int64_t n, const real **logits)
{
    int plan = 0;
    RT_CHECK(n >= 1 && s->used + n <= s->max, RT_EINVAL, "%lld tokens after %lld: this session holds %lld", (long long)n,
             (long long)s->used, (long long)s->max);
    for (int64_t i = 0; i < n; i++)
        RT_CHECK(ids[i] >= 0 && ids[i] < s->m->config.V, RT_EINVAL, "token %lld is %d, the vocabulary has %lld entries", (long long)i,
                 ids[i], (long long)s->m->config.V);
    for (int64_t i = 0; i < n; i += plan_T[plan]) {
        plan = n - i >= CHUNK ? 1 : 0;
        run(s, plan, ids + i);
    }
    head(s, plan);
    RT_CHECK(kn_not_finite(s->logits, KN_REAL, s->m->config.V) < 0, RT_ECHECK,
             "the model's logits after token %lld are not finite numbers: its weights are damaged or too large", (long long)s->used - 1);
    *logits = s->logits;
    return RT_OK;
}
