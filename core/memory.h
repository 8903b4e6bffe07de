/* memory.h -- allocation that reports, and a growable byte buffer.
 *
 * Everything large goes through rt_alloc: zeroed, aligned to 64 bytes, size
 * products checked.  Free with free().  What grows from outside input uses
 * rt_buf, whose growth is capped by the caller.
 */
#ifndef RT_CORE_MEMORY_H
#define RT_CORE_MEMORY_H
#include "core/status.h"
#include <stddef.h>
#include <stdint.h>

enum { RT_ALIGN = 64 };

/* *out = n zeroed elements of `size` bytes, 64-byte aligned; `what` names it in
 * the error.  n = 0 gives a valid pointer.  RT_EINVAL when n < 0, RT_ENOMEM. */
rt_status rt_alloc(void **out, int64_t n, size_t size, const char *what);
#define RT_NEW(ptr, n) rt_alloc((void **)&(ptr), (n), sizeof *(ptr), #ptr)

/* *copy = a new string equal to s. */
rt_status rt_strdup(char **copy, const char *s);

/* Make room for one more element in array *a of *cap elements, doubling. */
rt_status rt_grow(void **a, int64_t n, int64_t *cap, size_t size);

/* Bytes that this process may still use: the smaller of MemAvailable and what
 * the cgroup leaves; INT64_MAX where neither can be read. */
int64_t rt_memory_available(void);
int64_t rt_memory_peak(void); /* the process's peak resident bytes so far */
/* From here on this process leaves no core dump: its memory holds a secret. */
void rt_memory_keep_secret(void);

/* A growable byte string, always followed by a NUL that len does not count.
 * {0} is empty and valid. */
typedef struct rt_buf {
    char  *p;
    size_t len, cap;
} rt_buf;

rt_status rt_buf_add(rt_buf *b, const void *bytes, size_t n);
rt_status rt_buf_str(rt_buf *b, const char *s);
rt_status rt_buf_fmt(rt_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
rt_status rt_buf_room(rt_buf *b, size_t n); /* memory for n more bytes */
void      rt_buf_clear(rt_buf *b);          /* len = 0, memory kept */
void      rt_buf_free(rt_buf *b);           /* back to {0} */
char     *rt_buf_detach(rt_buf *b);         /* the bytes, now the caller's to free(), and b is {0}; NULL where nothing was added */
#endif
