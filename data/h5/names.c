/* names.c -- the names of a group: link and attribute messages, in its header or in its dense storage. */
#include "data/h5/names.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 1 << 16 };

typedef struct reading {
    const ds_h5_source *s;
    uint64_t            at;
    ds_h5_group        *g;
    ds_h5_dense         links, attrs;
} reading;

static char *copy_name(const uint8_t *p, size_t n)
{
    if (n == 0 || memchr(p, '\0', n)) return NULL;
    char *name = malloc(n + 1);
    if (name) memcpy(name, p, n), name[n] = '\0';
    return name;
}

/* ---- links ------------------------------------------------------------------------------ */

enum { LINK_TYPE = 8, LINK_ORDER = 4, LINK_CHARSET = 16, LINK_SOFT = 1, LINK_OUTSIDE = 64 };

static rt_status take_link(reading *r, ds_h5_cursor m)
{
    ds_h5_group   *g       = r->g;
    const unsigned version = (unsigned)ds_h5_take(&m, 1), flags = (unsigned)ds_h5_take(&m, 1);
    const unsigned type = flags & LINK_TYPE ? (unsigned)ds_h5_take(&m, 1) : 0;
    DS_H5_CHECK(version == 1 && flags < 32 && !m.bad, r->s, r->at, "a link of an unexpected form");
    DS_H5_CHECK(type != LINK_OUTSIDE, r->s, r->at, "a link to another file");
    DS_H5_CHECK(type == 0, r->s, r->at, type == LINK_SOFT ? "a link to another name" : "a link of an unknown kind");
    if (flags & LINK_ORDER) ds_h5_skip(&m, 8);
    if (flags & LINK_CHARSET) ds_h5_skip(&m, 1);
    const size_t   n    = (size_t)ds_h5_take(&m, (size_t)1 << (flags & 3));
    const uint8_t *name = ds_h5_skip(&m, n);
    const uint64_t at   = ds_h5_take(&m, 8);
    DS_H5_CHECK(!m.bad && g->links < MAX_NAMES, r->s, r->at, "a link that ends early, or too many of them");
    RT_TRY(rt_grow((void **)&g->link, g->links, &g->link_cap, sizeof *g->link));
    g->link[g->links] = (ds_h5_link){copy_name(name, n), at};
    DS_H5_CHECK(g->link[g->links].name, r->s, r->at, "a link whose name is empty or holds a NUL");
    g->links++;
    return RT_OK;
}

/* ---- attributes ------------------------------------------------------------------------- */

static rt_status add_attribute(reading *r, ds_h5_attribute *a, const uint8_t *name, size_t n, ds_h5_cursor value)
{
    ds_h5_group   *g    = r->g;
    const size_t   size = a->fault ? 0 : (size_t)a->kind.size;
    const uint8_t *from = ds_h5_skip(&value, size);
    DS_H5_CHECK(from || a->fault, r->s, r->at, "an attribute that ends early");
    RT_TRY(rt_grow((void **)&g->attr, g->attrs, &g->attr_cap, sizeof *g->attr));
    a->name  = copy_name(name, n);
    a->value = malloc(size + 1);
    if (a->value && size) memcpy(a->value, from, size);
    g->attr[g->attrs++] = *a;
    RT_CHECK(a->value, RT_ENOMEM, "%s: no memory for an attribute of %zu bytes", r->s->path, size);
    DS_H5_CHECK(a->name && ds_h5_group_attribute(g, a->name) == &g->attr[g->attrs - 1], r->s, r->at,
                "an attribute that occurs twice or has no name");
    return RT_OK;
}

static rt_status take_attribute(reading *r, ds_h5_cursor m)
{
    ds_h5_attribute a       = {0};
    ds_h5_shape     shape   = {0};
    const unsigned  version = (unsigned)ds_h5_take(&m, 1), flags = (unsigned)ds_h5_take(&m, 1);
    const size_t    n = (size_t)ds_h5_take(&m, 2), type = (size_t)ds_h5_take(&m, 2), space = (size_t)ds_h5_take(&m, 2);
    ds_h5_skip(&m, 1); /* the character set of the name: ASCII or UTF-8 */
    const uint8_t     *name = ds_h5_skip(&m, n);
    const ds_h5_cursor kind = {ds_h5_skip(&m, type), type, m.bad};
    const ds_h5_cursor dims = {ds_h5_skip(&m, space), space, m.bad};
    DS_H5_CHECK(version == 3 && !flags && !m.bad && n > 1 && !name[n - 1] && r->g->attrs < MAX_NAMES, r->s, r->at,
                "an attribute of an unexpected form");
    a.fault = ds_h5_kind_read(&a.kind, kind);
    if (!a.fault) a.fault = ds_h5_shape_read(&shape, dims);
    if (!a.fault && shape.dims[0] * shape.dims[1] != 1) a.fault = "more or less than one value";
    return add_attribute(r, &a, name, n - 1, m);
}

/* ---- the group's messages ---------------------------------------------------------------- */

/* Link info and attribute info messages: the addresses of the dense storage, if there is one. */
static rt_status take_info(reading *r, ds_h5_cursor m, ds_h5_dense *d, size_t order_bytes)
{
    const unsigned version = (unsigned)ds_h5_take(&m, 1), flags = (unsigned)ds_h5_take(&m, 1);
    if (flags & 1) ds_h5_skip(&m, order_bytes);
    d->heap = ds_h5_take(&m, 8);
    d->tree = ds_h5_take(&m, 8);
    DS_H5_CHECK(version == 0 && flags < 4 && !m.bad, r->s, r->at, "a group's table of names of an unexpected form");
    return RT_OK;
}

static rt_status names_take(void *ud, int type, ds_h5_cursor m)
{
    reading *r = ud;
    switch (type) {
    case DS_H5_LINK: return take_link(r, m);
    case DS_H5_ATTRIBUTE: return take_attribute(r, m);
    case DS_H5_LINK_INFO: return take_info(r, m, &r->links, 8);
    case DS_H5_ATTR_INFO: return take_info(r, m, &r->attrs, 2);
    case DS_H5_GROUP_INFO: return RT_OK; /* hints for writers */
    default: DS_H5_CHECK(0, r->s, r->at, "an object that is not a group or is a group of an old format");
    }
}

static int names_by_name(const void *a, const void *b) { return strcmp(((const ds_h5_link *)a)->name, ((const ds_h5_link *)b)->name); }

static rt_status read_group(reading *r)
{
    ds_h5_group *g = r->g;
    RT_TRY(ds_h5_object(r->s, r->at, names_take, r));
    if (r->links.heap != DS_H5_NOWHERE) RT_TRY(ds_h5_dense_read(r->s, &r->links, names_take, r));
    if (r->attrs.heap != DS_H5_NOWHERE) RT_TRY(ds_h5_dense_read(r->s, &r->attrs, names_take, r));
    if (g->links) qsort(g->link, (size_t)g->links, sizeof *g->link, names_by_name);
    for (int64_t i = 1; i < g->links; i++)
        DS_H5_CHECK(names_by_name(g->link + i - 1, g->link + i), r->s, r->at, "a name that occurs twice");
    return RT_OK;
}

rt_status ds_h5_group_read(ds_h5_group *out, const ds_h5_source *s, uint64_t at)
{
    ds_h5_group     g  = {0};
    reading         r  = {s, at, &g, {DS_H5_NOWHERE, DS_H5_NOWHERE, DS_H5_LINK}, {DS_H5_NOWHERE, DS_H5_NOWHERE, DS_H5_ATTRIBUTE}};
    const rt_status st = read_group(&r);
    if (st == RT_OK) *out = g;
    else ds_h5_group_free(&g);
    return st;
}

void ds_h5_group_free(ds_h5_group *g)
{
    for (int64_t i = 0; i < g->links; i++) free(g->link[i].name);
    for (int64_t i = 0; i < g->attrs; i++) free(g->attr[i].name), free(g->attr[i].value);
    free(g->link), free(g->attr);
    *g = (ds_h5_group){0};
}

const ds_h5_link *ds_h5_group_link(const ds_h5_group *g, const char *name, size_t n)
{
    int64_t low = 0, high = g->links;
    while (low < high) {
        const int64_t at = (low + high) / 2;
        const int     c  = strncmp(g->link[at].name, name, n);
        if (c == 0 && !g->link[at].name[n]) return &g->link[at];
        if (c < 0) low = at + 1;
        else high = at;
    }
    return NULL;
}

const ds_h5_attribute *ds_h5_group_attribute(const ds_h5_group *g, const char *name)
{
    for (int64_t i = 0; i < g->attrs; i++)
        if (!strcmp(g->attr[i].name, name)) return &g->attr[i];
    return NULL;
}
