/* rmsnorm.c -- the operator rmsnorm: y[n,c] = x[n,c] r[n] w[c],  r[n] = 1/sqrt(mean_c x[n,c]^2 + eps).
 *
 * If the attribute plus_one is set, w[c] stands for 1 + the weight, as in the Gemma models.
 *
 * With u = w dy (elementwise over the row):
 *   dx = r (u - x r^2 mean(u x)),   dw[c] = sum_n dy[n,c] x[n,c] r[n]
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4.  The gradient is derived by hand;
 * tests/unit/test_gradcheck.c checks it against finite differences.
 *
 * This file is the annotated example: every other file in this folder has the same structure.
 */
#include "autograd/op.h"
#include <math.h>
#include <string.h>

enum { ROWS = 64 }; /* rows per work item of backward */

/* Checks the operands' shapes and sets the output's shape and the sizes of the work spaces, in reals.  This is the only function
 * of an operator that may fail.  `saved` (r[N]) is kept from forward to backward.  `scratch` (four rows) is private to each
 * thread and `shared` (the parts of dw) is common to all threads; both are valid within one step only. */
static rt_status rmsnorm_infer(ag_infer *i, const ag_attr *attr)
{
    const ag_shape *x = i->in[0], *w = i->in[1];
    RT_CHECK(x->nd == 2 && w->nd == 1 && x->d[1] == w->d[0], RT_ESHAPE, "rmsnorm: rows have %lld columns, but the weight has %lld",
             (long long)x->d[1], (long long)w->d[0]);
    RT_CHECK(attr->f > 0, RT_EINVAL, "rmsnorm: eps must be positive, found %g", attr->f);
    i->out     = *x;
    i->saved   = x->d[0];
    i->scratch = 4 * x->d[1];
    i->shared  = (x->d[0] + ROWS - 1) / ROWS * x->d[1];
    return RT_OK;
}

/* Returns w [C]: the weight as reals, in its own memory or in `work`, plus one if the attribute says so. */
static const real *norm_weight(const ag_args *a, real *work)
{
    const int64_t C = a->shape[0]->d[1];
    const real   *w = kn_load(a->in[1], a->type[1], 0, C, work);
    if (!a->attr.i[0]) return w;
    for (int64_t c = 0; c < C; c++) work[c] = 1 + w[c];
    return work;
}

/* Forward of one row.  A work item is a row; items write disjoint outputs, so any thread may run any item.  kn_load and
 * kn_target return the tensor's own memory for KN_REAL; for other types they return scratch rows, to which kn_load casts and from
 * which kn_commit casts. */
static void rmsnorm_forward_row(int64_t n, int thread, void *ud)
{
    const ag_args *a    = ud;
    const int64_t  C    = a->shape[0]->d[1];
    real          *work = ag_scratch(a, thread);
    const real    *x = kn_load(a->in[0], a->type[0], n * C, C, work), *w = norm_weight(a, work + C);
    real          *y = kn_target(a->out, a->out_type, n * C, work + 2 * C);
    const real     r = (real)(1.0 / sqrt((double)a->k->dot(x, x, C) / (double)C + a->attr.f));
    a->k->scale(y, x, r, C);
    a->k->mul(y, y, w, C);
    a->saved[n] = r;
    kn_commit(a->out, a->out_type, n * C, y, C);
}

static void rmsnorm_forward(const ag_args *a) { rt_parallel(a->shape[0]->d[0], rmsnorm_forward_row, (void *)(uintptr_t)a); }

/* Backward of one work item, a block of rows: sets dx of these rows and sums their dw into the item's own row of `shared`. */
static void rmsnorm_backward_rows(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t  N = a->shape[0]->d[0], C = a->shape[0]->d[1], end = (item + 1) * ROWS < N ? (item + 1) * ROWS : N;
    real          *work = ag_scratch(a, thread), *dx = work + 3 * C, *part = a->shared + item * C;
    const real    *w = norm_weight(a, work + C);
    memset(part, 0, (size_t)C * sizeof(real));
    for (int64_t n = item * ROWS; n < end; n++) {
        const real *x = kn_load(a->in[0], a->type[0], n * C, C, work), *dy = kn_load(a->dout, a->out_type, n * C, C, work + 2 * C);
        const real  r = a->saved[n];
        a->k->mul(dx, x, dy, C);
        a->k->axpy(part, dx, r, C);
        a->k->norm_back(dx, x, w, dy, r, a->k->dot(dx, w, C) / (real)C * r * r, C);
        if (a->din[0]) kn_put(a->din[0], a->din_type[0], n * C, dx, C, a->acc & 1);
    }
}

/* din[i] is NULL if the gradient of input i is not needed.  If bit i of acc is set, the gradient is added to din[i], else it
 * overwrites din[i].  The parts of dw are added in order, so that dw does not depend on the number of threads. */
static void rmsnorm_backward(const ag_args *a)
{
    const int64_t parts = (a->shape[0]->d[0] + ROWS - 1) / ROWS;
    rt_parallel(parts, rmsnorm_backward_rows, (void *)(uintptr_t)a);
    if (a->din[1]) ag_add_parts(a, 1, parts);
}

/* keeps: backward reads x, w and `saved`, so the planner keeps these and nothing else until backward.  cheap: the planner
 * recomputes y for the operators whose backward reads it, so y is not kept from forward to backward. */
const ag_op ag_op_rmsnorm = {.name     = "rmsnorm",
                             .n_in     = 2,
                             .work     = AG_ROWS,
                             .keeps    = 1 | 2 | AG_KEEP_SAVED,
                             .cheap    = 1,
                             .infer    = rmsnorm_infer,
                             .forward  = rmsnorm_forward,
                             .backward = rmsnorm_backward};
