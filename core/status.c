/* status.c -- the thread-local error record. */
#include "core/status.h"
#include "core/utf8.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FRAMES = 16 };

static _Thread_local char g_text[2048];
static _Thread_local char g_trace[2048];
static _Thread_local int  g_frames;

static void add_frame(const char *file, int line)
{
    const size_t n = strlen(g_trace);
    if (g_frames++ < MAX_FRAMES) snprintf(g_trace + n, sizeof g_trace - n, "  at %s:%d\n", file, line);
}

/* Returns 1 for a control character, for one that changes the direction of text, and for invalid UTF-8 (len 0). */
static int is_control(const unsigned char *s, size_t len)
{
    if (len == 1) return s[0] < 0x20 || s[0] == 0x7f;
    if (len == 2) return s[0] == 0xc2 && s[1] < 0xa0; /* U+0080 to U+009F */
    if (len != 3 || s[0] != 0xe2) return !len;
    return (s[1] == 0x80 && (s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
           (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

static int is_layout(char c) { return c == '\n' || c == '\t'; }

void rt_text_clean(char *text)
{
    for (char *s = text; *s; s++)
        if (is_layout(*s) || *s == '\r') *s = ' ';
    rt_text_clean_lines(text, strlen(text));
}

void rt_text_clean_lines(char *text, size_t n)
{
    for (char *s = text; n;) {
        const size_t len = rt_utf8_length(s, n), step = len ? len : 1;
        if (is_control((const unsigned char *)s, len) && !is_layout(*s)) memset(s, '?', step);
        s += step;
        n -= step;
    }
}

rt_status rt_fail(rt_status code, const char *file, int line, const char *fmt, ...)
{
    char    text[sizeof g_text]; /* the arguments may point into the old record */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rt_text_clean(text);
    memcpy(g_text, text, sizeof text);
    g_frames   = 0;
    g_trace[0] = '\0';
    add_frame(file, line);
    return code;
}

rt_status rt_trace(rt_status code, const char *file, int line)
{
    add_frame(file, line);
    return code;
}

rt_status rt_status_of_errno(int err)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return RT_ENOSPC;
    case ENOENT: return RT_ENOENT;
    case ENOMEM: return RT_ENOMEM;
    default: return RT_EIO;
    }
}

const char *rt_error_text(void) { return g_text; }
const char *rt_error_trace(void) { return g_trace; }

const char *rt_status_name(rt_status s)
{
    switch (s) {
#define X(name, code, text) \
    case RT_##name: return text;
        RT_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

int rt_status_exit(rt_status s)
{
    switch (s) {
#define X(name, code, text) \
    case RT_##name: return code;
        RT_STATUS_MAP(X)
#undef X
    }
    return 3;
}

void rt_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "retort: %s:%d: the caller broke the precondition %s\n", file, line, cond);
    abort();
}
