/* index.c -- finding a chunk by its number: fixed and extensible arrays.
 *
 * An extensible array holds its first 4 entries in its index block, which also lists the next 6 data blocks (16 to 64 entries
 * each).  Later data blocks are listed in secondary blocks: number u has 2^(u/2) data blocks of 16 * 2^((u+1)/2) entries each, and
 * data blocks of 2048 entries or more consist of pages of 1024.
 */
#include "data/h5/table.h"

enum { HEAD, INNER, MIDDLE, LEAF }; /* levels of block[] */
enum { DIRECT = 4, FIRST = 16, NEAR = 4, NEAR_BLOCKS = 6, SUPERS = 29, PAGE = 1024, OFFSET = 4 /* bytes of a block's offset */ };

/* Bytes of the stored size in an entry, which consists of address, stored size and filter mask. */
static int size_bytes(const ds_h5_table *t)
{
    int log = 0;
    for (uint64_t n = (uint64_t)(t->chunk * t->row); n > 1; n >>= 1) log++;
    return 1 + (log + 8) / 8;
}
static int entry_bytes(const ds_h5_table *t) { return 8 + size_bytes(t) + 4; }

/* Reads block `level` of the index unless it is in memory.  *c is set to the bytes after the block's first six and, except in the
 * array's header, after the address of that header, which is checked. */
static rt_status index_load(ds_h5_table *t, const ds_h5_source *s, int level, uint64_t at, uint64_t n, const char *letters, ds_h5_cursor *c)
{
    rt_buf *b = &t->block[level];
    if (t->block_at[level] != at || b->len != n) {
        t->block_at[level] = DS_H5_NOWHERE;
        RT_TRY(ds_h5_block(s, at, n, letters, 0, b));
        t->block_at[level] = at;
    }
    *c = (ds_h5_cursor){(uint8_t *)b->p + 5, b->len - 9, 0};
    DS_H5_CHECK(ds_h5_take(c, 1) == 1, s, at, "an index of chunks without filters");
    if (letters[2] == 'H') return RT_OK;
    DS_H5_CHECK(ds_h5_take(c, 8) == t->index_at, s, at, "a block of another index of chunks");
    return RT_OK;
}

static rt_status entry_at(const ds_h5_table *t, const ds_h5_source *s, ds_h5_cursor c, uint64_t i, ds_h5_piece *out)
{
    ds_h5_skip(&c, (size_t)i * (size_t)entry_bytes(t));
    out->at      = ds_h5_take(&c, 8);
    out->size    = ds_h5_take(&c, (size_t)size_bytes(t));
    out->skipped = (uint32_t)ds_h5_take(&c, 4);
    DS_H5_CHECK(!c.bad, s, t->index_at, "an index of chunks that ends early");
    return RT_OK;
}

/* Reads an entry of a page.  A page has no letters, only a checksum. */
static rt_status entry_in_page(ds_h5_table *t, const ds_h5_source *s, uint64_t at, uint64_t entries, uint64_t i, ds_h5_piece *out)
{
    const uint64_t bytes = entries * (uint64_t)entry_bytes(t);
    rt_buf        *b     = &t->block[LEAF];
    if (t->block_at[LEAF] != at || b->len != bytes + 4) {
        t->block_at[LEAF] = DS_H5_NOWHERE;
        rt_buf_clear(b);
        DS_H5_CHECK(bytes < (uint64_t)s->size, s, at, "a page of an index of chunks beyond the end of the file");
        RT_TRY(rt_buf_room(b, bytes + 4));
        RT_TRY(ds_h5_bytes(s, at, bytes + 4, b->p));
        b->len           = bytes + 4;
        ds_h5_cursor sum = {(uint8_t *)b->p + bytes, 4, 0};
        DS_H5_CHECK(ds_h5_take(&sum, 4) == ds_h5_lookup3(b->p, bytes), s, at, "a page of an index of chunks with a wrong checksum");
        t->block_at[LEAF] = at;
    }
    return entry_at(t, s, (ds_h5_cursor){(uint8_t *)b->p, bytes, 0}, i, out);
}

/* ---- fixed arrays ------------------------------------------------------------------------ */

enum { FIXED_HEAD = 28, FIXED_PREFIX = 14 };

static rt_status find_fixed(ds_h5_table *t, const ds_h5_source *s, uint64_t i, ds_h5_piece *out)
{
    ds_h5_cursor   c;
    const uint64_t width = (uint64_t)entry_bytes(t);
    RT_TRY(index_load(t, s, HEAD, t->index_at, FIXED_HEAD, "FAHD", &c));
    const uint64_t entry = ds_h5_take(&c, 1), bits = ds_h5_take(&c, 1), n = ds_h5_take(&c, 8), at = ds_h5_take(&c, 8);
    DS_H5_CHECK(entry == width && bits == (uint64_t)t->page_bits && bits >= 1 && bits <= 20 && n == (uint64_t)t->chunks, s, t->index_at,
                "a fixed array of an unexpected form");
    const uint64_t page = (uint64_t)1 << bits;
    if (n <= page) {
        RT_TRY(index_load(t, s, LEAF, at, FIXED_PREFIX + n * width + 4, "FADB", &c));
        return entry_at(t, s, c, i, out);
    }
    const uint64_t pages = (n + page - 1) / page, prefix = FIXED_PREFIX + (pages + 7) / 8 + 4, p = i / page;
    RT_TRY(index_load(t, s, MIDDLE, at, prefix, "FADB", &c)); /* includes a bit for each page */
    return entry_in_page(t, s, at + prefix + p * (page * width + 4), p + 1 < pages ? page : n - p * page, i % page, out);
}

/* ---- extensible arrays ------------------------------------------------------------------- */

enum { EXTENSIBLE_HEAD = 72, INDEX_PREFIX = 14, BLOCK_PREFIX = INDEX_PREFIX + OFFSET };

static rt_status extensible_head(ds_h5_table *t, const ds_h5_source *s, uint64_t *index)
{
    static const uint8_t usual[5] = {32, DIRECT, FIRST, NEAR, 10};
    ds_h5_cursor         c;
    RT_TRY(index_load(t, s, HEAD, t->index_at, EXTENSIBLE_HEAD, "EAHD", &c));
    int same = ds_h5_take(&c, 1) == (uint64_t)entry_bytes(t);
    for (int i = 0; i < 5; i++) same &= ds_h5_take(&c, 1) == usual[i];
    DS_H5_CHECK(same, s, t->index_at, "an extensible array of an unexpected form");
    ds_h5_skip(&c, 48); /* statistics, which the reader does not need */
    *index = ds_h5_take(&c, 8);
    return RT_OK;
}

/* Finds entry i of a data block of n entries.  `place` is the offset that the block must record. */
static rt_status find_in_block(ds_h5_table *t, const ds_h5_source *s, uint64_t at, uint64_t n, uint64_t place, uint64_t i, ds_h5_piece *out)
{
    ds_h5_cursor   c;
    const uint64_t width = (uint64_t)entry_bytes(t);
    if (n > PAGE) return entry_in_page(t, s, at + BLOCK_PREFIX + 4 + i / PAGE * (PAGE * width + 4), PAGE, i % PAGE, out);
    RT_TRY(index_load(t, s, LEAF, at, BLOCK_PREFIX + n * width + 4, "EADB", &c));
    DS_H5_CHECK(ds_h5_take(&c, OFFSET) == place, s, at, "a block of an index of chunks in another's place");
    return entry_at(t, s, c, i, out);
}

/* Finds the address of data block `i` of a secondary block that has `blocks` data blocks of n entries each. */
static rt_status find_secondary(ds_h5_table *t, const ds_h5_source *s, uint64_t at, uint64_t blocks, uint64_t n, uint64_t first, uint64_t i,
                                uint64_t *block)
{
    ds_h5_cursor   c;
    const uint64_t pages = n > PAGE ? blocks * ((n / PAGE + 7) / 8) : 0; /* bytes of the bitmaps of pages */
    RT_TRY(index_load(t, s, MIDDLE, at, BLOCK_PREFIX + pages + blocks * 8 + 4, "EASB", &c));
    DS_H5_CHECK(ds_h5_take(&c, OFFSET) == first, s, at, "a block of an index of chunks in another's place");
    ds_h5_skip(&c, pages + i * 8);
    *block = ds_h5_take(&c, 8);
    return RT_OK;
}

static rt_status find_extensible(ds_h5_table *t, const ds_h5_source *s, uint64_t i, ds_h5_piece *out)
{
    ds_h5_cursor   c;
    uint64_t       index = 0, first = 0, n = FIRST, blocks = 1, block;
    int            u     = 0;
    const uint64_t width = (uint64_t)entry_bytes(t), inside = DIRECT * width;
    RT_TRY(extensible_head(t, s, &index));
    RT_TRY(index_load(t, s, INNER, index, INDEX_PREFIX + inside + (NEAR_BLOCKS + SUPERS - NEAR) * 8 + 4, "EAIB", &c));
    if (i < DIRECT) return entry_at(t, s, c, i, out);
    uint64_t before = 0; /* data blocks of earlier secondary blocks */
    for (i -= DIRECT; i - first >= blocks * n; u++) {
        DS_H5_CHECK(u + 1 < SUPERS, s, t->index_at, "an index of chunks without an entry for each");
        first += blocks * n;
        before += blocks;
        if (u % 2) blocks *= 2;
        else n *= 2;
    }
    const uint64_t b = (i - first) / n, entry = (i - first) % n;
    ds_h5_skip(&c, inside + 8 * (u < NEAR ? before + b : (uint64_t)(NEAR_BLOCKS + u - NEAR)));
    block = ds_h5_take(&c, 8);
    /* For data blocks listed in the index block HDF5 records an offset that counts blocks of all sizes; for the others, of one
     * size only. */
    if (u < NEAR) return find_in_block(t, s, block, n, first + (before + b) * n, entry, out);
    RT_TRY(find_secondary(t, s, block, blocks, n, first, b, &block));
    return find_in_block(t, s, block, n, first + b * n, entry, out);
}

rt_status ds_h5_index_find(ds_h5_table *t, const ds_h5_source *s, int64_t chunk, ds_h5_piece *out)
{
    DS_H5_CHECK(chunk >= 0 && chunk < t->chunks, s, t->index_at, "no chunk of this number");
    if (t->index == DS_H5_SINGLE) *out = t->only;
    else if (t->index == DS_H5_FIXED) RT_TRY(find_fixed(t, s, (uint64_t)chunk, out));
    else RT_TRY(find_extensible(t, s, (uint64_t)chunk, out));
    DS_H5_CHECK(out->at != DS_H5_NOWHERE, s, t->index_at, "a chunk that was never stored");
    return RT_OK;
}
