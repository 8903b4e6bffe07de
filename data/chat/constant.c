/* constant.c -- the values of numbers and strings in a template. */
#include "data/chat/tree.h"
#include "data/tokenizer/unicode.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static rt_status number_text(ds_jparser *p, char text[64])
{
    size_t n = 0;
    for (size_t i = 0; i < p->t->n; i++) {
        DS_JSYNTAX(p, n < 63, "a number has more than 63 digits");
        if (p->t->p[i] != '_') text[n++] = p->t->p[i];
    }
    text[n] = '\0';
    return RT_OK;
}

static rt_status parse_int(ds_jparser *p, ds_jvalue *out)
{
    char text[64];
    RT_TRY(number_text(p, text));
    errno             = 0;
    const long long v = strtoll(text, NULL, 10);
    DS_JSYNTAX(p, !errno, "the number %s is larger than 64 bits", text);
    DS_JSYNTAX(p, *text != '0' || v == 0, "the number %s begins with 0", text);
    *out = ds_jint(v);
    return RT_OK;
}

static rt_status parse_float(ds_jparser *p, ds_jvalue *out)
{
    char text[64];
    RT_TRY(number_text(p, text));
    *out = ds_jfloat(strtod(text, NULL));
    return RT_OK;
}

/* ---- strings ------------------------------------------------------------------------------------------ */

static char simple_escape(char c)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char       *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : '\0';
}

/* Reads `digits` digits of the base at s; all of them must be there if `all`. Returns their number; 0: they are not. */
static size_t read_code(const char *s, const char *end, size_t digits, int base, int all, uint32_t *c)
{
    char   text[9] = {0};
    size_t n       = 0;
    for (; n < digits && s + n < end; n++) {
        const char d = (char)(s[n] | 0x20);
        if (!((s[n] >= '0' && s[n] <= (base == 8 ? '7' : '9')) || (base == 16 && d >= 'a' && d <= 'f'))) break;
        text[n] = s[n];
    }
    *c = (uint32_t)strtoul(text, NULL, base);
    return all && n < digits ? 0 : n;
}

/* Appends what the escape at s (after its backslash) stands for; *len: its bytes. */
static rt_status parse_escape(ds_jparser *p, const char *s, const char *end, char *to, size_t *n, size_t *len)
{
    const char   simple = simple_escape(*s);
    const size_t digits = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
    uint32_t     c      = (unsigned char)simple;
    *len                = 1;
    if (*s == '\n') return RT_OK;
    DS_JSYNTAX(p, *s != 'N' && !(*s & 0x80), "the escape '\\%c' in a string is not supported", *s == 'N' ? 'N' : '?');
    if (*s >= '0' && *s <= '7') *len = read_code(s, end, 3, 8, 0, &c);
    else if (digits) *len = 1 + read_code(s + 1, end, digits, 16, 1, &c);
    else if (!simple) to[(*n)++] = '\\', c = (uint32_t)*s;
    DS_JSYNTAX(p, (!digits || *len > 1) && c < 0x110000 && !(c >= 0xd800 && c < 0xe000),
               "the escape '\\%c' in a string does not name a character", *s);
    *n += ds_utf8_encode(c, to + *n);
    return RT_OK;
}

/* Strings that follow each other are one. */
static rt_status parse_string(ds_jparser *p, ds_jvalue *out)
{
    size_t total = 0, n = 0, len;
    char  *text;
    for (const ds_jtoken *t = p->t; t->type == DS_JT_STRING; t++) total += t->n;
    RT_TRY(ds_jalloc(p->arena, (void **)&text, total + 1));
    for (; p->t->type == DS_JT_STRING; p->t++)
        for (const char *s = p->t->p + 1, *end = p->t->p + p->t->n - 1; s < end; s += len)
            if (*s != '\\') text[n++] = *s, len = 1;
            else {
                RT_TRY(parse_escape(p, s + 1, end, text, &n, &len));
                len++;
            }
    p->t--;
    *out = ds_jtext(text, n);
    return RT_OK;
}

rt_status ds_jparse_constant(ds_jparser *p, ds_jvalue *out)
{
    RT_TRY(p->t->type == DS_JT_STRING ? parse_string(p, out) : p->t->type == DS_JT_INT ? parse_int(p, out) : parse_float(p, out));
    p->t++;
    return RT_OK;
}
