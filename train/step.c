/* step.c -- one training step: the batch's share, micro-batches, the sum over ranks, AdamW. */
#include "core/clock.h"
#include "core/progress.h"
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
        RT_TRY(tr_check_fit(t->c, &t->model->config, t->comm, info->k, info->m));
    } else {
        RT_TRY(md_config_check(&shape));
        RT_TRY(tr_check_fit(t->c, &shape, t->comm, info->k, info->m));
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

static rt_status make_gradients(tr_trainer *t)
{
    RT_TRY(RT_NEW(t->grad_at, t->model->n));
    for (int i = 0; i < t->model->n; i++) {
        t->grad_at[i] = t->n_grads;
        t->n_grads += (t->model->t[i].rows * t->model->t[i].cols + GRAD_ALIGN - 1) / GRAD_ALIGN * GRAD_ALIGN;
    }
    return rt_alloc((void **)&t->grads, t->n_grads, sizeof *t->grads, "gradients");
}

static rt_status make_optimiser(tr_trainer *t)
{
    opt_param *p;
    RT_TRY(RT_NEW(p, t->model->n));
    for (int i = 0; i < t->model->n; i++) {
        const md_tensor *w = &t->model->t[i];
        p[i]               = (opt_param){w->data, w->type, t->grads + t->grad_at[i], w->rows * w->cols, !w->is_vector};
    }
    const rt_status st = opt_create(&t->opt, p, t->model->n);
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

static rt_status make_passes(tr_trainer *t, const ds_info *info)
{
    const tr_config *c = t->c;
    ag_objective     kind;
    double           ce_weight;
    ds_loader_opts   d = {.shards  = &c->train,
                          .weights = c->n_weights ? c->weights : NULL,
                          .T       = c->seq,
                          .ordered = !c->shuffle,
                          .pack    = c->pack,
                          .seed    = (uint64_t)c->seed};
    RT_TRY(tr_objective(c, info, &kind, &d.k, &d.m, &ce_weight));
    d.targets = kind != AG_CE;
    RT_TRY(tr_pass_create(&t->train, t, MD_TRAIN, &d, kind, tr_micro(c, t->comm->size)));
    t->train.targets.ce_weight = ce_weight;
    if (!c->valid.n) return RT_OK;
    ds_info vi = {0};
    RT_TRY(shard_info(c->valid.v[0], &vi));
    ds_loader_opts v = {.shards = &c->valid, .T = c->seq, .ordered = 1, .pack = c->pack};
    v.targets        = d.targets && vi.soft && vi.k >= d.k && (!d.m || (vi.k == d.k && vi.m >= d.m));
    v.k              = v.targets ? d.k : 0;
    v.m              = v.targets ? d.m : 0;
    RT_TRY(tr_pass_create(&t->valid, t, MD_LOSS, &v, v.targets ? kind : AG_CE, t->train.B));
    t->valid.targets.ce_weight = ce_weight;
    const char *a = ds_loader_info(t->train.loader)->tokenizer, *b = ds_loader_info(t->valid.loader)->tokenizer;
    RT_CHECK(!strcmp(a, b), RT_EMISMATCH, "%s was made with tokenizer %.12s..., %s with %.12s...", c->train.v[0], a, c->valid.v[0], b);
    return RT_OK;
}

static rt_status make(tr_trainer *t)
{
    ds_info info = {0};
    RT_TRY(shard_info(t->c->train.v[0], &info));
    RT_TRY(make_model(t, &info));
    RT_TRY(make_gradients(t));
    RT_TRY(make_optimiser(t));
    RT_TRY(md_rope(&t->rope, &t->model->config));
    return make_passes(t, &info);
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
    free(t->grads), free(t->grad_at), free(t->rope), free(t);
    *tp = NULL;
}

md_model  *tr_trainer_model(tr_trainer *t) { return t->model; }
opt_state *tr_trainer_optimiser(tr_trainer *t) { return t->opt; }

real *tr_trainer_gradient(tr_trainer *t, int i, int64_t *n)
{
    *n = t->model->t[i].rows * t->model->t[i].cols;
    return t->grads + t->grad_at[i];
}

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
    const int64_t first  = s * t->c->sequences;
    double        weight = 0;
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
}

int64_t tr_trainer_bytes(const tr_trainer *t)
{
    return md_bytes(t->model) + t->n_grads * (int64_t)sizeof(real) * (t->type == KN_REAL ? 3 : 4) +
           (int64_t)ag_plan_stats(t->train.p).arena_bytes + (t->valid.p ? (int64_t)ag_plan_stats(t->valid.p).arena_bytes : 0);
}
