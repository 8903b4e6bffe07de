/* engine.h -- the serving engine, private to serve/.
 *
 * The engine processes one request at a time: it takes the request as JSON text and produces the response as JSON text.
 * Connections, threads and the queue are handled by server.h.  A response depends on the request alone.
 */
#ifndef SV_ENGINE_H
#define SV_ENGINE_H
#include "core/json.h"
#include "data/chat.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include "serve/serve.h"

enum {
    SV_MAX_PROMPTS  = 64,
    SV_MAX_STOPS    = 16,
    SV_MAX_STOP     = 256, /* bytes of one stop string */
    SV_MAX_TAIL     = 256,
    SV_MAX_RESPONSE = 256 << 20 /* bytes of a response that is not streamed */
};

typedef struct sv_engine {
    const md_model     *model;
    const ds_tokenizer *tokenizer;
    ds_chat            *chat;       /* NULL: the model has no chat template, or */
    char               *chat_error; /* one that cannot be used: why */
    char               *name;
    int64_t             max_len, max_logprobs;
    md_scorer          *scorer;
    inf_session        *session;
    inf_sampler        *sampler;
    rt_buf              token_strings;   /* the JSON strings of all ids, concatenated */
    int64_t            *token_string_at; /* [ids + 1] the offset of each string in `token_strings`, then the end */
    int64_t             started;         /* Unix time in seconds */
    uint64_t            serial;          /* the number in the response's id; it increases with each request */
} sv_engine;

/* Opens the engine; m and t must outlive it.  RT_EINVAL: max_tokens or max_logprobs is out of range. */
rt_status sv_engine_open(sv_engine *d, const md_model *m, const ds_tokenizer *t, const sv_serve_opts *o);
void      sv_engine_close(sv_engine *d);

/* One response.  A streamed response passes `text` to push() piece by piece; push() consumes the text, leaves it empty
 * and returns 0 if the client disconnected.  Otherwise `text` is the whole response. */
typedef struct sv_reply {
    int     status; /* HTTP status code */
    int     stream; /* 1 after the first push */
    rt_buf  text;
    int64_t tokens; /* tokens read and generated, for the log */
    int (*push)(void *ud, struct sv_reply *r);
    void *ud;
} sv_reply;

typedef enum sv_task { SV_COMPLETE, SV_CHAT, SV_TOKENIZE, SV_DETOKENIZE } sv_task;
/* Processes one request; `body` (n bytes) is modified.  An error is returned to the client as a response. */
void      sv_engine_respond(sv_engine *d, sv_task task, char *body, size_t n, sv_reply *r);
rt_status sv_reply_push(sv_reply *r); /* RT_EINTR: the client disconnected */
/* Replaces the text of the reply with {"error": {...}}. */
void      sv_reply_error(sv_reply *r, int status, const char *message);
rt_status sv_engine_models(const sv_engine *d, rt_buf *out); /* the response to GET /v1/models */

/* ---- a request (request.c, chat.c) ----------------------------------------------- */

typedef struct sv_request {
    ds_ids       prompts[SV_MAX_PROMPTS];
    int          n;
    int64_t      max_tokens;
    inf_sampling sampling;
    uint64_t     seed, tail_seed;
    const char  *stop[SV_MAX_STOPS]; /* owned by the request's JSON tree */
    int          stops;
    size_t       longest_stop;
    int          chat, echo, stream, usage, special, ignore_eos, skip_special, return_ids, tokens_as_ids, retort;
    int64_t      logprobs, prompt_logprobs; /* entries per token; -1: not requested */
    int64_t      tail;
} sv_request;

/* Reads a completion request, or one of a chat.  RT_EINVAL, RT_EFORMAT: a field is invalid (the message names it); RT_ENOENT: the request
 * names a model that is not served. */
rt_status sv_request_read(sv_request *q, const sv_engine *d, const cJSON *o, int chat);
void      sv_request_free(sv_request *q);
/* Appends the token ids of a chat request's prompt.  RT_EINVAL: the model has no template, or it refuses the messages. */
rt_status sv_chat_prompt(const sv_engine *d, const cJSON *o, ds_ids *ids);
/* Appends the token ids of a text to *ids.  If `special`, the text is encoded as the beginning of a training document. */
rt_status sv_text_ids(const sv_engine *d, const char *text, int special, ds_ids *ids);
/* Appends the ids of a JSON list to *ids.  RT_EINVAL: an id is not in 0 .. size-1. */
rt_status sv_list_ids(const cJSON *list, int64_t size, const char *where, ds_ids *ids);

/* ---- a choice of the response (completion.c computes it, response.c writes it) ------------- */

typedef struct sv_rows {     /* row i: the model's predicted distribution of token i */
    ds_rows         entries; /* topk_ids, topk_logprob, tail_ids */
    md_teacher_row *exact;   /* [entries.n]; actual_rank 0: no prediction (the first token of a prompt) */
} sv_rows;

typedef struct sv_completion {
    const sv_request *q;
    int               index;
    const ds_ids     *prompt;
    ds_ids            ids;     /* generated tokens */
    ds_decoder       *decoder; /* has seen the prompt and `ids` */
    rt_buf            text;    /* the echoed prompt, then the generated text */
    int64_t          *offset;  /* [echoed + generated] characters of text before each token */
    int64_t           shown, chars;
    sv_rows           before, after; /* rows of the prompt's tokens; rows of the generated tokens */
    const char       *finish, *stop; /* finish reason, NULL until the choice ends; the stop string that ended it */
} sv_completion;

/* Computes choice `index` and, in a stream, pushes its pieces.  RT_EINTR: the client disconnected.
 * The caller frees *c with sv_completion_free, also after a failure. */
rt_status sv_completion_make(sv_completion *c, sv_engine *d, const sv_request *q, int index, sv_reply *r);
void      sv_completion_free(sv_completion *c);

typedef struct sv_slice {     /* the part of a choice to write */
    size_t  text, text_end;   /* byte range of the text */
    int64_t token, token_end; /* range of the shown tokens */
} sv_slice;
/* A response is {"id": ..., "choices": [ (sv_put_head), its choices, and ], "usage": {...}} (sv_put_end). */
void sv_put_head(rt_json_writer *w, const sv_engine *d, const sv_request *q);
void sv_put_choice(rt_json_writer *w, const sv_engine *d, const sv_completion *c, const sv_slice *s);
void sv_put_end(rt_json_writer *w, int64_t read, int64_t written);
void sv_put_ids(rt_json_writer *w, const char *key, const int32_t *ids, int64_t n);
void sv_put_token(rt_json_writer *w, const char *key, const sv_engine *d, int32_t id); /* the text of the id */
/* Appends one event of a stream: the head, the slice, and "usage": null if the request asks for usage. */
rt_status sv_response_event(rt_buf *b, const sv_engine *d, const sv_completion *c, const sv_slice *s);
#endif
