/* probe.h -- what a server can do, found out by asking it. */
#ifndef TC_PROBE_H
#define TC_PROBE_H
#include "teacher/dialect.h"
#include "teacher/http.h"

typedef struct tc_server {
    const tc_dialect *dialect;
    char              model[128];
    char              tokenizer[RT_SHA_HEX];        /* "": it does not say */
    char              files[2][RT_SHA_HEX];         /* of its tokenizer.json, and what that was made from; "": it does not say */
    int64_t           vocab, max_len, max_logprobs; /* 0: it does not say */
    int               echoes;                       /* repeats the prompt's ids */
    int               scores;                       /* gives prompt log-probabilities (a probe has asked) */
} tc_server;

/* GET /v1/models; and, when k > 0 and `tiny`, score a tiny prompt with k (and the dialect's
 * samples of the rest).  RT_EINVAL: no such model, or it cannot give k; RT_ENET, RT_EFORMAT as of
 * any response. */
rt_status tc_probe(tc_server *s, tc_http *h, const tc_endpoint *e, const tc_options *o, int64_t k, int64_t vocab, int tiny);
/* JSON, at most 1,000 letters, equal for equal servers; and back. */
rt_status tc_server_text(const tc_server *s, rt_buf *json);
rt_status tc_server_read(tc_server *s, rt_buf *json);
#endif
