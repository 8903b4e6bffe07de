/* trainer.c -- creating and freeing a trainer (model, teacher, gradients, optimiser, passes), and access to its parts. */
#include "train/trainer.h"
#include "core/apart.h"
#include "core/file.h"
#include "core/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAD_ALIGN = 16 };

/* RT_EMISMATCH: the folder model.init has a tokenizer that differs from model.tokenizer, so its embedding rows are of other
 * tokens.  A folder without a tokenizer is accepted. */
static rt_status check_init(const tr_trainer *t)
{
    const char   *dir  = t->c->init;
    ds_tokenizer *own  = NULL;
    rt_buf        path = {0};
    rt_status     st   = rt_path(&path, dir, "tokenizer.json");
    if (st == RT_OK && rt_file_exists(path.p)) st = ds_tokenizer_load(&own, dir);
    rt_buf_free(&path);
    if (st == RT_OK && own && strcmp(ds_tokenizer_identity(own), ds_tokenizer_identity(t->tokenizer)) != 0)
        st = rt_fail(
            RT_EMISMATCH, __FILE__, __LINE__,
            "model.init %s has the tokenizer %.12s..., but model.tokenizer %s is %.12s..., so its weights are for other tokens; use "
            "shards of "
            "the tokenizer of model.init and omit model.tokenizer (to train it on another tokenizer nevertheless, start from a copy of the "
            "folder without tokenizer.json)",
            dir, ds_tokenizer_identity(own), t->c->tokenizer, ds_tokenizer_identity(t->tokenizer));
    ds_tokenizer_destroy(&own);
    return st;
}

/* Loads the tokenizer and takes the begin and end tokens from it.  RT_EMISMATCH: the shards have another tokenizer. */
static rt_status trainer_check_tokenizer(tr_trainer *t, const ds_info *info, md_config *shape)
{
    const tr_config *c   = t->c;
    const char      *dir = c->tokenizer ? c->tokenizer : strcmp(c->init, "new") ? c->init : NULL;
    if (!dir) return RT_OK;
    RT_TRY(ds_tokenizer_load(&t->tokenizer, dir));
    RT_CHECK(ds_tokenizer_is(t->tokenizer, info->tokenizer), RT_EMISMATCH,
             "%s has the tokenizer %.12s..., but the shards were made with %.12s...; use the tokenizer of the shards", dir,
             ds_tokenizer_identity(t->tokenizer), info->tokenizer);
    if (c->tokenizer && strcmp(c->init, "new")) RT_TRY(check_init(t));
    shape->bos  = ds_tokenizer_bos(t->tokenizer);
    shape->ends = *ds_tokenizer_ends(t->tokenizer);
    return RT_OK;
}

/* RT_EMISMATCH: a new model has fewer rows than its tokenizer has ids.  (An existing model may lack ids; text that contains them
 * is rejected when it is read.)  A soft shard's vocabulary is the number of rows of its teacher's matrix, with padding. */
static rt_status check_vocabulary(const tr_trainer *t, const ds_info *info)
{
    const int64_t V = t->model->config.V, size = t->tokenizer ? ds_tokenizer_size(t->tokenizer) : info->soft ? V : info->vocab;
    const int64_t ids = size < info->vocab ? size : info->vocab;
    RT_CHECK(V >= ids, RT_EMISMATCH, "model.V is %lld, but the shards have %lld ids; set it to 0 or to at least that number", (long long)V,
             (long long)ids);
    return RT_OK;
}

static rt_status make_model(tr_trainer *t, const ds_info *info)
{
    md_config shape = t->c->shape;
    if (!shape.V) shape.V = info->vocab;
    RT_TRY(trainer_check_tokenizer(t, info, &shape));
    if (strcmp(t->c->init, "new")) {
        RT_TRY(md_load(&t->model, t->c->init, t->type));
        RT_CHECK(!t->model->config.bits, RT_EINVAL,
                 "model.init %s is quantised and cannot be trained; use the model from which it was quantised", t->c->init);
        RT_TRY(ds_ends_join(&t->model->config.ends, &shape.ends));
        RT_TRY(tr_check_fit(t->c, &t->model->config, t->comm, info));
    } else {
        RT_TRY(md_config_check(&shape));
        RT_TRY(tr_check_fit(t->c, &shape, t->comm, info));
        RT_TRY(md_create(&t->model, &shape, t->type));
        md_init(t->model, (uint64_t)t->c->seed);
        RT_TRY(check_vocabulary(t, info));
    }
    RT_CHECK(t->c->seq <= t->model->config.context, RT_EINVAL,
             "data.seq is %lld, but the model's context is %lld; make data.seq smaller or model.context larger", (long long)t->c->seq,
             (long long)t->model->config.context);
    return RT_OK;
}

/* Creates the learned map from the student's hidden states to the teacher's, or to a decoded state's coordinates and the
 * constant 1.  It is always of type real, as the optimiser's masters are. */
static rt_status make_projection(tr_trainer *t, const ds_info *info)
{
    const int64_t C = t->model->config.C, Ct = t->teacher.model ? t->teacher.model->config.C : info->rank + 1;
    rt_rng        r = {rt_mix2((uint64_t)t->c->seed, (uint64_t)Ct)};
    t->projection   = (md_tensor){.name = "projection", .rows = Ct, .cols = C, .type = KN_REAL};
    RT_TRY(rt_alloc(&t->projection.data, Ct * C, sizeof(real), "the projection of hidden states"));
    for (int64_t i = 0; i < Ct * C; i++) ((real *)t->projection.data)[i] = (real)(rt_rng_normal(&r) / sqrt((double)C));
    return RT_OK;
}

static rt_status make_objective(tr_trainer *t, const ds_info *info)
{
    RT_TRY(di_objective_resolve(&t->objective, &t->c->objective, info, t->c->train.v[0]));
    if (t->objective.teacher) RT_TRY(di_teacher_load(&t->teacher, t->objective.teacher, t->c->seq, info, t->type));
    return t->objective.t.match ? make_projection(t, info) : RT_OK;
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
    RT_TRY(rt_alloc((void **)&t->grads, t->n_grads, sizeof *t->grads, "gradients"));
    rt_apart_exclude(t->grads, (size_t)t->n_grads * sizeof *t->grads); /* checkpoints do not contain them */
    return RT_OK;
}

static rt_status make_optimiser(tr_trainer *t)
{
    opt_param *p;
    RT_TRY(RT_NEW(p, tr_parameters(t)));
    for (int i = 0; i < tr_parameters(t); i++) {
        const md_tensor *w = tr_parameter(t, i);
        p[i]               = (opt_param){w->data, w->type, t->grads + t->grad_at[i], w->rows * w->cols, !w->is_vector};
    }
    const rt_status st = opt_create(&t->opt, p, tr_parameters(t), 0, opt_blocks(p, tr_parameters(t))); /* every rank owns the whole state */
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

/* Sets the objective of validation: the training objective, or cross-entropy if a validation shard lacks its targets. */
static rt_status validated(di_objective *o, const tr_trainer *t)
{
    *o = t->objective;
    for (int i = 0; i < t->c->valid.n; i++) {
        ds_info info = {0};
        RT_TRY(shard_info(t->c->valid.v[i], &info));
        if (!di_objective_serves(&t->objective, &info)) *o = (di_objective){.t = {.objective = AG_CE}};
    }
    return RT_OK;
}

static rt_status make_passes(tr_trainer *t)
{
    const tr_config *c = t->c;
    ds_loader_opts   d = {.shards        = &c->train,
                          .weights       = c->n_weights ? c->weights : NULL,
                          .T             = c->seq,
                          .ordered       = !c->shuffle,
                          .pack          = c->pack,
                          .prompt_weight = c->objective.prompt_weight,
                          .seed          = (uint64_t)c->seed};
    RT_TRY(tr_pass_create(&t->train, t, MD_TRAIN, &d, &t->objective, tr_micro(c, t->comm->size)));
    if (!c->valid.n) return RT_OK;
    di_objective o;
    RT_TRY(validated(&o, t));
    const ds_loader_opts v = {.shards = &c->valid, .T = c->seq, .ordered = 1, .pack = c->pack, .prompt_weight = c->objective.prompt_weight};
    RT_TRY(tr_pass_create(&t->valid, t, MD_LOSS, &v, &o, t->train.B));
    const char *a = ds_loader_info(t->train.loader)->tokenizer, *b = ds_loader_info(t->valid.loader)->tokenizer;
    RT_CHECK(ds_tokenizer_same(t->tokenizer, a, b), RT_EMISMATCH,
             "%s was made with tokenizer %.12s..., but %s with %.12s...; import both texts with one tokenizer", c->train.v[0], a,
             c->valid.v[0], b);
    return RT_OK;
}

/* "auto" chooses the objective by the first shard.  RT_EMISMATCH: another shard is of a different kind (text or soft). */
static rt_status check_mixture(const tr_config *c, const ds_info *first)
{
    if (c->objective.kind != DI_AUTO || c->objective.teacher) return RT_OK;
    for (int i = 1; i < c->train.n; i++) {
        ds_info info = {0};
        RT_TRY(shard_info(c->train.v[i], &info));
        RT_CHECK(info.soft == first->soft, RT_EMISMATCH,
                 "data.train mixes text without a teacher's probabilities (%s) and shards with them (%s); score the text too, or set "
                 "objective.kind to \"ce\" to train on the text of both",
                 c->train.v[first->soft ? i : 0], c->train.v[first->soft ? 0 : i]);
    }
    return RT_OK;
}

static rt_status trainer_make(tr_trainer *t)
{
    RT_CHECK(t->c->train.n, RT_EINVAL,
             "configuration key \"data.train\" names no shard; name one with --set data.train=FILE.h5 (retort data import and retort score "
             "create shards)");
    ds_info info = {0};
    RT_TRY(shard_info(t->c->train.v[0], &info));
    RT_TRY(check_mixture(t->c, &info));
    RT_TRY(make_model(t, &info));
    RT_TRY(make_objective(t, &info));
    RT_TRY(make_gradients(t));
    RT_TRY(make_optimiser(t));
    RT_TRY(md_rope_tables(&t->rope, &t->model->config));
    return make_passes(t);
}

rt_status tr_trainer_create(tr_trainer **out, const tr_config *c, rt_comm *comm)
{
    tr_trainer *t;
    RT_TRY(RT_NEW(t, 1));
    t->c         = c;
    t->comm      = comm;
    t->type      = c->dtype;
    rt_status st = rt_comm_agree(comm, trainer_make(t));
    ds_tokenizer_destroy(&t->tokenizer);
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
    di_teacher_free(&t->teacher);
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

void tr_trainer_seconds(const tr_trainer *t, double seconds[TR_WORKS])
{
    const double *plan = ag_plan_seconds(t->train.p);
    memcpy(seconds, t->seconds, sizeof t->seconds);
    seconds[TR_GEMM]      = plan[AG_GEMM];
    seconds[TR_ATTENTION] = plan[AG_ATTENTION];
    seconds[TR_ROWS]      = plan[AG_ROWS];
    seconds[TR_HEAD]      = plan[AG_LOSS];
    seconds[TR_TEACHING]  = t->train.teaching;
}

double tr_trainer_flops(const tr_trainer *t, double tokens)
{
    const double rows    = t->train.tokens ? tokens * (double)t->train.rows / (double)t->train.tokens : tokens;
    const double student = tr_flops(&t->model->config, tokens, rows, t->c->seq);
    return t->teacher.model ? student + tr_flops(&t->teacher.model->config, tokens, rows, t->c->seq) / 3 : student;
}
