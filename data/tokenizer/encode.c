/* encode.c -- text to ids.
 *
 * Encoding has levels, each of which passes its parts to the next: added tokens of the raw text, the normalizer, added tokens of the
 * normalised text, the pre-tokenizer, the model.
 */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

enum { MAX_TEXT = 1 << 30 }; /* positions inside a piece have 31 bits */

struct ds_encoder {
    const ds_tokenizer *t;
    int                 plain, added;
    ds_ids             *out;
    int                 first; /* 1: the part at work begins the whole text */
    ds_norm_work        norm;
    ds_pre_work         pre;
    ds_words            words;
    rt_buf              mended;
};
typedef struct ds_encoder encoder;

/* ---- pieces --------------------------------------------------------------------------- */

static rt_status encode_piece(void *ud, const char *s, size_t n)
{
    encoder *e = ud;
    return e->plain ? ds_words_plain(&e->words, s, n, e->out) : ds_words_piece(&e->words, s, n, e->out);
}

static int has_matcher(const ds_pre *p) { return p->n == 1 && p->step[0].splitter.matcher.match; }

static rt_status encode_pieces(encoder *e, const char *s, size_t n)
{
    const int first = e->first;
    e->first        = 0;
    if (has_matcher(&e->t->pre) && !e->plain) return ds_words_text(&e->words, s, n, e->out);
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
    return encode_between(e, &e->t->normalized, s, n, encode_pieces);
}

/* A model of characters gets U+FFFD for each part that is not UTF-8. */
static rt_status encode_mend(encoder *e, const char **s, size_t *n)
{
    if (e->t->pre.byte_level || rt_utf8_valid(*s, *n)) return RT_OK;
    rt_buf_clear(&e->mended);
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
    if (flags & (DS_SPECIAL | DS_OPEN)) RT_TRY(ds_ids_add_all(e->out, &e->t->prefix));
    RT_TRY(encode_between(e, &e->t->raw, s, n, encode_normalized));
    if (flags & DS_SPECIAL) return ds_ids_add_all(e->out, &e->t->suffix);
    return flags & DS_CLOSE ? ds_ids_add_all(e->out, &e->t->close) : RT_OK;
}

/* ---- encoders ------------------------------------------------------------------------------ */

rt_status ds_encoder_create(ds_encoder **out, const ds_tokenizer *t)
{
    ds_encoder *e = NULL;
    RT_TRY(RT_NEW(e, 1));
    *e   = (ds_encoder){.t = t, .words = {.t = t}};
    *out = e;
    return RT_OK;
}

rt_status ds_encoder_add(ds_encoder *e, const char *text, size_t n, int flags, ds_ids *out)
{
    const int64_t before = out->n;
    RT_CHECK(n <= MAX_TEXT, RT_EINVAL, "a text of %zu bytes cannot be encoded at once; divide it into parts of at most %d bytes", n,
             MAX_TEXT);
    e->out             = out;
    e->added           = flags & DS_ADDED;
    const rt_status st = encode_whole_text(e, text, n, flags);
    if (st != RT_OK) out->n = before;
    return st;
}

void ds_encoder_destroy(ds_encoder **e)
{
    if (!*e) return;
    ds_norm_work_free(&(*e)->norm);
    ds_pre_work_free(&(*e)->pre);
    ds_words_free(&(*e)->words);
    rt_buf_free(&(*e)->mended);
    free(*e);
    *e = NULL;
}

static rt_status encode_once(const ds_tokenizer *t, int plain, const char *text, size_t n, int flags, ds_ids *out)
{
    ds_encoder *e = NULL;
    RT_TRY(ds_encoder_create(&e, t));
    e->plain           = plain;
    const rt_status st = ds_encoder_add(e, text, n, flags, out);
    ds_encoder_destroy(&e);
    return st;
}

rt_status ds_encode(const ds_tokenizer *t, const char *text, size_t n, int flags, ds_ids *out)
{
    return encode_once(t, 0, text, n, flags, out);
}

rt_status ds_encode_plain(const ds_tokenizer *t, const char *text, size_t n, int flags, ds_ids *out)
{
    return encode_once(t, 1, text, n, flags, out);
}
