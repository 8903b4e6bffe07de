/* serve.h -- an HTTP server for a local model; docs/serve.md describes the wire format. */
#ifndef SV_SERVE_H
#define SV_SERVE_H
#include "infer/infer.h"

typedef struct sv_serve_opts {
    const char *host;         /* default 127.0.0.1 */
    int64_t     port;         /* 0: the system chooses a free port; see port_file */
    const char *port_file;    /* "PORT\n" is written here atomically once the server listens; may be NULL */
    const char *name;         /* model id in /v1/models; default: the name of the model's folder */
    int64_t     max_tokens;   /* context length; 0: that of the model */
    int64_t     max_logprobs; /* largest number of log-probabilities per token, at most MD_TEACHER_MAX_K */
    int         verbose;      /* log one line for each request */
} sv_serve_opts;
/* Serves until SIGINT or SIGTERM, then completes the queued requests and returns.  RT_ENET: the server cannot listen at
 * the host and port. */
rt_status sv_serve(const md_model *m, const ds_tokenizer *t, const sv_serve_opts *o);

/* Appends a line "NAME VERSION" for each library that this folder uses. */
rt_status sv_library_versions(rt_buf *out);
#endif
