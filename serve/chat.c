/* chat.c -- reading the messages of a chat request: the chat template makes the prompt of them. */
#include "data/chat.h"
#include "serve/engine.h"
#include <string.h>

#define WHERE "the request"

/* Refuses what only completions have, and what would change the answer and is not supported.  An empty list asks for nothing. */
static rt_status chat_refuse(const cJSON *o)
{
    static const char *const never[] = {"prompt", "echo",      "logprobs",  "top_logprobs",           "prompt_logprobs", "retort",
                                        "tools",  "functions", "documents", "continue_final_message", "chat_template"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        const cJSON *f     = cJSON_GetObjectItemCaseSensitive(o, never[i]);
        const int    empty = !f || cJSON_IsNull(f) || cJSON_IsFalse(f) || (cJSON_IsArray(f) && !f->child);
        RT_CHECK(empty, RT_EINVAL,
                 WHERE ": \"%s\" is not supported in a chat; omit it (/v1/completions gives log-probabilities for the ids that "
                       "\"return_token_ids\" returns)",
                 never[i]);
    }
    return RT_OK;
}

/* Appends the texts of a list of parts {"type": "text", "text": ...}, one per line. */
static rt_status join_parts(const cJSON *parts, int64_t number, rt_buf *out)
{
    for (const cJSON *p = parts->child; p; p = p->next) {
        const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "type"));
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "text"));
        RT_CHECK(
            type && !strcmp(type, "text") && text, RT_EINVAL,
            WHERE
            ": message %lld: each part of \"content\" must be {\"type\": \"text\", \"text\": ...}; other types than text are not supported",
            (long long)number);
        if (p != parts->child) RT_TRY(rt_buf_str(out, "\n"));
        RT_TRY(rt_buf_str(out, text));
    }
    return rt_buf_str(out, "");
}

static rt_status chat_message(cJSON *m, int64_t number)
{
    cJSON *content = cJSON_GetObjectItemCaseSensitive(m, "content"), *text;
    rt_buf b       = {0};
    RT_CHECK(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(m, "role")), RT_EINVAL, WHERE ": message %lld has no \"role\", a string",
             (long long)number);
    if (!content || cJSON_IsNull(content) || cJSON_IsString(content)) return RT_OK;
    RT_CHECK(cJSON_IsArray(content), RT_EINVAL, WHERE ": message %lld: \"content\" must be a string or a list of parts", (long long)number);
    rt_status st = join_parts(content, number, &b);
    text         = st == RT_OK ? cJSON_CreateString(b.p) : NULL;
    rt_buf_free(&b);
    RT_TRY(st);
    RT_CHECK(text && cJSON_ReplaceItemInObjectCaseSensitive(m, "content", text), RT_ENOMEM, "no memory for a message");
    return RT_OK;
}

static rt_status chat_ids(const sv_engine *d, cJSON *messages, const cJSON *o, ds_ids *ids)
{
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(o, "chat_template_kwargs");
    int          prompt = 1;
    int64_t      number = 0;
    RT_TRY(rt_json_bool(o, "add_generation_prompt", &prompt, WHERE));
    RT_CHECK(!values || cJSON_IsNull(values) || cJSON_IsObject(values), RT_EINVAL, WHERE ": \"chat_template_kwargs\" must be an object");
    for (cJSON *m = messages->child; m; m = m->next) RT_TRY(chat_message(m, number++));
    return ds_chat_ids(d->chat, d->tokenizer, messages, values, prompt, ids);
}

rt_status sv_chat_prompt(const sv_engine *d, const cJSON *o, ds_ids *ids)
{
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(o, "messages");
    RT_CHECK(d->chat || d->chat_error, RT_EINVAL, "this model has no chat template; use /v1/completions with a \"prompt\"");
    RT_CHECK(d->chat, RT_EINVAL, "this model's chat template cannot be used; use /v1/completions with a \"prompt\": %s", d->chat_error);
    RT_TRY(chat_refuse(o));
    RT_CHECK(cJSON_IsArray(given) && given->child, RT_EINVAL, WHERE " has no \"messages\"; give a list of at least one message");
    cJSON *messages = cJSON_Duplicate(given, 1); /* a list of parts becomes a text in the copy */
    RT_CHECK(messages, RT_ENOMEM, "no memory for the messages of a chat");
    const rt_status st = chat_ids(d, messages, o, ids);
    cJSON_Delete(messages);
    return st;
}
