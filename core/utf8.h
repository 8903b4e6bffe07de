/* utf8.h -- UTF-8 characters: validation, and the ends of characters in a stream of bytes. */
#ifndef RT_CORE_UTF8_H
#define RT_CORE_UTF8_H
#include <stddef.h>

/* Returns the length in bytes of the UTF-8 character at s, where n >= 1 bytes are readable; 0 if it is not valid (RFC 3629). */
size_t rt_utf8_length(const char *s, size_t n);
/* Returns the number of bytes before the first that is not part of a valid character; n if all are valid.  n may be 0. */
size_t rt_utf8_prefix(const char *s, size_t n);
int    rt_utf8_valid(const char *s, size_t n); /* returns 1 if all n bytes are valid characters; n may be 0 */
/* Returns the length of the part at s that is not valid: the bytes of a character that breaks off, else 1.  The character at s is not
 * valid. */
size_t rt_utf8_broken(const char *s, size_t n);
/* Returns n without the bytes at the end of s[0 .. n-1] that begin a character which further bytes may complete. */
size_t rt_utf8_whole(const char *s, size_t n);
#endif
