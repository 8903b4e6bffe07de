/* request.c -- reading a request for a completion or a chat.  Every field is checked; a field that the server cannot honour is an error. */
#include "data/wire.h"
#include "serve/engine.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "the request"

static const cJSON *field(const cJSON *o, const char *key)
{
    const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);
    return f && !cJSON_IsNull(f) ? f : NULL;
}

static rt_status read_range(const cJSON *o, const char *key, int64_t *v, int64_t least, int64_t most)
{
    RT_TRY(rt_json_int(o, key, v, WHERE));
    RT_CHECK(*v >= least && *v <= most, RT_EINVAL, WHERE ": \"%s\" must be from %lld to %lld, found %lld", key, (long long)least,
             (long long)most, (long long)*v);
    return RT_OK;
}

static rt_status request_read_seed(const cJSON *o, uint64_t *seed, const char *where)
{
    const cJSON *f = field(o, WIRE_SEED);
    if (!f) return RT_OK;
    if (cJSON_IsString(f)) {
        char *end = NULL;
        errno     = 0;
        *seed     = strtoull(f->valuestring, &end, 10);
        RT_CHECK(f->valuestring[0] >= '0' && f->valuestring[0] <= '9' && !*end && !errno, RT_EINVAL,
                 "%s: \"seed\" must be a decimal 64-bit integer, found \"%.40s\"", where, f->valuestring);
        return RT_OK;
    }
    int64_t v = 0;
    RT_TRY(rt_json_int(o, WIRE_SEED, &v, where));
    RT_CHECK(v >= 0, RT_EINVAL, "%s: \"seed\" must not be negative, found %lld", where, (long long)v);
    *seed = (uint64_t)v;
    return RT_OK;
}

static rt_status request_read_sampling(sv_request *q, const cJSON *o)
{
    inf_sampling *s = &q->sampling;
    RT_TRY(rt_json_real(o, "temperature", &s->temperature, WHERE));
    RT_CHECK(s->temperature >= 0 && s->temperature <= 100, RT_EINVAL, WHERE ": \"temperature\" must be from 0 to 100, found %g",
             s->temperature);
    RT_TRY(rt_json_real(o, "top_p", &s->top_p, WHERE));
    RT_CHECK(s->top_p > 0 && s->top_p <= 1, RT_EINVAL, WHERE ": \"top_p\" must be above 0 and at most 1, found %g", s->top_p);
    RT_TRY(read_range(o, "top_k", &s->top_k, -1, INT32_MAX));
    if (s->top_k < 0) s->top_k = 0;
    return request_read_seed(o, &q->seed, WHERE);
}

static rt_status add_stop(sv_request *q, const cJSON *s)
{
    RT_CHECK(cJSON_IsString(s), RT_EFORMAT, WHERE ": \"stop\" must be a string or a list of strings");
    const size_t n = strlen(s->valuestring);
    RT_CHECK(n >= 1 && n <= SV_MAX_STOP, RT_EINVAL, WHERE ": a \"stop\" string must have 1 to %d bytes, found %zu", SV_MAX_STOP, n);
    RT_CHECK(q->stops < SV_MAX_STOPS, RT_EINVAL, WHERE ": \"stop\" may hold at most %d strings", SV_MAX_STOPS);
    q->stop[q->stops++] = s->valuestring;
    if (n > q->longest_stop) q->longest_stop = n;
    return RT_OK;
}

static rt_status read_stop(sv_request *q, const cJSON *o)
{
    const cJSON *f = field(o, "stop");
    if (!f) return RT_OK;
    if (!cJSON_IsArray(f)) return add_stop(q, f);
    for (const cJSON *s = f->child; s; s = s->next) RT_TRY(add_stop(q, s));
    return RT_OK;
}

static rt_status read_flags(sv_request *q, const cJSON *o)
{
    const struct {
        const char *key;
        int        *v;
    } flags[] = {
        {"echo", &q->echo},
        {"stream", &q->stream},
        {"add_special_tokens", &q->special},
        {"ignore_eos", &q->ignore_eos},
        {"skip_special_tokens", &q->skip_special},
        {WIRE_RETURN_TOKEN_IDS, &q->return_ids},
        {WIRE_TOKENS_AS_IDS, &q->tokens_as_ids},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) RT_TRY(rt_json_bool(o, flags[i].key, flags[i].v, WHERE));
    const cJSON *f = field(o, "stream_options");
    RT_CHECK(!f || cJSON_IsObject(f), RT_EFORMAT, WHERE ": \"stream_options\" must be an object");
    return rt_json_bool(f, "include_usage", &q->usage, WHERE ", \"stream_options\"");
}

/* Rejects fields that would change the response and are not supported; only their neutral value is accepted. */
static rt_status refuse_unsupported(const cJSON *o)
{
    static const struct {
        const char *key;
        double      neutral;
    } numbers[] = {{"n", 1},     {"best_of", 1},    {"presence_penalty", 0}, {"frequency_penalty", 0}, {"repetition_penalty", 1},
                   {"min_p", 0}, {"min_tokens", 0}, {"length_penalty", 1},   {"typical_p", 1},         {"repeat_penalty", 1}};
    static const char *const flags[] = {"use_beam_search", "include_stop_str_in_output"};
    static const char *const never[] = {
        "suffix",        "logit_bias",        "response_format", "allowed_token_ids", "bad_words",          "stop_token_ids",
        "prompt_embeds", "logprob_token_ids", "grammar",         "json_schema",       "guided_json",        "guided_regex",
        "guided_choice", "guided_grammar",    "n_predict",       "logits_processors", "structured_outputs", "truncate_prompt_tokens"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double v = numbers[i].neutral;
        RT_TRY(rt_json_real(o, numbers[i].key, &v, WHERE));
        RT_CHECK(v == numbers[i].neutral, RT_EINVAL, WHERE ": \"%s\" must be %g on this server, found %g", numbers[i].key,
                 numbers[i].neutral, v);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int v = 0;
        RT_TRY(rt_json_bool(o, flags[i], &v, WHERE));
        RT_CHECK(!v, RT_EINVAL, WHERE ": \"%s\" is not supported by this server; omit it", flags[i]);
    }
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        const cJSON *f     = field(o, never[i]);
        const int    empty = f && ((cJSON_IsString(f) && !*f->valuestring) || ((cJSON_IsArray(f) || cJSON_IsObject(f)) && !f->child));
        RT_CHECK(!f || empty, RT_EINVAL, WHERE ": \"%s\" is not supported by this server; omit it", never[i]);
    }
    return RT_OK;
}

static rt_status read_logprobs(const cJSON *o, const char *key, const char *what, int64_t most, int64_t *v)
{
    if (!field(o, key)) return RT_OK;
    RT_TRY(read_range(o, key, v, 0, INT32_MAX));
    RT_CHECK(*v <= most, RT_EINVAL, "Requested %s of %lld, which is greater than max allowed: %lld", what, (long long)*v, (long long)most);
    return RT_OK;
}

static rt_status read_probabilities(sv_request *q, const sv_engine *d, const cJSON *o)
{
    RT_TRY(read_logprobs(o, WIRE_LOGPROBS, "sample logprobs", d->max_logprobs, &q->logprobs));
    RT_TRY(read_logprobs(o, WIRE_PROMPT_LOGPROBS, "prompt logprobs", d->max_logprobs, &q->prompt_logprobs));
    RT_CHECK(!q->stream || q->prompt_logprobs < 0, RT_EINVAL, "`prompt_logprobs` are not available when `stream=True`");
    const cJSON *ours = field(o, WIRE_RETORT);
    q->tail_seed      = q->seed;
    if (!ours) return RT_OK;
    RT_CHECK(cJSON_IsObject(ours), RT_EFORMAT, WHERE ": \"retort\" must be an object");
    for (const cJSON *f = ours->child; f; f = f->next)
        RT_CHECK(!strcmp(f->string, WIRE_TAIL_SAMPLES) || !strcmp(f->string, WIRE_SEED), RT_EINVAL,
                 WHERE ": \"retort\" accepts \"tail_samples\" and \"seed\", found \"%.40s\"", f->string);
    RT_CHECK(q->logprobs >= 0 || q->prompt_logprobs >= 0, RT_EINVAL,
             WHERE ": \"retort\" requests the tail beyond the top k, so \"prompt_logprobs\" or \"logprobs\" must be set");
    q->retort = 1;
    RT_TRY(rt_json_int(ours, WIRE_TAIL_SAMPLES, &q->tail, WHERE ", \"retort\""));
    RT_CHECK(q->tail >= 0 && q->tail <= SV_MAX_TAIL, RT_EINVAL, WHERE ", \"retort\": \"tail_samples\" must be from 0 to %d, found %lld",
             SV_MAX_TAIL, (long long)q->tail);
    return request_read_seed(ours, &q->tail_seed, WHERE ", \"retort\"");
}

rt_status sv_text_ids(const sv_engine *d, const char *text, int special, ds_ids *ids)
{
    return ds_encode(d->tokenizer, text, strlen(text), special ? DS_PROMPT : DS_ADDED, ids);
}

rt_status sv_list_ids(const cJSON *list, int64_t size, const char *where, ds_ids *ids)
{
    for (const cJSON *e = list->child; e; e = e->next) {
        int64_t v = 0;
        RT_CHECK(rt_json_whole(e, 0, size - 1, &v), RT_EINVAL, "%s: entry %lld must be a token id from 0 to %lld", where, (long long)ids->n,
                 (long long)size - 1);
        RT_TRY(ds_ids_add(ids, (int32_t)v));
    }
    return RT_OK;
}

static rt_status request_check_room(const sv_request *q, const sv_engine *d, const ds_ids *ids)
{
    RT_CHECK(ids->n <= d->max_len - q->max_tokens, RT_EINVAL,
             "This model's maximum context length is %lld tokens. However, you requested %lld tokens (%lld in the prompt, %lld in the "
             "completion). Please reduce the length of the prompt or completion.",
             (long long)d->max_len, (long long)(ids->n + q->max_tokens), (long long)ids->n, (long long)q->max_tokens);
    return RT_OK;
}

static rt_status add_prompt(sv_request *q, const sv_engine *d, const cJSON *p)
{
    RT_CHECK(q->n < SV_MAX_PROMPTS, RT_EINVAL, WHERE ": \"prompt\" may hold at most %d prompts", SV_MAX_PROMPTS);
    ds_ids *ids = &q->prompts[q->n++];
    if (cJSON_IsString(p)) RT_TRY(sv_text_ids(d, p->valuestring, q->special, ids));
    else if (cJSON_IsArray(p)) RT_TRY(sv_list_ids(p, d->model->config.V, WHERE ": \"prompt\"", ids));
    else RT_FAIL(RT_EFORMAT, WHERE ": \"prompt\" must be a string, a list of strings, a list of ids or a list of lists of ids");
    for (int64_t i = 0; i < ids->n; i++)
        RT_CHECK(ids->v[i] < d->model->config.V, RT_EINVAL, WHERE ": \"prompt\" %d holds token id %d, but the model has %lld ids", q->n - 1,
                 (int)ids->v[i], (long long)d->model->config.V);
    RT_CHECK(ids->n >= 1, RT_EINVAL, WHERE ": \"prompt\" %d has no tokens; give at least one", q->n - 1);
    return request_check_room(q, d, ids);
}

static rt_status read_prompts(sv_request *q, const sv_engine *d, const cJSON *o)
{
    const cJSON *p = field(o, "prompt");
    RT_CHECK(p, RT_EINVAL, WHERE " has no \"prompt\"; give a string, a list of strings, a list of ids or a list of lists of ids");
    if (!cJSON_IsArray(p) || cJSON_IsNumber(p->child)) return add_prompt(q, d, p);
    RT_CHECK(p->child, RT_EINVAL, WHERE ": \"prompt\" is an empty list; give at least one token or text");
    for (const cJSON *e = p->child; e; e = e->next) RT_TRY(add_prompt(q, d, e));
    return RT_OK;
}

/* An answer may be as long as the context unless the request limits it. */
static rt_status request_read_chat(sv_request *q, const sv_engine *d, const cJSON *o)
{
    ds_ids *ids = &q->prompts[q->n++];
    RT_TRY(sv_chat_prompt(d, o, ids));
    RT_CHECK(ids->n >= 1, RT_EINVAL, "the chat template writes an empty prompt for these messages");
    for (int64_t i = 0; i < ids->n; i++)
        RT_CHECK(ids->v[i] < d->model->config.V, RT_EINVAL, "the chat's prompt holds token id %d, but the model has %lld ids",
                 (int)ids->v[i], (long long)d->model->config.V);
    if (q->max_tokens < 0) q->max_tokens = ids->n < d->max_len ? d->max_len - ids->n : 1;
    return request_check_room(q, d, ids);
}

rt_status sv_request_read(sv_request *q, const sv_engine *d, const cJSON *o, int chat)
{
    const char *model = "";
    *q                = (sv_request){.chat            = chat,
                                     .max_tokens      = chat ? -1 : 16,
                                     .sampling        = {.temperature = 1, .top_p = 1},
                                     .special         = 1,
                                     .skip_special    = 1,
                                     .logprobs        = -1,
                                     .prompt_logprobs = -1};
    RT_TRY(rt_json_text(o, "model", &model, WHERE));
    RT_CHECK(!*model || !strcmp(model, d->name), RT_ENOENT, "this server does not serve the model \"%.80s\"; it serves \"%s\"", model,
             d->name);
    if (field(o, "max_tokens") || !chat) RT_TRY(read_range(o, "max_tokens", &q->max_tokens, 0, INT32_MAX));
    if (chat && field(o, "max_completion_tokens")) RT_TRY(read_range(o, "max_completion_tokens", &q->max_tokens, 0, INT32_MAX));
    RT_TRY(request_read_sampling(q, o));
    RT_TRY(read_stop(q, o));
    RT_TRY(read_flags(q, o));
    RT_TRY(refuse_unsupported(o));
    if (chat) return request_read_chat(q, d, o);
    RT_TRY(read_probabilities(q, d, o));
    return read_prompts(q, d, o);
}

void sv_request_free(sv_request *q)
{
    for (int i = 0; i < q->n; i++) free(q->prompts[i].v);
    *q = (sv_request){0};
}
