/* memory.h -- allocation with error messages, and a growable byte buffer.
 *
 * All large blocks are allocated with rt_alloc: zeroed, aligned to 64 bytes, with
 * overflow checks, freed with free().  Data that grows with external input is
 * stored in an rt_buf, whose size the caller limits.
 */
#ifndef RT_CORE_MEMORY_H
#define RT_CORE_MEMORY_H
#include "core/status.h"
#include <stddef.h>
#include <stdint.h>

enum { RT_ALIGN = 64 };

/* Sets *out to n zeroed elements of `size` bytes, 64-byte aligned.  `what` names the block in
 * the error message.  n = 0 gives a valid pointer.  RT_EINVAL: n < 0.  RT_ENOMEM: not enough memory. */
rt_status rt_alloc(void **out, int64_t n, size_t size, const char *what);
#define RT_NEW(ptr, n) rt_alloc((void **)&(ptr), (n), sizeof *(ptr), #ptr)

/* Sets *copy to a copy of s, which the caller frees with free(). */
rt_status rt_strdup(char **copy, const char *s);

/* Ensures that array *a with capacity *cap has room for element n; doubles the capacity (0: 64) if not, which must be enough. */
rt_status rt_grow(void **a, int64_t n, int64_t *cap, size_t size);

/* Returns the bytes that this process may still use: the minimum of MemAvailable, what the cgroup
 * leaves and RLIMIT_AS; INT64_MAX if none can be read. */
int64_t rt_memory_available(void);
int64_t rt_memory_peak(void); /* the process's peak resident bytes so far */
/* Disables core dumps of this process from now on, because its memory holds a secret. */
void rt_memory_keep_secret(void);

/* A growable byte string, followed by a NUL that len does not count.
 * {0} is a valid empty buffer. */
typedef struct rt_buf {
    char  *p;
    size_t len, cap;
} rt_buf;

rt_status rt_buf_add(rt_buf *b, const void *bytes, size_t n);
rt_status rt_buf_str(rt_buf *b, const char *s);
rt_status rt_buf_fmt(rt_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
rt_status rt_buf_room(rt_buf *b, size_t n); /* allocates room for n more bytes */
void      rt_buf_clear(rt_buf *b);          /* sets len to 0 and keeps the memory */
void      rt_buf_free(rt_buf *b);           /* frees the memory and sets *b to {0} */
char     *rt_buf_detach(rt_buf *b); /* returns the bytes, which the caller frees with free(), and sets *b to {0}; NULL: nothing was added */
#endif
