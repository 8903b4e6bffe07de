/* dialect.h -- everything in which one kind of server differs from another.
 *
 * A kind of server is one file dialect_NAME.c with one `const tc_dialect tc_dialect_NAME`, and one line X(NAME) in TC_DIALECTS
 * (teacher.h).  No other file knows which kinds there are.  What several kinds share is a function or a table declared below,
 * which their structs name; TC_COMPLETIONS names all that servers with vLLM's completions share.
 *
 * A response becomes a record of token ids with rows placed as data/shard.h says (row i is about token i + 1).  A dialect
 * checks every value of a response before it stores it; rows.c has the checks.
 */
#ifndef TC_DIALECT_H
#define TC_DIALECT_H
#include "core/json.h"
#include "data/shard.h"
#include "teacher/http.h"

enum {
    TC_MAX_STOPS = 8,
    TC_MAX_K     = 1024,
    TC_MAX_M     = 1024,
    TC_PARSED    = 16 << 20 /* bytes of responses that are parsed at once, if more than one: a tree is up to 30 times its text */
};

typedef struct tc_dialect tc_dialect;

/* ---- requests and responses ------------------------------------------------------------------ */

typedef struct tc_request { /* borrows what it points to */
    const int32_t *ids;     /* the prompt's tokens, n of them; NULL: none, as in a chat */
    int64_t        n;
    const char    *text;   /* the prompt, or the user's message of a chat; NULL where a text is scored, of which only ids are known */
    const char    *system; /* of a chat; NULL: none */
    int            chat;
    int64_t        k, m;       /* alternatives and tail samples of each row; k = 0: text without log-probabilities */
    int64_t        vocab;      /* ids are below it */
    int64_t        max_tokens; /* to be generated; 0: probabilities of the prompt are wanted, nothing more */
    double         temperature, top_p;
    const char    *stop[TC_MAX_STOPS]; /* strings that end a text */
    int            stops;
    uint64_t       seed;
} tc_request;

typedef struct tc_response { /* owns its arrays; tc_response_free */
    int64_t  n, prompt;      /* tokens in all, and of the prompt; n = 0: the server gave text alone */
    int32_t *ids;
    uint8_t *prompt_mask;
    ds_rows  rows;                             /* no columns: text without log-probabilities; tail_entropy NULL: the dialect has no tails */
    rt_buf   text;                             /* what was generated, as bytes: it may hold a NUL; {0} when nothing was to be generated */
    char     finish[32];                       /* the server's word for how the text ended; "": none */
    int      echoes;                           /* the server repeated the prompt's ids, and they are those that were sent */
    int64_t  prompt_tokens, completion_tokens; /* as the server counts; -1: it does not say */
} tc_response;

void tc_response_free(tc_response *x);
/* d borrows the arrays of x; soft = 0 leaves the targets out. */
void tc_response_doc(const tc_response *x, int soft, ds_doc *d);

/* ---- what a server says of itself, and what a run needs ---------------------------------------- */

typedef struct tc_server {
    const tc_dialect *dialect;
    char              model[128];
    char              tokenizer[RT_SHA_HEX];        /* "": it does not say */
    char              files[2][RT_SHA_HEX];         /* of its tokenizer.json, and what that was made from; "": it does not say */
    int64_t           vocab, max_len, max_logprobs; /* 0: it does not say */
    char              dtype[16], gemm[256];         /* how it computes: a type, and a JSON object; "": it does not say */
    int               echoes;                       /* repeats the prompt's ids */
    int               scores;                       /* has scored a short prompt */
} tc_server;

typedef struct tc_need {
    int64_t k, m;   /* k = 0: text without log-probabilities; m < 0: the default number of tail samples */
    int     scores; /* given text is scored */
    int64_t vocab;  /* of the input; the server's counts where it says one */
} tc_need;

/* ---- what a reply means ------------------------------------------------------------------------- */

typedef enum tc_class {
    TC_ACCEPT,    /* The body holds a response. */
    TC_RETRY,     /* Send the request again. */
    TC_SLOW_DOWN, /* Send it again, and fewer requests at once. */
    TC_REFUSED,   /* Give this request up; others may succeed. */
    TC_STOP       /* Stop the run: no request will succeed. */
} tc_class;

typedef struct tc_outcome {
    tc_class what;
    double   wait;      /* seconds that the server asks the client to wait; negative: none */
    char     text[512]; /* the reason in one line, unless TC_ACCEPT: "HTTP 429: Rate limit reached" */
} tc_outcome;

typedef struct tc_finish {
    const char *word;   /* such as "stop" */
    int         itself; /* the model ended the text, so an end token follows it */
} tc_finish;

/* ---- the dialect ---------------------------------------------------------------------------------- */

/* Every pointer must be set.  The functions keep no state, since several threads call them at once.  They fail with RT_EFORMAT
 * and a message "malformed response: ..." (TC_MALFORMED) that names the field and its index, unless a member says otherwise. */
struct tc_dialect {
    /* The word of --dialect, the dialect in the keys of ledgers and the attribute `dialect` of shards.  It never changes. */
    const char *name;

    /* What such a server gives.  A run that needs more is refused before it sends a prompt (tc_dialect_gives). */
    int64_t max_k;  /* the largest k, at most TC_MAX_K; 0: text without log-probabilities */
    int     scores; /* log-probabilities of given token ids (needs max_k > 0) */
    int     tails;  /* m tail samples and the tail's entropy in each row */

    /* Tokens that a request must generate when it scores a text.  They are ignored, but count towards the server's context. */
    int64_t score_tokens;

    /* The values of finish_reason of complete texts, ended by {NULL}.  Texts with another value are left out of a shard unless
     * --finish names it. */
    const tc_finish *finish;

    /* The headers of requests, and those of responses that say how long to wait (http.h). */
    const tc_headers *headers;

    /* The path whose GET lists the models and costs nothing.  It follows the server's address, which ends before "/v1".  It is the
     * first request of a run; it is sent again to test whether the server is still up. */
    const char *models_path;

    /* Returns 1 if the response to GET models_path comes from such a server.  --dialect auto takes the first dialect in
     * TC_DIALECTS that returns 1.  wanted: the name of the model, NULL for the first one. */
    int (*recognise)(const cJSON *models, const char *wanted);

    /* Sets model and, where the server reports them, tokenizer, files, vocab, max_len and max_logprobs of *s.
     * where: the URL of `models`, for errors.  RT_EINVAL: the server has no model `wanted`. */
    rt_status (*describe)(tc_server *s, const cJSON *models, const char *wanted, const char *where);

    /* The path that q is sent to, the same for all requests of a run.  The ledger's keys contain it. */
    const char *(*path)(const tc_request *q);

    /* Appends the JSON of q to *body.  The same q and model give the same bytes, since the ledger's keys contain their hash.  The
     * body contains the prompt as q->ids or as q->text, whichever the server accepts, and q->seed.  q never needs more than
     * tc_dialect_gives allows. */
    rt_status (*write)(rt_buf *body, const tc_dialect *d, const tc_request *q, const char *model);

    /* Decides what is done about a reply, from its status, its headers (reply->wait) and the error in its body.  An error under
     * status 200 is classified like the same error under its own status. */
    void (*classify)(tc_outcome *out, const tc_reply *reply);

    /* Reads the response to q from the body of an accepted reply, and leaves the body unchanged.  The caller frees *out.
     * RT_EFORMAT: a value is impossible; the request is sent again.  RT_ECHECK: there is no text and the server gives the reason
     * (a refusal, a filter, all tokens spent on reasoning); the request is given up. */
    rt_status (*read)(tc_response *out, const tc_dialect *d, const tc_request *q, const rt_buf *body);
};

#define X(name) extern const tc_dialect tc_dialect_##name;
TC_DIALECTS(X)
#undef X

const tc_dialect *tc_dialect_at(int i); /* in the order of TC_DIALECTS; NULL after the last */
/* RT_EINVAL names the dialects that there are. */
rt_status tc_dialect_find(const tc_dialect **out, const char *name);
/* RT_EINVAL: servers of this kind do not give what is needed. */
rt_status tc_dialect_gives(const tc_dialect *d, const tc_need *need);

#define TC_MALFORMED(...) RT_FAIL(RT_EFORMAT, "malformed response: " __VA_ARGS__)

/* ---- shared by servers with OpenAI's API (openai.c, classify.c) ------------------------------------ */

extern const tc_headers tc_openai_headers;  /* JSON, the key as a Bearer token; Retry-After */
extern const tc_finish  tc_openai_finish[]; /* the words of OpenAI and of servers that follow it */
#define TC_OPENAI_MODELS "/v1/models"
const char *tc_openai_path(const tc_request *q); /* "/v1/completions" or "/v1/chat/completions" */
/* The entry of {"data": [{"id": ...}]} called `wanted`, or the first; NULL: none. */
const cJSON *tc_openai_model(const cJSON *models, const char *wanted);
rt_status    tc_openai_describe(tc_server *s, const cJSON *models, const char *wanted, const char *where);
/* s->files from a "tokenizer_files"; what is no SHA-256 is left out. */
void tc_openai_files(tc_server *s, const cJSON *o);
/* s->dtype and s->gemm; what is too long or of another type is left out. */
void tc_openai_computes(tc_server *s, const cJSON *o);
/* Reads the error envelopes and error codes of all known servers. */
void tc_classify(tc_outcome *out, const tc_reply *reply);

/* ---- shared by servers with vLLM's completions (completions.c) -------------------------------------- */

/* Completions and chats; d->tails adds the "retort" object. */
rt_status tc_completions_write(rt_buf *body, const tc_dialect *d, const tc_request *q, const char *model);
rt_status tc_completions_read(tc_response *out, const tc_dialect *d, const tc_request *q, const rt_buf *body);

/* The members in which such dialects do not differ. */
#define TC_COMPLETIONS                                                                                                          \
    .max_k = TC_MAX_K, .scores = 1, .finish = tc_openai_finish, .headers = &tc_openai_headers, .models_path = TC_OPENAI_MODELS, \
    .describe = tc_openai_describe, .path = tc_openai_path, .write = tc_completions_write, .classify = tc_classify,             \
    .read = tc_completions_read

/* The parts of such a body, for a server that takes fewer fields. */
void tc_put_messages(rt_json_writer *w, const tc_request *q); /* of a chat */
void tc_put_ids(rt_json_writer *w, const tc_request *q);      /* the prompt as ids */
void tc_put_sampling(rt_json_writer *w, const tc_request *q); /* max_tokens, temperature, top_p, stop */
void tc_put_seed(rt_json_writer *w, const tc_request *q);

/* ---- checks that every dialect needs (rows.c, ranks.c) ----------------------------------------------- */

/* Fills row `row` of out (about token row + 1) from an object of alternatives, keyed "7" or
 * "token_id:7", each a number or {"logprob", "rank"}; `field[at]` is its name in errors.
 * `actual`: the log-probability of the actual token where the server said it apart, else NaN. */
rt_status tc_row_read(tc_response *out, const tc_request *q, int64_t row, const cJSON *alternatives, double actual, const char *field,
                      int64_t at);
/* The tail samples, and the tail's entropy, of a row that tc_row_read has filled. */
rt_status tc_row_tail(tc_response *out, const tc_request *q, int64_t row, const cJSON *ids, const char *field, int64_t at);
rt_status tc_row_entropy(tc_response *out, const tc_request *q, int64_t row, const cJSON *x, const char *field, int64_t at);
/* *id from a JSON number, checked against the vocabulary. */
rt_status tc_id_read(int32_t *id, const cJSON *x, int64_t vocab, const char *field, int64_t at);
/* *id from "token_id:7". */
rt_status tc_id_named(int32_t *id, const char *name, int64_t vocab, const char *field, int64_t at);

/* Which ranks the written tokens have among the top k of their rows, added up over responses. */
typedef struct tc_ranks {
    int64_t outside, last; /* tokens beyond the k, and the k-th */
    double  expected;      /* how often the k-th was to be expected */
} tc_ranks;
void tc_ranks_add(tc_ranks *p, const tc_response *x);
/* RT_EFORMAT where a server gives the written token the place of the k-th likely one. */
rt_status tc_ranks_check(const tc_ranks *p, int64_t k, double temperature);
#endif
