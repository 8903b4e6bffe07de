/* write.c -- writing a shard under a temporary name; it is renamed when it is complete.
 *
 * Token columns are written chunk by chunk.  The texts of documents are kept in memory until the end, when the longest of each
 * kind is known.
 */
#include "core/clock.h"
#include "core/file.h"
#include "core/json.h"
#include "data/shard/columns.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ds_writer {
    ds_h5     *file;
    char      *path, *tmp;
    ds_info    info;
    ds_h5_set *col[DS_COLS], *starts, *cost;
    rt_buf     text[DS_TEXTS]; /* all texts of a kind, each with its NUL */
    size_t     longest[DS_TEXTS];
    int64_t    docs, tokens;
    rt_buf     scratch; /* one column of one document */
    int        decoder; /* 1: the decoder was written */
};

/* ---- beginning ------------------------------------------------------------------------ */

static rt_status check_info(const ds_info *i, const char *path)
{
    RT_CHECK(i->vocab >= 1 && i->vocab <= INT32_MAX, RT_EINVAL, "%s: the vocabulary must have 1 to 2^31 - 1 entries, found %lld", path,
             (long long)i->vocab);
    RT_CHECK(ds_info_fits(i), RT_EINVAL,
             "%s: found k = %lld, m = %lld and encoded states of %lld bytes; a soft shard has at least one of them, k is at most the "
             "vocabulary, "
             "k and m are at most %d, encoded states have at most %d bytes, and a text shard has none",
             path, (long long)i->k, (long long)i->m, (long long)i->codec_bytes, (int)DS_MAX_K, (int)DS_MAX_SKETCH);
    return RT_OK;
}

static rt_status write_attributes(ds_h5 *f, const ds_info *i)
{
    RT_TRY(ds_h5_put_int(f, "format", DS_FORMAT));
    RT_TRY(ds_h5_put_text(f, "kind", i->soft ? "soft" : "text"));
    RT_TRY(ds_h5_put_text(f, "codec", "raw"));
    RT_TRY(ds_h5_put_int(f, "vocab_size", i->vocab));
    if (i->former) RT_TRY(ds_h5_put_int(f, "former_vocab_size", i->former));
    RT_TRY(ds_h5_put_int(f, "k", i->k));
    RT_TRY(ds_h5_put_int(f, "m", i->m));
    RT_TRY(ds_h5_put_int(f, "time", i->time ? i->time : rt_unix_time()));
    for (int a = 0; a < DS_ATTRIBUTES; a++) RT_TRY(ds_h5_put_text(f, ds_attributes[a].name, (const char *)i + ds_attributes[a].at));
    return RT_OK;
}

static rt_status writer_begin(ds_writer *w, const char *path)
{
    rt_buf name = {0};
    RT_TRY(rt_strdup(&w->path, path));
    const rt_status st = rt_file_temporary(&name, path);
    w->tmp             = rt_buf_detach(&name);
    if (st != RT_OK) return st;
    RT_TRY(ds_h5_create(&w->file, w->tmp));
    RT_TRY(write_attributes(w->file, &w->info));
    for (int c = 0; c < DS_COLS; c++) {
        const ds_h5_spec spec = ds_column_spec(&w->info, c);
        if (c != COL_ENTROPY && c != COL_WEIGHT && ds_column_used(&w->info, c)) RT_TRY(ds_h5_set_create(&w->col[c], w->file, &spec));
    }
    RT_TRY(ds_h5_set_create(&w->starts, w->file, &(ds_h5_spec){.name = DS_STARTS, .type = DS_I64, .chunk = DS_CHUNK, .gzip = DS_GZIP}));
    return ds_h5_set_create(&w->cost, w->file, &(ds_h5_spec){.name = DS_COST, .type = DS_F64, .chunk = DS_CHUNK, .gzip = DS_GZIP});
}

rt_status ds_writer_create(ds_writer **out, const char *path, const ds_info *info)
{
    ds_writer *w;
    RT_TRY(check_info(info, path));
    RT_TRY(rt_output_new(path));
    RT_TRY(RT_NEW(w, 1));
    w->info            = *info;
    const rt_status st = writer_begin(w, path);
    if (st != RT_OK) {
        ds_writer_abandon(&w);
        return st;
    }
    *out = w;
    return RT_OK;
}

/* ---- one document ---------------------------------------------------------------------- */

static rt_status bad_id(const ds_writer *w, const char *what, int64_t row, int32_t id)
{
    RT_FAIL(RT_EINVAL, "%s: document %lld, row %lld: %s has id %d, but the vocabulary has %lld entries", w->path, (long long)w->docs,
            (long long)row, what, (int)id, (long long)w->info.vocab);
}

static rt_status writer_check_ids(const ds_writer *w, const char *what, const int32_t *v, int64_t width, const uint8_t *valid, int64_t n)
{
    for (int64_t i = 0; i < n * width; i++)
        if ((!valid || valid[i / width]) && !ds_id_fits(&w->info, v, i, width, valid != NULL)) return bad_id(w, what, i / width, v[i]);
    return RT_OK;
}

static rt_status check_row(const ds_writer *w, const ds_doc *d, int64_t i)
{
    const int64_t k = w->info.k;
    RT_CHECK(!d->target_id || d->target_id[i] == d->ids[i + 1], RT_EMISMATCH,
             "%s: document %lld, row %lld has the target id %d, but the next token has id %d", w->path, (long long)w->docs, (long long)i,
             (int)d->target_id[i], (int)d->ids[i + 1]);
    for (int64_t j = i * k; j < (i + 1) * k; j++)
        RT_CHECK(d->rows.topk_logprob[j] <= 1e-3f, RT_EINVAL, "%s: document %lld, row %lld is valid but has the log-probability %g",
                 w->path, (long long)w->docs, (long long)i, (double)d->rows.topk_logprob[j]);
    RT_CHECK(d->rows.tail_mass[i] >= 0.0f && d->rows.tail_mass[i] <= 1.0f, RT_EINVAL,
             "%s: document %lld, row %lld is valid but has the tail mass %g", w->path, (long long)w->docs, (long long)i,
             (double)d->rows.tail_mass[i]);
    RT_CHECK(!d->weight || (isfinite(d->weight[i]) && d->weight[i] >= 0), RT_EINVAL,
             "%s: document %lld, row %lld has the weight %g, expected a non-negative number", w->path, (long long)w->docs, (long long)i,
             (double)d->weight[i]);
    return RT_OK;
}

static rt_status writer_check_doc(const ds_writer *w, const ds_doc *d)
{
    const ds_rows *r = &d->rows;
    RT_CHECK(d->n >= 1 && d->n <= DS_MAX_DOC, RT_EINVAL, "%s: document %lld has %lld tokens, expected 1 to %d", w->path, (long long)w->docs,
             (long long)d->n, (int)DS_MAX_DOC);
    RT_TRY(writer_check_ids(w, "a token", d->ids, 1, NULL, d->n));
    if (!w->info.soft) return RT_OK;
    RT_CHECK(r->valid && ((r->topk_ids && r->topk_logprob) || !w->info.k) && r->actual_logprob && r->tail_mass &&
                 (r->tail_ids || !w->info.m) && (r->encoded || !w->info.codec_bytes),
             RT_EINVAL, "%s: document %lld has no targets, but the shard is of kind soft", w->path, (long long)w->docs);
    RT_CHECK(r->n == d->n && r->k == w->info.k && r->m == w->info.m && r->bytes == w->info.codec_bytes, RT_EINVAL,
             "%s: document %lld has %lld rows of k = %lld, m = %lld and %lld codec bytes, expected %lld of k = %lld, m = %lld and %lld",
             w->path, (long long)w->docs, (long long)r->n, (long long)r->k, (long long)r->m, (long long)r->bytes, (long long)d->n,
             (long long)w->info.k, (long long)w->info.m, (long long)w->info.codec_bytes);
    RT_CHECK(!d->rows.valid[d->n - 1], RT_EINVAL, "%s: document %lld: the last row must not be valid, because no token follows", w->path,
             (long long)w->docs);
    RT_TRY(writer_check_ids(w, "a top-k entry", d->rows.topk_ids, w->info.k, d->rows.valid, d->n));
    RT_TRY(writer_check_ids(w, "a tail entry", d->rows.tail_ids, w->info.m, d->rows.valid, d->n));
    for (int64_t i = 0; i < d->n; i++)
        if (d->rows.valid[i]) RT_TRY(check_row(w, d, i));
    return RT_OK;
}

static rt_status writer_room(ds_writer *w, size_t bytes)
{
    static const char zeros[256];
    rt_buf_clear(&w->scratch);
    while (w->scratch.len < bytes) {
        const size_t left = bytes - w->scratch.len;
        RT_TRY(rt_buf_add(&w->scratch, zeros, left < sizeof zeros ? left : sizeof zeros));
    }
    return RT_OK;
}

static rt_status writer_append(ds_writer *w, int c, int64_t n) { return ds_h5_set_append(w->col[c], w->scratch.p, n); }

/* Servers and float sums give values slightly above 0 for certain tokens; those are set to 0. */
static void limit_logprobs(float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] > 0) v[i] = 0;
}

/* The value that a row without a target has in column c. */
static const void *missing(int c)
{
    static const float   nan = NAN, one = 1;
    static const int32_t zero = 0;
    return c == COL_WEIGHT ? (const void *)&one : ds_columns[c].type == DS_F32 ? (const void *)&nan : (const void *)&zero;
}

/* Creates the column of entropies or weights with the first document that has them. */
static rt_status begin_late(ds_writer *w, int c)
{
    const ds_h5_spec spec = ds_column_spec(&w->info, c);
    RT_TRY(ds_h5_set_create(&w->col[c], w->file, &spec));
    for (int64_t i = 0; i < w->tokens; i++) RT_TRY(ds_h5_set_append(w->col[c], missing(c), 1));
    return RT_OK;
}

/* Appends a column of a target. */
static rt_status put_column(ds_writer *w, int c, const ds_doc *d)
{
    const size_t   cell = ds_column_size(c), row = cell * (size_t)ds_column_width(&w->info, c);
    const char    *v     = ds_column_get(d, c);
    const uint8_t *valid = d->rows.valid;
    if (!w->col[c] && v && (c == COL_ENTROPY || c == COL_WEIGHT)) RT_TRY(begin_late(w, c));
    if (!w->col[c]) return RT_OK;
    RT_TRY(writer_room(w, row * (size_t)d->n));
    for (int64_t i = 0; i < d->n; i++) {
        char *to = w->scratch.p + (size_t)i * row;
        if (valid[i] && v) memcpy(to, v + (size_t)i * row, row);
        else
            for (size_t j = 0; j < row; j += cell) memcpy(to + j, missing(c), cell);
    }
    if (c == COL_TOPK_LOGPROB || c == COL_ACTUAL) limit_logprobs((float *)(void *)w->scratch.p, w->scratch.len / sizeof(float));
    return writer_append(w, c, d->n);
}

static rt_status put_target_id(ds_writer *w, const ds_doc *d)
{
    RT_TRY(writer_room(w, 4 * (size_t)d->n));
    const int32_t none = -1;
    memcpy(w->scratch.p, d->ids + 1, 4 * (size_t)(d->n - 1));
    memcpy(w->scratch.p + 4 * (d->n - 1), &none, 4);
    return writer_append(w, COL_TARGET, d->n);
}

static rt_status put_targets(ds_writer *w, const ds_doc *d)
{
    RT_TRY(put_target_id(w, d));
    RT_TRY(writer_room(w, (size_t)d->n));
    for (int64_t i = 0; i < d->n; i++) w->scratch.p[i] = d->rows.valid[i] != 0;
    RT_TRY(writer_append(w, COL_VALID, d->n));
    for (int c = COL_VALID + 1; c < DS_COLS; c++) RT_TRY(put_column(w, c, d));
    return RT_OK;
}

static rt_status keep_texts(ds_writer *w, const ds_doc *d)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)d->seed);
    const char *const v[DS_TEXTS] = {d->request, d->recipe, d->topic, d->finish, seed, d->meta};
    for (int t = 0; t < DS_TEXTS; t++) {
        rt_buf_clear(&w->scratch);
        RT_TRY(rt_utf8_mend(&w->scratch, v[t] ? v[t] : ""));
        const char  *s = w->scratch.p;
        const size_t n = w->scratch.len;
        RT_CHECK(n < DS_H5_MAX_TEXT, RT_EINVAL, "%s: document %lld: %s has %zu bytes, but at most %d are allowed", w->path,
                 (long long)w->docs, ds_text_names[t], n, (int)DS_H5_MAX_TEXT - 1);
        RT_TRY(rt_buf_add(&w->text[t], s, n + 1));
        if (n > w->longest[t]) w->longest[t] = n;
    }
    return RT_OK;
}

rt_status ds_writer_add(ds_writer *w, const ds_doc *d)
{
    RT_TRY(writer_check_doc(w, d));
    RT_TRY(keep_texts(w, d));
    RT_TRY(ds_h5_set_append(w->col[COL_IDS], d->ids, d->n));
    RT_TRY(writer_room(w, (size_t)d->n));
    for (int64_t i = 0; d->prompt_mask && i < d->n; i++) w->scratch.p[i] = d->prompt_mask[i] != 0;
    RT_TRY(writer_append(w, COL_PROMPT, d->n));
    if (w->info.soft) RT_TRY(put_targets(w, d));
    RT_TRY(ds_h5_set_append(w->starts, &w->tokens, 1));
    RT_TRY(ds_h5_set_append(w->cost, &d->cost, 1));
    w->tokens += d->n;
    w->docs++;
    return RT_OK;
}

rt_status ds_writer_codec(ds_writer *w, const ds_codec *s)
{
    RT_CHECK(!w->decoder && s->bytes == w->info.codec_bytes && s->V == w->info.vocab, RT_EINVAL,
             "%s: found a decoder of %lld bytes and %lld entries%s; this shard needs one decoder of %lld bytes and %lld entries", w->path,
             (long long)s->bytes, (long long)s->V, w->decoder ? ", which is the second" : "", (long long)w->info.codec_bytes,
             (long long)w->info.vocab);
    RT_TRY(ds_codec_check(s, RT_EINVAL, w->path));
    RT_TRY(ds_h5_put(w->file, DS_SKETCH_BITS, DS_U8, s->bits, s->r));
    RT_TRY(ds_h5_put(w->file, DS_SKETCH_SCALE, DS_F32, s->scale, s->r));
    RT_TRY(ds_h5_put(w->file, DS_SKETCH_HEAD, DS_U8, s->head, s->V * (s->r + 1) * 2));
    if (s->map) RT_TRY(ds_h5_put(w->file, DS_SKETCH_MAP, DS_F32, s->map, s->r * (s->C + 1)));
    if (!isnan(s->loss)) RT_TRY(ds_h5_put(w->file, DS_SKETCH_LOSS, DS_F64, &s->loss, 1));
    w->decoder = 1;
    return RT_OK;
}

/* ---- the end ----------------------------------------------------------------------------- */

static rt_status write_texts(ds_writer *w, int t)
{
    char        row[DS_H5_MAX_TEXT];
    ds_h5_set  *s;
    rt_status   st   = RT_OK;
    const char *from = w->text[t].p;
    size_t      size = w->longest[t] + 1;
    RT_TRY(
        ds_h5_set_create(&s, w->file, &(ds_h5_spec){.name = ds_text_names[t], .text = (int64_t)size, .chunk = DS_CHUNK, .gzip = DS_GZIP}));
    for (int64_t i = 0; i < w->docs && st == RT_OK; i++) {
        const size_t n = strlen(from);
        memset(row, 0, size);
        memcpy(row, from, n);
        from += n + 1;
        st = ds_h5_set_append(s, row, 1);
    }
    if (st == RT_OK) return ds_h5_set_finish(&s);
    ds_h5_set_close(&s);
    return st;
}

static rt_status writer_finish(ds_writer *w)
{
    RT_CHECK(w->decoder || !w->info.codec_bytes, RT_EINVAL, "%s has encoded hidden states but no decoder for them", w->path);
    RT_TRY(ds_h5_set_append(w->starts, &w->tokens, 1));
    RT_TRY(ds_h5_set_finish(&w->starts));
    RT_TRY(ds_h5_set_finish(&w->cost));
    for (int c = 0; c < DS_COLS; c++)
        if (w->col[c]) RT_TRY(ds_h5_set_finish(&w->col[c]));
    for (int t = 0; t < DS_TEXTS; t++)
        if (t != TEXT_META || w->longest[t]) RT_TRY(write_texts(w, t));
    RT_TRY(ds_h5_close(&w->file));
    RT_CHECK(!rt_file_exists(w->path), RT_EINVAL, "%s was created by another process in the meantime; remove it or choose another name",
             w->path);
    return rt_file_rename(w->tmp, w->path);
}

rt_status ds_writer_finish(ds_writer **w)
{
    const rt_status st = writer_finish(*w);
    ds_writer_abandon(w); /* after the rename no file has the temporary name */
    return st;
}

void ds_writer_abandon(ds_writer **writer)
{
    ds_writer *w = *writer;
    if (!w) return;
    ds_h5_abandon(&w->file); /* before its sets, so that they write nothing */
    for (int c = 0; c < DS_COLS; c++) ds_h5_set_close(&w->col[c]);
    ds_h5_set_close(&w->starts);
    ds_h5_set_close(&w->cost);
    if (w->tmp) unlink(w->tmp);
    for (int t = 0; t < DS_TEXTS; t++) rt_buf_free(&w->text[t]);
    rt_buf_free(&w->scratch);
    free(w->path);
    free(w->tmp);
    free(w);
    *writer = NULL;
}
