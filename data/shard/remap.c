/* remap.c -- documents and rows under the ids of a trimmed tokenizer. */
#include "data/remap.h"
#include "core/clock.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a row -------------------------------------------------------------------------------------- */

/* Moves the remaining ids to the front under their new numbers and sets the others to -1.  `x` (may be NULL) moves with them. */
static void remap_list(const int32_t *map, int64_t n, int32_t *ids, float *x)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n && ids[i] >= 0; i++) {
        if (map[ids[i]] < 0) continue;
        ids[kept] = map[ids[i]];
        if (x) x[kept] = x[i];
        kept++;
    }
    for (int64_t i = kept; i < n; i++) {
        ids[i] = -1;
        if (x) x[i] = -INFINITY;
    }
}

double ds_rows_map(ds_rows *r, int64_t i, const int32_t *map)
{
    const ds_rows row   = ds_rows_slice(r, i, 1);
    double        moved = 0, entropy = 0;
    for (int64_t j = 0; row.topk_ids && j < row.k && row.topk_ids[j] >= 0; j++) {
        const double lp = (double)row.topk_logprob[j];
        if (map[row.topk_ids[j]] >= 0) continue;
        moved += exp(lp), entropy -= exp(lp) * lp;
    }
    if (row.topk_ids) remap_list(map, row.k, row.topk_ids, row.topk_logprob);
    if (row.tail_ids) remap_list(map, row.m, row.tail_ids, NULL);
    if (row.tail_mass) *row.tail_mass = (float)fmin(1, (double)*row.tail_mass + moved);
    if (row.tail_entropy) *row.tail_entropy = (float)((double)*row.tail_entropy + entropy);
    return moved;
}

/* ---- a shard ------------------------------------------------------------------------------------ */

typedef struct remapping {
    ds_shard    *s;
    ds_writer   *w;
    int32_t     *map;         /* [former_V] */
    int64_t      V, former_V; /* former_V: ids of the teacher, which may have more than the former tokenizer */
    const char  *out;
    rt_progress *p;
    ds_remapped  r;
} remapping;

/* Writes the new ids of a document to ids. */
static rt_status remap_ids(const remapping *x, int64_t doc, const ds_doc *d, int32_t *ids)
{
    for (int64_t i = 0; i < d->n; i++) {
        ids[i] = x->map[d->ids[i]];
        RT_CHECK(
            ids[i] >= 0, RT_EMISMATCH,
            "%s: document %lld, token %lld has the id %d, which the trimmed tokenizer lacks; trim the tokenizer with this shard among its "
            "files",
            ds_shard_path(x->s), (long long)doc, (long long)i, d->ids[i]);
    }
    return RT_OK;
}

static unsigned remap_columns(const ds_rows *r)
{
    unsigned present = 0;
#define X(type, name, per) present |= r->name ? DS_COLUMN(name) : 0;
    DS_ROW_COLUMNS(X)
#undef X
    return present;
}

/* Copies the rows of a document and renumbers their ids. */
static rt_status remap_rows(remapping *x, const ds_rows *from, ds_rows *to)
{
    *to = (ds_rows){.n = from->n, .k = from->k, .m = from->m, .bytes = from->bytes};
    RT_TRY(ds_rows_alloc(to, remap_columns(from)));
    for (int64_t i = 0; i < from->n; i++) {
        ds_rows_copy(to, i, from, i);
        if (to->valid && !to->valid[i]) continue;
        x->r.moved += ds_rows_map(to, i, x->map);
        x->r.rows++;
    }
    return RT_OK;
}

static rt_status remap_write(remapping *x, int64_t doc, ds_doc *d, int32_t *ids, ds_rows *rows)
{
    RT_TRY(remap_ids(x, doc, d, ids));
    if (ds_shard_info(x->s)->soft) RT_TRY(remap_rows(x, &d->rows, rows));
    d->ids       = ids;
    d->target_id = NULL;
    d->rows      = *rows;
    return ds_writer_add(x->w, d);
}

static rt_status remap_document(remapping *x, int64_t doc)
{
    ds_doc   d;
    int32_t *ids  = NULL;
    ds_rows  rows = {0};
    RT_TRY(ds_shard_doc(x->s, doc, &d));
    rt_status st = RT_NEW(ids, d.n);
    if (st == RT_OK) st = remap_write(x, doc, &d, ids, &rows);
    free(ids);
    ds_rows_free(&rows);
    x->r.documents++, x->r.tokens += d.n;
    return st;
}

/* Writes the decoder with the rows of the ids that remain. */
static rt_status remap_codec(const remapping *x)
{
    const ds_codec *from = NULL;
    ds_codec       *to   = NULL;
    RT_TRY(ds_shard_codec(x->s, &from));
    RT_TRY(ds_codec_create(&to, from->r, x->V, from->bytes));
    const size_t row = (size_t)(from->r + 1);
    memcpy(to->bits, from->bits, (size_t)from->r * sizeof *to->bits);
    memcpy(to->scale, from->scale, (size_t)from->r * sizeof *to->scale);
    to->loss = from->loss;
    for (int64_t v = 0; v < from->V; v++)
        if (x->map[v] >= 0) memcpy(to->head + (size_t)x->map[v] * row, from->head + (size_t)v * row, row * sizeof *to->head);
    rt_status st = from->C ? ds_codec_add_map(to, from->C) : RT_OK;
    if (st == RT_OK && from->C) memcpy(to->map, from->map, (size_t)(from->r * (from->C + 1)) * sizeof *to->map);
    if (st == RT_OK) st = ds_writer_codec(x->w, to);
    ds_codec_destroy(&to);
    return st;
}

static rt_status remap_all(remapping *x)
{
    for (int64_t i = 0; i < ds_shard_docs(x->s); i++) {
        RT_CHECK(!rt_interrupted(), RT_EINTR, "interrupted; nothing was written");
        RT_TRY(remap_document(x, i));
        if (x->p) rt_progress_at(x->p, i + 1, NULL);
    }
    return ds_shard_info(x->s)->codec_bytes ? remap_codec(x) : RT_OK;
}

static rt_status remap_begin(remapping *x, const ds_tokenizer *to)
{
    ds_info info = *ds_shard_info(x->s);
    info.former  = x->former_V;
    info.vocab   = x->V;
    snprintf(info.tokenizer, sizeof info.tokenizer, "%s", ds_tokenizer_identity(to));
    return ds_writer_create(&x->w, x->out, &info);
}

/* Fills the map, and checks that all entries of `to` are entries of `from`. */
static rt_status remap_fill(remapping *x, const ds_tokenizer *from, const ds_tokenizer *to)
{
    int64_t found = 0;
    RT_CHECK(ds_tokenizer_is(from, ds_shard_info(x->s)->tokenizer), RT_EMISMATCH,
             "%s was made with another tokenizer than the former one; give the folder of the shard's own", ds_shard_path(x->s));
    RT_TRY(RT_NEW(x->map, x->former_V));
    for (int64_t id = 0; id < x->former_V; id++) x->map[id] = -1;
    RT_TRY(ds_tokenizer_map(from, to, x->map));
    for (int64_t id = 0; id < x->former_V; id++) found += x->map[id] >= 0;
    RT_CHECK(
        found == ds_tokenizer_entries(to), RT_EMISMATCH,
        "only %lld of the tokenizer's %lld entries are entries of the former one; expected one that 'retort tokenizer trim' made of it",
        (long long)found, (long long)ds_tokenizer_entries(to));
    return RT_OK;
}

rt_status ds_remap(ds_shard *s, const ds_tokenizer *from, const ds_tokenizer *to, const char *out, rt_progress *p, ds_remapped *r)
{
    remapping x  = {.s = s, .out = out, .p = p, .V = ds_tokenizer_size(to), .former_V = ds_shard_info(s)->vocab};
    rt_status st = RT_OK;
    if (x.former_V < ds_tokenizer_size(from)) x.former_V = ds_tokenizer_size(from);
    st = remap_fill(&x, from, to);
    if (st == RT_OK) st = remap_begin(&x, to);
    if (st == RT_OK) st = remap_all(&x);
    if (st == RT_OK) st = ds_writer_finish(&x.w);
    ds_writer_abandon(&x.w);
    free(x.map);
    if (st != RT_OK) return st;
    x.r.moved = x.r.rows ? x.r.moved / (double)x.r.rows : (double)NAN;
    *r        = x.r;
    return RT_OK;
}
