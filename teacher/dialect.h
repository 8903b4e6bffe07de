/* dialect.h -- how one kind of server is spoken to, and how its response is read.
 *
 * A dialect is one const struct in one file.  Responses become records of token ids with
 * rows placed as data.h says (row i is about token i+1); nothing that a server says is
 * believed unchecked.
 */
#ifndef TC_DIALECT_H
#define TC_DIALECT_H
#include "core/json.h"
#include "teacher/teacher.h"

enum {
    TC_MAX_STOPS = 8,
    TC_MAX_K     = 1024,
    TC_MAX_M     = 1024,
    TC_PARSED    = 16 << 20 /* bytes of responses that are parsed at once, if more than one: a tree is up to 30 times its text */
};

typedef struct tc_request { /* one request */
    const int32_t *ids;     /* the prompt's tokens, n of them; NULL: text */
    int64_t        n;
    const char    *text;   /* the prompt, or the user's message when chat */
    const char    *system; /* chat only; NULL: none */
    int            chat;
    int64_t        k, m, vocab;
    int64_t        max_tokens; /* 0: probabilities of the prompt are wanted, nothing more */
    double         temperature, top_p;
    const char    *stop[TC_MAX_STOPS];
    int            stops;
    uint64_t       seed;
} tc_request;

typedef struct tc_response { /* owned by itself; tc_response_free */
    int64_t  n, prompt;      /* tokens in all, and of the prompt; 0: the server gave text alone */
    int64_t  k, m;
    int32_t *ids;
    uint8_t *prompt_mask, *valid;
    int32_t *topk_ids;
    float   *topk_logprob, *actual_logprob, *rest_mass;
    int32_t *tail_ids;     /* NULL when m = 0 */
    float   *rest_entropy; /* NULL: the dialect does not say */
    rt_buf   text;         /* what was generated, as bytes: it may hold a NUL; {0} when nothing was asked */
    char     finish[32];
    int64_t  prompt_tokens, completion_tokens; /* as the server counts; -1: not said */
} tc_response;

typedef struct tc_dialect {
    const char *name;
    int         tails;        /* can draw samples of the rest, and tells the rest's entropy */
    int64_t     score_tokens; /* tokens that must be generated when a text is scored */
    rt_status (*write)(rt_buf *body, const tc_request *q, const char *model);
    /* reply is left as it is.  RT_EFORMAT "server answered ..." names field and place; RT_ECHECK: there is no text,
     * and the server says why (a refusal, a filter, all tokens spent on reasoning). */
    rt_status (*read)(tc_response *out, const tc_request *q, const rt_buf *reply);
} tc_dialect;

extern const tc_dialect tc_dialect_retort, tc_dialect_vllm;
/* RT_EINVAL names the dialects that there are. */
rt_status tc_dialect_find(const tc_dialect **out, const char *name);

const char *tc_request_path(const tc_request *q); /* "/v1/completions" or "/v1/chat/completions" */
void        tc_response_free(tc_response *a);
/* d borrows the arrays of x; soft = 0 leaves the targets out. */
void tc_response_doc(const tc_response *x, int soft, ds_doc *d);

/* ---- what dialects of vLLM's shape share (completions.c, rows.c) ------------------------- */

/* The body of a request; `tails` adds the "retort" object. */
rt_status tc_completions_write(rt_buf *body, const tc_request *q, const char *model, int64_t score_tokens, int tails);
rt_status tc_completions_read(tc_response *out, const tc_request *q, const rt_buf *reply, int tails);

/* Where in the top k of their rows the written tokens stand, added up over responses. */
typedef struct tc_ranks {
    int64_t outside, last; /* beyond the k, the last of them */
    double  expected;      /* how often the last */
} tc_ranks;
void tc_ranks_add(tc_ranks *p, const tc_response *x);
/* RT_EFORMAT where a server gives the written token the place of the k-th likely one. */
rt_status tc_ranks_check(const tc_ranks *p, int64_t k, double temperature);

/* Fill row `row` of out (about token row+1) from an object of alternatives, keyed "7" or
 * "token_id:7", each a number or {"logprob", "rank"}; `field[at]` is its name in errors.
 * `actual`: the log-probability of the actual token where the server said it apart, else NaN. */
rt_status tc_row_read(tc_response *out, const tc_request *q, int64_t row, const cJSON *alternatives, double actual, const char *field,
                      int64_t at);
/* The samples of the rest of a row that tc_row_read has filled. */
rt_status tc_row_tail(tc_response *out, const tc_request *q, int64_t row, const cJSON *ids, const char *field, int64_t at);
rt_status tc_row_entropy(tc_response *out, const tc_request *q, int64_t row, const cJSON *x, const char *field, int64_t at);
/* *id from a JSON number, checked against the vocabulary. */
rt_status tc_id_read(int32_t *id, const cJSON *x, int64_t vocab, const char *field, int64_t at);
/* *id from "token_id:7". */
rt_status tc_id_named(int32_t *id, const char *name, int64_t vocab, const char *field, int64_t at);
#endif
