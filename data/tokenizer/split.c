/* split.c -- regexes that cut a text into pieces, or whose matches are replaced.
 *
 * The characters of a text are converted to classes (classes.c) of one byte each.  PCRE2 matches these bytes and needs no
 * knowledge of Unicode.
 */
#include "data/tokenizer/chain.h"
#include <stdlib.h>
#include <string.h>

const char ds_gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

rt_status ds_splitter_add(ds_splitter *s, const char *pattern, int literal, ds_split_keep keep, const char *where)
{
    RT_CHECK(s->n < DS_MAX_STEPS, RT_EFORMAT, "%s: the pre_tokenizer has more than %d regexes", where, DS_MAX_STEPS);
    RT_CHECK(*pattern, RT_EFORMAT, "%s: the pre_tokenizer has an empty pattern", where);
    const int i        = s->n++;
    s->step[i].keep    = keep;
    s->step[i].literal = literal;
    RT_TRY(rt_strdup(&s->step[i].pattern, pattern));
    return (literal ? ds_regex_read_literal : ds_regex_read)(s, pattern, &s->step[i].parts, where);
}

static rt_status compile(ds_splitter *s, int i, const char *where)
{
    rt_buf    b    = {0};
    int       code = 0;
    size_t    at   = 0;
    rt_status st   = ds_classes_write(s, &s->step[i].parts, &b);
    if (st == RT_OK) s->step[i].code = pcre2_compile((PCRE2_SPTR)b.p, b.len, 0, &code, &at, NULL);
    rt_buf_free(&b);
    if (st == RT_OK && !s->step[i].code) {
        char text[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        RT_FAIL(RT_EFORMAT, "%s: the regex \"%.80s\" is invalid: %s", where, s->step[i].pattern, text);
    }
    if (st == RT_OK) pcre2_jit_compile(s->step[i].code, PCRE2_JIT_COMPLETE); /* if the JIT fails, PCRE2 interprets the regex */
    return st;
}

rt_status ds_splitter_ready(ds_splitter *s, const char *where)
{
    if (!s->n) return RT_OK;
    RT_TRY(ds_classes_make(s, where));
    for (int i = 0; i < s->n; i++) RT_TRY(compile(s, i, where));
    free(s->cut);
    s->cut = NULL;
    return ds_matcher_choose(&s->matcher, s);
}

void ds_splitter_free(ds_splitter *s)
{
    for (int i = 0; i < s->n; i++) pcre2_code_free(s->step[i].code), free(s->step[i].pattern), rt_buf_free(&s->step[i].parts);
    for (int64_t i = 0; i < s->sets; i++) ds_set_free(&s->set[i]);
    free(s->set);
    free(s->cut);
    free(s->class);
    ds_matcher_free(&s->matcher);
    *s = (ds_splitter){0};
}

void ds_split_work_free(ds_split_work *w)
{
    for (int i = 0; i < DS_MAX_STEPS; i++) pcre2_match_data_free(w->match[i]);
    free(w->class);
    *w = (ds_split_work){0};
}

typedef struct split {
    const ds_splitter *s;
    ds_split_work     *w;
    ds_piece_fn        piece;
    void              *ud;
} split;

typedef struct part { /* a part of the text: its bytes, and the class of each character */
    const char *text;
    const uint8_t *class;
    size_t bytes, n;
} part;

/* Finds the next match at or after `at`. */
static rt_status split_find(const split *k, int step, const part *p, size_t at, size_t *from, size_t *to, int *found)
{
    const pcre2_code *code = k->s->step[step].code;
    pcre2_match_data *m    = k->w->match[step];
    int               rc   = pcre2_match(code, p->class, p->n, at, 0, m, NULL);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = pcre2_match(code, p->class, p->n, at, PCRE2_NO_JIT, m, NULL);
    *found = rc >= 0;
    if (rc == PCRE2_ERROR_NOMATCH) return RT_OK;
    RT_CHECK(rc >= 0, RT_EINVAL, "the tokenizer's regex fails on a text of %zu bytes (PCRE2 error %d); divide the text", p->bytes, rc);
    *from = pcre2_get_ovector_pointer(m)[0];
    *to   = pcre2_get_ovector_pointer(m)[1];
    return RT_OK;
}

/* Removes the first n characters from p and returns them. */
static part split_take(part *p, size_t n)
{
    part first = {p->text, p->class, 0, n};
    if (p->bytes == p->n) first.bytes = n;
    else
        for (size_t i = 0; i < n; i++) first.bytes += ds_utf8_size(p->text[first.bytes]);
    p->text += first.bytes, p->bytes -= first.bytes;
    p->class += n, p->n -= n;
    return first;
}

typedef struct cursor { /* visits the matches of one step and the text between them, in order */
    const split *k;
    const part  *whole;
    part         rest;           /* what has not been visited */
    int          step, held;     /* held: the match from..to is known but not visited */
    size_t       done, from, to; /* characters visited; the last match found */
    int          any;            /* a match has been found */
} cursor;

/* An empty match counts unless the match before it ends there. */
static rt_status cursor_find(cursor *c, int *found)
{
    const size_t last = c->to;
    for (size_t at = last; at <= c->whole->n; at++) {
        RT_TRY(split_find(c->k, c->step, c->whole, at, &c->from, &c->to, found));
        if (!*found) return RT_OK;
        if (c->to > c->from || !c->any || c->from != last) return c->any = 1, RT_OK;
    }
    *found = 0;
    return RT_OK;
}

/* Gets the next match or the text before it; *one is {0} after the last. */
static rt_status cursor_next(cursor *c, part *one, int *match)
{
    int found = c->held;
    if (!found) RT_TRY(cursor_find(c, &found));
    const size_t gap = (found ? c->from : c->whole->n) - c->done;
    *match           = found && !gap;
    c->held          = found && gap;
    *one             = found || gap ? split_take(&c->rest, *match ? c->to - c->from : gap) : (part){0};
    c->done += one->n;
    return RT_OK;
}

/* Does an item join the piece before it?  `before`: whether the item before it is a match. */
static int joins(ds_split_keep keep, int before, int match)
{
    switch (keep) {
    case DS_JOIN_PREVIOUS: return match && !before;
    case DS_JOIN_NEXT: return !match && before;
    case DS_JOIN_MATCHES: return match == before;
    case DS_INVERTED_PREVIOUS: return !match && before;
    case DS_INVERTED_NEXT: return match && !before;
    default: return 0;
    }
}

static rt_status split_cut(const split *k, int step, const part *p);

static rt_status split_pieces(const split *k, int step, const part *p)
{
    const ds_split_keep keep = k->s->step[step].keep;
    cursor              c    = {.k = k, .whole = p, .rest = *p, .step = step};
    part                one, piece = {0};
    for (int match, before = 0;; before = match) {
        RT_TRY(cursor_next(&c, &one, &match));
        if (one.text && piece.text && joins(keep, before, match)) {
            piece.bytes += one.bytes, piece.n += one.n;
            continue;
        }
        if (piece.n) RT_TRY(split_cut(k, step + 1, &piece));
        if (!one.text) return RT_OK;
        piece = one;
        if (keep == (match ? DS_KEEP_GAPS : DS_KEEP_MATCHES)) piece.n = 0;
    }
}

static rt_status split_cut(const split *k, int step, const part *p)
{
    return step == k->s->n ? k->piece(k->ud, p->text, p->bytes) : split_pieces(k, step, p);
}

/* Converts the longest valid UTF-8 prefix of s to classes. */
static part valid_part(const split *k, const char *s, size_t n)
{
    part p         = {.text = s, .class = k->w->class};
    uint8_t *class = k->w->class;
    size_t len;
    while (p.bytes < n) {
        const unsigned char c = (unsigned char)s[p.bytes];
        if (c < 0x80) len = 1;
        else if (!(len = rt_utf8_length(s + p.bytes, n - p.bytes))) break;
        class[p.n++] = k->s->n ? k->s->class[len == 1 ? c : ds_utf8_decode(s + p.bytes, len)] : 0;
        p.bytes += len;
    }
    return p;
}

static rt_status split_prepare(const ds_splitter *s, ds_split_work *w, size_t n)
{
    for (int i = 0; i < s->n; i++) {
        if (!w->match[i]) w->match[i] = pcre2_match_data_create(1, NULL);
        RT_CHECK(w->match[i], RT_ENOMEM, "no memory for the match data of PCRE2");
    }
    if (n <= w->cap) return RT_OK;
    free(w->class);
    w->cap   = 0;
    w->class = malloc(n);
    RT_CHECK(w->class, RT_ENOMEM, "no memory for the character classes of a text of %zu bytes", n);
    w->cap = n;
    return RT_OK;
}

rt_status ds_split(const ds_splitter *s, ds_split_work *w, const char *text, size_t n, ds_piece_fn piece, void *ud)
{
    const split k = {s, w, piece, ud};
    RT_TRY(split_prepare(s, w, n));
    for (size_t i = 0; i < n;) {
        const part good = valid_part(&k, text + i, n - i);
        if (good.n) RT_TRY(split_cut(&k, 0, &good));
        i += good.bytes;
        if (i < n) RT_TRY(piece(ud, text + i++, 1));
    }
    return RT_OK;
}

/* ---- replacing -------------------------------------------------------------------------------- */

static rt_status replace_part(const split *k, const part *p, const rt_buf *content, rt_buf *out)
{
    cursor c = {.k = k, .whole = p, .rest = *p};
    part   one;
    for (int match;;) {
        RT_TRY(cursor_next(&c, &one, &match));
        if (!one.text) return RT_OK;
        RT_TRY(match ? rt_buf_add(out, content->p, content->len) : rt_buf_add(out, one.text, one.bytes));
    }
}

static rt_status replace_all(const split *k, const char *text, size_t n, const rt_buf *content, rt_buf *out)
{
    RT_TRY(split_prepare(k->s, k->w, n));
    for (size_t i = 0; i < n;) {
        const part good = valid_part(k, text + i, n - i);
        RT_TRY(replace_part(k, &good, content, out));
        i += good.bytes;
        if (i < n) RT_TRY(rt_buf_add(out, text + i++, 1));
    }
    return RT_OK;
}

rt_status ds_split_replace(const ds_splitter *s, const char *text, size_t n, const rt_buf *content, rt_buf *out)
{
    ds_split_work   w  = {0};
    const split     k  = {s, &w, NULL, NULL};
    const rt_status st = replace_all(&k, text, n, content, out);
    ds_split_work_free(&w);
    return st;
}
