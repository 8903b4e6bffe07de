/* bias.c -- the operator bias: y[n,c] = x[n,c] + b[c].  dx = dy, db[c] = sum_n dy[n,c]. */
#include "autograd/op.h"
#include <string.h>

enum { ROWS = 64 }; /* rows per work item of backward */

static rt_status bias_infer(ag_infer *i, const ag_attr *attr)
{
    const ag_shape *x = i->in[0], *b = i->in[1];
    (void)attr;
    RT_CHECK(x->nd == 2 && b->nd == 1 && x->d[1] == b->d[0], RT_ESHAPE, "bias: rows have %lld columns, but the bias has %lld",
             (long long)x->d[1], (long long)b->d[0]);
    i->out     = *x;
    i->scratch = 3 * x->d[1];
    i->shared  = (x->d[0] + ROWS - 1) / ROWS * x->d[1];
    return RT_OK;
}

static void bias_forward_row(int64_t n, int thread, void *ud)
{
    const ag_args *a    = ud;
    const int64_t  C    = a->shape[0]->d[1];
    real          *work = ag_scratch(a, thread), *y = kn_target(a->out, a->out_type, n * C, work + 2 * C);
    a->k->add(y, kn_load(a->in[0], a->type[0], n * C, C, work), kn_load(a->in[1], a->type[1], 0, C, work + C), C);
    kn_commit(a->out, a->out_type, n * C, y, C);
}

static void bias_forward(const ag_args *a) { rt_parallel(a->shape[0]->d[0], bias_forward_row, (void *)(uintptr_t)a); }

/* Backward of one work item, a block of rows: sums their db into the item's own row of `shared`. */
static void bias_backward_rows(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t  N = a->shape[0]->d[0], C = a->shape[0]->d[1], end = (item + 1) * ROWS < N ? (item + 1) * ROWS : N;
    real          *part = a->shared + item * C;
    memset(part, 0, (size_t)C * sizeof(real));
    for (int64_t n = item * ROWS; n < end; n++) a->k->add(part, part, kn_load(a->dout, a->out_type, n * C, C, ag_scratch(a, thread)), C);
}

static void bias_backward(const ag_args *a)
{
    const int64_t parts = (a->shape[0]->d[0] + ROWS - 1) / ROWS;
    if (a->din[1]) rt_parallel(parts, bias_backward_rows, (void *)(uintptr_t)a), ag_add_parts(a, 1, parts);
    ag_pass(a, 0);
}

const ag_op ag_op_bias = {
    .name = "bias", .n_in = 2, .work = AG_ROWS, .inplace = 1, .infer = bias_infer, .forward = bias_forward, .backward = bias_backward};
