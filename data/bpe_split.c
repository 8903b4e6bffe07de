/* bpe_split.c -- the pre-tokenizer: regexes that cut a text into pieces.
 *
 * Patterns are written for Oniguruma in Ruby's syntax and run by PCRE2 (UTF, UCP,
 * JIT).  What the two read differently is rewritten or refused:
 *   \s \S   PCRE2's hold U+180E, so Unicode's White_Space is written out
 *   ^ $     are about lines in Ruby: PCRE2_MULTILINE
 *   {n,m}+  is greedy in Ruby, possessive in PCRE2; \h, [a[b]], && differ too: refused
 * PCRE2 10.42 knows Unicode 14: letters assigned later are no letters here.
 */
#include "data/tokenizer.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACE                                                                                                              \
    "\\x{0}-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}" \
    "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

const char ds_gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static rt_status refuse(const char *what, const char *pattern, const char *where)
{
    return rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the regex \"%.80s\" holds %s, which is not supported", where, pattern, what);
}

static rt_status translate_escape(const char *p, int in_class, rt_buf *out, const char *pattern, const char *where)
{
    if (p[1] == 'h' || p[1] == 'H') return refuse("\\h", pattern, where);
    if (p[1] != 's' && p[1] != 'S') return rt_buf_add(out, p, p[1] ? 2 : 1);
    const char *set = p[1] == 's' ? SPACE : NO_SPACE;
    return in_class ? rt_buf_str(out, set) : rt_buf_fmt(out, "[%s]", set);
}

/* Is this the brace of {n}, {n,} or {n,m} with a + behind it? */
static int is_possessive_count(const char *p)
{
    const char *q = p + 1 + strspn(p + 1, "0123456789,");
    return p[0] == '{' && isdigit((unsigned char)p[1]) && q[0] == '}' && q[1] == '+';
}

static rt_status translate(const char *pattern, rt_buf *out, const char *where)
{
    int in_class = 0;
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\') {
            RT_TRY(translate_escape(p, in_class, out, pattern, where));
            p += p[1] != 0;
            if (*p == 'x' && p[1] == '{') { /* a number, no count */
                const size_t n = strcspn(p + 1, "}");
                RT_TRY(rt_buf_add(out, p + 1, n));
                p += n;
            }
            continue;
        }
        if (in_class && *p == '[') return refuse(p[1] == ':' ? "a POSIX class" : "a class inside a class", pattern, where);
        if (in_class && p[0] == '&' && p[1] == '&') return refuse("&&", pattern, where);
        if (!in_class && is_possessive_count(p)) return refuse("a counted repeat followed by +", pattern, where);
        if (*p == '[') in_class = 1;
        else if (*p == ']') in_class = 0;
        RT_TRY(rt_buf_add(out, p, 1));
    }
    return RT_OK;
}

rt_status ds_splitter_add(ds_splitter *s, const char *pattern, int literal, ds_split_keep keep, const char *where)
{
    rt_buf         b    = {0};
    rt_status      st   = RT_OK;
    int            code = 0;
    size_t         at   = 0;
    const uint32_t how  = literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE;
    RT_CHECK(s->n < DS_MAX_SPLITS, RT_EFORMAT, "%s: the pre_tokenizer has more than %d regexes", where, DS_MAX_SPLITS);
    RT_CHECK(*pattern, RT_EFORMAT, "%s: the pre_tokenizer has an empty pattern", where);
    RT_TRY_OR(literal ? rt_buf_str(&b, pattern) : translate(pattern, &b, where), out);
    pcre2_code *c = pcre2_compile((PCRE2_SPTR)b.p, b.len, PCRE2_UTF | how, &code, &at, NULL);
    if (!c) {
        char text[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        RT_CHECK_OR(c, out, RT_EFORMAT, "%s: the regex \"%.80s\" is not understood: %s", where, pattern, text);
    }
    pcre2_jit_compile(c, PCRE2_JIT_COMPLETE); /* where it fails, matching interprets */
    s->step[s->n].code    = c;
    s->step[s->n].keep    = keep;
    s->step[s->n].literal = literal;
    st                    = rt_strdup(&s->step[s->n++].pattern, pattern);
out:
    rt_buf_free(&b);
    return st;
}

void ds_splitter_free(ds_splitter *s)
{
    for (int i = 0; i < s->n; i++) pcre2_code_free(s->step[i].code), free(s->step[i].pattern);
    *s = (ds_splitter){0};
}

void ds_split_work_free(ds_split_work *w)
{
    for (int i = 0; i < DS_MAX_SPLITS; i++) pcre2_match_data_free(w->match[i]);
    *w = (ds_split_work){0};
}

typedef struct split {
    const ds_splitter *s;
    ds_split_work     *w;
    ds_piece_fn        piece;
    void              *ud;
} split;

/* The next match at or after `at`; *from = n where there is none. */
static rt_status find(const split *k, int step, const char *text, size_t n, size_t at, size_t *from, size_t *to)
{
    const pcre2_code *code = k->s->step[step].code;
    pcre2_match_data *m    = k->w->match[step];
    int               rc   = pcre2_match(code, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK, m, NULL);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = pcre2_match(code, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m, NULL);
    *from = *to = n;
    if (rc == PCRE2_ERROR_NOMATCH) return RT_OK;
    RT_CHECK(rc >= 0, RT_EINVAL, "the tokenizer's regex fails on a text of %zu bytes (PCRE2 error %d); cut the text", n, rc);
    *from = pcre2_get_ovector_pointer(m)[0];
    *to   = pcre2_get_ovector_pointer(m)[1];
    return RT_OK;
}

static rt_status cut(const split *k, int step, const char *text, size_t n)
{
    if (step == k->s->n) return k->piece(k->ud, text, n);
    const ds_split_keep keep = k->s->step[step].keep;
    for (size_t at = 0, gap = 0, from, to; gap < n; at = to, gap = to) {
        RT_TRY(find(k, step, text, n, at, &from, &to));
        while (from == to && from < n) { /* an empty match cuts nothing: look behind the next character */
            at = from + ds_utf8_length(text + from, n - from);
            RT_TRY(find(k, step, text, n, at, &from, &to));
        }
        if (from > gap && keep != DS_KEEP_MATCHES) RT_TRY(cut(k, step + 1, text + gap, from - gap));
        if (to > from && keep != DS_KEEP_GAPS) RT_TRY(cut(k, step + 1, text + from, to - from));
    }
    return RT_OK;
}

static size_t valid_prefix(const char *s, size_t n)
{
    size_t i = 0, len;
    while (i < n && (len = ds_utf8_length(s + i, n - i))) i += len;
    return i;
}

rt_status ds_split(const ds_splitter *s, ds_split_work *w, const char *text, size_t n, ds_piece_fn piece, void *ud)
{
    const split k = {s, w, piece, ud};
    for (int i = 0; i < s->n; i++) {
        if (!w->match[i]) w->match[i] = pcre2_match_data_create(1, NULL);
        RT_CHECK(w->match[i], RT_ENOMEM, "PCRE2 match data");
    }
    for (size_t i = 0; i < n;) {
        const size_t good = valid_prefix(text + i, n - i);
        if (good) RT_TRY(cut(&k, 0, text + i, good));
        i += good;
        if (i < n) RT_TRY(piece(ud, text + i++, 1));
    }
    return RT_OK;
}
