/* pass.c -- one plan with its batches: what training and validation share. */
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>

static rt_status make_buffers(tr_pass *o)
{
    const int64_t N = o->B * o->T;
    RT_TRY(RT_NEW(o->ids, N));
    RT_TRY(RT_NEW(o->pos, N));
    RT_TRY(RT_NEW(o->start, N));
    return RT_NEW(o->count, N);
}

static rt_status make_plan(tr_pass *o, tr_trainer *t, md_use use)
{
    const md_graph_opts g = {.use = use, .B = o->B, .T = o->T, .activations = t->type, .recompute = t->c->recompute};
    const ag_plan_opts  p = {.forward_only = use != MD_TRAIN, .recompute = t->c->recompute};
    RT_TRY(md_graph_create(&o->g, t->model, &g));
    RT_TRY(ag_plan_create(&o->p, o->g.g, o->g.value, &p));
    ag_plan_bind(o->p, o->g.ids, o->ids, NULL);
    ag_plan_bind(o->p, o->g.pos, o->pos, NULL);
    ag_plan_bind(o->p, o->g.start, o->start, NULL);
    ag_plan_bind(o->p, o->g.rope, t->rope, NULL);
    ag_plan_bind(o->p, o->g.targets, &o->targets, NULL);
    for (int i = 0; i < t->model->n; i++)
        ag_plan_bind(o->p, o->g.weight[i], t->model->t[i].data, use == MD_TRAIN ? t->grads + t->grad_at[i] : NULL);
    return RT_OK;
}

rt_status tr_pass_create(tr_pass *o, tr_trainer *t, md_use use, const ds_loader_opts *data, ag_objective objective, int64_t B)
{
    ds_loader_opts d = *data;
    o->B             = B;
    o->T             = d.T;
    d.rows           = B;
    o->targets       = (ag_targets){.objective = objective, .k = d.k, .m = d.m};
    RT_TRY(ds_loader_create(&o->loader, &d));
    RT_TRY(make_buffers(o));
    return make_plan(o, t, use);
}

void tr_pass_destroy(tr_pass *o)
{
    ag_plan_destroy(&o->p);
    md_graph_destroy(&o->g);
    ds_loader_destroy(&o->loader);
    free(o->ids), free(o->pos), free(o->start), free(o->count);
    *o = (tr_pass){0};
}

rt_status tr_pass_load(tr_pass *o, int64_t first, int64_t n, double scale)
{
    ds_batch      b;
    ag_targets   *t = &o->targets;
    const int64_t N = n * o->T, rest = (o->B - n) * o->T;
    RT_TRY(ds_loader_read(o->loader, first, n, &b));
    memcpy(o->ids, b.ids, (size_t)N * sizeof *o->ids);
    memcpy(o->pos, b.pos, (size_t)N * sizeof *o->pos);
    memcpy(o->start, b.start, (size_t)N * sizeof *o->start);
    memcpy(o->count, b.count, (size_t)N);
    memset(o->count + N, 0, (size_t)rest);
    for (int64_t i = N; i < N + rest; i++) o->ids[i] = o->pos[i] = 0, o->start[i] = (int32_t)(i % o->T);
    t->scale        = scale;
    t->target       = b.target;
    t->count        = o->count;
    t->topk_ids     = b.topk_ids;
    t->topk_logprob = b.topk_logprob;
    t->tail_ids     = b.tail_ids;
    t->rest_entropy = b.rest_entropy;
    return RT_OK;
}

void tr_share(const rt_comm *c, int64_t n, int64_t *from, int64_t *to)
{
    *from = n * c->rank / c->size;
    *to   = n * (c->rank + 1) / c->size;
}
