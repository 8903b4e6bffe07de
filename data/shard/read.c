/* read.c -- reading shards: rows with checked ids, texts, and the codec. */
#include "data/shard/file.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the codec --------------------------------------------------------------------------------- */

static rt_status read_map(ds_shard *s, ds_codec *x)
{
    int64_t n = 0;
    RT_TRY(ds_shard_count(&n, s, DS_SKETCH_MAP, DS_F32));
    RT_CHECK(n > x->r && n % x->r == 0 && n / x->r <= DS_MAX_WIDTH, RT_EFORMAT,
             "%s: " DS_SKETCH_MAP " has %lld numbers for %lld coordinates, expected 2 to %d per coordinate", ds_h5_path(s->file),
             (long long)n, (long long)x->r, (int)DS_MAX_WIDTH);
    RT_TRY(ds_codec_add_map(x, n / x->r - 1));
    return ds_h5_get(s->file, DS_SKETCH_MAP, DS_F32, x->map, n);
}

static rt_status read_tables(ds_shard *s, ds_codec *x)
{
    RT_TRY(ds_h5_get(s->file, DS_SKETCH_BITS, DS_U8, x->bits, x->r));
    RT_TRY(ds_h5_get(s->file, DS_SKETCH_SCALE, DS_F32, x->scale, x->r));
    RT_TRY(ds_h5_get(s->file, DS_SKETCH_HEAD, DS_U8, x->head, x->V * (x->r + 1) * 2));
    if (ds_h5_has(s->file, DS_SKETCH_MAP)) RT_TRY(read_map(s, x));
    if (ds_h5_has(s->file, DS_SKETCH_LOSS)) RT_TRY(ds_h5_get(s->file, DS_SKETCH_LOSS, DS_F64, &x->loss, 1));
    return ds_codec_check(x, RT_EFORMAT, ds_h5_path(s->file));
}

rt_status ds_shard_codec_read(ds_shard *s, ds_codec **out)
{
    ds_codec *x;
    int64_t   head = 0, want = s->info.vocab * (s->info.rank + 1) * 2;
    RT_TRY(ds_shard_count(&head, s, DS_SKETCH_HEAD, DS_U8)); /* checked before memory of that size is allocated */
    RT_CHECK(head == want, RT_EFORMAT, "%s: " DS_SKETCH_HEAD " holds %lld entries, expected %lld", ds_h5_path(s->file), (long long)head,
             (long long)want);
    RT_TRY(ds_codec_create(&x, s->info.rank, s->info.vocab, s->info.codec_bytes));
    const rt_status st = read_tables(s, x);
    if (st != RT_OK) ds_codec_destroy(&x);
    else *out = x;
    return st;
}

rt_status ds_shard_codec(ds_shard *s, const ds_codec **out)
{
    if (s->info.codec_bytes && !s->codec) RT_TRY(ds_shard_codec_read(s, &s->codec));
    *out = s->codec;
    return RT_OK;
}

/* ---- documents ---------------------------------------------------------------------------- */

static rt_status shard_room(ds_shard *s, int c, int64_t n)
{
    const int64_t row = ds_h5_set_bytes(s->col[c]);
    if (n <= s->cap[c]) return RT_OK;
    const int64_t cap = n > 2 * s->cap[c] ? n : 2 * s->cap[c], left = rt_memory_available();
    RT_CHECK(n <= left / row, RT_ENOMEM, "%s: %lld rows of %s need %.1f MB, but %.1f MB are available", ds_h5_path(s->file), (long long)n,
             ds_columns[c].name, (double)n * (double)row / 1e6, (double)left / 1e6);
    free(s->rows[c]);
    s->rows[c] = NULL;
    s->cap[c]  = 0;
    RT_TRY(rt_alloc(&s->rows[c], cap, (size_t)row, ds_columns[c].name));
    s->cap[c] = cap;
    return RT_OK;
}

static rt_status read_column(ds_shard *s, int c, int64_t first, int64_t n)
{
    RT_TRY(shard_room(s, c, n));
    return ds_h5_set_read(s->col[c], first, n, s->rows[c]);
}

static rt_status shard_check_ids(const ds_shard *s, int c, int64_t doc, int64_t first, int64_t n)
{
    const int32_t *v     = s->rows[c];
    const uint8_t *valid = c == COL_IDS ? NULL : s->rows[COL_VALID];
    const int64_t  width = ds_column_width(&s->info, c);
    for (int64_t i = 0; i < n * width; i++)
        RT_CHECK(ds_id_fits(&s->info, v, i, width, c == COL_TOPK_IDS || c == COL_TAIL) || (valid && !valid[i / width]), RT_EFORMAT,
                 "%s: document %lld, row %lld: %s holds id %d, but the vocabulary has %lld entries", ds_h5_path(s->file), (long long)doc,
                 (long long)(first + i / width), ds_columns[c].name, (int)v[i], (long long)s->info.vocab);
    return RT_OK;
}

/* Columns whose check needs the other columns of the target. */
#define TARGETS (1u << COL_TOPK_IDS | 1u << COL_TOPK_LOGPROB | 1u << COL_ACTUAL | 1u << COL_TAIL | 1u << COL_ENTROPY)

rt_status ds_shard_rows(ds_shard *s, int64_t doc, int64_t first, int64_t n, unsigned want, ds_doc *d)
{
    RT_CHECK(doc >= 0 && doc < s->docs, RT_EINVAL, "%s: document %lld of %lld", ds_h5_path(s->file), (long long)doc, (long long)s->docs);
    const int64_t at = s->starts[doc], len = s->starts[doc + 1] - at;
    RT_CHECK(first >= 0 && n >= 1 && first <= len - n, RT_EINVAL, "%s: cannot read rows %lld to %lld of document %lld, which has %lld",
             ds_h5_path(s->file), (long long)first, (long long)(first + n), (long long)doc, (long long)len);
    const int64_t more = n + (first + n < len);
    if (want & TARGETS) want |= 1u << COL_VALID | 1u << COL_REST | 1u << COL_TARGET | 1u << COL_IDS;
    if (want & (1u << COL_TAIL | 1u << COL_TOPK_LOGPROB | 1u << COL_ACTUAL)) want |= 1u << COL_TOPK_IDS | 1u << COL_TOPK_LOGPROB;
    for (int c = 0; c < DS_COLS; c++)
        if (s->col[c] && (want & 1u << c)) RT_TRY(read_column(s, c, at + first, c <= COL_PROMPT ? more : n));
    if (want & 1u << COL_IDS) RT_TRY(shard_check_ids(s, COL_IDS, doc, first, more));
    for (int c = COL_TOPK_IDS; c <= COL_TAIL; c += COL_TAIL - COL_TOPK_IDS)
        if (s->col[c] && (want & 1u << c)) RT_TRY(shard_check_ids(s, c, doc, first, n));
    *d = (ds_doc){.n = n, .rows = {.n = n, .k = s->info.k, .m = s->info.m, .bytes = s->info.codec_bytes}, .cost = NAN};
    for (int c = 0; c < DS_COLS; c++) ds_column_set(d, c, s->col[c] && (want & 1u << c) ? s->rows[c] : NULL);
    return ds_shard_check_rows(s, doc, first, d);
}

rt_status ds_shard_column(ds_shard *s, ds_col c, int64_t first, int64_t n, void *out) { return ds_h5_set_read(s->col[c], first, n, out); }

/* Parses a u64 in decimal without leading zeros; returns 0 if the text is anything else. */
static int shard_read_seed(const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    return isdigit((unsigned char)*text) && (*text != '0' || !text[1]) && !*end && !errno;
}

rt_status ds_shard_texts(ds_shard *s, int64_t i, ds_doc *d)
{
    uint64_t seed;
    double   cost;
    for (int t = 0; t < DS_TEXTS; t++) {
        if (!s->text[t]) continue;
        const size_t size = (size_t)ds_h5_set_bytes(s->text[t]);
        RT_TRY(ds_h5_set_read(s->text[t], i, 1, s->words[t]));
        RT_CHECK(memchr(s->words[t], '\0', size), RT_EFORMAT, "%s: document %lld: %s does not end with NUL", ds_h5_path(s->file),
                 (long long)i, ds_text_names[t]);
    }
    RT_TRY(ds_h5_set_read(s->cost, i, 1, &cost));
    RT_CHECK(shard_read_seed(s->words[TEXT_SEED], &seed), RT_EFORMAT,
             "%s: document %lld: the seed is '%.30s', expected an unsigned 64-bit integer in decimal without leading zeros",
             ds_h5_path(s->file), (long long)i, s->words[TEXT_SEED]);
    d->request = s->words[TEXT_REQUEST];
    d->recipe  = s->words[TEXT_RECIPE];
    d->topic   = s->words[TEXT_TOPIC];
    d->finish  = s->words[TEXT_FINISH];
    d->meta    = s->words[TEXT_META]; /* empty if the shard has none */
    d->seed    = seed;
    d->cost    = cost;
    return RT_OK;
}

rt_status ds_shard_doc(ds_shard *s, int64_t i, ds_doc *d)
{
    ds_doc x;
    RT_CHECK(i >= 0 && i < s->docs, RT_EINVAL, "%s: document %lld of %lld", ds_h5_path(s->file), (long long)i, (long long)s->docs);
    RT_TRY(ds_shard_rows(s, i, 0, s->starts[i + 1] - s->starts[i], (1u << DS_COLS) - 1, &x));
    RT_TRY(ds_shard_texts(s, i, &x));
    *d = x;
    return RT_OK;
}
