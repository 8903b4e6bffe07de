/* linear.c -- the operators linear and linear_add.
 *
 * linear: y[N,M] = x[N,C] w[M,C]^T.  dx = dy w,  dw = dy^T x.
 * linear_add: y = x w^T + r[N,M], rounded once; it ends a residual branch.  dr = dy, in the same memory if possible.
 * Up to FEW_ROWS rows (decoding) are computed one by one with kn_matvec.  For more rows, quantised weights are
 * first cast into the work space. */
#include "autograd/op.h"

enum { FEW_ROWS = 4 };

static rt_status linear_infer(ag_infer *i, const ag_attr *attr)
{
    const ag_shape *x = i->in[0], *w = i->in[1];
    (void)attr;
    RT_CHECK(x->nd == 2 && w->nd == 2 && x->d[1] == w->d[1], RT_ESHAPE, "linear: x is [%lld,%lld], w is [%lld,%lld]", (long long)x->d[0],
             (long long)x->d[1], (long long)w->d[0], (long long)w->d[1]);
    i->out    = (ag_shape){2, {x->d[0], w->d[0]}};
    i->shared = x->d[0] <= FEW_ROWS ? x->d[1] + 2 * w->d[0] : kn_size(i->type[1]) ? 0 : w->d[0] * w->d[1];
    return RT_OK;
}

static rt_status infer_add(ag_infer *i, const ag_attr *attr)
{
    RT_TRY(linear_infer(i, attr));
    RT_CHECK(ag_same(i->in[2], &i->out), RT_ESHAPE, "linear_add: x w' is [%lld,%lld], but the addend has %lld elements",
             (long long)i->out.d[0], (long long)i->out.d[1], (long long)ag_len(i->in[2]));
    return RT_OK;
}

static void forward_rows(const ag_args *a, int64_t N, int64_t C, int64_t M, const void *plus)
{
    real *wx = a->shared, *y = a->shared + C, *wr = a->shared + C + M;
    for (int64_t n = 0; n < N; n++) {
        kn_matvec(y, a->in[1], a->type[1], kn_load(a->in[0], a->type[0], n * C, C, wx), M, C);
        if (plus) a->k->add(y, y, kn_load(plus, a->out_type, n * M, M, wr), M);
        kn_put(a->out, a->out_type, n * M, y, M, 0);
    }
}

static void cast_row(int64_t row, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t  C = a->shape[1]->d[1];
    (void)thread;
    kn_row(a->shared + row * C, a->in[1], a->type[1], row, C);
}

static void multiply(const ag_args *a, const void *plus)
{
    const int64_t N = a->shape[0]->d[0], C = a->shape[0]->d[1], M = a->shape[1]->d[0];
    const int     plain = kn_size(a->type[1]) > 0;
    const kn_mat  x = {a->in[0], a->type[0], C, 0}, w = {plain ? a->in[1] : a->shared, plain ? a->type[1] : KN_REAL, C, 1};
    if (N <= FEW_ROWS) {
        forward_rows(a, N, C, M, plus);
        return;
    }
    if (!plain) rt_parallel(M, cast_row, (void *)(uintptr_t)a);
    kn_gemm(a->out, a->out_type, M, x, w, N, M, C, plus);
}

static void linear_forward(const ag_args *a) { multiply(a, NULL); }
static void forward_add(const ag_args *a) { multiply(a, a->in[2]); }

static void linear_backward(const ag_args *a)
{
    const int64_t N = a->shape[0]->d[0], C = a->shape[0]->d[1], M = a->shape[1]->d[0];
    const kn_mat  x = {a->in[0], a->type[0], C, 0}, w = {a->in[1], a->type[1], C, 0};
    const kn_mat  dy = {a->dout, a->out_type, M, 0}, dy_t = {a->dout, a->out_type, M, 1};
    if (a->din[0]) kn_gemm(a->din[0], a->din_type[0], C, dy, w, N, C, M, a->acc & 1 ? a->din[0] : NULL);
    if (a->din[1]) kn_gemm(a->din[1], a->din_type[1], C, dy_t, x, M, C, N, a->acc & 2 ? a->din[1] : NULL);
}

static void backward_add(const ag_args *a)
{
    linear_backward(a);
    ag_pass(a, 2);
}

const ag_op ag_op_linear     = {.name     = "linear",
                                .n_in     = 2,
                                .work     = AG_GEMM,
                                .keeps    = 1 | 2,
                                .infer    = linear_infer,
                                .forward  = linear_forward,
                                .backward = linear_backward};
const ag_op ag_op_linear_add = {.name     = "linear_add",
                                .n_in     = 3,
                                .work     = AG_GEMM,
                                .keeps    = 1 | 2,
                                .passes   = 1 << 2,
                                .infer    = infer_add,
                                .forward  = forward_add,
                                .backward = backward_add};
