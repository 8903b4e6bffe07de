/* classify.c -- classifies a reply (accept, retry, slow down, refuse, stop) and writes its error as one line, for all known servers. */
#define _GNU_SOURCE
#include "teacher/dialect.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUOTE = 240 /* letters of a server's message */, MAX_ERROR = 1 << 16 /* bytes of a body that is read for one */ };

static const cJSON *classify_get(const cJSON *o, const char *key) { return cJSON_GetObjectItemCaseSensitive(o, key); }

/* Returns the error message: a string, or the first string under one of the keys that servers use; NULL: none. */
static const char *message_of(const cJSON *o)
{
    static const char *const keys[] = {"error",      "errors",    "base_resp", "message",           "Message",
                                       "msg",        "error_msg", "errmsg",    "error_message",     "err_msg",
                                       "status_msg", "detail",    "reason",    "error_description", "description"};
    const char              *text   = cJSON_GetStringValue(o);
    if (text) return *text ? text : NULL;
    if (cJSON_IsArray(o))
        for (o = o->child; o && !text; o = o->next) text = message_of(o);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !text; i++)
        if (cJSON_IsObject(classify_get(o, keys[i])) || cJSON_IsArray(classify_get(o, keys[i])) || cJSON_IsString(classify_get(o, keys[i])))
            text = message_of(classify_get(o, keys[i]));
    return text;
}

/* One line; "..." where it was cut. */
static void quote(char *to, size_t n, const char *from)
{
    size_t len = strspn(from, " \n"), end = 0;
    for (from += len; from[end] && end + 4 < n && end < QUOTE;) end++;
    snprintf(to, n, "%.*s%s", (int)end, from, from[end] ? "..." : "");
    rt_text_clean(to);
}

static cJSON *body_of(const tc_reply *r)
{
    cJSON *o    = NULL;
    rt_buf copy = {0};
    if (r->body.len && r->body.len < MAX_ERROR && rt_buf_add(&copy, r->body.p, r->body.len) == RT_OK)
        if (rt_json_parse(&o, copy.p, copy.len, RT_JSON_LENIENT | RT_JSON_DUPLICATES | RT_JSON_ANY, "error") != RT_OK) o = NULL;
    rt_buf_free(&copy);
    return o;
}

/* ---- errors in an envelope of success ------------------------------------------------------ */

/* Returns 1 if o declares an error explicitly, whatever else it contains. */
static int names_error(const cJSON *o)
{
    const cJSON *e = classify_get(o, "error"), *list = classify_get(o, "errors");
    const char  *kind = cJSON_GetStringValue(classify_get(o, "object"));
    return cJSON_IsObject(e) || cJSON_IsTrue(e) || (e && message_of(e)) || (list && message_of(list)) ||
           cJSON_IsFalse(classify_get(o, "success")) || (kind && !strcmp(kind, "error"));
}

/* The part of a response that tells an error: all of it, its first entry or its first choice; where nothing usable is
 * there, a bare message will do.  NULL: none. */
static const cJSON *error_in(const cJSON *o)
{
    const cJSON *top = cJSON_IsArray(o) ? o->child : o, *choices = classify_get(top, "choices");
    const cJSON *choice = cJSON_IsArray(choices) ? choices->child : NULL;
    if (names_error(top)) return top;
    if (names_error(choice)) return choice;
    const int usable = (cJSON_IsObject(choice) && choice->child) || cJSON_IsArray(classify_get(top, "data"));
    return !usable && message_of(top) ? top : NULL;
}

/* Returns the HTTP status that a value gives as a number, in a string or as a word; 0: none. */
static long classify_status_of(const cJSON *x)
{
    static const struct {
        const char *word;
        long        status;
    } words[]         = {{"rate_limit", 429}, {"too_many", 429}, {"resource_exhausted", 429}, {"overloaded", 503}, {"unavailable", 503}};
    const char  *text = cJSON_GetStringValue(x);
    const double v    = cJSON_IsNumber(x) ? x->valuedouble : text ? strtod(text, NULL) : 0;
    if (v >= 400 && v < 600) return (long)v;
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++)
        if (strcasestr(text, words[i].word)) return words[i].status;
    return 0;
}

static int is_status(const cJSON *x) { return classify_status_of(x) > 0; }
static int is_code(const cJSON *x) { return cJSON_IsNumber(x) || (cJSON_IsString(x) && *x->valuestring); }

/* Returns the first value for which is_one() holds, among the keys that accompany a message.  The innermost object comes first. */
static const cJSON *code_in(const cJSON *e, int (*is_one)(const cJSON *))
{
    static const char *const inner[] = {"error", "errors", "base_resp"};
    static const char *const keys[]  = {"code", "status_code", "error_code", "errcode", "status", "type"};
    const cJSON             *found   = NULL;
    if (cJSON_IsArray(e)) return code_in(e->child, is_one);
    for (size_t i = 0; i < sizeof inner / sizeof *inner && !found; i++)
        if (classify_get(e, inner[i])) found = code_in(classify_get(e, inner[i]), is_one);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !found; i++)
        if (is_one(classify_get(e, keys[i]))) found = classify_get(e, keys[i]);
    return found;
}

/* Writes ", code 17" or nothing.  The server's code need not be an HTTP status. */
static void put_code(char *to, size_t n, const cJSON *e)
{
    const cJSON *x = code_in(e, is_code);
    if (cJSON_IsNumber(x)) snprintf(to, n, ", code %.10g", x->valuedouble);
    else snprintf(to, n, "%s%.40s", x ? ", code " : "", x ? x->valuestring : "");
    rt_text_clean(to);
}

/* ---- the class --------------------------------------------------------------------------- */

static int mentions(const tc_reply *r, const char *const *words, size_t n)
{
    for (size_t i = 0; r->body.p && i < n; i++)
        if (strstr(r->body.p, words[i])) return 1;
    return 0;
}

/* Servers report an exhausted quota as 429 too.  Waiting does not refill it. */
static int quota_is_used_up(const tc_reply *r)
{
    static const char *const codes[] = {"insufficient_quota", "credit_balance_exhausted", "spend_limit_exceeded", "usage_limit_exceeded"};
    return mentions(r, codes, sizeof codes / sizeof *codes);
}

/* The filter concerns one prompt, whatever the status. */
static int prompt_is_filtered(const tc_reply *r)
{
    static const char *const codes[] = {"\"content_filter\"", "\"content_policy_violation\"", "\"moderation_blocked\""};
    return mentions(r, codes, sizeof codes / sizeof *codes);
}

static tc_class classify_class_of(long status, const tc_reply *r)
{
    if (status < 500 && prompt_is_filtered(r)) return TC_REFUSED;
    switch (status) {
    case 400:
    case 413:
    case 422:
    case 451: return TC_REFUSED;
    case 429: return quota_is_used_up(r) ? TC_STOP : TC_SLOW_DOWN;
    case 503:
    case 529: return TC_SLOW_DOWN;
    case 408:
    case 409:
    case 425:
    case 500:
    case 502:
    case 504:
    case 520:
    case 521:
    case 522:
    case 523:
    case 524: return TC_RETRY;
    default: return TC_STOP;
    }
}

static tc_class classify_success(const tc_reply *r, const cJSON *o, tc_outcome *out)
{
    char         line[QUOTE + 8] = "", code[64] = "";
    const cJSON *e = error_in(o);
    if (!e) return TC_ACCEPT;
    const char *message = message_of(e);
    quote(line, sizeof line, message ? message : "");
    put_code(code, sizeof code, e);
    snprintf(out->text, sizeof out->text, "HTTP %ld with an error%s%s%s", r->status, line[0] ? ": " : " without a message", line, code);
    const cJSON *status = code_in(e, is_status);
    return classify_class_of(status ? classify_status_of(status) : 500, r); /* 500 where it does not say */
}

static tc_class classify_failure(const tc_reply *r, const cJSON *o, tc_outcome *out)
{
    char        line[QUOTE + 8] = "";
    const char *message         = message_of(o);
    quote(line, sizeof line, message ? message : r->body.p ? r->body.p : "");
    snprintf(out->text, sizeof out->text, "HTTP %ld%s%s", r->status, line[0] ? ": " : " without a message", line);
    return classify_class_of(r->status, r);
}

static tc_class classify_silence(const tc_reply *r, tc_outcome *out)
{
    snprintf(out->text, sizeof out->text, "%s", r->error);
    rt_text_clean(out->text);
    return r->crowded ? TC_SLOW_DOWN : TC_RETRY;
}

void tc_classify(tc_outcome *out, const tc_reply *r)
{
    const int fine = r->status >= 200 && r->status < 300;
    cJSON    *o    = body_of(r);
    *out           = (tc_outcome){.wait = r->wait};
    out->what      = !r->status ? classify_silence(r, out) : fine ? classify_success(r, o, out) : classify_failure(r, o, out);
    cJSON_Delete(o);
}
