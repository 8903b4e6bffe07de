/* probe.c -- finds out by requests what a server can do; version strings are not trusted. */
#include "teacher/probe.h"
#include "core/clock.h"
#include "data/wire.h"
#include "teacher/schedule.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static rt_status probe_wait_for(const tc_options *o, const tc_endpoint *e, double seconds, const char *why)
{
    const double until = rt_now() + seconds;
    if (o->progress && seconds >= 5) rt_progress_say(o->progress, "waiting %.0f s before the next request to %s: %s", seconds, e->url, why);
    for (double left; (left = until - rt_now()) > 0;) {
        RT_CHECK(!rt_interrupted(), RT_EINTR, "interrupted while waiting for %s", e->url);
        rt_sleep(left < 0.2 ? left : 0.2);
    }
    return RT_OK;
}

/* Sends one request, and retries it while the server is busy or loading. */
static rt_status patiently(tc_http *h, const tc_endpoint *e, const tc_options *o, const tc_dialect *d, const char *path, const rt_buf *body,
                           tc_reply *reply)
{
    tc_outcome v;
    for (int64_t tries = 0;; tries++) {
        rt_buf copy = {0};
        if (body) RT_TRY(rt_buf_add(&copy, body->p, body->len));
        const rt_status st = tc_http_one(h, path, body ? &copy : NULL, reply);
        rt_buf_free(&copy);
        RT_TRY(st);
        d->classify(&v, reply);
        if (v.what == TC_ACCEPT) return RT_OK;
        tc_http_scrub(h, v.text);
        const int refused = !reply->status; /* no server listens there, so a retry is useless */
        rt_buf_free(&reply->body);
        RT_CHECK(!refused, RT_ENET, "%s cannot be reached: %s; check that the server runs and that the address is right", e->url, v.text);
        RT_CHECK(v.what != TC_STOP && v.what != TC_REFUSED && tries < o->retries, RT_ENET, "%s%s returned %s", e->url, path, v.text);
        RT_TRY(probe_wait_for(o, e, v.wait > 0 ? fmin(v.wait, TC_MAX_RETRY_AFTER) : o->retry_base * (double)(tries + 1), v.text));
    }
}

/* ---- models and dialect ---------------------------------------------------------------------- */

static rt_status get_models(cJSON **models, const tc_dialect *d, tc_http *h, const tc_endpoint *e, const tc_options *o)
{
    tc_reply reply = {0};
    char     where[TC_URL + 64];
    snprintf(where, sizeof where, "%s%s", e->url, d->models_path);
    RT_TRY(tc_http_headers(h, d->headers));
    RT_TRY(patiently(h, e, o, d, d->models_path, NULL, &reply));
    const rt_status st = rt_json_parse(models, reply.body.p, reply.body.len, RT_JSON_LENIENT | RT_JSON_DUPLICATES, where);
    rt_buf_free(&reply.body);
    return st;
}

static int asks_the_same(const tc_dialect *a, const tc_dialect *b)
{
    return a && !strcmp(a->models_path, b->models_path) && a->headers == b->headers;
}

/* Finds the dialect that o names, or the first one that recognises the server.  *models is the list that it was shown. */
static rt_status find_dialect(const tc_dialect **out, cJSON **models, tc_http *h, const tc_endpoint *e, const tc_options *o)
{
    const tc_dialect *named = NULL, *last = NULL, *d;
    rt_status         st = RT_OK;
    if (o->dialect && strcmp(o->dialect, "auto") != 0) RT_TRY(tc_dialect_find(&named, o->dialect));
    for (int i = 0; (d = tc_dialect_at(i)); i++) {
        if (named && d != named) continue;
        if (!asks_the_same(last, d)) {
            cJSON_Delete(*models);
            *models = NULL;
            st      = get_models(models, d, h, e, o);
        }
        last = d;
        if (st == RT_OK && (named || d->recognise(*models, o->model))) break;
    }
    *out = last;
    return st;
}

static rt_status probe_describe(tc_server *s, tc_http *h, const tc_endpoint *e, const tc_options *o)
{
    cJSON *models = NULL;
    char   where[TC_URL + 64];
    RT_TRY(find_dialect(&s->dialect, &models, h, e, o));
    snprintf(where, sizeof where, "%s%s", e->url, s->dialect->models_path);
    const rt_status st = s->dialect->describe(s, models, o->model, where);
    cJSON_Delete(models);
    return st;
}

/* ---- a tiny prompt ------------------------------------------------------------------------ */

static rt_status score_tiny(tc_server *s, tc_http *h, const tc_endpoint *e, const tc_options *o, int64_t k, int64_t vocab)
{
    static const int32_t ids[] = {1, 2, 3, 1};
    const tc_dialect    *d     = s->dialect;
    const tc_request     q     = {.ids = ids, .n = 4, .k = k, .m = d->tails ? 1 : 0, .vocab = vocab, .temperature = 1, .top_p = 1};
    tc_response          x     = {0};
    tc_reply             reply = {0};
    rt_buf               body  = {0};
    rt_status            st    = d->write(&body, d, &q, s->model);
    if (st == RT_OK) st = patiently(h, e, o, d, d->path(&q), &body, &reply);
    if (st == RT_OK) {
        s->scores = d->read(&x, d, &q, &reply.body) == RT_OK;
        s->echoes = x.echoes;
        if (!s->scores)
            st = rt_fail(RT_EFORMAT, __FILE__, __LINE__,
                         "%s (dialect %s) did not return the probabilities of a short prompt: %s; check --dialect", e->url, d->name,
                         rt_error_text());
    }
    tc_response_free(&x);
    rt_buf_free(&body);
    rt_buf_free(&reply.body);
    return st;
}

rt_status tc_probe(tc_server *out, tc_http *h, const tc_endpoint *e, const tc_options *o, const tc_need *need, int tiny)
{
    tc_server     s = {0};
    const int64_t k = need->k;
    RT_TRY(probe_describe(&s, h, e, o));
    RT_TRY(tc_dialect_gives(s.dialect, need));
    RT_CHECK(!s.max_logprobs || k <= s.max_logprobs, RT_EINVAL, "--k %lld: %s returns at most %lld alternatives", (long long)k, e->url,
             (long long)s.max_logprobs);
    const int64_t vocab = s.vocab ? s.vocab : need->vocab;
    RT_CHECK(!k || vocab >= k, RT_EINVAL, "--k %lld: the vocabulary has only %lld entries", (long long)k, (long long)vocab);
    if (k && tiny && s.dialect->scores && vocab > 3) RT_TRY(score_tiny(&s, h, e, o, k, vocab));
    *out = s;
    return RT_OK;
}

/* ---- as text ------------------------------------------------------------------------------- */

rt_status tc_server_text(const tc_server *s, rt_buf *b)
{
    rt_json_writer w = {.out = b};
    rt_buf_clear(b);
    rt_put_object(&w, NULL);
    rt_put_text(&w, "dialect", s->dialect->name);
    rt_put_text(&w, "model", s->model);
    rt_put_text(&w, WIRE_TOKENIZER_SHA256, s->tokenizer);
    rt_put_int(&w, WIRE_VOCAB_SIZE, s->vocab);
    rt_put_int(&w, WIRE_MAX_MODEL_LEN, s->max_len);
    if (s->files[0][0]) {
        rt_put_array(&w, WIRE_TOKENIZER_FILES);
        for (int i = 0; i < 2; i++) rt_put_text(&w, NULL, s->files[i]);
        rt_put_end(&w);
    }
    rt_put_int(&w, WIRE_MAX_LOGPROBS, s->max_logprobs);
    if (*s->dtype) rt_put_text(&w, WIRE_DTYPE, s->dtype);
    if (*s->gemm) rt_put_raw(&w, WIRE_GEMM, s->gemm, strlen(s->gemm));
    rt_put_bool(&w, "echoes_ids", s->echoes);
    rt_put_bool(&w, "scores_prompts", s->scores);
    rt_put_end(&w);
    return w.st;
}

rt_status tc_server_read(tc_server *out, rt_buf *json)
{
    static const char where[] = "the ledger's note of the server";
    tc_server         s       = {0};
    cJSON            *o       = NULL;
    const char       *dialect = "", *model = "", *sha = "";
    RT_TRY(rt_json_parse(&o, json->p, json->len, 0, where));
    rt_status st = rt_json_text(o, "dialect", &dialect, where);
    if (st == RT_OK) st = rt_json_text(o, "model", &model, where);
    if (st == RT_OK) st = rt_json_text(o, WIRE_TOKENIZER_SHA256, &sha, where);
    if (st == RT_OK) st = rt_json_int(o, WIRE_VOCAB_SIZE, &s.vocab, where);
    if (st == RT_OK) st = rt_json_int(o, WIRE_MAX_MODEL_LEN, &s.max_len, where);
    if (st == RT_OK) st = rt_json_int(o, WIRE_MAX_LOGPROBS, &s.max_logprobs, where);
    if (st == RT_OK) st = rt_json_bool(o, "echoes_ids", &s.echoes, where);
    if (st == RT_OK) st = rt_json_bool(o, "scores_prompts", &s.scores, where);
    if (st == RT_OK) st = tc_dialect_find(&s.dialect, dialect);
    if (st == RT_OK) {
        snprintf(s.model, sizeof s.model, "%s", model);
        snprintf(s.tokenizer, sizeof s.tokenizer, "%.64s", sha);
        tc_openai_files(&s, o);
        tc_openai_computes(&s, o);
        *out = s;
    }
    cJSON_Delete(o);
    return st;
}
