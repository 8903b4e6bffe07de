/* trainer.h -- what a trainer holds; shared by step.c, validate.c and checkpoint.c. */
#ifndef TR_TRAINER_H
#define TR_TRAINER_H
#include "train/train.h"

/* A plan over B sequences of T tokens with the buffers that it reads. */
typedef struct tr_pass {
    md_graph   g;
    ag_plan   *p;
    ds_loader *loader;
    int64_t    B, T;
    int32_t   *ids, *pos, *start; /* [B T] */
    uint8_t   *count;
    ag_targets targets;
} tr_pass;

struct tr_trainer {
    const tr_config *c;
    rt_comm         *comm;
    kn_type          type;
    md_model        *model;
    opt_state       *opt;
    real            *grads, *rope; /* grads: all parameters, one after another */
    int64_t          n_grads, *grad_at;
    double           seconds[TR_WORKS];
    int64_t          skipped, in_a_row; /* steps without finite gradients: in all (kept in checkpoints), and just now */
    tr_pass          train, valid;      /* valid.p is NULL without validation shards */
};

/* Plan, buffers and loader of one use; `B` sequences at once. */
rt_status tr_pass_create(tr_pass *o, tr_trainer *t, md_use use, const ds_loader_opts *data, ag_objective objective, int64_t B);
void      tr_pass_destroy(tr_pass *o);
/* Sequences first .. first+n-1 into the buffers (n <= B, the rest without targets). */
rt_status tr_pass_load(tr_pass *o, int64_t first, int64_t n, double scale);
/* This rank's share [*from, *to) of n sequences. */
void tr_share(const rt_comm *c, int64_t n, int64_t *from, int64_t *to);
/* This rank's gradients of step s again, looking for the operator that makes the first value which is not finite. */
rt_status tr_hunt(tr_trainer *t, int64_t s);
/* What the shards can serve: resolves "auto", k, m and ce_weight. */
rt_status tr_objective(const tr_config *c, const ds_info *info, ag_objective *kind, int64_t *k, int64_t *m, double *ce_weight);
#endif
