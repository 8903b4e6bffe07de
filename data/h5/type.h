/* type.h -- the data types and shapes that shards and checkpoints hold. */
#ifndef DS_H5_TYPE_H
#define DS_H5_TYPE_H
#include "data/h5/object.h"

typedef enum ds_h5_class { DS_H5_INTEGER = 0, DS_H5_FLOAT = 1, DS_H5_TEXT = 3 } ds_h5_class;

typedef struct ds_h5_kind { /* little-endian numbers of 1, 2, 4 or 8 bytes, or texts of fixed length */
    ds_h5_class class;
    int     is_signed;
    int64_t size; /* bytes */
} ds_h5_kind;

typedef struct ds_h5_shape {
    int      rank; /* 0 (a single value), 1 or 2 */
    uint64_t dims[2];
} ds_h5_shape;

/* Read the bytes of a message; return NULL or a description of the fault. */
const char *ds_h5_kind_read(ds_h5_kind *out, ds_h5_cursor m);
const char *ds_h5_shape_read(ds_h5_shape *out, ds_h5_cursor m);
#endif
