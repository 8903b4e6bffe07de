/* comm.h -- what ranks say to each other; train/comm_mpi.c is the other side.
 *
 * Every call here is collective: all ranks call it, in the same order.  Sums are
 * made in rank order on every rank, so that all get the same bits.
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
    rt_status (*sum_f32)(rt_comm *c, float *x, int64_t n);
    rt_status (*sum_f64)(rt_comm *c, double *x, int64_t n);
    rt_status (*sum_i64)(rt_comm *c, int64_t *x, int64_t n);
    rt_status (*max_i64)(rt_comm *c, int64_t *x, int64_t n);
    rt_status (*broadcast)(rt_comm *c, void *bytes, size_t n); /* from rank 0 */
    rt_status (*barrier)(rt_comm *c);
    void (*abandon)(rt_comm *c, int exit_code); /* end all ranks */
};

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
