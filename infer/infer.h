/* infer.h -- running a model: decoding with a KV cache, sampling. */
#ifndef INF_INFER_H
#define INF_INFER_H
#include "model/model.h"

/* ---- decoding -------------------------------------------------------------------------- */

typedef struct inf_session inf_session; /* one conversation: KV cache and plans; one caller at a time */

rt_status inf_session_create(inf_session **out, const md_model *m, int64_t max_tokens);
void      inf_session_destroy(inf_session **s);
void      inf_session_reset(inf_session *s); /* forget all tokens, keep memory */
/* Feed n >= 1 tokens; *logits [V] (the session's memory, until the next call) are those
 * after the last.  RT_EINVAL when the context is full, RT_ECHECK where they are not finite numbers. */
rt_status inf_feed(inf_session *s, const int32_t *ids, int64_t n, const real **logits);

/* ---- sampling --------------------------------------------------------------------------- */

typedef struct inf_sampling {
    double  temperature; /* 0: the most likely, ties: the smaller id */
    int64_t top_k;       /* 0: all */
    double  top_p;       /* 1: all */
} inf_sampling;
/* The next id: a pure function of logits, settings and u in [0,1); work: [V] scratch ints and reals. */
typedef struct inf_sampler inf_sampler;

rt_status inf_sampler_create(inf_sampler **out, int64_t V);
void      inf_sampler_destroy(inf_sampler **s);
int32_t   inf_sample(inf_sampler *s, const real *logits, const inf_sampling *o, double u);
#endif
