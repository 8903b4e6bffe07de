/* trainer.h -- the trainer's data and internal functions, private to train/. */
#ifndef TR_TRAINER_H
#define TR_TRAINER_H
#include "core/lock.h"
#include "data/loader.h"
#include "distill/teacher.h"
#include "model/graph.h"
#include "train/train.h"
#include <stdio.h>

/* Sets *out to the folder of a configuration file including the final "/", as a prefix for relative paths.  It is empty for a
 * pipe and for a file in the working directory. */
rt_status tr_config_folder(rt_buf *out, const char *file);
/* Resolves a path, or each path of a list, in place: "@share/..." becomes the path of a file installed with the program; a
 * relative path is prefixed with `folder`. */
rt_status tr_config_resolve(cJSON *value, const char *folder);

typedef struct tr_saver tr_saver;

/* A plan over B sequences of T tokens and its input buffers. */
typedef struct tr_pass {
    md_graph        g;
    ag_plan        *p;
    ds_loader      *loader;
    int64_t         B, T;
    int32_t        *ids, *pos, *doc_start; /* [B T] */
    uint8_t        *loss_mask;
    int64_t         tokens, rows; /* totals so far: tokens loaded; rows that count in the loss */
    ag_targets      targets;
    int64_t         first;    /* number of the first sequence in the buffers */
    di_teacher_pass teacher;  /* a teacher in process */
    real           *decoded;  /* decoded hidden states [B T, r + 1]; NULL: none are read */
    double          teaching; /* seconds of the teacher's passes so far */
} tr_pass;

struct tr_trainer {
    const tr_config *c;
    rt_comm         *comm;
    tr_saver        *saver;  /* owned by the run; NULL: none */
    const char      *inputs; /* the run's tr_given_inputs; NULL: unknown */
    kn_type          type;
    md_model        *model;
    ds_tokenizer    *tokenizer; /* used while the trainer is created; NULL: none is named */
    di_objective     objective;
    di_teacher       teacher;
    md_tensor        projection; /* [teacher's C, C] projection of the hidden-state loss term; data NULL: none */
    opt_state       *opt;
    real            *grads, *rope; /* grads: the gradients of all parameters, concatenated */
    int64_t          n_grads, *grad_at;
    double           seconds[TR_WORKS];
    double           weight;            /* weight of the rows that count in the last global batch */
    int64_t          skipped, in_a_row; /* steps without finite gradients: total (stored in checkpoints); consecutive */
    int64_t          empty;             /* steps without a row that counts (stored in checkpoints) */
    int              empty_said, missing_said;
    int64_t          best_step; /* step of the lowest validation loss (stored in checkpoints); 0: none */
    double           best_ce;
    tr_pass          train, valid; /* valid.p is NULL without validation shards */
};

/* The trainer's parameters: those of the model, then the projection if there is one. */
int        tr_parameters(const tr_trainer *t);
md_tensor *tr_parameter(tr_trainer *t, int i);

/* Creates the plan, buffers and loader for one use and objective with B sequences per pass. */
rt_status tr_pass_create(tr_pass *o, tr_trainer *t, md_use use, const ds_loader_opts *data, const di_objective *objective, int64_t B);
void      tr_pass_destroy(tr_pass *o);
/* Loads sequences first .. first+n-1 into the buffers (n <= B; the other sequences do not count in the loss). */
rt_status tr_pass_load(tr_pass *o, int64_t first, int64_t n, double scale);
/* Runs the teacher over the loaded sequences; no operation without a teacher in process. */
void tr_pass_teach(tr_pass *o);
/* Call after the student's pass.  RT_ECHECK: the teacher's (or the decoded) hidden states or logits of a row that counts are not
 * finite. */
rt_status tr_pass_check(const tr_pass *o, const tr_trainer *t);
/* Recomputes this rank's gradients of step s and reports the operator that produces the first non-finite value. */
rt_status tr_find_anomaly(tr_trainer *t, int64_t s);

/* ---- checkpoint internals ---- */

/* The kind of a name in `out`: not of a run, a checkpoint, a partially written one, a damaged one that was renamed. */
typedef enum tr_name { TR_OTHERS, TR_WHOLE, TR_HALF, TR_ASIDE } tr_name;
tr_name   tr_checkpoint_part(const char *name);
int       tr_is_checkpoint(const char *name, int64_t *step);             /* returns 1 for a name such as "step-00000100" and sets *step */
rt_status tr_point(const char *out, const char *link, const char *name); /* sets the symbolic link out/LINK to `name` */
rt_status tr_checkpoint_verify(const char *dir, int64_t step); /* RT_EFORMAT: a file differs from the manifest, or is of another step */
/* Rank 0, when a run continues after `step` steps: sets the link `best` to the checkpoint with the state's lowest validation loss,
 * or removes the link and forgets that loss with a note.  measured_anew: the validation has changed, so that the loss is not
 * comparable. */
rt_status tr_best_settle(tr_trainer *t, int64_t step, int measured_anew);
rt_status tr_checkpoint_set_aside(const char *out, int64_t newer_than); /* renames newer checkpoints to step-....damaged[.N] */
/* Removes all checkpoints but the newest `keep` and the best, and the partially written ones of a killed run. */
rt_status tr_checkpoint_clean(const char *out, int64_t keep, int64_t best);
rt_status tr_checkpoint_remove_all(const char *out); /* removes all files of a run and no others */

/* The run's folder on rank 0 (folder.c): its lock, the contents left by an earlier run, metrics.jsonl. */
typedef struct tr_folder {
    const char *out;
    int         made;     /* 1: created by this run */
    int         replaced; /* 1: it holds an earlier run, which --force removes */
    rt_lock    *lock;
    tr_found    found;
    FILE       *log;
    rt_buf      line; /* the log's line of the checkpoint's step; empty: none */
} tr_folder;
/* Creates and locks the folder and examines its contents.  RT_EINVAL: it holds a run, and neither resume nor force is set. */
rt_status tr_folder_open(tr_folder *f, const tr_config *c, const tr_run_opts *o);
/* Call after all other checks.  Removes the earlier run (force) or renames damaged checkpoints, and opens the log. */
rt_status tr_folder_begin(tr_folder *f, const tr_run_opts *o);
rt_status tr_folder_log(tr_folder *f, const rt_buf *line);
rt_status tr_folder_sync(tr_folder *f); /* makes the log durable */
/* Opens out/metrics.jsonl for appending.  Lines of steps after `last` and incomplete or invalid lines are first moved to
 * metrics.lost.jsonl, with a note.  *line receives the line of step `last`, or is empty. */
rt_status tr_log_open(FILE **log, rt_buf *line, const char *out, int64_t last);
/* Replaces the line of the last step atomically and durably. */
rt_status tr_log_replace(FILE **log, const char *out, int64_t step, const rt_buf *line);
/* Parses a line of metrics.jsonl; fields without a number become NaN. */
rt_status tr_metrics_read(tr_metrics *m, int64_t step, rt_buf *line);
void      tr_folder_close(tr_folder *f);

/* ---- the inputs of a run (given.c) ---- */

/* The effect of a changed configuration key on a resumed run, and whether the key names files, which are compared by content. */
typedef enum tr_key_class {
    TR_RUN,       /* it changes the steps: rejected unless allowed by --change */
    TR_SHAPE,     /* the checkpoint's tensors do not fit: rejected */
    TR_STEPS,     /* length of the schedule: TR_RUN if a rate or weight of a later step depends on it, else TR_FREE */
    TR_FREE,      /* the steps stay the same; only their division, validation and storage change */
    TR_FILES,     /* TR_RUN, names files */
    TR_FREE_FILES /* TR_FREE, names files */
} tr_key_class;
tr_key_class tr_config_class(int i);                    /* class of tr_config_key(i) */
const cJSON *tr_config_value(const cJSON *tree, int i); /* value of key i; NULL: not in the tree */
/* Compares the configuration with that of the checkpoint in `dir`, key by key (config_change.c).  Harmless changes and those named
 * in o->change are noted; RT_EMISMATCH: any other key differs (the message has both values).  inputs: from tr_given_inputs.
 * *measured_anew = 1 if validation losses are not comparable with earlier ones. */
rt_status tr_config_compare(const tr_config *c, const char *dir, int64_t step, const char *inputs, const tr_run_opts *o,
                            int *measured_anew);
/* Appends content hashes of data.train, data.valid, model.init and teacher.model as {"data.train":["..."],...}; the checkpoint's
 * manifest stores them. */
rt_status tr_given_inputs(rt_buf *json, const tr_config *c);

/* Appends "KEY\tVALUE\n" for every key that does not name files. */
rt_status tr_config_lines(rt_buf *out, const tr_config *c);
/* Checks that all ranks have the same program, kernels, options, configuration and file contents; collective; call it before
 * anything that depends on them.  RT_EMISMATCH on rank 0, RT_EPEER on the others: they differ; the message has the first
 * difference with both values. */
rt_status tr_given_agree(const tr_config *c, rt_comm *comm, const tr_run_opts *o);
/* The same check for the checkpoint after `step` steps (0: none); collective. */
rt_status tr_given_agree_checkpoint(const tr_config *c, rt_comm *comm, int64_t step);

/* ---- the gemm backend (gemm.c) ---- */

#define TR_GEMM_RECORD "gemm" /* the member of a checkpoint's manifest that has the backends which computed it */
/* Makes all ranks use one gemm backend where they have chosen different ones by measurement; collective; rank 0 notes it.  Call it before
 * tr_given_agree, which reports different requests (RETORT_GEMM). */
rt_status tr_gemm_agree(rt_comm *comm);
/* Takes the backend that is recorded in the checkpoint folder `dir` (read on rank 0) if all ranks can compute as it says and none has a
 * request.  Otherwise rank 0 notes that bits will differ after `step`.  Collective. */
rt_status tr_gemm_resume(rt_comm *comm, const char *dir, int64_t step);

/* ---- a checkpoint in the middle of a step (saver.c) ---- */

/* Starts a thread that calls `snapshot` once if the training thread does not handle an interrupt in time.  The call is made
 * between tr_saver_still and tr_saver_moving of the training thread, while the state does not change; tr_saver_moving waits for
 * it to return.  The other functions accept NULL and do nothing. */
rt_status tr_saver_start(tr_saver **out, rt_status (*snapshot)(void *ud), void *ud);
void      tr_saver_stop(tr_saver **s);
void      tr_saver_still(tr_saver *s);
void      tr_saver_moving(tr_saver *s);
int       tr_saver_taken(const tr_saver *s); /* returns 1 if the snapshot succeeded: the step need not be completed */
#endif
