/* comm.h -- what ranks say to each other; train/comm_mpi.c is the other side.
 *
 * Every call of rt_comm is collective: all ranks call it, in the same order.  All ranks get the same bits.
 */
#ifndef RT_CORE_COMM_H
#define RT_CORE_COMM_H
#include "core/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct rt_comm rt_comm;
struct rt_comm {
    int   rank, size, local; /* local: ranks on this machine */
    void *self;
    /* x[n] of 4-byte or 8-byte floats.  Afterwards this rank's share of x (rt_comm_share) is the sum over ranks, added in rank
     * order; the rest of x is undefined. */
    rt_status (*reduce_scatter)(rt_comm *c, void *x, int64_t n, size_t size);
    /* Each rank's share of x[n] (elements of `size` bytes) reaches all ranks. */
    rt_status (*all_gather)(rt_comm *c, void *x, int64_t n, size_t size);
    rt_status (*sum_f64)(rt_comm *c, double *x, int64_t n); /* of few numbers */
    rt_status (*sum_i64)(rt_comm *c, int64_t *x, int64_t n);
    rt_status (*max_i64)(rt_comm *c, int64_t *x, int64_t n);
    rt_status (*broadcast)(rt_comm *c, void *bytes, size_t n); /* from rank 0 */
    rt_status (*barrier)(rt_comm *c);
    void (*abandon)(rt_comm *c, int exit_code); /* end all ranks */
};

/* A rank's share [*from, *to) of n things: contiguous, in rank order, equal but for one. */
void rt_comm_share(const rt_comm *c, int rank, int64_t n, int64_t *from, int64_t *to);

rt_comm *rt_comm_self(void); /* one process: rank 0 of 1; never freed */

/* All ranks learn whether any failed, and why: returns `mine` where it is not RT_OK, RT_EPEER with the other's message on a rank that is
 * well while another is not, RT_OK when all are.  So rank 0 can speak for all. */
rt_status rt_comm_agree(rt_comm *c, rt_status mine);
/* Not rank 0, and rank 0 knows of the failure: it need not be said twice. */
int rt_comm_told(void);
/* The exit code of a process that ends with `st`: for RT_EPEER that of the rank that failed, so that the launcher passes on the
 * cause whichever rank it hears of first. */
int rt_comm_exit(rt_status st);
/* The text of the lowest rank where it is not empty reaches all. */
enum { RT_COMM_TEXT = 1024 };
rt_status rt_comm_share_text(rt_comm *c, char text[RT_COMM_TEXT]);
#endif
