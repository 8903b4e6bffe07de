/* threads.h -- the one thread pool (OpenMP lives only in threads.c).
 *
 * Work is cut into items by shapes alone, never by the number of threads, and
 * each item owns its output: results do not depend on how many threads ran.
 */
#ifndef RT_CORE_THREADS_H
#define RT_CORE_THREADS_H
#include <stdint.h>

enum { RT_MAX_THREADS = 256 };

/* One item of work.  `thread` is 0 .. rt_threads()-1: index of private scratch. */
typedef void (*rt_body)(int64_t item, int thread, void *ud);

void rt_threads_set(int n);  /* n >= 1; before the first plan is made */
int  rt_threads(void);       /* default: OMP_NUM_THREADS, else cores in the affinity mask */
int  rt_cores_allowed(void); /* cores in this process's affinity mask */

/* Run items 0 .. n-1, in any order, on all threads; returns when all are done.
 * Called from inside a body it runs in that thread alone (thread index 0 is
 * then NOT private: bodies must not nest). */
void rt_parallel(int64_t n, rt_body body, void *ud);

/* So far: seconds inside rt_parallel, and the sum over threads of seconds inside bodies. */
void rt_parallel_seconds(double *wall, double *busy);
#endif
