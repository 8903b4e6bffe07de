/* encode.c -- text to ids.
 *
 * Encoding has levels, each of which passes its parts to the next: added tokens of the raw text, the normalizer, added tokens of the
 * normalised text, the pre-tokenizer, the model.
 */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

enum { MAX_TEXT = 1 << 30 }; /* positions inside a piece have 31 bits */

typedef struct encoder {
    const ds_tokenizer *t;
    int                 added;
    ds_ids             *out;
    int                 first; /* 1: the part at work begins the whole text */
    ds_norm_work        norm;
    ds_pre_work         pre;
    ds_bpe_work         bpe;
    ds_unigram_work     unigram;
    rt_buf              mended, entry;
} encoder;

static rt_status encode_reserve(ds_ids *ids, int64_t more)
{
    if (ids->n + more <= ids->cap) return RT_OK;
    const int64_t cap = 2 * ids->cap > ids->n + more ? 2 * ids->cap : ids->n + more;
    int32_t      *p   = realloc(ids->v, (size_t)cap * sizeof *p);
    RT_CHECK(p, RT_ENOMEM, "no memory for an array of %lld token ids", (long long)cap);
    ids->v   = p;
    ids->cap = cap;
    return RT_OK;
}

static rt_status encode_add_all(ds_ids *out, const ds_ids *ids)
{
    for (int64_t i = 0; i < ids->n; i++) RT_TRY(ds_ids_add(out, ids->v[i]));
    return RT_OK;
}

/* ---- pieces --------------------------------------------------------------------------- */

/* With ignore_merges, a piece that is an entry is not merged. */
static rt_status whole_entry(encoder *e, const char *s, size_t n, int32_t *id)
{
    *id = -1;
    if (!e->t->ignore_merges) return RT_OK;
    rt_buf_clear(&e->entry);
    RT_TRY(e->t->pre.byte_level ? ds_alphabet_encode(s, n, &e->entry) : rt_buf_add(&e->entry, s, n));
    *id = ds_vocab_find(&e->t->vocab, e->entry.p, e->entry.len);
    return RT_OK;
}

static rt_status encode_piece(void *ud, const char *s, size_t n)
{
    encoder *e   = ud;
    ds_ids  *out = e->out;
    int64_t  left;
    int32_t  id;
    if (e->t->is_unigram) return ds_unigram_encode(&e->t->unigram, &e->t->vocab, &e->unigram, s, n, out);
    RT_TRY(whole_entry(e, s, n, &id));
    if (id >= 0) return ds_ids_add(out, id);
    RT_TRY(encode_reserve(out, (int64_t)n));
    const int64_t symbols = ds_symbols_fill(&e->t->symbols, s, n, out->v + out->n);
    RT_TRY(ds_symbols_merge(&e->t->symbols, &e->t->merges, &e->bpe, out->v + out->n, symbols, &left));
    out->n += left;
    return RT_OK;
}

static rt_status encode_plain(encoder *e, const char *s, size_t n)
{
    const int first = e->first;
    e->first        = 0;
    return ds_pre_run(&e->t->pre, &e->pre, s, n, first, encode_piece, e);
}

/* ---- added tokens ------------------------------------------------------------------------ */

typedef rt_status (*part_fn)(encoder *e, const char *s, size_t n);

/* Appends the ids of the added tokens in the text, and calls part() for each stretch of text between them. */
static rt_status encode_between(encoder *e, const ds_added *list, const char *s, size_t n, part_fn part)
{
    size_t at = 0, start, stop;
    for (const ds_added_token *k; e->added && (k = ds_added_next(list, s, n, at, &start, &stop)); at = stop) {
        if (start > at) RT_TRY(part(e, s + at, start - at));
        RT_TRY(ds_ids_add(e->out, k->id));
        e->first = 0;
    }
    return at < n ? part(e, s + at, n - at) : RT_OK;
}

static rt_status encode_normalized(encoder *e, const char *s, size_t n)
{
    RT_TRY(ds_normalize(&e->t->normalizer, &e->norm, &s, &n));
    return encode_between(e, &e->t->normalized, s, n, encode_plain);
}

/* A model of characters gets U+FFFD for each part that is not UTF-8. */
static rt_status encode_mend(encoder *e, const char **s, size_t *n)
{
    if (e->t->pre.byte_level || rt_utf8_valid(*s, *n)) return RT_OK;
    for (size_t i = 0, len; i < *n; i += len) {
        const char *at = *s + i;
        len            = rt_utf8_length(at, *n - i);
        RT_TRY(len ? rt_buf_add(&e->mended, at, len) : rt_buf_str(&e->mended, "\xef\xbf\xbd"));
        if (!len) len = rt_utf8_broken(at, *n - i);
    }
    *s = e->mended.p;
    *n = e->mended.len;
    return RT_OK;
}

static rt_status encode_whole_text(encoder *e, const char *s, size_t n, int flags)
{
    e->first = 1;
    RT_TRY(encode_mend(e, &s, &n));
    if (flags & (DS_SPECIAL | DS_OPEN)) RT_TRY(encode_add_all(e->out, &e->t->prefix));
    RT_TRY(encode_between(e, &e->t->raw, s, n, encode_normalized));
    if (flags & DS_SPECIAL) return encode_add_all(e->out, &e->t->suffix);
    return flags & DS_CLOSE ? encode_add_all(e->out, &e->t->close) : RT_OK;
}

rt_status ds_encode(const ds_tokenizer *t, const char *text, size_t n, int flags, ds_ids *out)
{
    const int64_t before = out->n;
    encoder       e      = {.t = t, .added = flags & DS_ADDED, .out = out};
    RT_CHECK(n <= MAX_TEXT, RT_EINVAL, "a text of %zu bytes cannot be encoded at once; divide it into parts of at most %d bytes", n,
             MAX_TEXT);
    const rt_status st = encode_whole_text(&e, text, n, flags);
    if (st != RT_OK) out->n = before;
    ds_norm_work_free(&e.norm);
    ds_pre_work_free(&e.pre);
    ds_bpe_work_free(&e.bpe);
    ds_unigram_work_free(&e.unigram);
    rt_buf_free(&e.mended);
    rt_buf_free(&e.entry);
    return st;
}
