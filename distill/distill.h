/* distill.h -- a teacher's output for a student, computed in process: encoded hidden states and soft shards. */
#ifndef DI_DISTILL_H
#define DI_DISTILL_H
#include "core/options.h"
#include "data/codec.h"
#include "model/model.h"

/* ---- the hidden-state codec: a whole distribution in a few bytes per row (data/codec.h) --------------- */

/* Fits an encoder and a decoder to n hidden states h[n, C] (modified).  An encoded state has `bytes` bytes; bits are assigned
 * so that they reduce the expected divergence most.  The caller owns *out.  RT_ENOENT: LAPACK is not available; RT_ECHECK:
 * the states do not vary or are not finite. */
rt_status di_codec_fit(ds_codec **out, const md_model *m, real *h, int64_t n, int64_t bytes);

typedef struct di_encoder di_encoder; /* encoder of a codec that has a map; the codec must outlive it */
rt_status                 di_encoder_create(di_encoder **out, const ds_codec *s);
void                      di_encoder_destroy(di_encoder **o);
/* Encodes hidden state h[C] into row [bytes]; `thread` is the calling thread, 0 .. rt_threads()-1. */
void di_encoder_row(const di_encoder *o, const real *h, uint8_t *row, int thread);
/* Computes the mean of KL(teacher || decoded state) over hidden states h[n, C] of m, in nats. */
rt_status di_encoder_loss(double *nats, const di_encoder *o, const md_model *m, const real *h, int64_t n);

/* ---- offline scoring: a teacher's soft shard, computed in process ------------------------------- */

typedef struct di_score_opts {
    const rt_strings *shards;      /* text (or soft) shards made with the model's tokenizer */
    const char       *out;         /* the shard to write */
    int64_t           k, m;        /* number of most likely entries and of tail samples per row; k = 0: samples of the whole distribution */
    int64_t           codec_bytes; /* bytes per encoded state; 0: none */
    uint64_t          seed;        /* seed of the samples: those of row t depend only on (seed, document's number, t) */
    const char       *codec_from;  /* a shard of this model that supplies k, m and the codec with its decoder; NULL: as given above */
    const char       *program;
    rt_progress      *progress; /* in tokens; may be NULL */
} di_score_opts;

typedef struct di_scored {
    int64_t documents, tokens;
    double  codec_loss; /* mean KL(model || decoded state) in nats over held-out rows; NaN: none */
} di_scored;

/* Scores the shards with a model loaded from a folder (md_load), as `retort score` does with a server.  The output is a
 * complete shard or no file.  RT_EMISMATCH: the shards or codec_from have another tokenizer, or the decoder of codec_from
 * loses much more on this model than on its own; RT_EINVAL: a document is longer than the context (the message names it),
 * `out` exists, or k, m or codec is out of range; RT_ECHECK: no codec can be fitted (di_codec_fit); RT_EINTR: Ctrl-C. */
rt_status di_score(const md_model *m, const di_score_opts *o, di_scored *r);

#endif
