/* responses.c -- reads the responses of a run from the ledger in the order of the input, block by block, each parsed in parallel. */
#include "core/clock.h"
#include "core/threads.h"
#include "teacher/run.h"
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 32 /* responses parsed at once, at most */ };

typedef struct block {
    tc_run     *run;
    int64_t     first;
    rt_buf      reply[BLOCK];
    tc_response x[BLOCK];
    tc_entry    e[BLOCK];
    rt_status   st[BLOCK];
    char        why[BLOCK][256];
} block;

static void parse(int64_t n, int thread, void *ud)
{
    block     *b = ud;
    tc_request q;
    (void)thread;
    b->st[n] = RT_OK;
    if (b->e[n].state != TC_DONE) return;
    b->st[n] = tc_run_request(b->run, b->first + n, &q);
    if (b->st[n] == RT_OK) b->st[n] = b->run->server.dialect->read(&b->x[n], b->run->server.dialect, &q, &b->reply[n]);
    if (b->st[n] != RT_OK) snprintf(b->why[n], sizeof b->why[n], "%s", rt_error_text());
}

/* Reads the responses from b->first on that are parsed together; *n of at most BLOCK. */
static rt_status responses_read_block(block *b, int64_t *n)
{
    const int64_t left  = b->run->source->n - b->first;
    size_t        bytes = 0;
    *n                  = 0;
    for (int64_t i = 0; i < left && i < BLOCK; i++) {
        RT_TRY(tc_ledger_find(b->run->ledger, b->run->keys[b->first + i], &b->e[i], &b->reply[i]));
        bytes += b->reply[i].len;
        if (i && bytes > TC_PARSED) break;
        *n = i + 1;
    }
    return RT_OK;
}

static rt_status hand_over(block *b, int64_t *read, tc_take take, void *ud)
{
    char text[TC_NAME];
    RT_TRY(responses_read_block(b, read));
    const int64_t n = *read;
    rt_parallel(n, parse, b);
    for (int64_t i = 0; i < n; i++) {
        if (b->st[i] != RT_OK) {
            RT_TRY(b->run->source->name(b->run->source->ud, b->first + i, text));
            RT_FAIL(b->st[i], "%s: the stored response for %s: %s", tc_ledger_path(b->run->ledger), text, b->why[i]);
        }
        if (b->e[i].state == TC_DONE) RT_TRY(take(ud, b->first + i, &b->x[i], &b->e[i]));
    }
    return RT_OK;
}

rt_status tc_run_responses(tc_run *r, tc_take take, void *ud)
{
    block    *b  = NULL;
    rt_status st = RT_OK;
    RT_TRY(RT_NEW(b, 1));
    b->run = r;
    for (int64_t n = 0; st == RT_OK && b->first < r->source->n; b->first += n) {
        st = hand_over(b, &n, take, ud);
        for (int64_t j = 0; j < BLOCK; j++) tc_response_free(&b->x[j]), rt_buf_free(&b->reply[j]);
        if (st == RT_OK && rt_interrupted())
            st = rt_fail(RT_EINTR, __FILE__, __LINE__,
                         "interrupted while %s was being written; all responses are safe in %s; run the same command again to continue",
                         r->o->out, tc_ledger_path(r->ledger));
    }
    free(b);
    return st;
}
