/* first.h -- the first weights of a student: a smaller model out of a larger one, under another vocabulary if need be. */
#ifndef DI_FIRST_H
#define DI_FIRST_H
#include "distill/prune.h"

typedef struct di_first_opts {
    const ds_tokenizer *former, *tokenizer; /* of the model, and of the student */
    const rt_strings   *shards;             /* text in the student's tokenizer; needed for fewer layers or a smaller width */
    int64_t             tokens;             /* of the shards on which parts are compared */
    int64_t             L, H, F, C;         /* 0: as in the model */
    rt_progress        *p;                  /* may be NULL */
} di_first_opts;

typedef struct di_first_report {
    int64_t shared, made, dropped; /* ids whose rows were copied; made of the rows of their pieces; of the model only */
    int32_t layer[MD_MAX_LAYERS];  /* the model's layers that stayed, of which there are L */
    double  kl_layers,
        kl; /* KL(model || student) after the choice of layers, and of the student, in nats per token; NaN: nothing was pruned */
} di_first_report;

/* Creates the student from m, whose context it keeps.  Both KL are over the student's ids.  RT_EINVAL: a size is larger than that of m or does not
 * fit. */
rt_status di_first_weights(md_model **out, md_model *m, const di_first_opts *o, di_first_report *r);

/* Creates m under the ids of another tokenizer: rows of the embedding and the head are copied for entries that both have; the row of any other entry is
 * the mean of the rows of the ids into which the former tokenizer cuts its text.  If both are one tokenizer, the ids stay. */
rt_status di_move_ids(md_model **out, const md_model *m, const ds_tokenizer *former, const ds_tokenizer *to, di_first_report *r);
#endif
