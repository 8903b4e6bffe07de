/* forms.c -- Unicode normalisation forms of any bytes, with the tables of Hugging Face's normaliser.
 *
 * NFC is the common one, and most characters are unchanged and do not interact with their neighbours.  Where one may change, the text from the character
 * before it up to the next unaffected one is decomposed, its marks are sorted, and it is composed again.
 */
#include "data/tokenizer/chain.h"
#include <stdlib.h>
#include <string.h>

enum { FEW = 32 };
enum { JOINS = 1, CHANGES = 2 }; /* values of ds_nfc_runs: may combine with the characters before it; changes by itself */
enum { S_BASE = 0xac00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11a7, L_COUNT = 19, V_COUNT = 21, T_COUNT = 28 };

typedef struct stretch { /* code points and their combining classes */
    uint32_t *c, *sorted;
    uint8_t *class;
    int64_t n, cap;
    int     form;
} stretch;

static int flags_of(uint32_t c)
{
    if (c < 0x300) return c < 0xc0 ? 0 : ds_run_of(ds_nfc_runs, ds_nfc_runs_n, c);
    if (c >= 0x3400 && c < 0xa000) return 0; /* Han */
    return ds_run_of(ds_nfc_runs, ds_nfc_runs_n, c);
}

static int nfc_class_of(uint32_t c)
{
    int low = 0, high = ds_combining_n;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (ds_combining[middle] >> 8 <= c) low = middle;
        else high = middle;
    }
    return ds_combining[low] >> 8 == c ? (int)(ds_combining[low] & 255) : 0;
}

static rt_status nfc_push(stretch *s, uint32_t c)
{
    if (s->n == s->cap) {
        const int64_t cap   = s->cap ? 2 * s->cap : 64;
        uint32_t     *codes = realloc(s->c, (size_t)cap * sizeof *codes);
        if (codes) s->c = codes;
        uint32_t *sorted = realloc(s->sorted, (size_t)cap * sizeof *sorted);
        if (sorted) s->sorted = sorted;
        uint8_t *classes = realloc(s->class, (size_t)cap);
        if (classes) s->class = classes;
        RT_CHECK(codes && sorted && classes, RT_ENOMEM, "no memory for the normal form of %lld characters", (long long)cap);
        s->cap = cap;
    }
    s->class[s->n] = (uint8_t)nfc_class_of(c);
    s->c[s->n++]   = c;
    return RT_OK;
}

/* ---- decomposing ----------------------------------------------------------------------------- */

static int by_code(const void *key, const void *entry)
{
    const uint32_t c = *(const uint32_t *)key, e = ((const ds_decomposition *)entry)->code;
    return (c > e) - (c < e);
}

static rt_status decompose(stretch *s, uint32_t c)
{
    if (c >= S_BASE && c < S_BASE + L_COUNT * V_COUNT * T_COUNT) {
        const uint32_t i = c - S_BASE, t = i % T_COUNT;
        RT_TRY(nfc_push(s, L_BASE + i / (V_COUNT * T_COUNT)));
        RT_TRY(nfc_push(s, V_BASE + i / T_COUNT % V_COUNT));
        return t ? nfc_push(s, T_BASE + t) : RT_OK;
    }
    const ds_decomposition *d = NULL;
    if (s->form & DS_COMPATIBLE) d = bsearch(&c, ds_compatible, (size_t)ds_compatible_n, sizeof *d, by_code);
    if (!d) d = bsearch(&c, ds_decompositions, (size_t)ds_decompositions_n, sizeof *d, by_code);
    if (!d) return nfc_push(s, c);
    for (int i = 0; i < d->n; i++) RT_TRY(nfc_push(s, ds_decomposed[d->at + i]));
    return RT_OK;
}

/* Sorts marks from..to-1 by class; both sorts are stable.  Few marks are inserted, many are counted. */
static void insert_marks(stretch *s, int64_t from, int64_t to)
{
    for (int64_t i = from + 1, k; i < to; i++) {
        const uint32_t c    = s->c[i];
        const uint8_t class = s->class[i];
        for (k = i; k > from && s->class[k - 1] > class; k--) s->c[k] = s->c[k - 1], s->class[k] = s->class[k - 1];
        s->c[k]     = c;
        s->class[k] = class;
    }
}

static void count_marks(stretch *s, int64_t from, int64_t to)
{
    int64_t at[257] = {0}, n = to - from;
    for (int64_t i = from; i < to; i++) at[s->class[i] + 1]++;
    for (int k = 0; k < 256; k++) at[k + 1] += at[k];
    for (int64_t i = from; i < to; i++) s->sorted[at[s->class[i]]++] = s->c[i];
    memcpy(s->c + from, s->sorted, (size_t)n * sizeof *s->c);
    for (int64_t i = from; i < to; i++) s->class[i] = (uint8_t)nfc_class_of(s->c[i]);
}

static void reorder(stretch *s)
{
    for (int64_t i = 0, end; i < s->n; i = end) {
        for (end = i + 1; s->class[i] && end < s->n && s->class[end]; end++) {}
        if (end - i > 1) (end - i < FEW ? insert_marks : count_marks)(s, i, end);
    }
}

/* ---- composing -------------------------------------------------------------------------------- */

static int by_pair(const void *key, const void *entry)
{
    const ds_composition *a = key, *b = entry;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return (a->second > b->second) - (a->second < b->second);
}

/* Returns the composition of two characters; 0: there is none. */
static uint32_t pair(uint32_t a, uint32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + L_COUNT * V_COUNT * T_COUNT && (a - S_BASE) % T_COUNT == 0 && b > T_BASE && b < T_BASE + T_COUNT)
        return a + (b - T_BASE);
    const ds_composition  key = {a, b, 0};
    const ds_composition *c   = bsearch(&key, ds_compositions, (size_t)ds_compositions_n, sizeof *c, by_pair);
    return c ? c->whole : 0;
}

/* A mark combines with the last starter unless a mark of the same or a higher class is between them; a starter only if nothing is
 * between them. */
static void compose(stretch *s)
{
    int64_t n = 0, starter = -1;
    int     last = -1; /* class of the last mark kept after the starter; -1: none */
    for (int64_t i = 0; i < s->n; i++) {
        const int      k = s->class[i], reaches = starter >= 0 && (last < 0 || last < k);
        const uint32_t whole = reaches ? pair(s->c[starter], s->c[i]) : 0;
        if (whole) {
            s->c[starter] = whole;
            continue;
        }
        s->class[n] = (uint8_t)k;
        s->c[n]     = s->c[i];
        if (k) last = k;
        else starter = n, last = -1;
        n++;
    }
    s->n = n;
}

/* ---- text --------------------------------------------------------------------------------------- */

static rt_status add_stretch(stretch *s, rt_buf *out)
{
    char c[4];
    reorder(s);
    if (!(s->form & DS_DECOMPOSED)) compose(s);
    for (int64_t i = 0; i < s->n; i++) RT_TRY(rt_buf_add(out, c, ds_utf8_encode(s->c[i], c)));
    s->n = 0;
    return RT_OK;
}

/* Returns the bytes of the character at text[at]; 0 if it is not valid UTF-8 or the text ends. */
static size_t length(const char *text, size_t n, size_t at) { return at < n ? rt_utf8_length(text + at, n - at) : 0; }

/* Normalises the character at `at` and all following characters with JOINS. */
static rt_status add_careful(stretch *s, const char *text, size_t n, size_t *at, rt_buf *out)
{
    size_t len = length(text, n, *at);
    do {
        RT_TRY(decompose(s, ds_utf8_decode(text + *at, len)));
        *at += len;
        len = length(text, n, *at);
    } while (len && (flags_of(ds_utf8_decode(text + *at, len)) & JOINS));
    return add_stretch(s, out);
}

static rt_status nfc_add_all(stretch *s, const char *text, size_t n, rt_buf *out)
{
    size_t done = 0, before = 0, at = 0; /* text[done..at) is not yet written; its last character begins at `before` */
    for (size_t len; at < n; at += len) {
        if ((unsigned char)text[at] < 0x80) {
            before = at, len = 1;
            continue;
        }
        len             = rt_utf8_length(text + at, n - at);
        const int flags = len ? flags_of(ds_utf8_decode(text + at, len)) : 0;
        if (!flags) { /* unchanged by NFC, as is a byte that is not valid UTF-8 */
            len    = len ? len : 1;
            before = at;
            continue;
        }
        size_t from = (flags & JOINS) && at > done && length(text, at, before) ? before : at;
        RT_TRY(rt_buf_add(out, text + done, from - done));
        RT_TRY(add_careful(s, text, n, &from, out));
        done = before = at = from;
        len                = 0;
    }
    return rt_buf_add(out, text + done, n - done);
}

/* Normalises the longest valid UTF-8 prefix as one stretch. */
static rt_status add_valid(stretch *s, const char *text, size_t n, size_t *at, rt_buf *out)
{
    for (size_t len; (len = length(text, n, *at)); *at += len) RT_TRY(decompose(s, ds_utf8_decode(text + *at, len)));
    return add_stretch(s, out);
}

static rt_status form_add_all(stretch *s, const char *text, size_t n, rt_buf *out)
{
    if (!s->form) return nfc_add_all(s, text, n, out);
    for (size_t at = 0; at < n;) {
        RT_TRY(add_valid(s, text, n, &at, out));
        if (at < n) RT_TRY(rt_buf_add(out, text + at++, 1));
    }
    return RT_OK;
}

rt_status ds_normal_form(int form, const char *text, size_t n, rt_buf *out)
{
    stretch         s  = {.form = form};
    const rt_status st = form_add_all(&s, text, n, out);
    free(s.c);
    free(s.sorted);
    free(s.class);
    return st;
}
