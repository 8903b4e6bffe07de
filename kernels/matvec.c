/* matvec.c -- matrix times vector, for decoding: rows of any type, each one dot product. */
#include "kernels/kernels.h"

enum { MATVEC_ROWS = 32 };

typedef struct matvec {
    real       *y;
    const void *w;
    kn_type     t;
    const real *x;
    int64_t     N, K;
} matvec;

static real quant_dot(const kn_quant *w, int64_t row, const real *x)
{
    const uint8_t *q = w->q + row * w->cols * w->bits / 8;
    real           y = 0;
    for (int64_t g = 0; g < w->groups; g++) {
        const int64_t c = g * w->group, n = w->cols - c < w->group ? w->cols - c : w->group;
        const real    d = w->bits == 8 ? kn_get()->dot_u8(x + c, q + c, n) : kn_get()->dot_u4(x + c, q + c / 2, n);
        y += (d - (real)w->zero[row * w->groups + g] * kn_get()->sum(x + c, n)) / (real)w->scale[row * w->groups + g];
    }
    return y;
}

static void matvec_rows(int64_t item, int thread, void *ud)
{
    const matvec *m  = ud;
    const int64_t to = (item + 1) * MATVEC_ROWS < m->N ? (item + 1) * MATVEC_ROWS : m->N;
    (void)thread;
    for (int64_t i = item * MATVEC_ROWS; i < to; i++)
        m->y[i] = m->t == KN_REAL   ? kn_get()->dot(m->x, (const real *)m->w + i * m->K, m->K)
                  : m->t == KN_BF16 ? kn_get()->dot_bf16(m->x, (const kn_bf16 *)m->w + i * m->K, m->K)
                                    : quant_dot(m->w, i, m->x);
}

void kn_matvec(real *y, const void *w, kn_type t, const real *x, int64_t N, int64_t K)
{
    matvec m = {y, w, t, x, N, K};
    rt_parallel((N + MATVEC_ROWS - 1) / MATVEC_ROWS, matvec_rows, &m);
}
