/* apart.h -- runs work in a child process that continues when this process is ended.
 *
 * The child is a fork of this process in its own session, so signals that a terminal or a launcher sends to the process
 * group do not reach it.  It ignores SIGINT, SIGTERM, SIGHUP and SIGUSR1.  It has one thread (rt_threads() is 1).  Its
 * standard streams are /dev/null, and its pipes and sockets are closed, so that readers of these do not wait for it.
 * Files and locks stay open.
 */
#ifndef RT_CORE_APART_H
#define RT_CORE_APART_H
#include "core/status.h"
#include <stddef.h>

/* Runs `work`, which writes `what`, in a child process and waits for it.  If the child is killed, `work` is run once more, so it
 * must be restartable.  Returns the status of `work`; its message is in this thread's error record.  After an interrupt a note
 * names the child; a second Ctrl-C ends the waiting process, not the child. */
rt_status rt_apart(rt_status (*work)(void *ud), void *ud, const char *what);
/* Excludes a block that no child reads from later forks, so that writing to it causes no page copies.  Ignored below 64 MB. */
void rt_apart_exclude(void *p, size_t bytes);
#endif
