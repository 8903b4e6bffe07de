/* json_exact.c -- keeps and prints the original spelling of numbers, and prints U+0000. */
#include "core/json_exact.h"
#include "core/json.h"
#include <stdlib.h>
#include <string.h>

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p)) p++;
    return p;
}

/* Returns 1 if p .. end is exactly one number of JSON's grammar.  cJSON also accepts others, like 01. */
static int is_number(const char *p, const char *end)
{
    if (p < end && *p == '-') p++;
    const char *whole = p;
    p                 = skip_digits(p, end);
    if (p == whole || (*whole == '0' && p > whole + 1)) return 0;
    if (p < end && *p == '.') {
        const char *part = ++p;
        if ((p = skip_digits(p, end)) == part) return 0;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        if (++p < end && (*p == '+' || *p == '-')) p++;
        const char *power = p;
        if ((p = skip_digits(p, end)) == power) return 0;
    }
    return p == end;
}

/* Returns the next number of a text that cJSON has parsed and sets *end to its end; NULL: no number is left. */
static const char *next_number(const char *p, const char *stop, const char **end)
{
    for (; p < stop && *p != '-' && !is_digit(*p); p++)
        if (*p == '"')
            for (p++; p < stop && *p != '"'; p++) p += *p == '\\';
    if (p >= stop) return NULL;
    for (*end = p; *end < stop && (is_digit(**end) || (**end && strchr("+-.eE", **end)));) ++*end;
    return p;
}

typedef struct walk {
    const char *at, *stop;
} walk;

static rt_status exact_keep(cJSON *v, walk *w)
{
    cJSON *e;
    if (cJSON_IsNumber(v)) {
        const char *end, *from = next_number(w->at, w->stop, &end);
        RT_CHECK(from, RT_EFORMAT, "the JSON text has fewer numbers than its parsed tree");
        w->at = end;
        if (!is_number(from, end)) return RT_OK;
        v->valuestring = malloc((size_t)(end - from) + 1);
        RT_CHECK(v->valuestring, RT_ENOMEM, "no memory for a number of %zu digits", (size_t)(end - from));
        memcpy(v->valuestring, from, (size_t)(end - from));
        v->valuestring[end - from] = '\0';
    }
    cJSON_ArrayForEach(e, v) RT_TRY(exact_keep(e, w));
    return RT_OK;
}

rt_status rt_json_keep_numbers(cJSON *o, const char *text, size_t n)
{
    walk w = {text, text + n};
    return exact_keep(o, &w);
}

/* ---- printing --------------------------------------------------------------------------------- */

static void as_written(cJSON *v)
{
    cJSON *e;
    if (cJSON_IsNumber(v) && v->valuestring) v->type = cJSON_Raw;
    cJSON_ArrayForEach(e, v) as_written(e);
}

static rt_status add_with_nuls(rt_buf *b, const char *s)
{
    for (const char *nul; (nul = strstr(s, "\xc0\x80")); s = nul + 2) {
        RT_TRY(rt_buf_add(b, s, (size_t)(nul - s)));
        RT_TRY(rt_buf_str(b, "\\u0000"));
    }
    return rt_buf_str(b, s);
}

rt_status rt_json_print(rt_buf *b, const cJSON *v)
{
    cJSON *copy = cJSON_Duplicate(v, 1);
    if (copy) as_written(copy);
    char *text = copy ? cJSON_PrintUnformatted(copy) : NULL;
    cJSON_Delete(copy);
    RT_CHECK(text, RT_ENOMEM, "no memory for the text of a JSON value");
    const rt_status st = add_with_nuls(b, text);
    free(text);
    return st;
}
