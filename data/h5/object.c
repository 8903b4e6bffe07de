/* object.c -- reading object headers of version 2 with their continuation blocks. */
#include "data/h5/object.h"

enum { MAX_HEADER = 1 << 20, MAX_CONTINUATIONS = 64, SHARED = 2, WITH_ORDER = 4, WITH_PHASE = 16, WITH_TIMES = 32 };

typedef struct walk {
    const ds_h5_source *s;
    uint64_t            at; /* address of the header, for errors */
    int                 with_order;
    ds_h5_each          each;
    void               *ud;
    uint64_t            next[MAX_CONTINUATIONS], size[MAX_CONTINUATIONS];
    int                 n;
} walk;

static rt_status note_continuation(walk *w, ds_h5_cursor m)
{
    DS_H5_CHECK(w->n < MAX_CONTINUATIONS, w->s, w->at, "an object header of too many parts");
    w->next[w->n] = ds_h5_take(&m, 8);
    w->size[w->n] = ds_h5_take(&m, 8);
    DS_H5_CHECK(!m.bad && w->size[w->n] <= MAX_HEADER, w->s, w->at, "an object header's continuation of an unexpected size");
    w->n++;
    return RT_OK;
}

static rt_status read_messages(walk *w, ds_h5_cursor c)
{
    const size_t prefix = w->with_order ? 6 : 4;
    while (c.n >= prefix) { /* fewer bytes are a gap */
        const int    type = (int)ds_h5_take(&c, 1);
        const size_t size = (size_t)ds_h5_take(&c, 2);
        const int    how  = (int)ds_h5_take(&c, 1);
        ds_h5_skip(&c, prefix - 4);
        ds_h5_cursor m = {ds_h5_skip(&c, size), size, 0};
        DS_H5_CHECK(!c.bad, w->s, w->at, "a message that is longer than its object header");
        DS_H5_CHECK(!(how & SHARED), w->s, w->at, "a message that is shared with another object");
        if (type == DS_H5_CONTINUE) RT_TRY(note_continuation(w, m));
        else if (type) RT_TRY(w->each(w->ud, type, m));
    }
    return RT_OK;
}

/* Reads the header's first block, whose prefix gives its length. */
static rt_status read_first(walk *w, rt_buf *b)
{
    uint8_t head[6], size[8];
    RT_TRY(ds_h5_bytes(w->s, w->at, sizeof head, head));
    const int      flags = head[5], width = 1 << (flags & 3);
    const uint64_t prefix = 6u + (flags & WITH_TIMES ? 16u : 0u) + (flags & WITH_PHASE ? 4u : 0u);
    DS_H5_CHECK(flags < 64, w->s, w->at, "an object header with unknown flags");
    RT_TRY(ds_h5_bytes(w->s, w->at + prefix, (uint64_t)width, size));
    ds_h5_cursor   c = {size, (size_t)width, 0};
    const uint64_t n = ds_h5_take(&c, (size_t)width);
    DS_H5_CHECK(n <= MAX_HEADER, w->s, w->at, "an object header of an unexpected size");
    RT_TRY(ds_h5_block(w->s, w->at, prefix + (uint64_t)width + n + 4, "OHDR", 2, b));
    w->with_order = (flags & WITH_ORDER) != 0;
    return read_messages(w, (ds_h5_cursor){(uint8_t *)b->p + prefix + width, (size_t)n, 0});
}

/* Reads a continuation block, in which messages follow the letters without a version byte. */
static rt_status read_next(walk *w, int i, rt_buf *b)
{
    RT_TRY(ds_h5_block(w->s, w->next[i], w->size[i], "OCHK", -1, b));
    return read_messages(w, (ds_h5_cursor){(uint8_t *)b->p + 4, b->len - 8, 0});
}

rt_status ds_h5_object(const ds_h5_source *s, uint64_t at, ds_h5_each each, void *ud)
{
    walk      w  = {.s = s, .at = at, .each = each, .ud = ud};
    rt_buf    b  = {0};
    rt_status st = read_first(&w, &b);
    for (int i = 0; st == RT_OK && i < w.n; i++) st = read_next(&w, i, &b);
    rt_buf_free(&b);
    return st;
}
