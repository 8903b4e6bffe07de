/* infer.h -- running a model: decoding with a KV cache, sampling, quantisation, serving. */
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

/* ---- quantisation -------------------------------------------------------------------------- */

/* All matrices to `bits` (8 or 4) in groups of `group` columns; norms stay.  RT_EINVAL when a
 * matrix is no whole number of groups wide, or the model is quantised already. */
rt_status inf_quantise(md_model *m, int bits, int64_t group);

/* ---- serving (infer/serve.c): the wire form is in docs/serve.md ------------ */

typedef struct inf_serve_opts {
    const char *host;         /* default 127.0.0.1 */
    int64_t     port;         /* 0: a free one, see port_file */
    const char *port_file;    /* written when the server listens ("PORT\n"), atomically; may be NULL */
    const char *name;         /* model id that /v1/models shows; default: the folder's name */
    int64_t     max_tokens;   /* context; 0: the model's */
    int64_t     max_logprobs; /* largest k, at most MD_TEACHER_MAX_K */
    int         verbose;      /* a note for each request */
} inf_serve_opts;
/* Serve until SIGINT/SIGTERM: what was asked by then is answered.  RT_ENET when the port is taken. */
rt_status inf_serve(const md_model *m, const ds_tokenizer *t, const inf_serve_opts *o);

/* Appends "NAME VERSION" lines of the libraries behind this folder. */
rt_status inf_library_versions(rt_buf *out);
#endif
