/* columns.c -- ends a sum over rows: adds the partial sums of blocks of rows in order, so the result does not depend on the threads. */
#include "autograd/op.h"

enum { COLUMNS = 64 }; /* columns per work item */

typedef struct parted {
    const ag_args *a;
    int            j;
    int64_t        parts, C;
} parted;

/* One thread sums each column, so there are no races and the order is fixed. */
static void add_parts(int64_t item, int thread, void *ud)
{
    const parted  *p = ud;
    const ag_args *a = p->a;
    const int64_t  c = item * COLUMNS, n = p->C - c < COLUMNS ? p->C - c : COLUMNS;
    real           sum[COLUMNS] = {0};
    (void)thread;
    for (int64_t i = 0; i < p->parts; i++) a->k->add(sum, sum, a->shared + i * p->C + c, n);
    kn_put(a->din[p->j], a->din_type[p->j], c, sum, n, a->acc >> p->j & 1);
}

void ag_add_parts(const ag_args *a, int j, int64_t parts)
{
    parted p = {a, j, parts, ag_len(a->shape[j])};
    rt_parallel((p.C + COLUMNS - 1) / COLUMNS, add_parts, &p);
}
