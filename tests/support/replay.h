/* replay.h -- a small model server for tests, in a thread of the test program.
 *
 * It answers like `retort serve`: a fixed "model" whose probabilities are a function of
 * the last token, or written answers.  It can be told to misbehave.
 */
#ifndef TESTS_REPLAY_H
#define TESTS_REPLAY_H
#include "data/data.h"

enum { REPLAY_VOCAB = 320 };
extern const char replay_tokenizer[]; /* the SHA-256 that it claims; replay_options may say another */

typedef enum replay_fault {
    REPLAY_FINE,
    REPLAY_LIMIT, /* 429 with Retry-After: 1 (the first time), 0 */
    REPLAY_QUOTA, /* 429 insufficient_quota */
    REPLAY_500,
    REPLAY_503,
    REPLAY_401,     /* repeats the key in its message */
    REPLAY_401_ESC, /* the same, its slashes and first letter escaped */
    REPLAY_CONTROL, /* 200, no JSON but commands to a terminal */
    REPLAY_400,
    REPLAY_CUT,       /* the connection breaks in the middle of the answer */
    REPLAY_GARBAGE,   /* 200, no JSON */
    REPLAY_NAN,       /* a log-probability is NaN */
    REPLAY_POSITIVE,  /* a log-probability of +1 */
    REPLAY_SHORT,     /* one row is missing */
    REPLAY_HUGE_ID,   /* an id above the vocabulary */
    REPLAY_OTHER_IDS, /* other prompt ids come back */
    REPLAY_TAIL_TOP,  /* a sample of the rest is the most likely token */
    REPLAY_FEW,       /* fewer alternatives than asked for */
    REPLAY_ERROR_200, /* status 200 with {"error": {"code": 429}} */
    REPLAY_NULL_TEXT, /* chat: "content" is null, the finish reason says why */
    REPLAY_NULL_MUTE, /* the same, and nothing says why */
    REPLAY_DROP_K,    /* the k-th alternative is missing where the actual token is none of the k */
    REPLAY_RANKS,     /* all ranks are one too many */
    REPLAY_RANK_LOW,  /* the last alternative has rank 1 too */
    REPLAY_ENTROPY,   /* the rest's entropy does not fit its mass */
    REPLAY_NAMES,     /* token_ids and logprobs.tokens name different tokens */
    REPLAY_TWO,       /* two choices */
    REPLAY_TEXT       /* completions: another text than the ids are */
} replay_fault;

typedef struct replay_options {
    replay_fault fault;
    int          faults;      /* of the first requests to /v1/completions; negative: all */
    double       delay;       /* seconds before each answer */
    int          plain;       /* /v1/models says no more than vLLM does; no samples, no entropy */
    int64_t      max_len;     /* 0: 512 */
    const char  *tokenizer;   /* the identity that is claimed; NULL: that of `words`, else replay_tokenizer */
    const char  *text;        /* what chat answers; NULL: a sentence of its own per request */
    size_t       text_n;      /* of it; 0: up to its NUL */
    int          one_text;    /* completions always write the same tokens */
    const char  *only;        /* the fault meets only requests whose body holds this; NULL: all */
    const char  *retry_after; /* of REPLAY_LIMIT; NULL: "1" */
    const char  *finish;      /* finish_reason as JSON; NULL: "length" (completions), "stop" (chat) */

    const ds_tokenizer *words; /* makes the text of what completions write; NULL: it is left empty */
} replay_options;

typedef struct replay replay;

replay *replay_start(const replay_options *o); /* NULL: no port */
void    replay_stop(replay **r);
void    replay_set(replay *r, const replay_options *o);
int     replay_port(const replay *r);
int     replay_asked(const replay *r);                    /* requests to completions so far */
int     replay_peak(const replay *r);                     /* most of them at once */
int     replay_saw_key(const replay *r, const char *key); /* the last Authorization header was "Bearer key" */
#endif
