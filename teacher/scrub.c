/* scrub.c -- overwrites the key in a server's text, also if the text holds an encoded or escaped form of it.
 *
 * A text is decoded step by step (escapes of JSON, C, HTML and addresses, of which one may stand in another).  At each
 * step its letters, without spaces, control characters, backslashes and all that is no ASCII, are held against the key,
 * its reverse, and its codings as a whole (hexadecimal; base64, with and without "Bearer "), without regard to case.
 */
#include "teacher/endpoint.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    LEAST   = 8, /* letters of a key */
    DEEP    = 4, /* escapes within escapes */
    LONGEST = 2 * TC_KEY + 32,
    WINDOW  = 1 << 15,   /* bytes that are decoded at once */
    STEP    = WINDOW / 2 /* windows overlap, so that no key lies across two */
};

typedef struct letters { /* a text being decoded: each letter and the bytes that it came from */
    size_t   n;
    char     c[WINDOW];
    uint16_t from[WINDOW], to[WINDOW];
} letters;

/* A number of at most `most` digits at s (leading zeros do not count); bytes of it, 0: none, or it is no ASCII. */
static size_t number(const char *s, size_t n, int base, size_t most, int *c)
{
    size_t i = 0, digits = 0;
    *c = 0;
    for (; i < n && digits < most; i++) {
        const int d = isdigit((unsigned char)s[i])    ? s[i] - '0'
                      : isxdigit((unsigned char)s[i]) ? tolower((unsigned char)s[i]) - 'a' + 10
                                                      : 99;
        if (d >= base) break;
        *c = *c * base + d;
        digits += *c > 0 || most < 9;
    }
    return i && *c > 0 && *c < 128 ? i : 0;
}

/* "{2f}" after \u and \x. */
static size_t braced(const char *s, size_t n, int *c)
{
    const size_t len = n && *s == '{' ? number(s + 1, n - 1, 16, 9, c) : 0;
    return len && len + 1 < n && s[len + 1] == '}' ? len + 2 : 0;
}

/* What follows a backslash, or "%", and names a letter by its number. */
static size_t c_escape(const char *s, size_t n, int *c)
{
    const int    k   = n ? s[0] : 0;
    const size_t len = k == 'u' || k == 'x' ? braced(s + 1, n - 1, c) : 0;
    if (len) return len + 1;
    const size_t digits = k == 'U' ? 8 : k == 'u' ? 4 : k == 'x' ? 2 : 0, at = digits ? 1 : 0;
    const size_t most = digits ? digits : 3, got = number(s + at, n - at, digits ? 16 : 8, most, c);
    return got == most ? at + got : 0;
}

static size_t html_escape(const char *s, size_t n, int *c)
{
    static const char *const names[] = {
        "amp&",   "lt<",     "gt>",     "quot\"",  "apos'",   "sol/",   "plus+",   "equals=", "lowbar_",  "period.",
        "colon:", "comma,",  "semi;",   "dash-",   "hyphen-", "num#",   "percnt%", "bsol\\",  "excl!",    "ast*",
        "lpar(",  "rpar)",   "commat@", "dollar$", "quest?",  "lsqb[",  "rsqb]",   "lbrack[", "rbrack]",  "lcub{",
        "rcub}",  "lbrace{", "rbrace}", "verbar|", "vert|",   "grave`", "Hat^",    "tilde~",  "UnderBar_"};
    size_t len = 0;
    if (n && *s == '#') {
        const int hex = n > 1 && (s[1] == 'x' || s[1] == 'X');
        len           = number(s + 1 + hex, n - 1 - (size_t)hex, hex ? 16 : 10, 9, c);
        if (len) len += 1 + (size_t)hex;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names && !len; i++) {
        const size_t m = strlen(names[i]) - 1;
        if (n > m && !strncasecmp(s, names[i], m) && s[m] == ';') len = m, *c = names[i][m];
    }
    return len && len < n && s[len] == ';' ? len + 1 : len;
}

static size_t escape(const char *s, size_t n, int *c)
{
    static const char named[] = "nrtfvb";
    size_t            len     = 0;
    if (*s == '%') return number(s + 1, n - 1, 16, 2, c) == 2 ? 3 : 0;
    if (*s == '&') len = html_escape(s + 1, n - 1, c);
    if (*s == '\\') len = c_escape(s + 1, n - 1, c);
    if (*s == '\\' && !len && n > 1 && strchr(named, s[1])) len = 1, *c = ' ';
    return len ? len + 1 : 0;
}

/* One step; 0: there was nothing to decode. */
static int scrub_decode(letters *l)
{
    size_t to = 0;
    for (size_t i = 0, len; i < l->n; i += len, to++) {
        int c = l->c[i];
        len   = c == '%' || c == '&' || c == '\\' ? escape(l->c + i, l->n - i, &c) : 0;
        if (!len) len = 1, c = l->c[i];
        l->c[to] = (char)c, l->from[to] = l->from[i], l->to[to] = l->to[i + len - 1];
    }
    const int fewer = to < l->n;
    l->n            = to;
    return fewer;
}

/* Shows nothing, or breaks a line softly (=, then its end). */
static int is_gap(const char *s, size_t n)
{
    const unsigned char c = (unsigned char)*s;
    return c <= ' ' || c >= 0x7f || c == '\\' || (c == '=' && n > 1 && (s[1] == '\n' || s[1] == '\r'));
}

/* base64 has two alphabets. */
static int fold(char c) { return c == '_' ? '/' : c == '-' ? '+' : tolower((unsigned char)c); }

/* Letters of l from i on that are the needle, gaps among them; 0: they are not. */
static size_t length_at(const letters *l, size_t i, const char *needle)
{
    size_t j = i;
    for (const char *k = needle; *k; k++) {
        if (*k == '\\') continue;
        while (j > i && j < l->n && is_gap(l->c + j, l->n - j)) j++;
        if (j == l->n || fold(l->c[j]) != fold(*k)) return 0;
        j++;
    }
    return j - i;
}

static void overwrite(const letters *l, const char *needle, char *text)
{
    for (size_t i = 0; i < l->n; i++) {
        const size_t len = length_at(l, i, needle);
        if (!len) continue;
        size_t first = i; /* with the backslashes of its first letter */
        while (first && l->c[first - 1] == '\\') first--;
        memset(text + l->from[first], '*', (size_t)(l->to[i + len - 1] - l->from[first]));
        i += len - 1;
    }
}

static void base64(char *to, const char *from)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t      n        = strlen(from);
    size_t            bits     = 0;
    uint32_t          v        = 0;
    for (size_t i = 0; i < n; i++)
        for (v = v << 8 | (unsigned char)from[i], bits += 8; bits >= 6; bits -= 6) *to++ = digits[v >> (bits - 6) & 63];
    if (bits) *to++ = digits[v << (6 - bits) & 63];
    *to = '\0';
}

enum { NEEDLES = 5 };
static void make_needles(char to[NEEDLES][LONGEST], const char *key)
{
    char         bearer[TC_KEY + 8];
    const size_t n = strlen(key);
    snprintf(to[0], LONGEST, "%s", key);
    for (size_t i = 0; i < n; i++) to[1][i] = key[n - 1 - i];
    to[1][n] = '\0';
    for (size_t i = 0; i < n; i++) snprintf(to[2] + 2 * i, 3, "%02x", (unsigned char)key[i]);
    snprintf(bearer, sizeof bearer, "Bearer %s", key);
    base64(to[3], key);
    base64(to[4], bearer);
}

static void scrub_window(char needles[NEEDLES][LONGEST], char *text, size_t n)
{
    letters l = {.n = n};
    memcpy(l.c, text, n);
    for (size_t i = 0; i < n; i++) l.from[i] = (uint16_t)i, l.to[i] = (uint16_t)(i + 1);
    for (int step = 0; step <= DEEP; step++) {
        for (int k = 0; k < NEEDLES; k++) overwrite(&l, needles[k], text);
        if (!scrub_decode(&l)) break;
    }
}

void tc_endpoint_scrub(const tc_endpoint *e, char *text, size_t n)
{
    char needles[NEEDLES][LONGEST];
    if (strlen(e->key) < LEAST) return;
    make_needles(needles, e->key);
    for (size_t at = 0; at < n; at += STEP) scrub_window(needles, text + at, n - at < WINDOW ? n - at : WINDOW);
    explicit_bzero(needles, sizeof needles);
}
