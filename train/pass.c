/* pass.c -- one plan with its batches, used for training and for validation. */
#include "core/clock.h"
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>

static rt_status make_buffers(tr_pass *o)
{
    const int64_t N = o->B * o->T;
    RT_TRY(RT_NEW(o->ids, N));
    RT_TRY(RT_NEW(o->pos, N));
    RT_TRY(RT_NEW(o->doc_start, N));
    return RT_NEW(o->loss_mask, N);
}

/* Returns the number of ids that the student and the teacher in process (if any) have in common. */
static int64_t pass_shared_ids(const tr_trainer *t)
{
    const int64_t V = t->model->config.V;
    return t->teacher.model && t->teacher.model->config.V < V ? t->teacher.model->config.V : V;
}

/* Makes the entries of r the pass's targets; r keeps them. */
static void take_entries(tr_pass *o, const ds_rows *r)
{
    ag_target_rows *t = &o->targets.rows;
    t->topk_ids       = r->topk_ids;
    t->topk_logprob   = r->topk_logprob;
    t->tail_ids       = r->tail_ids;
    t->tail_entropy   = r->tail_entropy;
}

/* Sets up the teacher's hidden states and head, from a teacher in process or from encoded states. */
static rt_status make_teacher(tr_pass *o, tr_trainer *t, const di_objective *objective)
{
    const di_batch batch = {o->ids, o->pos, o->doc_start, o->B, o->T};
    ag_teacher    *from  = &o->targets.rows.teacher;
    RT_CHECK(!objective->fresh || objective->t.k <= pass_shared_ids(t), RT_EINVAL,
             "objective.k is %lld, but student and teacher have %lld ids in common; set objective.k to at most that number",
             (long long)objective->t.k, (long long)pass_shared_ids(t));
    if (objective->teacher) RT_TRY(di_teacher_pass_create(&o->teacher, &t->teacher, &batch, objective, (uint64_t)t->c->seed, from));
    if (objective->fresh) take_entries(o, &o->teacher.sampled);
    if (!objective->codec_bytes) return RT_OK;
    const ds_codec *s = ds_loader_codec(o->loader);
    RT_TRY(RT_NEW(o->decoded, o->B * o->T * (s->r + 1)));
    *from = (ag_teacher){.hidden = o->decoded, .hidden_type = KN_REAL, .w = s->head, .w_type = KN_BF16, .C = s->r + 1, .V = s->V};
    return RT_OK;
}

static rt_status pass_make_plan(tr_pass *o, tr_trainer *t, md_use use, const di_objective *objective)
{
    const md_graph_opts g = {.use         = use,
                             .B           = o->B,
                             .T           = o->T,
                             .activations = t->type,
                             .recompute   = t->c->recompute,
                             .head        = {.teacher = objective->logits ? o->targets.rows.teacher.C : 0, .work = objective->work},
                             .match       = use == MD_TRAIN && objective->t.match ? o->targets.rows.teacher.C : 0};
    const ag_plan_opts  p = {.forward_only = use != MD_TRAIN, .recompute = t->c->recompute};
    RT_TRY(md_graph_create(&o->g, t->model, &g));
    RT_TRY(ag_plan_create(&o->p, o->g.g, o->g.value, &p));
    md_bind(o->p, &o->g,
            &(md_leaves){.m         = t->model,
                         .ids       = o->ids,
                         .pos       = o->pos,
                         .doc_start = o->doc_start,
                         .rope      = t->rope,
                         .tokens    = g.T,
                         .grads     = use == MD_TRAIN ? t->grads : NULL,
                         .grad_at   = t->grad_at});
    ag_plan_bind(o->p, o->g.targets, &o->targets, NULL);
    if (g.match) ag_plan_bind(o->p, o->g.projection, t->projection.data, t->grads + t->grad_at[t->model->n]);
    return RT_OK;
}

rt_status tr_pass_create(tr_pass *o, tr_trainer *t, md_use use, const ds_loader_opts *data, const di_objective *objective, int64_t B)
{
    ds_loader_opts d = *data;
    o->B             = B;
    o->T             = d.T;
    d.rows           = B;
    d.tokenizer      = t->tokenizer;
    d.vocab          = pass_shared_ids(t);
    o->targets       = (ag_targets){.settings = objective->t};
    di_objective_data(objective, &d);
    RT_TRY(ds_loader_create(&o->loader, &d));
    RT_TRY(make_buffers(o));
    RT_TRY(make_teacher(o, t, objective));
    return pass_make_plan(o, t, use, objective);
}

void tr_pass_destroy(tr_pass *o)
{
    ag_plan_destroy(&o->p);
    md_graph_destroy(&o->g);
    di_teacher_pass_destroy(&o->teacher);
    ds_loader_destroy(&o->loader);
    free(o->ids), free(o->pos), free(o->doc_start), free(o->loss_mask), free(o->decoded);
    *o = (tr_pass){0};
}

static void take_targets(tr_pass *o, const ds_batch *b)
{
    ag_target_rows *t = &o->targets.rows;
    t->target         = b->target;
    t->loss_mask      = o->loss_mask;
    t->weight         = b->weight;
    if (b->targets.topk_ids || b->targets.tail_ids) take_entries(o, &b->targets);
    for (int64_t i = 0; o->decoded && i < b->rows * b->T * t->teacher.C; i++) o->decoded[i] = (real)b->decoded[i];
}

rt_status tr_pass_load(tr_pass *o, int64_t first, int64_t n, double scale)
{
    ds_batch      b;
    const int64_t N = n * o->T, rest = (o->B - n) * o->T;
    RT_TRY(ds_loader_read(o->loader, first, n, &b));
    memcpy(o->ids, b.ids, (size_t)N * sizeof *o->ids);
    memcpy(o->pos, b.pos, (size_t)N * sizeof *o->pos);
    memcpy(o->doc_start, b.doc_start, (size_t)N * sizeof *o->doc_start);
    memcpy(o->loss_mask, b.loss_mask, (size_t)N);
    memset(o->loss_mask + N, 0, (size_t)rest);
    for (int64_t i = N; i < N + rest; i++) o->ids[i] = o->pos[i] = 0, o->doc_start[i] = (int32_t)(i % o->T);
    for (int64_t i = 0; i < N; i++) o->rows += o->loss_mask[i];
    o->tokens += N;
    o->first              = first;
    o->targets.rows.scale = scale;
    take_targets(o, &b);
    return RT_OK;
}

void tr_pass_teach(tr_pass *o)
{
    const double began = rt_now();
    if (!o->teacher.p) return;
    di_teacher_pass_run(&o->teacher, o->first);
    o->teaching += rt_now() - began;
}

/* Returns the first row that counts whose teacher hidden state is not finite; -1: none, or the objective does not use them. */
static int64_t bad_hidden(const tr_pass *o)
{
    const ag_teacher *from = &o->targets.rows.teacher;
    const size_t      row  = (size_t)from->C * kn_size(from->hidden_type);
    for (int64_t n = 0; o->targets.settings.match && n < o->B * o->T; n++)
        if (o->loss_mask[n] && kn_not_finite((const char *)from->hidden + (size_t)n * row, from->hidden_type, from->C) >= 0) return n;
    return -1;
}

rt_status tr_pass_check(const tr_pass *o, const tr_trainer *t)
{
    const int64_t hidden = bad_hidden(o), n = hidden < 0 ? o->targets.result.bad_row : hidden;
    const char   *what = hidden < 0 ? "logits" : "hidden states";
    if (n < 0) return RT_OK;
    RT_CHECK(o->teacher.p, RT_ECHECK,
             "the encoded hidden states of the shards: the %s after token %lld of sequence %lld are not finite; score the text again", what,
             (long long)(n % o->T), (long long)(o->first + n / o->T));
    RT_FAIL(RT_ECHECK, "teacher.model %s: the %s after token %lld of sequence %lld are not finite; the weights are damaged or too large",
            t->objective.teacher, what, (long long)(n % o->T), (long long)(o->first + n / o->T));
}
