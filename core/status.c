/* status.c -- the thread-local error record. */
#include "core/status.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
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

rt_status rt_fail(rt_status code, const char *file, int line, const char *fmt, ...)
{
    char    text[sizeof g_text]; /* the arguments may point into the old record */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
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
