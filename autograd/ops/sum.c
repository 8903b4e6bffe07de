/* sum.c -- the operator sum: y = sum_i x_i, a real scalar.  dx_i = dy.  It runs on one thread; only tests use it. */
#include "autograd/op.h"

static rt_status sum_infer(ag_infer *i, const ag_attr *attr)
{
    (void)attr;
    i->out_type = KN_REAL;
    i->out.nd   = 0;
    return RT_OK;
}

static void sum_forward(const ag_args *a)
{
    const int64_t n = ag_len(a->shape[0]);
    double        s = 0;
    real          w;
    for (int64_t i = 0; i < n; i++) s += (double)*kn_load(a->in[0], a->type[0], i, 1, &w);
    *(real *)a->out = (real)s;
}

static void sum_backward(const ag_args *a)
{
    const int64_t n = ag_len(a->shape[0]);
    if (!a->din[0]) return;
    for (int64_t i = 0; i < n; i++) kn_put(a->din[0], a->din_type[0], i, a->dout, 1, a->acc & 1);
}

const ag_op ag_op_sum = {.name = "sum", .n_in = 1, .work = AG_ROWS, .infer = sum_infer, .forward = sum_forward, .backward = sum_backward};
