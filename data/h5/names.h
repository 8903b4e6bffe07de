/* names.h -- the content of a group: its links and attributes. */
#ifndef DS_H5_NAMES_H
#define DS_H5_NAMES_H
#include "data/h5/type.h"

typedef struct ds_h5_link {
    char    *name;
    uint64_t at; /* address of the object's header */
} ds_h5_link;

typedef struct ds_h5_attribute {
    char       *name;
    ds_h5_kind  kind;
    const char *fault; /* why it cannot be an attribute of a shard; NULL: `value` is set */
    uint8_t    *value;
} ds_h5_attribute;

typedef struct ds_h5_group {
    ds_h5_link      *link; /* sorted by name */
    ds_h5_attribute *attr;
    int64_t          links, link_cap, attrs, attr_cap;
} ds_h5_group;

/* Reads the group at `at`.  RT_EFORMAT if a link leads out of the file or to another name, or if a name occurs twice. */
rt_status              ds_h5_group_read(ds_h5_group *out, const ds_h5_source *s, uint64_t at);
void                   ds_h5_group_free(ds_h5_group *g);
const ds_h5_link      *ds_h5_group_link(const ds_h5_group *g, const char *name, size_t n);
const ds_h5_attribute *ds_h5_group_attribute(const ds_h5_group *g, const char *name);

/* dense.c: calls each() with the messages of `type` in a fractal heap, in the order of the version 2 B-tree that lists them. */
typedef struct ds_h5_dense {
    uint64_t heap, tree;
    int      type; /* DS_H5_LINK or DS_H5_ATTRIBUTE */
} ds_h5_dense;
rt_status ds_h5_dense_read(const ds_h5_source *s, const ds_h5_dense *d, ds_h5_each each, void *ud);
#endif
