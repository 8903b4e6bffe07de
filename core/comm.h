/* comm.h -- the communication between ranks; train/comm_mpi.c implements it with MPI, comm_self.c for one process.
 *
 * Every function pointer of rt_comm is collective: all ranks call it, in the same order.  Results are
 * bitwise equal on all ranks.
 */
#ifndef RT_CORE_COMM_H
#define RT_CORE_COMM_H
#include "core/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct rt_comm rt_comm;
struct rt_comm {
    int rank, size, local; /* local: ranks on this machine */
    /* Reduces x[n], floats of 4 or 8 bytes (`size`).  Afterwards this rank's share of x (rt_comm_share) is the sum over ranks, added
     * in rank order; the other elements of x are undefined. */
    rt_status (*reduce_scatter)(rt_comm *c, void *x, int64_t n, size_t size);
    /* Copies each rank's share of x[n] (elements of `size` bytes) to all ranks. */
    rt_status (*all_gather)(rt_comm *c, void *x, int64_t n, size_t size);
    rt_status (*sum_f64)(rt_comm *c, double *x, int64_t n); /* for small n */
    rt_status (*max_i64)(rt_comm *c, int64_t *x, int64_t n);
    rt_status (*broadcast)(rt_comm *c, void *bytes, size_t n); /* from rank 0 */
};

/* Sets [*from, *to) to a rank's share of n elements.  Shares are contiguous, in rank order, and differ by at most one element. */
void rt_comm_share(const rt_comm *c, int rank, int64_t n, int64_t *from, int64_t *to);

rt_comm *rt_comm_self(void); /* one process: rank 0 of 1; never freed */

/* Collective.  Agrees on whether any rank failed.  Returns `mine` on a rank that failed, RT_EPEER with the message of the lowest
 * failed rank on the other ranks, and RT_OK if no rank failed.  So rank 0 can print the error of any rank. */
rt_status rt_comm_agree(rt_comm *c, rt_status mine);
/* Returns 1 if this is not rank 0 and rank 0 has the error message, so this rank need not print it. */
int rt_comm_told(void);
/* Returns the exit code of a process that ends with `st`.  For RT_EPEER it is the exit code of the failed rank, so that the
 * launcher reports the cause whichever rank ends first. */
int rt_comm_exit(rt_status st);
/* Collective.  Sets `text` on all ranks to that of the lowest rank whose text is not empty. */
enum { RT_COMM_TEXT = 1024 };
rt_status rt_comm_share_text(rt_comm *c, char text[RT_COMM_TEXT]);
#endif
