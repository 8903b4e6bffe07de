/* check.c -- checks of a shard's rows.  Training, evaluation and the check of a file all use them. */
#include "data/shard/file.h"
#include <math.h>

#define TOLERANCE      1e-3 /* servers print few digits */
#define SAY(cond, ...) RT_CHECK(cond, RT_EFORMAT, __VA_ARGS__)
#define AT(c)          ds_shard_path((c)->s), (long long)(c)->doc, (long long)((c)->first + (c)->row)
#define ROW            "%s: document %lld, row %lld: "

typedef struct check {
    ds_shard      *s;
    int64_t        k, m, doc, first, row; /* row: index within the rows that begin at `first` */
    const ds_doc  *d;
    const ds_rows *r;    /* the rows of d */
    int            ends; /* 1: the rows end the document */
    double         most; /* the largest possible entropy: the logarithm of the number of the teacher's ids */
} check;

/* ---- ids: a bitmap marks the ids among the top k -------------------------------------------- */

static int marked(const check *c, int32_t id) { return c->s->marks[id / 64] >> id % 64 & 1; }

static rt_status check_tail(const check *c)
{
    const int32_t *tail = c->r->tail_ids + c->row * c->m;
    for (int64_t i = 0; i < c->m && tail[i] >= 0 && c->r->tail_mass[c->row] > 0; i++)
        SAY(!marked(c, tail[i]), ROW "tail id %d is one of the top k", AT(c), (int)tail[i]);
    return RT_OK;
}

static rt_status check_top_ids(const check *c)
{
    const int32_t *id = c->r->topk_ids + c->row * c->k;
    rt_status      st = RT_OK;
    int64_t        n  = 0;
    for (; n < c->k && id[n] >= 0 && !marked(c, id[n]); n++) c->s->marks[id[n] / 64] |= (uint64_t)1 << id[n] % 64;
    if (n < c->k && id[n] >= 0) st = rt_fail(RT_EFORMAT, __FILE__, __LINE__, ROW "id %d occurs twice among the top k", AT(c), (int)id[n]);
    else if (c->r->tail_ids) st = check_tail(c);
    while (n-- > 0) c->s->marks[id[n] / 64] = 0;
    return st;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static rt_status check_masses(const check *c)
{
    const float *lp   = c->r->topk_logprob ? c->r->topk_logprob + c->row * c->k : NULL;
    const double tail = (double)c->r->tail_mass[c->row];
    double       sum  = 0;
    for (int64_t j = 0; lp && j < c->k; j++) {
        SAY(lp[j] <= 0, ROW "has a log-probability of %g, expected at most 0", AT(c), (double)lp[j]);
        SAY(j == 0 || lp[j] <= lp[j - 1] + 1e-5f, ROW "the top k are not in order of decreasing probability", AT(c));
        sum += (double)expf(lp[j]);
    }
    SAY(tail >= 0 && tail <= 1 + TOLERANCE, ROW "has a tail mass of %g, expected a number from 0 to 1", AT(c), tail);
    SAY(!(lp || !c->k) || fabs(sum + tail - 1) <= TOLERANCE,
        ROW "the probabilities of the top k (%.6f) and of the tail (%.6f) do not sum to 1", AT(c), sum, tail);
    return RT_OK;
}

/* Checks the log-probability of the actual next token: alone and, if the token is among the top k, against its entry. */
static rt_status check_actual(const check *c)
{
    const int64_t  k      = c->k;
    const double   actual = (double)c->r->actual_logprob[c->row];
    const float   *lp     = c->r->topk_logprob + c->row * k;
    const int32_t *id     = c->r->topk_ids + c->row * k;
    int64_t        at = 0, n = k;
    if (isnan(actual)) return RT_OK;
    while (n > 0 && id[n - 1] < 0) n--;
    SAY(actual <= 0, ROW "the actual token has log-probability %g, expected at most 0", AT(c), actual);
    while (at < n && id[at] != c->d->target_id[c->row]) at++;
    SAY(at == n || (double)lp[at] == actual || fabs((double)lp[at] - actual) <= TOLERANCE,
        ROW "the actual token has the log-probability %g among the top k, but %g in /actual_logprob", AT(c), (double)lp[at], actual);
    SAY(at < n || !n || actual <= (double)lp[n - 1] + TOLERANCE,
        ROW "the actual token has the log-probability %g but is not among the top k, whose lowest is %g", AT(c), actual, (double)lp[n - 1]);
    return RT_OK;
}

static rt_status check_entropy(const check *c)
{
    const double h = c->r->tail_entropy ? (double)c->r->tail_entropy[c->row] : (double)NAN;
    SAY(isnan(h) || (h >= -TOLERANCE && h <= c->most + TOLERANCE),
        ROW "has a tail entropy of %g, expected a number from 0 to %.4f, the logarithm of the vocabulary size", AT(c), h, c->most);
    return RT_OK;
}

/* ---- rows ------------------------------------------------------------------------------------- */

static rt_status check_about(const check *c)
{
    const ds_doc *d = c->d;
    const int64_t i = c->row;
    RT_CHECK(!c->ends || i < d->n - 1, RT_EMISMATCH, ROW "is valid, but no token follows", AT(c));
    RT_CHECK(d->target_id[i] == d->ids[i + 1], RT_EMISMATCH,
             "%s: document %lld, row %lld has the target id %d, but the next token has id %d; create the shard again", AT(c),
             (int)d->target_id[i], (int)d->ids[i + 1]);
    return RT_OK;
}

static rt_status check_target(const check *c)
{
    const ds_doc *d = c->d;
    if (d->target_id && d->ids) RT_TRY(check_about(c));
    if (c->r->tail_mass) RT_TRY(check_masses(c));
    if (c->r->topk_ids) RT_TRY(check_top_ids(c));
    if (c->r->actual_logprob) RT_TRY(check_actual(c));
    return check_entropy(c);
}

rt_status ds_shard_check_rows(ds_shard *s, int64_t doc, int64_t first, const ds_doc *d)
{
    check c = {.s     = s,
               .k     = s->info.k,
               .m     = s->info.m,
               .doc   = doc,
               .first = first,
               .d     = d,
               .r     = &d->rows,
               .most  = log((double)(s->info.former ? s->info.former : s->info.vocab))};
    c.ends  = first + d->n == s->starts[doc + 1] - s->starts[doc];
    if (d->rows.topk_ids && !s->marks) RT_TRY(RT_NEW(s->marks, s->info.vocab / 64 + 1));
    for (c.row = 0; c.row < d->n; c.row++) {
        SAY(!d->prompt_mask || d->prompt_mask[c.row] <= 1, ROW "/prompt_mask is %d, expected 0 or 1", AT(&c), (int)d->prompt_mask[c.row]);
        SAY(!d->weight || (isfinite(d->weight[c.row]) && d->weight[c.row] >= 0), ROW "has the weight %g, expected a non-negative number",
            AT(&c), (double)d->weight[c.row]);
        if (!d->rows.valid) continue;
        SAY(d->rows.valid[c.row] <= 1, ROW "/valid is %d, expected 0 or 1", AT(&c), (int)d->rows.valid[c.row]);
        if (d->rows.valid[c.row]) RT_TRY(check_target(&c));
    }
    return RT_OK;
}

rt_status ds_ids_check(const ds_shard *s, int64_t doc, int64_t from, const int32_t *ids, int64_t n, int64_t V)
{
    if (ds_shard_info(s)->vocab <= V) return RT_OK;
    for (int64_t i = 0; i < n; i++)
        RT_CHECK(
            ids[i] < V, RT_EMISMATCH,
            "%s: document %lld, token %lld has id %d, but the model (or its teacher) has %lld ids; remove texts with this token, or use a "
            "model with more ids (model.V of a new model)",
            ds_shard_path(s), (long long)doc, (long long)(from + i), (int)ids[i], (long long)V);
    return RT_OK;
}
