/* json.h -- reading JSON with good errors (over cJSON); json_write.h writes it.
 *
 * Duplicate keys are errors.  Configuration files may hold // comments: they
 * are blanked, so that errors keep their line.  Answers of servers may hold NaN,
 * Infinity (read as null) and lone surrogates (read as U+FFFD).
 */
#ifndef RT_CORE_JSON_H
#define RT_CORE_JSON_H
#include "core/json_write.h"
#include "core/memory.h"
#include "core/utf8.h"
#include <cjson/cJSON.h>

/* More values than this in one text are refused: a tree takes about 120 bytes of each. */
enum { RT_JSON_VALUES = 12 << 20 };
enum {
    RT_JSON_COMMENTS   = 1,
    RT_JSON_LENIENT    = 2,
    RT_JSON_DUPLICATES = 4 /* allow */,
    RT_JSON_ANY        = 8 /* at the top, not only an object */,
    RT_JSON_EXACT      = 16 /* numbers keep their digits for rt_json_print; lone surrogates are read as U+FFFD, NaN is refused */
};

/* `text` of n bytes is changed in place (comments, NaN); name is for errors
 * ("FILE:LINE: ...").  RT_EFORMAT unless it is an object.  Free *out with cJSON_Delete. */
rt_status rt_json_parse(cJSON **out, char *text, size_t n, int flags, const char *name);
rt_status rt_json_read(cJSON **out, const char *path, int flags); /* files up to 64 MB */

/* Fields of an object.  A missing field keeps *v; one of another type is
 * RT_EFORMAT that names `where` and the key. */
rt_status rt_json_int(const cJSON *o, const char *key, int64_t *v, const char *where);
rt_status rt_json_real(const cJSON *o, const char *key, double *v, const char *where);
rt_status rt_json_bool(const cJSON *o, const char *key, int *v, const char *where);
rt_status rt_json_text(const cJSON *o, const char *key, const char **v, const char *where);

/* *v = a number without a fraction from `least` to `most`, both within 2^53 of 0; 0 where `e` is anything else: the way
 * from a JSON number to an integer, since a cast of what does not fit is undefined. */
int rt_json_whole(const cJSON *e, int64_t least, int64_t most, int64_t *v);

/* A string of a parsed value holds U+0000 as the bytes C0 80, so that it does not end there: this appends the text
 * itself.  Whatever is more than a name or a number is read with it. */
rt_status rt_json_bytes(rt_buf *b, const char *string);

/* Append a text with every byte that is no UTF-8 replaced by U+FFFD. */
rt_status rt_utf8_mend(rt_buf *b, const char *text);

/* Append a value in one line.  A number parsed with RT_JSON_EXACT is printed with the digits that it was written with, U+0000
 * as its escape. */
rt_status rt_json_print(rt_buf *b, const cJSON *v);

/* The entry of names[0..n) nearest to `word` in edit distance; NULL when n = 0. */
const char *rt_nearest(const char *word, const char *const *names, int n);
#endif
