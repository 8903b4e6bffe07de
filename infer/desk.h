/* desk.h -- what answers the server's requests, private to infer/.
 *
 * The desk takes one request at a time as JSON text and gives the answer as JSON text: it knows nothing of
 * connections, threads or queues (serve_*.c do).  An answer is a function of the request alone.
 */
#ifndef INF_DESK_H
#define INF_DESK_H
#include "core/json.h"
#include "infer/infer.h"

enum {
    DESK_MAX_PROMPTS = 64,
    DESK_MAX_STOPS   = 16,
    DESK_MAX_STOP    = 256, /* bytes of one */
    DESK_MAX_TAIL    = 256,
    DESK_MAX_ANSWER  = 256 << 20 /* bytes of an answer that is not streamed */
};

typedef struct inf_desk {
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
} inf_desk;

rt_status inf_desk_open(inf_desk *d, const md_model *m, const ds_tokenizer *t, const inf_serve_opts *o);
void      inf_desk_close(inf_desk *d);

/* One answer.  A stream hands over `text` piece by piece: push() takes it (and leaves it empty);
 * 0 says that the reader has gone.  Without a stream `text` is the whole answer. */
typedef struct inf_reply {
    int     status; /* HTTP's */
    int     stream; /* 1 from the first push on */
    rt_buf  text;
    int64_t tokens; /* read and written, for the log */
    int (*push)(void *ud, struct inf_reply *r);
    void *ud;
} inf_reply;

typedef enum inf_task { INF_COMPLETE, INF_CHAT, INF_TOKENIZE, INF_DETOKENIZE } inf_task;
/* Answer one request; `body` (n bytes) is changed.  Errors become answers too. */
void      inf_desk_answer(inf_desk *d, inf_task task, char *body, size_t n, inf_reply *r);
rt_status inf_reply_push(inf_reply *r); /* RT_EINTR: the reader has gone */
/* {"error": {...}} in place of what the reply held. */
void      inf_reply_error(inf_reply *r, int status, const char *message);
rt_status inf_desk_models(const inf_desk *d, rt_buf *out); /* the answer to GET /v1/models */

/* ---- a request to complete (request.c) ---------------------------------------------- */

typedef struct inf_request {
    ds_ids       prompts[DESK_MAX_PROMPTS];
    int          n;
    int64_t      max_tokens;
    inf_sampling sampling;
    uint64_t     seed, tail_seed;
    const char  *stop[DESK_MAX_STOPS]; /* live as long as the JSON tree */
    int          stops;
    size_t       longest_stop;
    int          echo, stream, usage, special, ignore_eos, skip_special, return_ids, tokens_as_ids, retort;
    int64_t      logprobs, prompt_logprobs; /* -1: not wanted */
    int64_t      tail;
} inf_request;

/* RT_EINVAL and RT_EFORMAT name the field; RT_ENOENT: another model is asked for. */
rt_status inf_request_read(inf_request *q, const inf_desk *d, const cJSON *o);
void      inf_request_free(inf_request *q);
/* The ids of a text, begun as a training document is when `special`. */
rt_status inf_text_ids(const inf_desk *d, const char *text, int special, ds_ids *ids);
/* The ids of a JSON list, each checked against 0 .. size-1. */
rt_status inf_list_ids(const cJSON *list, int64_t size, const char *where, ds_ids *ids);

/* ---- a choice of the answer (choice.c computes, answer.c writes) --------------------------- */

typedef struct inf_rows { /* entry i: what the model says about a token */
    int64_t  n, k, m;
    int32_t *topk_ids;       /* [n, k] */
    float   *topk_logprob;   /* [n, k] */
    int32_t *tail_ids;       /* [n, m] */
    double  *rest_entropy;   /* [n] */
    double  *actual_logprob; /* [n] */
    int64_t *actual_rank;    /* [n]; 0: no row (the first token of a prompt) */
} inf_rows;

typedef struct inf_choice {
    const inf_request *q;
    int                index;
    const ds_ids      *prompt;
    ds_ids             ids;    /* written */
    rt_buf             text;   /* echoed, then written */
    int64_t           *offset; /* [echoed + written] characters of text before each token */
    int64_t            shown, chars;
    inf_rows           before, after; /* about the prompt's tokens; about the written ones */
    const char        *finish, *stop; /* NULL until it ends; which stop string did it */
} inf_choice;

/* Compute choice `index`; in a stream, push its pieces.  RT_EINTR: the reader has gone.
 * *c is freed by inf_choice_free, also after a failure. */
rt_status inf_choice_make(inf_choice *c, inf_desk *d, const inf_request *q, int index, inf_reply *r);
void      inf_choice_free(inf_choice *c);

typedef struct inf_slice { /* what part of a choice to write */
    size_t  text, text_end;
    int64_t token, token_end; /* of the shown ones */
} inf_slice;
/* An answer is {"id": ..., "choices": [, its choices, and ], "usage": {...}}. */
void inf_put_head(rt_json_writer *w, const inf_desk *d);
void inf_put_choice(rt_json_writer *w, const inf_desk *d, const inf_choice *c, const inf_slice *s);
void inf_put_end(rt_json_writer *w, int64_t read, int64_t written);
void inf_put_ids(rt_json_writer *w, const char *key, const int32_t *ids, int64_t n);
void inf_put_token(rt_json_writer *w, const char *key, const inf_desk *d, int32_t id); /* the id's text */
/* One event of a stream: head, slice, and "usage": null where usage will come. */
rt_status inf_answer_event(rt_buf *b, const inf_desk *d, const inf_choice *c, const inf_slice *s);
#endif
