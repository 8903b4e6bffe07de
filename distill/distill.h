/* distill.h -- what a teacher leaves for a student, made in process: encoded hidden states and soft shards. */
#ifndef DI_DISTILL_H
#define DI_DISTILL_H
#include "model/model.h"

/* ---- the hidden-state codec: a whole distribution in a few bytes a row (data.h) ----------------- */

/* Fit coder and decoder to n hidden states h[n, C] (which are changed): rows of `bytes` bytes, the bits where they lower
 * the expected divergence most.  RT_ENOENT: there is no LAPACK; RT_ECHECK: the states do not vary, or are no numbers. */
rt_status di_codec_fit(ds_codec **out, const md_model *m, real *h, int64_t n, int64_t bytes);

typedef struct di_encoder di_encoder; /* of a codec with an encoder, which outlives it */
rt_status                 di_encoder_create(di_encoder **out, const ds_codec *s);
void                      di_encoder_destroy(di_encoder **o);
/* Encodes hidden state h[C] into row; `thread` is 0 .. rt_threads()-1. */
void di_encoder_row(const di_encoder *o, const real *h, uint8_t *row, int thread);
/* The mean of KL(teacher || decoded state) over hidden states h[n, C] of m, in nats. */
rt_status di_encoder_loss(double *nats, const di_encoder *o, const md_model *m, const real *h, int64_t n);

/* ---- offline scoring: a teacher's soft shard, made in process ----------------------------------- */

typedef struct di_score_opts {
    const rt_strings *shards;     /* text (or soft) shards made with the model's tokenizer */
    const char       *out;        /* the shard to write */
    int64_t           k, m;       /* most likely entries, samples of the tail; k = 0: samples of the whole distribution */
    int64_t           codec;      /* bytes a row; 0: none */
    uint64_t          seed;       /* of the samples: those of row t depend on (seed, document's number, t) alone */
    const char       *codec_from; /* a shard of this model: k, m and the codec are as there, by the same decoder; NULL: as above */
    const char       *program;
    rt_progress      *progress; /* tokens; may be NULL */
} di_score_opts;

typedef struct di_scored {
    int64_t documents, tokens;
    double  codec_loss; /* mean KL(model || decoded state), nats, over a few rows that the decoder was not fitted to; NaN: none */
} di_scored;

/* What `retort score` asks of a server, of a model read from a folder (md_load).  A whole shard or none.
 * RT_EMISMATCH: another tokenizer, or codec_from has another one, or a decoder that loses much more of this model than of its
 * own; RT_EINVAL: a document is longer than the context (named), OUT exists, k, m or codec cannot be; RT_ECHECK: no codec
 * can be fitted (di_codec_fit); RT_EINTR: Ctrl-C. */
rt_status di_score(const md_model *m, const di_score_opts *o, di_scored *r);

#endif
