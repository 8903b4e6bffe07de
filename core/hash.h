/* hash.h -- SHA-256 (libcrypto) of bytes and files, as lower-case hex. */
#ifndef RT_CORE_HASH_H
#define RT_CORE_HASH_H
#include "core/status.h"
#include <stddef.h>

enum { RT_SHA_HEX = 65 }; /* 64 digits and the NUL */

typedef struct rt_sha rt_sha; /* opaque; a digest in progress */

rt_status rt_sha_begin(rt_sha **out);
void      rt_sha_add(rt_sha *s, const void *bytes, size_t n);
void      rt_sha_end(rt_sha **s, char hex[RT_SHA_HEX]); /* frees *s and sets it to NULL; hex may be NULL */

rt_status rt_sha_bytes(const void *bytes, size_t n, char hex[RT_SHA_HEX]);
rt_status rt_sha_file(const char *path, char hex[RT_SHA_HEX]);
#endif
