/* memory.c -- checked allocation, available memory, the byte buffer. */
#include "core/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum { HUGE_PAGE = 2 << 20, HUGE = 4 * HUGE_PAGE };
enum { LARGE = 1 << 26 }; /* smaller blocks are allocated without checking the available memory */

rt_status rt_alloc(void **out, int64_t n, size_t size, const char *what)
{
    RT_CHECK(n >= 0, RT_EINVAL, "%s: the number of elements must not be negative, found %lld", what, (long long)n);
    RT_CHECK(size == 0 || (uint64_t)n <= (SIZE_MAX / 2) / size, RT_ENOMEM, "%s: %lld elements of %zu bytes exceed the address space", what,
             (long long)n, size);
    size_t bytes = (size_t)n * size;
    bytes        = (bytes + RT_ALIGN - 1) / RT_ALIGN * RT_ALIGN;
    RT_CHECK(bytes < LARGE || (int64_t)bytes <= rt_memory_available(), RT_ENOMEM,
             "no memory for %s: needs %.1f MB, but %.1f MB are available", what, (double)bytes / 1e6, (double)rt_memory_available() / 1e6);
    const size_t align = bytes < HUGE ? RT_ALIGN : HUGE_PAGE, whole = bytes ? (bytes + align - 1) / align * align : RT_ALIGN;
    void        *p = aligned_alloc(align, whole);
    RT_CHECK(p, RT_ENOMEM, "no memory for %s: the system refuses %.1f MB, although %.1f MB are available", what, (double)bytes / 1e6,
             (double)rt_memory_available() / 1e6);
    if (bytes >= HUGE) madvise(p, bytes, MADV_HUGEPAGE); /* fewer TLB misses; advisory */
    memset(p, 0, bytes ? bytes : RT_ALIGN);
    *out = p;
    return RT_OK;
}

rt_status rt_strdup(char **copy, const char *s)
{
    char *c = strdup(s);
    RT_CHECK(c, RT_ENOMEM, "no memory for a string of %zu bytes", strlen(s));
    *copy = c;
    return RT_OK;
}

rt_status rt_grow(void **a, int64_t n, int64_t *cap, size_t size)
{
    if (n < *cap) return RT_OK;
    const int64_t c = *cap ? 2 * *cap : 64;
    RT_ASSERT(n >= 0 && n < c);
    void *p = realloc(*a, (size_t)c * size);
    RT_CHECK(p, RT_ENOMEM, "no memory for an array of %lld elements of %zu bytes", (long long)c, size);
    *a   = p;
    *cap = c;
    return RT_OK;
}

/* Returns the number that follows `key` at the start of a line of a text file, or -1. */
static int64_t number_in(const char *path, const char *key)
{
    char      line[256];
    long long v = -1;
    FILE     *f = fopen(path, "r");
    if (!f) return -1;
    while (v < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)) && sscanf(line + strlen(key), "%lld", &v) != 1) v = -1;
    fclose(f);
    return v;
}

int64_t rt_memory_available(void)
{
    int64_t       left = INT64_MAX;
    const int64_t kb   = number_in("/proc/meminfo", "MemAvailable:");
    const int64_t max = number_in("/sys/fs/cgroup/memory.max", ""), used = number_in("/sys/fs/cgroup/memory.current", "");
    struct rlimit lim;
    if (kb >= 0) left = kb * 1024;
    if (max >= 0 && used >= 0 && max - used < left) left = max - used;
    if (!getrlimit(RLIMIT_AS, &lim) && lim.rlim_cur != RLIM_INFINITY && (int64_t)lim.rlim_cur < left) left = (int64_t)lim.rlim_cur;
    return left;
}

int64_t rt_memory_peak(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (int64_t)u.ru_maxrss * 1024;
}

rt_status rt_buf_room(rt_buf *b, size_t n)
{
    RT_ASSERT(b->p ? b->len < b->cap : !b->len && !b->cap);
    if (b->len + n + 1 <= b->cap) return RT_OK;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->len + n + 1) cap *= 2;
    char *p = realloc(b->p, cap);
    RT_CHECK(p, RT_ENOMEM, "no memory for a buffer of %zu bytes", cap);
    b->p   = p;
    b->cap = cap;
    return RT_OK;
}

rt_status rt_buf_add(rt_buf *b, const void *bytes, size_t n)
{
    RT_TRY(rt_buf_room(b, n));
    if (n) memcpy(b->p + b->len, bytes, n);
    b->len += n;
    b->p[b->len] = '\0';
    return RT_OK;
}

rt_status rt_buf_str(rt_buf *b, const char *s) { return rt_buf_add(b, s, strlen(s)); }

rt_status rt_buf_fmt(rt_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    RT_CHECK(n >= 0, RT_EINVAL, "the text for the format \"%s\" cannot be written", fmt);
    RT_TRY(rt_buf_room(b, (size_t)n));
    va_start(ap, fmt);
    vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return RT_OK;
}

void rt_buf_clear(rt_buf *b)
{
    b->len = 0;
    if (b->p) b->p[0] = '\0';
}

void rt_buf_free(rt_buf *b)
{
    free(b->p);
    *b = (rt_buf){0};
}

char *rt_buf_detach(rt_buf *b)
{
    char *p = b->p;
    *b      = (rt_buf){0};
    return p;
}

/* RLIMIT_CORE would not apply to core dumps that are piped to a program. */
void rt_memory_keep_secret(void) { prctl(PR_SET_DUMPABLE, 0); }
