/* teacher.h -- a teacher in process: a model that runs forward over the student's batch, in the student's step. */
#ifndef DI_TEACHER_H
#define DI_TEACHER_H
#include "data/rows.h"
#include "distill/objective.h"
#include "model/graph.h"

typedef struct di_teacher {
    md_model *model;
    real     *rope, *head; /* head: weights of a quantised head, cast once; else NULL */
} di_teacher;

/* Loads the teacher from the folder `dir` for sequences of T tokens, with weights and activations of `type`, that of the run.
 * RT_EMISMATCH: its tokenizer is not that of the shards, or its context is shorter than T; the message names both. */
rt_status di_teacher_load(di_teacher *o, const char *dir, int64_t T, const ds_info *info, kn_type type);
void      di_teacher_free(di_teacher *o);

/* A batch's inputs: B sequences of T tokens. */
typedef struct di_batch {
    int32_t *ids, *pos, *doc_start; /* [B T]; they are read only */
    int64_t  B, T;
} di_batch;

/* The teacher's plan over a batch, and the entries that are sampled from its logits. */
typedef struct di_teacher_pass {
    md_graph    g;
    ag_plan    *p;        /* NULL: no teacher */
    ag_teacher *to;       /* what the student's head reads */
    int64_t     T, first; /* first: number of the batch's first sequence */
    uint64_t    seed;
    ds_rows     sampled; /* [B T] for an objective with fresh entries, filled while the student's head runs; else empty */
} di_teacher_pass;

/* Creates the plan.  The batch's arrays, the teacher and *to must stay where they are; *to receives the teacher's head, and from
 * di_teacher_pass_run its hidden states.  seed: of the sampled entries. */
rt_status di_teacher_pass_create(di_teacher_pass *o, const di_teacher *t, const di_batch *batch, const di_objective *objective,
                                 uint64_t seed, ag_teacher *to);
void      di_teacher_pass_destroy(di_teacher_pass *o);
/* Computes the hidden states of the ids in the batch, whose first sequence has number `first` in the data. */
void di_teacher_pass_run(di_teacher_pass *o, int64_t first);

#endif
