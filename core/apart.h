/* apart.h -- work in a process of its own, which goes on when this one is ended.
 *
 * The child is a snapshot of this process in a session of its own: what a terminal or a launcher sends to the process
 * group does not reach it, and SIGINT, SIGTERM, SIGHUP and SIGUSR1 do nothing to it.  It has one thread (rt_threads() is 1), its
 * standard streams are /dev/null, and pipes and sockets are closed: whoever waits for their end does not wait for it.
 * Files and locks stay open.
 */
#ifndef RT_CORE_APART_H
#define RT_CORE_APART_H
#include "core/status.h"
#include <stddef.h>

/* Runs `work`, which writes `what`, there and waits; once more where the child is killed.  So `work` must stand being begun twice.  Returns its status; its message is the record of this thread.  On an interrupt a note
 * names the child; a second Ctrl-C ends the waiting process, not the child. */
rt_status rt_apart(rt_status (*work)(void *ud), void *ud, const char *what);
/* Memory of at least 64 MB that no child needs: its pages are not shared with one, so that writing them costs no copy. */
void rt_apart_exclude(void *p, size_t bytes);
#endif
