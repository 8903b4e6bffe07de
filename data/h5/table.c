/* table.c -- reading a data set's header: shape, type, filters, layout.  Sizes are checked against the file's size. */
#include "data/h5/table.h"
#include <limits.h>
#include <string.h>

enum { MAX_RATIO = 1100 }; /* gzip shrinks by at most 1032 */

typedef struct reading {
    const ds_h5_source *s;
    uint64_t            at;
    const char         *name;
    ds_h5_table        *t;
    ds_h5_shape         shape;
    uint64_t            chunk[2];
    unsigned            seen; /* a bit for each message type */
} reading;

#define CHECK(cond, r, ...)                               \
    do {                                                  \
        if (!(cond)) return table_refuse(r, __VA_ARGS__); \
    } while (0)

static rt_status table_refuse(const reading *r, const char *what)
{
    RT_FAIL(RT_EFORMAT, "%s: %s has %s; the file is damaged or does not follow data/FORMAT.md", r->s->path, r->name, what);
}

/* The filters are gzip and fletcher32, or fletcher32 alone. */
static rt_status take_filters(reading *r, ds_h5_cursor m)
{
    unsigned       id[2]   = {0};
    const unsigned version = (unsigned)ds_h5_take(&m, 1), n = (unsigned)ds_h5_take(&m, 1);
    CHECK(version == 2 && n >= 1 && n <= 2, r, "other filters than gzip and fletcher32");
    for (unsigned i = 0; i < n; i++) {
        id[i] = (unsigned)ds_h5_take(&m, 2);
        ds_h5_skip(&m, 2);
        const size_t values = (size_t)ds_h5_take(&m, 2);
        CHECK(id[i] == 1 || id[i] == 3, r, "other filters than gzip and fletcher32");
        ds_h5_skip(&m, 4 * values);
    }
    CHECK(!m.bad && id[n - 1] == 3 && (n == 1 || id[0] == 1), r, "no fletcher32 checksum as its last filter");
    r->t->gzip = n == 2;
    return RT_OK;
}

static rt_status take_index(reading *r, ds_h5_cursor *m, unsigned flags)
{
    static const uint8_t usual[5] = {32, 4, 4, 16, 10}; /* parameters of an extensible array; HDF5's library uses no others */
    ds_h5_table         *t        = r->t;
    t->index                      = (int)ds_h5_take(m, 1);
    switch (t->index) {
    case DS_H5_SINGLE:
        CHECK(flags == 2, r, "a chunk without filters");
        t->only.size    = ds_h5_take(m, 8);
        t->only.skipped = (uint32_t)ds_h5_take(m, 4);
        break;
    case DS_H5_FIXED: t->page_bits = (int)ds_h5_take(m, 1); break;
    case DS_H5_EXTENSIBLE: {
        const uint8_t *p = ds_h5_skip(m, sizeof usual);
        CHECK(p && !memcmp(p, usual, sizeof usual), r, "an index of chunks of an unexpected form");
        break;
    }
    default: CHECK(0, r, "an index of chunks of an unexpected kind");
    }
    CHECK(t->index == DS_H5_SINGLE || !flags, r, "chunks at its edge without filters");
    t->index_at = t->only.at = ds_h5_take(m, 8);
    return RT_OK;
}

static rt_status take_layout(reading *r, ds_h5_cursor m)
{
    const unsigned version = (unsigned)ds_h5_take(&m, 1), class = (unsigned)ds_h5_take(&m, 1);
    CHECK(class != 3, r, "rows that are stored in other files (a virtual data set)");
    CHECK(class == 2, r, "rows that are not stored in chunks and so have no checksums");
    CHECK(version == 4, r, "a layout of an unexpected version");
    const unsigned flags = (unsigned)ds_h5_take(&m, 1), rank = (unsigned)ds_h5_take(&m, 1), bytes = (unsigned)ds_h5_take(&m, 1);
    CHECK(rank >= 2 && rank <= 3 && bytes >= 1 && bytes <= 8, r, "chunks of an unexpected shape");
    r->chunk[1] = 1;
    for (unsigned i = 0; i + 1 < rank; i++) r->chunk[i] = ds_h5_take(&m, bytes);
    r->t->rank = (int)rank - 1;
    r->t->row  = (int64_t)ds_h5_take(&m, bytes); /* bytes of an entry; check_sizes replaces it */
    RT_TRY(take_index(r, &m, flags));
    CHECK(!m.bad, r, "a layout that ends early");
    return RT_OK;
}

static rt_status table_take(void *ud, int type, ds_h5_cursor m)
{
    reading    *r     = ud;
    const char *fault = NULL;
    CHECK(type < 32 && (type == DS_H5_ATTRIBUTE || !(r->seen & 1u << type)), r, "a message twice");
    r->seen |= 1u << type;
    switch (type) {
    case DS_H5_DATATYPE: fault = ds_h5_kind_read(&r->t->kind, m); break;
    case DS_H5_DATASPACE: fault = ds_h5_shape_read(&r->shape, m); break;
    case DS_H5_FILTERS: return take_filters(r, m);
    case DS_H5_LAYOUT: return take_layout(r, m);
    case DS_H5_EXTERNAL: fault = "rows that are stored in other files (external storage)"; break;
    case DS_H5_FILL: /* unused: every row is stored */
    case DS_H5_ATTRIBUTE:
    case DS_H5_ATTR_INFO: break;
    default: fault = "a message of an unknown kind";
    }
    CHECK(!fault, r, fault);
    return RT_OK;
}

/* A header's extents and chunk sizes are untrusted: they must not cause a large allocation or a long loop. */
static rt_status check_sizes(reading *r)
{
    ds_h5_table   *t    = r->t;
    const uint64_t size = (uint64_t)r->s->size, entry = (uint64_t)t->kind.size;
    const uint64_t rows = r->shape.dims[0], width = r->shape.dims[1];
    CHECK(r->shape.rank >= 1 && r->shape.rank == t->rank && t->row == t->kind.size, r, "chunks of another shape than its rows");
    CHECK(width >= 1 && width <= INT_MAX && r->chunk[1] == width, r, "chunks that do not hold whole rows");
    CHECK(entry <= INT_MAX && rows <= size * MAX_RATIO / (entry * width), r, "more rows than a file of this size can hold");
    const uint64_t row = entry * width, chunk = r->chunk[0];
    CHECK(chunk >= 1 && (chunk <= DS_H5_CHUNK_ROWS || chunk <= DS_H5_CHUNK_BYTES / row), r, "chunks of more than 2048 rows and 1 MiB");
    CHECK(chunk <= DS_H5_CHUNK_MOST / row, r, "chunks of more than 64 MiB");
    t->rows   = (int64_t)rows;
    t->width  = (int64_t)width;
    t->row    = (int64_t)row;
    t->chunk  = (int64_t)chunk;
    t->chunks = t->rows / t->chunk + (t->rows % t->chunk != 0);
    CHECK(t->chunks <= r->s->size, r, "more chunks than the file has bytes");
    CHECK(t->index != DS_H5_SINGLE || t->chunks <= 1, r, "more rows than its only chunk holds");
    CHECK(t->chunks == 0 || t->index_at != DS_H5_NOWHERE, r, "rows that were never stored");
    return RT_OK;
}

rt_status ds_h5_table_read(ds_h5_table *out, const ds_h5_source *s, uint64_t at, const char *name)
{
    const unsigned need = 1u << DS_H5_DATATYPE | 1u << DS_H5_DATASPACE | 1u << DS_H5_LAYOUT;
    ds_h5_table    t    = {.header_at = at};
    reading        r    = {.s = s, .at = at, .name = name, .t = &t};
    RT_TRY(ds_h5_object(s, at, table_take, &r));
    CHECK((r.seen & need) == need, &r, "no type, shape or layout");
    CHECK(r.seen & 1u << DS_H5_FILTERS, &r, "no fletcher32 checksum");
    RT_TRY(check_sizes(&r));
    for (int i = 0; i < 4; i++) t.block_at[i] = DS_H5_NOWHERE;
    *out = t;
    return RT_OK;
}

void ds_h5_table_free(ds_h5_table *t)
{
    for (int i = 0; i < 4; i++) rt_buf_free(&t->block[i]);
}
