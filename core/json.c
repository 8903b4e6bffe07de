/* json.c -- parses JSON with cJSON, with comments, line numbers in errors, a check for duplicate keys and tolerance for servers' errors. */
#include "core/json.h"
#include "core/file.h"
#include "core/json_exact.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void blank(char *from, const char *to)
{
    for (; from < to; from++)
        if (*from != '\n') *from = ' ';
}

static int hex4(const char *p, const char *end)
{
    char h[5] = {0};
    if (end - p < 4) return -1;
    memcpy(h, p, 4);
    for (int i = 0; i < 4; i++)
        if (!isxdigit((unsigned char)h[i])) return -1;
    return (int)strtol(h, NULL, 16);
}

/* p points to a backslash inside a string.  Replaces a lone surrogate by \uFFFD and
 * returns how many bytes to skip. */
static size_t mend_escape(char *p, const char *end)
{
    if (end - p < 6 || p[1] != 'u') return 2;
    const int c = hex4(p + 2, end);
    if (c < 0xd800 || c > 0xdfff) return 6;
    if (c < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        const int d = hex4(p + 8, end);
        if (d >= 0xdc00 && d <= 0xdfff) return 12;
    }
    memcpy(p + 2, "FFFD", 4);
    return 6;
}

/* Returns 1 if p begins with a spelling of NaN or infinity that Python and other programs write. */
static int is_no_number(const char *p, size_t n)
{
    static const char *const words[] = {"NaN", "Infinity", "-NaN", "-Infinity", "nan", "inf", "-nan", "-inf"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (n >= strlen(words[i]) && !memcmp(p, words[i], strlen(words[i]))) return 1;
    return 0;
}

/* Outside strings: replaces [-]NaN and [-]Infinity by null.  NaN has no room for null and becomes
 * 9e9, which every reader refuses as a positive log-probability.  Returns the bytes replaced, or 0. */
static size_t mend_number(char *p, const char *end)
{
    static const char *const bad[]  = {"-Infinity", "Infinity", "-NaN", "NaN"};
    static const char *const good[] = {"null     ", "null    ", "null", "9e9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const size_t n = strlen(bad[i]);
        if ((size_t)(end - p) < n || memcmp(p, bad[i], n)) continue;
        memcpy(p, good[i], n);
        return n;
    }
    return 0;
}

/* Applies the flags' repairs to the text and returns an upper bound of its number of values. */
static size_t json_prepare(char *text, size_t n, int flags)
{
    char *const end    = text + n;
    size_t      values = 1;
    for (char *p = text; p < end;) {
        if (*p == '"') {
            for (p++; p < end && *p != '"';) p += *p == '\\' ? (flags & (RT_JSON_LENIENT | RT_JSON_EXACT) ? mend_escape(p, end) : 2) : 1;
            p++;
        } else if ((flags & RT_JSON_COMMENTS) && end - p >= 2 && p[0] == '/' && p[1] == '/') {
            char *stop = memchr(p, '\n', (size_t)(end - p));
            if (!stop) stop = end;
            blank(p, stop);
            p = stop;
        } else {
            const size_t skip = flags & RT_JSON_LENIENT ? mend_number(p, end) : 0;
            values += *p == ',' || *p == '[' || *p == '{';
            p += skip ? skip : 1;
        }
    }
    return values;
}

/* cJSON's strings end at a NUL, so the escape \u0000 is replaced by the bytes C0 80, which are not valid UTF-8;
 * rt_json_bytes restores it.  Returns the new length. */
static size_t hide_nuls(char *s, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n;) {
        if (s[i] == '\\' && n - i >= 6 && !memcmp(s + i, "\\u0000", 6)) {
            memcpy(s + to, "\xc0\x80", 2);
            to += 2;
            i += 6;
            continue;
        }
        if (s[i] == '\\' && i + 1 < n) s[to++] = s[i++];
        s[to++] = s[i++];
    }
    return to;
}

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++) line += *text == '\n';
    return line;
}

static int by_key(const void *a, const void *b) { return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string); }

/* Finds a duplicate key by sorting, because an untrusted object may have a million keys. */
static rt_status find_twin(const cJSON *o, const char *name)
{
    const cJSON **key  = NULL, *e;
    const char   *twin = NULL;
    const int     n    = cJSON_GetArraySize(o);
    int           i    = 0;
    RT_TRY(RT_NEW(key, n));
    cJSON_ArrayForEach(e, o) key[i++] = e;
    if (n) qsort(key, (size_t)n, sizeof *key, by_key);
    for (i = 1; i < n && !twin; i++)
        if (!by_key(&key[i - 1], &key[i])) twin = key[i]->string;
    free(key);
    RT_CHECK(!twin, RT_EFORMAT, "%s: the key \"%s\" occurs twice in %s%s%s; remove one of them", name, twin,
             o->string ? "\"" : "the top-level object", o->string ? o->string : "", o->string ? "\"" : "");
    return RT_OK;
}

static rt_status find_duplicate(const cJSON *o, const char *name)
{
    const cJSON *e;
    if (cJSON_IsObject(o) && o->child && o->child->next) RT_TRY(find_twin(o, name));
    cJSON_ArrayForEach(e, o) RT_TRY(find_duplicate(e, name));
    return RT_OK;
}

static rt_status check_top(const cJSON *o, const char *name)
{
    const char *what = cJSON_IsArray(o)    ? "an array"
                       : cJSON_IsString(o) ? "a string"
                       : cJSON_IsNumber(o) ? "a number"
                                           : "true, false or null";
    RT_CHECK(cJSON_IsObject(o), RT_EFORMAT, "%s: expected a JSON object, found %s", name, what);
    return RT_OK;
}

rt_status rt_json_parse(cJSON **out, char *text, size_t n, int flags, const char *name)
{
    const char *end = NULL;
    while (n && !text[n - 1]) n--; /* trailing NULs */
    RT_CHECK(n, RT_EFORMAT, "%s: expected JSON, found nothing", name);
    const char *nul = memchr(text, 0, n);
    RT_CHECK(!nul, RT_EFORMAT, "%s:%d: expected JSON, found a NUL byte", name, line_of(text, nul));
    n                   = hide_nuls(text, n);
    const size_t values = json_prepare(text, n, flags);
    RT_CHECK(values <= RT_JSON_VALUES, RT_EFORMAT, "%s: the JSON text has %zu values, more than the limit of %d", name, values,
             RT_JSON_VALUES);
    cJSON *o = cJSON_ParseWithLengthOpts(text, n, &end, 0);
    if (!o) {
        const char  *at   = end && end >= text && end <= text + n ? end : text;
        const size_t left = (size_t)(text + n - at);
        RT_FAIL(RT_EFORMAT, "%s:%d: expected JSON, found \"%.*s\"%s", name, line_of(text, at), (int)(left < 24 ? left : 24), at,
                is_no_number(at, left) ? "; JSON has no such number: write null, or omit the field" : "");
    }
    rt_status st = flags & RT_JSON_ANY ? RT_OK : check_top(o, name);
    if (st == RT_OK && (flags & RT_JSON_EXACT)) st = rt_json_keep_numbers(o, text, (size_t)(end - text));
    if (st == RT_OK && !(flags & RT_JSON_DUPLICATES)) st = find_duplicate(o, name);
    for (; st == RT_OK && end < text + n; end++)
        if (!isspace((unsigned char)*end) && *end)
            st = rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s:%d: expected the end of the text after the JSON value, found more text", name,
                         line_of(text, end));
    if (st != RT_OK) {
        cJSON_Delete(o);
        return st;
    }
    *out = o;
    return RT_OK;
}

rt_status rt_json_read(cJSON **out, const char *path, int flags)
{
    rt_buf    b  = {0};
    rt_status st = rt_file_read(&b, path, (size_t)64 << 20);
    if (st == RT_OK) st = rt_json_parse(out, b.p, b.len, flags, path);
    rt_buf_free(&b);
    return st;
}

static rt_status wrong_type(const cJSON *v, const char *key, const char *wanted, const char *where)
{
    char           *text = cJSON_PrintUnformatted(v);
    const rt_status st =
        rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: \"%s\" must be %s, found %.60s", where, key, wanted, text ? text : "?");
    free(text);
    return st;
}

static const int64_t MOST_WHOLE = (int64_t)1 << 53; /* a double represents all integers up to it exactly */

int rt_json_whole(const cJSON *e, int64_t least, int64_t most, int64_t *v)
{
    const double d = cJSON_GetNumberValue(e);
    RT_ASSERT(least >= -MOST_WHOLE && most <= MOST_WHOLE);
    if (!cJSON_IsNumber(e) || !(d >= (double)least && d <= (double)most) || d != floor(d)) return 0;
    *v = (int64_t)d;
    return 1;
}

rt_status rt_json_int(const cJSON *o, const char *key, int64_t *v, const char *where)
{
    const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!f || cJSON_IsNull(f)) return RT_OK;
    return rt_json_whole(f, -MOST_WHOLE, MOST_WHOLE, v) ? RT_OK : wrong_type(f, key, "a whole number", where);
}

rt_status rt_json_real(const cJSON *o, const char *key, double *v, const char *where)
{
    const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!f || cJSON_IsNull(f)) return RT_OK;
    if (!cJSON_IsNumber(f) || !isfinite(cJSON_GetNumberValue(f))) return wrong_type(f, key, "a number", where);
    *v = cJSON_GetNumberValue(f);
    return RT_OK;
}

rt_status rt_json_bool(const cJSON *o, const char *key, int *v, const char *where)
{
    const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!f || cJSON_IsNull(f)) return RT_OK;
    if (!cJSON_IsBool(f)) return wrong_type(f, key, "true or false", where);
    *v = cJSON_IsTrue(f);
    return RT_OK;
}

rt_status rt_json_text(const cJSON *o, const char *key, const char **v, const char *where)
{
    const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!f || cJSON_IsNull(f)) return RT_OK;
    if (!cJSON_IsString(f)) return wrong_type(f, key, "a string", where);
    *v = f->valuestring;
    return RT_OK;
}

rt_status rt_utf8_mend(rt_buf *b, const char *text)
{
    RT_TRY(rt_buf_str(b, ""));
    for (size_t n = strlen(text); n > 0;) {
        const size_t len = rt_utf8_length(text, n), step = len ? len : 1;
        RT_TRY(rt_buf_add(b, len ? text : "\xef\xbf\xbd", len ? len : 3));
        text += step;
        n -= step;
    }
    return RT_OK;
}

rt_status rt_json_bytes(rt_buf *b, const char *s)
{
    for (const char *nul; (nul = strstr(s, "\xc0\x80")); s = nul + 2) {
        RT_TRY(rt_buf_add(b, s, (size_t)(nul - s)));
        RT_TRY(rt_buf_add(b, "", 1));
    }
    return rt_buf_str(b, s);
}

static int letter_distance(char a, char b) { return a == b ? 0 : tolower((unsigned char)a) == tolower((unsigned char)b) ? 1 : 2; }

/* Returns the edit distance: 2 per letter substituted, inserted or deleted, 1 per letter that differs in case only. */
static int edit_distance(const char *a, const char *b)
{
    int       row[64];
    const int n = (int)strlen(b) < 63 ? (int)strlen(b) : 63;
    for (int j = 0; j <= n; j++) row[j] = 2 * j;
    for (int i = 1; *a; a++, i++) {
        int corner = row[0];
        row[0]     = 2 * i;
        for (int j = 1; j <= n; j++) {
            const int up = row[j], swap = corner + letter_distance(*a, b[j - 1]);
            int       best = up + 2 < row[j - 1] + 2 ? up + 2 : row[j - 1] + 2;
            if (swap < best) best = swap;
            corner = up;
            row[j] = best;
        }
    }
    return row[n];
}

const char *rt_nearest(const char *word, const char *const *names, int n)
{
    const char *best = NULL;
    int         near = 1 << 20;
    for (int i = 0; i < n; i++) {
        const int d = edit_distance(word, names[i]);
        if (d < near) near = d, best = names[i];
    }
    return best;
}
