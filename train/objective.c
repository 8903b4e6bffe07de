/* objective.c -- from the configuration's words to what the head computes. */
#include "train/trainer.h"
#include <math.h>
#include <string.h>

static ag_objective choose(const char *kind, const ds_info *info)
{
    if (!strcmp(kind, "ce")) return AG_CE;
    if (!strcmp(kind, "sampled")) return AG_SAMPLED;
    if (!strcmp(kind, "tail")) return AG_TAIL;
    if (!strcmp(kind, "renorm")) return AG_RENORM;
    return !info->soft ? AG_CE : info->m > 0 ? AG_SAMPLED : AG_TAIL;
}

rt_status tr_objective(const tr_config *c, const ds_info *info, ag_objective *kind, int64_t *k, int64_t *m, double *ce_weight)
{
    const ag_objective o = choose(c->kind, info);
    *kind                = o;
    *k = *m    = 0;
    *ce_weight = o == AG_CE ? 1 : isnan(c->ce_weight) ? (o == AG_TAIL ? 0.5 : 0) : c->ce_weight;
    if (o == AG_CE) return RT_OK;
    RT_CHECK(info->soft, RT_EMISMATCH,
             "objective \"%s\" needs teacher probabilities, %s is a text shard; make a soft one with retort score", c->kind, c->train.v[0]);
    *k = c->k < 0 ? info->k : c->k;
    *m = o != AG_SAMPLED ? 0 : c->m < 0 ? info->m : c->m;
    RT_CHECK(*k >= 1 && *k <= info->k, RT_EMISMATCH, "objective.k is %lld, %s holds %lld entries a row", (long long)*k, c->train.v[0],
             (long long)info->k);
    RT_CHECK(
        o != AG_SAMPLED || (*m >= 1 && *m <= info->m && *k == info->k), RT_EMISMATCH,
        "objective \"sampled\" with k %lld, m %lld: %s holds k %lld, m %lld; k must be the stored one (the tail was drawn outside it) and m at "
        "least 1; \"tail\" needs no samples",
        (long long)*k, (long long)*m, c->train.v[0], (long long)info->k, (long long)info->m);
    return RT_OK;
}
