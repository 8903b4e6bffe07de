/* unicode.c -- sets of characters by their Unicode properties. */
#include "data/tokenizer/unicode.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- characters ------------------------------------------------------------------------------- */

int ds_run_of(const uint32_t *runs, int n, uint32_t c)
{
    int low = 0, high = n;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (runs[middle] >> 8 <= c) low = middle;
        else high = middle;
    }
    return (int)(runs[low] & 255);
}

uint32_t ds_utf8_decode(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    if (len == 1) return s[0];
    if (len == 2) return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    if (len == 3) return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
}

size_t ds_utf8_encode(uint32_t c, char out[4])
{
    const size_t n       = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    const int    first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(first[n] | (int)c);
    return n;
}

static const uint32_t spaces[][2] = {{9, 13},          {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
                                     {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};
/* Symbols that \w matches: Latin letters in circles and squares. */
static const uint32_t enclosed[][2] = {{0x24b6, 0x24e9}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
/* Numbers that \w matches in regexes, but that ds_is_word excludes: superscripts and fractions of Latin-1. */
static const uint32_t raised[][2] = {{0xb2, 0xb3}, {0xb9, 0xb9}, {0xbc, 0xbe}};

static int is_in(const uint32_t (*range)[2], size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= range[i][0] && c <= range[i][1]) return 1;
    return 0;
}
#define IN(ranges, c) is_in(ranges, sizeof(ranges) / sizeof *(ranges), c)

int ds_is_space(uint32_t c) { return IN(spaces, c); }

/* categories L, M, Nd, Nl, Pc */
static int is_word_category(const char *name)
{
    return name[0] == 'L' || name[0] == 'M' || !strcmp(name, "Nd") || !strcmp(name, "Nl") || !strcmp(name, "Pc");
}

int ds_is_word(uint32_t c)
{
    if (c == 0x200c || c == 0x200d || IN(enclosed, c)) return 1;
    return is_word_category(ds_category_names[ds_run_of(ds_category_runs, ds_category_runs_n, c)]);
}

/* ---- sets ----------------------------------------------------------------------------------------- */

static int by_from(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sorts the ranges and joins those that overlap or touch. */
static void order(ds_set *s)
{
    int64_t n = 0;
    if (s->n) qsort(s->range, (size_t)s->n, sizeof *s->range, by_from);
    for (int64_t i = 0; i < s->n; i++) {
        if (n && s->range[i].from <= s->range[n - 1].to + 1) {
            if (s->range[i].to > s->range[n - 1].to) s->range[n - 1].to = s->range[i].to;
        } else s->range[n++] = s->range[i];
    }
    s->n = n;
}

static rt_status unicode_append(ds_set *s, uint32_t from, uint32_t to)
{
    RT_TRY(rt_grow((void **)&s->range, s->n, &s->cap, sizeof *s->range));
    s->range[s->n].from = from;
    s->range[s->n++].to = to;
    return RT_OK;
}

rt_status ds_set_add(ds_set *s, uint32_t from, uint32_t to)
{
    RT_TRY(unicode_append(s, from, to));
    order(s);
    return RT_OK;
}

rt_status ds_set_join(ds_set *s, const ds_set *more)
{
    for (int64_t i = 0; i < more->n; i++) RT_TRY(unicode_append(s, more->range[i].from, more->range[i].to));
    order(s);
    return RT_OK;
}

rt_status ds_set_invert(ds_set *s)
{
    ds_set    o    = {0};
    uint32_t  next = 0;
    rt_status st   = RT_OK;
    for (int64_t i = 0; st == RT_OK && i < s->n; i++) {
        if (s->range[i].from > next) st = unicode_append(&o, next, s->range[i].from - 1);
        next = s->range[i].to + 1;
    }
    if (st == RT_OK && next < DS_CODE_POINTS) st = unicode_append(&o, next, DS_CODE_POINTS - 1);
    ds_set_free(s);
    *s = o;
    return st;
}

rt_status ds_set_meet(ds_set *s, ds_set *other)
{
    RT_TRY(ds_set_invert(s));
    RT_TRY(ds_set_invert(other));
    RT_TRY(ds_set_join(s, other));
    return ds_set_invert(s);
}

int ds_set_equal(const ds_set *a, const ds_set *b)
{
    return a->n == b->n && (!a->n || !memcmp(a->range, b->range, (size_t)a->n * sizeof *a->range));
}

void ds_set_free(ds_set *s)
{
    free(s->range);
    *s = (ds_set){0};
}

static rt_status add_ranges(ds_set *s, const uint32_t (*range)[2], size_t n)
{
    for (size_t i = 0; i < n; i++) RT_TRY(unicode_append(s, range[i][0], range[i][1]));
    order(s);
    return RT_OK;
}
#define ADD(s, ranges) add_ranges(s, ranges, sizeof(ranges) / sizeof *(ranges))

/* Adds the runs whose value wanted() accepts. */
static rt_status add_runs(ds_set *s, const uint32_t *runs, int n, int (*wanted)(int value, const void *ud), const void *ud)
{
    for (int i = 0; i < n; i++)
        if (wanted((int)(runs[i] & 255), ud))
            RT_TRY(unicode_append(s, runs[i] >> 8, i + 1 < n ? (runs[i + 1] >> 8) - 1 : DS_CODE_POINTS - 1));
    order(s);
    return RT_OK;
}

/* ---- properties ------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *category;
} long_names[] = {{"Letter", "L"},
                  {"Cased_Letter", "LC"},
                  {"Uppercase_Letter", "Lu"},
                  {"Lowercase_Letter", "Ll"},
                  {"Titlecase_Letter", "Lt"},
                  {"Modifier_Letter", "Lm"},
                  {"Other_Letter", "Lo"},
                  {"Mark", "M"},
                  {"Nonspacing_Mark", "Mn"},
                  {"Spacing_Mark", "Mc"},
                  {"Enclosing_Mark", "Me"},
                  {"Number", "N"},
                  {"Decimal_Number", "Nd"},
                  {"Letter_Number", "Nl"},
                  {"Other_Number", "No"},
                  {"Punctuation", "P"},
                  {"Connector_Punctuation", "Pc"},
                  {"Dash_Punctuation", "Pd"},
                  {"Open_Punctuation", "Ps"},
                  {"Close_Punctuation", "Pe"},
                  {"Initial_Punctuation", "Pi"},
                  {"Final_Punctuation", "Pf"},
                  {"Other_Punctuation", "Po"},
                  {"Symbol", "S"},
                  {"Math_Symbol", "Sm"},
                  {"Currency_Symbol", "Sc"},
                  {"Modifier_Symbol", "Sk"},
                  {"Other_Symbol", "So"},
                  {"Separator", "Z"},
                  {"Space_Separator", "Zs"},
                  {"Line_Separator", "Zl"},
                  {"Paragraph_Separator", "Zp"},
                  {"Other", "C"},
                  {"Control", "Cc"},
                  {"Format", "Cf"},
                  {"Private_Use", "Co"},
                  {"Unassigned", "Cn"}};

/* Compares names as Unicode does: without case, spaces, hyphens and underscores. */
static int same_name(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    for (;; a++, i++) {
        while (*a == '_') a++;
        while (i < n && strchr("_- ", b[i])) i++;
        if (!*a || i == n) return !*a && i == n;
        if (tolower((unsigned char)*a) != tolower((unsigned char)b[i])) return 0;
    }
}

/* A category of one letter, such as "L", contains all categories that begin with it. */
static int is_category(int value, const void *ud)
{
    const char *wanted = ud, *name = ds_category_names[value];
    if (!strcmp(wanted, "LC")) return !strcmp(name, "Lu") || !strcmp(name, "Ll") || !strcmp(name, "Lt");
    return wanted[1] ? !strcmp(wanted, name) : *wanted == *name;
}

static int is_value(int value, const void *ud) { return value == *(const int *)ud; }

static int is_word_value(int value, const void *ud)
{
    (void)ud;
    return is_word_category(ds_category_names[value]);
}

static const char *category_of(const char *name, size_t n)
{
    static const char *const more[] = {"L", "M", "N", "P", "S", "Z", "C", "LC"};
    for (size_t i = 0; i < sizeof long_names / sizeof *long_names; i++)
        if (same_name(long_names[i].name, name, n)) return long_names[i].category;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (same_name(more[i], name, n)) return more[i];
    for (int i = 0; i < ds_category_count; i++)
        if (same_name(ds_category_names[i], name, n)) return ds_category_names[i];
    return NULL;
}

rt_status ds_set_property(ds_set *s, const char *name, size_t n, int *known)
{
    const char *category = category_of(name, n);
    *known               = 1;
    if (category) return add_runs(s, ds_category_runs, ds_category_runs_n, is_category, category);
    if (same_name("Any", name, n)) return ds_set_add(s, 0, DS_CODE_POINTS - 1);
    for (int i = 1; i < ds_script_count; i++)
        if (same_name(ds_script_names[i], name, n)) return add_runs(s, ds_script_runs, ds_script_runs_n, is_value, &i);
    *known = 0;
    return RT_OK;
}

rt_status ds_set_space(ds_set *s) { return ADD(s, spaces); }
rt_status ds_set_digit(ds_set *s) { return add_runs(s, ds_category_runs, ds_category_runs_n, is_category, "Nd"); }

rt_status ds_set_word(ds_set *s)
{
    RT_TRY(add_runs(s, ds_category_runs, ds_category_runs_n, is_word_value, NULL));
    RT_TRY(ADD(s, enclosed));
    return ADD(s, raised);
}
