/* progress.h -- notes and progress on standard error.
 *
 * Libraries do not print; a caller may pass them an rt_progress, which they advance.
 * On a terminal progress is one line rewritten in place; elsewhere it is a line every ten
 * seconds.  Standard output is for results only.
 */
#ifndef RT_CORE_PROGRESS_H
#define RT_CORE_PROGRESS_H
#include <stdint.h>

void rt_note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* prints "retort: ..." */
void rt_quiet(int on);                                                    /* 1: print no notes and no progress */

typedef struct rt_progress {
    const char *what, *unit;        /* "scoring", "documents" */
    int64_t     total, done, first; /* first: `done` at the beginning, not 0 in a resumed run */
    double      began, shown;
    int         tty, lines;
} rt_progress;

void rt_progress_begin(rt_progress *p, const char *what, const char *unit, int64_t total, int64_t done);
/* Updates the progress.  `extra` (may be NULL) is shown at the end of the line. */
void rt_progress_at(rt_progress *p, int64_t done, const char *extra);
/* Prints a message on its own line immediately. */
void rt_progress_say(rt_progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rt_progress_end(rt_progress *p);
#endif
