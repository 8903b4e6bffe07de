/* rope.c -- the operator rope: rotates each head of row n by position pos[n].
 *   y[i] = x[i] cos - x[i + R/2] sin,  y[i + R/2] = x[i + R/2] cos + x[i] sin,  for the first R elements of a head of D
 * The angle is pos times a frequency of the pair (Su et al. 2021, arXiv:2104.09864).  Element i is paired with i + R/2, as in
 * Hugging Face's files; elements from R on are unchanged.  Backward rotates the gradient by the opposite angle.  The operator may
 * work in place. */
#include "autograd/op.h"
#include <math.h>
#include <string.h>

void ag_rope_table(real *table, int64_t positions, int64_t R, const double *frequency, double factor)
{
    RT_ASSERT(positions >= 0 && R > 0 && R % 2 == 0);
    const int64_t half = R / 2;
    for (int64_t p = 0; p < positions; p++)
        for (int64_t i = 0; i < half; i++) {
            const double angle                = (double)p * frequency[i];
            table[p * half + i]               = (real)(factor * cos(angle));
            table[(positions + p) * half + i] = (real)(factor * sin(angle));
        }
}

static rt_status rope_infer(ag_infer *i, const ag_attr *attr)
{
    const ag_shape *x = i->in[0], *table = i->in[2];
    const int64_t   D = attr->i[0];
    RT_CHECK(x->nd == 2 && D > 0 && D % 2 == 0 && x->d[1] % D == 0, RT_ESHAPE,
             "rope: expected rows of a multiple of the even head size, found rows of %lld and a head size of %lld", (long long)x->d[1],
             (long long)D);
    RT_CHECK(i->type[1] == KN_I32 && ag_len(i->in[1]) == x->d[0] && table->nd == 3 && table->d[2] >= 1 && table->d[2] <= D / 2, RT_ESHAPE,
             "rope: expected pos[%lld] of type i32 and table[2,P,R/2] with R of at most %lld", (long long)x->d[0], (long long)D);
    i->out     = *x;
    i->scratch = 2 * x->d[1];
    return RT_OK;
}

static void rope_turn(const ag_args *a, int64_t n, const void *from, kn_type from_type, real *work, real *to, real sign)
{
    const int64_t W = a->shape[0]->d[1], D = a->attr.i[0], P = a->shape[2]->d[1], half = a->shape[2]->d[2], R = 2 * half;
    const int64_t p = ((const int32_t *)a->in[1])[n];
    const real   *x = kn_load(from, from_type, n * W, W, work), *c = (const real *)a->in[2] + p * half, *s = c + P * half;
    RT_ASSERT(p >= 0 && p < P);
    for (int64_t h = 0; h < W; h += D) {
        a->k->rotate(to + h, x + h, c, s, sign, half);
        if (R < D) memcpy(to + h + R, x + h + R, (size_t)(D - R) * sizeof *x);
    }
}

static void rope_forward_row(int64_t n, int thread, void *ud)
{
    const ag_args *a    = ud;
    const int64_t  W    = a->shape[0]->d[1];
    real          *work = ag_scratch(a, thread);
    rope_turn(a, n, a->in[0], a->type[0], work, work + W, 1);
    kn_put(a->out, a->out_type, n * W, work + W, W, 0);
}

static void backward_row(int64_t n, int thread, void *ud)
{
    const ag_args *a    = ud;
    const int64_t  W    = a->shape[0]->d[1];
    real          *work = ag_scratch(a, thread);
    rope_turn(a, n, a->dout, a->out_type, work, work + W, -1);
    kn_put(a->din[0], a->din_type[0], n * W, work + W, W, a->acc & 1);
}

static void rope_forward(const ag_args *a) { rt_parallel(a->shape[0]->d[0], rope_forward_row, (void *)(uintptr_t)a); }

static void rope_backward(const ag_args *a)
{
    if (a->din[0]) rt_parallel(a->shape[0]->d[0], backward_row, (void *)(uintptr_t)a);
}

const ag_op ag_op_rope = {.name     = "rope",
                          .n_in     = 3,
                          .work     = AG_ROWS,
                          .keeps    = 2 | 4,
                          .nograd   = 2 | 4,
                          .inplace  = 1,
                          .infer    = rope_infer,
                          .forward  = rope_forward,
                          .backward = rope_backward};
