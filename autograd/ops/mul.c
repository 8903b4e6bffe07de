/* mul.c -- the operator mul: y = a * b (same shape).  da = b dy, db = a dy. */
#include "autograd/op.h"

static rt_status mul_infer(ag_infer *i, const ag_attr *attr)
{
    (void)attr;
    RT_CHECK(ag_same(i->in[0], i->in[1]), RT_ESHAPE, "mul: operands differ in shape");
    i->out = *i->in[0];
    return RT_OK;
}

static void mul_forward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wa[AG_BLOCK], wb[AG_BLOCK], wy[AG_BLOCK], *y = kn_target(a->out, a->out_type, at, wy);
    (void)thread;
    a->k->mul(y, kn_load(a->in[0], a->type[0], at, n, wa), kn_load(a->in[1], a->type[1], at, n, wb), n);
    kn_commit(a->out, a->out_type, at, y, n);
}

static void mul_forward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), mul_forward_block, (void *)(uintptr_t)a); }

static void mul_backward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wd[AG_BLOCK], wx[AG_BLOCK], w[AG_BLOCK];
    const real    *dy = kn_load(a->dout, a->out_type, at, n, wd);
    (void)thread;
    for (int j = 0; j < 2; j++) {
        if (!a->din[j]) continue;
        a->k->mul(w, kn_load(a->in[1 - j], a->type[1 - j], at, n, wx), dy, n);
        kn_put(a->din[j], a->din_type[j], at, w, n, a->acc >> j & 1);
    }
}

static void mul_backward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), mul_backward_block, (void *)(uintptr_t)a); }

const ag_op ag_op_mul = {
    .name = "mul", .n_in = 2, .work = AG_ROWS, .keeps = 1 | 2, .infer = mul_infer, .forward = mul_forward, .backward = mul_backward};
