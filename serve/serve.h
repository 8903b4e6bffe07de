/* serve.h -- a local model as an HTTP server; the wire form is in docs/serve.md. */
#ifndef SV_SERVE_H
#define SV_SERVE_H
#include "infer/infer.h"

typedef struct sv_serve_opts {
    const char *host;         /* default 127.0.0.1 */
    int64_t     port;         /* 0: a free one, see port_file */
    const char *port_file;    /* written when the server listens ("PORT\n"), atomically; may be NULL */
    const char *name;         /* model id that /v1/models shows; default: the folder's name */
    int64_t     max_tokens;   /* context; 0: the model's */
    int64_t     max_logprobs; /* largest k, at most MD_TEACHER_MAX_K */
    int         verbose;      /* a note for each request */
} sv_serve_opts;
/* Serve until SIGINT/SIGTERM: what was asked by then is answered.  RT_ENET when the port is taken. */
rt_status sv_serve(const md_model *m, const ds_tokenizer *t, const sv_serve_opts *o);

/* Appends "NAME VERSION" lines of the libraries behind this folder. */
rt_status sv_library_versions(rt_buf *out);
#endif
