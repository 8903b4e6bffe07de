/* attention_cached.c -- the operator attention_cached: attention of T new rows over a cache of all previous rows, for decoding.
 * The new k and v are appended to the caches at row past[0]; row i then attends to rows
 * 0 .. past[0] + i.  Forward only.  Each (row, head) is computed separately, without tiles. */
#include "autograd/op.h"
#include <math.h>
#include <string.h>

enum { B_, T_, H_, KV_, D_ };

static rt_status infer(ag_infer *i, const ag_attr *attr)
{
    const int64_t *n = attr->i, W = n[KV_] * n[D_];
    RT_CHECK(n[B_] == 1 && n[KV_] > 0 && n[H_] % n[KV_] == 0, RT_ESHAPE, "attention_cached: one sequence, heads a multiple of kv heads");
    RT_CHECK(i->in[0]->nd == 2 && i->in[0]->d[0] == n[T_] && i->in[0]->d[1] == n[H_] * n[D_], RT_ESHAPE, "attention_cached: wrong q");
    for (int j = 1; j < 5; j++)
        RT_CHECK(i->in[j]->nd == 2 && i->in[j]->d[1] == W, RT_ESHAPE, "attention_cached: operand %d has rows of %lld, expected %lld", j,
                 (long long)i->in[j]->d[1], (long long)W);
    RT_CHECK(i->type[3] == i->type[1] && i->type[4] == i->type[2] && i->type[5] == KN_I32, RT_ESHAPE, "attention_cached: wrong types");
    i->out     = *i->in[0];
    i->scratch = i->in[3]->d[0] + 3 * n[D_];
    return RT_OK;
}

/* A work item is a (row, head). */
static void forward_item(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t *n = a->attr.i, D = n[D_], t = item / n[H_], h = item % n[H_], W = n[KV_] * D, c = h * n[KV_] / n[H_] * D;
    const int64_t  keys = *(const int32_t *)a->in[5] + t + 1;
    real          *o = ag_scratch(a, thread), *w = o + D, *wq = w + D, *S = wq + D;
    const real    *q = kn_load(a->in[0], a->type[0], t * n[H_] * D + h * D, D, wq), inv = (real)(1.0 / sqrt((double)D));
    for (int64_t s = 0; s < keys; s++) S[s] = inv * a->k->dot(q, kn_load(a->in[3], a->type[3], s * W + c, D, w), D);
    const real sum = a->k->exp_sub(S, S, a->k->max(S, keys), keys);
    memset(o, 0, (size_t)D * sizeof(real));
    for (int64_t s = 0; s < keys; s++) a->k->axpy(o, kn_load(a->in[4], a->type[4], s * W + c, D, w), S[s] / sum, D);
    kn_put(a->out, a->out_type, t * n[H_] * D + h * D, o, D, 0);
}

static void forward(const ag_args *a)
{
    const int64_t *n = a->attr.i, W = n[KV_] * n[D_], past = *(const int32_t *)a->in[5];
    for (int j = 1; j < 3; j++) {
        const size_t size = kn_size(a->type[j]);
        memcpy((char *)a->in[j + 2] + (size_t)(past * W) * size, a->in[j], (size_t)(n[T_] * W) * size);
    }
    rt_parallel(n[T_] * n[H_], forward_item, (void *)(uintptr_t)a);
}

const ag_op ag_op_attention_cached = {
    .name = "attention_cached", .n_in = 6, .work = AG_ATTENTION, .nograd = 63, .infer = infer, .forward = forward};
