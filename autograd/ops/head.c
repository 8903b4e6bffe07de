/* head.c -- the operator head: hidden states x head weights x teacher targets -> loss and its gradients.
 *
 * The rows in the loss are gathered into blocks.  One gemm computes a block's logits z [rows, V]
 * (ag_head_block sets their size, 64 MB by default).  A cap, if there is one, is applied to them, and its slope to their gradient.  Each row is reduced to its loss and, in place,
 * to dloss/dz.  Two more gemms give dhidden and dw.  Only one block of logits exists at a time.  If the
 * targets have a teacher's hidden rows, its logits y [rows, V] are computed in the same blocks.
 *
 * Backward computes the gradients and the loss in one pass (`fused`).  Forward alone is for
 * finite differences and validation.  The scale (1 / weight of the rows in the global batch) is
 * part of the targets, so the losses and gradients of micro-batches and ranks are simply added.
 *
 * If the gemm backend multiplies bf16 and the hidden states are bf16, the gathered rows stay bf16 and dz is rounded to bf16, in place,
 * for the two gemms that read it.
 */
#include "autograd/objective.h"
#include "autograd/op.h"
#include <math.h>
#include <string.h>

enum { MAX_ROWS = 512, ROWS_AN_ITEM = 4, CHUNKS = 32 };
typedef struct block {
    const ag_args *a;
    ag_targets    *t;
    ag_target_rows rows;       /* those of t, whose scale is multiplied by dout in backward */
    int64_t        n, *row;    /* [n] indices of rows of hidden */
    void          *x, *tx;     /* the gathered rows of hidden [n, C], and of the teacher's hidden states */
    kn_type        xt, txt;    /* their types */
    real          *z, *y, *dx; /* dz replaces z, in the type xt; y: the teacher's logits, NULL: no teacher */
    ag_row_result *result;
    int            gradient;
} block;

/* Returns the rows per block.  attr->i[0] is the size of a block of logits in bytes. */
static int64_t head_rows_of(const ag_attr *attr, int64_t N, int64_t V)
{
    int64_t r = attr->i[0] / (V * (int64_t)sizeof(real));
    r         = r > MAX_ROWS ? MAX_ROWS : r < 1 ? 1 : r;
    return r < N ? r : N;
}

/* Returns how many reals hold n objects of `size` bytes, with room for alignment. */
static int64_t reals(int64_t n, size_t size) { return (n * (int64_t)size + (int64_t)sizeof(real) * 8) / (int64_t)sizeof(real); }

static rt_status head_infer(ag_infer *i, const ag_attr *attr)
{
    const ag_shape *x = i->in[0], *w = i->in[1];
    RT_CHECK(x->nd == 2 && w->nd == 2 && x->d[1] == w->d[1], RT_ESHAPE, "head: hidden is [%lld,%lld], w is [%lld,%lld]", (long long)x->d[0],
             (long long)x->d[1], (long long)w->d[0], (long long)w->d[1]);
    const int64_t R = head_rows_of(attr, x->d[0], w->d[0]);
    i->out_type     = KN_REAL;
    i->out.nd       = 0;
    i->shared       = R * w->d[0] + 2 * R * x->d[1] + reals(R, sizeof(ag_row_result)) + reals(R, sizeof(int64_t));
    i->scratch      = x->d[1] > attr->i[1] ? x->d[1] : attr->i[1];
    if (attr->i[1]) i->shared += R * (w->d[0] + attr->i[1]);
    if (attr->i[2] && 3 * w->d[0] > i->scratch) i->scratch = 3 * w->d[0];
    if (attr->f > 0) i->scratch += w->d[0]; /* the capped logits of a row */
    return RT_OK;
}

/* Copies row n of a tensor of type t to row i of `to`, of type t or KN_REAL. */
static void head_take(void *to, kn_type to_type, int64_t i, const void *rows, kn_type t, int64_t n, int64_t C)
{
    const char *from = (const char *)rows + (size_t)(n * C) * kn_size(t);
    char       *at   = (char *)to + (size_t)(i * C) * kn_size(to_type);
    if (to_type == t) memcpy(at, from, (size_t)C * kn_size(t));
    else kn_type_of(t)->to_real((real *)(void *)at, from, 0, C);
}

static void head_take_row(int64_t i, int thread, void *ud)
{
    const block      *b = ud;
    const ag_teacher *t = &b->t->rows.teacher;
    const int64_t     C = b->a->shape[0]->d[1];
    (void)thread;
    head_take(b->x, b->xt, i, b->a->in[0], b->a->type[0], b->row[i], C);
    if (b->y) head_take(b->tx, b->txt, i, t->hidden, t->hidden_type, b->row[i], t->C);
}

/* Returns how many rows of the teacher's matrix are read. */
static int64_t head_shared_ids(const block *b, int64_t V)
{
    const int64_t Vt = b->t->rows.teacher.V;
    return Vt && Vt < V ? Vt : V;
}

/* Sets the logits of the ids that the teacher lacks to a negligible value at any temperature. */
static void fill_lacking(const block *b, real *y, int64_t V)
{
    const int64_t n = head_shared_ids(b, V);
    if (n == V) return;
    const real low = b->a->k->max(y, n) - (real)(30 * fmax(b->t->settings.temperature, 1));
    for (int64_t v = n; v < V; v++) y[v] = low;
}

/* Rounds a row to bf16 in its own memory, whose first half it then fills. */
static void head_round(const kn_table *k, real *row, int64_t n)
{
    enum { BLOCK = 512 };
    kn_bf16 h[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t m = n - i < BLOCK ? n - i : BLOCK;
        k->to_bf16(h, row + i, m);
        memcpy((kn_bf16 *)row + i, h, (size_t)m * sizeof *h);
    }
}

static void head_lose_row(const block *b, int64_t i, int thread)
{
    const int64_t     V      = b->a->shape[1]->d[0];
    const ag_teacher *t      = &b->t->rows.teacher;
    const real        cap    = (real)b->a->attr.f;
    real             *capped = ag_scratch(b->a, thread), *work = capped + (cap > 0 ? V : 0);
    const ag_row      r = {b->a->k, &b->t->settings, &b->rows, b->row[i], V, b->z + i * V, b->y ? b->y + i * V : NULL, work};
    if (b->y && kn_not_finite(r.y, KN_REAL, head_shared_ids(b, V)) >= 0) {
        b->result[i] = (ag_row_result){.bad = 1};
        return;
    }
    if (b->y && t->cap > 0) b->a->k->soft_cap(r.y, r.y, (real)t->cap, head_shared_ids(b, V));
    if (b->y) fill_lacking(b, r.y, V);
    if (cap > 0) b->a->k->soft_cap(r.z, r.z, cap, V), memcpy(capped, r.z, (size_t)V * sizeof(real));
    if (t->draw) t->draw(t->draw_ud, r.n, r.y, V);
    b->result[i] = ag_row_loss(&r, b->gradient);
    if (b->gradient && cap > 0) b->a->k->soft_cap_back(r.z, capped, cap, V);
    if (b->gradient && b->xt == KN_BF16) head_round(b->a->k, r.z, V);
}

static void lose_rows(int64_t item, int thread, void *ud)
{
    const block  *b  = ud;
    const int64_t to = (item + 1) * ROWS_AN_ITEM < b->n ? (item + 1) * ROWS_AN_ITEM : b->n;
    for (int64_t i = item * ROWS_AN_ITEM; i < to; i++) head_lose_row(b, i, thread);
}

static void head_return_row(int64_t i, int thread, void *ud)
{
    const block  *b = ud;
    const int64_t C = b->a->shape[0]->d[1];
    (void)thread;
    kn_put(b->a->din[0], b->a->din_type[0], b->row[i] * C, b->dx + i * C, C, b->a->acc & 1);
}

/* Returns the columns per chunk from which both gradients are computed: 2 MB if a block has the default 64 MB. */
static int64_t chunk_of(const ag_args *a, int64_t V)
{
    const int64_t n = a->attr.i[0] / (head_rows_of(&a->attr, a->shape[0]->d[0], V) * (int64_t)sizeof(real) * CHUNKS);
    return n < 1 ? 1 : n;
}

/* Computes dhidden and dw from a chunk of columns of dz, so that both gemms read the chunk while it is in the cache. */
static void backward_chunk(const block *b, int64_t v, int64_t n, int first)
{
    const ag_args *a = b->a;
    const int64_t  C = a->shape[0]->d[1], V = a->shape[1]->d[0];
    const kn_mat   x = {b->x, b->xt, C, 0}, w = {(const char *)a->in[1] + (size_t)(v * C) * kn_size(a->type[1]), a->type[1], C, 0};
    const int64_t  ld = V * (int64_t)(sizeof(real) / kn_size(b->xt)); /* dz has the rows of z */
    const kn_mat   dz = {(char *)b->z + (size_t)v * kn_size(b->xt), b->xt, ld, 0}, dz_t = {dz.p, b->xt, ld, 1};
    if (a->din[0]) kn_gemm(b->dx, KN_REAL, C, dz, w, b->n, C, n, v ? b->dx : NULL);
    if (!a->din[1]) return;
    real *dw = (real *)a->din[1] + v * C;
    kn_gemm(dw, KN_REAL, C, dz_t, x, n, C, b->n, !first || (a->acc & 2) ? dw : NULL);
}

static void run_block(const block *b, int first)
{
    const ag_args *a = b->a;
    const int64_t  C = a->shape[0]->d[1], V = a->shape[1]->d[0];
    const kn_mat   x = {b->x, b->xt, C, 0}, w_t = {a->in[1], a->type[1], C, 1};
    const int64_t  Ct = b->t->rows.teacher.C;
    rt_parallel(b->n, head_take_row, (void *)(uintptr_t)b);
    kn_gemm(b->z, KN_REAL, V, x, w_t, b->n, V, C, NULL);
    if (b->y)
        kn_gemm(b->y, KN_REAL, V, (kn_mat){b->tx, b->txt, Ct, 0}, (kn_mat){b->t->rows.teacher.w, b->t->rows.teacher.w_type, Ct, 1}, b->n,
                head_shared_ids(b, V), Ct, NULL);
    rt_parallel((b->n + ROWS_AN_ITEM - 1) / ROWS_AN_ITEM, lose_rows, (void *)(uintptr_t)b);
    if (!b->gradient) return;
    for (int64_t v = 0, n = chunk_of(a, V); v < V; v += n) backward_chunk(b, v, V - v < n ? V - v : n, first);
    if (a->din[0]) rt_parallel(b->n, head_return_row, (void *)(uintptr_t)b);
}

static void add_kl(ag_targets *t, double kl, int64_t row)
{
    if (isnan(kl)) t->result.kl_missing += t->rows.scale * (t->rows.weight ? (double)t->rows.weight[row] : 1);
    else t->result.kl += t->rows.scale * kl;
}

static void add_results(ag_targets *t, const block *b)
{
    for (int64_t i = 0; i < b->n; i++) {
        t->result.loss += t->rows.scale * b->result[i].loss;
        t->result.ce += t->rows.scale * b->result[i].ce;
        add_kl(t, b->result[i].kl, b->row[i]);
        if (b->result[i].bad && t->result.bad_row < 0) t->result.bad_row = b->row[i];
    }
    t->result.rows += b->n;
}

/* Sets dhidden to 0, unless gradients are added: rows outside the loss have no gradient. */
static void clear(const ag_args *a)
{
    if (a->din[0] && !(a->acc & 1)) memset(a->din[0], 0, (size_t)ag_len(a->shape[0]) * kn_size(a->din_type[0]));
}

static void head_run(const ag_args *a, int gradient)
{
    const int64_t N = a->shape[0]->d[0], C = a->shape[0]->d[1], V = a->shape[1]->d[0], R = head_rows_of(&a->attr, N, V);
    ag_targets   *t     = a->in[2];
    block         b     = {.a = a, .t = t, .rows = t->rows, .x = a->shared, .gradient = gradient};
    int           first = 1;
    RT_ASSERT(!a->attr.i[1] || (t->rows.teacher.C == a->attr.i[1] && t->rows.teacher.hidden && t->rows.teacher.w));
    RT_ASSERT(a->attr.i[2] || !ag_row_work(&t->settings));
    if (gradient) b.rows.scale *= (double)*(const real *)a->dout;
    b.xt = a->type[1] == a->type[0] ? kn_gemm_operand(a->type[0]) : KN_REAL;
    b.dx = (real *)a->shared + R * C, b.z = b.dx + R * C;
    b.result = (ag_row_result *)(void *)(b.z + R * V + (R * V) % 2);
    b.row    = (int64_t *)(void *)(b.result + R);
    if (a->attr.i[1]) b.y = (real *)(void *)(b.row + R), b.tx = b.y + R * V, b.txt = kn_gemm_operand(t->rows.teacher.hidden_type);
    t->result.loss = t->result.kl = t->result.kl_missing = t->result.ce = 0;
    t->result.rows                                                      = 0;
    t->result.bad_row                                                   = -1;
    if (gradient) clear(a);
    for (int64_t n = 0; n < N;) {
        for (b.n = 0; n < N && b.n < R; n++)
            if (t->rows.loss_mask[n]) b.row[b.n++] = n;
        if (!b.n) break;
        run_block(&b, first);
        add_results(t, &b);
        first = 0;
    }
    if (first && gradient && a->din[1] && !(a->acc & 2)) memset(a->din[1], 0, (size_t)(V * C) * sizeof(real));
    *(real *)a->out = (real)t->result.loss;
}

static void head_forward(const ag_args *a) { head_run(a, 0); }
static void head_backward(const ag_args *a) { head_run(a, 1); }

const ag_op ag_op_head = {.name     = "head",
                          .n_in     = 3,
                          .work     = AG_LOSS,
                          .keeps    = 1 | 2 | 4 | AG_KEEP_OUT,
                          .nograd   = 4,
                          .fused    = 1,
                          .infer    = head_infer,
                          .forward  = head_forward,
                          .backward = head_backward};
