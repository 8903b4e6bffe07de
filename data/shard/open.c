/* open.c -- opening shards and checking all claims of the file about itself. */
#include "core/file.h"
#include "data/shard/file.h"
#include <stdlib.h>
#include <string.h>

enum { SMALL_CACHE = 1 << 20 };

/* ---- opening -------------------------------------------------------------------------- */

static rt_status shard_read_text(ds_shard *s, const char *name, char *to, size_t size)
{
    rt_buf    b  = {0};
    rt_status st = ds_h5_get_text(s->file, name, &b);
    if (st == RT_OK && b.len >= size)
        st = rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the attribute '%s' has %zu bytes, but at most %zu are allowed",
                     ds_h5_path(s->file), name, b.len, size - 1);
    if (st == RT_OK) memcpy(to, b.p, b.len + 1);
    rt_buf_free(&b);
    return st;
}

static rt_status read_kind(ds_shard *s)
{
    char        word[16];
    const char *path   = ds_h5_path(s->file);
    int64_t     format = 0;
    RT_TRY(ds_h5_get_int(s->file, "format", &format));
    RT_CHECK(format == DS_FORMAT, RT_EFORMAT, "%s is a shard of format %lld, but this program reads format %d", path, (long long)format,
             DS_FORMAT);
    RT_TRY(shard_read_text(s, "codec", word, sizeof word));
    RT_CHECK(!strcmp(word, "raw"), RT_EFORMAT, "%s is a shard with codec '%s', but this program reads only 'raw'", path, word);
    RT_TRY(shard_read_text(s, "kind", word, sizeof word));
    s->info.soft = !strcmp(word, "soft");
    RT_CHECK(s->info.soft || !strcmp(word, "text"), RT_EFORMAT, "%s is a shard of kind '%s', expected 'text' or 'soft'", path, word);
    return RT_OK;
}

rt_status ds_shard_count(int64_t *n, ds_shard *s, const char *name, ds_h5_type type)
{
    ds_h5_set *set;
    RT_TRY(ds_h5_set_open(&set, s->file, &(ds_h5_spec){.name = name, .type = type}, SMALL_CACHE));
    *n = ds_h5_set_rows(set);
    ds_h5_set_close(&set);
    return RT_OK;
}

/* Reads the number of codec bytes per row and of coordinates. */
static rt_status read_widths(ds_shard *s)
{
    RT_TRY(ds_h5_width(s->file, ds_columns[COL_SKETCH].name, &s->info.codec_bytes));
    RT_TRY(ds_shard_count(&s->info.rank, s, DS_SKETCH_BITS, DS_U8));
    RT_CHECK(s->info.rank >= 1 && s->info.rank <= 8 * s->info.codec_bytes, RT_EFORMAT,
             "%s: " DS_SKETCH_BITS " has %lld entries for rows of %lld bytes", ds_h5_path(s->file), (long long)s->info.rank,
             (long long)s->info.codec_bytes);
    return RT_OK;
}

static rt_status read_attributes(ds_shard *s)
{
    ds_info    *i    = &s->info;
    const char *path = ds_h5_path(s->file);
    RT_TRY(read_kind(s));
    RT_TRY(ds_h5_get_int(s->file, "vocab_size", &i->vocab));
    if (ds_h5_has_attribute(s->file, "former_vocab_size")) RT_TRY(ds_h5_get_int(s->file, "former_vocab_size", &i->former));
    RT_TRY(ds_h5_get_int(s->file, "k", &i->k));
    RT_TRY(ds_h5_get_int(s->file, "m", &i->m));
    RT_TRY(ds_h5_get_int(s->file, "time", &i->time));
    for (int a = 0; a < DS_ATTRIBUTES; a++) {
        const ds_attribute *x = &ds_attributes[a];
        if (x->later && !ds_h5_has_attribute(s->file, x->name)) continue;
        RT_TRY(shard_read_text(s, x->name, (char *)i + x->at, x->size));
    }
    RT_CHECK(i->vocab >= 1 && i->vocab <= INT32_MAX, RT_EFORMAT,
             "%s: the attribute 'vocab_size' is %lld, expected a positive 32-bit integer", path, (long long)i->vocab);
    RT_CHECK(!i->former || (i->former >= i->vocab && i->former <= INT32_MAX), RT_EFORMAT,
             "%s: the attribute 'former_vocab_size' is %lld, expected at least vocab_size, %lld", path, (long long)i->former,
             (long long)i->vocab);
    if (ds_h5_has(s->file, ds_columns[COL_SKETCH].name)) RT_TRY(read_widths(s));
    RT_CHECK(
        ds_info_fits(i), RT_EFORMAT,
        "%s: found k = %lld, m = %lld and encoded states of %lld bytes; a soft shard has at least one of them, k and m are at most %d, k "
        "at "
        "most the vocabulary of %lld, encoded states have at most %d bytes, and a text shard has none",
        path, (long long)i->k, (long long)i->m, (long long)i->codec_bytes, (int)DS_MAX_K, (long long)i->vocab, (int)DS_MAX_SKETCH);
    return RT_OK;
}

static rt_status open_columns(ds_shard *s, size_t cache)
{
    for (int c = 0; c < DS_COLS; c++) {
        const ds_h5_spec spec     = ds_column_spec(&s->info, c);
        const int        optional = c == COL_ENTROPY || c == COL_WEIGHT;
        if (!ds_column_used(&s->info, c) || (optional && !ds_h5_has(s->file, spec.name))) continue;
        RT_TRY(ds_h5_set_open(&s->col[c], s->file, &spec, cache));
        const int64_t n = ds_h5_set_rows(s->col[c]);
        if (c == COL_IDS) s->tokens = n;
        RT_CHECK(n == s->tokens, RT_EFORMAT, "%s: %s has %lld rows, but /ids has %lld", ds_h5_path(s->file), spec.name, (long long)n,
                 (long long)s->tokens);
    }
    return RT_OK;
}

/* Checks starts first .. first+n-1 against their predecessors.  Order and range are compared before any subtraction, because the
 * difference of untrusted numbers could overflow. */
static rt_status check_starts(const ds_shard *s, int64_t first, int64_t n)
{
    const char    *path = ds_h5_path(s->file);
    const int64_t *v    = s->starts;
    for (int64_t i = first; i < first + n; i++)
        RT_CHECK(
            i == 0 ? v[0] == 0 : v[i] > v[i - 1] && v[i] <= s->tokens && v[i] - v[i - 1] <= DS_MAX_DOC, RT_EFORMAT,
            "%s: " DS_STARTS
            ": document %lld begins with token %lld, the one before it with token %lld; the first must begin with 0, each must have 1 to "
            "%d "
            "tokens, and there are %lld tokens in all",
            path, (long long)i, (long long)v[i], (long long)(i ? v[i - 1] : 0), (int)DS_MAX_DOC, (long long)s->tokens);
    return RT_OK;
}

/* Reads in parts and grows the array, so that impossible values are found before much memory is allocated. */
static rt_status fill_starts(ds_shard *s, ds_h5_set *set)
{
    const int64_t n   = ds_h5_set_rows(set);
    int64_t       cap = 0;
    RT_CHECK(n >= 1 && n <= s->tokens + 1, RT_EFORMAT, "%s: " DS_STARTS " has %lld entries for %lld tokens", ds_h5_path(s->file),
             (long long)n, (long long)s->tokens);
    for (int64_t at = 0, part; at < n; at += part) {
        part = n - at < DS_CHUNK ? n - at : DS_CHUNK;
        while (cap < at + part) RT_TRY(rt_grow((void **)&s->starts, cap, &cap, sizeof *s->starts));
        RT_TRY(ds_h5_set_read(set, at, part, s->starts + at));
        RT_TRY(check_starts(s, at, part));
    }
    s->docs = n - 1;
    RT_CHECK(s->starts[n - 1] == s->tokens, RT_EFORMAT, "%s: " DS_STARTS " ends with %lld, expected %lld, the number of tokens",
             ds_h5_path(s->file), (long long)s->starts[n - 1], (long long)s->tokens);
    return RT_OK;
}

static rt_status read_starts(ds_shard *s)
{
    ds_h5_set *set;
    RT_TRY(ds_h5_set_open(&set, s->file, &(ds_h5_spec){.name = DS_STARTS, .type = DS_I64}, SMALL_CACHE));
    const rt_status st = fill_starts(s, set);
    ds_h5_set_close(&set);
    return st;
}

static rt_status check_docs(const ds_shard *s, const ds_h5_set *set, const char *name)
{
    RT_CHECK(ds_h5_set_rows(set) == s->docs, RT_EFORMAT, "%s: %s has %lld rows for %lld documents", ds_h5_path(s->file), name,
             (long long)ds_h5_set_rows(set), (long long)s->docs);
    return RT_OK;
}

static rt_status open_docs(ds_shard *s)
{
    for (int t = 0; t < DS_TEXTS; t++) {
        if (t == TEXT_META && !ds_h5_has(s->file, ds_text_names[t])) continue;
        RT_TRY(ds_h5_set_open(&s->text[t], s->file, &(ds_h5_spec){.name = ds_text_names[t], .text = 1}, SMALL_CACHE));
        RT_TRY(check_docs(s, s->text[t], ds_text_names[t]));
    }
    RT_TRY(ds_h5_set_open(&s->cost, s->file, &(ds_h5_spec){.name = DS_COST, .type = DS_F64}, SMALL_CACHE));
    return check_docs(s, s->cost, DS_COST);
}

static rt_status shard_open_all(ds_shard *s, const char *path, size_t cache)
{
    RT_TRY(ds_h5_open(&s->file, path));
    RT_TRY(read_attributes(s));
    RT_TRY(open_columns(s, cache));
    RT_TRY(read_starts(s));
    return open_docs(s);
}

rt_status ds_shard_open_cached(ds_shard **out, const char *path, size_t cache)
{
    ds_shard *s;
    RT_CHECK(rt_file_exists(path), RT_ENOENT, "%s: no such shard", path);
    RT_TRY(RT_NEW(s, 1));
    const rt_status st = shard_open_all(s, path, cache);
    if (st != RT_OK) {
        ds_shard_close(&s);
        return st;
    }
    *out = s;
    return RT_OK;
}

rt_status ds_shard_open(ds_shard **out, const char *path) { return ds_shard_open_cached(out, path, DS_CACHE); }

void ds_shard_close(ds_shard **shard)
{
    ds_shard *s = *shard;
    if (!s) return;
    for (int c = 0; c < DS_COLS; c++) ds_h5_set_close(&s->col[c]), free(s->rows[c]);
    for (int t = 0; t < DS_TEXTS; t++) ds_h5_set_close(&s->text[t]);
    ds_h5_set_close(&s->cost);
    ds_h5_abandon(&s->file); /* the file is read-only, so no data can be lost */
    ds_codec_destroy(&s->codec);
    free(s->starts), free(s->marks);
    free(s);
    *shard = NULL;
}

const ds_info *ds_shard_info(const ds_shard *s) { return &s->info; }
const char    *ds_shard_path(const ds_shard *s) { return ds_h5_path(s->file); }
int64_t        ds_shard_docs(const ds_shard *s) { return s->docs; }
int64_t        ds_shard_tokens(const ds_shard *s) { return s->tokens; }
const int64_t *ds_shard_starts(const ds_shard *s) { return s->starts; }
int            ds_shard_has(const ds_shard *s, int c) { return s->col[c] != NULL; }
int            ds_shard_has_meta(const ds_shard *s) { return s->text[TEXT_META] != NULL; }
int            ds_shard_has_entropy(const ds_shard *s) { return s->col[COL_ENTROPY] != NULL; }
int            ds_shard_has_weight(const ds_shard *s) { return s->col[COL_WEIGHT] != NULL; }

static rt_status deny(ds_shard *s, const char *name, const char *why)
{
    RT_CHECK(!ds_h5_has(s->file, name), RT_EFORMAT, "%s holds %s, but %s", ds_h5_path(s->file), name, why);
    return RT_OK;
}

static const char *const decoder[] = {DS_SKETCH_BITS, DS_SKETCH_SCALE, DS_SKETCH_HEAD, DS_SKETCH_MAP, DS_SKETCH_LOSS};

/* Returns 1 if `name` is one that a shard may hold. */
static int is_known(const char *name)
{
    for (int c = 0; c < DS_COLS; c++)
        if (!strcmp(name, ds_columns[c].name)) return 1;
    for (int t = 0; t < DS_TEXTS; t++)
        if (!strcmp(name, ds_text_names[t])) return 1;
    for (size_t i = 0; i < sizeof decoder / sizeof *decoder; i++)
        if (!strcmp(name, decoder[i])) return 1;
    return !strcmp(name, DS_STARTS) || !strcmp(name, DS_COST) || !strcmp(name, "/doc");
}

rt_status ds_shard_names(ds_shard *s)
{
    RT_TRY(ds_h5_check_names(s->file, is_known));
    for (int c = 0; c < DS_COLS; c++)
        if (!s->col[c]) RT_TRY(deny(s, ds_columns[c].name, s->info.soft ? "k or m is 0" : "it is a text shard"));
    for (size_t i = 0; !s->info.codec_bytes && i < sizeof decoder / sizeof *decoder; i++)
        RT_TRY(deny(s, decoder[i], "it has no encoded states"));
    return RT_OK;
}
