/* ranks.c -- where the written tokens stand among the top k: what no single row can show. */
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

/* Without ranks nothing in a row says that its last entry has taken the k-th one's place.  But a token that is drawn is
 * the k-th about as often as the k-th is likely, not whenever it is none of the first k-1. */
rt_status tc_ranks_check(const tc_ranks *p, int64_t k, double temperature)
{
    if (k < 2 || temperature > 1 || p->outside || (double)p->last <= 10 + 3 * p->expected) return RT_OK;
    TC_MALFORMED(
        "top_logprobs whose last entry is the token that was written %lld times, about %.1f were to be expected: it seems to stand in the "
        "place of the %lld-th",
        (long long)p->last, p->expected, (long long)k);
}
