/* fill.c -- filling the sequences of a batch from the documents of shards.  Reading checks the rows. */
#include "data/loader/state.h"
#include <stdlib.h>
#include <string.h>

#define BIT(c) (1u << (c))
enum {
    WANT_TEXT    = BIT(COL_IDS) | BIT(COL_PROMPT) | BIT(COL_VALID) | BIT(COL_WEIGHT),
    WANT_TARGETS = BIT(COL_TARGET) | BIT(COL_TOPK_IDS) | BIT(COL_TOPK_LOGPROB) | BIT(COL_ENTROPY)
};

/* ---- memory ------------------------------------------------------------------------------ */

static int64_t codec_width(const ds_loader *l) { return l->codec ? l->codec->r + 1 : 0; }

static rt_status alloc_targets(ds_batch *b, int64_t codec)
{
    if (codec) RT_TRY(RT_NEW(b->decoded, b->targets.n * codec));
    return ds_rows_alloc(&b->targets, DS_COLUMN(topk_ids) | DS_COLUMN(topk_logprob) | DS_COLUMN(tail_ids) | DS_COLUMN(tail_entropy));
}

rt_status ds_batch_alloc(ds_loader *l)
{
    ds_batch     *b = &l->batch;
    const int64_t N = l->o.rows * l->o.T, left = rt_memory_available();
    const double  row   = l->o.targets ? 8.0 + 8.0 * (double)l->o.k + 4.0 * (double)(l->o.m + codec_width(l)) : 0.0;
    const double  bytes = (double)N * (21.0 + row);
    RT_CHECK(bytes < (double)left, RT_ENOMEM,
             "a batch of %lld sequences of %lld tokens needs %.1f MB, but %.1f MB are available; use a smaller batch", (long long)l->o.rows,
             (long long)l->o.T, bytes / 1e6, (double)left / 1e6);
    *b = (ds_batch){.T = l->o.T, .targets = {.n = N, .k = l->o.k, .m = l->o.m}};
    RT_TRY(RT_NEW(b->ids, N));
    RT_TRY(RT_NEW(b->pos, N));
    RT_TRY(RT_NEW(b->doc_start, N));
    RT_TRY(RT_NEW(b->target, N));
    RT_TRY(RT_NEW(b->loss_mask, N));
    RT_TRY(RT_NEW(b->weight, N));
    return l->o.targets ? alloc_targets(b, codec_width(l)) : RT_OK;
}

void ds_batch_free(ds_loader *l)
{
    ds_batch *b   = &l->batch;
    void     *v[] = {b->ids, b->pos, b->doc_start, b->target, b->loss_mask, b->weight, b->decoded};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) free(v[i]);
    ds_rows_free(&b->targets);
    *b = (ds_batch){0};
}

/* Rows that do not count hold zeros, so that arithmetic on them is harmless. */
void ds_batch_clear(ds_loader *l, int64_t rows)
{
    ds_batch    *b = &l->batch;
    const size_t N = (size_t)(rows * b->T), codec = (size_t)codec_width(l);
    b->rows    = rows;
    b->counted = 0;
    memset(b->ids, 0, N * sizeof *b->ids);
    memset(b->loss_mask, 0, N);
    memset(b->weight, 0, N * sizeof *b->weight);
    for (size_t i = 0; i < N; i++) b->target[i] = -1;
    ds_rows_clear(&b->targets, (int64_t)N);
    if (b->decoded) memset(b->decoded, 0, N * codec * sizeof *b->decoded);
}

/* ---- one window ---------------------------------------------------------------------------- */

typedef struct source {
    ds_shard        *shard;
    const ds_window *w;
    int64_t          doc, len; /* number and length of the document in its shard */
    ds_doc           d;
} source;

static void fill_target(ds_loader *l, const source *s, int64_t i, int64_t to)
{
    ds_batch      *b    = &l->batch;
    const ds_info *info = ds_shard_info(s->shard);
    ds_rows_copy(&b->targets, to, &s->d.rows, i);
    if (b->decoded) ds_codec_decode(l->codec, s->d.rows.encoded + i * info->codec_bytes, b->decoded + to * codec_width(l));
    if (l->o.vocab && info->vocab > l->o.vocab) ds_rows_restrict(&b->targets, to, l->o.vocab);
}

static void fill_window(ds_loader *l, const source *s, int64_t base, int32_t at)
{
    ds_batch *b = &l->batch;
    for (int32_t i = 0; i < s->w->n; i++) {
        const int64_t to = base + at + i;
        b->ids[to]       = s->d.ids[i];
        b->pos[to]       = i;
        b->doc_start[to] = at;
        if (s->w->from + i + 1 >= s->len) continue;
        b->weight[to] = ds_row_weight(s->d.weight ? s->d.weight[i] : 1, !s->d.rows.valid || s->d.rows.valid[i], s->d.prompt_mask[i + 1],
                                      l->o.prompt_weight);
        if (!(b->weight[to] > 0)) continue;
        b->target[to]    = s->d.ids[i + 1];
        b->loss_mask[to] = 1;
        b->counted++;
        if (l->o.targets) fill_target(l, s, i, to);
    }
}

static rt_status read_window(ds_loader *l, const ds_window *w, source *s)
{
    const unsigned want =
        WANT_TEXT | (l->o.targets ? WANT_TARGETS : 0) | (l->o.m ? BIT(COL_TAIL) : 0) | (l->o.use_codec ? BIT(COL_SKETCH) : 0);
    int n = 0;
    while (w->doc >= l->first_doc[n + 1]) n++;
    *s                    = (source){.shard = l->shard[n], .w = w, .doc = w->doc - l->first_doc[n]};
    const int64_t *starts = ds_shard_starts(s->shard);
    s->len                = starts[s->doc + 1] - starts[s->doc];
    RT_TRY(ds_shard_rows(s->shard, s->doc, w->from, w->n, want, &s->d));
    if (l->o.vocab) RT_TRY(ds_ids_check(s->shard, s->doc, w->from, s->d.ids, s->d.n, l->o.vocab));
    return RT_OK;
}

rt_status ds_batch_fill(ds_loader *l, int64_t row, const int64_t *item, int64_t n)
{
    source        s;
    int32_t       at   = 0;
    const int32_t T    = (int32_t)l->o.T;
    const int64_t base = row * T;
    for (int64_t i = 0; i < n; i++) {
        const ds_window *w = &l->window[item[i]];
        RT_TRY(read_window(l, w, &s));
        fill_window(l, &s, base, at);
        at += w->n;
    }
    for (int32_t t = at; t < T; t++) {
        l->batch.pos[base + t]       = t - at;
        l->batch.doc_start[base + t] = at;
    }
    return RT_OK;
}
