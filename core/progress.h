/* progress.h -- messages to people, on standard error.
 *
 * Libraries do not print; they may be handed an rt_progress and advance it.
 * On a terminal it is one line rewritten in place; elsewhere a line every ten
 * seconds.  Standard output is kept for results.
 */
#ifndef RT_CORE_PROGRESS_H
#define RT_CORE_PROGRESS_H
#include <stdint.h>

void rt_note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "retort: ..." */
void rt_quiet(int on);                                                    /* no notes, no progress */

typedef struct rt_progress {
    const char *what, *unit;        /* "scoring", "documents" */
    int64_t     total, done, first; /* first: done at the beginning (a resumed run) */
    double      began, shown;
    int         tty, lines;
} rt_progress;

void rt_progress_begin(rt_progress *p, const char *what, const char *unit, int64_t total, int64_t done);
/* `extra` (may be NULL) is shown at the end of the line. */
void rt_progress_at(rt_progress *p, int64_t done, const char *extra);
/* A line of its own, at once: what people must know that wait. */
void rt_progress_say(rt_progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rt_progress_end(rt_progress *p);
#endif
