/* lock.h -- one process at a time in a folder of outputs.
 *
 * A flock on DIR/.lock, whose text says who holds it.  It ends with the last process that inherited it, however that
 * ends, kill -9 included; the file is removed when it is given back.  On NFS the server keeps such locks, for all hosts.
 */
#ifndef RT_CORE_LOCK_H
#define RT_CORE_LOCK_H
#include "core/status.h"

typedef struct rt_lock rt_lock;

/* The folder exists.  RT_EINVAL names the other process.  Where that has ended and a child of it completes its work (core/apart.h), the
 * child is waited for, which a note says.  A file system without locks is named in a note, and the lock then keeps nobody out. */
rt_status rt_lock_take(rt_lock **out, const char *dir);
void      rt_lock_release(rt_lock **l); /* NULL is fine */
#endif
