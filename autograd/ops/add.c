/* add.c -- the operator add: y = a + b (same shape, y has the type of a).  da = dy, db = dy. */
#include "autograd/op.h"

static rt_status add_infer(ag_infer *i, const ag_attr *attr)
{
    (void)attr;
    RT_CHECK(ag_same(i->in[0], i->in[1]), RT_ESHAPE, "add: operands have %lld and %lld elements", (long long)ag_len(i->in[0]),
             (long long)ag_len(i->in[1]));
    i->out      = *i->in[0];
    i->out_type = i->type[0];
    return RT_OK;
}

static void add_forward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wa[AG_BLOCK], wb[AG_BLOCK], wy[AG_BLOCK], *y = kn_target(a->out, a->out_type, at, wy);
    (void)thread;
    a->k->add(y, kn_load(a->in[0], a->type[0], at, n, wa), kn_load(a->in[1], a->type[1], at, n, wb), n);
    kn_commit(a->out, a->out_type, at, y, n);
}

static void add_forward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), add_forward_block, (void *)(uintptr_t)a); }

static void add_backward(const ag_args *a)
{
    for (int j = 0; j < 2; j++) ag_pass(a, j);
}

const ag_op ag_op_add = {
    .name = "add", .n_in = 2, .work = AG_ROWS, .passes = 1, .infer = add_infer, .forward = add_forward, .backward = add_backward};
