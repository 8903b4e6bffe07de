/* agree.c -- compares a response's text with the text that its token ids decode to.
 *
 * Both are read character by character.  White space does not count: decoders differ in it.  Bytes that are no character
 * are U+FFFD in a server's text, or left out.  A text may end earlier than its ids: before an end token, before the tokens
 * that leave a character incomplete (a server waits for the rest of it), and at a stop string.
 */
#include "teacher/agree.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { BLANK = 1, MARK = 2, LETTER = 4 }; /* MARK: what servers show as U+FFFD: that itself, NUL, bytes that are no UTF-8 */

typedef struct character {
    const char *s;
    size_t      n; /* 0: the end */
    int         kind;
} character;

static character character_at(const rt_buf *b, size_t at)
{
    if (at >= b->len) return (character){"", 0, 0};
    const char  *s     = b->p + at;
    const size_t whole = rt_utf8_length(s, b->len - at);
    const int    mark  = !whole || !*s || (whole == 3 && !memcmp(s, "\xef\xbf\xbd", 3));
    return (character){s, whole ? whole : 1, mark ? MARK : isspace((unsigned char)*s) ? BLANK : LETTER};
}

/* Returns the first offset from `at` on whose character is of none of these kinds. */
static size_t agree_skip(const rt_buf *b, size_t at, int kinds)
{
    for (character c = character_at(b, at); c.kind & kinds; c = character_at(b, at)) at += c.n;
    return at;
}

/* ---- what ids stand for ----------------------------------------------------------------------- */

typedef struct reading {
    rt_buf bytes;
    size_t least;    /* the text must reach this offset unless a stop string ended it */
    size_t text, at; /* how far the text and the bytes are the same */
    int    same;
} reading;

static int ends_whole(const rt_buf *b)
{
    for (size_t back = 1; back <= 4 && back <= b->len; back++) {
        const character c = character_at(b, b->len - back);
        if (c.kind != MARK) return c.n == back;
    }
    return 0;
}

/* Ids beyond the tokenizer's vocabulary are padding of the model's matrix.  They decode to nothing, here as in servers. */
static rt_status agree_decode_all(reading *r, ds_decoder *d, const ds_tokenizer *t, const int32_t *ids, int64_t n)
{
    RT_TRY(rt_buf_str(&r->bytes, ""));
    for (int64_t i = 0; i < n; i++) {
        const int ends = i == n - 1 && ds_ends_have(ds_tokenizer_ends(t), ids[i]);
        RT_TRY(ds_decoder_add(d, ids[i], &r->bytes));
        if (!ends && ends_whole(&r->bytes)) r->least = r->bytes.len;
    }
    return ds_decoder_end(d, &r->bytes);
}

static rt_status agree_decode(reading *r, const ds_tokenizer *t, const int32_t *ids, int64_t n, int skip_special)
{
    ds_decoder *d = NULL;
    RT_TRY(ds_decoder_create(&d, t, skip_special));
    const rt_status st = agree_decode_all(r, d, t, ids, n);
    ds_decoder_destroy(&d);
    return st;
}

/* ---- comparing -------------------------------------------------------------------------------- */

/* U+FFFD may also stand for a Latin-1 character of an added token: byte-level decoders take it for a byte. */
static int shows(character text, character ids)
{
    if (text.kind == MARK) return ids.kind == MARK || (ids.n == 2 && (unsigned char)*ids.s < 0xc4);
    return text.n == ids.n && !memcmp(text.s, ids.s, ids.n);
}

/* Returns 1 if the decoded bytes begin with the whole text. */
static int begins(reading *r, const rt_buf *text)
{
    for (r->text = agree_skip(text, 0, BLANK); r->text < text->len; r->text = agree_skip(text, r->text, BLANK)) {
        const character c   = character_at(text, r->text);
        r->at               = agree_skip(&r->bytes, r->at, c.kind == MARK ? BLANK : BLANK | MARK);
        const character ids = character_at(&r->bytes, r->at);
        if (!shows(c, ids)) return 0;
        r->text += c.n;
        r->at += ids.n;
    }
    return 1;
}

/* Returns 1 if a stop string begins or ends at `at`.  (Some servers keep it in the text.) */
static int stops_at(const rt_buf *b, size_t at, const char *const *stop, int stops)
{
    for (int s = 0; s < stops; s++) {
        const size_t n = strlen(stop[s]);
        if (n <= b->len - at && !memcmp(b->p + at, stop[s], n)) return 1;
        if (n <= at && !memcmp(b->p + at - n, stop[s], n)) return 1;
    }
    return 0;
}

static void agree_compare(reading *r, const rt_buf *text, const char *const *stop, int stops)
{
    if (!begins(r, text)) return;
    const size_t from = r->at;
    r->at             = agree_skip(&r->bytes, from, BLANK | MARK);
    r->same           = r->at >= r->least;
    for (size_t at = from; !r->same && at <= r->at; at++) r->same = stops_at(&r->bytes, at, stop, stops);
}

/* ---- both readings ------------------------------------------------------------------------------ */

enum { SHOWN = 64 };

static const char *rest_of(char out[SHOWN], const rt_buf *b, size_t at)
{
    if (at < b->len) snprintf(out, SHOWN, "continues with \"%.40s\"", b->p + at);
    else snprintf(out, SHOWN, "ends");
    return out;
}

static rt_status differ(const reading *r, const rt_buf *text)
{
    char of_text[SHOWN], of_ids[SHOWN];
    RT_FAIL(RT_EFORMAT,
            "malformed response: the text %s after %zu bytes, but the text of its token ids %s there; check that --tokenizer is the "
            "teacher's tokenizer",
            rest_of(of_text, text, r->text), r->text, rest_of(of_ids, &r->bytes, r->at));
}

rt_status tc_agree(const ds_tokenizer *t, const int32_t *ids, int64_t n, const rt_buf *text, const char *const *stop, int stops)
{
    reading   r[2] = {{.text = 0}}; /* decoded with special tokens and without: servers differ */
    rt_status st   = RT_OK;
    for (int i = 0; st == RT_OK && i < 2; i++) {
        st = agree_decode(&r[i], t, ids, n, i);
        if (st == RT_OK) agree_compare(&r[i], text, stop, stops);
    }
    if (st == RT_OK && !r[0].same && !r[1].same) st = differ(&r[r[1].text > r[0].text], text);
    rt_buf_free(&r[0].bytes);
    rt_buf_free(&r[1].bytes);
    return st;
}
