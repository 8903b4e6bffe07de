/* ledger_pack.c -- compresses responses: JSON with log-probabilities shrinks to a quarter. */
#include "teacher/http.h"
#include "teacher/ledger_db.h"
#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 1 /* levels 2 to 5 compress such JSON no better and are slower */ };

static rt_status make_room(rt_buf *out, size_t n)
{
    if (out->cap > n) return RT_OK;
    rt_buf_free(out);
    out->p = malloc(n + 1);
    RT_CHECK(out->p, RT_ENOMEM, "no memory for a response of %zu bytes", n);
    out->cap = n + 1;
    return RT_OK;
}

rt_status tc_ledger_pack(rt_buf *out, const void *response, size_t n)
{
    RT_TRY(make_room(out, ZSTD_compressBound(n)));
    const size_t len = ZSTD_compress(out->p, out->cap, response, n, LEVEL);
    RT_CHECK(!ZSTD_isError(len), RT_ENOMEM, "a response cannot be compressed: %s", ZSTD_getErrorName(len));
    out->len = len;
    return RT_OK;
}

rt_status tc_ledger_unpack(rt_buf *out, const void *packed, size_t n, int64_t size, const char *where)
{
    RT_CHECK(size >= 0 && size <= TC_MAX_HELD, RT_EFORMAT, "%s is damaged: it records a response of %lld bytes", where, (long long)size);
    RT_TRY(make_room(out, (size_t)size));
    const size_t len = ZSTD_decompress(out->p, (size_t)size, packed, n);
    RT_CHECK(len == (size_t)size, RT_EFORMAT, "%s: a stored response is damaged: expected %lld bytes after decompression, found %s", where,
             (long long)size, ZSTD_isError(len) ? ZSTD_getErrorName(len) : "fewer");
    out->len    = len;
    out->p[len] = '\0';
    return RT_OK;
}
