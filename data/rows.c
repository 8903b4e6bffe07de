/* rows.c -- a shard's tokens and entries restricted to a model with fewer ids.
 *
 * A teacher's matrix may be padded with rows that no text contains, and these rows may get probability.  Ids that the student
 * lacks are removed and the remaining distribution is renormalised: the student's target is the teacher's distribution given that
 * the id is one of the student's.  The removed mass is exact for the k entries; for the tail it is estimated by the share of the
 * tail samples that are removed.
 */
#include "data/rows.h"
#include "data/shard.h"
#include <math.h>

/* Moves the ids below V to the front, sets the others to -1 and returns how many remain.  `x` (may be NULL) moves with them. */
static int64_t keep(int64_t V, int64_t n, int32_t *ids, float *x)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= V) continue;
        ids[kept] = ids[i];
        if (x) x[kept] = x[i];
        kept++;
    }
    for (int64_t i = kept; i < n; i++) ids[i] = -1;
    return kept;
}

static int64_t outside(int64_t V, int64_t n, const int32_t *ids)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += ids[i] >= V;
    return count;
}

rt_status ds_ids_check(const ds_shard *s, int64_t doc, int64_t from, const int32_t *ids, int64_t n, int64_t V)
{
    if (ds_shard_info(s)->vocab <= V) return RT_OK;
    for (int64_t i = 0; i < n; i++)
        RT_CHECK(
            ids[i] < V, RT_EMISMATCH,
            "%s: document %lld, token %lld is id %d, but the model (or its teacher) has %lld ids; leave out texts with this token, or take "
            "a model with more ids (model.V of a new one)",
            ds_shard_path(s), (long long)doc, (long long)(from + i), (int)ids[i], (long long)V);
    return RT_OK;
}

void ds_entries_share(int64_t V, int64_t k, int32_t *topk_ids, float *topk_logprob, int64_t m, int32_t *tail_ids, float *tail_entropy)
{
    const int64_t tail_out = outside(V, m, tail_ids);
    double        sum = 0, out = 0;
    if (!tail_out && !outside(V, k, topk_ids)) return;
    for (int64_t i = 0; i < k; i++) {
        const double p = exp((double)topk_logprob[i]);
        sum += p;
        out += topk_ids[i] >= V ? p : 0;
    }
    const double  rest = fmax(0, 1 - sum), share = m ? (double)(m - tail_out) / (double)m : 1;
    const double  log_all = log(fmax(1 - out - rest * (1 - share), 1e-30));
    const int64_t kept    = keep(V, k, topk_ids, topk_logprob);
    for (int64_t i = 0; i < kept; i++) topk_logprob[i] = (float)fmin((double)topk_logprob[i] - log_all, 0);
    keep(V, m, tail_ids, NULL);
    /* -sum p/Z log(p/Z) over the remaining tail, whose share of the tail entropy is its share of the samples */
    if (tail_entropy) *tail_entropy = (float)((share * (double)*tail_entropy + share * rest * log_all) / exp(log_all));
}
