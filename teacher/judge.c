/* judge.c -- what a reply means for the run, and how it is told to people. */
#include "core/json.h"
#include "teacher/schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUOTE = 240 /* letters of a server's message */, MAX_ERROR = 1 << 16 /* bytes of a body that is read for one */ };

static const cJSON *get(const cJSON *o, const char *key) { return cJSON_GetObjectItemCaseSensitive(o, key); }

/* The message in {"error": {"message"}}, {"error": "..."}, {"message"} or {"detail"}. */
static const char *message_of(const cJSON *o)
{
    static const char *const keys[] = {"error", "message", "detail"};
    const char              *text   = cJSON_GetStringValue(o);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !text; i++) {
        const cJSON *x = get(o, keys[i]);
        text           = cJSON_IsObject(x) ? message_of(x) : cJSON_GetStringValue(x);
    }
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

/* What the answer calls its error: {"error": ...}, {"choices": [{"error": ...}]}, or a bare message where an answer
 * should be; NULL: none. */
static const cJSON *error_in(const cJSON *o)
{
    const cJSON *choices = get(o, "choices"), *first = cJSON_IsArray(choices) ? choices->child : NULL;
    const cJSON *e = get(o, "error"), *of_choice = get(first, "error");
    if (cJSON_IsObject(e) || cJSON_IsString(e)) return e;
    if (cJSON_IsObject(of_choice) || cJSON_IsString(of_choice)) return of_choice;
    return !choices && !get(o, "data") && message_of(o) ? o : NULL;
}

/* The HTTP status that the error would have had; 500 where it does not say. */
static long status_in(const cJSON *e)
{
    static const char *const keys[] = {"code", "status", "status_code", "type"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *x    = get(e, keys[i]);
        const char  *text = cJSON_GetStringValue(x);
        const double v    = cJSON_IsNumber(x) ? x->valuedouble : text ? strtod(text, NULL) : 0;
        if (v >= 400 && v < 600) return (long)v;
        if (text && (strstr(text, "rate_limit") || strstr(text, "too_many"))) return 429;
        if (text && (strstr(text, "overloaded") || strstr(text, "unavailable"))) return 503;
    }
    return 500;
}

/* ---- the verdict --------------------------------------------------------------------------- */

static int mentions(const tc_reply *r, const char *const *words, size_t n)
{
    for (size_t i = 0; r->body.p && i < n; i++)
        if (strstr(r->body.p, words[i])) return 1;
    return 0;
}

/* A quota that is used up comes as 429 too; waiting does not fill it. */
static int quota_is_used_up(const tc_reply *r)
{
    static const char *const codes[] = {"insufficient_quota", "credit_balance_exhausted", "spend_limit_exceeded", "usage_limit_exceeded"};
    return mentions(r, codes, sizeof codes / sizeof *codes);
}

/* Said of one prompt, whatever the status. */
static int prompt_is_filtered(const tc_reply *r)
{
    static const char *const codes[] = {"\"content_filter\"", "\"content_policy_violation\"", "\"moderation_blocked\""};
    return mentions(r, codes, sizeof codes / sizeof *codes);
}

static tc_verdict verdict_of(long status, const tc_reply *r)
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

static tc_verdict judge_success(const tc_reply *r, const cJSON *o, char *why, size_t n)
{
    char         line[QUOTE + 8] = "";
    const cJSON *e               = error_in(o);
    if (!e) return TC_ACCEPT;
    const char *message = message_of(e);
    quote(line, sizeof line, message ? message : "");
    snprintf(why, n, "HTTP %ld that holds an error%s%s", r->status, line[0] ? ": " : " without a message", line);
    return verdict_of(status_in(e), r);
}

static tc_verdict judge_failure(const tc_reply *r, const cJSON *o, char *why, size_t n)
{
    char        line[QUOTE + 8] = "";
    const char *message         = message_of(o);
    quote(line, sizeof line, message ? message : r->body.p ? r->body.p : "");
    snprintf(why, n, "HTTP %ld%s%s", r->status, line[0] ? ": " : " without a message", line);
    return verdict_of(r->status, r);
}

tc_verdict tc_judge(const tc_reply *r, char *why, size_t n)
{
    if (!r->status) {
        snprintf(why, n, "%s", r->error);
        rt_text_clean(why);
        return r->crowded ? TC_SLOW_DOWN : TC_RETRY;
    }
    cJSON           *o    = body_of(r);
    const int        fine = r->status >= 200 && r->status < 300;
    const tc_verdict v    = fine ? judge_success(r, o, why, n) : judge_failure(r, o, why, n);
    cJSON_Delete(o);
    return v;
}
