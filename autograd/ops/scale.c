/* scale.c -- the operator scale: y = s x, for a constant s.  dx = s dy.  The operator may work in place. */
#include "autograd/op.h"

static rt_status scale_infer(ag_infer *i, const ag_attr *attr)
{
    (void)attr;
    i->out = *i->in[0];
    return RT_OK;
}

static void scale_forward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wx[AG_BLOCK], wy[AG_BLOCK], *y                           = kn_target(a->out, a->out_type, at, wy);
    (void)thread;
    a->k->scale(y, kn_load(a->in[0], a->type[0], at, n, wx), (real)a->attr.f, n);
    kn_commit(a->out, a->out_type, at, y, n);
}

static void scale_forward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), scale_forward_block, (void *)(uintptr_t)a); }

static void scale_backward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wd[AG_BLOCK], dx[AG_BLOCK];
    (void)thread;
    a->k->scale(dx, kn_load(a->dout, a->out_type, at, n, wd), (real)a->attr.f, n);
    kn_put(a->din[0], a->din_type[0], at, dx, n, a->acc & 1);
}

static void scale_backward(const ag_args *a)
{
    if (a->din[0]) rt_parallel(ag_blocks(ag_len(a->shape[0])), scale_backward_block, (void *)(uintptr_t)a);
}

const ag_op ag_op_scale = {
    .name = "scale", .n_in = 1, .work = AG_ROWS, .inplace = 1, .infer = scale_infer, .forward = scale_forward, .backward = scale_backward};
