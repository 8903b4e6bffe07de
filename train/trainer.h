/* trainer.h -- what a trainer holds; shared by the files of train/. */
#ifndef TR_TRAINER_H
#define TR_TRAINER_H
#include "core/lock.h"
#include "train/train.h"
#include <stdio.h>

/* *out = the folder of a configuration file with its "/", to put in front of relative paths; empty for a pipe or a file
 * in the working directory. */
rt_status tr_config_folder(rt_buf *out, const char *file);
/* A path, or each of a list: "@share/..." becomes a file that comes with the program, a relative one begins in `folder`. */
rt_status tr_config_resolve(cJSON *value, const char *folder);

/* What the configuration asks for, and what serves it. */
typedef struct tr_objective {
    ag_loss_settings t;
    double           ce_weight, ce_end;
    int              stored, codec;  /* out of the shards: k + m entries; an encoded state of the whole distribution */
    int              teacher, fresh; /* a teacher in process; k + m entries drawn from it in every pass */
    int              logits;         /* the head makes the teacher's logits */
    int              work;           /* ag_head_opts */
} tr_objective;

/* Resolves "auto", k, m and weights; RT_EMISMATCH where the shards or the missing teacher cannot serve it. */
rt_status tr_objective_resolve(tr_objective *o, const tr_config *c, const ds_info *info);
/* Of step s = 0, 1, ...: a straight line. */
double tr_ce_weight(const tr_objective *o, int64_t s, int64_t steps);

/* A teacher that runs beside the student (teacher.c). */
typedef struct tr_teacher {
    md_model *model;
    real     *rope, *head; /* head: a quantised head's weights, cast once; else NULL */
} tr_teacher;

typedef struct tr_pass  tr_pass;
typedef struct tr_saver tr_saver;

/* RT_EMISMATCH names both sides where it does not fit the shards. */
rt_status tr_teacher_load(tr_teacher *o, const tr_config *c, const ds_info *info, kn_type type);
void      tr_teacher_free(tr_teacher *o);
rt_status tr_teacher_join(tr_pass *o, const tr_teacher *t, const tr_objective *objective, uint64_t seed); /* its plan beside a pass */
void      tr_teacher_leave(tr_pass *o);
void      tr_teacher_run(tr_pass *o); /* over the ids in the buffers */

/* A plan over B sequences of T tokens with the buffers that it reads. */
struct tr_pass {
    md_graph   g;
    ag_plan   *p;
    ds_loader *loader;
    int64_t    B, T;
    int32_t   *ids, *pos, *start; /* [B T] */
    uint8_t   *count;
    int64_t    tokens, rows; /* loaded so far; rows: those that count in the loss */
    ag_targets targets;
    /* a teacher in process: its plan over the same ids, and the entries drawn from it; or its encoded states */
    md_graph tg;
    ag_plan *tp;
    int64_t  first; /* sequence that stands first in the buffers */
    uint64_t seed;
    real    *codec;               /* [B T, r + 1] decoded */
    int32_t *topk_ids, *tail_ids; /* [B T, k], [B T, m] */
    float   *topk_logprob, *tail_entropy;
    double   teaching; /* seconds of its passes so far */
};

struct tr_trainer {
    const tr_config *c;
    rt_comm         *comm;
    tr_saver        *saver;  /* the run's; NULL: none */
    const char      *inputs; /* the run's tr_given_inputs; NULL: not known */
    kn_type          type;
    md_model        *model;
    ds_tokenizer    *tokenizer; /* while it is made; NULL: none is named */
    tr_objective     objective;
    tr_teacher       teacher;
    md_tensor        projection; /* [teacher's C, C] of the hidden-state term; data NULL: none */
    opt_state       *opt;
    real            *grads, *rope; /* grads: all parameters, one after another */
    int64_t          n_grads, *grad_at;
    double           seconds[TR_WORKS];
    double           weight;            /* of the rows that count in the last global batch */
    int64_t          skipped, in_a_row; /* steps without finite gradients: in all (kept in checkpoints), and just now */
    int64_t          empty;             /* steps without a row that counts (kept in checkpoints) */
    int              empty_said, missing_said;
    int64_t          best_step; /* of the lowest validation loss (kept in checkpoints); 0: none */
    double           best_ce;
    tr_pass          train, valid; /* valid.p is NULL without validation shards */
};

/* The trainer's parameters: the model's, and the projection. */
int        tr_parameters(const tr_trainer *t);
md_tensor *tr_parameter(tr_trainer *t, int i);

/* Plan, buffers and loader of one use and objective; `B` sequences at once. */
rt_status tr_pass_create(tr_pass *o, tr_trainer *t, md_use use, const ds_loader_opts *data, const tr_objective *objective, int64_t B);
void      tr_pass_destroy(tr_pass *o);
/* Sequences first .. first+n-1 into the buffers (n <= B, the rest without targets). */
rt_status tr_pass_load(tr_pass *o, int64_t first, int64_t n, double scale);
/* The teacher's pass over what was loaded; nothing without one. */
void tr_pass_teach(tr_pass *o);
/* After the student's: RT_ECHECK where the teacher, or the shards' encoded states of it, gave a row that counts no finite numbers. */
rt_status tr_pass_check(const tr_pass *o, const tr_trainer *t);
/* This rank's gradients of step s again, looking for the operator that makes the first value which is not finite. */
rt_status tr_find_anomaly(tr_trainer *t, int64_t s);
/* What of the shards an objective reads. */
void tr_objective_data(const tr_objective *o, ds_loader_opts *d);

/* ---- checkpoints' inside ---- */

#define TR_STATE "state-000-of-001.h5"
/* What a name in `out` is of a run: a checkpoint, one that is half written, one that was set aside, or another's. */
typedef enum tr_name { TR_OTHERS, TR_WHOLE, TR_HALF, TR_ASIDE } tr_name;
tr_name   tr_checkpoint_part(const char *name);
int       tr_is_checkpoint(const char *name, int64_t *step);             /* "step-00000100" */
rt_status tr_point(const char *out, const char *link, const char *name); /* the link out/LINK */
rt_status tr_checkpoint_verify(const char *dir, int64_t step);           /* every file as its manifest says, and of this step */
/* Rank 0, where a run goes on after `step` steps: `best` names the checkpoint that the state names, or none; what is forgotten is noted.
 * measured_anew: the validation is not the one that the state's lowest loss is of. */
rt_status tr_best_settle(tr_trainer *t, int64_t step, int measured_anew);
rt_status tr_checkpoint_set_aside(const char *out, int64_t newer_than); /* damaged ones, as step-....damaged[.N] */
/* Older checkpoints than the newest `keep` go, except the best, and what a killed run left half written. */
rt_status tr_checkpoint_clean(const char *out, int64_t keep, int64_t best);
rt_status tr_checkpoint_remove_all(const char *out); /* all of a run, and nothing else */

/* The run's folder, on rank 0 (folder.c): its lock, what an earlier run left, metrics.jsonl. */
typedef struct tr_folder {
    const char *out;
    int         made;     /* by this run */
    int         replaced; /* an earlier run was here, which --force removes */
    rt_lock    *lock;
    tr_found    found;
    FILE       *log;
    rt_buf      line; /* of the step of the checkpoint, as the log has it; empty: it has none */
} tr_folder;
/* Locks it and looks: refuses a run that is there unless asked to go on or to begin anew. */
rt_status tr_folder_open(tr_folder *f, const tr_config *c, const tr_run_opts *o);
/* Everything else is well: what is not gone on from is removed or set aside, and the log is opened. */
rt_status tr_folder_begin(tr_folder *f, const tr_run_opts *o);
rt_status tr_folder_log(tr_folder *f, const rt_buf *line);
rt_status tr_folder_sync(tr_folder *f); /* the log is durable */
/* out/metrics.jsonl at its end.  Before, lines of steps after `last`, and what is no whole line of JSON, go to metrics.lost.jsonl, with a note.
 * line: of the step `last`, or empty. */
rt_status tr_log_open(FILE **log, rt_buf *line, const char *out, int64_t last);
/* Another line for the last step, atomically and durably. */
rt_status tr_log_replace(FILE **log, const char *out, int64_t step, const rt_buf *line);
/* What a line of metrics.jsonl says of a step; what it has no number for is NaN. */
rt_status tr_metrics_read(tr_metrics *m, int64_t step, rt_buf *line);
void      tr_folder_close(tr_folder *f);

/* ---- what a run was given (given.c) ---- */

/* What another value of a key means where a run goes on, and whether it names files, which are compared by content. */
typedef enum tr_key_class {
    TR_RUN,       /* another run: refused unless asked for */
    TR_SHAPE,     /* the checkpoint's tensors do not fit: refused */
    TR_STEPS,     /* the length of the schedule: TR_RUN where a rate or a share depends on it, else TR_FREE */
    TR_FREE,      /* the same steps: only how they are cut, measured and kept */
    TR_FILES,     /* TR_RUN, files */
    TR_FREE_FILES /* TR_FREE, files */
} tr_key_class;
tr_key_class tr_config_class(int i);                    /* of tr_config_key(i) */
const cJSON *tr_config_value(const cJSON *tree, int i); /* NULL: the tree does not have it */
/* Compares with the configuration of the checkpoint in `dir`, key by key (config_change.c): what is harmless or named in o->change is noted,
 * the rest is RT_EMISMATCH with both values.  inputs: as tr_given_inputs.  *measured_anew: losses of the validation are not comparable. */
rt_status tr_config_compare(const tr_config *c, const char *dir, int64_t step, const char *inputs, const tr_run_opts *o,
                            int *measured_anew);
/* What data.train, data.valid, model.init and teacher.model hold: {"data.train":["..."],...}, kept in a checkpoint's manifest. */
rt_status tr_given_inputs(rt_buf *json, const tr_config *c);

/* "KEY\tVALUE\n" of every key that does not name files. */
rt_status tr_config_lines(rt_buf *out, const tr_config *c);
/* RT_EMISMATCH on rank 0, RT_EPEER elsewhere: ranks differ in program, kernels, options, configuration or in what their files hold;
 * the message names the first difference and both values.  Collective; before anything that depends on them. */
rt_status tr_given_agree(const tr_config *c, rt_comm *comm, const tr_run_opts *o);
/* The same of the checkpoint after `step` steps; 0: none. */
rt_status tr_given_agree_checkpoint(const tr_config *c, rt_comm *comm, int64_t step);

/* ---- a checkpoint in the middle of a step (saver.c) ---- */

/* From now on an interrupt that the training thread does not come to in time has `snapshot` called, once, from another thread, while all
 * is still: between tr_saver_still and tr_saver_moving, which wait for it.  NULL does nothing. */
rt_status tr_saver_start(tr_saver **out, rt_status (*snapshot)(void *ud), void *ud);
void      tr_saver_stop(tr_saver **s);
void      tr_saver_still(tr_saver *s);
void      tr_saver_moving(tr_saver *s);
int       tr_saver_taken(const tr_saver *s); /* and it succeeded: this step need not be finished */
/* Rank 0 alone, in a process of its own: see tr_checkpoint_write. */
rt_status tr_checkpoint_save(tr_trainer *t, int64_t step);
#endif
