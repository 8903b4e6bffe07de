/* run.c -- what every collection does: find the server, look up which responses are missing, request them,
 * and hand the responses over in the order of the input.
 *
 * A ledger belongs to one teacher, whose probe it keeps.  A run without missing responses
 * needs no server, and a continued run detects a changed server.
 */
#include "teacher/run.h"
#include "core/clock.h"
#include "core/file.h"
#include "data/tokenizer.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- options ------------------------------------------------------------------------------ */

tc_options tc_options_default(void)
{
    return (tc_options){.dialect = "auto", .k = 8, .m = -1, .in_flight = 16, .retries = 8, .retry_base = 0.5, .timeout = 600};
}

/* Parses "20" or "1%" of n requests; NULL: 5%, at least 10. */
static rt_status max_failed(int64_t *most, const char *text, int64_t n)
{
    char        *end = NULL;
    const double v   = text ? strtod(text, &end) : 0;
    if (!text) *most = n / 20 > 10 ? n / 20 : 10;
    else if (end != text && !strcmp(end, "%") && v >= 0 && v <= 100) *most = (int64_t)(v / 100 * (double)n);
    else if (end != text && !*end && v >= 0 && v < 1e15 && v == floor(v)) *most = (int64_t)v;
    else RT_FAIL(RT_EINVAL, "--max-failed %.40s: expected a number of requests or a share such as 1%%", text);
    return RT_OK;
}

static rt_status run_check_options(const tc_options *o, int64_t k, int64_t m)
{
    RT_CHECK(o->out && *o->out, RT_EINVAL, "--out: expected the name of the shard to write");
    RT_CHECK(k >= 0 && k <= TC_MAX_K, RT_EINVAL, "--k %lld: expected 1 to %d", (long long)k, (int)TC_MAX_K);
    RT_CHECK(m >= -1 && m <= TC_MAX_M, RT_EINVAL, "--m %lld: expected 0 to %d", (long long)m, (int)TC_MAX_M);
    RT_CHECK(o->in_flight >= 1 && o->in_flight <= TC_MAX_IN_FLIGHT, RT_EINVAL, "--in-flight %lld: expected 1 to %d",
             (long long)o->in_flight, (int)TC_MAX_IN_FLIGHT);
    RT_CHECK(o->retries >= 0 && o->retries <= 1000, RT_EINVAL, "--retries %lld: expected 0 to 1000", (long long)o->retries);
    RT_CHECK(o->timeout > 0 && o->timeout < 1e6, RT_EINVAL, "--timeout %g: expected a positive number of seconds", o->timeout);
    RT_CHECK(o->price_in >= 0 && o->price_out >= 0, RT_EINVAL, "--price-in and --price-out must not be negative");
    int64_t n;
    return max_failed(&n, o->max_failed, 1);
}

/* ---- the server --------------------------------------------------------------------------- */

static rt_status from_ledger(tc_run *r)
{
    RT_TRY(tc_ledger_noted(r->ledger, "probe", &r->scratch));
    if (!r->scratch.len) return RT_OK;
    RT_TRY(tc_server_read(&r->server, &r->scratch));
    const tc_options *o       = r->o;
    const char       *dialect = r->server.dialect->name;
    RT_CHECK(!o->model || !strcmp(o->model, r->server.model), RT_EMISMATCH,
             "--model %.100s: the ledger %s is of the model %s; choose another --ledger", o->model, tc_ledger_path(r->ledger),
             r->server.model);
    RT_CHECK(!o->dialect || !strcmp(o->dialect, "auto") || !strcmp(o->dialect, dialect), RT_EMISMATCH,
             "--dialect %.40s: the ledger %s is of dialect %s; choose another --ledger", o->dialect, tc_ledger_path(r->ledger), dialect);
    return tc_dialect_gives(r->server.dialect, &r->need);
}

/* *same: the server's tokenizer has the noted identity or file hash.  If what it reports does not decide this, the tokenizer of
 * --tokenizer does. */
static rt_status is_tokenizer(const tc_run *r, const tc_server *s, const char *noted, int *same)
{
    ds_tokenizer *t = NULL;
    *same = !*s->tokenizer || !*noted || !strcmp(s->tokenizer, noted) || !strcmp(s->files[0], noted) || !strcmp(s->files[1], noted);
    if (*same || !r->o->tokenizer) return RT_OK;
    RT_TRY(ds_tokenizer_load(&t, r->o->tokenizer));
    *same = ds_tokenizer_same(t, s->tokenizer, noted);
    ds_tokenizer_destroy(&t);
    return RT_OK;
}

static rt_status same_server(const tc_run *r, const tc_server *a, const tc_server *b)
{
    const char *path = tc_ledger_path(r->ledger);
    RT_CHECK(!strcmp(a->model, b->model), RT_EMISMATCH,
             "%s now serves the model %s, but the ledger %s is of the model %s; choose another --ledger", r->at.url, b->model, path,
             a->model);
    int same = 0;
    RT_TRY(is_tokenizer(r, b, a->tokenizer, &same));
    if (!same) RT_TRY(is_tokenizer(r, a, b->tokenizer, &same));
    RT_CHECK(same, RT_EMISMATCH, "%s now has the tokenizer %s, but the ledger %s is of the tokenizer %s; choose another --ledger",
             r->at.url, b->tokenizer, path, a->tokenizer);
    RT_CHECK(a->dialect == b->dialect && a->vocab == b->vocab, RT_EMISMATCH,
             "%s now has dialect %s and %lld tokens, but the ledger %s is of dialect %s and %lld tokens; choose another --ledger",
             r->at.url, b->dialect->name, (long long)b->vocab, path, a->dialect->name, (long long)a->vocab);
    return RT_OK;
}

/* Notes that the server computes in another way than when the ledger was begun: the last bits of its probabilities differ. */
static void say_other_bits(const tc_run *r, const tc_server *a, const tc_server *b)
{
    const int dtype = *a->dtype && *b->dtype && strcmp(a->dtype, b->dtype) != 0,
              gemm  = *a->gemm && *b->gemm && strcmp(a->gemm, b->gemm) != 0;
    if (dtype || gemm)
        rt_note("%s now computes with %s %s, but the responses in the ledger %s were computed with %s: bits will differ", r->at.url,
                dtype ? "dtype" : "gemm", dtype ? b->dtype : b->gemm, tc_ledger_path(r->ledger), dtype ? a->dtype : a->gemm);
}

/* Probes the server.  The ledger stores the result of the first probe. */
static rt_status probe_server(tc_run *r)
{
    tc_server s = {0};
    RT_TRY(tc_probe(&s, r->http, &r->at, r->o, &r->need, !r->server.scores));
    r->fresh = 1;
    if (r->server.dialect) {
        RT_TRY(same_server(r, &r->server, &s));
        return say_other_bits(r, &r->server, &s), RT_OK;
    }
    r->server = s;
    RT_TRY(tc_server_text(&s, &r->scratch));
    return tc_ledger_note(r->ledger, "probe", r->scratch.p);
}

static rt_status check_server(tc_run *r, const char *tokenizer)
{
    const tc_server *s = &r->server;
    int              same;
    RT_TRY(is_tokenizer(r, s, tokenizer, &same));
    RT_CHECK(same, RT_EMISMATCH,
             "%s has the tokenizer %s, but the input was made with %s; use the teacher's tokenizer.json for both, or, if one of them is of "
             "an older version, pass its folder with --tokenizer",
             r->at.url, s->tokenizer, tokenizer);
    r->vocab = s->vocab ? s->vocab : r->need.vocab;
    r->k     = r->need.k;
    r->m     = !r->k ? 0 : r->need.m >= 0 ? r->need.m : s->dialect->tails ? 8 : 0;
    return RT_OK;
}

static rt_status open_ledger(tc_run *r)
{
    rt_buf    path = {0};
    rt_status st   = r->o->ledger ? rt_buf_str(&path, r->o->ledger) : rt_buf_fmt(&path, "%s.ledger", r->o->out);
    if (st == RT_OK && rt_file_exists(r->o->out) && !rt_file_exists(path.p))
        st = rt_fail(RT_EINVAL, __FILE__, __LINE__,
                     "%s exists already, but its ledger (%s) does not; remove the shard or choose another --out", r->o->out, path.p);
    if (st == RT_OK) st = tc_ledger_open(&r->ledger, path.p);
    rt_buf_free(&path);
    return st;
}

static rt_status run_open_all(tc_run *r, const char *tokenizer)
{
    RT_TRY(run_check_options(r->o, r->need.k, r->need.m));
    RT_TRY(tc_endpoint_make(&r->at, r->o));
    RT_TRY(tc_http_create(&r->http, &r->at));
    RT_TRY(open_ledger(r));
    RT_TRY(from_ledger(r));
    if (!r->server.dialect) RT_TRY(probe_server(r));
    return check_server(r, tokenizer);
}

rt_status tc_run_open(tc_run *out, const tc_options *o, const tc_need *need, const char *tokenizer, tc_report *report)
{
    tc_run r = {.o = o, .need = *need, .report = report, .began = rt_now()};
    if (o->vocab > need->vocab) r.need.vocab = o->vocab;
    *report            = (tc_report){0};
    const rt_status st = run_open_all(&r, tokenizer);
    if (st != RT_OK) tc_run_close(&r);
    else *out = r;
    return st;
}

void tc_run_close(tc_run *r)
{
    tc_http_destroy(&r->http);
    tc_ledger_close_empty(&r->ledger);
    explicit_bzero(r->at.key, sizeof r->at.key);
    free(r->keys);
    free(r->done);
    rt_buf_free(&r->scratch);
    *r = (tc_run){0};
}

/* ---- collecting ---------------------------------------------------------------------------- */

rt_status tc_run_request(tc_run *r, int64_t i, tc_request *q)
{
    *q = (tc_request){.k = r->k, .m = r->m, .vocab = r->vocab, .temperature = 1, .top_p = 1};
    return r->source->make(r->source->ud, i, q);
}

static rt_status write(void *ud, int64_t i, rt_buf *body)
{
    tc_run    *r = ud;
    tc_request q;
    RT_TRY(tc_run_request(r, i, &q));
    return r->server.dialect->write(body, r->server.dialect, &q, r->server.model);
}

static rt_status run_check(void *ud, int64_t i, const rt_buf *response, tc_usage *u)
{
    tc_run     *r = ud;
    tc_request  q;
    tc_response x = {0};
    RT_TRY(tc_run_request(r, i, &q));
    RT_TRY(r->server.dialect->read(&x, r->server.dialect, &q, response));
    const rt_status st = r->source->agree ? r->source->agree(r->source->ud, &x) : RT_OK;
    if (st == RT_OK) *u = (tc_usage){x.prompt_tokens, x.completion_tokens, x.n ? x.n : x.completion_tokens > 0 ? x.completion_tokens : 0};
    tc_response_free(&x);
    return st;
}

static rt_status run_name(void *ud, int64_t i, char text[TC_NAME])
{
    const tc_run *r = ud;
    return r->source->name(r->source->ud, i, text);
}

/* Computes the keys of all requests and their digest, and looks up which have a response. */
static rt_status look_up(tc_run *r, rt_buf *body, rt_sha *set)
{
    tc_entry e;
    for (int64_t i = 0; i < r->source->n; i++) {
        tc_request q;
        RT_TRY(tc_run_request(r, i, &q));
        rt_buf_clear(body);
        RT_TRY(r->server.dialect->write(body, r->server.dialect, &q, r->server.model));
        RT_TRY(tc_ledger_key(r->keys[i], r->server.dialect->name, r->server.model, r->server.dialect->path(&q), body));
        RT_TRY(tc_ledger_find(r->ledger, r->keys[i], &e, NULL));
        r->done[i] = e.state == TC_DONE ? TC_RECEIVED : e.state == TC_FAILED || e.state == TC_BAD ? TC_FAILED_BEFORE : TC_NEW;
        r->report->known += e.state == TC_DONE;
        rt_sha_add(set, r->keys[i], RT_SHA_HEX);
    }
    return RT_OK;
}

static rt_status look_up_all(tc_run *r, rt_json_writer *settings)
{
    rt_buf  body = {0};
    rt_sha *set  = NULL;
    char    hex[RT_SHA_HEX];
    RT_TRY(RT_NEW(r->keys, r->source->n));
    RT_TRY(RT_NEW(r->done, r->source->n));
    RT_TRY(rt_sha_begin(&set));
    const rt_status st = look_up(r, &body, set);
    rt_sha_end(&set, hex);
    rt_buf_free(&body);
    RT_TRY(st);
    rt_put_text(settings, "requests", hex);
    rt_put_end(settings);
    return settings->st;
}

static rt_status compare_with_out(tc_run *r, const char *settings)
{
    ds_shard *s = NULL;
    RT_TRY(ds_shard_open(&s, r->o->out));
    const int same       = !strcmp(ds_shard_info(s)->sampling, settings);
    r->report->documents = ds_shard_docs(s);
    r->report->tokens    = ds_shard_tokens(s);
    ds_shard_close(&s);
    RT_CHECK(same, RT_EINVAL, "%s exists already and was made from other requests; remove it or choose another --out", r->o->out);
    r->report->already = 1;
    for (int64_t i = 0; i < r->source->n; i++) r->report->failed += r->done[i] == TC_FAILED_BEFORE;
    return RT_OK;
}

rt_status tc_run_collect(tc_run *r, const tc_source *source, rt_json_writer *settings)
{
    tc_request first;
    r->source = source;
    RT_CHECK(source->n > 0, RT_EINVAL, "there is nothing to request: the input has no documents");
    RT_TRY(look_up_all(r, settings));
    RT_CHECK(settings->out->len < sizeof((ds_info *)0)->sampling, RT_EINVAL, "the settings of this run have more than %zu characters",
             sizeof((ds_info *)0)->sampling - 1);
    if (rt_file_exists(r->o->out)) return compare_with_out(r, settings->out->p);
    if (r->report->known == source->n) return RT_OK;
    if (!r->fresh) RT_TRY(probe_server(r));
    RT_TRY(tc_run_request(r, 0, &first));
    tc_work w = {.n       = source->n,
                 .dialect = r->server.dialect,
                 .path    = r->server.dialect->path(&first),
                 .write   = write,
                 .check   = run_check,
                 .name    = run_name,
                 .ud      = r,
                 .keys    = r->keys,
                 .done    = r->done};
    RT_TRY(max_failed(&w.max_failed, r->o->max_failed, source->n));
    if (r->o->progress) rt_progress_begin(r->o->progress, "collecting", "responses", source->n, r->report->known);
    const rt_status st = tc_schedule(r->http, r->ledger, &w, r->o, r->at.url, r->report);
    if (r->o->progress) rt_progress_end(r->o->progress);
    return st;
}

/* ---- the shard ----------------------------------------------------------------------------- */

rt_status tc_run_info(tc_run *r, ds_info *info, const char *tokenizer, const char *settings)
{
    *info = (ds_info){.soft = r->k > 0, .vocab = r->vocab, .k = r->k, .m = r->m, .time = rt_unix_time()};
    RT_TRY(tc_server_text(&r->server, &r->scratch));
    RT_CHECK(r->scratch.len < sizeof info->probe, RT_EINVAL, "the description of the server has more than %zu characters",
             sizeof info->probe - 1);
    snprintf(info->tokenizer, sizeof info->tokenizer, "%s", tokenizer);
    snprintf(info->teacher, sizeof info->teacher, "%s", r->server.model);
    snprintf(info->endpoint, sizeof info->endpoint, "%s", r->at.url);
    snprintf(info->dialect, sizeof info->dialect, "%s", r->server.dialect->name);
    snprintf(info->sampling, sizeof info->sampling, "%s", settings);
    snprintf(info->probe, sizeof info->probe, "%s", r->scratch.p);
    if (r->o->price_in > 0 || r->o->price_out > 0)
        snprintf(info->prices, sizeof info->prices, "{\"input_per_million\":%.9g,\"output_per_million\":%.9g}", r->o->price_in,
                 r->o->price_out);
    snprintf(info->program, sizeof info->program, "retort");
    return RT_OK;
}

void tc_run_report(tc_run *r)
{
    const int64_t bytes = rt_file_size(r->o->out);
    r->report->bytes    = bytes > 0 ? bytes : 0;
    r->report->seconds  = rt_now() - r->began;
}
