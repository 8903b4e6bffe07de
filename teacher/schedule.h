/* schedule.h -- keep many requests in flight until every response is in the ledger. */
#ifndef TC_SCHEDULE_H
#define TC_SCHEDULE_H
#include "teacher/dialect.h"
#include "teacher/ledger.h"

enum { TC_NAME = 320, TC_MAX_RETRY_AFTER = 600 /* seconds; the longest wait, even if a server asks for more */ };

typedef struct tc_usage {
    int64_t prompt_tokens, completion_tokens, tokens;
} tc_usage; /* -1: unknown; tokens: in the record */

typedef enum tc_known { TC_NEW, TC_RECEIVED, TC_FAILED_BEFORE } tc_known; /* what the ledger says of a request */

typedef struct tc_work { /* n requests, each a pure function of its index */
    int64_t           n;
    const tc_dialect *dialect;
    const char       *path;
    rt_status (*write)(void *ud, int64_t i, rt_buf *body);
    /* Checks a response.  RT_EFORMAT "malformed response: ...": the request is sent again; RT_ECHECK: the server gives no
     * response to this request.  Called from several threads. */
    rt_status (*check)(void *ud, int64_t i, const rt_buf *response, tc_usage *u);
    rt_status (*name)(void *ud, int64_t i, char name[TC_NAME]); /* "document 7 of a.h5" */
    void *ud;
    char (*keys)[RT_SHA_HEX];
    const uint8_t *done;       /* tc_known; requests that failed in an earlier run are sent last, so that each run makes progress */
    int64_t        max_failed; /* more requests without a response end the run */
} tc_work;

/* Sends every request that is not done.  o gives in_flight, retries, prices, progress; r counts.
 * A request that is refused, or has failed more than o->retries times, is given up: the ledger stores the reason,
 * and the others continue.  RT_ENET: too many were given up, or the server is gone;
 * RT_EINTR: Ctrl-C.  All responses received so far are in the ledger. */
rt_status tc_schedule(tc_http *h, tc_ledger *l, const tc_work *w, const tc_options *o, const char *url, tc_report *r);
#endif
