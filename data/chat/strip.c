/* strip.c -- stripping, splitting and replacing texts, as Python's str does. */
#include "data/chat/strip.h"
#include "data/tokenizer/unicode.h"
#include <string.h>

static size_t last_char(const char *p, size_t n)
{
    size_t len = 1;
    while (len < n && ((unsigned char)p[n - len] & 0xc0) == 0x80) len++;
    return len;
}

/* Returns the bytes of the character at p (the last one of n bytes if `last`) if it is to be stripped; 0: it is not. */
static size_t stripped_at(const char *p, size_t n, const ds_jvalue *set, int last)
{
    if (!n) return 0;
    if (set->kind != DS_JTEXT) return last ? ds_jspace_before(p, n) : ds_jspace_at(p, n);
    const size_t len = last ? last_char(p, n) : ds_utf8_size(*p);
    return ds_jfind(set->p, (size_t)set->n, last ? p + n - len : p, len) ? len : 0;
}

ds_jvalue ds_jstrip(const ds_jvalue *t, const ds_jvalue *set, int sides)
{
    const char *p = t->p;
    size_t      n = (size_t)t->n, len;
    while (sides & DS_JSTRIP_LEFT && (len = stripped_at(p, n, set, 0)) > 0) p += len, n -= len;
    while (sides & DS_JSTRIP_RIGHT && (len = stripped_at(p, n, set, 1)) > 0) n -= len;
    return (ds_jvalue){.kind = DS_JTEXT, .how = t->how, .p = p, .n = (int64_t)n};
}

/* ---- replacing ------------------------------------------------------------------------------------- */

/* An empty text is found before every character and at the end. */
static rt_status replace_nothing(ds_jrun *r, const ds_jvalue *t, const ds_jvalue *to, int64_t count, ds_jvalue *out)
{
    const size_t n = (size_t)t->n;
    ds_jout      o = {0};
    for (size_t i = 0, len; i <= n; i += len) {
        if (count-- != 0) RT_TRY(ds_jput(r, &o, to->p, (size_t)to->n));
        else count = 0;
        if (i == n) break;
        len = ds_utf8_size(t->p[i]);
        RT_TRY(ds_jput(r, &o, t->p + i, len));
    }
    *out = ds_jbuilt(&o);
    return RT_OK;
}

rt_status ds_jreplace(ds_jrun *r, const ds_jvalue *t, const ds_jvalue *from, const ds_jvalue *to, int64_t count, ds_jvalue *out)
{
    const char *p = t->p, *end = p + t->n, *at;
    ds_jout     o = {0};
    if (!from->n) return replace_nothing(r, t, to, count, out);
    for (; count != 0 && (at = ds_jfind(p, (size_t)(end - p), from->p, (size_t)from->n)) != NULL; count--, p = at + from->n) {
        RT_TRY(ds_jput(r, &o, p, (size_t)(at - p)));
        RT_TRY(ds_jput(r, &o, to->p, (size_t)to->n));
    }
    RT_TRY(ds_jput(r, &o, p, (size_t)(end - p)));
    *out = ds_jbuilt(&o);
    return RT_OK;
}

/* ---- lines ------------------------------------------------------------------------------------------- */

/* Returns the bytes of the end of a line at p; 0: none. */
static size_t line_end(const char *p, size_t n)
{
    const size_t   len = ds_utf8_size(*p);
    const uint32_t c   = ds_utf8_decode(p, len);
    if (c == '\r' && n > 1 && p[1] == '\n') return 2;
    return (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029 ? len : 0;
}

rt_status ds_jlines(ds_jrun *r, const ds_jvalue *t, int last, ds_jvalue *out)
{
    ds_jvalues   l    = {0};
    const size_t n    = (size_t)t->n;
    size_t       from = 0;
    RT_TRY(ds_jwork(r, t->n));
    for (size_t i = 0, end; i < n; i += end ? end : ds_utf8_size(t->p[i])) {
        end = line_end(t->p + i, n - i);
        if (!end) continue;
        RT_TRY(ds_jadd(r, &l, ds_jtext(t->p + from, i - from)));
        from = i + end;
    }
    if (from < n || last) RT_TRY(ds_jadd(r, &l, ds_jtext(t->p + from, n - from)));
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}

/* ---- splitting ------------------------------------------------------------------------------------------ */

static const char *find_last(const char *p, size_t n, const char *what, size_t m)
{
    for (const char *at = n >= m ? p + n - m : NULL; at && at >= p; at--) {
        if (!memcmp(at, what, m)) return at;
        if (at == p) break;
    }
    return NULL;
}

static rt_status split_left(ds_jrun *r, const ds_jvalue *t, const ds_jvalue *at, int64_t count, ds_jvalues *l)
{
    const char *p = t->p, *end = p + t->n, *cut;
    while (count-- != 0 && (cut = ds_jfind(p, (size_t)(end - p), at->p, (size_t)at->n)) != NULL) {
        RT_TRY(ds_jadd(r, l, ds_jtext(p, (size_t)(cut - p))));
        p = cut + at->n;
    }
    return ds_jadd(r, l, ds_jtext(p, (size_t)(end - p)));
}

static rt_status split_right(ds_jrun *r, const ds_jvalue *t, const ds_jvalue *at, int64_t count, ds_jvalues *l)
{
    const char *end = t->p + t->n, *cut;
    while (count-- != 0 && (cut = find_last(t->p, (size_t)(end - t->p), at->p, (size_t)at->n)) != NULL) {
        RT_TRY(ds_jadd(r, l, ds_jtext(cut + at->n, (size_t)(end - cut - at->n))));
        end = cut;
    }
    return ds_jadd(r, l, ds_jtext(t->p, (size_t)(end - t->p)));
}

static rt_status split_words(ds_jrun *r, const ds_jvalue *t, int64_t count, ds_jvalues *l)
{
    const ds_jvalue none = ds_jnone();
    ds_jvalue       rest = ds_jstrip(t, &none, DS_JSTRIP_LEFT);
    while (rest.n) {
        size_t n = 0;
        while (n < (size_t)rest.n && !ds_jspace_at(rest.p + n, (size_t)rest.n - n)) n += ds_utf8_size(rest.p[n]);
        if (count-- == 0) return ds_jadd(r, l, rest); /* with the space at its end */
        RT_TRY(ds_jadd(r, l, ds_jtext(rest.p, n)));
        rest.p += n, rest.n -= (int64_t)n;
        rest = ds_jstrip(&rest, &none, DS_JSTRIP_LEFT);
    }
    return RT_OK;
}

static rt_status split_words_right(ds_jrun *r, const ds_jvalue *t, int64_t count, ds_jvalues *l)
{
    const ds_jvalue none = ds_jnone();
    ds_jvalue       rest = ds_jstrip(t, &none, DS_JSTRIP_RIGHT);
    while (rest.n) {
        size_t at = (size_t)rest.n;
        while (at && !ds_jspace_before(rest.p, at)) at -= last_char(rest.p, at);
        if (count-- == 0) return ds_jadd(r, l, rest);
        RT_TRY(ds_jadd(r, l, ds_jtext(rest.p + at, (size_t)rest.n - at)));
        rest.n = (int64_t)at;
        rest   = ds_jstrip(&rest, &none, DS_JSTRIP_RIGHT);
    }
    return RT_OK;
}

static void reverse_values(ds_jvalues *l)
{
    for (int64_t i = 0; i < l->n / 2; i++) {
        const ds_jvalue v  = l->v[i];
        l->v[i]            = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
}

rt_status ds_jsplit(ds_jrun *r, const ds_jvalue *t, const ds_jvalue *at, int64_t count, int from_right, ds_jvalue *out)
{
    ds_jvalues l = {0};
    RT_TRY(ds_jwork(r, t->n));
    DS_JCHECK(r, at->kind == DS_JNONE || at->n, "a text cannot be split at an empty separator");
    if (at->kind == DS_JNONE) RT_TRY(from_right ? split_words_right(r, t, count, &l) : split_words(r, t, count, &l));
    else RT_TRY(from_right ? split_right(r, t, at, count, &l) : split_left(r, t, at, count, &l));
    if (from_right) reverse_values(&l);
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}
