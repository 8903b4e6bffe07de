/* attention_cached.c -- the operator attention_cached: attention of new rows over a cache of all previous rows, for decoding.
 * The cache has B slots of T rows, one sequence per slot.  All new k and v are stored in it, row r's at row pos[r] of slot[r];
 * then row r attends to rows 0 .. pos[r] of its slot, with a window only to the last of them.  Forward only.  Each (row, head) is computed separately, without tiles. */
#include "autograd/op.h"
#include <string.h>

enum { B_, T_, H_, KV_, D_, WINDOW };          /* attributes */
enum { Q, K, V, CACHE_K, CACHE_V, SLOT, POS }; /* inputs */

static rt_status cached_infer(ag_infer *i, const ag_attr *attr)
{
    const int64_t *n = attr->i, W = n[KV_] * n[D_], R = i->in[Q]->d[0], rows[] = {R, R, R, n[B_] * n[T_], n[B_] * n[T_]};
    RT_CHECK(n[KV_] > 0 && n[H_] % n[KV_] == 0, RT_ESHAPE, "attention_cached: the number of heads must be a multiple of the kv heads");
    for (int j = Q; j <= CACHE_V; j++) {
        const int64_t cols = j == Q ? n[H_] * n[D_] : W;
        RT_CHECK(i->in[j]->nd == 2 && i->in[j]->d[0] == rows[j] && i->in[j]->d[1] == cols, RT_ESHAPE,
                 "attention_cached: operand %d is [%lld,%lld], expected [%lld,%lld]", j, (long long)i->in[j]->d[0],
                 (long long)i->in[j]->d[1], (long long)rows[j], (long long)cols);
    }
    for (int j = SLOT; j <= POS; j++)
        RT_CHECK(i->type[j] == KN_I32 && i->in[j]->nd == 1 && i->in[j]->d[0] == R, RT_ESHAPE,
                 "attention_cached: operand %d must have one integer per row, for %lld rows", j, (long long)R);
    RT_CHECK(i->type[CACHE_K] == i->type[K] && i->type[CACHE_V] == i->type[V], RT_ESHAPE,
             "attention_cached: the caches must have the types of k and v");
    i->out     = *i->in[Q];
    i->scratch = n[T_] + 3 * n[D_];
    return RT_OK;
}

/* A work item is a (row, head). */
static void forward_item(int64_t item, int thread, void *ud)
{
    const ag_args *a = ud;
    const int64_t *n = a->attr.i, D = n[D_], r = item / n[H_], h = item % n[H_], W = n[KV_] * D;
    const int64_t  seen = ((const int32_t *)a->in[POS])[r] + 1, keys = n[WINDOW] && seen > n[WINDOW] ? n[WINDOW] : seen;
    const int64_t  c = (((const int32_t *)a->in[SLOT])[r] * n[T_] + seen - keys) * W + h * n[KV_] / n[H_] * D;
    real          *o = ag_scratch(a, thread), *w = o + D, *wq = w + D, *S = wq + D;
    const real    *q = kn_load(a->in[Q], a->type[Q], r * n[H_] * D + h * D, D, wq), scale = (real)a->attr.f;
    for (int64_t s = 0; s < keys; s++) S[s] = scale * a->k->dot(q, kn_load(a->in[CACHE_K], a->type[CACHE_K], c + s * W, D, w), D);
    if (a->attr.g > 0) a->k->soft_cap(S, S, (real)a->attr.g, keys);
    const real sum = a->k->exp_sub(S, S, a->k->max(S, keys), keys);
    memset(o, 0, (size_t)D * sizeof(real));
    for (int64_t s = 0; s < keys; s++) a->k->axpy(o, kn_load(a->in[CACHE_V], a->type[CACHE_V], c + s * W, D, w), S[s] / sum, D);
    kn_put(a->out, a->out_type, r * n[H_] * D + h * D, o, D, 0);
}

/* Copies each row of operand j, K or V, to its place in the cache. */
static void store(const ag_args *a, int j)
{
    const int64_t *n = a->attr.i, T = n[T_];
    const int32_t *slot = a->in[SLOT], *pos = a->in[POS];
    const size_t   bytes = (size_t)(n[KV_] * n[D_]) * kn_size(a->type[j]);
    const char    *from  = a->in[j];
    char          *cache = a->in[j + CACHE_K - K];
    for (int64_t r = 0; r < a->shape[j]->d[0]; r++) {
        RT_ASSERT(slot[r] >= 0 && slot[r] < n[B_] && pos[r] >= 0 && pos[r] < T);
        memcpy(cache + (size_t)(slot[r] * T + pos[r]) * bytes, from + (size_t)r * bytes, bytes);
    }
}

static void cached_forward(const ag_args *a)
{
    store(a, K);
    store(a, V);
    rt_parallel(a->shape[Q]->d[0] * a->attr.i[H_], forward_item, (void *)(uintptr_t)a);
}

const ag_op ag_op_attention_cached = {
    .name = "attention_cached", .n_in = 7, .work = AG_ATTENTION, .nograd = 127, .infer = cached_infer, .forward = cached_forward};
