/* block.c -- reading bytes of an HDF5 file: bounds, checksums, little-endian numbers. */
#include "data/h5/block.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

rt_status ds_h5_bytes(const ds_h5_source *s, uint64_t at, uint64_t n, void *to)
{
    char *p = to;
    DS_H5_CHECK(at <= (uint64_t)s->size && n <= (uint64_t)s->size - at, s, at, "a reference beyond the end of the file");
    while (n > 0) {
        const ssize_t got = pread(s->fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        RT_CHECK(got >= 0, RT_EIO, "%s: cannot be read: %s", s->path, strerror(errno));
        RT_CHECK(got > 0, RT_EIO, "%s: the file became shorter while it was being read", s->path);
        p += got;
        at += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return RT_OK;
}

rt_status ds_h5_block(const ds_h5_source *s, uint64_t at, uint64_t n, const char *letters, int version, rt_buf *out)
{
    DS_H5_CHECK(n >= 9 && at <= (uint64_t)s->size && n <= (uint64_t)s->size - at, s, at, "a block beyond the end of the file");
    rt_buf_clear(out);
    RT_TRY(rt_buf_room(out, n));
    RT_TRY(ds_h5_bytes(s, at, n, out->p));
    out->len         = n;
    const uint8_t *p = (const uint8_t *)out->p;
    DS_H5_CHECK(!memcmp(p, letters, 4) && (version < 0 || p[4] == version), s, at, "a block of an unexpected kind or version");
    ds_h5_cursor sum = {p + n - 4, 4, 0};
    DS_H5_CHECK(ds_h5_lookup3(p, n - 4) == ds_h5_take(&sum, 4), s, at, "a block with a wrong checksum");
    return RT_OK;
}

uint64_t ds_h5_take(ds_h5_cursor *c, size_t n)
{
    RT_ASSERT(n <= 8);
    uint64_t       v = 0;
    const uint8_t *p = ds_h5_skip(c, n);
    for (size_t i = 0; p && i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

const uint8_t *ds_h5_skip(ds_h5_cursor *c, size_t n)
{
    const uint8_t *p = c->p;
    if (c->bad || n > c->n) {
        c->bad = 1;
        return NULL;
    }
    c->p += n;
    c->n -= n;
    return p;
}

int ds_h5_bytes_for(uint64_t most)
{
    int n = 1;
    while (most >>= 8) n++;
    return n;
}

/* ---- Bob Jenkins's lookup3, "hashlittle" ---------------------------------------------- */

static uint32_t block_turn(uint32_t x, int k) { return x << k | x >> (32 - k); }

static void block_mix(uint32_t v[3])
{
    static const int k[6] = {4, 6, 8, 16, 19, 4};
    for (int i = 0; i < 6; i++) { /* the roles of a, b and c rotate */
        uint32_t *a = &v[i % 3], *b = &v[(i + 1) % 3], *c = &v[(i + 2) % 3];
        *a -= *c;
        *a ^= block_turn(*c, k[i]);
        *c += *b;
    }
}

static void block_finish(uint32_t v[3])
{
    static const int k[7] = {14, 11, 25, 16, 4, 14, 24};
    for (int i = 0; i < 7; i++) { /* updates c from b, a from c, b from a, ... */
        uint32_t *to = &v[(i + 2) % 3], *from = &v[(i + 1) % 3];
        *to ^= *from;
        *to -= block_turn(*from, k[i]);
    }
}

uint32_t ds_h5_lookup3(const void *bytes, size_t n)
{
    const uint8_t *p    = bytes;
    const uint32_t seed = 0xdeadbeefu + (uint32_t)n;
    uint32_t       v[3] = {seed, seed, seed};
    if (n == 0) return seed;
    for (; n > 12; n -= 12, p += 12) {
        for (int i = 0; i < 12; i++) v[i / 4] += (uint32_t)p[i] << 8 * (i % 4);
        block_mix(v);
    }
    for (size_t i = 0; i < n; i++) v[i / 4] += (uint32_t)p[i] << 8 * (i % 4);
    block_finish(v);
    return v[2];
}
