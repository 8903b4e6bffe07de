/* encode.c -- text to ids and back.
 *
 * Encoding has four levels, each of which passes its parts to the next: added tokens of the raw text, NFC, added tokens of the
 * normalised text, pieces.
 */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

enum { MAX_TEXT = 1 << 30 }; /* positions inside a piece have 31 bits */

typedef struct encoder {
    const ds_tokenizer *t;
    int                 added;
    ds_ids             *out;
    ds_split_work       split;
    ds_bpe_work         bpe;
    rt_buf              nfc, entry, spaced;
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
    RT_TRY(ds_alphabet_encode(s, n, &e->entry));
    *id = ds_vocab_find(&e->t->vocab, e->entry.p, e->entry.len);
    return RT_OK;
}

static rt_status encode_piece(void *ud, const char *s, size_t n)
{
    encoder *e   = ud;
    ds_ids  *out = e->out;
    int64_t  left;
    int32_t  id;
    RT_TRY(whole_entry(e, s, n, &id));
    if (id >= 0) return ds_ids_add(out, id);
    RT_TRY(encode_reserve(out, (int64_t)n));
    for (size_t i = 0; i < n; i++) out->v[out->n + (int64_t)i] = e->t->byte_id[(unsigned char)s[i]];
    RT_TRY(ds_bpe_merge(&e->t->merges, &e->bpe, out->v + out->n, (int64_t)n, &left));
    out->n += left;
    return RT_OK;
}

static rt_status encode_plain(encoder *e, const char *s, size_t n)
{
    if (e->t->prefix_space && s[0] != ' ') {
        rt_buf_clear(&e->spaced);
        RT_TRY(rt_buf_str(&e->spaced, " "));
        RT_TRY(rt_buf_add(&e->spaced, s, n));
        s = e->spaced.p;
        n = e->spaced.len;
    }
    return ds_split(&e->t->splitter, &e->split, s, n, encode_piece, e);
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
    }
    return at < n ? part(e, s + at, n - at) : RT_OK;
}

static rt_status encode_normalized(encoder *e, const char *s, size_t n)
{
    if (e->t->nfc) {
        rt_buf_clear(&e->nfc);
        RT_TRY(ds_nfc(s, n, &e->nfc));
        s = e->nfc.p;
        n = e->nfc.len;
    }
    return encode_between(e, &e->t->normalized, s, n, encode_plain);
}

static rt_status encode_whole_text(encoder *e, const char *s, size_t n, int flags)
{
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
    ds_split_work_free(&e.split);
    ds_bpe_work_free(&e.bpe);
    rt_buf_free(&e.nfc);
    rt_buf_free(&e.entry);
    rt_buf_free(&e.spaced);
    return st;
}

/* ---- decoding ----------------------------------------------------------------------------- */

static rt_status decode_one(const ds_vocab *v, int32_t id, int skip_special, rt_buf *out)
{
    size_t n;
    if (id < 0 || id >= v->n) return RT_OK; /* ids above the tokenizer's entries (padding of a model's vocabulary) have no text */
    const int   flags = v->entry[id].flags;
    const char *s     = ds_vocab_text(v, id, &n);
    if (skip_special && (flags & DS_ENTRY_SPECIAL)) return RT_OK;
    return flags & DS_ENTRY_ADDED ? rt_buf_add(out, s, n) : ds_alphabet_decode(s, n, out);
}

rt_status ds_decode(const ds_tokenizer *t, const int32_t *ids, int64_t n, int skip_special, rt_buf *out)
{
    const size_t before = out->len;
    rt_status    st     = rt_buf_add(out, "", 0); /* no ids give "", not NULL */
    for (int64_t i = 0; st == RT_OK && i < n; i++) st = decode_one(&t->vocab, ids[i], skip_special, out);
    if (st != RT_OK) out->len = before;
    return st;
}
