/* match_hidden.c -- the operator match_hidden: hidden states x projection x teacher targets -> the scaled distance between the
 * projected hidden states and the teacher's.
 *
 * y = P h [Ct], t is the teacher's hidden row.  For each row in the loss, with u = scale weight match_weight:
 *   mean_c (y_c - t_c)^2:   dy = u dout 2 (y - t) / Ct
 *   1 - cos(y, t):          dy = u dout (cos y / |y|^2 - t / (|y| |t|))
 * dh = dy P, dP = dy^T h.  Rows are processed in blocks.  Backward computes y, and so the loss, in the same pass (`fused`).
 */
#include "autograd/op.h"
#include <math.h>
#include <string.h>

enum { ROWS = 256 };

typedef struct block {
    const ag_args *a;
    ag_targets    *t;
    double         dout; /* of the loss; 0 in forward */
    int64_t        at, n;
    real          *x, *y, *dx;
    double        *loss; /* [ROWS] */
} block;

static rt_status match_infer(ag_infer *i, const ag_attr *attr)
{
    const ag_shape *x = i->in[0], *w = i->in[1];
    (void)attr;
    RT_CHECK(x->nd == 2 && w->nd == 2 && x->d[1] == w->d[1], RT_ESHAPE, "match_hidden: hidden is [%lld,%lld], the projection [%lld,%lld]",
             (long long)x->d[0], (long long)x->d[1], (long long)w->d[0], (long long)w->d[1]);
    i->out_type = KN_REAL;
    i->out.nd   = 0;
    i->shared   = ROWS * (2 * x->d[1] + w->d[0]) + ROWS * (int64_t)(sizeof(double) / sizeof(real)) + 2;
    i->scratch  = x->d[1] > w->d[0] ? x->d[1] : w->d[0];
    return RT_OK;
}

static int64_t match_width(const block *b) { return b->a->shape[0]->d[1]; }
static int64_t teacher_width(const block *b) { return b->a->shape[1]->d[0]; }

static void match_take_row(int64_t i, int thread, void *ud)
{
    const block  *b = ud;
    const int64_t C = match_width(b);
    memcpy(b->x + i * C, kn_load(b->a->in[0], b->a->type[0], (b->at + i) * C, C, ag_scratch(b->a, thread)), (size_t)C * sizeof(real));
}

/* mean_square and cosine overwrite y with u times the distance's gradient and return the distance. */
static double mean_square(real *y, const real *t, int64_t n, double u)
{
    double s = 0;
    for (int64_t c = 0; c < n; c++) {
        const double d = (double)y[c] - (double)t[c];
        s += d * d;
        y[c] = (real)(u * 2 * d / (double)n);
    }
    return s / (double)n;
}

static double cosine(real *y, const real *t, int64_t n, double u)
{
    double yy = 1e-30, tt = 1e-30, yt = 0;
    for (int64_t c = 0; c < n; c++) yy += (double)y[c] * (double)y[c], tt += (double)t[c] * (double)t[c], yt += (double)y[c] * (double)t[c];
    const double cosine_yt = yt / sqrt(yy * tt);
    for (int64_t c = 0; c < n; c++) y[c] = (real)(u * (cosine_yt * (double)y[c] / yy - (double)t[c] / sqrt(yy * tt)));
    return 1 - cosine_yt;
}

static void match_lose_row(int64_t i, int thread, void *ud)
{
    const block      *b = ud;
    const ag_targets *t = b->t;
    const int64_t     n = b->at + i, Ct = teacher_width(b);
    const real       *h = kn_load(t->rows.teacher.hidden, t->rows.teacher.hidden_type, n * t->rows.teacher.C, Ct, ag_scratch(b->a, thread));
    const double u = t->rows.loss_mask[n] ? t->rows.scale * t->settings.match_weight * (t->rows.weight ? (double)t->rows.weight[n] : 1) : 0;
    b->loss[i]     = u > 0 ? u * (t->settings.match == AG_MATCH_COSINE ? cosine : mean_square)(b->y + i * Ct, h, Ct, u * b->dout) : 0;
    if (u <= 0) memset(b->y + i * Ct, 0, (size_t)Ct * sizeof(real));
}

/* Computes x and y = x P^T of the block's rows, then replaces y by dy and sets the rows' losses. */
static void lose(const block *b)
{
    const ag_args *a = b->a;
    const int64_t  C = match_width(b), Ct = teacher_width(b);
    rt_parallel(b->n, match_take_row, (void *)(uintptr_t)b);
    kn_gemm(b->y, KN_REAL, Ct, (kn_mat){b->x, KN_REAL, C, 0}, (kn_mat){a->in[1], a->type[1], C, 1}, b->n, Ct, C, NULL);
    rt_parallel(b->n, match_lose_row, (void *)(uintptr_t)b);
}

static block first_block(const ag_args *a, double dout)
{
    block b = {.a = a, .t = a->in[2], .dout = dout, .x = a->shared};
    b.y     = b.x + ROWS * match_width(&b);
    b.dx    = b.y + ROWS * teacher_width(&b);
    b.loss  = (double *)(void *)(b.dx + ROWS * match_width(&b) + (ROWS * teacher_width(&b)) % 2);
    return b;
}

static void match_next_block(block *b, int64_t at)
{
    const int64_t N = b->a->shape[0]->d[0];
    b->at = at, b->n = N - at < ROWS ? N - at : ROWS;
}

static void match_return_row(int64_t i, int thread, void *ud)
{
    const block  *b = ud;
    const int64_t C = match_width(b);
    (void)thread;
    kn_put(b->a->din[0], b->a->din_type[0], (b->at + i) * C, b->dx + i * C, C, b->a->acc & 1);
}

/* Computes the gradients of a block from its dy. */
static void give_back(block *b)
{
    const ag_args *a = b->a;
    const int64_t  C = match_width(b), Ct = teacher_width(b);
    const kn_mat   dy = {b->y, KN_REAL, Ct, 0}, dy_t = {b->y, KN_REAL, Ct, 1}, x = {b->x, KN_REAL, C, 0}, w = {a->in[1], a->type[1], C, 0};
    if (a->din[0]) {
        kn_gemm(b->dx, KN_REAL, C, dy, w, b->n, C, Ct, NULL);
        rt_parallel(b->n, match_return_row, b);
    }
    if (a->din[1]) kn_gemm(a->din[1], KN_REAL, C, dy_t, x, Ct, C, b->n, b->at || (a->acc & 2) ? a->din[1] : NULL);
}

static void match_run(const ag_args *a, int gradient)
{
    block         b   = first_block(a, gradient ? (double)*(const real *)a->dout : 0);
    double        sum = 0;
    const int64_t N   = a->shape[0]->d[0];
    RT_ASSERT(b.t->rows.teacher.hidden && b.t->rows.teacher.C >= teacher_width(&b));
    for (int64_t at = 0; at < N; at += ROWS) {
        match_next_block(&b, at);
        lose(&b);
        for (int64_t i = 0; i < b.n; i++) sum += b.loss[i];
        if (gradient) give_back(&b);
    }
    b.t->result.matched = sum;
    *(real *)a->out     = (real)sum;
}

static void match_forward(const ag_args *a) { match_run(a, 0); }
static void match_backward(const ag_args *a) { match_run(a, 1); }

const ag_op ag_op_match_hidden = {.name     = "match_hidden",
                                  .n_in     = 3,
                                  .work     = AG_LOSS,
                                  .keeps    = 1 | 2 | 4 | AG_KEEP_OUT,
                                  .nograd   = 4,
                                  .fused    = 1,
                                  .infer    = match_infer,
                                  .forward  = match_forward,
                                  .backward = match_backward};
