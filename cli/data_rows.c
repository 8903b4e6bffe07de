/* data_rows.c -- retort data inspect --doc: a document's rows and the teacher's most likely ids, from any kind of record. */
#include "cli/cli.h"
#include "cli/data.h"
#include "core/json.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 4 };
typedef struct likely { /* the most likely ids, in decreasing order */
    int32_t id[SHOWN];
    double  p[SHOWN];
    int     n;
} likely;

typedef struct view {
    const ds_tokenizer *t;
    const ds_info      *info;
    const ds_codec     *codec;
    ds_doc              d;
    float              *y; /* [r + 1] coordinates of a decoded state */
    double             *z; /* [V] its logits, later its probabilities */
} view;

/* ---- most likely ids ------------------------------------------------------------------------- */

static void insert(likely *l, int32_t id, double p)
{
    int at = l->n < SHOWN ? l->n++ : SHOWN;
    for (; at > 0 && l->p[at - 1] < p; at--)
        if (at < SHOWN) l->id[at] = l->id[at - 1], l->p[at] = l->p[at - 1];
    if (at < SHOWN) l->id[at] = id, l->p[at] = p;
}

static void of_entries(likely *l, const view *v, int64_t i)
{
    const int64_t k = v->info->k;
    for (int64_t j = 0; j < k && j < SHOWN && v->d.rows.topk_ids[i * k + j] >= 0; j++)
        insert(l, v->d.rows.topk_ids[i * k + j], exp((double)v->d.rows.topk_logprob[i * k + j]));
}

static void of_samples(likely *l, const view *v, int64_t i)
{
    const int64_t  m   = v->info->m;
    const int32_t *ids = v->d.rows.tail_ids + i * m;
    for (int64_t j = 0; j < m && ids[j] >= 0; j++) {
        int64_t before = 0, n = 0;
        for (int64_t o = 0; o < m; o++) n += ids[o] == ids[j], before += o < j && ids[o] == ids[j];
        if (!before) insert(l, ids[j], (double)n / (double)m);
    }
}

static double bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float          f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static void of_codec(likely *l, const view *v, int64_t i)
{
    const ds_codec *s    = v->codec;
    const int64_t   cols = s->r + 1;
    double          most = -INFINITY, sum = 0;
    ds_codec_decode(s, v->d.rows.encoded + i * s->bytes, v->y);
    for (int64_t id = 0; id < s->V; id++) {
        v->z[id] = 0;
        for (int64_t c = 0; c < cols; c++) v->z[id] += bf16(s->head[id * cols + c]) * (double)v->y[c];
        most = fmax(most, v->z[id]);
    }
    for (int64_t id = 0; id < s->V; id++) sum += v->z[id] = exp(v->z[id] - most);
    for (int64_t id = 0; id < s->V; id++) insert(l, (int32_t)id, v->z[id] / sum);
}

/* ---- rows ------------------------------------------------------------------------------------- */

/* Appends the id, or its bytes in quotes if there is a tokenizer. */
static rt_status data_rows_add_token(rt_buf *b, const ds_tokenizer *t, int32_t id)
{
    rt_buf    text = {0};
    rt_status st   = RT_OK;
    if (!t) return rt_buf_fmt(b, "%d", (int)id);
    st = ds_token_text(t, id, &text);
    if (st == RT_OK) st = rt_json_quote(b, text.p ? text.p : "", text.len);
    rt_buf_free(&text);
    return st;
}

static rt_status add_target(rt_buf *b, const view *v, int64_t i)
{
    likely l = {0};
    if (!v->d.rows.valid) return RT_OK;
    if (!v->d.rows.valid[i]) return rt_buf_str(b, "  no target");
    (v->info->k ? of_entries : v->codec ? of_codec : of_samples)(&l, v, i);
    RT_TRY(rt_buf_fmt(b, "  %8.3f |", (double)v->d.rows.actual_logprob[i]));
    for (int j = 0; j < l.n; j++) {
        RT_TRY(rt_buf_str(b, " "));
        RT_TRY(data_rows_add_token(b, v->t, l.id[j]));
        RT_TRY(rt_buf_fmt(b, " %.1f%%", 100 * l.p[j]));
    }
    return v->info->k ? rt_buf_fmt(b, " | tail %.1f%%", 100 * (double)v->d.rows.tail_mass[i]) : RT_OK;
}

static rt_status show_rows(rt_buf *b, const view *v)
{
    printf("  %6s %7s %-20s%s%s\n", "row", "id", "token (p: prompt)",
           v->d.rows.valid ? " log p of next token | most likely next tokens" : "",
           !v->d.rows.valid || v->info->k ? ""
           : v->codec                     ? ", decoded from the hidden state"
                                          : ", with their share of the samples");
    for (int64_t i = 0; i < v->d.n; i++) {
        rt_buf_clear(b);
        RT_TRY(data_rows_add_token(b, v->t, v->d.ids[i]));
        if (v->d.prompt_mask[i]) RT_TRY(rt_buf_str(b, " p"));
        for (size_t at = b->len; at < 20; at++) RT_TRY(rt_buf_str(b, " "));
        RT_TRY(add_target(b, v, i));
        printf("  %6lld %7d %s\n", (long long)i, (int)v->d.ids[i], b->p);
    }
    return RT_OK;
}

static rt_status data_rows_show(rt_buf *b, view *v, ds_shard *s, int64_t i)
{
    const ds_doc *d = &v->d;
    RT_TRY(ds_shard_doc(s, i, &v->d));
    if (v->codec) RT_TRY(RT_NEW(v->y, v->codec->r + 1));
    if (v->codec) RT_TRY(RT_NEW(v->z, v->codec->V));
    printf("\ndocument %lld: %lld tokens\n", (long long)i, (long long)d->n);
    cli_print_field("request", d->request);
    cli_print_field("recipe", d->recipe);
    cli_print_field("topic", d->topic);
    cli_print_field("finish", d->finish);
    cli_print_field("meta", d->meta);
    if (d->seed) printf("  %-12s %llu\n", "seed", (unsigned long long)d->seed);
    if (!isnan(d->cost)) printf("  %-12s %g\n", "cost", d->cost);
    return show_rows(b, v);
}

rt_status data_show_doc(ds_shard *s, int64_t i, const ds_tokenizer *t, const ds_codec *codec)
{
    rt_buf          b  = {0};
    view            v  = {.t = t, .info = ds_shard_info(s), .codec = codec};
    const rt_status st = data_rows_show(&b, &v, s, i);
    free(v.y), free(v.z);
    rt_buf_free(&b);
    return st;
}
