/* progress.c -- notes, and the progress line with rate and time left. */
#include "core/progress.h"
#include "core/clock.h"
#include "core/status.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static int g_quiet;

void rt_quiet(int on) { g_quiet = on; }

static void progress_say(const char *before, const char *fmt, va_list ap)
{
    char text[2048];
    if (g_quiet) return;
    vsnprintf(text, sizeof text, fmt, ap);
    rt_text_clean(text);
    fprintf(stderr, "%sretort: %s\n", before, text);
}

void rt_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    progress_say("", fmt, ap);
    va_end(ap);
}

void rt_progress_say(rt_progress *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    progress_say(p->tty && p->lines ? "\r\033[K" : "", fmt, ap);
    va_end(ap);
}

void rt_progress_begin(rt_progress *p, const char *what, const char *unit, int64_t total, int64_t done)
{
    *p = (rt_progress){what, unit, total, done, done, rt_now(), rt_now(), isatty(2), 0};
}

static void progress_show(rt_progress *p, const char *extra)
{
    const double spent = rt_now() - p->began, rate = spent > 0 ? (double)(p->done - p->first) / spent : 0;
    const double left = rate > 0 ? (double)(p->total - p->done) / rate : 0;
    fprintf(stderr, "%s%s %lld/%lld %s, %.0f/s, %.0f s left%s%s%s", p->tty ? "\r" : "", p->what, (long long)p->done, (long long)p->total,
            p->unit, rate, left, extra && *extra ? ", " : "", extra ? extra : "", p->tty ? "\033[K" : "\n");
    fflush(stderr);
    p->lines++;
}

void rt_progress_at(rt_progress *p, int64_t done, const char *extra)
{
    const double now = rt_now();
    p->done          = done;
    if (g_quiet || now - p->shown < (p->tty ? 0.2 : 10.0)) return;
    p->shown = now;
    progress_show(p, extra);
}

void rt_progress_end(rt_progress *p)
{
    if (!g_quiet && p->tty && p->lines) fputs("\r\033[K", stderr);
}
