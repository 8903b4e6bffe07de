/* matvec.c -- matrix times vector, for decoding: one dot product per row, of any type. */
#include "kernels/kernels.h"

enum { ROWS = 32 }; /* rows per work item */

typedef struct matvec {
    real       *y;
    const void *w;
    real (*dot)(const void *w, int64_t row, const real *x, int64_t cols);
    const real *x;
    int64_t     N, K;
} matvec;

static void multiply_rows(int64_t item, int thread, void *ud)
{
    const matvec *m  = ud;
    const int64_t to = (item + 1) * ROWS < m->N ? (item + 1) * ROWS : m->N;
    (void)thread;
    for (int64_t i = item * ROWS; i < to; i++) m->y[i] = m->dot(m->w, i, m->x, m->K);
}

void kn_matvec(real *y, const void *w, kn_type t, const real *x, int64_t N, int64_t K)
{
    matvec m = {y, w, kn_type_of(t)->dot, x, N, K};
    RT_ASSERT(N >= 0 && K >= 0 && m.dot);
    rt_parallel((N + ROWS - 1) / ROWS, multiply_rows, &m);
}
