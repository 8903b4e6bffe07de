/* openai.c -- what servers with OpenAI's API share: headers, paths, the list of models, finish reasons. */
#include "data/wire.h"
#include "teacher/dialect.h"
#include <stdio.h>
#include <string.h>

static const char *const    request_headers[] = {"Content-Type: application/json", "Authorization: Bearer ", NULL};
static const tc_wait_header wait_headers[]    = {{"retry-after-ms", 0.001}, {"retry-after", 1}, {NULL, 0}}; /* the first is OpenAI's own */
const tc_headers            tc_openai_headers = {request_headers, wait_headers};

const tc_finish tc_openai_finish[] = {{"stop", 1}, {"eos", 1}, {"eos_token", 1}, {"length", 0}, {"stop_sequence", 0}, {NULL, 0}};

const char *tc_openai_path(const tc_request *q) { return q->chat ? "/v1/chat/completions" : "/v1/completions"; }

/* ---- GET /v1/models ----------------------------------------------------------------------- */

const cJSON *tc_openai_model(const cJSON *models, const char *wanted)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(models, "data"), *x = cJSON_IsArray(list) ? list->child : NULL;
    for (; x && wanted; x = x->next) {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(x, "id"));
        if (id && !strcmp(id, wanted)) break;
    }
    return x;
}

void tc_openai_files(tc_server *s, const cJSON *o)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, WIRE_TOKENIZER_FILES), *e;
    int          n    = 0;
    cJSON_ArrayForEach(e, list)
    {
        const char *sha = cJSON_GetStringValue(e);
        if (n < 2 && sha && strlen(sha) == 64 && strspn(sha, "0123456789abcdef") == 64) snprintf(s->files[n++], RT_SHA_HEX, "%s", sha);
    }
}

void tc_openai_computes(tc_server *s, const cJSON *o)
{
    const char  *dtype = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, WIRE_DTYPE));
    const cJSON *gemm  = cJSON_GetObjectItemCaseSensitive(o, WIRE_GEMM);
    rt_buf       b     = {0};
    if (dtype && strlen(dtype) < sizeof s->dtype) snprintf(s->dtype, sizeof s->dtype, "%s", dtype);
    if (cJSON_IsObject(gemm) && rt_json_print(&b, gemm) == RT_OK && b.len < sizeof s->gemm) snprintf(s->gemm, sizeof s->gemm, "%s", b.p);
    rt_buf_free(&b);
}

static rt_status take_model(tc_server *s, const cJSON *x, const char *where)
{
    const char *id = NULL, *sha = NULL;
    RT_TRY(rt_json_text(x, "id", &id, where));
    RT_TRY(rt_json_text(x, WIRE_TOKENIZER_SHA256, &sha, where));
    RT_TRY(rt_json_int(x, WIRE_VOCAB_SIZE, &s->vocab, where));
    RT_TRY(rt_json_int(x, WIRE_MAX_MODEL_LEN, &s->max_len, where));
    RT_TRY(rt_json_int(x, WIRE_MAX_LOGPROBS, &s->max_logprobs, where));
    RT_CHECK(id && *id && strlen(id) < sizeof s->model, RT_EFORMAT,
             "%s: malformed response: expected models with an id of 1 to %zu characters", where, sizeof s->model - 1);
    RT_CHECK(!sha || strspn(sha, "0123456789abcdef") == 64, RT_EFORMAT,
             "%s: malformed response: expected a SHA-256 as " WIRE_TOKENIZER_SHA256, where);
    RT_CHECK(s->vocab >= 0 && s->vocab <= INT32_MAX && s->max_len >= 0, RT_EFORMAT,
             "%s: malformed response: vocab_size or max_model_len is out of range", where);
    snprintf(s->model, sizeof s->model, "%s", id);
    snprintf(s->tokenizer, sizeof s->tokenizer, "%.64s", sha ? sha : "");
    tc_openai_files(s, x);
    tc_openai_computes(s, x);
    return RT_OK;
}

rt_status tc_openai_describe(tc_server *s, const cJSON *models, const char *wanted, const char *where)
{
    const cJSON *x = tc_openai_model(models, wanted);
    RT_CHECK(x || !wanted, RT_EINVAL, "%s: the server has no model '%.100s'; omit --model to use the first that it lists", where, wanted);
    RT_CHECK(x, RT_EFORMAT, "%s: malformed response: expected {\"data\": [{\"id\": ...}]}, found no model", where);
    return take_model(s, x, where);
}
