/* train.c -- retort train: distil a student, in one process or under mpirun. */
#include "train/train.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/clock.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct train_options {
    rt_strings set, change;
    int        resume, force, json, print_config;
    int64_t    threads;
} train_options;

static void print_line(void *ud, const tr_metrics *m)
{
    rt_buf b = {0};
    (void)ud;
    if (tr_metrics_json(&b, m) == RT_OK) fputs(b.p, stdout), fflush(stdout);
    rt_buf_free(&b);
}

/* Prints a validation. */
static void print_validation(void *ud, const tr_metrics *m)
{
    (void)ud;
    if (!m->validated || isnan(m->valid_ce)) return;
    cli_print("train: step %lld: validation loss %.4f, perplexity %.1f", (long long)m->step, m->valid_ce, exp(m->valid_ce));
    if (!isnan(m->valid_kl) && m->outcomes)
        printf(", kl %.4f over %lld outcomes (a lower bound of the kl of eval --teacher)", m->valid_kl, (long long)m->outcomes);
    else if (!isnan(m->valid_kl)) printf(", kl %.4f", m->valid_kl);
    printf("\n");
    fflush(stdout);
}

static void print_end(const tr_config *c, const tr_summary *s)
{
    cli_print("train: %s: %lld steps; %.2f million tokens in %.0f s", c->out, (long long)s->last.step, (double)s->tokens * 1e-6,
              s->seconds);
    if (s->last.validated && !isnan(s->last.valid_ce)) printf("; validation loss %.4f", s->last.valid_ce);
    else if (!isnan(s->last.loss)) printf("; loss of the last batch %.4f", s->last.loss);
    if (s->best_step && s->best_step != s->last.step)
        cli_print(", lowest %.4f in %s/best (step %lld)", s->best_ce, c->out, (long long)s->best_step);
    if (!isnan(s->teacher_ce)) cli_print("; the teacher's own cross-entropy %.4f on %s", s->teacher_ce, s->teacher_on);
    if (s->last.skipped || s->last.empty)
        printf("; %lld steps skipped, %lld steps without a row that counts", (long long)s->last.skipped, (long long)s->last.empty);
    cli_print("; checkpoint %s/latest\n", c->out);
}

static void print_begin(const tr_config *c, const char *objective, int64_t step)
{
    if (step) cli_print("train: %s: %s; continuing from step %lld of %lld\n", c->out, objective, (long long)step, (long long)c->steps);
    else cli_print("train: %s: %s; %lld steps\n", c->out, objective, (long long)c->steps);
    cli_print("train: gemm: %s; %s\n", kn_gemm_describe(), kn_gemm_why());
    fflush(stdout);
}

static rt_status print_config(const tr_config *c, const rt_comm *comm)
{
    rt_buf b = {0};
    if (comm->rank) return RT_OK;
    RT_TRY(tr_config_print(&b, c));
    cli_print_json(&b);
    rt_buf_free(&b);
    return RT_OK;
}

static void warn_of_binding(const rt_comm *comm)
{
    if (!comm->rank && rt_threads() > rt_cores_allowed())
        rt_note(
            "warning: there are %d threads for the %d cores that this process may use; under mpirun add --bind-to none, or set --threads "
            "%d",
            rt_threads(), rt_cores_allowed(), rt_cores_allowed());
}

/* Performs the steps that can fail on a single rank, before the first collective call. */
static rt_status train_prepare(const rt_comm *comm, const tr_config *c, const train_options *o, tr_run_opts *r)
{
    if (o->threads) rt_threads_set((int)o->threads);
    if (comm->rank) rt_quiet(1);
    warn_of_binding(comm);
    RT_TRY(kn_init_measured());
    if (!comm->rank && kn_blas_warning()) rt_note("warning: %s", kn_blas_warning());
    return cli_measure_gemm(&r->gflops, c->dtype, 512, 0.05);
}

static rt_status train_model(const tr_config *c, const train_options *o, rt_comm *comm)
{
    tr_run_opts r = {.resume  = o->resume,
                     .force   = o->force,
                     .change  = &o->change,
                     .program = cli_build(),
                     .begin   = o->json ? NULL : print_begin,
                     .report  = o->json ? print_line : print_validation,
                     .end     = o->json ? NULL : print_end};
    RT_TRY(rt_comm_agree(comm, train_prepare(comm, c, o, &r)));
    rt_interrupt_catch();
    return tr_run(c, comm, &r);
}

static rt_status check_words(const train_options *o, int argc)
{
    RT_CHECK(argc <= 1 && (argc || o->print_config), RT_EINVAL,
             "train takes one CONFIG.json, found %d arguments (see 'retort train --help')", argc);
    RT_CHECK(!o->change.n || o->resume, RT_EINVAL, "--change names keys that may differ from a checkpoint's, so it requires --resume");
    RT_CHECK(!o->resume || !o->force, RT_EINVAL, "--resume continues a run, --force removes it; choose one");
    RT_CHECK(o->threads >= 0 && o->threads <= RT_MAX_THREADS, RT_EINVAL, "--threads must be between 1 and %d", RT_MAX_THREADS);
    return RT_OK;
}

enum task { TRAIN, PRINT_CONFIG, HELP };

/* Agrees on the status and the task of all ranks, so that a rank with an invalid command line, or one that only prints, does not
 * leave the others waiting; collective. */
static rt_status same_task(rt_comm *comm, enum task task, rt_status mine)
{
    int64_t any = task;
    RT_TRY(comm->max_i64(comm, &any, 1));
    if (mine == RT_OK && any > task)
        mine = rt_fail(
            RT_EMISMATCH, __FILE__, __LINE__,
            "the ranks have different command lines: rank %d lacks %s, which another rank has; start all ranks with the same options",
            comm->rank, any == HELP ? "--help" : "--print-config");
    return rt_comm_agree(comm, mine);
}

/* Joins MPI before printing the help, because a rank that only exits would leave the others waiting in MPI_Init. */
static rt_status help(int *print)
{
    rt_comm *comm;
    RT_TRY(tr_comm_open(&comm));
    const rt_status st = same_task(comm, HELP, RT_OK);
    *print             = !comm->rank;
    return st;
}

static rt_status train_run(const void *options, int argc, char **argv)
{
    const train_options *o = options;
    tr_config            c = {0};
    rt_comm             *comm;
    rt_status            st = check_words(o, argc);
    if (st == RT_OK) st = tr_config_known(&o->change, "--change");
    if (st == RT_OK) st = tr_config_read(&c, argc ? argv[0] : NULL, &o->set);
    const rt_status open = tr_comm_open(&comm);
    if (open == RT_OK) st = same_task(comm, o->print_config ? PRINT_CONFIG : TRAIN, st);
    else if (st == RT_OK) st = open;
    if (st == RT_OK) st = o->print_config ? print_config(&c, comm) : train_model(&c, o, comm);
    tr_config_free(&c);
    return st;
}

static const rt_option options[] = {
    {"set", RT_OPT_LIST, offsetof(train_options, set), "KEY=VALUE",
     "change a configuration key, as in --set optim.lr=1e-3; may be repeated"},
    {"resume", RT_OPT_FLAG, offsetof(train_options, resume), NULL,
     "continue from the newest complete checkpoint, or start at step 1 if there is none"},
    {"change", RT_OPT_LIST, offsetof(train_options, change), "KEY",
     "with --resume: allow this key to differ from the checkpoint's, which changes the results of the run; may be repeated"},
    {"force", RT_OPT_FLAG, offsetof(train_options, force), NULL, "remove the run in the folder \"out\" and start again"},
    {"json", RT_OPT_FLAG, offsetof(train_options, json), NULL, "print the metrics as JSON lines on standard output"},
    {"threads", RT_OPT_INT, offsetof(train_options, threads), "N",
     "number of threads of this process (default: OMP_NUM_THREADS, or one per core that it may use)"},
    {"print-config", RT_OPT_FLAG, offsetof(train_options, print_config), NULL,
     "print every configuration key with its value and meaning, then exit"},
    {0}};

const rt_command cli_train = {
    .name    = "train",
    .usage   = "CONFIG.json [--set KEY=VALUE]... [--resume]",
    .summary = "train a student on shards",
    .text    = "Trains a student on shards: on a teacher's probabilities (see retort score), or with cross-entropy\n"
               "on text. CONFIG.json holds the configuration keys, which --print-config lists with their meanings.\n\n"
               "The folder that the key \"out\" names receives checkpoints in Hugging Face layout (latest, best) and\n"
               "metrics.jsonl. Ctrl-C, SIGTERM and SIGUSR1 write a checkpoint and end the run, also under mpirun;\n"
               "--resume continues from it (docs/runs.md). A damaged checkpoint is reported and renamed, and metrics\n"
               "of steps after the last checkpoint are moved to metrics.lost.jsonl. A folder that holds a run is\n"
               "overwritten only with --force.\n\n"
               "The same seed gives the same batches for any number of ranks, threads and micro-batches. With tail\n"
               "samples the loss is an estimate, which may become negative after many passes over the text; kl is\n"
               "never negative.\n\n"
               "  retort train @share/configs/student-distil.json\n"
               "  mpirun -n 2 retort train @share/configs/student-distil.json --set out=student steps=2000\n"
               "  mpirun -n 2 retort train @share/configs/student-distil.json --set out=student steps=2000 --resume\n"
               "  retort train @share/configs/student-distil.json --set 'data.train=[\"soft-1.h5\",\"soft-2.h5\"]'\n"
               "  retort train --print-config",
    .options = options,
    .size    = sizeof(train_options),
    .run     = train_run,
    .help    = help,
};
