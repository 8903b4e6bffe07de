/* score.h -- offline scoring: a teacher's soft shard, computed in process. */
#ifndef DI_SCORE_H
#define DI_SCORE_H
#include "core/options.h"
#include "core/progress.h"
#include "model/model.h"

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

/* Scores the shards with a model loaded from a folder (md_load), as `retort score` does with a server, in the model's type, which the
 * shard records with the gemm backend.  The output is a complete shard or no file.  RT_EMISMATCH: the shards or codec_from have
 * another tokenizer, or the decoder of codec_from loses much more on this model than on its own; RT_EINVAL: a document is longer
 * than the context (the message names it), `out` exists, or k, m or codec is out of range; RT_ECHECK: no codec can be fitted
 * (di_codec_fit); RT_EINTR: Ctrl-C. */
rt_status di_score(const md_model *m, const di_score_opts *o, di_scored *r);

#endif
