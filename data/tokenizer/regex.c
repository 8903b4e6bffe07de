/* regex.c -- parsing a regex of tokenizer.json into sets of characters and the syntax between them.
 *
 * Patterns have Oniguruma's Ruby syntax.  Each element that matches one character (a letter, a class, \p{L}) becomes a set of code
 * points from our own tables and two bytes in the result.  The rest (groups, repeats, alternatives) is ASCII with the same meaning
 * in PCRE2.  Constructs that the two libraries read differently, or that are not about sets, are rewritten or refused.
 */
#include "data/tokenizer/chain.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

typedef struct parser {
    const char  *p, *pattern, *where;
    ds_splitter *s;
    rt_buf      *out;
    int          fold[MAX_DEPTH], depth; /* 1: (?i) applies, for each open group */
    uint32_t     before;                 /* the letter just read under (?i); 0: none */
} parser;

static rt_status regex_refuse(const parser *r, const char *what)
{
    return rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the regex \"%.80s\" holds %s, which is not supported", r->where, r->pattern, what);
}

static int folds(const parser *r) { return r->fold[r->depth]; }

/* ---- sets ----------------------------------------------------------------------------------------- */

/* Finds the set's index in the splitter's list, or appends it; equal sets have one index.  Takes ownership of *x. */
static rt_status place_of(ds_splitter *s, ds_set *x, int *place)
{
    for (*place = 0; *place < s->sets; ++*place)
        if (ds_set_equal(&s->set[*place], x)) {
            ds_set_free(x);
            return RT_OK;
        }
    RT_TRY(rt_grow((void **)&s->set, s->sets, &s->cap_sets, sizeof *s->set));
    s->set[s->sets++] = *x;
    *x                = (ds_set){0};
    return RT_OK;
}

static rt_status add_set(parser *r, ds_set *x)
{
    int place;
    RT_TRY(place_of(r->s, x, &place));
    if (place > 0x7fff) return regex_refuse(r, "too many different characters");
    const char code[2] = {(char)(0x80 | place >> 8), (char)(place & 255)};
    return rt_buf_add(r->out, code, 2);
}

/* Adds c and, under (?i), the other letters that Oniguruma takes as equal to c. */
static rt_status add_letter(const parser *r, ds_set *x, uint32_t c)
{
    RT_TRY(ds_set_add(x, c, c));
    if (!folds(r)) return RT_OK;
    if (c >= 0x80 && ds_is_word(c)) return regex_refuse(r, "a letter beyond ASCII under (?i)");
    if (c >= 0x80 || !isalpha((int)c)) return RT_OK;
    RT_TRY(ds_set_add(x, c ^ 0x20, c ^ 0x20));
    if ((c | 0x20) == 'k') return ds_set_add(x, 0x212a, 0x212a); /* Kelvin sign */
    return (c | 0x20) == 's' ? ds_set_add(x, 0x17f, 0x17f) : RT_OK;
}

static rt_status add_character(parser *r, uint32_t c)
{
    static const char *const ligatures[] = {"ss", "ff", "fi", "fl", "st"}; /* under (?i) Oniguruma treats each as one letter */
    ds_set                   x           = {0};
    const uint32_t           lower       = c < 0x80 ? (uint32_t)tolower((int)c) : c;
    for (size_t i = 0; folds(r) && i < sizeof ligatures / sizeof *ligatures; i++)
        if (r->before == (uint32_t)ligatures[i][0] && lower == (uint32_t)ligatures[i][1])
            return regex_refuse(r, "a ligature's letters under (?i)");
    r->before    = folds(r) ? lower : 0;
    rt_status st = add_letter(r, &x, c);
    if (st == RT_OK) st = add_set(r, &x);
    ds_set_free(&x);
    return st;
}

/* ---- escapes --------------------------------------------------------------------------------------- */

static rt_status property(parser *r, ds_set *x, int in_class)
{
    int         negated = *r->p == 'P', known;
    const char *end     = strchr(r->p, '}');
    if (r->p[1] != '{' || !end) return regex_refuse(r, "\\p without a name in braces");
    const char *name = r->p + 2;
    if (*name == '^') negated ^= 1, name++;
    r->p = end + 1;
    RT_TRY(ds_set_property(x, name, (size_t)(end - name), &known));
    RT_CHECK(known, RT_EFORMAT, "%s: the regex \"%.80s\" holds \\p{%.*s}, which is not supported", r->where, r->pattern,
             (int)(end - name < 40 ? end - name : 40), name);
    if (in_class && folds(r) && !strchr("NPSZC", toupper((unsigned char)*name))) return regex_refuse(r, "a class of letters under (?i)");
    return negated ? ds_set_invert(x) : RT_OK;
}

/* Reads \s, \w, \d or \h; a capital letter means the complement.  *is = 0: it is none of them. */
static rt_status class_escape(parser *r, ds_set *x, int *is)
{
    const char c = *r->p;
    *is          = 1;
    switch (c) {
    case 's':
    case 'S': RT_TRY(ds_set_space(x)); break;
    case 'w':
    case 'W': RT_TRY(ds_set_word(x)); break;
    case 'd':
    case 'D': RT_TRY(ds_set_digit(x)); break;
    case 'h':
    case 'H':
        RT_TRY(ds_set_add(x, '0', '9'));
        RT_TRY(ds_set_add(x, 'A', 'F'));
        RT_TRY(ds_set_add(x, 'a', 'f'));
        break;
    default: *is = 0; return RT_OK;
    }
    r->p++;
    return isupper((unsigned char)c) ? ds_set_invert(x) : RT_OK;
}

static rt_status hexadecimal(parser *r, uint32_t *c)
{
    const int braces = *r->p == 'x' && r->p[1] == '{', least = *r->p == 'u' ? 4 : 1, most = braces ? 8 : *r->p == 'u' ? 4 : 2;
    int       n = 0;
    *c          = 0;
    for (r->p += 1 + braces; n < most && isxdigit((unsigned char)*r->p); n++, r->p++)
        *c = *c << 4 | (uint32_t)(isdigit((unsigned char)*r->p) ? *r->p - '0' : (*r->p | 0x20) - 'a' + 10);
    if (n < least || *c >= DS_CODE_POINTS || (braces && *r->p != '}')) return regex_refuse(r, "an invalid character number");
    if (!braces && *c >= 0x80 && most == 2) return regex_refuse(r, "\\x with a byte that is not a character by itself");
    r->p += braces;
    return RT_OK;
}

/* Reads the one character that an escape stands for.  r->p is after the backslash. */
static rt_status escaped(parser *r, uint32_t *c)
{
    static const char from[] = "tnrfvae", to[] = "\t\n\r\f\v\a\x1b";
    const char       *at = *r->p ? strchr(from, *r->p) : NULL;
    if (*r->p == 'x' || *r->p == 'u') return hexadecimal(r, c);
    if (at) *c = (uint32_t)to[at - from];
    else if (isalnum((unsigned char)*r->p) || !*r->p) return regex_refuse(r, "an unknown escape");
    else {
        const size_t len = rt_utf8_length(r->p, strlen(r->p));
        if (!len) return regex_refuse(r, "an escaped byte that is not UTF-8");
        *c = ds_utf8_decode(r->p, len);
        r->p += len - 1;
    }
    r->p++;
    return RT_OK;
}

/* ---- classes: [...] ---------------------------------------------------------------------------------- */

/* Reads one character of a class, or adds a set to x; *one = 0: it was a set. */
static rt_status class_item(parser *r, ds_set *x, uint32_t *c, int *one)
{
    ds_set    more = {0};
    int       is   = 0;
    rt_status st   = RT_OK;
    *one           = 1;
    if (*r->p != '\\') {
        const size_t len = rt_utf8_length(r->p, strlen(r->p));
        if (!len) return regex_refuse(r, "a byte that is not UTF-8");
        *c = ds_utf8_decode(r->p, len);
        r->p += len;
        return RT_OK;
    }
    r->p++;
    if (*r->p == 'b') return *c = '\b', r->p++, RT_OK;
    if (*r->p == 'p' || *r->p == 'P') is = 1, st = property(r, &more, 1);
    else st = class_escape(r, &more, &is);
    if (st == RT_OK && is) st = ds_set_join(x, &more);
    ds_set_free(&more);
    RT_TRY(st);
    *one = !is;
    return is ? RT_OK : escaped(r, c);
}

static rt_status class_range(parser *r, ds_set *x, uint32_t from)
{
    uint32_t to = from;
    int      one;
    if (*r->p == '-' && r->p[1] && !strchr("[]", r->p[1])) {
        r->p++;
        RT_TRY(class_item(r, x, &to, &one));
        if (!one || to < from) return regex_refuse(r, "a range without an end");
    }
    if (from == to || !folds(r)) return from == to ? add_letter(r, x, from) : ds_set_add(x, from, to);
    if (to >= 0x80) return regex_refuse(r, "a range beyond ASCII under (?i)");
    for (uint32_t c = from; c <= to; c++) RT_TRY(add_letter(r, x, c));
    return RT_OK;
}

static rt_status read_class(parser *r, ds_set *x, int depth);

static rt_status join_class(parser *r, ds_set *x, int depth)
{
    ds_set inner = {0};
    if (r->p[1] == ':') return regex_refuse(r, "a POSIX class");
    if (folds(r)) return regex_refuse(r, "a class inside a class under (?i)");
    if (depth == MAX_DEPTH) return regex_refuse(r, "too many nested classes");
    rt_status st = read_class(r, &inner, depth + 1);
    if (st == RT_OK) st = ds_set_join(x, &inner);
    ds_set_free(&inner);
    return st;
}

/* Reads items up to the end of the class or a &&.  A ] at the start is a character. */
static rt_status class_items(parser *r, ds_set *x, int first, int depth)
{
    for (; (*r->p != ']' || first) && strncmp(r->p, "&&", 2) != 0; first = 0) {
        uint32_t c;
        int      one = 0;
        if (!*r->p) return regex_refuse(r, "a class without an end");
        if (*r->p == '[') RT_TRY(join_class(r, x, depth));
        else RT_TRY(class_item(r, x, &c, &one));
        if (one) RT_TRY(class_range(r, x, c));
    }
    return RT_OK;
}

static rt_status meet_items(parser *r, ds_set *x, int depth)
{
    ds_set    part = {0};
    rt_status st   = folds(r) ? regex_refuse(r, "&& under (?i)") : class_items(r, &part, 0, depth);
    if (st == RT_OK) st = ds_set_meet(x, &part);
    ds_set_free(&part);
    return st;
}

/* r->p is at the opening bracket; afterwards it is after the closing one. */
static rt_status read_class(parser *r, ds_set *x, int depth)
{
    const int negated = *++r->p == '^';
    r->p += negated;
    RT_TRY(class_items(r, x, 1, depth));
    while (*r->p == '&') {
        r->p += 2;
        RT_TRY(meet_items(r, x, depth));
    }
    r->p++;
    return negated ? ds_set_invert(x) : RT_OK;
}

static rt_status add_class(parser *r)
{
    ds_set    x  = {0};
    rt_status st = read_class(r, &x, 0);
    if (st == RT_OK) st = add_set(r, &x);
    ds_set_free(&x);
    return st;
}

/* ---- positions: anchors, word boundaries, the dot ------------------------------------------------------ */

typedef rt_status (*set_fn)(ds_set *x);

static rt_status set_newline(ds_set *x) { return ds_set_add(x, '\n', '\n'); }

static rt_status set_no_newline(ds_set *x)
{
    RT_TRY(set_newline(x));
    return ds_set_invert(x);
}

/* Appends text in which each % is replaced by the set that make() returns. */
static rt_status add_around(parser *r, const char *text, set_fn make)
{
    for (; *text; text++) {
        ds_set    x  = {0};
        rt_status st = *text == '%' ? make(&x) : rt_buf_add(r->out, text, 1);
        if (st == RT_OK && *text == '%') st = add_set(r, &x);
        ds_set_free(&x);
        RT_TRY(st);
    }
    return RT_OK;
}

static rt_status add_escape(parser *r)
{
    ds_set    x  = {0};
    int       is = 1;
    uint32_t  c;
    rt_status st;
    switch (*++r->p) {
    case 'A': r->p++; return rt_buf_str(r->out, "\\A");
    case 'z': r->p++; return rt_buf_str(r->out, "\\z");
    case 'Z': r->p++; return add_around(r, "(?=%?\\z)", set_newline);
    case 'b': r->p++; return add_around(r, "(?:(?<=%)(?!%)|(?<!%)(?=%))", ds_set_word);
    case 'B': r->p++; return add_around(r, "(?:(?<=%)(?=%)|(?<!%)(?!%))", ds_set_word);
    case 'p':
    case 'P': st = property(r, &x, 0); break;
    default: st = class_escape(r, &x, &is); break;
    }
    if (st == RT_OK && is) st = add_set(r, &x);
    ds_set_free(&x);
    RT_TRY(st);
    if (is) return RT_OK;
    RT_TRY(escaped(r, &c));
    return add_character(r, c);
}

/* ---- groups and repeats ---------------------------------------------------------------------------------- */

static rt_status open_group(parser *r)
{
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?-i:"};
    const int                fold    = folds(r);
    if (r->p == r->pattern && !strncmp(r->p, "(?i)", 4)) {
        r->fold[r->depth] = 1;
        r->p += 4;
        return RT_OK;
    }
    if (r->depth + 1 == MAX_DEPTH) return regex_refuse(r, "too many nested groups");
    r->fold[++r->depth] = fold;
    if (r->p[1] != '?') return r->p++, rt_buf_str(r->out, "(?:");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t n = strlen(kinds[i]);
        if (strncmp(r->p, kinds[i], n)) continue;
        if (i >= 6) r->fold[r->depth] = i == 6;
        r->p += n;
        return rt_buf_str(r->out, i >= 6 ? "(?:" : kinds[i]);
    }
    return regex_refuse(r, "a group of an unknown kind");
}

/* {n}, {n,}, {,m} and {n,m} are repeats; any other brace is a character.  {n,m}+ is refused: it is greedy in Ruby, possessive in
 * PCRE2. */
static rt_status add_brace(parser *r)
{
    const char *q = r->p + 1 + strspn(r->p + 1, "0123456789,");
    if (*q != '}' || q == r->p + 1 || (q == r->p + 2 && r->p[1] == ',')) {
        r->p++;
        return add_character(r, '{');
    }
    if (q[1] == '+') return regex_refuse(r, "a counted repeat followed by +");
    RT_TRY(rt_buf_str(r->out, r->p[1] == ',' ? "{0" : "{"));
    RT_TRY(rt_buf_add(r->out, r->p + 1, (size_t)(q - r->p)));
    r->p = q + 1;
    return RT_OK;
}

static rt_status regex_add_other(parser *r)
{
    const char c = *r->p;
    switch (c) {
    case '^': r->p++; return add_around(r, "(?:\\A|(?<=%)(?!\\z))", set_newline);
    case '$': r->p++; return add_around(r, "(?=%|\\z)", set_newline);
    case '.': r->p++; return add_around(r, "%", set_no_newline);
    case '{': return add_brace(r);
    case '(': return open_group(r);
    case ')':
        if (!r->depth) return regex_refuse(r, "a ) without a (");
        r->depth--;
        break;
    default:
        if (strchr("|*+?", c)) break;
        const size_t len = rt_utf8_length(r->p, strlen(r->p));
        if (!len) return regex_refuse(r, "a byte that is not UTF-8");
        r->p += len;
        return add_character(r, ds_utf8_decode(r->p - len, len));
    }
    r->p++;
    return rt_buf_add(r->out, &c, 1);
}

static rt_status add_next(parser *r)
{
    const uint32_t  before = r->before;
    const rt_status st     = *r->p == '\\' ? add_escape(r) : *r->p == '[' ? add_class(r) : regex_add_other(r);
    if (r->before == before) r->before = 0; /* no letter was read */
    return st;
}

rt_status ds_regex_read(ds_splitter *s, const char *pattern, rt_buf *out, const char *where)
{
    parser r = {.p = pattern, .pattern = pattern, .where = where, .s = s, .out = out};
    while (*r.p) RT_TRY(add_next(&r));
    return r.depth ? regex_refuse(&r, "a ( without a )") : RT_OK;
}

rt_status ds_regex_read_literal(ds_splitter *s, const char *text, rt_buf *out, const char *where)
{
    parser r = {.p = text, .pattern = text, .where = where, .s = s, .out = out};
    while (*r.p) {
        const size_t len = rt_utf8_length(r.p, strlen(r.p));
        if (!len) return regex_refuse(&r, "a byte that is not UTF-8");
        RT_TRY(add_character(&r, ds_utf8_decode(r.p, len)));
        r.p += len;
    }
    return RT_OK;
}
