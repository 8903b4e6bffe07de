/* lock.h -- a lock that admits one process at a time to an output folder.
 *
 * The lock is a flock on DIR/.lock, a file that names the holder.  It is released when the last process that inherited it
 * ends, also by kill -9.  rt_lock_release removes the file.  On NFS the server keeps the lock for all hosts.
 */
#ifndef RT_CORE_LOCK_H
#define RT_CORE_LOCK_H
#include "core/status.h"

typedef struct rt_lock rt_lock;

/* Takes the lock of the existing folder `dir`.  RT_EINVAL: another process holds it; the message names the process.  If the holder has
 * ended and its child is completing its work (core/apart.h), rt_lock_take prints a note and waits for the child.  RT_EINTR: interrupted
 * meanwhile.  On a file system without locks it prints a warning and returns a lock that has no effect. */
rt_status rt_lock_take(rt_lock **out, const char *dir);
void      rt_lock_release(rt_lock **l); /* *l may be NULL; sets *l to NULL */
#endif
