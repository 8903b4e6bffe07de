/* json_write.h -- writing JSON: commas, quotes, escapes and line ends are the writer's job.
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
 * Each function appends one value to *out: with `key` a member of the open object, with NULL an element of the open array, the
 * value of rt_put_key's key, or the whole text.  Nothing is written after a failure, which `st` keeps; a caller may set it too.
 */
#ifndef RT_CORE_JSON_WRITE_H
#define RT_CORE_JSON_WRITE_H
#include "core/memory.h"

enum { RT_JSON_DEPTH = 16 }; /* objects and arrays that may be open at once */

typedef struct rt_json_writer {
    rt_buf   *out;
    rt_status st;
    /* 0: no white space.  Else the elements of the outer `lines` levels stand on lines of their own, indented by two spaces a level,
     * and a space follows the other commas and all colons.  May change from one value to the next. */
    int  lines;
    int  depth, filled, keyed; /* the writer's own, and what closes each open level */
    char close[RT_JSON_DEPTH];
} rt_json_writer;

void rt_put_object(rt_json_writer *w, const char *key);
void rt_put_array(rt_json_writer *w, const char *key);
void rt_put_end(rt_json_writer *w); /* of what was opened last */

void rt_put_text(rt_json_writer *w, const char *key, const char *s); /* as rt_json_quote; NULL: null */
void rt_put_bytes(rt_json_writer *w, const char *key, const char *s, size_t n);
/* A string of at most 127 bytes by printf's rules: "%llu" for numbers of 64 bits, which a reader's double does not hold. */
void rt_put_format(rt_json_writer *w, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void rt_put_int(rt_json_writer *w, const char *key, int64_t v);
void rt_put_real(rt_json_writer *w, const char *key, double x, int digits);    /* as rt_json_number */
void rt_put_fixed(rt_json_writer *w, const char *key, double x, int decimals); /* NaN and infinity as null */
void rt_put_bool(rt_json_writer *w, const char *key, int yes);
void rt_put_null(rt_json_writer *w, const char *key);
/* JSON text as it is: a value, or several members with their commas. */
void rt_put_raw(rt_json_writer *w, const char *key, const char *json, size_t n);
/* A line's end behind a whole text. */
void rt_put_line_end(rt_json_writer *w);

/* The next value's key where it is no C string: any bytes, or a JSON string as it is. */
void rt_put_key(rt_json_writer *w, const char *s, size_t n);
void rt_put_raw_key(rt_json_writer *w, const char *json, size_t n);

/* Append "..." with escapes; bytes that are no UTF-8 become U+FFFD. */
rt_status rt_json_quote(rt_buf *b, const char *s, size_t n);
/* Append a number with `digits` significant digits; NaN and infinity as null. */
rt_status rt_json_number(rt_buf *b, double x, int digits);
#endif
