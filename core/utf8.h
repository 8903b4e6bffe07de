/* utf8.h -- validation of UTF-8 characters. */
#ifndef RT_CORE_UTF8_H
#define RT_CORE_UTF8_H
#include <stddef.h>

/* Returns the length in bytes of the UTF-8 character at s, where n >= 1 bytes are readable; 0 if it is not valid (RFC 3629). */
size_t rt_utf8_length(const char *s, size_t n);
#endif
