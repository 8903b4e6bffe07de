/* swiglu.c -- the operator swiglu: y = g s(g) u, with s the logistic function (g = gate, u = up).
 * dg = u s(g) (1 + g (1 - s(g))) dy,  du = g s(g) dy.  Source: Shazeer 2020, arXiv:2002.05202. */
#include "autograd/op.h"

static rt_status swiglu_infer(ag_infer *i, const ag_attr *attr)
{
    (void)attr;
    RT_CHECK(ag_same(i->in[0], i->in[1]), RT_ESHAPE, "swiglu: gate and up differ in shape");
    i->out = *i->in[0];
    return RT_OK;
}

static void swiglu_forward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wg[AG_BLOCK], wu[AG_BLOCK], wy[AG_BLOCK], *y = kn_target(a->out, a->out_type, at, wy);
    (void)thread;
    a->k->silu_mul(y, kn_load(a->in[0], a->type[0], at, n, wg), kn_load(a->in[1], a->type[1], at, n, wu), n);
    kn_commit(a->out, a->out_type, at, y, n);
}

static void swiglu_forward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), swiglu_forward_block, (void *)(uintptr_t)a); }

static void swiglu_backward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wg[AG_BLOCK], wu[AG_BLOCK], wd[AG_BLOCK], dg[AG_BLOCK], du[AG_BLOCK];
    (void)thread;
    a->k->silu_mul_back(dg, du, kn_load(a->in[0], a->type[0], at, n, wg), kn_load(a->in[1], a->type[1], at, n, wu),
                        kn_load(a->dout, a->out_type, at, n, wd), n);
    if (a->din[0]) kn_put(a->din[0], a->din_type[0], at, dg, n, a->acc & 1);
    if (a->din[1]) kn_put(a->din[1], a->din_type[1], at, du, n, a->acc >> 1 & 1);
}

static void swiglu_backward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), swiglu_backward_block, (void *)(uintptr_t)a); }

const ag_op ag_op_swiglu = {.name     = "swiglu",
                            .n_in     = 2,
                            .work     = AG_ROWS,
                            .keeps    = 1 | 2,
                            .infer    = swiglu_infer,
                            .forward  = swiglu_forward,
                            .backward = swiglu_backward};
