/* digest.c -- a hash of a shard's content.  data/FORMAT.md defines the hashed bytes. */
#include "data/shard/columns.h"
#include <math.h>
#include <string.h>

enum { FINGERPRINT_DOCS = 1024 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the digest is of little-endian bytes");

static void digest_add_int(rt_sha *h, int64_t v) { rt_sha_add(h, &v, sizeof v); }
static void digest_add_text(rt_sha *h, const char *s) { rt_sha_add(h, s, strlen(s) + 1); }

/* Every NaN is hashed as the same bit pattern. */
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

static void digest_add_rows(rt_sha *h, const ds_doc *d, int c, int64_t width)
{
    const void   *v = ds_column_get(d, c);
    const int64_t n = d->n * width;
    if (ds_columns[c].type == DS_F32) add_floats(h, v, n);
    else rt_sha_add(h, v, (size_t)n * ds_column_size(c));
}

/* Hashes the columns one after another, some rows at a time, because a document's claimed length is not trusted for an allocation. */
static rt_status digest_add_doc(rt_sha *h, ds_shard *s, int64_t doc)
{
    const int64_t n = ds_shard_starts(s)[doc + 1] - ds_shard_starts(s)[doc], most = ds_rows_a_part(ds_shard_info(s));
    ds_doc        d;
    digest_add_int(h, n);
    for (int c = 0; c < DS_COLS; c++) {
        if (!ds_shard_has(s, c)) continue;
        for (int64_t first = 0; first < n; first += most) {
            RT_TRY(ds_shard_rows(s, doc, first, n - first < most ? n - first : most, 1u << c, &d));
            digest_add_rows(h, &d, c, ds_column_width(ds_shard_info(s), c));
        }
    }
    RT_TRY(ds_shard_texts(s, doc, &d));
    digest_add_text(h, d.request);
    digest_add_text(h, d.recipe);
    digest_add_text(h, d.topic);
    digest_add_text(h, d.finish);
    if (ds_shard_has_meta(s)) digest_add_text(h, d.meta);
    digest_add_int(h, (int64_t)d.seed);
    add_double(h, d.cost);
    return RT_OK;
}

/* Parts that were added to format 1 later add no bytes if they are absent, so that digests of older shards do not change. */
static rt_status add_optional(rt_sha *h, ds_shard *s)
{
    const ds_codec *x;
    const int64_t   former = ds_shard_info(s)->former;
    if (former) digest_add_text(h, "former"), digest_add_int(h, former);
    if (ds_shard_has_weight(s)) digest_add_text(h, "weight");
    if (ds_shard_has_meta(s)) digest_add_text(h, "meta");
    RT_TRY(ds_shard_codec(s, &x));
    if (!x) return RT_OK;
    digest_add_text(h, "sketch");
    digest_add_int(h, x->bytes);
    digest_add_int(h, x->r);
    rt_sha_add(h, x->bits, (size_t)x->r);
    add_floats(h, x->scale, x->r);
    rt_sha_add(h, x->head, (size_t)(x->V * (x->r + 1)) * sizeof *x->head);
    if (!x->map) return RT_OK;
    digest_add_text(h, "map");
    digest_add_int(h, x->C);
    add_floats(h, x->map, x->r * (x->C + 1));
    return RT_OK;
}

/* Hashes attributes and `docs` evenly spread documents. */
static rt_status digest_add_all(rt_sha *h, ds_shard *s, int64_t docs)
{
    const ds_info *i = ds_shard_info(s);
    digest_add_text(h, "retort shard 1");
    digest_add_text(h, i->soft ? "soft" : "text");
    digest_add_text(h, "raw");
    digest_add_int(h, i->vocab);
    digest_add_int(h, i->k);
    digest_add_int(h, i->m);
    for (int a = 0; a < DS_ATTRIBUTES; a++)
        if (ds_attributes[a].digest) digest_add_text(h, (const char *)i + ds_attributes[a].at);
    digest_add_int(h, ds_shard_has_entropy(s));
    RT_TRY(add_optional(h, s));
    digest_add_int(h, ds_shard_docs(s));
    for (int64_t n = 0; n < docs; n++) RT_TRY(digest_add_doc(h, s, n * ds_shard_docs(s) / docs));
    return RT_OK;
}

rt_status ds_shard_digest(ds_shard *s, char hex[RT_SHA_HEX])
{
    rt_sha *h;
    RT_TRY(rt_sha_begin(&h));
    const rt_status st = digest_add_all(h, s, ds_shard_docs(s));
    rt_sha_end(&h, st == RT_OK ? hex : NULL);
    return st;
}

rt_status ds_shard_fingerprint(ds_shard *s, char hex[RT_SHA_HEX])
{
    const int64_t docs = ds_shard_docs(s);
    rt_sha       *h;
    RT_TRY(rt_sha_begin(&h));
    const rt_status st = digest_add_all(h, s, docs < FINGERPRINT_DOCS ? docs : FINGERPRINT_DOCS);
    if (st == RT_OK) rt_sha_add(h, ds_shard_starts(s), (size_t)(docs + 1) * sizeof(int64_t));
    rt_sha_end(&h, st == RT_OK ? hex : NULL);
    return st;
}
