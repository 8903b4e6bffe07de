/* schedule.c -- keep many requests in flight until every response is in the ledger.
 *
 * The number in flight grows by one per window of successes and halves when a reply
 * is classified as TC_SLOW_DOWN.  A failed request waits in its place (exponential backoff with jitter, at
 * least as long as the server asks): no more than `in_flight` requests are ever under way,
 * waiting ones included.  Each round of replies is checked in parallel and committed at once.
 * A request that gets no response does not end the run; a server that gives none does.
 */
#include "teacher/schedule.h"
#include "core/clock.h"
#include "core/rng.h"
#include "core/threads.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUND = 64, STREAK = 16 /* so many consecutive failed requests mean that the server has failed */ };
#define MAX_DELAY           60.0
#define LONG_WAIT           5.0
#define DRAIN_AFTER_FAILURE 30.0 /* seconds that responses in flight (already paid for) may still take */
#define DRAIN_AFTER_SIGNAL  2.0  /* also where no more will come */

typedef enum job_state { FREE, FLYING, WAITING } job_state;

typedef struct job {
    job_state state;
    int64_t   i;
    int64_t   failures;
    double    due;
} job;

typedef struct outcome { /* of one reply of a round */
    tc_outcome of;
    tc_usage   usage;
} outcome;

typedef struct run {
    tc_http          *http;
    tc_ledger        *ledger;
    const tc_work    *work;
    const tc_options *o;
    const char       *url;
    tc_report        *report;
    job              *jobs;
    int64_t           next;   /* first request not yet looked at in this pass */
    tc_known          pass;   /* TC_NEW, TC_FAILED_BEFORE, then TC_RECEIVED: nothing is left to send */
    int64_t           streak; /* given up since the last good response */
    double            window; /* how many may fly */
    double            pause;  /* nothing is sent before this time */
    double            said;   /* end of the last wait that was reported */
    char              reason[600];
    rt_rng            jitter;
    double            began;
    int64_t           tokens;
    int               first; /* index of the first reply that is being checked */
    tc_reply          replies[ROUND];
    outcome           outcomes[ROUND];
    int               disconnected;          /* the server cannot be reached any more */
    rt_status         stopped;               /* why nothing more is sent */
    char              why[1024], last[1024]; /* last: why the last request was given up */
} run;

static int64_t schedule_count(const run *r, job_state s)
{
    int64_t n = 0;
    for (int64_t j = 0; j < r->o->in_flight; j++) n += r->jobs[j].state == s;
    return n;
}

/* ---- sending ----------------------------------------------------------------------------- */

static rt_status send_job(run *r, job *j)
{
    rt_buf    body = {0};
    rt_status st   = r->work->write(r->work->ud, j->i, &body);
    if (st == RT_OK) st = tc_http_send(r->http, r->work->path, &body, j - r->jobs);
    rt_buf_free(&body);
    if (st == RT_OK) j->state = FLYING;
    return st;
}

/* Returns the next request to send, -1 if there is none. */
static int64_t next_request(run *r)
{
    const tc_work *w = r->work;
    while (r->pass != TC_RECEIVED) {
        while (r->next < w->n && w->done[r->next] != r->pass) r->next++;
        if (r->next < w->n) return r->next++;
        r->pass = r->pass == TC_NEW ? TC_FAILED_BEFORE : TC_RECEIVED;
        r->next = 0;
    }
    return -1;
}

static rt_status schedule_fill(run *r, double now)
{
    int64_t flying = schedule_count(r, FLYING);
    if (now < r->pause) return RT_OK;
    for (int64_t n = 0; n < r->o->in_flight && flying < (int64_t)r->window; n++) {
        job *j = &r->jobs[n];
        if (j->state == FREE) {
            const int64_t i = next_request(r);
            if (i < 0) continue;
            *j = (job){.i = i};
        } else if (j->state == FLYING || j->due > now) {
            continue;
        }
        RT_TRY(send_job(r, j));
        flying++;
    }
    return RT_OK;
}

/* ---- receiving ---------------------------------------------------------------------------- */

static void check_one(int64_t i, int thread, void *ud)
{
    run            *r     = ud;
    const int64_t   n     = r->first + i;
    const tc_reply *reply = &r->replies[n];
    outcome        *v     = &r->outcomes[n];
    (void)thread;
    *v = (outcome){.usage = {-1, -1, 0}};
    r->work->dialect->classify(&v->of, reply);
    if (v->of.what == TC_ACCEPT) {
        const rt_status st = r->work->check(r->work->ud, r->jobs[reply->tag].i, &reply->body, &v->usage);
        if (st == RT_OK) return;
        v->of.what = st == RT_ECHECK ? TC_REFUSED : TC_RETRY;
        snprintf(v->of.text, sizeof v->of.text, "%s", rt_error_text());
    }
    tc_http_scrub(r->http, v->of.text); /* a second time, since decoding may have assembled an escaped key */
}

/* Checks all n replies, as many at once as TC_PARSED allows. */
static void schedule_check_all(run *r, int n)
{
    for (int end = r->first = 0; r->first < n; r->first = end) {
        size_t bytes = r->replies[end++].body.len;
        while (end < n && (bytes += r->replies[end].body.len) <= TC_PARSED) end++;
        rt_parallel(end - r->first, check_one, r);
    }
}

static double cost_of(const run *r, const tc_usage *u)
{
    if (u->prompt_tokens < 0 || u->completion_tokens < 0) return (double)NAN;
    return 1e-6 * ((double)u->prompt_tokens * r->o->price_in + (double)u->completion_tokens * r->o->price_out);
}

static rt_status schedule_keep(run *r, int n)
{
    const tc_reply *reply = &r->replies[n];
    const outcome  *v     = &r->outcomes[n];
    const int       came  = reply->status >= 200 && reply->status < 300;
    const tc_entry  e     = {.state             = v->of.what == TC_ACCEPT ? TC_DONE
                                                  : came                  ? TC_BAD
                                                                          : TC_FAILED,
                             .status            = reply->status,
                             .response          = came ? reply->body.p : NULL,
                             .n                 = reply->body.len,
                             .error             = v->of.what == TC_ACCEPT ? NULL : v->of.text,
                             .prompt_tokens     = v->usage.prompt_tokens,
                             .completion_tokens = v->usage.completion_tokens,
                             .cost              = v->of.what == TC_ACCEPT ? cost_of(r, &v->usage) : (double)NAN,
                             .seconds           = reply->seconds};
    return tc_ledger_put(r->ledger, r->work->keys[r->jobs[reply->tag].i], &e);
}

static rt_status keep_range(run *r, int from, int to)
{
    rt_status st = tc_ledger_begin(r->ledger);
    for (int i = from; st == RT_OK && i < to; i++) st = schedule_keep(r, i);
    return tc_ledger_end(r->ledger, st);
}

/* Responses are durable before they are counted.  If the disk has no room for all of a round, those that fit are kept. */
static rt_status schedule_keep_all(run *r, int n)
{
    rt_status first = RT_OK;
    if (keep_range(r, 0, n) == RT_OK) return RT_OK;
    for (int i = 0; i < n; i++) {
        const rt_status st = keep_range(r, i, i + 1);
        if (first == RT_OK) first = st;
    }
    return first;
}

static void schedule_stop(run *r, rt_status why, const char *text)
{
    if (r->stopped != RT_OK) return; /* the first reason is reported */
    r->stopped = why;
    snprintf(r->why, sizeof r->why, "%s", text);
}

/* Writes "URL failed 4 times for document 7 of a.h5, last: ...". */
static void schedule_describe(const run *r, const job *j, const outcome *v, char *text, size_t n)
{
    char name[TC_NAME];
    if (r->work->name(r->work->ud, j->i, name) != RT_OK) snprintf(name, sizeof name, "request %lld", (long long)j->i);
    if (v->of.what == TC_STOP || v->of.what == TC_REFUSED) snprintf(text, n, "%s refused %s: %s", r->url, name, v->of.text);
    else snprintf(text, n, "%s failed %lld times for %s; last failure: %s", r->url, (long long)j->failures, name, v->of.text);
}

/* Returns 1 if this failure ends the run.  `text`: added to the error message. */
static int ends_the_run(run *r, const outcome *v, int responded, char *text, size_t n)
{
    const int64_t streak = r->o->in_flight > STREAK ? r->o->in_flight : STREAK, failed = r->report->failed;
    *text = '\0';
    if (v->of.what == TC_STOP) return 1;
    r->disconnected = !responded && !tc_http_alive(r->http, r->work->dialect->models_path);
    if (r->disconnected) return 1;
    if (failed > r->work->max_failed)
        snprintf(text, n, "; %lld requests failed, but at most %lld may fail (--max-failed)", (long long)failed,
                 (long long)r->work->max_failed);
    else if (r->streak >= streak) snprintf(text, n, "; the last %lld requests have all failed", (long long)r->streak);
    return *text != '\0';
}

static void schedule_give_up(run *r, job *j, const outcome *v, int responded)
{
    char text[sizeof r->why], more[128];
    schedule_describe(r, j, v, text, sizeof text - sizeof more);
    r->report->failed++;
    r->streak++;
    tc_tally_add(&r->report->failures, v->of.text, 1);
    snprintf(r->last, sizeof r->last, "%s", text);
    if (r->stopped == RT_OK && ends_the_run(r, v, responded, more, sizeof more)) schedule_stop(r, RT_ENET, strcat(text, more));
    *j = (job){0};
}

static void accept(run *r, job *j, const outcome *v)
{
    *j        = (job){0};
    r->streak = 0;
    r->report->received++;
    r->tokens += v->usage.tokens;
    if (v->usage.prompt_tokens > 0) r->report->prompt_tokens += v->usage.prompt_tokens;
    if (v->usage.completion_tokens > 0) r->report->completion_tokens += v->usage.completion_tokens;
    const double cost = cost_of(r, &v->usage);
    if (cost > 0) r->report->cost += cost;
    r->window = fmin((double)r->o->in_flight, r->window + 1 / r->window);
}

static void again(run *r, job *j, const tc_outcome *v, double now)
{
    const double base = fmin(MAX_DELAY, r->o->retry_base * pow(2, (double)j->failures));
    double       wait = base * (0.5 + 0.5 * rt_rng_uniform(&r->jitter));
    if (v->wait > 0) wait = fmax(wait, fmin(v->wait, TC_MAX_RETRY_AFTER));
    if (v->what == TC_SLOW_DOWN && v->wait > 0) r->pause = fmax(r->pause, now + fmin(v->wait, TC_MAX_RETRY_AFTER));
    snprintf(r->reason, sizeof r->reason, "%s", v->text);
    if (v->wait > LONG_WAIT) snprintf(r->reason + strlen(r->reason), 40, " (the server asks for %.0f s)", fmin(v->wait, 1e15));
    j->state = WAITING;
    j->due   = now + wait;
    j->failures++;
}

static void decide(run *r, int n)
{
    const double now  = rt_now();
    int          slow = 0;
    for (int i = 0; i < n; i++) {
        const outcome *v = &r->outcomes[i];
        job           *j = &r->jobs[r->replies[i].tag];
        slow |= v->of.what == TC_SLOW_DOWN;
        if (v->of.what == TC_ACCEPT) accept(r, j, v);
        else again(r, j, &v->of, now);
        const int final = v->of.what == TC_STOP || v->of.what == TC_REFUSED;
        if (final || (v->of.what != TC_ACCEPT && j->failures > r->o->retries)) schedule_give_up(r, j, v, r->replies[i].status != 0);
    }
    if (slow) r->window = fmax(1, r->window / 2); /* once a round: one overload delays many requests */
}

static void schedule_show(const run *r)
{
    char         extra[160];
    const double now = rt_now(), spent = now - r->began;
    if (!r->o->progress) return;
    snprintf(extra, sizeof extra, "%d in flight, %.0f tokens/s", tc_http_in_flight(r->http), spent > 0 ? (double)r->tokens / spent : 0);
    if (r->pause > now + 1) snprintf(extra, sizeof extra, "waiting %.0f s: %.100s", r->pause - now, r->reason);
    rt_progress_at(r->o->progress, r->report->known + r->report->received, extra);
}

static rt_status schedule_receive(run *r, double seconds)
{
    int n = 0;
    RT_TRY(tc_http_wait(r->http, seconds, r->replies, ROUND, &n));
    rt_status st = RT_OK;
    if (n) {
        schedule_check_all(r, n);
        st = schedule_keep_all(r, n);
        if (st == RT_OK) decide(r, n);
    }
    for (int i = 0; i < n; i++) rt_buf_free(&r->replies[i].body);
    schedule_show(r);
    return st;
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* Returns the time of the next retry; infinity: none waits. */
static double next_due(const run *r)
{
    double t = (double)INFINITY;
    for (int64_t j = 0; j < r->o->in_flight; j++)
        if (r->jobs[j].state == WAITING) t = fmin(t, r->jobs[j].due);
    return fmax(t, r->pause);
}

/* Reports a long wait once, if nothing else is in flight. */
static void say_wait(run *r, double now)
{
    const double t = next_due(r);
    if (!r->o->progress || tc_http_in_flight(r->http) || !isfinite(t) || t < now + LONG_WAIT || t < r->said + 1) return;
    r->said = t;
    rt_progress_say(r->o->progress, "waiting %.0f s before the next request to %s: %s", t - now, r->url, r->reason);
}

static double until_due(const run *r, double now)
{
    const double t = fmin(next_due(r), now + 0.2); /* how soon Ctrl-C is noticed */
    return t > now ? t - now : 0.001;
}

/* Receives the responses in flight, for a limited time. */
static rt_status drain(run *r)
{
    const double end = rt_now() + (r->stopped == RT_EINTR || r->disconnected ? DRAIN_AFTER_SIGNAL : DRAIN_AFTER_FAILURE);
    while (tc_http_in_flight(r->http) && rt_now() < end) {
        if (rt_interrupted() && r->stopped != RT_EINTR) break;
        RT_TRY(schedule_receive(r, 0.1));
    }
    return RT_OK;
}

static rt_status schedule_loop(run *r)
{
    for (;;) {
        const double now = rt_now();
        if (rt_interrupted()) schedule_stop(r, RT_EINTR, "interrupted");
        if (r->stopped != RT_OK) return drain(r);
        RT_TRY(schedule_fill(r, now));
        if (r->pass == TC_RECEIVED && !schedule_count(r, FLYING) && !schedule_count(r, WAITING)) break;
        say_wait(r, now);
        RT_TRY(schedule_receive(r, until_due(r, now)));
    }
    if (!r->report->known && !r->report->received) schedule_stop(r, RT_ENET, r->last);
    return RT_OK;
}

rt_status tc_schedule(tc_http *h, tc_ledger *l, const tc_work *w, const tc_options *o, const char *url, tc_report *report)
{
    run *r = NULL;
    RT_TRY(RT_NEW(r, 1));
    *r = (run){.http = h, .ledger = l, .work = w, .o = o, .url = url, .report = report, .window = (double)o->in_flight, .began = rt_now()};
    r->jitter.s  = rt_mix2(o->seed, (uint64_t)rt_unix_time());
    rt_status st = RT_NEW(r->jobs, o->in_flight);
    if (st == RT_OK) st = schedule_loop(r);
    if (st == RT_OK && r->stopped != RT_OK)
        st = rt_fail(r->stopped, __FILE__, __LINE__, "%s; %lld of %lld responses are safe in %s; run the same command again to continue",
                     r->why, (long long)(report->known + report->received), (long long)w->n, tc_ledger_path(l));
    free(r->jobs);
    free(r);
    return st;
}
