/* ranks.c -- checks the ranks of generated tokens over many rows. */
#include "teacher/dialect.h"
#include <math.h>

void tc_ranks_add(tc_ranks *p, const tc_response *x)
{
    for (int64_t i = 0; i + 1 < x->n; i++) {
        const int32_t *top   = x->topk_ids + i * x->k;
        int64_t        place = 0;
        if (!x->valid[i]) continue;
        while (place < x->k && top[place] != x->ids[i + 1]) place++;
        p->outside += place == x->k;
        p->last += place == x->k - 1;
        p->expected += exp((double)x->topk_logprob[i * x->k + x->k - 1]);
    }
}

/* A server that gives no ranks may put the generated token in the place of the k-th likely one, which no single row shows.
 * Over many rows, a drawn token is the k-th as often as the k-th's probability says, not whenever it is outside the first k-1. */
rt_status tc_ranks_check(const tc_ranks *p, int64_t k, double temperature)
{
    if (k < 2 || temperature > 1 || p->outside || (double)p->last <= 10 + 3 * p->expected) return RT_OK;
    TC_MALFORMED(
        "top_logprobs whose last entry is the token that was written %lld times, about %.1f were to be expected: it seems to stand in the "
        "place of the %lld-th",
        (long long)p->last, p->expected, (long long)k);
}
