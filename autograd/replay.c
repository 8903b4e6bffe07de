/* replay.c -- runs a plan: resolves the pointers of every step once after binding; a replay is then a loop of calls. */
#include "autograd/plan.h"
#include "core/clock.h"
#include <math.h>
#include <string.h>

void ag_plan_bind(ag_plan *p, ag_id v, void *data, void *grad)
{
    RT_ASSERT(v >= 0 && v < p->g->nv && p->g->v[v].role != AG_ACT);
    RT_ASSERT(!grad || p->g->v[v].role == AG_PARAM);
    p->data[root(p, v)] = data;
    p->grad[root(p, v)] = grad;
    p->resolved         = 0;
}

static void *at(const ag_plan *p, const ag_buffer *b, void *bound)
{
    if (bound) return bound;
    return b->bytes && b->n_iv ? p->arena + b->offset : NULL;
}

static void resolve_step(ag_plan *p, ag_entry *s)
{
    const ag_node *n = &p->g->n[s->node];
    ag_args       *a = &s->args;
    *a               = (ag_args){.k = kn_get(), .attr = n->attr, .acc = s->acc, .out_type = p->g->v[n->out].type};
    for (int j = 0; j < n->op->n_in; j++) {
        const ag_id v  = root(p, n->in[j]);
        a->shape[j]    = &p->g->v[n->in[j]].shape;
        a->type[j]     = p->g->v[v].type;
        a->din_type[j] = p->g->v[v].role == AG_PARAM ? KN_REAL : a->type[j];
        a->in[j]       = at(p, b_data(p, v), p->data[v]);
        if (s->phase == AG_BWD && wanted(p, n, j)) a->din[j] = at(p, b_grad(p, v), p->grad[v]);
        RT_ASSERT(p->g->v[v].role == AG_ACT || a->in[j]); /* the leaf is bound */
    }
    a->out     = at(p, b_data(p, n->out), NULL);
    a->dout    = at(p, b_grad(p, n->out), NULL);
    a->saved   = at(p, b_saved(p, s->node), NULL);
    a->shared  = at(p, b_work(p, s->node), NULL);
    a->stride  = ag_round_up(n->scratch * (int64_t)sizeof(real)) / (int64_t)sizeof(real);
    a->scratch = a->shared ? a->shared + ag_round_up(n->shared * (int64_t)sizeof(real)) / (int64_t)sizeof(real) : NULL;
}

static void replay_resolve(ag_plan *p)
{
    RT_ASSERT(!p->o.outline);
    if (p->resolved) return;
    for (int64_t t = 0; t < p->n_steps; t++) resolve_step(p, &p->s[t]);
    p->resolved = 1;
}

void ag_plan_value(const ag_plan *p, ag_id v, void **data)
{
    RT_ASSERT(v >= 0 && v < p->g->nv && (p->g->v[v].role != AG_ACT || root(p, v) == root(p, p->loss)));
    *data = at(p, b_data(p, v), p->data[root(p, v)]);
}

static void poison_dead(ag_plan *p, int64_t t)
{
    for (int64_t i = 0; p->o.poison && i < p->n_b; i++)
        for (int k = 0; k < p->b[i].n_iv; k++)
            if (p->b[i].to[k] == t && p->b[i].bytes) memset(p->arena + p->b[i].offset, 0xff, (size_t)p->b[i].bytes);
}

static void run_step(ag_plan *p, ag_entry *s, void (*pass)(const ag_args *a))
{
    const double began = rt_now();
    pass(&s->args);
    p->seconds[p->g->n[s->node].op->work] += rt_now() - began;
}

const double *ag_plan_seconds(const ag_plan *p) { return p->seconds; }

static double loss_of(const ag_plan *p) { return p->o.forward_only ? 0 : (double)*(real *)at(p, b_data(p, p->loss), NULL); }

static int is_late(const ag_plan *p, const ag_entry *s) { return p->late[p->g->n[s->node].out]; }

static void replay_forward(ag_plan *p, int skip_late)
{
    replay_resolve(p);
    for (int64_t t = 0; t < p->n_fwd; t++) {
        if (!(skip_late && is_late(p, &p->s[t]))) run_step(p, &p->s[t], p->g->n[p->s[t].node].op->forward);
        poison_dead(p, t);
    }
}

double ag_forward(ag_plan *p)
{
    replay_forward(p, 0);
    return loss_of(p);
}

void ag_backward(ag_plan *p, int accumulate)
{
    RT_ASSERT(p->resolved && !p->o.forward_only);
    *(real *)at(p, b_grad(p, p->loss), NULL) = 1;
    for (int64_t t = p->n_fwd; t < p->n_steps; t++) {
        ag_entry      *s = &p->s[t];
        const ag_node *n = &p->g->n[s->node];
        s->args.acc      = s->acc | (accumulate ? s->param_first : 0);
        run_step(p, s, s->phase == AG_FWD ? n->op->forward : n->op->backward);
        poison_dead(p, t);
    }
}

/* ---- anomaly detection: the first value that is not finite ---------------------------------- */

static rt_status replay_look(const ag_plan *p, const ag_entry *s)
{
    const ag_graph *g    = p->g;
    const ag_node  *n    = &g->n[s->node];
    const ag_args  *a    = &s->args;
    const char     *name = "without a weight";
    int             good = s->phase == AG_BWD || kn_not_finite(a->out, a->out_type, ag_len(&g->v[n->out].shape)) < 0;
    for (int j = n->op->n_in - 1; j >= 0; j--) {
        if (g->v[n->in[j]].role == AG_PARAM) name = g->v[n->in[j]].name;
        if (s->phase == AG_BWD && a->din[j] && kn_not_finite(a->din[j], a->din_type[j], ag_len(a->shape[j])) >= 0) good = 0;
    }
    RT_CHECK(good, RT_ECHECK, "the first value that is not finite comes from '%s' (%s), %s", n->op->name, name,
             s->phase == AG_BWD ? "backward" : "forward");
    return RT_OK;
}

rt_status ag_plan_find_anomaly(ag_plan *p, int accumulate)
{
    replay_resolve(p);
    *(real *)at(p, b_grad(p, p->loss), NULL) = 1;
    for (int64_t t = 0; t < p->n_bwd; t++) {
        ag_entry      *s = &p->s[t];
        const ag_node *n = &p->g->n[s->node];
        s->args.acc      = s->acc | (accumulate ? s->param_first : 0);
        if (t < p->n_fwd && is_late(p, s)) continue;
        run_step(p, s, s->phase == AG_FWD ? n->op->forward : n->op->backward);
        RT_TRY(replay_look(p, s));
    }
    return RT_OK;
}

double ag_step(ag_plan *p, int accumulate)
{
    replay_forward(p, 1);
    ag_backward(p, accumulate);
    return loss_of(p);
}
