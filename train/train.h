/* train.h -- distillation: configuration, the step, checkpoints, the run.
 *
 * The same global batch gives the same loss for any number of ranks, micro-batches and
 * threads: every sum is divided by the weight of the rows that count in the loss of the whole global batch.
 */
#ifndef TR_TRAIN_H
#define TR_TRAIN_H
#include "core/comm.h"
#include "core/json.h"
#include "core/options.h"
#include "data/shard.h"
#include "distill/objective.h"
#include "model/model.h"
#include "optim/optim.h"

/* ---- configuration ------------------------------------------------------------------------- */

typedef struct tr_config {
    /* model */
    const char *init, *tokenizer; /* "new" or a model folder; folder of the tokenizer that checkpoints contain */
    md_config   shape;            /* shape of a new model; V = 0: the shards' vocabulary */
    /* data */
    rt_strings            train, valid;
    double                weights[RT_MAX_STRINGS];
    int64_t               n_weights, seq;
    int                   shuffle, pack;
    di_objective_settings objective; /* "objective.*" and teacher.model */
    /* optim, schedule, batch */
    opt_adamw    adamw;
    opt_schedule schedule;
    int64_t      sequences, micro; /* per global batch, per micro-batch; micro 0: a rank's whole share */
    int64_t      max_skips;        /* limit on consecutive steps without finite gradients */
    /* run */
    int64_t     steps, seed;
    kn_type     dtype; /* of weights and activations: KN_REAL or KN_BF16 */
    int         recompute;
    int64_t     eval_every, eval_sequences, checkpoint_every, checkpoint_keep;
    double      checkpoint_minutes;
    const char *out;
    cJSON      *json; /* owns the strings above */
} tr_config;

/* Reads the file `path` (JSON with // comments; may be NULL), then applies the KEY=VALUE texts of --set.  RT_EINVAL: a key is
 * unknown (the message names the nearest key) or a value is out of range; RT_EFORMAT: a key occurs twice.  Folders and shards
 * in the file are relative to the file's folder; those of --set and "out" are relative to the working directory;
 * "@share/..." is a file installed with the program.  The caller frees *c with tr_config_free. */
rt_status tr_config_read(tr_config *c, const char *path, const rt_strings *set);
void      tr_config_free(tr_config *c);
/* Returns the path of key i = 0, 1, ...: "model.init", ...; NULL past the end. */
const char *tr_config_key(int i);
rt_status   tr_config_known(const rt_strings *keys, const char *where); /* RT_EINVAL: a key is unknown (the message names the nearest) */
/* Appends every key with its value and its meaning as a // comment. */
rt_status tr_config_print(rt_buf *out, const tr_config *c);

/* ---- memory and operations -------------------------------------------------------------------- */

typedef enum tr_memory_category {
    TR_WEIGHTS,
    TR_GRADIENTS,
    TR_MOMENTS, /* includes the f32 masters of bf16 weights */
    TR_ACTIVATIONS,
    TR_HEAD_BLOCK,
    TR_TEACHER, /* in process: weights and activations; for encoded states: the decoder */
    TR_VALIDATION,
    TR_BATCHES,
    TR_PROGRAM,
    TR_MEMORY_CATEGORIES
} tr_memory_category;
typedef struct tr_memory { /* memory of one rank, in bytes */
    int64_t      bytes[TR_MEMORY_CATEGORIES], total, parameters, micro;
    double       flops; /* per step */
    ag_plan_info plan;
} tr_memory;

const char *tr_memory_category_name(int i); /* name of category i, such as "weights" */
/* Returns the floating-point operations of a step over `tokens` tokens, `rows` of which count in the loss: 6 per weight and
 * token (for the head's weights: per row), plus the causal half of attention over T positions. */
double  tr_flops(const md_config *c, double tokens, double rows, int64_t T);
int64_t tr_micro(const tr_config *c, int ranks); /* sequences that a rank processes at once */
/* Estimates the memory of a rank and the operations of its step, without allocating the memory.  info: the shards'; graph (may be
 * NULL) receives the schedule of a step. */
rt_status tr_estimate(tr_memory *out, const tr_config *c, const md_config *shape, int ranks, const ds_info *info, rt_buf *graph);
/* RT_ENOMEM: the run does not fit; the message lists the memory needed by category and a setting that makes the run fit. */
rt_status tr_check_fit(const tr_config *c, const md_config *shape, const rt_comm *comm, const ds_info *info);

/* ---- ranks ------------------------------------------------------------------------------------- */

/* Opens MPI if it was built in and the program was started by mpirun, else a communicator of one rank.  Ranks wait for each
 * other when the process exits, because a launcher ends the remaining ranks once one has exited with an error, and they must
 * print their messages first.  *out is static and is not freed. */
rt_status tr_comm_open(rt_comm **out);
rt_status tr_library_versions(rt_buf *out); /* "Open MPI 4.1.4", or "no MPI" */

/* ---- the run -------------------------------------------------------------------------------------- */

typedef struct tr_metrics {
    int64_t step;         /* 1 .. steps: number of completed steps */
    double  loss, kl, ce; /* NaN: no row counts; kl: NaN if the objective gives no true divergence */
    double  grad_norm, lr, tok_s;
    int64_t skipped;   /* steps so far whose gradients were not finite; they do not change the weights */
    int64_t empty;     /* steps so far without a row that counts; they do not change the weights, their losses are NaN */
    int     validated; /* 1: valid_ce and valid_kl were measured; they are NaN if no row counts */
    double  valid_ce, valid_kl;
    int64_t outcomes; /* outcomes over which valid_kl is computed, a lower bound of the whole divergence; 0: the vocabulary */
} tr_metrics;

rt_status tr_metrics_json(rt_buf *b, const tr_metrics *m); /* appends one line of metrics.jsonl */

/* The result of a run for display. */
typedef struct tr_summary {
    tr_metrics  last;   /* metrics of the last step and the last validation; step 0: no step was done */
    int64_t     tokens; /* tokens of this process's steps */
    double      seconds;
    int64_t     best_step; /* step with the lowest validation loss, to which the link `best` points; 0: none */
    double      best_ce;
    double      teacher_ce; /* the teacher's own cross-entropy in nats; NaN: unknown */
    const char *teacher_on; /* where it was measured: "data.valid" or "data.train" */
} tr_summary;

typedef struct tr_run_opts {
    const rt_strings *change;        /* keys that may differ from the checkpoint's; NULL: none */
    int               resume, force; /* continue from the newest checkpoint; remove an existing run and start again */
    const char       *program;       /* name, version and commit, compared between ranks; NULL: not compared */
    double            gflops;        /* the machine's gemm rate in 1e9 operations per second, for the progress line; 0: unknown */
    void (*begin)(const tr_config *c, const char *objective,
                  int64_t step);                   /* called once on rank 0 before the first step; `step` steps are done; may be NULL */
    void (*report)(void *ud, const tr_metrics *m); /* called on rank 0 after each step; may be NULL */
    void (*end)(const tr_config *c, const tr_summary *s); /* called on rank 0 after the last step; may be NULL */
    void *report_ud;
} tr_run_opts;

/* Trains until c->steps; collective.  RT_EINTR: interrupted (core/clock.h); a checkpoint was written.
 * RT_EINVAL: `out` already holds a run (and neither resume nor force is set), or another process writes to it. */
rt_status tr_run(const tr_config *c, rt_comm *comm, const tr_run_opts *o);

/* ---- one step (internal to a run, exposed for tests and benches) -------------------------------------- */

typedef struct tr_trainer tr_trainer;

/* Categories of time. */
typedef enum tr_work { TR_GEMM, TR_ATTENTION, TR_ROWS, TR_HEAD, TR_TEACHING, TR_OPTIMISER, TR_COMMUNICATION, TR_DATA, TR_WORKS } tr_work;

/* Creates the model (new or loaded), the optimiser and the passes; collective.  c and comm must outlive the trainer.
 * RT_EMISMATCH: model, teacher, tokenizer and shards do not fit together; RT_ENOMEM: the run does not fit (tr_check_fit). */
rt_status tr_trainer_create(tr_trainer **out, const tr_config *c, rt_comm *comm);
void      tr_trainer_destroy(tr_trainer **t);
/* Computes the gradients of step s (0, 1, ...) over the global batch, summed over ranks; collective. */
rt_status tr_trainer_gradients(tr_trainer *t, int64_t s, tr_metrics *m);
/* Performs step s: gradients, clipping, AdamW; collective. */
rt_status  tr_trainer_step(tr_trainer *t, int64_t s, tr_metrics *m);
md_model  *tr_trainer_model(tr_trainer *t);
opt_state *tr_trainer_optimiser(tr_trainer *t);
real      *tr_trainer_gradient(tr_trainer *t, int i, int64_t *n);             /* gradient of model->t[i]; i = model->n: of the projection */
md_tensor *tr_trainer_projection(tr_trainer *t);                              /* projection of the hidden-state loss term; NULL: none */
void       tr_trainer_seconds(const tr_trainer *t, double seconds[TR_WORKS]); /* sums over all steps so far */
/* Returns the floating-point operations of steps over `tokens` tokens, with the fraction of counted rows of the steps so far.
 * The teacher's forward passes are included. */
double tr_trainer_flops(const tr_trainer *t, double tokens);
/* Computes the teacher's own cross-entropy in nats from the log-probabilities stored for up to 1024 documents of each shard.
 * *ce is NaN if no shard stores them. */
rt_status tr_teacher_ce(const rt_strings *shards, double *ce);
/* Measures the mean CE and KL (as far as the objective's targets give it) on the validation shards; collective. */
rt_status tr_trainer_validate(tr_trainer *t, tr_metrics *m);

/* ---- checkpoints: out/step-00000100/ ------------------------------------------------------------------- */

/* Writes the state after `step` steps; rank 0 alone calls it, in the middle of a step too (saver.c).  A child process writes, which
 * completes the checkpoint even if this process is killed. */
rt_status tr_checkpoint_write(tr_trainer *t, int64_t step);
/* The contents of a run's output folder. */
typedef struct tr_found {
    int64_t step;    /* step of the newest complete checkpoint; 0: none */
    int64_t damaged; /* step of the newest damaged checkpoint that is newer than `step`; 0: none */
    rt_buf  dir;     /* folder of the checkpoint `step` */
    rt_buf  why;     /* the defect of each damaged checkpoint that is newer than `step`, in one line */
    int64_t aside;   /* number of damaged checkpoints that were renamed earlier */
    int     traces;  /* 1: the folder holds a checkpoint (complete or not) or metrics */
} tr_found;
/* Examines the folder `out` and verifies the files of its checkpoints against their manifests, from the newest to the first
 * complete one.  A missing folder is empty.  The caller frees *f with tr_found_free. */
rt_status tr_checkpoint_find(const char *out, tr_found *f);
void      tr_found_free(tr_found *f);
/* Restores the trainer's state from the checkpoint folder `dir`; collective. */
rt_status tr_checkpoint_read(tr_trainer *t, const char *dir);

#endif
