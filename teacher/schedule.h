/* schedule.h -- keep many requests in flight until every answer is in the ledger. */
#ifndef TC_SCHEDULE_H
#define TC_SCHEDULE_H
#include "teacher/http.h"
#include "teacher/ledger.h"

enum { TC_NAME = 320 };

typedef struct tc_usage {
    int64_t prompt_tokens, completion_tokens, tokens;
} tc_usage; /* -1: unknown; tokens: in the record */

typedef struct tc_work { /* n requests, each a pure function of its index */
    int64_t     n;
    const char *path;
    rt_status (*ask)(void *ud, int64_t i, rt_buf *body);
    /* Is this answer sound?  RT_EFORMAT "server answered ...".  From several threads. */
    rt_status (*check)(void *ud, int64_t i, const rt_buf *answer, tc_usage *u);
    rt_status (*name)(void *ud, int64_t i, char name[TC_NAME]); /* "document 7 of a.h5" */
    void *ud;
    char (*keys)[RT_SHA_HEX];
    const uint8_t *done; /* 1: the ledger has the answer */
} tc_work;

/* Ask for everything that is not done.  o gives in_flight, retries, prices, progress.
 * r counts.  RT_ENET, RT_EINTR: some answers are missing, all that came are safe. */
rt_status tc_schedule(tc_http *h, tc_ledger *l, const tc_work *w, const tc_options *o, const char *url, tc_report *r);

typedef enum tc_verdict { TC_ACCEPT, TC_RETRY, TC_SLOW_DOWN, TC_STOP } tc_verdict;
/* What an answer's status asks for (TC_ACCEPT: look at the body). */
tc_verdict tc_judge(const tc_reply *reply);
/* "HTTP 429: Rate limit reached" or "connection refused": one line, the server's message capped. */
void tc_describe(const tc_reply *reply, char *text, size_t n);
#endif
