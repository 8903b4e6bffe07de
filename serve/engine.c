/* engine.c -- opening the serving engine and processing a request from JSON text to JSON text. */
#include "serve/engine.h"
#include "core/clock.h"
#include "core/rng.h"
#include "data/wire.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ------------------------------------------------------------------------------- */

/* Sets *name to the option's name, else to the last component of the model's folder. */
static rt_status name_of(char **name, const md_model *m, const sv_serve_opts *o)
{
    char real_path[PATH_MAX];
    if (o->name) return rt_strdup(name, o->name);
    const char *path  = m->dir && realpath(m->dir, real_path) ? real_path : "retort";
    const char *slash = strrchr(path, '/');
    return rt_strdup(name, slash && slash[1] ? slash + 1 : path);
}

/* Appends the JSON string of a token's bytes.  Bytes that are not UTF-8 or contain a NUL are written as "bytes:\xe2\x80",
 * so that different tokens have different strings. */
static rt_status quote_token(rt_buf *out, const char *p, size_t n)
{
    rt_buf    hex   = {0};
    int       valid = 1;
    rt_status st;
    for (size_t i = 0, len = 1; i < n && valid; i += len) valid = (len = rt_utf8_length(p + i, n - i)) > 0 && p[i];
    if (valid) return rt_json_quote(out, n ? p : "", n);
    RT_TRY(rt_buf_str(&hex, "bytes:"));
    for (size_t i = 0; i < n; i++) RT_TRY_OR(rt_buf_fmt(&hex, "\\x%02x", (unsigned char)p[i]), done);
    st = rt_json_quote(out, hex.p, hex.len);
done:
    rt_buf_free(&hex);
    return st;
}

/* Stores the strings of all ids of the tokenizer and the model, whichever has more.  Ids beyond the tokenizer have an empty string. */
static rt_status read_token_strings(sv_engine *d)
{
    rt_buf        one  = {0};
    const int64_t size = ds_tokenizer_size(d->tokenizer), V = size > d->model->config.V ? size : d->model->config.V;
    rt_status     st = RT_NEW(d->token_string_at, V + 1);
    for (int64_t v = 0; st == RT_OK && v < V; v++) {
        const int32_t id = (int32_t)v;
        rt_buf_clear(&one);
        st = ds_token_text(d->tokenizer, id, &one);
        if (st == RT_OK) st = quote_token(&d->token_strings, one.p, one.len);
        d->token_string_at[v + 1] = (int64_t)d->token_strings.len;
    }
    rt_buf_free(&one);
    return st;
}

/* Completions do not need the template, so one that cannot be used is told to those who ask for a chat. */
static rt_status open_chat(sv_engine *d)
{
    if (!d->model->dir) return RT_OK;
    const rt_status st = ds_chat_load(&d->chat, d->model->dir);
    return st == RT_OK || st == RT_ENOMEM ? st : rt_strdup(&d->chat_error, rt_error_text());
}

static rt_status open_parts(sv_engine *d, const sv_serve_opts *o)
{
    const md_config *c = &d->model->config;
    RT_CHECK(o->max_tokens >= 0 && o->max_tokens <= c->context, RT_EINVAL,
             "--max-tokens must be from 0 (the model's context) to %lld, the model's context, found %lld", (long long)c->context,
             (long long)o->max_tokens);
    RT_CHECK(o->max_logprobs >= 0 && o->max_logprobs <= MD_TEACHER_MAX_K, RT_EINVAL, "--max-logprobs must be from 0 to %d, found %lld",
             MD_TEACHER_MAX_K, (long long)o->max_logprobs);
    d->max_len      = o->max_tokens ? o->max_tokens : c->context;
    d->max_logprobs = o->max_logprobs < c->V ? o->max_logprobs : c->V;
    d->started      = rt_unix_time();
    d->serial       = rt_mix64((uint64_t)d->started);
    RT_TRY(name_of(&d->name, d->model, o));
    RT_TRY(open_chat(d));
    RT_TRY(read_token_strings(d));
    RT_TRY(inf_sampler_create(&d->sampler, c->V));
    RT_TRY(md_scorer_create(&d->scorer, d->model, d->max_len));
    return inf_session_create(&d->session, d->model, d->max_len);
}

rt_status sv_engine_open(sv_engine *d, const md_model *m, const ds_tokenizer *t, const sv_serve_opts *o)
{
    *d                 = (sv_engine){.model = m, .tokenizer = t};
    const rt_status st = open_parts(d, o);
    if (st != RT_OK) sv_engine_close(d);
    return st;
}

void sv_engine_close(sv_engine *d)
{
    free(d->name);
    ds_chat_destroy(&d->chat);
    free(d->chat_error);
    rt_buf_free(&d->token_strings);
    free(d->token_string_at);
    md_scorer_destroy(&d->scorer);
    inf_session_destroy(&d->session);
    inf_sampler_destroy(&d->sampler);
    *d = (sv_engine){0};
}

rt_status sv_engine_models(const sv_engine *d, rt_buf *out)
{
    rt_json_writer w      = {.out = out};
    const char    *former = ds_tokenizer_former(d->tokenizer);
    rt_put_object(&w, NULL);
    rt_put_text(&w, "object", "list");
    rt_put_array(&w, "data");
    rt_put_object(&w, NULL);
    rt_put_text(&w, "id", d->name);
    rt_put_text(&w, "object", "model");
    rt_put_int(&w, "created", d->started);
    rt_put_text(&w, "owned_by", "retort");
    rt_put_int(&w, WIRE_MAX_MODEL_LEN, d->max_len);
    rt_put_int(&w, WIRE_VOCAB_SIZE, d->model->config.V);
    rt_put_int(&w, WIRE_MAX_LOGPROBS, d->max_logprobs);
    rt_put_text(&w, WIRE_DTYPE, kn_type_name(md_activations(d->model)));
    kn_gemm_put(&w, WIRE_GEMM);
    rt_put_text(&w, WIRE_TOKENIZER_SHA256, ds_tokenizer_identity(d->tokenizer));
    rt_put_array(&w, WIRE_TOKENIZER_FILES);
    rt_put_text(&w, NULL, ds_tokenizer_file(d->tokenizer));
    if (*former) rt_put_text(&w, NULL, former);
    for (int open = 4; open; open--) rt_put_end(&w);
    return w.st;
}

/* ---- completions ------------------------------------------------------------------------------- */

/* Computes choice i and, unless it is streamed, writes it with w. */
static rt_status add_choice(rt_json_writer *w, sv_engine *d, const sv_request *q, int i, sv_reply *r, int64_t *written)
{
    sv_completion c;
    rt_status     st = sv_completion_make(&c, d, q, i, r);
    if (st == RT_OK && !q->stream) {
        sv_put_choice(w, d, &c, &(sv_slice){.text_end = c.text.len, .token_end = c.shown});
        st = w->st;
        if (st == RT_EINVAL) r->status = 400; /* the response would be too large */
    }
    *written += c.ids.n;
    sv_completion_free(&c);
    return st;
}

static rt_status end_stream(const sv_engine *d, const sv_request *q, sv_reply *r, int64_t read, int64_t written)
{
    if (q->usage) {
        rt_json_writer w = {.out = &r->text};
        RT_TRY(rt_buf_str(&r->text, "data: "));
        sv_put_head(&w, d, q);
        sv_put_end(&w, read, written);
        RT_TRY(w.st);
        RT_TRY(rt_buf_str(&r->text, "\n\n"));
    }
    RT_TRY(rt_buf_str(&r->text, "data: [DONE]\n\n"));
    return sv_reply_push(r);
}

static rt_status answer_choices(sv_engine *d, const sv_request *q, sv_reply *r)
{
    rt_json_writer w    = {.out = &r->text};
    int64_t        read = 0, written = 0;
    d->serial++;
    if (!q->stream) sv_put_head(&w, d, q);
    for (int i = 0; i < q->n; i++) {
        RT_TRY(add_choice(&w, d, q, i, r, &written));
        read += q->prompts[i].n;
    }
    r->tokens = read + written;
    if (q->stream) return end_stream(d, q, r, read, written);
    sv_put_end(&w, read, written);
    return w.st;
}

static rt_status complete(sv_engine *d, const cJSON *o, int chat, sv_reply *r)
{
    sv_request q;
    rt_status  st = sv_request_read(&q, d, o, chat);
    r->status     = st == RT_ENOENT ? 404 : st == RT_EINVAL || st == RT_EFORMAT ? 400 : 500;
    if (st == RT_OK) st = answer_choices(d, &q, r);
    sv_request_free(&q);
    return st;
}

/* ---- tokens --------------------------------------------------------------------------------------- */

static rt_status engine_put_tokens(rt_buf *b, const sv_engine *d, const ds_ids *ids, int strings)
{
    rt_json_writer w = {.out = b};
    rt_put_object(&w, NULL);
    rt_put_int(&w, "count", ids->n);
    rt_put_int(&w, WIRE_MAX_MODEL_LEN, d->max_len);
    sv_put_ids(&w, "tokens", ids->v, ids->n);
    if (strings) {
        rt_put_array(&w, "token_strs");
        for (int64_t i = 0; i < ids->n; i++) sv_put_token(&w, NULL, d, ids->v[i]);
        rt_put_end(&w);
    } else rt_put_null(&w, "token_strs");
    rt_put_end(&w);
    return w.st;
}

static rt_status tokenize(const sv_engine *d, const cJSON *o, sv_reply *r)
{
    const char *text    = NULL;
    int         special = 1, strings = 0;
    ds_ids      ids = {0};
    r->status       = 400;
    RT_TRY(rt_json_text(o, "prompt", &text, "the request"));
    RT_CHECK(text, RT_EINVAL, "the request has no \"prompt\"; give the text to tokenize");
    RT_TRY(rt_json_bool(o, "add_special_tokens", &special, "the request"));
    RT_TRY(rt_json_bool(o, "return_token_strs", &strings, "the request"));
    rt_status st = sv_text_ids(d, text, special, &ids);
    if (st == RT_OK) st = engine_put_tokens(&r->text, d, &ids, strings);
    r->tokens = ids.n;
    free(ids.v);
    return st;
}

static rt_status detokenize(const sv_engine *d, const cJSON *o, sv_reply *r)
{
    const cJSON   *list = cJSON_GetObjectItemCaseSensitive(o, "tokens");
    ds_ids         ids  = {0};
    rt_buf         text = {0};
    rt_json_writer w    = {.out = &r->text};
    r->status           = 400;
    RT_CHECK(cJSON_IsArray(list), RT_EINVAL, "the request has no list \"tokens\"; give the ids to decode");
    w.st = sv_list_ids(list, ds_tokenizer_size(d->tokenizer), "the request: \"tokens\"", &ids);
    if (w.st == RT_OK) w.st = ds_decode(d->tokenizer, ids.v, ids.n, 0, &text);
    rt_put_object(&w, NULL);
    rt_put_bytes(&w, "prompt", text.p, text.len);
    rt_put_end(&w);
    r->tokens = ids.n;
    rt_buf_free(&text);
    free(ids.v);
    return w.st;
}

/* ---- any request ------------------------------------------------------------------------------------ */

/* Returns 1 if the text holds a NUL, raw or escaped.  A NUL would end a C string and silently truncate the text. */
static int holds_nul(const char *p, size_t n)
{
    if (memchr(p, 0, n)) return 1;
    for (size_t i = 0; i + 5 < n; i++) {
        if (p[i] != '\\') continue;
        if (!memcmp(p + i, "\\u0000", 6)) return 1;
        i++;
    }
    return 0;
}

static rt_status read_body(cJSON **o, char *body, size_t n)
{
    RT_CHECK(n > 0, RT_EINVAL, "the request has no body; expected a JSON object");
    RT_CHECK(!holds_nul(body, n), RT_EINVAL, "the request holds the character U+0000, which is not allowed in a text");
    return rt_json_parse(o, body, n, 0, "the request");
}

static rt_status engine_respond(sv_engine *d, sv_task task, const cJSON *o, sv_reply *r)
{
    switch (task) {
    case SV_TOKENIZE: return tokenize(d, o, r);
    case SV_DETOKENIZE: return detokenize(d, o, r);
    default: return complete(d, o, task == SV_CHAT, r);
    }
}

static const char *engine_type_of(int status)
{
    switch (status) {
    case 404: return "not_found_error";
    case 500: return "internal_error";
    case 503: return "overloaded_error";
    default: return "invalid_request_error";
    }
}

void sv_reply_error(sv_reply *r, int status, const char *message)
{
    rt_json_writer w = {.out = &r->text};
    rt_buf_free(&r->text);
    r->status = status;
    rt_put_object(&w, NULL);
    rt_put_object(&w, "error");
    rt_put_text(&w, "message", message);
    rt_put_text(&w, "type", engine_type_of(status));
    rt_put_int(&w, "code", status);
    rt_put_end(&w);
    rt_put_end(&w);
    if (w.st != RT_OK) rt_buf_free(&r->text);
}

rt_status sv_reply_push(sv_reply *r)
{
    r->stream = 1;
    RT_CHECK(r->push(r->ud, r), RT_EINTR, "the client disconnected");
    return RT_OK;
}

/* The status of a stream has already been sent, so the error becomes its last event. */
static void end_stream_with_error(sv_reply *r)
{
    rt_buf event = {0};
    sv_reply_error(r, r->status, rt_error_text());
    rt_status st = rt_buf_fmt(&event, "data: %s\n\ndata: [DONE]\n\n", r->text.p ? r->text.p : "{}");
    rt_buf_free(&r->text);
    r->text = event;
    if (st == RT_OK) r->push(r->ud, r);
}

void sv_engine_respond(sv_engine *d, sv_task task, char *body, size_t n, sv_reply *r)
{
    cJSON *o     = NULL;
    r->status    = 400;
    rt_status st = read_body(&o, body, n);
    if (st == RT_OK) st = engine_respond(d, task, o, r);
    if (st == RT_OK) r->status = 200;
    else if (st == RT_EINTR) rt_buf_free(&r->text);
    else if (r->stream) end_stream_with_error(r);
    else sv_reply_error(r, r->status, rt_error_text());
    cJSON_Delete(o);
}
