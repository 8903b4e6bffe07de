/* probe.c -- what a server can do, found out by asking it: version strings are not believed. */
#include "teacher/probe.h"
#include "core/clock.h"
#include "data/wire.h"
#include "teacher/schedule.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static rt_status wait_for(const tc_options *o, const tc_endpoint *e, double seconds, const char *why)
{
    const double until = rt_now() + seconds;
    if (o->progress && seconds >= 5) rt_progress_say(o->progress, "waiting %.0f s before %s is asked again: %s", seconds, e->url, why);
    for (double left; (left = until - rt_now()) > 0;) {
        RT_CHECK(!rt_interrupted(), RT_EINTR, "interrupted while %s was waited for", e->url);
        rt_sleep(left < 0.2 ? left : 0.2);
    }
    return RT_OK;
}

/* One request, sent again while the server is busy or still loading. */
static rt_status patiently(tc_http *h, const tc_endpoint *e, const tc_options *o, const char *path, const rt_buf *body, tc_reply *reply)
{
    char text[512];
    for (int64_t tries = 0;; tries++) {
        rt_buf copy = {0};
        if (body) RT_TRY(rt_buf_add(&copy, body->p, body->len));
        const rt_status st = tc_http_one(h, path, body ? &copy : NULL, reply);
        rt_buf_free(&copy);
        RT_TRY(st);
        const tc_class v = tc_classify(reply, text, sizeof text);
        if (v == TC_ACCEPT) return RT_OK;
        tc_http_scrub(h, text);
        const int    refused = !reply->status; /* nobody listens there: waiting is not what is wanted */
        const double said    = reply->retry_after;
        rt_buf_free(&reply->body);
        RT_CHECK(!refused, RT_ENET, "%s cannot be reached: %s; is the server up, and is the address right?", e->url, text);
        RT_CHECK(v != TC_STOP && v != TC_REFUSED && tries < o->retries, RT_ENET, "%s%s answered %s", e->url, path, text);
        RT_TRY(wait_for(o, e, said > 0 ? fmin(said, TC_MAX_RETRY_AFTER) : o->retry_base * (double)(tries + 1), text));
    }
}

/* ---- GET /v1/models ----------------------------------------------------------------------- */

static const cJSON *model_entry(const cJSON *list, const char *wanted)
{
    const cJSON *x = cJSON_IsArray(list) ? list->child : NULL;
    for (; x && wanted; x = x->next) {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(x, "id"));
        if (id && !strcmp(id, wanted)) break;
    }
    return x;
}

/* What is no SHA-256 is left out. */
static void take_files(tc_server *s, const cJSON *x)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(x, WIRE_TOKENIZER_FILES), *e;
    int          n    = 0;
    cJSON_ArrayForEach(e, list)
    {
        const char *sha = cJSON_GetStringValue(e);
        if (n < 2 && sha && strlen(sha) == 64 && strspn(sha, "0123456789abcdef") == 64) snprintf(s->files[n++], RT_SHA_HEX, "%s", sha);
    }
}

static rt_status take_entry(tc_server *s, const cJSON *x, const char *where)
{
    const char *id = NULL, *sha = NULL;
    RT_TRY(rt_json_text(x, "id", &id, where));
    RT_TRY(rt_json_text(x, WIRE_TOKENIZER_SHA256, &sha, where));
    RT_TRY(rt_json_int(x, WIRE_VOCAB_SIZE, &s->vocab, where));
    RT_TRY(rt_json_int(x, WIRE_MAX_MODEL_LEN, &s->max_len, where));
    RT_TRY(rt_json_int(x, WIRE_MAX_LOGPROBS, &s->max_logprobs, where));
    RT_CHECK(id && *id && strlen(id) < sizeof s->model, RT_EFORMAT, "%s: server answered a model without an id of 1 to %zu letters", where,
             sizeof s->model - 1);
    RT_CHECK(!sha || strspn(sha, "0123456789abcdef") == 64, RT_EFORMAT, "%s: server answered a " WIRE_TOKENIZER_SHA256 " that is none",
             where);
    RT_CHECK(s->vocab >= 0 && s->vocab <= INT32_MAX && s->max_len >= 0, RT_EFORMAT, "%s: server answered negative or absurd sizes", where);
    snprintf(s->model, sizeof s->model, "%s", id);
    snprintf(s->tokenizer, sizeof s->tokenizer, "%.64s", sha ? sha : "");
    take_files(s, x);
    return RT_OK;
}

static rt_status take_models(tc_server *s, const tc_options *o, rt_buf *body, const char *where)
{
    cJSON *list = NULL;
    RT_TRY(rt_json_parse(&list, body->p, body->len, RT_JSON_LENIENT | RT_JSON_DUPLICATES, where));
    const cJSON *x = model_entry(cJSON_GetObjectItemCaseSensitive(list, "data"), o->model);
    rt_status    st =
        x          ? take_entry(s, x, where)
           : o->model ? rt_fail(RT_EINVAL, __FILE__, __LINE__, "%s: the server has no model '%.100s'; leave --model out to take its first",
                                where, o->model)
                      : rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: server answered no model (expected {\"data\": [{\"id\": ...}]})", where);
    cJSON_Delete(list);
    return st;
}

static rt_status choose_dialect(tc_server *s, const tc_options *o)
{
    const int is_auto = !o->dialect || !strcmp(o->dialect, "auto");
    if (!is_auto) return tc_dialect_find(&s->dialect, o->dialect);
    s->dialect = s->tokenizer[0] && s->vocab ? &tc_dialect_retort : &tc_dialect_vllm; /* only ours says both */
    return RT_OK;
}

/* ---- a tiny prompt ------------------------------------------------------------------------ */

static rt_status score_tiny(tc_server *s, tc_http *h, const tc_endpoint *e, const tc_options *o, int64_t k, int64_t vocab)
{
    static const int32_t ids[] = {1, 2, 3, 1};
    const tc_request     q     = {.ids = ids, .n = 4, .k = k, .m = s->dialect->tails ? 1 : 0, .vocab = vocab, .temperature = 1, .top_p = 1};
    tc_response          x     = {0};
    tc_reply             reply = {0};
    rt_buf               body  = {0};
    rt_status            st    = s->dialect->write(&body, &q, s->model);
    if (st == RT_OK) st = patiently(h, e, o, tc_request_path(&q), &body, &reply);
    if (st == RT_OK) {
        s->scores = s->dialect->read(&x, &q, &reply.body) == RT_OK;
        s->echoes = reply.body.p && strstr(reply.body.p, "\"" WIRE_PROMPT_TOKEN_IDS "\"") != NULL;
        if (!s->scores)
            st = rt_fail(RT_EFORMAT, __FILE__, __LINE__,
                         "%s (dialect %s) was asked for the probabilities of a short prompt: %s; is it the right --dialect?", e->url,
                         s->dialect->name, rt_error_text());
    }
    tc_response_free(&x);
    rt_buf_free(&body);
    rt_buf_free(&reply.body);
    return st;
}

rt_status tc_probe(tc_server *out, tc_http *h, const tc_endpoint *e, const tc_options *o, int64_t k, int64_t vocab, int tiny)
{
    tc_server s     = {0};
    tc_reply  reply = {0};
    char      where[TC_URL + 16];
    snprintf(where, sizeof where, "%s/v1/models", e->url);
    RT_TRY(patiently(h, e, o, "/v1/models", NULL, &reply));
    rt_status st = take_models(&s, o, &reply.body, where);
    rt_buf_free(&reply.body);
    RT_TRY(st);
    RT_TRY(choose_dialect(&s, o));
    RT_CHECK(!s.max_logprobs || k <= s.max_logprobs, RT_EINVAL, "--k %lld: %s gives at most %lld alternatives", (long long)k, e->url,
             (long long)s.max_logprobs);
    if (s.vocab) vocab = s.vocab;
    RT_CHECK(!k || vocab >= k, RT_EINVAL, "--k %lld: the vocabulary has only %lld entries", (long long)k, (long long)vocab);
    if (k && tiny && vocab > 3) RT_TRY(score_tiny(&s, h, e, o, k, vocab));
    *out = s;
    return RT_OK;
}

/* ---- as text ------------------------------------------------------------------------------- */

rt_status tc_server_text(const tc_server *s, rt_buf *b)
{
    rt_buf_clear(b);
    RT_TRY(rt_buf_fmt(b, "{\"dialect\":\"%s\",\"model\":", s->dialect->name));
    RT_TRY(rt_json_quote(b, s->model, strlen(s->model)));
    RT_TRY(rt_buf_fmt(b, ",\"" WIRE_TOKENIZER_SHA256 "\":\"%s\",\"" WIRE_VOCAB_SIZE "\":%lld,\"" WIRE_MAX_MODEL_LEN "\":%lld", s->tokenizer,
                      (long long)s->vocab, (long long)s->max_len));
    if (s->files[0][0]) RT_TRY(rt_buf_fmt(b, ",\"" WIRE_TOKENIZER_FILES "\":[\"%s\",\"%s\"]", s->files[0], s->files[1]));
    return rt_buf_fmt(b, ",\"" WIRE_MAX_LOGPROBS "\":%lld,\"echoes_ids\":%s,\"scores_prompts\":%s}", (long long)s->max_logprobs,
                      s->echoes ? "true" : "false", s->scores ? "true" : "false");
}

rt_status tc_server_read(tc_server *out, rt_buf *json)
{
    static const char where[] = "the ledger's probe";
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
        take_files(&s, o);
        *out = s;
    }
    cJSON_Delete(o);
    return st;
}
