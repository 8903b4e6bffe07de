/* utf8.h -- characters of UTF-8. */
#ifndef RT_CORE_UTF8_H
#define RT_CORE_UTF8_H
#include <stddef.h>

/* Bytes of the UTF-8 character at s (n bytes are there), 0 when it is none (RFC 3629). */
size_t rt_utf8_length(const char *s, size_t n);
#endif
