/* objective.h -- the objective of a distillation: its settings, and what they mean for given shards and a teacher.
 *
 * A configuration gives the settings.  di_objective_resolve turns them into the settings of the head (autograd.h) and says where the
 * targets come from, or refuses what neither the shards nor the teacher supply.
 */
#ifndef DI_OBJECTIVE_H
#define DI_OBJECTIVE_H
#include "autograd/autograd.h"
#include "data/loader.h"
#include "data/shard.h"

enum { DI_AUTO = AG_OBJECTIVES }; /* kind: the best objective that the shards and the teacher can serve */

/* Return the word of kind i (an ag_objective or DI_AUTO) and of ag_match i in configurations; NULL past the end. */
const char *di_objective_word(int i);
const char *di_match_word(int i);

typedef struct di_objective_settings {
    int         kind;                     /* an ag_objective, or DI_AUTO */
    int64_t     k, m;                     /* -1: what the shards hold */
    double      ce_weight, ce_weight_end; /* NaN: the objective's default; NaN: constant */
    double      temperature, beta, alpha, prompt_weight, z_loss;
    double      bucket_share; /* NaN: the objective's default */
    int         t2;
    ag_match    hidden;
    double      hidden_weight;
    const char *teacher; /* folder of a teacher in process; NULL: none */
} di_objective_settings;

/* A resolved objective and the source of its targets. */
typedef struct di_objective {
    ag_loss_settings t;
    double           ce_weight, ce_end; /* of the first and of the last step */
    int              stored;            /* 1: k + m entries from the shards */
    int64_t          codec_bytes;       /* > 0: encoded hidden states of so many bytes from the shards */
    const char      *teacher;           /* folder of the teacher that runs in process; NULL: none.  Owned by the settings */
    int              fresh;             /* 1: k + m entries that are sampled from that teacher in every pass */
    int              logits;            /* 1: the head computes the teacher's logits */
    int              work;              /* ag_head_opts.work */
} di_objective;

/* Resolves "auto", k, m and weights for shards like `info`; `shard` names one of them in messages.  RT_EMISMATCH: neither the shards
 * nor the teacher supply the targets; RT_EINVAL: settings contradict each other. */
rt_status di_objective_resolve(di_objective *o, const di_objective_settings *s, const ds_info *info, const char *shard);
/* Appends a description, such as "kl from encoded states of 64 bytes, with 0.1 of cross-entropy". */
rt_status di_objective_say(rt_buf *b, const di_objective *o);
/* Returns the cross-entropy weight of step s = 0, 1, ..., interpolated linearly from ce_weight to ce_end. */
double di_objective_ce_weight(const di_objective *o, int64_t s, int64_t steps);
/* Sets the loader options that select the targets which the objective reads from the shards. */
void di_objective_data(const di_objective *o, ds_loader_opts *d);
/* Returns 1 if a shard like `info` holds what the objective reads from shards. */
int di_objective_serves(const di_objective *o, const ds_info *info);

#endif
