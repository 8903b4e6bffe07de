/* judge.c -- what a reply's status means for the run, and how it is told to people. */
#include "core/json.h"
#include "teacher/schedule.h"
#include <stdio.h>
#include <string.h>

enum { QUOTE = 240 }; /* letters of a server's message */

/* The message in {"error": {"message"}}, {"error": "..."}, {"message"} or {"detail"}. */
static const char *message_of(const cJSON *o)
{
    static const char *const keys[] = {"error", "message", "detail"};
    const char              *text   = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !text; i++) {
        const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, keys[i]);
        text           = cJSON_IsObject(x) ? message_of(x) : cJSON_GetStringValue(x);
    }
    return text;
}

/* One line of printable letters; "..." where it was cut. */
static void quote(char *to, size_t n, const char *from)
{
    size_t len = 0;
    while (*from == ' ' || *from == '\n') from++;
    for (; *from && len + 4 < n && len < QUOTE; from++) to[len++] = (unsigned char)*from < 0x20 || *from == 0x7f ? ' ' : *from;
    snprintf(to + len, n - len, "%s", *from ? "..." : "");
}

static cJSON *body_of(const tc_reply *r)
{
    cJSON *o    = NULL;
    rt_buf copy = {0};
    if (r->body.len && r->body.len < 1 << 16 && rt_buf_add(&copy, r->body.p, r->body.len) == RT_OK)
        if (rt_json_parse(&o, copy.p, copy.len, RT_JSON_LENIENT | RT_JSON_DUPLICATES, "error") != RT_OK) o = NULL;
    rt_buf_free(&copy);
    return o;
}

void tc_describe(const tc_reply *r, char *text, size_t n)
{
    char        line[QUOTE + 8] = "";
    const char *message         = NULL;
    if (!r->status) {
        snprintf(text, n, "%s", r->error);
        return;
    }
    cJSON *o = body_of(r);
    if (o) message = message_of(o);
    quote(line, sizeof line, message ? message : r->body.p ? r->body.p : "");
    cJSON_Delete(o);
    snprintf(text, n, "HTTP %ld%s%s", r->status, line[0] ? ": " : " without a message", line);
}

/* A quota that is used up comes as 429 too; waiting does not fill it. */
static int quota_is_used_up(const tc_reply *r)
{
    static const char *const codes[] = {"insufficient_quota", "credit_balance_exhausted", "spend_limit_exceeded", "usage_limit_exceeded"};
    for (size_t i = 0; r->body.p && i < sizeof codes / sizeof *codes; i++)
        if (strstr(r->body.p, codes[i])) return 1;
    return 0;
}

tc_verdict tc_judge(const tc_reply *r)
{
    if (!r->status) return TC_RETRY;
    if (r->status >= 200 && r->status < 300) return TC_ACCEPT;
    if (r->status == 429) return quota_is_used_up(r) ? TC_STOP : TC_SLOW_DOWN;
    switch (r->status) {
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
