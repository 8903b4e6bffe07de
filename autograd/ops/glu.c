/* glu.c -- the operators swiglu and geglu, gated linear units: y = act(g) u (g = gate, u = up).
 *
 * swiglu: act(g) = g s(g), with s the logistic function.  dg = u s(g) (1 + g (1 - s(g))) dy,  du = g s(g) dy.
 * geglu: act is GELU in its tanh approximation, whose formulas are those of the kernel gelu_mul (kernels/kernels.h).
 * Sources: Shazeer 2020, arXiv:2002.05202; Hendrycks & Gimpel 2016, arXiv:1606.08415. */
#include "autograd/op.h"

/* The kernels of an activation. */
typedef struct glu {
    void (*forward)(real *y, const real *g, const real *u, int64_t n);
    void (*backward)(real *dg, real *du, const real *g, const real *u, const real *dy, int64_t n);
} glu;

/* The attribute is 1 for geglu. */
static glu glu_of(const ag_args *a)
{
    return a->attr.i[0] ? (glu){a->k->gelu_mul, a->k->gelu_mul_back} : (glu){a->k->silu_mul, a->k->silu_mul_back};
}

static rt_status glu_infer(ag_infer *i, const ag_attr *attr)
{
    RT_CHECK(ag_same(i->in[0], i->in[1]), RT_ESHAPE, "%s: gate and up differ in shape", attr->i[0] ? "geglu" : "swiglu");
    i->out = *i->in[0];
    return RT_OK;
}

static void glu_forward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wg[AG_BLOCK], wu[AG_BLOCK], wy[AG_BLOCK], *y = kn_target(a->out, a->out_type, at, wy);
    (void)thread;
    glu_of(a).forward(y, kn_load(a->in[0], a->type[0], at, n, wg), kn_load(a->in[1], a->type[1], at, n, wu), n);
    kn_commit(a->out, a->out_type, at, y, n);
}

static void glu_forward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), glu_forward_block, (void *)(uintptr_t)a); }

static void glu_backward_block(int64_t item, int thread, void *ud)
{
    const ag_args *a  = ud;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[0]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           wg[AG_BLOCK], wu[AG_BLOCK], wd[AG_BLOCK], dg[AG_BLOCK], du[AG_BLOCK];
    (void)thread;
    glu_of(a).backward(dg, du, kn_load(a->in[0], a->type[0], at, n, wg), kn_load(a->in[1], a->type[1], at, n, wu),
                       kn_load(a->dout, a->out_type, at, n, wd), n);
    if (a->din[0]) kn_put(a->din[0], a->din_type[0], at, dg, n, a->acc & 1);
    if (a->din[1]) kn_put(a->din[1], a->din_type[1], at, du, n, a->acc >> 1 & 1);
}

static void glu_backward(const ag_args *a) { rt_parallel(ag_blocks(ag_len(a->shape[0])), glu_backward_block, (void *)(uintptr_t)a); }

const ag_op ag_op_swiglu = {
    .name = "swiglu", .n_in = 2, .work = AG_ROWS, .keeps = 1 | 2, .infer = glu_infer, .forward = glu_forward, .backward = glu_backward};
const ag_op ag_op_geglu = {
    .name = "geglu", .n_in = 2, .work = AG_ROWS, .keeps = 1 | 2, .infer = glu_infer, .forward = glu_forward, .backward = glu_backward};
