/* teacher.c -- a teacher in process: loading, compatibility checks, and running it on the student's batch. */
#include "core/rng.h"
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>

/* Compares tokenizer identities instead of vocabulary sizes, because the matrices of teacher and student may be padded to
 * different sizes.  RT_EMISMATCH: the shards have another tokenizer. */
static rt_status check_tokenizer(const char *dir, const ds_info *info)
{
    ds_tokenizer *tok;
    RT_TRY(ds_tokenizer_load(&tok, dir));
    const int       same = ds_tokenizer_is(tok, info->tokenizer);
    const rt_status st =
        same ? RT_OK
             : rt_fail(RT_EMISMATCH, __FILE__, __LINE__,
                       "teacher.model %s has tokenizer %.12s..., the shards were made with %.12s...; use a teacher with the shards' "
                       "tokenizer, or import the text with --tokenizer %s",
                       dir, ds_tokenizer_identity(tok), info->tokenizer, dir);
    ds_tokenizer_destroy(&tok);
    return st;
}

static rt_status check(const tr_config *c, const ds_info *info)
{
    md_config teacher;
    RT_TRY(md_config_read(&teacher, c->teacher));
    RT_CHECK(teacher.context >= c->seq, RT_EMISMATCH,
             "teacher.model %s has a context of %lld tokens, data.seq is %lld; set data.seq to at most that", c->teacher,
             (long long)teacher.context, (long long)c->seq);
    return check_tokenizer(c->teacher, info);
}

rt_status tr_teacher_load(tr_teacher *o, const tr_config *c, const ds_info *info, kn_type type)
{
    RT_TRY(check(c, info));
    RT_TRY(md_load(&o->model, c->teacher, type));
    RT_TRY(md_head_cast(&o->head, o->model));
    return md_rope(&o->rope, &o->model->config);
}

void tr_teacher_free(tr_teacher *o)
{
    md_destroy(&o->model);
    free(o->rope), free(o->head);
    *o = (tr_teacher){0};
}

/* ---- in a pass --------------------------------------------------------------------------------- */

/* Samples the entries of row n from the teacher's logits; called by the head from any thread.  Samples depend only on the seed
 * and the position in the data, as batches do. */
static void draw(void *ud, int64_t n, const real *logits, int64_t V)
{
    tr_pass *o = ud;
    md_teacher_fill(&o->sampled, n, logits, V, -1, rt_mix2(o->seed, (uint64_t)(o->first * o->T + n)));
}

static rt_status make_entries(tr_pass *o)
{
    o->sampled = (ds_rows){.n = o->B * o->T, .k = o->targets.settings.k, .m = o->targets.settings.m};
    RT_TRY(ds_rows_alloc(&o->sampled, DS_COLUMN(topk_ids) | DS_COLUMN(topk_logprob) | DS_COLUMN(tail_ids) | DS_COLUMN(tail_entropy)));
    tr_pass_entries(o, &o->sampled);
    o->targets.rows.teacher.draw = draw, o->targets.rows.teacher.draw_ud = o;
    return RT_OK;
}

rt_status tr_teacher_join(tr_pass *o, const tr_teacher *t, const tr_objective *objective, uint64_t seed)
{
    const md_graph_opts g = {.use = MD_SCORE, .B = o->B, .T = o->T, .activations = md_activations(t->model)};
    const ag_plan_opts  p = {.forward_only = 1};
    const md_tensor    *w = md_head(t->model);
    RT_TRY(md_graph_create(&o->tg, t->model, &g));
    RT_TRY(ag_plan_create(&o->tp, o->tg.g, o->tg.value, &p));
    md_bind(o->tp, &o->tg, &(md_leaves){.m = t->model, .ids = o->ids, .pos = o->pos, .doc_start = o->doc_start, .rope = t->rope});
    o->seed                 = seed;
    o->targets.rows.teacher = (ag_teacher){.hidden_type = g.activations,
                                           .w           = t->head ? t->head : w->data,
                                           .w_type      = t->head ? KN_REAL : w->type,
                                           .C           = t->model->config.C,
                                           .V           = t->model->config.V};
    return objective->fresh ? make_entries(o) : RT_OK;
}

void tr_teacher_leave(tr_pass *o)
{
    ag_plan_destroy(&o->tp);
    md_graph_destroy(&o->tg);
    ds_rows_free(&o->sampled);
}

void tr_teacher_run(tr_pass *o)
{
    void *hidden;
    ag_forward(o->tp);
    ag_plan_value(o->tp, o->tg.value, &hidden);
    o->targets.rows.teacher.hidden = hidden;
}
