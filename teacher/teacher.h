/* teacher.h -- requests text and probabilities from model servers.  libcurl and SQLite stay
 * inside teacher/.
 *
 * A run is a list of requests, each a pure function of the input, the options and its
 * index.  Every response is in the ledger, on disk, before it counts as received; the
 * shard is written at the end, in the order of the input, from the ledger alone.  A request
 * without a response is left out and counted; too many of them end the run.  A run that was
 * killed at any moment is continued by running it again: it sends only the missing requests
 * and ends with the same shard (the same digest).
 */
#ifndef TC_TEACHER_H
#define TC_TEACHER_H
#include "core/options.h"
#include "core/progress.h"

/* The kinds of servers, a file dialect_NAME.c each (dialect.h).  --dialect auto takes the first one that recognises the server;
 * vllm recognises every server and stays the last. */
#define TC_DIALECTS(X) \
    X(retort)          \
    X(vllm)
#define TC_DIALECT_COMMA(name) ", " #name
#define TC_DIALECT_NAMES       "auto" TC_DIALECTS(TC_DIALECT_COMMA)

/* The options of every command that collects from a teacher. */
typedef struct tc_options {
    const char  *teacher;      /* http://HOST:PORT or https://HOST/PATH; a trailing /v1 may stand or not */
    const char  *model;        /* NULL: the first that /v1/models names */
    const char  *dialect;      /* "auto" or a name of TC_DIALECTS; NULL: auto */
    const char  *key_env;      /* name of the environment variable that holds the key; NULL: RETORT_API_KEY if set */
    const char  *key_file;     /* a file of mode 0600 that holds it; NULL: none */
    int          key_in_clear; /* send the key over plain http to another machine */
    const char  *out;          /* the shard to write */
    const char  *ledger;       /* NULL: OUT.ledger */
    const char  *tokenizer;    /* directory; NULL: none (tc_score only) */
    int64_t      k, m;         /* most likely entries, and tail samples, per row; m < 0: 8 if the teacher draws them, else 0 */
    int64_t      vocab;        /* entries of the teacher's vocabulary; 0: what the server says, else the input's */
    int64_t      in_flight;    /* most requests at once: 1 .. 1024 */
    int64_t      retries;      /* of one request, before it is given up */
    const char  *max_failed;   /* "20" or "1%": more requests given up end the run; NULL: 5%, and at least 10 */
    double       retry_base;   /* seconds before the first retry; doubles, up to 60 */
    double       timeout;      /* seconds for one request */
    uint64_t     seed;
    double       price_in, price_out; /* money per million tokens; 0: free */
    rt_progress *progress;            /* may be NULL */
} tc_options;
/* The defaults: k 8, m -1, 16 in flight, 8 retries from 0.5 s, 600 s, seed 0. */
tc_options tc_options_default(void);

typedef struct tc_tally { /* how often each of a few words occurred; further words are counted as "others" */
    char    name[8][160];
    int64_t n[8];
    int     used;
} tc_tally;
void tc_tally_add(tc_tally *t, const char *name, int64_t n);

typedef struct tc_report {                     /* what a run did */
    int64_t  received, known;                  /* responses received by this run, and found in the ledger */
    int64_t  failed;                           /* requests without a response: the shard lacks them */
    tc_tally failures;                         /* their reasons; empty if an earlier run sent them */
    int64_t  documents, tokens;                /* written */
    int64_t  duplicates, short_ones;           /* texts dropped (tc_textbook) */
    tc_tally ends;                             /* texts kept out by how they ended (tc_textbook) */
    int64_t  prompt_tokens, completion_tokens; /* as the server counted them; 0 where it does not say */
    int64_t  bytes;                            /* of the shard */
    double   seconds, cost;
    int      already; /* OUT existed and was made from the same requests */
} tc_report;

/* Score documents: text (or soft) shards in, one soft shard out (rows as data/shard.h says).
 * RT_EMISMATCH: the teacher has another tokenizer, or the ledger another teacher.
 * RT_EINVAL: a document (named) is longer than the teacher's context; OUT exists and was made from
 * other requests.  RT_ENET: the server failed; the responses received are in the
 * ledger.  RT_EINTR: Ctrl-C; the same holds. */
rt_status tc_score(const tc_options *o, const rt_strings *shards, tc_report *r);

typedef struct tc_textbook_options {
    const char *recipe;     /* a JSON file: docs/teachers.md */
    int64_t     count;      /* texts to ask for */
    int64_t     min_tokens; /* shorter ones are dropped */
    int64_t     max_tokens; /* 0: the recipe's */
    rt_strings  finish;     /* finish reasons of the texts to keep, "none" for a missing one; empty: those of complete texts */
    int text_only; /* a text shard without probabilities; a chat recipe then sends messages, else ids by the tokenizer's chat template */
} tc_textbook_options;
/* Let the teacher write: request i of `count` has the seed hash(run seed, i). */
rt_status tc_textbook(const tc_options *o, const tc_textbook_options *t, tc_report *r);

/* What a ledger holds. */
typedef struct tc_ledger_stats {
    int64_t  done, in_shard, bad, failed; /* requests: with a response, with a pruned one, with a bad one, with none */
    tc_tally reasons;                     /* of the last two */
    int64_t  responses, kept;             /* bytes of responses: as received, as stored */
    int64_t  file;                        /* bytes of the file */
    int64_t  prompt_tokens, completion_tokens;
    double   cost, seconds; /* seconds: of all requests, one after another */
} tc_ledger_stats;
rt_status tc_ledger_look(const char *path, tc_ledger_stats *s); /* a ledger that is there; RT_ENOENT */
/* Makes a ledger smaller: compresses the responses that an older version stored uncompressed, removes the bad ones and, if
 * `shard` (may be NULL) is valid, those that the shard holds.  The rows of the requests stay. */
rt_status tc_ledger_prune(const char *path, const char *shard);

/* Appends "NAME VERSION" lines of the libraries behind this folder. */
rt_status tc_library_versions(rt_buf *out);
#endif
