/* infer.h -- inference: decoding, sampling. */
#ifndef INF_INFER_H
#define INF_INFER_H
#include "model/model.h"

/* ---- decoding -------------------------------------------------------------------------- */

typedef struct inf_session inf_session; /* one sequence: a KV pool of one slot and its plans; not thread-safe */

/* Creates a session for up to max_tokens tokens.  The model must outlive it.  RT_EINVAL: max_tokens is not in 1 .. the model's
 * context; RT_ENOMEM: the message has the size of the whole KV cache. */
rt_status inf_session_create(inf_session **out, const md_model *m, int64_t max_tokens);
void      inf_session_destroy(inf_session **s);
void      inf_session_reset(inf_session *s); /* removes all tokens, keeps the memory */
/* Appends n >= 1 tokens to the sequence.  *logits [V] are the logits after the last token; the session owns them, and
 * they are valid until the next call.  RT_EINVAL: the tokens do not fit into the context, or one is not in the
 * vocabulary; RT_ECHECK: the logits are not finite. */
rt_status inf_feed(inf_session *s, const int32_t *ids, int64_t n, const real **logits);

/* ---- sampling --------------------------------------------------------------------------- */

typedef struct inf_sampling {
    double  temperature; /* 0: greedy, the most likely id (on a tie the smallest) */
    int64_t top_k;       /* 0: all */
    double  top_p;       /* 1: all */
} inf_sampling;
/* Scratch memory for sampling from V logits; not thread-safe. */
typedef struct inf_sampler inf_sampler;

rt_status inf_sampler_create(inf_sampler **out, int64_t V);
void      inf_sampler_destroy(inf_sampler **s);
/* Returns the next id, a pure function of logits [V], settings and u in [0, 1). */
int32_t inf_sample(inf_sampler *s, const real *logits, const inf_sampling *o, double u);
#endif
