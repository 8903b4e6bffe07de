/* pass.c -- copies or adds the output's gradient to an input's, for operators that add. */
#include "autograd/op.h"

typedef struct handed {
    const ag_args *a;
    int            j;
} handed;

static void pass_block(int64_t item, int thread, void *ud)
{
    const handed  *h  = ud;
    const ag_args *a  = h->a;
    const int64_t  at = item * AG_BLOCK, left = ag_len(a->shape[h->j]) - at, n = left < AG_BLOCK ? left : AG_BLOCK;
    real           w[AG_BLOCK];
    (void)thread;
    kn_put(a->din[h->j], a->din_type[h->j], at, kn_load(a->dout, a->out_type, at, n, w), n, a->acc >> h->j & 1);
}

void ag_pass(const ag_args *a, int j)
{
    handed h = {a, j};
    if (a->din[j] && (a->din[j] != a->dout || a->acc >> j & 1)) rt_parallel(ag_blocks(ag_len(a->shape[j])), pass_block, &h);
}
