/* embed.c -- the operator embed: y[n,:] = w[ids[n],:].  dw[ids[n],:] += dy[n,:].
 * A work item of backward is a block of columns and adds all rows in order, so there are no races and the order is fixed. */
#include "autograd/op.h"

enum { COLUMNS = 32 };

static rt_status embed_infer(ag_infer *i, const ag_attr *attr)
{
    (void)attr;
    RT_CHECK(i->type[0] == KN_I32 && i->in[1]->nd == 2, RT_ESHAPE, "embed: expected ids[N] of type i32 and w[V,C]");
    i->out     = (ag_shape){2, {ag_len(i->in[0]), i->in[1]->d[1]}};
    i->scratch = i->in[1]->d[1];
    return RT_OK;
}

static void embed_forward_row(int64_t n, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t  C = a->shape[1]->d[1];
    RT_ASSERT(((const int32_t *)a->in[0])[n] >= 0 && ((const int32_t *)a->in[0])[n] < a->shape[1]->d[0]);
    real *y = kn_target(a->out, a->out_type, n * C, ag_scratch(a, thread));
    kn_row(y, a->in[1], a->type[1], ((const int32_t *)a->in[0])[n], C);
    kn_commit(a->out, a->out_type, n * C, y, C);
}

static void embed_forward(const ag_args *a) { rt_parallel(ag_len(a->shape[0]), embed_forward_row, (void *)(uintptr_t)a); }

static void backward_columns(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t  N = ag_len(a->shape[0]), V = a->shape[1]->d[0], C = a->shape[1]->d[1];
    const int64_t  c = item * COLUMNS, w = C - c < COLUMNS ? C - c : COLUMNS;
    real          *dw = a->din[1], work[COLUMNS];
    (void)thread;
    for (int64_t v = 0; !(a->acc & 2) && v < V; v++)
        for (int64_t i = 0; i < w; i++) dw[v * C + c + i] = 0;
    for (int64_t n = 0; n < N; n++) {
        real *to = dw + ((const int32_t *)a->in[0])[n] * C + c;
        a->k->add(to, to, kn_load(a->dout, a->out_type, n * C + c, w, work), w);
    }
}

static void embed_backward(const ag_args *a)
{
    if (a->din[1]) rt_parallel((a->shape[1]->d[1] + COLUMNS - 1) / COLUMNS, backward_columns, (void *)(uintptr_t)a);
}

const ag_op ag_op_embed = {.name     = "embed",
                           .n_in     = 2,
                           .work     = AG_ROWS,
                           .keeps    = 1,
                           .nograd   = 1,
                           .infer    = embed_infer,
                           .forward  = embed_forward,
                           .backward = embed_backward};
