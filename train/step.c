/* step.c -- one training step (a rank's share of the batch, micro-batches, the sum over ranks, AdamW) and validation. */
#include "core/clock.h"
#include "core/progress.h"
#include "train/trainer.h"
#include <math.h>
#include <string.h>

enum { MANY_EMPTY = 10 };
static const double MANY_MISSING = 0.1;

/* The scaled sums of a batch's losses that are added over ranks. */
enum { LOSS, KL, KL_MISSING, CE, SUMS };

static void add_sums(double sums[SUMS], const ag_loss_result *r)
{
    sums[LOSS] += r->loss + r->matched;
    sums[KL] += r->kl;
    sums[KL_MISSING] += r->kl_missing;
    sums[CE] += r->ce;
}

/* RT_EINTR: the saver's thread has written a checkpoint, so this step need not be completed. */
static rt_status check_interrupt(const tr_trainer *t)
{
    RT_CHECK(!tr_saver_taken(t->saver), RT_EINTR, "interrupted");
    return RT_OK;
}

/* Runs the forward and backward passes over the loaded micro-batch. */
static rt_status compute(tr_trainer *t, int add, int find_anomaly)
{
    rt_status st = RT_OK;
    tr_saver_still(t->saver);
    tr_pass_teach(&t->train);
    if (find_anomaly) st = ag_plan_find_anomaly(t->train.p, add);
    else ag_step(t->train.p, add);
    tr_saver_moving(t->saver);
    RT_TRY(st);
    RT_TRY(check_interrupt(t));
    return tr_pass_check(&t->train, t);
}

/* Processes this rank's micro-batches and accumulates their gradients and scaled losses. */
static rt_status run_share(tr_trainer *t, int64_t first, double scale, double sums[SUMS], int find_anomaly)
{
    int64_t from, to;
    rt_comm_share(t->comm, t->comm->rank, t->c->sequences, &from, &to);
    if (from == to) memset(t->grads, 0, (size_t)t->n_grads * sizeof(real));
    for (int64_t at = from; at < to; at += t->train.B) {
        const int64_t n     = to - at < t->train.B ? to - at : t->train.B;
        const double  began = rt_now();
        RT_TRY(tr_pass_load(&t->train, first + at, n, scale));
        t->seconds[TR_DATA] += rt_now() - began;
        RT_TRY(compute(t, at > from, find_anomaly));
        add_sums(sums, &t->train.targets.result);
    }
    return RT_OK;
}

static rt_status sum_gradients(tr_trainer *t)
{
    RT_TRY(t->comm->reduce_scatter(t->comm, t->grads, t->n_grads, sizeof *t->grads));
    return t->comm->all_gather(t->comm, t->grads, t->n_grads, sizeof *t->grads);
}

/* Sums gradients and losses over ranks; collective, so it waits for the slowest rank. */
static rt_status sum_over_ranks(tr_trainer *t, rt_status mine, double sums[SUMS])
{
    tr_saver_still(t->saver);
    rt_status st = rt_comm_agree(t->comm, mine);
    if (st == RT_OK) st = sum_gradients(t);
    if (st == RT_OK) st = t->comm->sum_f64(t->comm, sums, SUMS);
    tr_saver_moving(t->saver);
    return st;
}

/* Processes this rank's share of step s.  Losses are scaled by 1 / weight of the rows that count in the global batch. */
static rt_status pass_share(tr_trainer *t, int64_t s, double sums[SUMS], int find_anomaly)
{
    const int64_t first                 = s * t->c->sequences;
    t->train.targets.settings.ce_weight = di_objective_ce_weight(&t->objective, s, t->c->steps);
    RT_TRY(ds_loader_weight(t->train.loader, first, t->c->sequences, &t->weight));
    return run_share(t, first, t->weight > 0 ? 1 / t->weight : 0, sums, find_anomaly);
}

rt_status tr_find_anomaly(tr_trainer *t, int64_t s)
{
    double sums[SUMS] = {0};
    return pass_share(t, s, sums, 1);
}

/* Warns once if many rows have no stored id in the student's vocabulary.  A non-finite loss is skipped, because then no row has a
 * divergence. */
static void say_missing(tr_trainer *t, int64_t s, int64_t k, double loss, double share)
{
    if (t->comm->rank || t->missing_said || !k || !isfinite(loss) || share < MANY_MISSING) return;
    t->missing_said = 1;
    rt_note(
        "warning: step %lld: in %.0f %% of the rows the student's vocabulary (model.V %lld) has none of the stored ids; kl excludes these "
        "rows",
        (long long)s + 1, 100 * share, (long long)t->model->config.V);
}

rt_status tr_trainer_gradients(tr_trainer *t, int64_t s, tr_metrics *m)
{
    double       sums[SUMS] = {0};
    rt_status    st         = pass_share(t, s, sums, 0);
    const double began      = rt_now();
    RT_TRY(sum_over_ranks(t, st, sums));
    t->seconds[TR_COMMUNICATION] += rt_now() - began;
    *m    = (tr_metrics){.step = s + 1, .loss = sums[LOSS], .ce = sums[CE], .valid_ce = NAN, .valid_kl = NAN};
    m->kl = ag_mean_kl(sums[KL], sums[KL_MISSING]);
    if (!(t->weight > 0)) m->loss = m->kl = m->ce = NAN; /* no row counts */
    else say_missing(t, s, t->objective.t.k, m->loss, sums[KL_MISSING]);
    const double summed = rt_now();
    m->grad_norm        = opt_grad_norm(t->opt);
    t->seconds[TR_OPTIMISER] += rt_now() - summed;
    return RT_OK;
}

/* Reports why the norm is not finite although each rank's gradients are. */
static rt_status say_why(tr_trainer *t, int64_t s)
{
    RT_TRY(sum_gradients(t));
    RT_CHECK(kn_not_finite(t->grads, KN_REAL, t->n_grads) < 0, RT_ECHECK,
             "step %lld: the sum of the ranks' gradients is not finite, although the gradients of each rank are", (long long)s + 1);
    RT_FAIL(RT_ECHECK,
            "step %lld: the gradients are finite, but the sum of their squares is not, because they are too large; the model's weights are "
            "damaged or too large",
            (long long)s + 1);
}

/* Skips the step without changing weights and moments.  All ranks have the same norm, so all skip.  After more than max_skips
 * consecutive skips it returns an error that names the cause. */
static rt_status step_skip(tr_trainer *t, int64_t s, const tr_metrics *m)
{
    t->skipped++;
    t->in_a_row++;
    if (!t->comm->rank)
        rt_note("step %lld: the norm of the gradients is not finite (loss %g); the step is skipped, %lld in a row, %lld in all",
                (long long)s + 1, m->loss, (long long)t->in_a_row, (long long)t->skipped);
    if (t->in_a_row <= t->c->max_skips) return RT_OK;
    RT_TRY(rt_comm_agree(t->comm, tr_find_anomaly(t, s)));
    return say_why(t, s);
}

/* Handles a global batch in which no row counts: weights and moments are not changed.  Warns once if there are many. */
static void pass_over(tr_trainer *t, int64_t s)
{
    t->empty++;
    if (t->comm->rank || t->empty_said || t->empty < MANY_EMPTY || t->empty * 10 < s + 1) return;
    t->empty_said = 1;
    rt_note(
        "warning: %lld of %lld steps had no row that counts (documents of one token, or only prompts) and changed nothing; their loss is "
        "null; set data.pack to true, or remove such documents",
        (long long)t->empty, (long long)s + 1);
}

rt_status tr_trainer_step(tr_trainer *t, int64_t s, tr_metrics *m)
{
    RT_TRY(tr_trainer_gradients(t, s, m));
    m->lr = opt_rate(&t->c->schedule, s);
    if (!(t->weight > 0)) pass_over(t, s);
    else if (isfinite(m->grad_norm)) {
        const double began = rt_now();
        opt_step(t->opt, &t->c->adamw, m->lr, m->grad_norm, s + 1 - t->skipped - t->empty);
        t->seconds[TR_OPTIMISER] += rt_now() - began;
        t->in_a_row = 0;
    } else RT_TRY(step_skip(t, s, m));
    m->skipped = t->skipped;
    m->empty   = t->empty;
    return RT_OK;
}

/* ---- validation ----------------------------------------------------------------------------------------- */

/* Validates this rank's share of the first n sequences. */
static rt_status measure_share(tr_trainer *t, int64_t n, double weight, double sums[SUMS])
{
    int64_t from, to;
    rt_comm_share(t->comm, t->comm->rank, n, &from, &to);
    for (int64_t at = from; at < to; at += t->valid.B) {
        RT_TRY(tr_pass_load(&t->valid, at, to - at < t->valid.B ? to - at : t->valid.B, weight > 0 ? 1 / weight : 0));
        tr_saver_still(t->saver);
        tr_pass_teach(&t->valid);
        ag_forward(t->valid.p);
        tr_saver_moving(t->saver);
        RT_TRY(check_interrupt(t));
        RT_TRY(tr_pass_check(&t->valid, t));
        add_sums(sums, &t->valid.targets.result);
    }
    return RT_OK;
}

/* Validates the first n sequences; collective.  If the interrupt's checkpoint (without this validation) was written while rank 0
 * waited for the others, all ranks return RT_EINTR. */
static rt_status step_measure(tr_trainer *t, int64_t n, double *weight, double sums[SUMS])
{
    rt_status st = ds_loader_weight(t->valid.loader, 0, n, weight);
    if (st == RT_OK) st = measure_share(t, n, *weight, sums);
    tr_saver_still(t->saver);
    st = rt_comm_agree(t->comm, st);
    if (st == RT_OK) st = t->comm->sum_f64(t->comm, sums, SUMS);
    tr_saver_moving(t->saver);
    RT_TRY(st);
    return rt_comm_agree(t->comm, check_interrupt(t));
}

rt_status tr_trainer_validate(tr_trainer *t, tr_metrics *m)
{
    double sums[SUMS] = {0}, weight = 0;
    if (!t->valid.p) return RT_OK;
    const int64_t all = ds_loader_epoch(t->valid.loader), most = t->c->eval_sequences;
    RT_TRY(step_measure(t, most && most < all ? most : all, &weight, sums));
    m->outcomes  = t->valid.targets.rows.topk_ids ? t->valid.targets.settings.k + 1 : 0;
    m->validated = 1;
    m->valid_ce  = weight > 0 ? sums[CE] : NAN;
    m->valid_kl  = weight > 0 ? ag_mean_kl(sums[KL], sums[KL_MISSING]) : NAN;
    if (!(weight > 0) && !t->comm->rank)
        rt_note("warning: no row of data.valid counts (documents of one token, or only prompts); the validation loss is null");
    if (!(t->best_step && t->best_ce <= m->valid_ce) && isfinite(m->valid_ce)) t->best_step = m->step, t->best_ce = m->valid_ce;
    return RT_OK;
}
