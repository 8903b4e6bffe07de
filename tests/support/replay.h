/* replay.h -- a small model server for tests, in a thread of the test program.
 *
 * It responds like `retort serve`, with a fixed "model" whose probabilities are a function of the last token, or with given texts.
 * It can be told to misbehave.
 */
#ifndef TESTS_REPLAY_H
#define TESTS_REPLAY_H
#include "data/tokenizer.h"

enum { REPLAY_VOCAB = 320 };
extern const char replay_tokenizer[]; /* the SHA-256 that it reports unless replay_options has another */

typedef enum replay_fault {
    REPLAY_FINE,
    REPLAY_LIMIT, /* 429 with Retry-After: 1 (the first time), 0 */
    REPLAY_QUOTA, /* 429 insufficient_quota */
    REPLAY_500,
    REPLAY_503,
    REPLAY_401,     /* repeats the key in its message */
    REPLAY_401_ESC, /* the same, with its slashes and first letter escaped */
    REPLAY_CONTROL, /* 200, not JSON but terminal control sequences */
    REPLAY_400,
    REPLAY_CUT,       /* the connection breaks in the middle of the response */
    REPLAY_GARBAGE,   /* 200, not JSON */
    REPLAY_NAN,       /* a log-probability is NaN */
    REPLAY_POSITIVE,  /* a log-probability of +1 */
    REPLAY_SHORT,     /* one row is missing */
    REPLAY_HUGE_ID,   /* an id outside the vocabulary */
    REPLAY_OTHER_IDS, /* the prompt ids in the response differ */
    REPLAY_TAIL_TOP,  /* a tail sample is the most likely token */
    REPLAY_FEW,       /* fewer alternatives than requested */
    REPLAY_ERROR_200, /* status 200 with {"error": {"code": 429}} */
    REPLAY_NULL_TEXT, /* chat: "content" is null, and the finish reason explains it */
    REPLAY_NULL_MUTE, /* the same, without an explanation */
    REPLAY_DROP_K,    /* the k-th alternative is missing if the actual token is not among the k */
    REPLAY_RANKS,     /* all ranks are too large by one */
    REPLAY_RANK_LOW,  /* the last alternative also has rank 1 */
    REPLAY_ENTROPY,   /* the tail entropy does not fit the tail mass */
    REPLAY_NAMES,     /* token_ids and logprobs.tokens name different tokens */
    REPLAY_TWO,       /* two choices */
    REPLAY_TEXT       /* completions: the text differs from the ids */
} replay_fault;

typedef struct replay_options {
    replay_fault fault;
    int          faults;      /* number of first requests to /v1/completions with the fault; negative: all */
    double       delay;       /* seconds before each answer */
    int          plain;       /* 1: /v1/models reports only what vLLM does; no tail samples, no entropy */
    int64_t      max_len;     /* 0: 512 */
    const char  *tokenizer;   /* the reported identity; NULL: that of `words`, else replay_tokenizer */
    const char  *text;        /* the chat response; NULL: a different sentence per request */
    size_t       text_n;      /* its length; 0: up to its NUL */
    int          one_text;    /* 1: completions always generate the same tokens */
    const char  *only;        /* the fault applies only to requests whose body contains this; NULL: all */
    const char  *retry_after; /* Retry-After of REPLAY_LIMIT; NULL: "1" */
    const char  *finish;      /* finish_reason as JSON; NULL: "length" (completions), "stop" (chat) */

    const ds_tokenizer *words; /* decodes the ids of completions; NULL: their text is empty */
} replay_options;

typedef struct replay replay;

replay *replay_start(const replay_options *o); /* NULL: no port is free */
void    replay_stop(replay **r);
void    replay_set(replay *r, const replay_options *o);
int     replay_port(const replay *r);
int     replay_requests(const replay *r);                 /* number of completions requests so far */
int     replay_peak(const replay *r);                     /* largest number of them at once */
int     replay_saw_key(const replay *r, const char *key); /* 1: the last Authorization header was "Bearer key" */
#endif
