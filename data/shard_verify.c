/* shard_verify.c -- is a shard what it claims to be, and which content does it have?
 *
 * Reading a document already checks HDF5's checksums and all ids; here come the meaning
 * of the numbers and the digest.
 */
#include "data/shard.h"
#include <math.h>
#include <string.h>

/* ---- check --------------------------------------------------------------------------------- */

#define SAY(cond, ...) RT_CHECK(cond, RT_ECHECK, __VA_ARGS__)
#define TOLERANCE      1e-3 /* servers print few digits */

typedef struct place {
    const char *path;
    long long   doc, row;
} place;

static rt_status check_probabilities(const ds_doc *d, const ds_info *info, const place *at)
{
    const int64_t from = at->row * info->k;
    const float  *lp   = d->topk_logprob;
    double        sum  = 0;
    for (int64_t j = from; j < from + info->k; j++) {
        SAY(lp[j] <= TOLERANCE, "%s: document %lld, row %lld: log-probability %g", at->path, at->doc, at->row, (double)lp[j]);
        SAY(j == from || lp[j] <= lp[j - 1] + 1e-5f, "%s: document %lld, row %lld: the top k are not in order, most likely first", at->path,
            at->doc, at->row);
        sum += exp((double)lp[j]);
    }
    const double rest = (double)d->rest_mass[at->row];
    SAY(rest >= 0 && fabs(sum + rest - 1) <= TOLERANCE, "%s: document %lld, row %lld: top k %.6f + rest %.6f are not 1", at->path, at->doc,
        at->row, sum, rest);
    return RT_OK;
}

static rt_status check_members(const ds_doc *d, const ds_info *info, const place *at)
{
    const int64_t  from   = at->row * info->k;
    const int32_t *ids    = d->topk_ids;
    const double   actual = (double)d->actual_logprob[at->row];
    for (int64_t j = from; j < from + info->k; j++) {
        const double lp = (double)d->topk_logprob[j];
        SAY(ids[j] != d->target_id[at->row] || isnan(actual) || !(fabs(lp - actual) > TOLERANCE),
            "%s: document %lld, row %lld: the actual token has log-probability %g among the top k, but %g alone", at->path, at->doc,
            at->row, lp, actual);
        for (int64_t i = 0; i < info->m && d->rest_mass[at->row] > 0; i++)
            SAY(d->tail_ids[at->row * info->m + i] != ids[j], "%s: document %lld, row %lld: tail id %d is one of the top k", at->path,
                at->doc, at->row, (int)ids[j]);
    }
    return RT_OK;
}

static rt_status check_row(const ds_doc *d, const ds_info *info, const place *at)
{
    const int64_t i = at->row;
    SAY(d->valid[i] <= 1, "%s: document %lld, row %lld: /valid is %d, expected 0 or 1", at->path, at->doc, at->row, (int)d->valid[i]);
    if (!d->valid[i]) return RT_OK;
    SAY(i < d->n - 1, "%s: document %lld: its last row is valid, but no token follows", at->path, at->doc);
    SAY(d->target_id[i] == d->ids[i + 1], "%s: document %lld, row %lld is about id %d, but the next token is id %d", at->path, at->doc,
        at->row, (int)d->target_id[i], (int)d->ids[i + 1]);
    SAY(!d->rest_entropy || !(d->rest_entropy[i] < -TOLERANCE), "%s: document %lld, row %lld: rest entropy %g is negative", at->path,
        at->doc, at->row, (double)d->rest_entropy[i]);
    SAY(!d->weight || (isfinite(d->weight[i]) && d->weight[i] >= 0), "%s: document %lld, row %lld: weight %g, expected a number from 0 on",
        at->path, at->doc, at->row, (double)d->weight[i]);
    RT_TRY(check_probabilities(d, info, at));
    return check_members(d, info, at);
}

/* What a reader refuses is a finding here. */
static rt_status found(rt_status st)
{
    if (st == RT_EFORMAT) RT_FAIL(RT_ECHECK, "%s", rt_error_text());
    return st;
}

static rt_status check_doc(ds_shard *s, int64_t doc)
{
    ds_doc         d;
    place          at   = {ds_shard_path(s), (long long)doc, 0};
    const ds_info *info = ds_shard_info(s);
    RT_TRY(found(ds_shard_doc(s, doc, &d)));
    for (at.row = 0; at.row < d.n; at.row++) {
        SAY(d.prompt_mask[at.row] <= 1, "%s: document %lld, row %lld: /prompt_mask is %d, expected 0 or 1", at.path, at.doc, at.row,
            (int)d.prompt_mask[at.row]);
        if (info->soft) RT_TRY(check_row(&d, info, &at));
    }
    return RT_OK;
}

rt_status ds_shard_verify(ds_shard *s)
{
    const ds_sketch *decoder;
    RT_TRY(found(ds_shard_sketch(s, &decoder)));
    for (int64_t i = 0; i < ds_shard_docs(s); i++) RT_TRY(check_doc(s, i));
    return RT_OK;
}

/* ---- digest ---------------------------------------------------------------------------------- */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the digest is of little-endian bytes");

enum { FINGERPRINT_DOCS = 1024 };

static void add_int(rt_sha *h, int64_t v) { rt_sha_add(h, &v, sizeof v); }
static void add_text(rt_sha *h, const char *s) { rt_sha_add(h, s, strlen(s) + 1); }

/* Every NaN counts as the same one. */
static void add_floats(rt_sha *h, const float *v, int64_t n)
{
    const uint32_t nan  = 0x7fc00000u;
    int64_t        from = 0;
    for (int64_t i = 0; i <= n; i++) {
        if (i < n && !isnan(v[i])) continue;
        rt_sha_add(h, v + from, (size_t)(i - from) * sizeof *v);
        if (i < n) rt_sha_add(h, &nan, sizeof nan);
        from = i + 1;
    }
}

static void add_double(rt_sha *h, double v)
{
    const uint64_t nan = 0x7ff8000000000000u;
    rt_sha_add(h, isnan(v) ? (const void *)&nan : (const void *)&v, sizeof v);
}

static void add_doc(rt_sha *h, const ds_doc *d, const ds_info *info)
{
    const size_t n = (size_t)d->n;
    add_int(h, d->n);
    rt_sha_add(h, d->ids, 4 * n);
    rt_sha_add(h, d->prompt_mask, n);
    if (info->soft) {
        rt_sha_add(h, d->target_id, 4 * n);
        rt_sha_add(h, d->valid, n);
        if (info->k) rt_sha_add(h, d->topk_ids, 4 * n * (size_t)info->k);
        add_floats(h, d->topk_logprob, d->n * info->k);
        add_floats(h, d->actual_logprob, d->n);
        add_floats(h, d->rest_mass, d->n);
        if (info->m) rt_sha_add(h, d->tail_ids, 4 * n * (size_t)info->m);
        if (d->rest_entropy) add_floats(h, d->rest_entropy, d->n);
        if (d->weight) add_floats(h, d->weight, d->n);
        if (d->sketch) rt_sha_add(h, d->sketch, n * (size_t)info->sketch);
    }
    add_text(h, d->request);
    add_text(h, d->recipe);
    add_text(h, d->topic);
    add_text(h, d->finish);
    add_int(h, (int64_t)d->seed);
    add_double(h, d->cost);
}

/* What format 1 did not have from the beginning leaves no trace where it is absent: digests stay as they were. */
static rt_status add_optional(rt_sha *h, ds_shard *s)
{
    const ds_sketch *x;
    if (ds_shard_has_weight(s)) add_text(h, "weight");
    RT_TRY(ds_shard_sketch(s, &x));
    if (!x) return RT_OK;
    add_text(h, "sketch");
    add_int(h, x->bytes);
    add_int(h, x->r);
    rt_sha_add(h, x->bits, (size_t)x->r);
    add_floats(h, x->scale, x->r);
    rt_sha_add(h, x->head, (size_t)(x->V * (x->r + 1)) * sizeof *x->head);
    if (!x->map) return RT_OK;
    add_text(h, "map");
    add_int(h, x->C);
    add_floats(h, x->map, x->r * (x->C + 1));
    return RT_OK;
}

/* `docs` documents of it, evenly spread. */
static rt_status add_all(rt_sha *h, ds_shard *s, int64_t docs)
{
    const ds_info *i = ds_shard_info(s);
    add_text(h, "retort shard 1");
    add_text(h, i->soft ? "soft" : "text");
    add_text(h, "raw");
    add_int(h, i->vocab);
    add_int(h, i->k);
    add_int(h, i->m);
    for (int a = 0; a < DS_ATTRIBUTES; a++)
        if (ds_attributes[a].digest) add_text(h, (const char *)i + ds_attributes[a].at);
    add_int(h, ds_shard_has_entropy(s));
    RT_TRY(add_optional(h, s));
    add_int(h, ds_shard_docs(s));
    for (int64_t n = 0; n < docs; n++) {
        ds_doc d;
        RT_TRY(ds_shard_doc(s, n * ds_shard_docs(s) / docs, &d));
        add_doc(h, &d, i);
    }
    return RT_OK;
}

rt_status ds_shard_digest(ds_shard *s, char hex[RT_SHA_HEX])
{
    rt_sha *h;
    RT_TRY(rt_sha_begin(&h));
    const rt_status st = add_all(h, s, ds_shard_docs(s));
    rt_sha_end(&h, st == RT_OK ? hex : NULL);
    return st;
}

rt_status ds_shard_fingerprint(ds_shard *s, char hex[RT_SHA_HEX])
{
    const int64_t docs = ds_shard_docs(s);
    rt_sha       *h;
    RT_TRY(rt_sha_begin(&h));
    const rt_status st = add_all(h, s, docs < FINGERPRINT_DOCS ? docs : FINGERPRINT_DOCS);
    if (st == RT_OK) rt_sha_add(h, ds_shard_starts(s), (size_t)(docs + 1) * sizeof(int64_t));
    rt_sha_end(&h, st == RT_OK ? hex : NULL);
    return st;
}
