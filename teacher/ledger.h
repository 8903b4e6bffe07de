/* ledger.h -- every request and its response, on disk (SQLite).
 *
 * One row a request, keyed by what makes the response (tc_ledger_key).  A response that
 * was committed survives kill -9 and power loss.  One process at a time.  It is plain
 * SQL: SELECT state, count(*), sum(cost) FROM request GROUP BY state;  `answer` is zstd
 * where `size`, its bytes, is not NULL.
 */
#ifndef TC_LEDGER_H
#define TC_LEDGER_H
#include "core/hash.h"
#include "teacher/teacher.h"

typedef enum tc_state {
    TC_ABSENT   = 0,
    TC_FAILED   = 1, /* no response; `error` says why */
    TC_BAD      = 2, /* an invalid response, stored for inspection */
    TC_DONE     = 3,
    TC_IN_SHARD = 4 /* the response was removed (tc_ledger_prune): a shard holds it */
} tc_state;

typedef struct tc_entry {
    tc_state    state;
    int64_t     attempts; /* filled by tc_ledger_find; counted by tc_ledger_put */
    long        status;   /* HTTP, 0: none */
    const char *response; /* NULL: none */
    size_t      n;
    const char *error;                            /* NULL: none */
    int64_t     prompt_tokens, completion_tokens; /* -1: unknown */
    double      cost, seconds;                    /* NaN: unknown */
} tc_entry;

typedef struct tc_ledger tc_ledger;
/* Opens or creates a ledger.  RT_EFORMAT: the file is not a ledger; RT_EINVAL: another process uses it. */
rt_status   tc_ledger_open(tc_ledger **out, const char *path);
void        tc_ledger_close(tc_ledger **l);
void        tc_ledger_close_empty(tc_ledger **l); /* also deletes a ledger that this handle created and that has no request */
const char *tc_ledger_path(const tc_ledger *l);

/* SHA-256 of dialect, model, path and body.  The endpoint is left out, so that the same model
 * at another address continues the run. */
rt_status tc_ledger_key(char hex[RT_SHA_HEX], const char *dialect, const char *model, const char *path, const rt_buf *body);

/* The puts between begin and commit cost one fsync; they are durable after the commit. */
rt_status tc_ledger_begin(tc_ledger *l);
/* Commits if `st` is RT_OK, else rolls back.  Returns `st`, or the failure of the commit, after which the handle stays usable. */
rt_status tc_ledger_end(tc_ledger *l, rt_status st);
rt_status tc_ledger_put(tc_ledger *l, const char *key, const tc_entry *e); /* attempts + 1 */
/* Reads the entry of a request; e->state = TC_ABSENT if there is none.  `response` (may be
 * NULL) receives the body; e->response and e->error stay NULL. */
rt_status tc_ledger_find(tc_ledger *l, const char *key, tc_entry *e, rt_buf *response);
rt_status tc_ledger_count(tc_ledger *l, int64_t *done); /* requests with a response */

/* Named strings of the run itself (the probe). */
rt_status tc_ledger_note(tc_ledger *l, const char *name, const char *text);
rt_status tc_ledger_noted(tc_ledger *l, const char *name, rt_buf *text); /* empty: none */
#endif
