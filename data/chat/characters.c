/* characters.c -- characters of texts: space, offsets, case, as Python's str has them. */
#include "data/chat/characters.h"
#include "data/chat/value.h"
#include <string.h>

int ds_jspace(uint32_t c) { return ds_is_space(c) || (c >= 0x1c && c <= 0x1f); }

size_t ds_jspace_at(const char *p, size_t n)
{
    const size_t len = n ? ds_utf8_size(*p) : 0;
    return n && ds_jspace(ds_utf8_decode(p, len)) ? len : 0;
}

size_t ds_jspace_before(const char *p, size_t n)
{
    size_t len = n ? 1 : 0;
    while (len < n && ((unsigned char)p[n - len] & 0xc0) == 0x80) len++;
    return n && ds_jspace(ds_utf8_decode(p + n - len, len)) ? len : 0;
}

int64_t ds_jchars(const char *p, size_t n)
{
    int64_t c = 0;
    for (size_t i = 0; i < n; i++) c += ((unsigned char)p[i] & 0xc0) != 0x80;
    return c;
}

size_t ds_jchar_at(const char *p, size_t n, int64_t c)
{
    size_t at = 0;
    for (; at < n && c > 0; c--) at += ds_utf8_size(p[at]);
    return at;
}

/* Categories C (control, format, private, not assigned) and Z (separators) are not printable, but for the space. */
int ds_jprintable(uint32_t c)
{
    const char *name = ds_category_names[ds_run_of(ds_category_runs, ds_category_runs_n, c)];
    return c == ' ' || (*name != 'C' && *name != 'Z');
}

const char *ds_jfind(const char *p, size_t n, const char *what, size_t m)
{
    const char *end = p + n;
    if (!m) return p;
    for (; (size_t)(end - p) >= m; p++) {
        p = memchr(p, *what, (size_t)(end - p) - m + 1);
        if (!p) return NULL;
        if (!memcmp(p, what, m)) return p;
    }
    return NULL;
}

/* ---- case ------------------------------------------------------------------------------------------- */

/* Returns the run of the table that holds c; NULL: none. */
static const ds_jcase_run *case_run(const ds_jcase_run *runs, int n, uint32_t c)
{
    int low = 0, high = n;
    while (low < high) {
        const int mid = (low + high) / 2;
        if (runs[mid].last < c) low = mid + 1;
        else high = mid;
    }
    return low < n && c >= runs[low].first && (c - runs[low].first) % runs[low].step == 0 ? &runs[low] : NULL;
}

static int is_cased(uint32_t c) { return case_run(ds_jcased, ds_jcased_n, c) != NULL; }
static int is_ignorable(uint32_t c) { return case_run(ds_jignorable, ds_jignorable_n, c) != NULL; }

/* Appends what one character becomes: itself, another one, or several. */
static rt_status put_mapped(ds_jrun *r, ds_jout *o, uint32_t c, ds_jcase to)
{
    const ds_jcase_table *t   = &ds_jcase_tables[to];
    const ds_jcase_run   *run = case_run(t->runs, t->n, c);
    char                  utf8[4];
    for (int i = 0; !run && i < t->several_n; i++)
        if (t->several[i].code == c) return ds_jputs(r, o, t->several[i].text);
    return ds_jput(r, o, utf8, ds_utf8_encode(run ? (uint32_t)((int32_t)c + run->delta) : c, utf8));
}

/* A capital sigma at the end of a word becomes a final sigma: a cased character stands before it and none after it, those that
 * are ignored left out. */
static int is_final_sigma(const char *p, size_t n, size_t at)
{
    size_t i      = at, len;
    int    before = 0, skip = 1;
    while (i && skip) {
        for (len = 1; ((unsigned char)p[i - len] & 0xc0) == 0x80;) len++;
        i -= len;
        const uint32_t c = ds_utf8_decode(p + i, len);
        skip             = is_ignorable(c);
        before           = !skip && is_cased(c);
    }
    for (i = at + 2; before && i < n; i += len) {
        len              = ds_utf8_size(p[i]);
        const uint32_t c = ds_utf8_decode(p + i, len);
        if (!is_ignorable(c)) return !is_cased(c);
    }
    return before;
}

static rt_status put_lower(ds_jrun *r, ds_jout *o, const char *p, size_t n, size_t at, uint32_t c)
{
    enum { SIGMA = 0x3a3, FINAL = 0x3c2 };
    char utf8[4];
    if (c == SIGMA && is_final_sigma(p, n, at)) return ds_jput(r, o, utf8, ds_utf8_encode(FINAL, utf8));
    return put_mapped(r, o, c, DS_JLOWER);
}

rt_status ds_jput_case(ds_jrun *r, ds_jout *o, const char *p, size_t n, ds_jcase to)
{
    int inside = 0; /* a word */
    for (size_t i = 0, len; i < n; i += len) {
        len              = ds_utf8_size(p[i]);
        const uint32_t c = ds_utf8_decode(p + i, len);
        if (to == DS_JLOWER || (to == DS_JTITLE && inside)) RT_TRY(put_lower(r, o, p, n, i, c));
        else RT_TRY(put_mapped(r, o, c, to));
        inside = is_cased(c);
    }
    return RT_OK;
}

rt_status ds_jput_capital(ds_jrun *r, ds_jout *o, const char *p, size_t n)
{
    const size_t first = n ? ds_utf8_size(*p) : 0;
    if (n) RT_TRY(put_mapped(r, o, ds_utf8_decode(p, first), DS_JTITLE));
    for (size_t i = first, len; i < n; i += len) {
        len = ds_utf8_size(p[i]);
        RT_TRY(put_lower(r, o, p, n, i, ds_utf8_decode(p + i, len)));
    }
    return RT_OK;
}

/* Returns 1 if some character has a case, and all that have one have this one (upper: 1; title case is neither). */
int ds_jall_case(const char *p, size_t n, int upper)
{
    int some = 0;
    for (size_t i = 0, len; i < n; i += len) {
        len              = ds_utf8_size(p[i]);
        const uint32_t c = ds_utf8_decode(p + i, len);
        if (!is_cased(c)) continue;
        const char *name = ds_category_names[ds_run_of(ds_category_runs, ds_category_runs_n, c)];
        const int   big  = !strcmp(name, "Lu") || case_run(ds_jcase_tables[DS_JLOWER].runs, ds_jcase_tables[DS_JLOWER].n, c);
        if (!strcmp(name, "Lt") || big != upper) return 0;
        some = 1;
    }
    return some;
}
