/* dense.c -- the names of a group with many names: messages in a fractal heap, listed by a version 2 B-tree.
 *
 * This reader accepts heaps with one block, or with a root block of direct blocks; those hold at most half a megabyte of names.
 */
#include "data/h5/names.h"

enum { HEAP_BYTES = 146, TREE_BYTES = 38, MAX_DEPTH = 8, MAX_NODE = 1 << 16, MAX_BLOCK = 1 << 16, MAX_ROWS = 32, WIDTH = 4 };

typedef struct dense {
    const ds_h5_source *s;
    const ds_h5_dense  *d;
    ds_h5_each          each;
    void               *ud;
    /* the heap */
    uint64_t start, most, root; /* bytes of its smallest and largest blocks; address of its root */
    int      rows, offset_bytes, length_bytes, id_bytes;
    rt_buf   table, block; /* the root's addresses; the direct block read last */
    uint64_t block_at;
    /* the B-tree */
    int     node, record, depth, nrec_bytes, total_bytes[MAX_DEPTH + 1];
    int64_t left; /* records not yet read */
} dense;

/* ---- the heap ---------------------------------------------------------------------------- */

static rt_status heap_header(dense *x, rt_buf *b)
{
    RT_TRY(ds_h5_block(x->s, x->d->heap, HEAP_BYTES, "FRHP", 0, b));
    ds_h5_cursor c         = {(uint8_t *)b->p + 5, HEAP_BYTES - 5, 0};
    x->id_bytes            = (int)ds_h5_take(&c, 2);
    const uint64_t filters = ds_h5_take(&c, 2), flags = ds_h5_take(&c, 1), longest = ds_h5_take(&c, 4);
    ds_h5_skip(&c, 96); /* sizes and counts of the heap's content and free space */
    const uint64_t width = ds_h5_take(&c, 2);
    x->start             = ds_h5_take(&c, 8);
    x->most              = ds_h5_take(&c, 8);
    const uint64_t bits  = ds_h5_take(&c, 2);
    ds_h5_skip(&c, 2);
    x->root = ds_h5_take(&c, 8);
    x->rows = (int)ds_h5_take(&c, 2);
    /* no filters are allowed, and direct blocks must have checksums */
    DS_H5_CHECK(!filters && (flags & 2) && width == WIDTH && x->start >= 64 && !(x->start & (x->start - 1)) && x->most >= x->start &&
                    x->most <= MAX_BLOCK && !(x->most & (x->most - 1)) && bits >= 16 && bits <= 64 && x->rows <= MAX_ROWS,
                x->s, x->d->heap, "a heap of names of an unexpected form");
    x->offset_bytes = (int)(bits + 7) / 8;
    x->length_bytes = ds_h5_bytes_for(longest < x->most ? longest : x->most);
    DS_H5_CHECK(x->id_bytes >= 1 + x->offset_bytes + x->length_bytes && x->id_bytes <= 16, x->s, x->d->heap,
                "a heap of names with unexpected identifiers");
    return RT_OK;
}

static uint64_t row_size(const dense *x, int row) { return row < 2 ? x->start : x->start << (row - 1); }

static rt_status heap_root(dense *x)
{
    const int prefix = 5 + 8 + x->offset_bytes;
    if (!x->rows) return RT_OK;
    DS_H5_CHECK(row_size(x, x->rows - 1) <= x->most, x->s, x->root, "a heap with more names than a file of retort has");
    return ds_h5_block(x->s, x->root, (uint64_t)(prefix + x->rows * WIDTH * 8 + 4), "FHIB", 0, &x->table);
}

/* Finds the direct block that holds byte `offset` of the heap: its offset in the heap, its address in the file, and its size.
 * Returns 0 if there is none. */
static int find_block(const dense *x, uint64_t offset, uint64_t *begin, uint64_t *at, uint64_t *size)
{
    *begin = 0, *at = x->root, *size = x->start;
    if (!x->rows) return offset < x->start;
    ds_h5_cursor c = {(uint8_t *)x->table.p + 13 + x->offset_bytes, x->table.len - 13 - (size_t)x->offset_bytes, 0};
    for (int i = 0; i < x->rows * WIDTH; i++, *begin += *size) {
        *at   = ds_h5_take(&c, 8);
        *size = row_size(x, i / WIDTH);
        if (offset - *begin < *size) return *at != DS_H5_NOWHERE;
    }
    return 0;
}

/* The checksum of a direct block is stored after its prefix, and is computed with zeros in its place. */
static rt_status dense_read_block(dense *x, uint64_t begin, uint64_t at, uint64_t size)
{
    const size_t prefix = 13 + (size_t)x->offset_bytes;
    if (x->block.len && x->block_at == at) return RT_OK;
    rt_buf_clear(&x->block);
    RT_TRY(rt_buf_room(&x->block, size));
    RT_TRY(ds_h5_bytes(x->s, at, size, x->block.p));
    uint8_t       *p      = (uint8_t *)x->block.p;
    ds_h5_cursor   c      = {p, prefix + 4, 0};
    const int      letter = (int)ds_h5_take(&c, 4) == 0x42444846 && ds_h5_take(&c, 1) == 0; /* "FHDB", version 0 */
    const int      place  = ds_h5_take(&c, 8) == x->d->heap && ds_h5_take(&c, (size_t)x->offset_bytes) == begin;
    const uint64_t sum    = ds_h5_take(&c, 4);
    for (size_t i = 0; i < 4; i++) p[prefix + i] = 0;
    DS_H5_CHECK(letter && place && sum == ds_h5_lookup3(p, size), x->s, at, "a block of names with a wrong checksum or place");
    x->block.len = size;
    x->block_at  = at;
    return RT_OK;
}

/* Passes one message to each(); the identifier `id` gives its offset and length in the heap. */
static rt_status read_message(dense *x, ds_h5_cursor id)
{
    uint64_t       begin, at, size;
    const uint64_t form = ds_h5_take(&id, 1), offset = ds_h5_take(&id, (size_t)x->offset_bytes),
                   n = ds_h5_take(&id, (size_t)x->length_bytes);
    DS_H5_CHECK(!form && !id.bad && find_block(x, offset, &begin, &at, &size), x->s, x->d->heap, "a name that is not in its heap");
    RT_TRY(dense_read_block(x, begin, at, size));
    DS_H5_CHECK(offset - begin >= 17 + (uint64_t)x->offset_bytes && n <= size - (offset - begin), x->s, at,
                "a name that is not in its block");
    return x->each(x->ud, x->d->type, (ds_h5_cursor){(uint8_t *)x->block.p + (offset - begin), (size_t)n, 0});
}

/* ---- the tree ---------------------------------------------------------------------------- */

/* A link's record holds hash and identifier; an attribute's holds identifier, flags, order and hash. */
static rt_status read_records(dense *x, ds_h5_cursor *c, int n)
{
    const int before = x->d->type == DS_H5_LINK ? 4 : 0;
    DS_H5_CHECK(n <= x->left, x->s, x->d->tree, "a list of names that is longer than its recorded length");
    x->left -= n;
    for (int i = 0; i < n; i++) {
        const uint8_t *r = ds_h5_skip(c, (size_t)x->record);
        DS_H5_CHECK(r, x->s, x->d->tree, "a list of names that ends early");
        DS_H5_CHECK(before || !(r[x->id_bytes] & 2), x->s, x->d->tree, "an attribute that is shared with another object");
        RT_TRY(read_message(x, (ds_h5_cursor){r + before, (size_t)x->id_bytes, 0}));
    }
    return RT_OK;
}

static rt_status read_node(dense *x, uint64_t at, int n, int depth);

static rt_status read_children(dense *x, ds_h5_cursor *c, int n, int depth)
{
    for (int i = 0; i <= n; i++) {
        const uint64_t child = ds_h5_take(c, 8);
        const int      count = (int)ds_h5_take(c, (size_t)x->nrec_bytes);
        ds_h5_skip(c, (size_t)x->total_bytes[depth - 1]);
        DS_H5_CHECK(!c->bad, x->s, x->d->tree, "a list of names that ends early");
        RT_TRY(read_node(x, child, count, depth - 1));
    }
    return RT_OK;
}

static rt_status read_node(dense *x, uint64_t at, int n, int depth)
{
    rt_buf         b       = {0};
    const uint64_t pointer = depth ? 8u + (uint64_t)x->nrec_bytes + (uint64_t)x->total_bytes[depth - 1] : 0;
    const uint64_t used    = 6 + (uint64_t)n * (uint64_t)x->record + (uint64_t)(n + 1) * pointer + 4;
    DS_H5_CHECK(used <= (uint64_t)x->node, x->s, at, "a list of names with more entries than it has room for");
    rt_status st = ds_h5_block(x->s, at, used, depth ? "BTIN" : "BTLF", 0, &b);
    if (st == RT_OK) {
        ds_h5_cursor c = {(uint8_t *)b.p + 6, b.len - 10, 0};
        st             = read_records(x, &c, n);
        if (st == RT_OK && depth) st = read_children(x, &c, n, depth);
    }
    rt_buf_free(&b);
    return st;
}

/* Computes the bytes of the record counts in pointers to child nodes, which follow from the largest possible counts. */
static void count_bytes(dense *x)
{
    uint64_t most = (uint64_t)(x->node - 10) / (uint64_t)x->record, all = most;
    x->nrec_bytes     = ds_h5_bytes_for(most);
    x->total_bytes[0] = 0;
    for (int d = 1; d <= x->depth; d++) {
        const uint64_t pointer = 8u + (uint64_t)x->nrec_bytes + (uint64_t)x->total_bytes[d - 1];
        most                   = ((uint64_t)x->node - 10 - pointer) / ((uint64_t)x->record + pointer);
        all                    = (most + 1) * all + most;
        x->total_bytes[d]      = ds_h5_bytes_for(all);
    }
}

static rt_status read_tree(dense *x, rt_buf *b)
{
    RT_TRY(ds_h5_block(x->s, x->d->tree, TREE_BYTES, "BTHD", 0, b));
    ds_h5_cursor   c    = {(uint8_t *)b->p + 5, TREE_BYTES - 5, 0};
    const int      type = (int)ds_h5_take(&c, 1);
    const uint64_t node = ds_h5_take(&c, 4);
    x->record           = (int)ds_h5_take(&c, 2);
    x->depth            = (int)ds_h5_take(&c, 2);
    ds_h5_skip(&c, 2);
    const uint64_t root = ds_h5_take(&c, 8);
    const int      n    = (int)ds_h5_take(&c, 2);
    const uint64_t all  = ds_h5_take(&c, 8);
    const int      link = x->d->type == DS_H5_LINK;
    DS_H5_CHECK(type == (link ? 5 : 8) && x->record == x->id_bytes + (link ? 4 : 9) && node >= 256 && node <= MAX_NODE &&
                    x->depth <= MAX_DEPTH && all <= 1 << 16,
                x->s, x->d->tree, "a list of names of an unexpected form");
    x->node = (int)node;
    x->left = (int64_t)all;
    count_bytes(x);
    if (all) RT_TRY(read_node(x, root, n, x->depth));
    DS_H5_CHECK(x->left == 0, x->s, x->d->tree, "a list of names that is shorter than its recorded length");
    return RT_OK;
}

rt_status ds_h5_dense_read(const ds_h5_source *s, const ds_h5_dense *d, ds_h5_each each, void *ud)
{
    dense     x  = {.s = s, .d = d, .each = each, .ud = ud};
    rt_buf    b  = {0};
    rt_status st = heap_header(&x, &b);
    if (st == RT_OK) st = heap_root(&x);
    if (st == RT_OK) st = read_tree(&x, &b);
    rt_buf_free(&b);
    rt_buf_free(&x.table);
    rt_buf_free(&x.block);
    return st;
}
