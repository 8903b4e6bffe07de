/* run.h -- what every collection does: find the server, look up which responses are missing, request them,
 * and hand the responses over in the order of the input. */
#ifndef TC_RUN_H
#define TC_RUN_H
#include "core/json_write.h"
#include "teacher/ledger.h"
#include "teacher/probe.h"
#include "teacher/schedule.h"

typedef struct tc_source { /* n requests; make() is called from several threads */
    int64_t n;
    rt_status (*make)(void *ud, int64_t i, tc_request *q); /* q borrows from ud */
    rt_status (*name)(void *ud, int64_t i, char name[TC_NAME]);
    rt_status (*agree)(void *ud, const tc_response *x); /* fails if text and ids differ; NULL: not checked */
    void *ud;
} tc_source;

typedef struct tc_run {
    const tc_options *o;
    tc_endpoint       at;
    tc_http          *http;
    tc_ledger        *ledger;
    tc_server         server;
    tc_need           need;
    int               fresh; /* the server was probed in this run */
    int64_t           k, m;  /* of the record; 0, 0: text alone */
    int64_t           vocab; /* of the record: the server's where it says so */
    const tc_source  *source;
    char (*keys)[RT_SHA_HEX];
    uint8_t   *done; /* tc_known of each request */
    rt_buf     scratch;
    double     began;
    tc_report *report;
} tc_run;

/* Opens the ledger and reads the server's description from it; probes the server if there is none.  tokenizer: the input's.
 * RT_EMISMATCH: the server reports another tokenizer; RT_EINVAL: it does not give what is needed. */
rt_status tc_run_open(tc_run *r, const tc_options *o, const tc_need *need, const char *tokenizer, tc_report *report);
void      tc_run_close(tc_run *r);

/* Requests all responses of `source` that the ledger lacks.  `settings` is an open JSON object of what determines the shard besides
 * the requests; the member "requests", a hash, is added and the object ended.  If OUT exists: report->already is set if it was made
 * by these requests, else RT_EINVAL. */
rt_status tc_run_collect(tc_run *r, const tc_source *source, rt_json_writer *settings);

/* Makes request i with the settings of this run.  Called from several threads. */
rt_status tc_run_request(tc_run *r, int64_t i, tc_request *q);
/* Calls take() with every response in the order of the input; parsed in parallel.  Requests without a response are skipped. */
typedef rt_status (*tc_take)(void *ud, int64_t i, const tc_response *x, const tc_entry *e);
rt_status tc_run_responses(tc_run *r, tc_take take, void *ud);

/* The attributes of the shard that this run writes. */
rt_status tc_run_info(tc_run *r, ds_info *info, const char *tokenizer, const char *settings);
void      tc_run_report(tc_run *r); /* bytes and seconds, at the end */
#endif
