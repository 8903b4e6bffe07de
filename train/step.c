/* step.c -- one training step: the batch's share, micro-batches, the sum over ranks, AdamW. */
#include "core/clock.h"
#include "core/progress.h"
#include "core/rng.h"
#include "train/trainer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAD_ALIGN = 16 };

/* ---- making a trainer ---------------------------------------------------------------------------- */

/* The tokenizer must be the one that the shards were made with; it gives bos and eos. */
static rt_status check_tokenizer(tr_trainer *t, const ds_info *info, md_config *shape)
{
    const tr_config *c   = t->c;
    const char      *dir = c->tokenizer ? c->tokenizer : strcmp(c->init, "new") ? c->init : NULL;
    ds_tokenizer    *tok;
    if (!dir) return RT_OK;
    RT_TRY(ds_tokenizer_load(&tok, dir));
    rt_status st = RT_OK;
    if (strcmp(ds_tokenizer_sha256(tok), info->tokenizer))
        st = rt_fail(RT_EMISMATCH, __FILE__, __LINE__,
                     "%s: its tokenizer is %.12s..., the shards were made with %.12s...; use the tokenizer of the shards", dir,
                     ds_tokenizer_sha256(tok), info->tokenizer);
    shape->bos = ds_tokenizer_bos(tok);
    shape->eos = ds_tokenizer_eos(tok);
    ds_tokenizer_destroy(&tok);
    return st;
}

static rt_status make_model(tr_trainer *t, const ds_info *info)
{
    md_config shape = t->c->shape;
    if (!shape.V) shape.V = info->vocab;
    RT_TRY(check_tokenizer(t, info, &shape));
    if (strcmp(t->c->init, "new")) {
        RT_TRY(md_load(&t->model, t->c->init, t->type));
        RT_TRY(tr_check_fit(t->c, &t->model->config, t->comm, info));
    } else {
        RT_TRY(md_config_check(&shape));
        RT_TRY(tr_check_fit(t->c, &shape, t->comm, info));
        RT_TRY(md_create(&t->model, &shape, t->type));
        md_init(t->model, (uint64_t)t->c->seed);
    }
    RT_CHECK(t->model->config.V >= info->vocab, RT_EMISMATCH,
             "the model's vocabulary has %lld entries, the shards' %lld; set model.V to 0 or to that", (long long)t->model->config.V,
             (long long)info->vocab);
    RT_CHECK(t->c->seq <= t->model->config.context, RT_EINVAL,
             "data.seq is %lld, the model's context %lld; make data.seq smaller or model.context larger", (long long)t->c->seq,
             (long long)t->model->config.context);
    return RT_OK;
}

/* A learnt map from the student's hidden states to the teacher's; always real, as the optimiser's masters are. */
static rt_status make_projection(tr_trainer *t)
{
    const int64_t C = t->model->config.C, Ct = t->teacher.model->config.C;
    rt_rng        r = {rt_mix2((uint64_t)t->c->seed, (uint64_t)Ct)};
    t->projection   = (md_tensor){.name = "projection", .rows = Ct, .cols = C, .type = KN_REAL};
    RT_TRY(rt_alloc(&t->projection.data, Ct * C, sizeof(real), "the projection of hidden states"));
    for (int64_t i = 0; i < Ct * C; i++) ((real *)t->projection.data)[i] = (real)(rt_rng_normal(&r) / sqrt((double)C));
    return RT_OK;
}

static rt_status make_objective(tr_trainer *t, const ds_info *info)
{
    RT_TRY(tr_objective_resolve(&t->objective, t->c, info));
    if (t->objective.teacher) RT_TRY(tr_teacher_load(&t->teacher, t->c, &t->model->config, info, t->type));
    return t->objective.t.match ? make_projection(t) : RT_OK;
}

int tr_parameters(const tr_trainer *t) { return t->model->n + (t->projection.data != NULL); }

md_tensor *tr_parameter(tr_trainer *t, int i) { return i < t->model->n ? &t->model->t[i] : &t->projection; }

static rt_status make_gradients(tr_trainer *t)
{
    RT_TRY(RT_NEW(t->grad_at, tr_parameters(t)));
    for (int i = 0; i < tr_parameters(t); i++) {
        const md_tensor *w = tr_parameter(t, i);
        t->grad_at[i]      = t->n_grads;
        t->n_grads += (w->rows * w->cols + GRAD_ALIGN - 1) / GRAD_ALIGN * GRAD_ALIGN;
    }
    return rt_alloc((void **)&t->grads, t->n_grads, sizeof *t->grads, "gradients");
}

static rt_status make_optimiser(tr_trainer *t)
{
    opt_param *p;
    RT_TRY(RT_NEW(p, tr_parameters(t)));
    for (int i = 0; i < tr_parameters(t); i++) {
        const md_tensor *w = tr_parameter(t, i);
        p[i]               = (opt_param){w->data, w->type, t->grads + t->grad_at[i], w->rows * w->cols, !w->is_vector};
    }
    const rt_status st = opt_create(&t->opt, p, tr_parameters(t));
    free(p);
    return st;
}

static rt_status shard_info(const char *path, ds_info *info)
{
    ds_shard *s;
    RT_TRY(ds_shard_open(&s, path));
    *info = *ds_shard_info(s);
    ds_shard_close(&s);
    return RT_OK;
}

/* Validation shards that cannot serve the objective show cross-entropy alone. */
static tr_objective validated(const tr_trainer *t, const ds_info *valid)
{
    const tr_objective *o = &t->objective;
    const int64_t       k = o->t.k, m = o->t.m;
    const int           entries = valid->soft && valid->k >= k && (!m || (valid->k == k && valid->m >= m));
    if ((!o->stored || entries) && (!o->sketch || valid->sketch)) return *o;
    return (tr_objective){.t = {.objective = AG_CE}};
}

static rt_status make_passes(tr_trainer *t)
{
    const tr_config *c = t->c;
    ds_loader_opts   d = {.shards        = &c->train,
                          .weights       = c->n_weights ? c->weights : NULL,
                          .T             = c->seq,
                          .ordered       = !c->shuffle,
                          .pack          = c->pack,
                          .prompt_weight = c->prompt_weight,
                          .seed          = (uint64_t)c->seed};
    RT_TRY(tr_pass_create(&t->train, t, MD_TRAIN, &d, &t->objective, tr_micro(c, t->comm->size)));
    if (!c->valid.n) return RT_OK;
    ds_info info = {0};
    RT_TRY(shard_info(c->valid.v[0], &info));
    const tr_objective   o = validated(t, &info);
    const ds_loader_opts v = {.shards = &c->valid, .T = c->seq, .ordered = 1, .pack = c->pack, .prompt_weight = c->prompt_weight};
    RT_TRY(tr_pass_create(&t->valid, t, MD_LOSS, &v, &o, t->train.B));
    const char *a = ds_loader_info(t->train.loader)->tokenizer, *b = ds_loader_info(t->valid.loader)->tokenizer;
    RT_CHECK(!strcmp(a, b), RT_EMISMATCH, "%s was made with tokenizer %.12s..., %s with %.12s...", c->train.v[0], a, c->valid.v[0], b);
    return RT_OK;
}

static rt_status make(tr_trainer *t)
{
    ds_info info = {0};
    RT_TRY(shard_info(t->c->train.v[0], &info));
    RT_TRY(make_model(t, &info));
    RT_TRY(make_objective(t, &info));
    RT_TRY(make_gradients(t));
    RT_TRY(make_optimiser(t));
    RT_TRY(md_rope(&t->rope, &t->model->config));
    return make_passes(t);
}

rt_status tr_trainer_create(tr_trainer **out, const tr_config *c, rt_comm *comm)
{
    tr_trainer *t;
    RT_TRY(RT_NEW(t, 1));
    t->c         = c;
    t->comm      = comm;
    t->type      = !strcmp(c->dtype, "bf16") ? KN_BF16 : KN_REAL;
    rt_status st = rt_comm_agree(comm, make(t));
    if (st != RT_OK) tr_trainer_destroy(&t);
    else *out = t;
    return st;
}

void tr_trainer_destroy(tr_trainer **tp)
{
    tr_trainer *t = *tp;
    if (!t) return;
    tr_pass_destroy(&t->train);
    tr_pass_destroy(&t->valid);
    opt_destroy(&t->opt);
    md_destroy(&t->model);
    tr_teacher_free(&t->teacher);
    free(t->projection.data);
    free(t->grads), free(t->grad_at), free(t->rope), free(t);
    *tp = NULL;
}

md_model  *tr_trainer_model(tr_trainer *t) { return t->model; }
opt_state *tr_trainer_optimiser(tr_trainer *t) { return t->opt; }

real *tr_trainer_gradient(tr_trainer *t, int i, int64_t *n)
{
    *n = tr_parameter(t, i)->rows * tr_parameter(t, i)->cols;
    return t->grads + t->grad_at[i];
}

md_tensor *tr_trainer_projection(tr_trainer *t) { return t->projection.data ? &t->projection : NULL; }

/* ---- the step --------------------------------------------------------------------------------------- */

/* This rank's micro-batches: their gradients add up, their scaled losses too. */
static rt_status run_share(tr_trainer *t, int64_t first, double scale, double sums[3], int hunt)
{
    int64_t from, to;
    tr_share(t->comm, t->c->sequences, &from, &to);
    if (from == to) memset(t->grads, 0, (size_t)t->n_grads * sizeof(real));
    for (int64_t at = from; at < to; at += t->train.B) {
        const int64_t n     = to - at < t->train.B ? to - at : t->train.B;
        const double  began = rt_now();
        RT_TRY(tr_pass_load(&t->train, first + at, n, scale));
        t->seconds[TR_DATA] += rt_now() - began;
        tr_pass_teach(&t->train);
        if (hunt) RT_TRY(ag_plan_hunt(t->train.p, at > from));
        else ag_step(t->train.p, at > from);
        sums[0] += t->train.targets.loss;
        sums[1] += t->train.targets.kl;
        sums[2] += t->train.targets.ce;
    }
    return RT_OK;
}

static rt_status sum_gradients(tr_trainer *t)
{
#ifdef RT_REAL_F64
    return t->comm->sum_f64(t->comm, t->grads, t->n_grads);
#else
    return t->comm->sum_f32(t->comm, t->grads, t->n_grads);
#endif
}

/* Both passes over the share; scale: 1 / weight of the rows that count in the global batch. */
static rt_status pass_share(tr_trainer *t, int64_t s, double sums[3], int hunt)
{
    const int64_t first        = s * t->c->sequences;
    double        weight       = 0;
    t->train.targets.ce_weight = tr_ce_weight(&t->objective, s, t->c->steps);
    RT_TRY(ds_loader_weight(t->train.loader, first, t->c->sequences, &weight));
    return run_share(t, first, weight > 0 ? 1 / weight : 0, sums, hunt);
}

rt_status tr_hunt(tr_trainer *t, int64_t s)
{
    double sums[3] = {0};
    return pass_share(t, s, sums, 1);
}

rt_status tr_trainer_gradients(tr_trainer *t, int64_t s, tr_metrics *m)
{
    double       sums[3] = {0};
    rt_status    st      = pass_share(t, s, sums, 0);
    const double began   = rt_now();
    RT_TRY(rt_comm_agree(t->comm, st));
    RT_TRY(sum_gradients(t));
    RT_TRY(t->comm->sum_f64(t->comm, sums, 3));
    t->seconds[TR_COMMUNICATION] += rt_now() - began;
    *m                  = (tr_metrics){.step = s + 1, .loss = sums[0], .kl = sums[1], .ce = sums[2], .valid_ce = NAN, .valid_kl = NAN};
    const double summed = rt_now();
    m->grad_norm        = opt_grad_norm(t->opt);
    t->seconds[TR_OPTIMISER] += rt_now() - summed;
    return RT_OK;
}

/* Weights and moments stay as they are; all ranks see the same norm. */
static rt_status skip(tr_trainer *t, int64_t s, const tr_metrics *m)
{
    t->skipped++;
    t->in_a_row++;
    if (!t->comm->rank)
        rt_note("step %lld: its gradients are not finite (loss %g); skipped, %lld in a row, %lld in all", (long long)s + 1, m->loss,
                (long long)t->in_a_row, (long long)t->skipped);
    if (t->in_a_row <= t->c->max_skips) return RT_OK;
    RT_TRY(rt_comm_agree(t->comm, tr_hunt(t, s)));
    RT_FAIL(RT_ECHECK, "step %lld: the sum of the ranks' gradients is not finite, though each rank's is", (long long)s + 1);
}

rt_status tr_trainer_step(tr_trainer *t, int64_t s, tr_metrics *m)
{
    RT_TRY(tr_trainer_gradients(t, s, m));
    m->lr = opt_rate(&t->c->schedule, s);
    if (isfinite(m->grad_norm)) {
        const double began = rt_now();
        opt_step(t->opt, &t->c->adamw, m->lr, m->grad_norm, s + 1 - t->skipped);
        t->seconds[TR_OPTIMISER] += rt_now() - began;
        t->in_a_row = 0;
    } else RT_TRY(skip(t, s, m));
    m->skipped = t->skipped;
    return RT_OK;
}

/* ---- validation ----------------------------------------------------------------------------------------- */

rt_status tr_trainer_validate(tr_trainer *t, tr_metrics *m)
{
    double    sums[2] = {0}, weight = 0;
    int64_t   from, to;
    rt_status st = RT_OK;
    if (!t->valid.p) return RT_OK;
    const int64_t n = ds_loader_epoch(t->valid.loader);
    tr_share(t->comm, n, &from, &to);
    st = ds_loader_weight(t->valid.loader, 0, n, &weight);
    for (int64_t at = from; st == RT_OK && at < to; at += t->valid.B) {
        st = tr_pass_load(&t->valid, at, to - at < t->valid.B ? to - at : t->valid.B, weight > 0 ? 1 / weight : 0);
        if (st != RT_OK) break;
        tr_pass_teach(&t->valid);
        ag_forward(t->valid.p);
        sums[0] += t->valid.targets.ce;
        sums[1] += t->valid.targets.kl;
    }
    RT_TRY(rt_comm_agree(t->comm, st));
    RT_TRY(t->comm->sum_f64(t->comm, sums, 2));
    m->valid_ce = sums[0];
    m->valid_kl = sums[1];
    return RT_OK;
}

void tr_trainer_seconds(const tr_trainer *t, double seconds[TR_WORKS])
{
    const double *plan = ag_plan_seconds(t->train.p);
    memcpy(seconds, t->seconds, sizeof t->seconds);
    seconds[TR_PRODUCTS]  = plan[AG_PRODUCTS];
    seconds[TR_ATTENTION] = plan[AG_SCORES];
    seconds[TR_ROWS]      = plan[AG_ROWS];
    seconds[TR_HEAD]      = plan[AG_LOSS];
    seconds[TR_TEACHING]  = t->train.teaching;
}

double tr_trainer_flops(const tr_trainer *t, double tokens)
{
    const double student = tr_flops(&t->model->config, tokens, t->c->seq);
    return t->teacher.model ? student + tr_flops(&t->teacher.model->config, tokens, t->c->seq) / 3 : student;
}
