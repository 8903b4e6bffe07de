/* run.c -- the loop over steps: metrics, validation, checkpoints, Ctrl-C. */
#include "core/clock.h"
#include "train/trainer.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct run {
    const tr_config   *c;
    const tr_run_opts *o;
    rt_comm           *comm;
    tr_trainer        *t;
    tr_folder          folder; /* rank 0's */
    int64_t            step;   /* done */
    int64_t            saved;  /* of the last checkpoint */
    double             began;  /* of this process's first step */
    int64_t            first;
    rt_progress        progress;
} run;

/* ---- metrics ----------------------------------------------------------------------------------------------- */

rt_status tr_metrics_json(rt_buf *b, const tr_metrics *m)
{
    const struct {
        const char *name;
        double      v;
    } fields[] = {{"loss", m->loss}, {"kl", m->kl}, {"ce", m->ce}, {"grad_norm", m->grad_norm}, {"lr", m->lr}, {"tok_s", m->tok_s}};
    RT_TRY(rt_buf_fmt(b, "{\"step\":%lld", (long long)m->step));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        RT_TRY(rt_buf_fmt(b, ",\"%s\":", fields[i].name));
        RT_TRY(rt_json_number(b, fields[i].v, 9));
    }
    if (m->skipped) RT_TRY(rt_buf_fmt(b, ",\"skipped\":%lld", (long long)m->skipped));
    if (!isnan(m->valid_ce)) {
        RT_TRY(rt_buf_str(b, ",\"valid_ce\":"));
        RT_TRY(rt_json_number(b, m->valid_ce, 9));
        RT_TRY(rt_buf_str(b, ",\"valid_kl\":"));
        RT_TRY(rt_json_number(b, m->valid_kl, 9));
    }
    return rt_buf_str(b, "}\n");
}

static rt_status log_metrics(run *r, const tr_metrics *m)
{
    rt_buf b = {0};
    if (r->comm->rank) return RT_OK;
    rt_status st = tr_metrics_json(&b, m);
    if (st == RT_OK) st = tr_folder_log(&r->folder, &b);
    rt_buf_free(&b);
    if (st == RT_OK && r->o->report) r->o->report(r->o->report_ud, m);
    return st;
}

static void show(run *r, const tr_metrics *m)
{
    char         extra[160];
    const double flops = tr_trainer_flops(r->t, m->tok_s) * 1e-9 / r->comm->size;
    if (r->comm->rank) return;
    int n = snprintf(extra, sizeof extra, "loss %.4f, %.0f tokens/s", m->loss, m->tok_s);
    if (r->o->gflops > 0) snprintf(extra + n, sizeof extra - (size_t)n, ", %.0f %% of the product rate", 100 * flops / r->o->gflops);
    rt_progress_at(&r->progress, m->step, extra);
}

/* ---- start, stop --------------------------------------------------------------------------------------------- */

/* The state after r->step steps, which rank 0 found. */
static rt_status read_checkpoint(run *r, int64_t *bytes)
{
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/step-%08lld", r->c->out, (long long)r->step);
    return tr_checkpoint_read(r->t, dir, bytes);
}

static rt_status begin(run *r)
{
    int64_t bytes = 0;
    RT_TRY(tr_given_agree(r->c, r->comm, r->o));
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : tr_folder_open(&r->folder, r->c, r->o)));
    r->step = r->folder.found.step;
    RT_TRY(r->comm->broadcast(r->comm, &r->step, sizeof r->step));
    RT_TRY(tr_given_agree_checkpoint(r->c, r->comm, r->step));
    RT_TRY(tr_trainer_create(&r->t, r->c, r->comm));
    if (r->step) RT_TRY(read_checkpoint(r, &bytes));
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : tr_folder_begin(&r->folder, r->o, bytes)));
    r->first = r->saved = r->step;
    return RT_OK;
}

static rt_status checkpoint(run *r)
{
    int64_t bytes = 0;
    if (r->saved == r->step) return RT_OK;
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : tr_folder_sync(&r->folder, &bytes)));
    RT_TRY(tr_checkpoint_write(r->t, r->step, bytes));
    r->saved = r->step;
    return RT_OK;
}

/* All ranks must stop at the same step. */
static rt_status stop_wanted(run *r, int64_t *stop)
{
    *stop = rt_interrupted();
    return r->comm->max_i64(r->comm, stop, 1);
}

static rt_status one_step(run *r)
{
    tr_metrics   m;
    const double tokens = (double)(r->c->sequences * r->c->seq);
    RT_TRY(tr_trainer_step(r->t, r->step, &m));
    r->step++;
    m.tok_s        = tokens * (double)(r->step - r->first) / (rt_now() - r->began);
    const int last = r->step == r->c->steps;
    if (last || (r->c->eval_every && r->step % r->c->eval_every == 0)) RT_TRY(tr_trainer_validate(r->t, &m));
    show(r, &m);
    RT_TRY(rt_comm_agree(r->comm, log_metrics(r, &m)));
    if (last || (r->c->checkpoint_every && r->step % r->c->checkpoint_every == 0)) return checkpoint(r);
    return RT_OK;
}

static rt_status loop(run *r)
{
    int64_t stop = 0;
    r->began     = rt_now();
    rt_progress_begin(&r->progress, "training", "steps", r->c->steps, r->step);
    while (r->step < r->c->steps) {
        RT_TRY(one_step(r));
        RT_TRY(stop_wanted(r, &stop));
        if (!stop || r->step == r->c->steps) continue;
        RT_TRY(checkpoint(r));
        RT_FAIL(RT_EINTR, "interrupted after step %lld of %lld; a checkpoint is in %s, go on with --resume", (long long)r->step,
                (long long)r->c->steps, r->c->out);
    }
    return RT_OK;
}

static rt_status say_begin(const run *r)
{
    rt_buf b = {0};
    if (r->comm->rank || !r->o->begin) return RT_OK;
    const rt_status st = tr_objective_say(&b, r->c, ds_loader_info(r->t->train.loader));
    if (st == RT_OK) r->o->begin(r->c, b.p, r->step);
    rt_buf_free(&b);
    return st;
}

rt_status tr_run(const tr_config *c, rt_comm *comm, const tr_run_opts *o)
{
    run       r  = {.c = c, .o = o, .comm = comm};
    rt_status st = begin(&r);
    if (st == RT_OK) {
        if (r.step >= c->steps && !comm->rank) rt_note("%s: done, %lld steps", c->out, (long long)r.step);
        else st = say_begin(&r);
        if (st == RT_OK) st = loop(&r);
        rt_progress_end(&r.progress);
    }
    tr_trainer_destroy(&r.t);
    if (!comm->rank) tr_folder_close(&r.folder);
    return st;
}
