/* teacher.c -- a teacher in process: loading, compatibility checks, and running it on the student's batch. */
#include "distill/teacher.h"
#include "core/rng.h"
#include "model/teacher_row.h"
#include <stdlib.h>

/* Compares tokenizer identities instead of vocabulary sizes, because the matrices of teacher and student may be padded to
 * different sizes.  RT_EMISMATCH: the shards have another tokenizer. */
static rt_status teacher_check_tokenizer(const char *dir, const ds_info *info)
{
    ds_tokenizer *tok;
    RT_TRY(ds_tokenizer_load(&tok, dir));
    const int       same = ds_tokenizer_is(tok, info->tokenizer);
    const rt_status st =
        same ? RT_OK
             : rt_fail(RT_EMISMATCH, __FILE__, __LINE__,
                       "teacher.model %s has tokenizer %.12s..., but the shards were made with %.12s...; use a teacher with the shards' "
                       "tokenizer, or import the text with --tokenizer %s",
                       dir, ds_tokenizer_identity(tok), info->tokenizer, dir);
    ds_tokenizer_destroy(&tok);
    return st;
}

static rt_status teacher_check(const char *dir, int64_t T, const ds_info *info)
{
    md_config teacher;
    RT_TRY(md_config_read(&teacher, dir));
    RT_CHECK(teacher.context >= T, RT_EMISMATCH,
             "teacher.model %s has a context of %lld tokens, but data.seq is %lld; set data.seq to at most that context", dir,
             (long long)teacher.context, (long long)T);
    return teacher_check_tokenizer(dir, info);
}

rt_status di_teacher_load(di_teacher *o, const char *dir, int64_t T, const ds_info *info, kn_type type)
{
    RT_TRY(teacher_check(dir, T, info));
    RT_TRY(md_load(&o->model, dir, type));
    RT_TRY(md_head_cast(&o->head, o->model));
    return md_rope_tables(&o->rope, &o->model->config);
}

void di_teacher_free(di_teacher *o)
{
    md_destroy(&o->model);
    free(o->rope), free(o->head);
    *o = (di_teacher){0};
}

/* ---- in a pass --------------------------------------------------------------------------------- */

/* Samples the entries of row n from the teacher's logits; called by the head from any thread.  Samples depend only on the seed
 * and the position in the data, as batches do. */
static void teacher_draw(void *ud, int64_t n, const real *logits, int64_t V)
{
    di_teacher_pass *o = ud;
    md_teacher_fill(&o->sampled, n, logits, V, -1, rt_mix2(o->seed, (uint64_t)(o->first * o->T + n)));
}

static rt_status make_entries(di_teacher_pass *o, int64_t N, const ag_loss_settings *s)
{
    o->sampled  = (ds_rows){.n = N, .k = s->k, .m = s->m};
    o->to->draw = teacher_draw, o->to->draw_ud = o;
    return ds_rows_alloc(&o->sampled, DS_COLUMN(topk_ids) | DS_COLUMN(topk_logprob) | DS_COLUMN(tail_ids) | DS_COLUMN(tail_entropy));
}

rt_status di_teacher_pass_create(di_teacher_pass *o, const di_teacher *t, const di_batch *b, const di_objective *objective, uint64_t seed,
                                 ag_teacher *to)
{
    const md_graph_opts g = {.use = MD_SCORE, .B = b->B, .T = b->T, .activations = md_activations(t->model)};
    const ag_plan_opts  p = {.forward_only = 1};
    const md_tensor    *w = md_head(t->model);
    o->to = to, o->T = b->T, o->seed = seed;
    RT_TRY(md_graph_create(&o->g, t->model, &g));
    RT_TRY(ag_plan_create(&o->p, o->g.g, o->g.value, &p));
    md_bind(o->p, &o->g,
            &(md_leaves){.m = t->model, .ids = b->ids, .pos = b->pos, .doc_start = b->doc_start, .rope = t->rope, .tokens = b->T});
    *to = (ag_teacher){.hidden_type = g.activations,
                       .w           = t->head ? t->head : w->data,
                       .w_type      = t->head ? KN_REAL : w->type,
                       .C           = t->model->config.C,
                       .V           = t->model->config.V,
                       .cap         = t->model->config.logit_cap};
    return objective->fresh ? make_entries(o, b->B * b->T, &objective->t) : RT_OK;
}

void di_teacher_pass_destroy(di_teacher_pass *o)
{
    ag_plan_destroy(&o->p);
    md_graph_destroy(&o->g);
    ds_rows_free(&o->sampled);
}

void di_teacher_pass_run(di_teacher_pass *o, int64_t first)
{
    void *hidden;
    o->first = first;
    ag_forward(o->p);
    ag_plan_value(o->p, o->g.value, &hidden);
    o->to->hidden = hidden;
}
