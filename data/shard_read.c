/* shard_read.c -- reading shards: everything that the file claims about itself is checked
 * when it is opened, ids when they are read.
 */
#include "core/file.h"
#include "data/shard.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_CACHE = 1 << 20 };

struct ds_shard {
    ds_h5     *file;
    ds_info    info;
    int64_t    docs, tokens, *starts;
    ds_h5_set *col[DS_COLS], *text[DS_TEXTS], *cost;
    ds_sketch *sketch; /* NULL until it is asked for */
    void      *rows[DS_COLS];
    int64_t    cap[DS_COLS]; /* rows that rows[c] has room for */
    char       words[DS_TEXTS][DS_H5_MAX_TEXT + 1];
};

/* ---- opening -------------------------------------------------------------------------- */

static rt_status read_text(ds_shard *s, const char *name, char *to, size_t size)
{
    rt_buf    b  = {0};
    rt_status st = ds_h5_get_text(s->file, name, &b);
    if (st == RT_OK && b.len >= size)
        st = rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the attribute '%s' has %zu bytes, at most %zu are possible", ds_h5_path(s->file),
                     name, b.len, size - 1);
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
    RT_CHECK(format == DS_FORMAT, RT_EFORMAT, "%s: a shard of format %lld; this program reads format %d", path, (long long)format,
             DS_FORMAT);
    RT_TRY(read_text(s, "codec", word, sizeof word));
    RT_CHECK(!strcmp(word, "raw"), RT_EFORMAT, "%s: a shard with codec '%s'; this program reads 'raw'", path, word);
    RT_TRY(read_text(s, "kind", word, sizeof word));
    s->info.soft = !strcmp(word, "soft");
    RT_CHECK(s->info.soft || !strcmp(word, "text"), RT_EFORMAT, "%s: a shard of kind '%s'; expected 'text' or 'soft'", path, word);
    return RT_OK;
}

static rt_status count(int64_t *n, ds_shard *s, const char *name, ds_h5_type type)
{
    ds_h5_set *set;
    RT_TRY(ds_h5_set_open(&set, s->file, &(ds_h5_spec){.name = name, .type = type}, SMALL_CACHE));
    *n = ds_h5_set_rows(set);
    ds_h5_set_close(&set);
    return RT_OK;
}

/* Of a sketch's row, in bytes, and of what it decodes to. */
static rt_status read_widths(ds_shard *s)
{
    RT_TRY(ds_h5_width(s->file, ds_columns[COL_SKETCH].name, &s->info.sketch));
    RT_TRY(count(&s->info.rank, s, DS_SKETCH_BITS, DS_U8));
    RT_CHECK(s->info.rank >= 1 && s->info.rank <= 8 * s->info.sketch, RT_EFORMAT,
             "%s: " DS_SKETCH_BITS " has %lld entries for rows of %lld bytes", ds_h5_path(s->file), (long long)s->info.rank,
             (long long)s->info.sketch);
    return RT_OK;
}

static rt_status read_attributes(ds_shard *s)
{
    ds_info    *i    = &s->info;
    const char *path = ds_h5_path(s->file);
    RT_TRY(read_kind(s));
    RT_TRY(ds_h5_get_int(s->file, "vocab_size", &i->vocab));
    RT_TRY(ds_h5_get_int(s->file, "k", &i->k));
    RT_TRY(ds_h5_get_int(s->file, "m", &i->m));
    RT_TRY(ds_h5_get_int(s->file, "time", &i->time));
    for (int a = 0; a < DS_ATTRIBUTES; a++)
        RT_TRY(read_text(s, ds_attributes[a].name, (char *)i + ds_attributes[a].at, ds_attributes[a].size));
    RT_CHECK(i->vocab >= 1 && i->vocab <= INT32_MAX, RT_EFORMAT, "%s: claims a vocabulary of %lld entries", path, (long long)i->vocab);
    if (ds_h5_has(s->file, ds_columns[COL_SKETCH].name)) RT_TRY(read_widths(s));
    RT_CHECK(ds_info_fits(i), RT_EFORMAT,
             "%s: claims k = %lld, m = %lld and sketches of %lld bytes; a soft shard has one of them, k and m at most %d, k at most the "
             "vocabulary of %lld, sketches at most %d bytes, a text shard none",
             path, (long long)i->k, (long long)i->m, (long long)i->sketch, (int)DS_MAX_K, (long long)i->vocab, (int)DS_MAX_SKETCH);
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

/* Starts first .. first+n-1, against what is before them.  No difference of hostile numbers: it could overflow. */
static rt_status check_starts(const ds_shard *s, int64_t first, int64_t n)
{
    const char    *path = ds_h5_path(s->file);
    const int64_t *v    = s->starts;
    for (int64_t i = first; i < first + n; i++)
        RT_CHECK(i == 0 ? v[0] == 0 : v[i] > v[i - 1] && v[i] <= s->tokens && v[i] - v[i - 1] <= DS_MAX_DOC, RT_EFORMAT,
                 "%s: " DS_STARTS
                 " says that document %lld begins with token %lld, after %lld; the first begins with 0, each has 1 to %d tokens, and "
                 "there are %lld in all",
                 path, (long long)i, (long long)v[i], (long long)(i ? v[i - 1] : 0), (int)DS_MAX_DOC, (long long)s->tokens);
    return RT_OK;
}

/* Piece by piece: what cannot be is found before it has taken memory. */
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

static rt_status open_all(ds_shard *s, const char *path, size_t cache)
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
    RT_NEW(s, 1);
    const rt_status st = open_all(s, path, cache);
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
    ds_h5_abandon(&s->file); /* nothing to write: closing cannot lose anything */
    ds_sketch_destroy(&s->sketch);
    free(s->starts);
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
    RT_CHECK(!ds_h5_has(s->file, name), RT_EFORMAT, "%s: holds %s, but %s", ds_h5_path(s->file), name, why);
    return RT_OK;
}

rt_status ds_shard_names(ds_shard *s)
{
    static const char *const decoder[] = {DS_SKETCH_BITS, DS_SKETCH_SCALE, DS_SKETCH_HEAD, DS_SKETCH_MAP, DS_SKETCH_LOSS};
    RT_TRY(ds_h5_check_names(s->file));
    for (int c = 0; c < DS_COLS; c++)
        if (!s->col[c]) RT_TRY(deny(s, ds_columns[c].name, s->info.soft ? "k or m is 0" : "it is a text shard"));
    for (size_t i = 0; !s->info.sketch && i < sizeof decoder / sizeof *decoder; i++) RT_TRY(deny(s, decoder[i], "it has no sketches"));
    return RT_OK;
}

/* ---- the decoder of sketches ------------------------------------------------------------- */

static rt_status read_map(ds_shard *s, ds_sketch *x)
{
    int64_t n = 0;
    RT_TRY(count(&n, s, DS_SKETCH_MAP, DS_F32));
    RT_CHECK(n > x->r && n % x->r == 0 && n / x->r <= DS_MAX_WIDTH, RT_EFORMAT,
             "%s: " DS_SKETCH_MAP " has %lld numbers for %lld coordinates; 2 to %d each are possible", ds_h5_path(s->file), (long long)n,
             (long long)x->r, (int)DS_MAX_WIDTH);
    RT_TRY(ds_sketch_add_map(x, n / x->r - 1));
    return ds_h5_get(s->file, DS_SKETCH_MAP, DS_F32, x->map, n);
}

static rt_status read_tables(ds_shard *s, ds_sketch *x)
{
    RT_TRY(ds_h5_get(s->file, DS_SKETCH_BITS, DS_U8, x->bits, x->r));
    RT_TRY(ds_h5_get(s->file, DS_SKETCH_SCALE, DS_F32, x->scale, x->r));
    RT_TRY(ds_h5_get(s->file, DS_SKETCH_HEAD, DS_U8, x->head, x->V * (x->r + 1) * 2));
    if (ds_h5_has(s->file, DS_SKETCH_MAP)) RT_TRY(read_map(s, x));
    if (ds_h5_has(s->file, DS_SKETCH_LOSS)) RT_TRY(ds_h5_get(s->file, DS_SKETCH_LOSS, DS_F64, &x->loss, 1));
    return ds_sketch_check(x, RT_EFORMAT, ds_h5_path(s->file));
}

rt_status ds_shard_sketch_read(ds_shard *s, ds_sketch **out)
{
    ds_sketch *x;
    int64_t    head = 0, want = s->info.vocab * (s->info.rank + 1) * 2;
    RT_TRY(count(&head, s, DS_SKETCH_HEAD, DS_U8)); /* before memory for as many is taken */
    RT_CHECK(head == want, RT_EFORMAT, "%s: " DS_SKETCH_HEAD " holds %lld entries, expected %lld", ds_h5_path(s->file), (long long)head,
             (long long)want);
    RT_TRY(ds_sketch_create(&x, s->info.rank, s->info.vocab, s->info.sketch));
    const rt_status st = read_tables(s, x);
    if (st != RT_OK) ds_sketch_destroy(&x);
    else *out = x;
    return st;
}

rt_status ds_shard_sketch(ds_shard *s, const ds_sketch **out)
{
    if (s->info.sketch && !s->sketch) RT_TRY(ds_shard_sketch_read(s, &s->sketch));
    *out = s->sketch;
    return RT_OK;
}

/* ---- documents ---------------------------------------------------------------------------- */

static rt_status room(ds_shard *s, int c, int64_t n)
{
    const int64_t row = ds_h5_set_bytes(s->col[c]);
    if (n <= s->cap[c]) return RT_OK;
    const int64_t cap = n > 2 * s->cap[c] ? n : 2 * s->cap[c], left = rt_memory_available();
    RT_CHECK(n <= left / row, RT_ENOMEM, "%s: %lld rows of %s need %.1f MB, %.1f MB are available", ds_h5_path(s->file), (long long)n,
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
    RT_TRY(room(s, c, n));
    return ds_h5_set_read(s->col[c], first, n, s->rows[c]);
}

static rt_status check_ids(const ds_shard *s, int c, int64_t doc, int64_t first, int64_t n)
{
    const int32_t *v     = s->rows[c];
    const uint8_t *valid = c == COL_IDS ? NULL : s->rows[COL_VALID];
    const int64_t  width = ds_column_width(&s->info, c);
    for (int64_t i = 0; i < n * width; i++)
        RT_CHECK((v[i] >= 0 && v[i] < s->info.vocab) || (valid && !valid[i / width]), RT_EFORMAT,
                 "%s: document %lld, row %lld: %s holds id %d, the vocabulary has %lld entries", ds_h5_path(s->file), (long long)doc,
                 (long long)(first + i / width), ds_columns[c].name, (int)v[i], (long long)s->info.vocab);
    return RT_OK;
}

static const void *rows_of(const ds_shard *s, int c, unsigned want) { return s->col[c] && (want & 1u << c) ? s->rows[c] : NULL; }

rt_status ds_shard_rows(ds_shard *s, int64_t doc, int64_t first, int64_t n, unsigned want, ds_doc *d)
{
    RT_CHECK(doc >= 0 && doc < s->docs, RT_EINVAL, "%s: document %lld of %lld", ds_h5_path(s->file), (long long)doc, (long long)s->docs);
    const int64_t at = s->starts[doc], len = s->starts[doc + 1] - at;
    RT_CHECK(first >= 0 && n >= 1 && first <= len - n, RT_EINVAL, "%s: rows %lld to %lld of document %lld, it has %lld",
             ds_h5_path(s->file), (long long)first, (long long)(first + n), (long long)doc, (long long)len);
    const int64_t more = n + (first + n < len);
    if (want & (1u << COL_TOPK_IDS | 1u << COL_TAIL)) want |= 1u << COL_VALID;
    for (int c = 0; c < DS_COLS; c++)
        if (s->col[c] && (want & 1u << c)) RT_TRY(read_column(s, c, at + first, c <= COL_PROMPT ? more : n));
    if (want & 1u << COL_IDS) RT_TRY(check_ids(s, COL_IDS, doc, first, more));
    for (int c = COL_TOPK_IDS; c <= COL_TAIL; c += COL_TAIL - COL_TOPK_IDS)
        if (s->col[c] && (want & 1u << c)) RT_TRY(check_ids(s, c, doc, first, n));
    *d = (ds_doc){.n              = n,
                  .ids            = rows_of(s, COL_IDS, want),
                  .prompt_mask    = rows_of(s, COL_PROMPT, want),
                  .valid          = rows_of(s, COL_VALID, want),
                  .target_id      = rows_of(s, COL_TARGET, want),
                  .topk_ids       = rows_of(s, COL_TOPK_IDS, want),
                  .topk_logprob   = rows_of(s, COL_TOPK_LOGPROB, want),
                  .actual_logprob = rows_of(s, COL_ACTUAL, want),
                  .rest_mass      = rows_of(s, COL_REST, want),
                  .tail_ids       = rows_of(s, COL_TAIL, want),
                  .rest_entropy   = rows_of(s, COL_ENTROPY, want),
                  .weight         = rows_of(s, COL_WEIGHT, want),
                  .sketch         = rows_of(s, COL_SKETCH, want),
                  .cost           = NAN};
    return RT_OK;
}

rt_status ds_shard_column(ds_shard *s, ds_col c, int64_t first, int64_t n, void *out) { return ds_h5_set_read(s->col[c], first, n, out); }

/* A u64 in decimal and nothing else. */
static int read_seed(const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    return isdigit((unsigned char)*text) && !*end && !errno;
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
    RT_CHECK(read_seed(s->words[TEXT_SEED], &seed), RT_EFORMAT, "%s: document %lld: its seed '%.30s' is no whole number of 64 bits",
             ds_h5_path(s->file), (long long)i, s->words[TEXT_SEED]);
    d->request = s->words[TEXT_REQUEST];
    d->recipe  = s->words[TEXT_RECIPE];
    d->topic   = s->words[TEXT_TOPIC];
    d->finish  = s->words[TEXT_FINISH];
    d->meta    = s->words[TEXT_META]; /* empty where there is none */
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
