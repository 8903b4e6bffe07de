/* chunk.c -- reading a stored chunk: the fletcher32 checksum is checked, then the chunk is inflated, at most to its rows' size. */
#include "data/h5/table.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct ds_h5_inflater {
    z_stream z;
    rt_buf   stored;
};

/* Fletcher's checksum over big-endian words of 16 bits; a last odd byte is the upper half of a word. */
static uint32_t fletcher32(const uint8_t *p, size_t n)
{
    uint32_t a = 0, b = 0;
    for (size_t words = n / 2; words;) {
        const size_t part = words < 360 ? words : 360; /* sums of so many words cannot overflow */
        for (size_t i = 0; i < part; i++, p += 2) a += (uint32_t)p[0] << 8 | p[1], b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
        words -= part;
    }
    if (n % 2) {
        a += (uint32_t)*p << 8, b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
    return b << 16 | a;
}

static rt_status chunk_begin(ds_h5_inflater **z)
{
    ds_h5_inflater *x;
    if (*z) return RT_OK;
    RT_TRY(RT_NEW(x, 1));
    if (inflateInit(&x->z) != Z_OK) {
        free(x);
        RT_FAIL(RT_ENOMEM, "no memory for zlib");
    }
    *z = x;
    return RT_OK;
}

void ds_h5_inflater_free(ds_h5_inflater **z)
{
    if (!*z) return;
    inflateEnd(&(*z)->z);
    rt_buf_free(&(*z)->stored);
    free(*z);
    *z = NULL;
}

/* Inflates the first `bytes` bytes into out and discards the rest, up to `whole` bytes in all.  Returns NULL or a description of
 * the fault. */
static const char *inflate_all(z_stream *z, uint8_t *in, size_t n, uint8_t *out, size_t bytes, size_t whole)
{
    uint8_t rest[4096];
    int     code = Z_OK;
    if (inflateReset(z) != Z_OK) return "a chunk that cannot be inflated";
    z->next_in   = in;
    z->avail_in  = (uInt)n;
    z->next_out  = out;
    z->avail_out = (uInt)bytes;
    while (code == Z_OK && z->total_out <= whole) {
        if (!z->avail_out) z->next_out = rest, z->avail_out = sizeof rest;
        code = inflate(z, Z_NO_FLUSH);
    }
    if (code != Z_STREAM_END && z->total_out <= whole) return "a chunk that cannot be inflated";
    return z->total_out == whole && z->avail_in == 0 ? NULL : "a chunk that inflates to more or less than its rows";
}

/* Reads the stored bytes of a chunk, without their checksum. */
static rt_status read_stored(const ds_h5_source *s, const ds_h5_piece *p, rt_buf *b)
{
    DS_H5_CHECK(p->size > 4 && p->size <= (uint64_t)s->size && p->size < (uint64_t)1 << 31, s, p->at, "a chunk of an impossible size");
    rt_buf_clear(b);
    RT_TRY(rt_buf_room(b, p->size));
    RT_TRY(ds_h5_bytes(s, p->at, p->size, b->p));
    b->len           = p->size - 4;
    ds_h5_cursor sum = {(uint8_t *)b->p + b->len, 4, 0};
    DS_H5_CHECK(ds_h5_take(&sum, 4) == fletcher32((uint8_t *)b->p, b->len), s, p->at, "a chunk with a wrong checksum");
    return RT_OK;
}

rt_status ds_h5_chunk_read(const ds_h5_table *t, const ds_h5_source *s, const ds_h5_piece *p, ds_h5_inflater **z, size_t bytes, void *out)
{
    const size_t   whole    = (size_t)(t->chunk * t->row);
    const uint32_t may_skip = t->gzip ? 1 : 0; /* gzip may be omitted for a chunk that it would not shrink, the checksum never */
    DS_H5_CHECK(!(p->skipped & ~may_skip), s, p->at, "a chunk without a checksum");
    RT_TRY(chunk_begin(z));
    rt_buf *b = &(*z)->stored;
    RT_TRY(read_stored(s, p, b));
    if (t->gzip && !p->skipped) {
        const char *fault = inflate_all(&(*z)->z, (uint8_t *)b->p, b->len, out, bytes, whole);
        DS_H5_CHECK(!fault, s, p->at, fault);
        return RT_OK;
    }
    DS_H5_CHECK(b->len == whole, s, p->at, "a chunk of another size than its rows");
    memcpy(out, b->p, bytes);
    return RT_OK;
}
