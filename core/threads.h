/* threads.h -- the thread pool.
 *
 * Work is cut into items that depend only on shapes, not on the number of threads, and
 * items write disjoint outputs, so results do not depend on the number of threads.
 */
#ifndef RT_CORE_THREADS_H
#define RT_CORE_THREADS_H
#include <stdint.h>

enum { RT_MAX_THREADS = 256 };

/* Runs one work item.  `thread` is 0 .. rt_threads()-1, the index of the thread's private scratch memory. */
typedef void (*rt_body)(int64_t item, int thread, void *ud);

void rt_threads_set(int n);  /* n >= 1; call it before the first plan is created */
int  rt_threads(void);       /* default: OMP_NUM_THREADS, else cores in the affinity mask */
int  rt_cores_allowed(void); /* cores in this process's affinity mask */

/* Runs items 0 .. n-1, in any order, on all threads, and returns when all are done.
 * A body must not call it: its items would run with thread indices whose scratch memory other bodies use.  Calls from several
 * threads take turns.  A child process begins without the pool's threads and creates its own. */
void rt_parallel(int64_t n, rt_body body, void *ud);

/* Like rt_parallel of n1 items of `first` and then rt_parallel of n2 items of `second`, but the threads are woken only once. */
void rt_parallel_two(int64_t n1, rt_body first, int64_t n2, rt_body second, void *ud);

/* Returns the seconds spent so far in rt_parallel, and the sum over threads of the seconds in bodies.  Calls that ran on one
 * thread only are not counted. */
void rt_parallel_seconds(double *wall, double *busy);
#endif
