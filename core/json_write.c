/* json_write.c -- writes JSON strings and numbers, and the separators between values. */
#include "core/json_write.h"
#include "core/utf8.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

rt_status rt_json_quote(rt_buf *b, const char *s, size_t n)
{
    RT_TRY(rt_buf_add(b, "\"", 1));
    for (size_t i = 0; i < n;) {
        const unsigned char c   = (unsigned char)s[i];
        const size_t        len = rt_utf8_length(s + i, n - i);
        if (!len) RT_TRY(rt_buf_str(b, "\xef\xbf\xbd"));
        else if (c == '"' || c == '\\') RT_TRY(rt_buf_fmt(b, "\\%c", c));
        else if (c == '\n') RT_TRY(rt_buf_str(b, "\\n"));
        else if (c < 0x20 || c == 0x7f) RT_TRY(rt_buf_fmt(b, "\\u%04x", c));
        else RT_TRY(rt_buf_add(b, s + i, len));
        i += len ? len : 1;
    }
    return rt_buf_add(b, "\"", 1);
}

rt_status rt_json_number(rt_buf *b, double x, int digits) { return isfinite(x) ? rt_buf_fmt(b, "%.*g", digits, x) : rt_buf_str(b, "null"); }

/* ---- between values ---------------------------------------------------------------------------- */

static void json_keep(rt_json_writer *w, rt_status st)
{
    if (st != RT_OK) w->st = rt_trace(st, __FILE__, __LINE__);
}

static void json_add(rt_json_writer *w, const char *s, size_t n)
{
    if (w->st == RT_OK) json_keep(w, rt_buf_add(w->out, s, n));
}

static int on_lines(const rt_json_writer *w) { return w->depth <= w->lines; }

static void new_line(rt_json_writer *w)
{
    if (w->st == RT_OK) json_keep(w, rt_buf_fmt(w->out, "\n%*s", 2 * w->depth, ""));
}

/* Writes the separator before a key, or before a value without a key. */
static void separate(rt_json_writer *w)
{
    if (!w->depth) return;
    if (w->filled) json_add(w, ", ", w->lines && !on_lines(w) ? 2 : 1);
    if (on_lines(w)) new_line(w);
}

static void begin_key(rt_json_writer *w)
{
    RT_ASSERT(w->st != RT_OK || (w->depth && w->close[w->depth - 1] == '}' && !w->keyed));
    separate(w);
}

static void end_key(rt_json_writer *w)
{
    json_add(w, ": ", w->lines ? 2 : 1);
    w->keyed = 1;
}

void rt_put_key(rt_json_writer *w, const char *s, size_t n)
{
    begin_key(w);
    if (w->st == RT_OK) json_keep(w, rt_json_quote(w->out, s, n));
    end_key(w);
}

void rt_put_raw_key(rt_json_writer *w, const char *json, size_t n)
{
    begin_key(w);
    json_add(w, json, n);
    end_key(w);
}

/* Writes what precedes a value.  Returns 1 if the value can be written, 0 after a failure. */
static int json_begin(rt_json_writer *w, const char *key)
{
    if (key) rt_put_key(w, key, strlen(key));
    else if (!w->keyed) separate(w);
    w->keyed  = 0;
    w->filled = 1;
    return w->st == RT_OK;
}

/* ---- values ------------------------------------------------------------------------------------ */

static void open_level(rt_json_writer *w, const char *key, const char *bracket, char close)
{
    if (!json_begin(w, key)) return;
    if (w->depth == RT_JSON_DEPTH) {
        w->st = rt_fail(RT_EINVAL, __FILE__, __LINE__, "the JSON to write has more than %d levels", RT_JSON_DEPTH);
        return;
    }
    json_add(w, bracket, 1);
    w->close[w->depth++] = close;
    w->filled            = 0;
}

void rt_put_object(rt_json_writer *w, const char *key) { open_level(w, key, "{", '}'); }
void rt_put_array(rt_json_writer *w, const char *key) { open_level(w, key, "[", ']'); }

void rt_put_end(rt_json_writer *w)
{
    if (w->st != RT_OK) return;
    if (!w->depth) {
        w->st = rt_fail(RT_EINVAL, __FILE__, __LINE__, "the JSON to write ends an object or array that was not begun");
        return;
    }
    const int own_line = on_lines(w);
    RT_ASSERT(!w->keyed);
    w->depth--;
    w->filled = 1;
    if (own_line) new_line(w);
    json_add(w, &w->close[w->depth], 1);
}

void rt_put_bytes(rt_json_writer *w, const char *key, const char *s, size_t n)
{
    if (json_begin(w, key)) json_keep(w, rt_json_quote(w->out, s, n));
}

void rt_put_text(rt_json_writer *w, const char *key, const char *s)
{
    if (s) rt_put_bytes(w, key, s, strlen(s));
    else rt_put_null(w, key);
}

void rt_put_format(rt_json_writer *w, const char *key, const char *fmt, ...)
{
    char    text[128];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n >= 0 && n < (int)sizeof text) rt_put_bytes(w, key, text, (size_t)n);
    else if (w->st == RT_OK)
        w->st = rt_fail(RT_EINVAL, __FILE__, __LINE__, "the JSON string of format \"%s\" has more than %zu bytes", fmt, sizeof text - 1);
}

void rt_put_int(rt_json_writer *w, const char *key, int64_t v)
{
    if (json_begin(w, key)) json_keep(w, rt_buf_fmt(w->out, "%lld", (long long)v));
}

void rt_put_real(rt_json_writer *w, const char *key, double x, int digits)
{
    if (json_begin(w, key)) json_keep(w, rt_json_number(w->out, x, digits));
}

void rt_put_fixed(rt_json_writer *w, const char *key, double x, int decimals)
{
    if (json_begin(w, key)) json_keep(w, isfinite(x) ? rt_buf_fmt(w->out, "%.*f", decimals, x) : rt_buf_str(w->out, "null"));
}

void rt_put_raw(rt_json_writer *w, const char *key, const char *json, size_t n)
{
    if (json_begin(w, key)) json_add(w, json, n);
}

void rt_put_line_end(rt_json_writer *w) { json_add(w, "\n", 1); }
void rt_put_bool(rt_json_writer *w, const char *key, int yes) { rt_put_raw(w, key, yes ? "true" : "false", yes ? 4 : 5); }
void rt_put_null(rt_json_writer *w, const char *key) { rt_put_raw(w, key, "null", 4); }
