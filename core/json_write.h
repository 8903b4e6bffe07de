/* json_write.h -- a JSON writer that adds commas, quotes, escapes and line ends.
 *
 *     rt_json_writer w = {.out = &b};
 *     rt_put_object(&w, NULL);
 *     rt_put_text(&w, "path", path);
 *     rt_put_array(&w, "ids");
 *     for (int64_t i = 0; i < n; i++) rt_put_int(&w, NULL, ids[i]);
 *     rt_put_end(&w);
 *     rt_put_end(&w);
 *     return w.st;                       {"path":"a.h5","ids":[1,2,3]}
 *
 * Each function appends one value to *out.  With a `key` it is a member of the open object.  With NULL it is an element of the
 * open array, the value of rt_put_key's key, or the whole text.  `st` keeps the first failure, after which nothing is written;
 * a caller may set it too.
 */
#ifndef RT_CORE_JSON_WRITE_H
#define RT_CORE_JSON_WRITE_H
#include "core/memory.h"

enum { RT_JSON_DEPTH = 16 }; /* largest number of nested objects and arrays */

typedef struct rt_json_writer {
    rt_buf   *out;
    rt_status st;
    /* 0: no white space.  Else each element of the outer `lines` levels is on its own line, indented by two spaces per level,
     * and a space follows the other commas and all colons.  The caller may change it between values. */
    int  lines;
    int  depth, filled, keyed; /* private to the writer; close: the closing bracket of each open level */
    char close[RT_JSON_DEPTH];
} rt_json_writer;

void rt_put_object(rt_json_writer *w, const char *key);
void rt_put_array(rt_json_writer *w, const char *key);
void rt_put_end(rt_json_writer *w); /* ends the object or array opened last */

void rt_put_text(rt_json_writer *w, const char *key, const char *s); /* see rt_json_quote; NULL: writes null */
void rt_put_bytes(rt_json_writer *w, const char *key, const char *s, size_t n);
/* A string of at most 127 bytes, formatted as by printf, e.g. "%llu" for 64-bit numbers, which a double cannot represent. */
void rt_put_format(rt_json_writer *w, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void rt_put_int(rt_json_writer *w, const char *key, int64_t v);
void rt_put_real(rt_json_writer *w, const char *key, double x, int digits);    /* see rt_json_number */
void rt_put_fixed(rt_json_writer *w, const char *key, double x, int decimals); /* NaN and infinity are written as null */
void rt_put_bool(rt_json_writer *w, const char *key, int yes);
void rt_put_null(rt_json_writer *w, const char *key);
/* JSON text, written unchanged: a value, or several members with their commas. */
void rt_put_raw(rt_json_writer *w, const char *key, const char *json, size_t n);
/* Appends a line end after a whole text. */
void rt_put_line_end(rt_json_writer *w);

/* Writes the key of the next value: n bytes of text, or a JSON string that is written unchanged. */
void rt_put_key(rt_json_writer *w, const char *s, size_t n);
void rt_put_raw_key(rt_json_writer *w, const char *json, size_t n);

/* Appends n bytes as a quoted string with escapes; bytes that are not valid UTF-8 become U+FFFD. */
rt_status rt_json_quote(rt_buf *b, const char *s, size_t n);
/* Appends a number with `digits` significant digits; NaN and infinity are written as null. */
rt_status rt_json_number(rt_buf *b, double x, int digits);
#endif
