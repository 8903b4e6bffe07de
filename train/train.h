/* train.h -- distilling: configuration, the step, checkpoints, the run.
 *
 * The same global batch gives the same loss for any number of ranks, micro-batches and
 * threads: every sum is divided by the rows that count in the whole global batch.
 */
#ifndef TR_TRAIN_H
#define TR_TRAIN_H
#include "core/comm.h"
#include "core/json.h"
#include "model/model.h"
#include "optim/optim.h"

/* ---- configuration ------------------------------------------------------------------------- */

typedef struct tr_config {
    /* model */
    const char *init, *tokenizer; /* "new" or a model folder; whose tokenizer the checkpoints carry */
    md_config   shape;            /* of a new model; V = 0: the shards' */
    const char *family;
    /* data */
    rt_strings train, valid;
    double     weights[RT_MAX_STRINGS];
    int64_t    n_weights, seq;
    int        shuffle, pack;
    /* objective */
    const char *kind;                     /* tr_objective_word */
    int64_t     k, m;                     /* -1: what the shards hold */
    double      ce_weight, ce_weight_end; /* NaN: tr_objective_resolve chooses; NaN: the same to the end */
    double      temperature, beta, alpha, prompt_weight, z_loss;
    double      bucket_share; /* NaN: tr_objective_resolve chooses */
    int         t2;
    const char *hidden; /* tr_match_word */
    double      hidden_weight;
    const char *teacher; /* folder of a teacher that runs beside the student; NULL: none */
    /* optim, schedule, batch */
    opt_adamw    adamw;
    opt_schedule schedule;
    const char  *schedule_kind;
    int64_t      sequences, micro; /* micro 0: all of a rank's share */
    int64_t      max_skips;        /* steps in a row without finite gradients */
    /* run */
    int64_t     steps, seed;
    const char *dtype; /* "bf16", "f32" */
    int         recompute;
    int64_t     eval_every, eval_sequences, checkpoint_every, checkpoint_keep;
    double      checkpoint_minutes;
    const char *out;
    cJSON      *json; /* owns the strings above */
} tr_config;

/* FILE (JSON with // comments), then --set KEY=VALUE texts on top.  Unknown and duplicate keys
 * are RT_EINVAL / RT_EFORMAT and name the nearest known key.  Ranges are checked.  Folders and shards that FILE names are
 * relative to its own folder, those of --set and "out" to the working directory; "@share/..." comes with the program. */
rt_status tr_config_read(tr_config *c, const char *path, const rt_strings *set);
void      tr_config_free(tr_config *c);
/* Paths of the keys, from 0: "model.init", ...; NULL past the end. */
const char *tr_config_key(int i);
rt_status   tr_config_known(const rt_strings *keys, const char *where); /* RT_EINVAL names the nearest key */
/* Every key with its value and, as // comments, what it means. */
rt_status tr_config_print(rt_buf *out, const tr_config *c);

/* Words of objective.kind, from 0: "auto", "ce", ...; of objective.hidden: "none", ...; NULL past the end. */
const char *tr_objective_word(int i);
const char *tr_match_word(int i);

/* ---- what a run needs ------------------------------------------------------------------------- */

typedef enum tr_purposes {
    TR_WEIGHTS,
    TR_GRADIENTS,
    TR_MOMENTS, /* f32 masters of bf16 weights too */
    TR_ACTIVATIONS,
    TR_HEAD_BLOCK,
    TR_TEACHER, /* in process: weights and activations; of encoded states: their decoder */
    TR_VALIDATION,
    TR_BATCHES,
    TR_PROGRAM,
    TR_MEMORY_CATEGORIES
} tr_purposes;
typedef struct tr_memory { /* of one rank */
    int64_t      bytes[TR_MEMORY_CATEGORIES], total, parameters, micro;
    double       flops; /* a step */
    ag_plan_info plan;
} tr_memory;

const char *tr_memory_category(int i); /* "weights" */
/* Floating-point operations of a step over so many tokens, `rows` of which count in the loss: 6 a weight and token (the head's
 * weights: and row), and the causal half of attention over T positions. */
double  tr_flops(const md_config *c, double tokens, double rows, int64_t T);
int64_t tr_micro(const tr_config *c, int ranks); /* sequences that a rank holds at once */
/* Nothing large is allocated.  info: of the shards; graph (may be NULL) gets the schedule of a step. */
rt_status tr_estimate(tr_memory *out, const tr_config *c, const md_config *shape, int ranks, const ds_info *info, rt_buf *graph);
/* RT_ENOMEM says how much is needed, for what, and which setting would make it fit. */
rt_status tr_check_fit(const tr_config *c, const md_config *shape, const rt_comm *comm, const ds_info *info);

/* ---- ranks ------------------------------------------------------------------------------------- */

/* MPI where it was built in and the program was started by mpirun, else a world of one.  Ranks wait for each other when the process exits: a
 * launcher ends those that still run once one has left with an error, and they are to have said theirs. */
rt_status tr_comm_open(rt_comm **out);
rt_status tr_library_versions(rt_buf *out); /* "Open MPI 4.1.4", or "none" */

/* ---- the run -------------------------------------------------------------------------------------- */

typedef struct tr_metrics {
    int64_t step;         /* 1 .. steps: steps done */
    double  loss, kl, ce; /* NaN where no row counts; kl: NaN where it is no true divergence */
    double  grad_norm, lr, tok_s;
    int64_t skipped;   /* steps so far whose gradients were not finite: they changed nothing */
    int64_t empty;     /* steps so far without a row that counts: they changed nothing, their losses are NaN */
    int     validated; /* the next two were measured; NaN: over no row */
    double  valid_ce, valid_kl;
    int64_t outcomes; /* that valid_kl is taken over, a lower bound of the whole; 0: the vocabulary */
} tr_metrics;

rt_status tr_metrics_json(rt_buf *b, const tr_metrics *m); /* one line of metrics.jsonl */

/* What will be learnt, in words: the objective that shards like `info` and the configuration come to.  RT_EMISMATCH,
 * RT_EINVAL: they do not fit. */
rt_status tr_objective_say(rt_buf *b, const tr_config *c, const ds_info *info);

/* A run's end, or its interruption: what to show. */
typedef struct tr_summary {
    tr_metrics  last;   /* of the last step, with the last validation; step 0: none was done */
    int64_t     tokens; /* of this process's steps */
    double      seconds;
    int64_t     best_step; /* lowest validation loss, whose checkpoint `best` names; 0: none */
    double      best_ce;
    double      teacher_ce; /* the teacher's own cross-entropy, in nats; NaN: not known */
    const char *teacher_on; /* "data.valid" or "data.train" */
} tr_summary;

typedef struct tr_run_opts {
    const rt_strings *change;        /* keys that may differ from the checkpoint's; NULL: none */
    int               resume, force; /* go on from the newest checkpoint; begin anew where there is a run */
    const char       *program;       /* name, version and commit: compared between ranks; NULL: not */
    double            gflops;        /* the machine's product rate, for the share shown; 0: not known */
    void (*begin)(const tr_config *c, const char *objective, int64_t step); /* rank 0, once, after `step` steps; may be NULL */
    void (*report)(void *ud, const tr_metrics *m);                          /* rank 0; may be NULL */
    void (*end)(const tr_config *c, const tr_summary *s);                   /* rank 0, after the last step; may be NULL */
    void *report_ud;
} tr_run_opts;

/* Train until c->steps; collective.  RT_EINTR after an interrupt (core/clock.h), with a checkpoint.
 * RT_EINVAL: `out` holds a run already (asked neither to resume nor by force), or another process writes there. */
rt_status tr_run(const tr_config *c, rt_comm *comm, const tr_run_opts *o);

/* ---- one step (the run's inside, open for tests and benches) ------------------------------------------ */

typedef struct tr_trainer tr_trainer;

/* Where the time goes. */
typedef enum tr_work { TR_GEMM, TR_ATTENTION, TR_ROWS, TR_HEAD, TR_TEACHING, TR_OPTIMISER, TR_COMMUNICATION, TR_DATA, TR_WORKS } tr_work;

rt_status tr_trainer_create(tr_trainer **out, const tr_config *c, rt_comm *comm);
void      tr_trainer_destroy(tr_trainer **t);
/* Gradients of step s (0, 1, ...) over the global batch, summed over ranks. */
rt_status tr_trainer_gradients(tr_trainer *t, int64_t s, tr_metrics *m);
/* The whole step: gradients, clip, AdamW. */
rt_status  tr_trainer_step(tr_trainer *t, int64_t s, tr_metrics *m);
md_model  *tr_trainer_model(tr_trainer *t);
opt_state *tr_trainer_optimiser(tr_trainer *t);
real      *tr_trainer_gradient(tr_trainer *t, int i, int64_t *n);             /* of model->t[i]; i = model->n: of the projection */
md_tensor *tr_trainer_projection(tr_trainer *t);                              /* of the hidden-state term; NULL: none */
void       tr_trainer_seconds(const tr_trainer *t, double seconds[TR_WORKS]); /* of all steps so far */
/* Of steps over so many tokens, as many of which count as in the steps so far; the teacher's forward passes too. */
double tr_trainer_flops(const tr_trainer *t, double tokens);
/* The teacher's own cross-entropy, of up to 1024 documents of each shard, as the shards say it; NaN: none does. */
rt_status tr_teacher_ce(const rt_strings *shards, double *ce);
/* Mean loss of the validation shards (CE, and the KL that the objective's targets give). */
rt_status tr_trainer_validate(tr_trainer *t, tr_metrics *m);

/* ---- checkpoints: out/step-00000100/ ------------------------------------------------------------------- */

/* Write the state after `step` steps; rank 0 writes, in a process of its own that completes it whatever ends this one; all wait. */
rt_status tr_checkpoint_write(tr_trainer *t, int64_t step);
/* What a folder holds of a run. */
typedef struct tr_found {
    int64_t step;    /* of the newest complete checkpoint; 0: there is none */
    int64_t damaged; /* the newest that does not verify, where no complete one is newer; 0: none */
    rt_buf  dir;     /* of `step` */
    rt_buf  why;     /* what is wrong with each that does not verify, in a line */
    int64_t aside;   /* damaged ones that were set aside before */
    int     traces;  /* a run was here: a checkpoint, whole or not, or metrics */
} tr_found;
/* Every file is compared with its checkpoint's manifest.  A folder that is not there holds nothing. */
rt_status tr_checkpoint_find(const char *out, tr_found *f);
void      tr_found_free(tr_found *f);
rt_status tr_checkpoint_read(tr_trainer *t, const char *dir);

#endif
