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
    tr_folder          folder; /* on rank 0 */
    int64_t            step;   /* completed steps */
    int64_t            saved;  /* step of the last checkpoint */
    double             saved_at;
    int64_t            snapshot, logged; /* on rank 0: step of the saver's checkpoint; step of the last line of metrics */
    tr_metrics         pending;          /* metrics of a step that is being validated; step 0: none */
    tr_metrics         owed;             /* metrics of the checkpoint's step, whose validation was interrupted; step 0: none */
    double             began;            /* time when this process's first step began */
    int64_t            first;
    rt_progress        progress;
    rt_buf             inputs;        /* on rank 0: from tr_given_inputs */
    int                measured_anew; /* on rank 0: from tr_config_compare */
    tr_summary         summary;
} run;

/* ---- metrics ----------------------------------------------------------------------------------------------- */

/* Writes the line of a step.  A line that was written before the step's validation is replaced, so that a step has one line. */
static rt_status write_line(run *r, const tr_metrics *m)
{
    rt_buf    b  = {0};
    rt_status st = tr_metrics_json(&b, m);
    if (st == RT_OK) st = r->logged == m->step ? tr_log_replace(&r->folder.log, r->c->out, m->step, &b) : tr_folder_log(&r->folder, &b);
    if (st == RT_OK) r->logged = m->step;
    rt_buf_free(&b);
    return st;
}

static rt_status log_metrics(run *r, const tr_metrics *m)
{
    if (r->comm->rank) return RT_OK;
    const rt_status st = write_line(r, m);
    if (st == RT_OK && r->o->report) r->o->report(r->o->report_ud, m);
    return st;
}

static void run_show(run *r, const tr_metrics *m)
{
    char         extra[160];
    const double flops = tr_trainer_flops(r->t, m->tok_s) * 1e-9 / r->comm->size;
    if (r->comm->rank) return;
    int n = snprintf(extra, sizeof extra, "loss %.4f, %.0f tokens/s", m->loss, m->tok_s);
    if (r->o->gflops > 0) snprintf(extra + n, sizeof extra - (size_t)n, ", %.0f %% of the gemm rate", 100 * flops / r->o->gflops);
    rt_progress_at(&r->progress, m->step, extra);
}

/* ---- start, stop --------------------------------------------------------------------------------------------- */

/* Reads the checkpoint after r->step steps, which rank 0 has found. */
static rt_status read_checkpoint(run *r)
{
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/step-%08lld", r->c->out, (long long)r->step);
    return tr_checkpoint_read(r->t, dir);
}

static rt_status compare_with_checkpoint(run *r)
{
    RT_TRY(tr_given_inputs(&r->inputs, r->c));
    return r->step ? tr_config_compare(r->c, r->folder.found.dir.p, r->step, r->inputs.p, r->o, &r->measured_anew) : RT_OK;
}

/* Settles the best checkpoint on rank 0 and broadcasts it, because all ranks must save a new best one together. */
static rt_status settle_best(run *r)
{
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : tr_best_settle(r->t, r->step, r->measured_anew)));
    RT_TRY(r->comm->broadcast(r->comm, &r->t->best_step, sizeof r->t->best_step));
    return r->comm->broadcast(r->comm, &r->t->best_ce, sizeof r->t->best_ce);
}

static int is_last(const run *r) { return r->step == r->c->steps; }

static int validation_is_due(const run *r) { return is_last(r) || (r->c->eval_every && r->step % r->c->eval_every == 0); }

/* Sets r->owed if a validation is due at the checkpoint's step, by the present configuration, and the step's line of metrics lacks it:
 * an interrupt prevented it, or the configuration did not ask for it. */
static rt_status find_owed(run *r)
{
    if (!r->step || !validation_is_due(r) || !r->t->valid.p) return RT_OK;
    const int here = !r->comm->rank && r->folder.line.len;
    RT_TRY(rt_comm_agree(r->comm, here ? tr_metrics_read(&r->owed, r->step, &r->folder.line) : RT_OK));
    if (r->owed.validated) r->owed.step = 0;
    r->logged = r->owed.step;
    return r->comm->broadcast(r->comm, &r->owed, sizeof r->owed);
}

static rt_status run_begin(run *r)
{
    RT_TRY(tr_gemm_agree(r->comm));
    RT_TRY(tr_given_agree(r->c, r->comm, r->o));
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : tr_folder_open(&r->folder, r->c, r->o)));
    r->step = r->folder.found.step;
    RT_TRY(r->comm->broadcast(r->comm, &r->step, sizeof r->step));
    RT_TRY(tr_given_agree_checkpoint(r->c, r->comm, r->step));
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : compare_with_checkpoint(r)));
    if (r->step) RT_TRY(tr_gemm_resume(r->comm, r->folder.found.dir.p, r->step));
    RT_TRY(tr_trainer_create(&r->t, r->c, r->comm));
    r->t->inputs = r->inputs.p;
    if (r->step) RT_TRY(read_checkpoint(r));
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : tr_folder_begin(&r->folder, r->o)));
    RT_TRY(settle_best(r));
    RT_TRY(find_owed(r));
    r->first = r->saved = r->step;
    return RT_OK;
}

static rt_status save(run *r)
{
    if (r->comm->rank || r->snapshot == r->step) return RT_OK;
    RT_TRY(tr_folder_sync(&r->folder));
    return tr_checkpoint_write(r->t, r->step);
}

static rt_status checkpoint(run *r)
{
    if (r->saved == r->step) return RT_OK;
    RT_TRY(rt_comm_agree(r->comm, save(r)));
    r->saved    = r->step;
    r->saved_at = rt_now();
    return RT_OK;
}

/* Saves the state after r->step steps; called by the saver's thread in the middle of a step (train/saver.c). */
static rt_status snapshot(void *ud)
{
    run *r = ud;
    if (r->saved != r->step) {
        if (r->pending.step) RT_TRY(write_line(r, &r->pending));
        RT_TRY(save(r));
    }
    r->snapshot = r->step;
    return RT_OK;
}

enum { NOTHING, SAVE, STOP };

/* Sets *wish to the largest wish of any rank, so that all ranks stop or save at the same step; collective. */
static rt_status run_agree_on_wish(run *r, int64_t *wish)
{
    const double minutes = (rt_now() - r->saved_at) / 60;
    *wish                = rt_interrupted()                                                                        ? STOP
                           : !r->comm->rank && r->c->checkpoint_minutes > 0 && minutes >= r->c->checkpoint_minutes ? SAVE
                                                                                                                   : NOTHING;
    return r->comm->max_i64(r->comm, wish, 1);
}

static rt_status validate(run *r, tr_metrics *m)
{
    r->pending = *m;
    RT_TRY(tr_trainer_validate(r->t, m));
    r->pending.step = 0;
    return RT_OK;
}

static void keep_last(run *r, const tr_metrics *m)
{
    const tr_metrics before = r->summary.last;
    r->summary.last         = *m;
    if (m->validated) return;
    r->summary.last.validated = before.validated;
    r->summary.last.valid_ce = before.valid_ce, r->summary.last.valid_kl = before.valid_kl, r->summary.last.outcomes = before.outcomes;
}

/* RT_ECHECK: no step has changed the student. */
static rt_status check_learned(const run *r)
{
    const tr_trainer *t = r->t;
    RT_CHECK(!t->skipped || t->skipped + t->empty < r->step, RT_ECHECK,
             "%s: the norm of the gradients was not finite in any of %lld steps, so no step changed the student", r->c->out,
             (long long)t->skipped);
    return RT_OK;
}

static rt_status run_one_step(run *r)
{
    tr_metrics   m;
    const double tokens = (double)(r->c->sequences * r->c->seq);
    RT_TRY(tr_trainer_step(r->t, r->step, &m));
    r->step++;
    m.tok_s = tokens * (double)(r->step - r->first) / (rt_now() - r->began);
    if (validation_is_due(r)) RT_TRY(validate(r, &m));
    run_show(r, &m);
    RT_TRY(rt_comm_agree(r->comm, log_metrics(r, &m)));
    keep_last(r, &m);
    if (is_last(r)) RT_TRY(check_learned(r));
    const int due = r->c->checkpoint_every && r->step % r->c->checkpoint_every == 0;
    return is_last(r) || due || r->t->best_step == r->step ? checkpoint(r) : RT_OK;
}

/* Performs the validation that an interrupt prevented.  Its line of metrics is written last, so that after another interrupt the
 * validation is still found to be missing. */
static rt_status make_up(run *r)
{
    tr_metrics *m = &r->owed;
    if (!m->step) return RT_OK;
    m->skipped = r->t->skipped, m->empty = r->t->empty;
    RT_TRY(validate(r, m));
    if (r->t->best_step == r->step) r->saved = 0; /* the checkpoint does not contain the new best step */
    RT_TRY(checkpoint(r));
    RT_TRY(rt_comm_agree(r->comm, log_metrics(r, m)));
    keep_last(r, m);
    return is_last(r) ? check_learned(r) : RT_OK;
}

static rt_status interrupted(const run *r)
{
    RT_CHECK(r->step > 0, RT_EINTR, "interrupted before the first step; %s",
             r->folder.replaced ? "the earlier run was removed because of --force" : "nothing was done");
    RT_CHECK(
        r->step > r->first, RT_EINTR,
        "interrupted before a step after step %lld of %lld was completed; the checkpoint is still %s/step-%08lld, continue with --resume",
        (long long)r->step, (long long)r->c->steps, r->c->out, (long long)r->step);
    RT_FAIL(RT_EINTR, "interrupted after step %lld of %lld; a checkpoint is in %s/step-%08lld, continue with --resume", (long long)r->step,
            (long long)r->c->steps, r->c->out, (long long)r->step);
}

static rt_status run_stop(run *r)
{
    RT_TRY(checkpoint(r));
    return interrupted(r);
}

static rt_status run_loop(run *r)
{
    int64_t wish = NOTHING;
    r->began = r->saved_at = rt_now();
    rt_progress_begin(&r->progress, "training", "steps", r->c->steps, r->step);
    rt_status st = make_up(r);
    while (st == RT_OK && r->step < r->c->steps) {
        RT_TRY(run_agree_on_wish(r, &wish));
        if (wish == STOP) return run_stop(r);
        if (wish == SAVE) RT_TRY(checkpoint(r));
        st = run_one_step(r);
    }
    return st == RT_EINTR ? interrupted(r) : st;
}

static rt_status watched_loop(run *r)
{
    RT_TRY(rt_comm_agree(r->comm, r->comm->rank ? RT_OK : tr_saver_start(&r->t->saver, snapshot, r)));
    const rt_status st = run_loop(r);
    tr_saver_stop(&r->t->saver);
    return st;
}

static rt_status ask_teacher(run *r)
{
    r->summary.teacher_on = "data.valid";
    RT_TRY(tr_teacher_ce(&r->c->valid, &r->summary.teacher_ce));
    if (!isnan(r->summary.teacher_ce)) return RT_OK;
    r->summary.teacher_on = "data.train";
    return tr_teacher_ce(&r->c->train, &r->summary.teacher_ce);
}

static rt_status say_begin(run *r)
{
    rt_buf b = {0};
    if (r->comm->rank) return RT_OK;
    RT_TRY(ask_teacher(r));
    const rt_status st = di_objective_say(&b, &r->t->objective);
    if (st == RT_OK && r->o->begin) r->o->begin(r->c, b.p, r->step);
    rt_buf_free(&b);
    return st;
}

static rt_status say_done(const run *r)
{
    RT_TRY(check_learned(r));
    if (!r->comm->rank) rt_note("%s: done, %lld steps", r->c->out, (long long)r->step);
    return RT_OK;
}

static void say_end(run *r)
{
    tr_summary *s = &r->summary;
    if (r->comm->rank || !s->last.step) return;
    const double student = s->last.validated ? s->last.valid_ce : s->last.ce;
    s->tokens            = (r->step - r->first) * r->c->sequences * r->c->seq;
    s->seconds           = rt_now() - r->began;
    s->best_step = r->t->best_step, s->best_ce = r->t->best_ce;
    if (r->o->end) r->o->end(r->c, s);
    if (s->teacher_ce > student)
        rt_note("warning: the teacher is the worse model of this text: its cross-entropy is %.3f on %s, the student's %.3f on %s; train on "
                "the text "
                "only (objective.kind=ce), or use a teacher that fits the text",
                s->teacher_ce, s->teacher_on, student, s->last.validated ? "data.valid" : "the last batch");
}

rt_status tr_run(const tr_config *c, rt_comm *comm, const tr_run_opts *o)
{
    run       r  = {.c = c, .o = o, .comm = comm};
    rt_status st = run_begin(&r);
    if (st == RT_OK) {
        st = rt_comm_agree(comm, r.step < c->steps || r.owed.step ? say_begin(&r) : say_done(&r));
        if (st == RT_OK) st = watched_loop(&r);
        rt_progress_end(&r.progress);
        if (st == RT_OK) say_end(&r);
    }
    tr_trainer_destroy(&r.t);
    rt_buf_free(&r.inputs);
    if (!comm->rank) tr_folder_close(&r.folder);
    return st;
}
