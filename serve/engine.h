/* engine.h -- what answers the server's requests, private to infer/.
 *
 * The desk takes one request at a time as JSON text and gives the answer as JSON text: it knows nothing of
 * connections, threads or queues (serve_*.c do).  An answer is a function of the request alone.
 */
#ifndef INF_DESK_H
#define INF_DESK_H
#include "core/json.h"
#include "serve/serve.h"

enum {
    SV_MAX_PROMPTS = 64,
    SV_MAX_STOPS   = 16,
    SV_MAX_STOP    = 256, /* bytes of one */
    SV_MAX_TAIL    = 256,
    SV_MAX_ANSWER  = 256 << 20 /* bytes of an answer that is not streamed */
};

typedef struct sv_engine {
    const md_model     *model;
    const ds_tokenizer *tokenizer;
    char               *name;
    int64_t             max_len, max_logprobs;
    md_scorer          *scorer;
    inf_session        *session;
    inf_sampler        *sampler;
    rt_buf              texts;   /* the JSON string of each id, one after another */
    int64_t            *text_at; /* where each begins, and one more */
    int64_t             started; /* unix seconds */
    uint64_t            serial;  /* makes the next answer's id */
} sv_engine;

rt_status sv_engine_open(sv_engine *d, const md_model *m, const ds_tokenizer *t, const sv_serve_opts *o);
void      sv_engine_close(sv_engine *d);

/* One answer.  A stream hands over `text` piece by piece: push() takes it (and leaves it empty);
 * 0 says that the reader has gone.  Without a stream `text` is the whole answer. */
typedef struct sv_reply {
    int     status; /* HTTP's */
    int     stream; /* 1 from the first push on */
    rt_buf  text;
    int64_t tokens; /* read and written, for the log */
    int (*push)(void *ud, struct sv_reply *r);
    void *ud;
} sv_reply;

typedef enum sv_task { SV_COMPLETE, SV_CHAT, SV_TOKENIZE, SV_DETOKENIZE } sv_task;
/* Answer one request; `body` (n bytes) is changed.  Errors become answers too. */
void      sv_engine_respond(sv_engine *d, sv_task task, char *body, size_t n, sv_reply *r);
rt_status sv_reply_push(sv_reply *r); /* RT_EINTR: the reader has gone */
/* {"error": {...}} in place of what the reply held. */
void      sv_reply_error(sv_reply *r, int status, const char *message);
rt_status sv_engine_models(const sv_engine *d, rt_buf *out); /* the answer to GET /v1/models */

/* ---- a request to complete (request.c) ---------------------------------------------- */

typedef struct sv_request {
    ds_ids       prompts[SV_MAX_PROMPTS];
    int          n;
    int64_t      max_tokens;
    inf_sampling sampling;
    uint64_t     seed, tail_seed;
    const char  *stop[SV_MAX_STOPS]; /* live as long as the JSON tree */
    int          stops;
    size_t       longest_stop;
    int          echo, stream, usage, special, ignore_eos, skip_special, return_ids, tokens_as_ids, retort;
    int64_t      logprobs, prompt_logprobs; /* -1: not wanted */
    int64_t      tail;
} sv_request;

/* RT_EINVAL and RT_EFORMAT name the field; RT_ENOENT: another model is asked for. */
rt_status sv_request_read(sv_request *q, const sv_engine *d, const cJSON *o);
void      sv_request_free(sv_request *q);
/* The ids of a text, begun as a training document is when `special`. */
rt_status sv_text_ids(const sv_engine *d, const char *text, int special, ds_ids *ids);
/* The ids of a JSON list, each checked against 0 .. size-1. */
rt_status sv_list_ids(const cJSON *list, int64_t size, const char *where, ds_ids *ids);

/* ---- a choice of the answer (choice.c computes, answer.c writes) --------------------------- */

typedef struct sv_rows { /* entry i: what the model says about a token */
    int64_t  n, k, m;
    int32_t *topk_ids;       /* [n, k] */
    float   *topk_logprob;   /* [n, k] */
    int32_t *tail_ids;       /* [n, m] */
    double  *tail_entropy;   /* [n] */
    double  *actual_logprob; /* [n] */
    int64_t *actual_rank;    /* [n]; 0: no row (the first token of a prompt) */
} sv_rows;

typedef struct sv_completion {
    const sv_request *q;
    int               index;
    const ds_ids     *prompt;
    ds_ids            ids;    /* written */
    rt_buf            text;   /* echoed, then written */
    int64_t          *offset; /* [echoed + written] characters of text before each token */
    int64_t           shown, chars;
    sv_rows           before, after; /* about the prompt's tokens; about the written ones */
    const char       *finish, *stop; /* NULL until it ends; which stop string did it */
} sv_completion;

/* Compute choice `index`; in a stream, push its pieces.  RT_EINTR: the reader has gone.
 * *c is freed by sv_completion_free, also after a failure. */
rt_status sv_completion_make(sv_completion *c, sv_engine *d, const sv_request *q, int index, sv_reply *r);
void      sv_completion_free(sv_completion *c);

typedef struct sv_slice { /* what part of a choice to write */
    size_t  text, text_end;
    int64_t token, token_end; /* of the shown ones */
} sv_slice;
/* An answer is {"id": ..., "choices": [, its choices, and ], "usage": {...}}. */
void inf_put_head(rt_json_writer *w, const sv_engine *d);
void inf_put_choice(rt_json_writer *w, const sv_engine *d, const sv_completion *c, const sv_slice *s);
void inf_put_end(rt_json_writer *w, int64_t read, int64_t written);
void inf_put_ids(rt_json_writer *w, const char *key, const int32_t *ids, int64_t n);
void inf_put_token(rt_json_writer *w, const char *key, const sv_engine *d, int32_t id); /* the id's text */
/* One event of a stream: head, slice, and "usage": null where usage will come. */
rt_status sv_answer_event(rt_buf *b, const sv_engine *d, const sv_completion *c, const sv_slice *s);
#endif
