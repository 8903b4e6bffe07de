/* ranks.c -- checks the ranks of generated tokens over many rows. */
#include "teacher/dialect.h"
#include <math.h>

void tc_ranks_add(tc_ranks *p, const tc_response *x)
{
    const ds_rows *r = &x->rows;
    for (int64_t i = 0; i + 1 < x->n; i++) {
        const int32_t *top   = r->topk_ids + i * r->k;
        int64_t        place = 0;
        if (!r->valid[i]) continue;
        while (place < r->k && top[place] != x->ids[i + 1]) place++;
        p->outside += place == r->k;
        p->last += place == r->k - 1;
        p->expected += exp((double)r->topk_logprob[i * r->k + r->k - 1]);
    }
}

/* A server that gives no ranks may put the generated token in the place of the k-th likely one, which no single row shows.
 * Over many rows, a drawn token is the k-th as often as the k-th's probability says, not whenever it is outside the first k-1. */
rt_status tc_ranks_check(const tc_ranks *p, int64_t k, double temperature)
{
    if (k < 2 || temperature > 1 || p->outside || (double)p->last <= 10 + 3 * p->expected) return RT_OK;
    TC_MALFORMED(
        "the generated token is the last entry of top_logprobs %lld times, but about %.1f times are expected; the server seems to put it "
        "in the "
        "place of token %lld of the top",
        (long long)p->last, p->expected, (long long)k);
}
