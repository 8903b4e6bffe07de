/* lexer.c -- a template as tokens: text, tags, and the words inside tags; white space around tags is removed as the tags say. */
#include "data/chat/tree.h"
#include <string.h>

typedef struct lexer {
    ds_jarena  *arena;
    const char *where, *s;
    size_t      n, at, counted;    /* counted: `line` is the line of this place */
    int         line, line_starts; /* line_starts: the token before ended a line */
    ds_jtoken  *token;
    size_t      tokens, cap;
    char        open[DS_JNEST]; /* closing brackets that are expected */
    int         opened;
} lexer;

#define LEX_CHECK(l, cond, ...)                                                                 \
    do {                                                                                        \
        if (!(cond)) return ds_jsyntax((l)->where, (l)->line, __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

static void lex_count(lexer *l, size_t to)
{
    for (; l->counted < to; l->counted++) l->line += l->s[l->counted] == '\n';
}

static rt_status lex_add(lexer *l, ds_jtype_of_token type, size_t from, size_t to)
{
    if (l->tokens == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 256;
        RT_TRY(ds_jgrow(l->arena, (void **)&l->token, l->cap * sizeof *l->token, cap * sizeof *l->token));
        l->cap = cap;
    }
    lex_count(l, from);
    l->token[l->tokens++] = (ds_jtoken){type, l->line, l->s + from, to - from};
    return RT_OK;
}

static int lex_at(const lexer *l, size_t at, const char *text)
{
    const size_t n = strlen(text);
    return at <= l->n && n <= l->n - at && !memcmp(l->s + at, text, n);
}

static size_t lex_skip_space(const lexer *l, size_t at)
{
    for (size_t len; (len = ds_jspace_at(l->s + at, l->n - at)) > 0;) at += len;
    return at;
}

/* ---- the ends of tags ---------------------------------------------------------------------------------- */

/* Returns the place after the end of a tag at `at`; 0: no tag ends here.  "-" removes the space after the tag, "+" keeps it; without
 * either a block and a comment remove one line end. */
static size_t lex_end(const lexer *l, size_t at, const char *end)
{
    const int block = *end != '}';
    if (l->s[at] == '-' && lex_at(l, at + 1, end)) return lex_skip_space(l, at + 3);
    if (block && l->s[at] == '+' && lex_at(l, at + 1, end)) return at + 3;
    if (!lex_at(l, at, end)) return 0;
    return at + 2 + (block && lex_at(l, at + 2, "\n"));
}

static void lex_go(lexer *l, size_t to)
{
    l->line_starts = to > l->at && l->s[to - 1] == '\n';
    l->at          = to;
}

/* Adds the text from `from` to the tag at `to`, without the space that the tag removes. */
static rt_status lex_text(lexer *l, size_t from, size_t to)
{
    const char sign = to + 2 < l->n ? l->s[to + 2] : '\0';
    size_t     end = to, line = to;
    if (sign == '-')
        for (size_t len; (len = ds_jspace_before(l->s + from, end - from)) > 0;) end -= len;
    else if (sign != '+' && l->s[to + 1] != '{') {
        while (line > from && l->s[line - 1] != '\n') line--;
        if ((line > from || l->line_starts) && lex_skip_space(l, line) >= to) end = line;
    }
    return end > from ? lex_add(l, DS_JT_DATA, from, end) : RT_OK;
}

/* ---- inside a tag ------------------------------------------------------------------------------------------ */

static int lex_is_digit(char c) { return c >= '0' && c <= '9'; }
static int lex_is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/* Digits, with single underscores between them. */
static size_t lex_digits(const lexer *l, size_t at)
{
    while (at < l->n && (lex_is_digit(l->s[at]) || (l->s[at] == '_' && at + 1 < l->n && lex_is_digit(l->s[at + 1])))) at++;
    return at;
}

static size_t lex_number(const lexer *l, size_t at, ds_jtype_of_token *type)
{
    size_t end = lex_digits(l, at), e;
    *type      = DS_JT_INT;
    if (at && l->s[at - 1] == '.') return end; /* an index: a.0.1 */
    if (end + 1 < l->n && l->s[end] == '.' && lex_is_digit(l->s[end + 1])) end = lex_digits(l, end + 1), *type = DS_JT_FLOAT;
    e = end;
    if (e < l->n && (l->s[e] | 0x20) == 'e') {
        e += e + 1 < l->n && (l->s[e + 1] == '+' || l->s[e + 1] == '-') ? 2 : 1;
        if (e < l->n && lex_is_digit(l->s[e])) end = lex_digits(l, e), *type = DS_JT_FLOAT;
    }
    return end;
}

static size_t lex_string(const lexer *l, size_t at)
{
    const char quote = l->s[at++];
    while (at < l->n && l->s[at] != quote) at += l->s[at] == '\\' ? 2 : 1;
    return at < l->n ? at + 1 : 0;
}

static size_t lex_operator(const lexer *l, size_t at)
{
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (lex_at(l, at, two[i])) return at + 2;
    return l->s[at] && strchr("+-/*%~[](){}><=.:|,;", l->s[at]) ? at + 1 : 0;
}

/* Brackets must match; inside them no tag ends. */
static rt_status lex_bracket(lexer *l, char c)
{
    static const char pairs[] = "()[]{}";
    const char       *p       = strchr(pairs, c);
    if (!p) return RT_OK;
    if ((p - pairs) % 2 == 0) {
        LEX_CHECK(l, l->opened < DS_JNEST, "brackets are nested deeper than %d levels", DS_JNEST);
        l->open[l->opened++] = p[1];
        return RT_OK;
    }
    LEX_CHECK(l, l->opened, "'%c' closes nothing", c);
    LEX_CHECK(l, l->open[--l->opened] == c, "expected '%c', found '%c'", l->open[l->opened], c);
    return RT_OK;
}

static rt_status lex_word(lexer *l)
{
    const char        c    = l->s[l->at];
    ds_jtype_of_token type = DS_JT_OPERATOR;
    size_t            end  = l->at;
    if (lex_is_letter(c)) {
        type = DS_JT_NAME;
        while (end < l->n && (lex_is_letter(l->s[end]) || lex_is_digit(l->s[end]))) end++;
    } else if (lex_is_digit(c)) end = lex_number(l, end, &type);
    else if (c == '\'' || c == '"') {
        type = DS_JT_STRING;
        end  = lex_string(l, end);
        LEX_CHECK(l, end, "a string does not end");
    } else {
        end = lex_operator(l, end);
        LEX_CHECK(l, end, "unexpected character 0x%02x in a tag", (unsigned char)c);
        RT_TRY(lex_bracket(l, c));
    }
    RT_TRY(lex_add(l, type, l->at, end));
    l->at = end;
    return RT_OK;
}

static rt_status lex_tag(lexer *l, int print)
{
    const size_t from = l->at;
    const char   sign = l->s[from + 2 < l->n ? from + 2 : from];
    RT_TRY(lex_add(l, print ? DS_JT_PRINT : DS_JT_BLOCK, from, from + 2));
    l->at = from + 2 + (sign == '-' || sign == '+');
    for (l->opened = 0;;) {
        size_t end;
        l->at = lex_skip_space(l, l->at);
        lex_count(l, l->at);
        LEX_CHECK(l, l->at < l->n, "a tag that begins with '%.2s' does not end", l->s + from);
        if (!l->opened && (end = lex_end(l, l->at, print ? "}}" : "%}")) > 0) {
            RT_TRY(lex_add(l, print ? DS_JT_PRINT_END : DS_JT_BLOCK_END, l->at, l->at + 2));
            lex_go(l, end);
            return RT_OK;
        }
        RT_TRY(lex_word(l));
    }
}

/* ---- comments, raw text --------------------------------------------------------------------------------------- */

static rt_status lex_comment(lexer *l)
{
    const char   sign = l->s[l->at + 2 < l->n ? l->at + 2 : l->at];
    const size_t from = l->at + 2 + (sign == '-' || sign == '+');
    lex_count(l, l->at);
    for (size_t at = from; at < l->n; at++) {
        const size_t end = lex_end(l, at, "#}");
        if (!end) continue;
        lex_go(l, end);
        return RT_OK;
    }
    LEX_CHECK(l, 0, "a comment does not end with '#}'");
}

/* Returns the place after "{% WORD" and, for endraw, the end of the tag; 0: another tag. */
static size_t lex_raw_tag(const lexer *l, size_t at, const char *word)
{
    at += 2;
    if (at < l->n && (l->s[at] == '-' || l->s[at] == '+')) at++;
    at = lex_skip_space(l, at);
    if (!lex_at(l, at, word)) return 0;
    at = lex_skip_space(l, at + strlen(word));
    return at < l->n ? at : 0;
}

/* {% raw %} keeps the line end after it. */
static size_t lex_raw_begin(const lexer *l)
{
    const size_t at = lex_raw_tag(l, l->at, "raw");
    if (!at) return 0;
    if (lex_at(l, at, "-%}")) return lex_skip_space(l, at + 3);
    return lex_at(l, at, "%}") ? at + 2 : 0;
}

static rt_status lex_raw(lexer *l, size_t from)
{
    lex_go(l, from);
    for (size_t at = from; at < l->n; at++) {
        const size_t tag = lex_at(l, at, "{%") ? lex_raw_tag(l, at, "endraw") : 0;
        const size_t end = tag ? lex_end(l, tag, "%}") : 0;
        if (!end) continue;
        RT_TRY(lex_text(l, from, at));
        lex_go(l, end);
        return RT_OK;
    }
    LEX_CHECK(l, 0, "a raw block does not end with '{%% endraw %%}'");
}

/* ---- the template ------------------------------------------------------------------------------------------------ */

static size_t lex_find_tag(const lexer *l, size_t at)
{
    for (; at + 1 < l->n; at++)
        if (l->s[at] == '{' && strchr("{%#", l->s[at + 1]) && l->s[at + 1]) return at;
    return l->n;
}

static rt_status lex_next(lexer *l)
{
    const size_t tag = lex_find_tag(l, l->at);
    size_t       raw;
    if (tag == l->n) {
        const size_t from = l->at;
        l->at             = l->n;
        return from < l->n ? lex_add(l, DS_JT_DATA, from, l->n) : RT_OK;
    }
    RT_TRY(lex_text(l, l->at, tag));
    l->at = tag;
    if (l->s[tag + 1] == '#') return lex_comment(l);
    if (l->s[tag + 1] == '%' && (raw = lex_raw_begin(l)) > 0) return lex_raw(l, raw);
    return lex_tag(l, l->s[tag + 1] == '{');
}

rt_status ds_jlex(ds_jarena *a, const char *source, size_t n, const char *where, const ds_jtoken **out)
{
    lexer l = {.arena = a, .where = where, .s = source, .n = n, .line = 1, .line_starts = 1};
    while (l.at < l.n) RT_TRY(lex_next(&l));
    RT_TRY(lex_add(&l, DS_JT_END, n, n));
    *out = l.token;
    return RT_OK;
}
