/* json.h -- reading JSON with cJSON and precise error messages; json_write.h writes JSON.
 *
 * Duplicate keys are errors.  Configuration files may contain // comments, which
 * are replaced by spaces, so that line numbers in errors stay correct.  Responses of servers may contain NaN and
 * Infinity (read as null) and lone surrogates (read as U+FFFD).
 */
#ifndef RT_CORE_JSON_H
#define RT_CORE_JSON_H
#include "core/json_write.h"
#include "core/memory.h"
#include "core/utf8.h"
#include <cjson/cJSON.h>

/* Largest number of values in one text; the parsed tree needs about 120 bytes per value. */
enum { RT_JSON_VALUES = 12 << 20 };
enum {
    RT_JSON_COMMENTS   = 1,
    RT_JSON_LENIENT    = 2,
    RT_JSON_DUPLICATES = 4 /* allows duplicate keys */,
    RT_JSON_ANY        = 8 /* allows any value at the top, not only an object */,
    RT_JSON_EXACT      = 16 /* keeps the digits of numbers for rt_json_print; reads lone surrogates as U+FFFD; refuses NaN */
};

/* Parses n bytes of `text`, which it changes in place (comments, NaN).  `name` is the file in error messages
 * ("FILE:LINE: ...").  RT_EFORMAT: not valid JSON, or not an object.  Free *out with cJSON_Delete. */
rt_status rt_json_parse(cJSON **out, char *text, size_t n, int flags, const char *name);
rt_status rt_json_read(cJSON **out, const char *path, int flags); /* files up to 64 MB */

/* Read a field of an object.  If the field is missing or null, *v is not changed.  RT_EFORMAT: the
 * field has another type; the message names `where` and the key.  Strings belong to the object. */
rt_status rt_json_int(const cJSON *o, const char *key, int64_t *v, const char *where);
rt_status rt_json_real(const cJSON *o, const char *key, double *v, const char *where);
rt_status rt_json_bool(const cJSON *o, const char *key, int *v, const char *where);
rt_status rt_json_text(const cJSON *o, const char *key, const char **v, const char *where);

/* Sets *v to the number `e` and returns 1 if it is an integer from `least` to `most`, whose magnitudes are at most 2^53; else
 * returns 0.  Use this to convert a JSON number to an integer, because a cast of a double out of range is undefined. */
int rt_json_whole(const cJSON *e, int64_t least, int64_t most, int64_t *v);

/* Appends the text of a parsed string.  Parsed strings hold U+0000 as the bytes C0 80, because a NUL would end them; this
 * restores the NUL.  Read all strings with it that may contain arbitrary text. */
rt_status rt_json_bytes(rt_buf *b, const char *string);

/* Appends a text and replaces every byte that is not valid UTF-8 by U+FFFD. */
rt_status rt_utf8_mend(rt_buf *b, const char *text);

/* Appends a value in one line.  A number parsed with RT_JSON_EXACT is printed with its original digits; U+0000 is printed
 * as its escape. */
rt_status rt_json_print(rt_buf *b, const cJSON *v);

/* Returns the entry of names[0 .. n-1] with the smallest edit distance to `word`; NULL if n = 0. */
const char *rt_nearest(const char *word, const char *const *names, int n);
#endif
