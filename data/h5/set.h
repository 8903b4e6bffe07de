/* set.h -- HDF5 functions for shards beyond those of data/h5.h: data sets that grow, and attributes.
 *
 * A data set here is a table of rows: one-dimensional (width 0), two-dimensional (width >= 1), or of fixed-length texts.  All are
 * chunked along the rows and carry fletcher32 checksums.  Files have HDF5 1.10's format, in which metadata is checksummed too and
 * a file that was not closed is marked as such.  HDF5's library only writes; files are read without it, because it trusts what it
 * reads (block.h).  Debian's HDF5 is thread-safe; other builds must be called by one thread at a time.
 */
#ifndef DS_H5_SET_H
#define DS_H5_SET_H
#include "data/h5.h"

typedef struct ds_h5_set ds_h5_set;

enum {
    DS_H5_MAX_TEXT      = 4096, /* bytes of a text in a table */
    DS_H5_MAX_ATTRIBUTE = 3840  /* bytes of an attribute: HDF5 would store longer ones outside its checksums */
};

typedef struct ds_h5_spec {
    const char *name; /* "/topk_ids"; missing groups are created */
    ds_h5_type  type;
    int64_t     width; /* entries per row; 0: one-dimensional */
    int64_t     text;  /* > 0: rows are texts of this many bytes, the NUL included; type and width are ignored */
    int64_t     chunk; /* rows per chunk */
    int         gzip;  /* level; 0: none */
} ds_h5_spec;

/* Closes after a failure: errors are ignored, and nothing more is written to the file. */
void        ds_h5_abandon(ds_h5 **f);
const char *ds_h5_path(const ds_h5 *f);

rt_status ds_h5_put_int(ds_h5 *f, const char *attribute, int64_t v);
rt_status ds_h5_get_int(ds_h5 *f, const char *attribute, int64_t *v);
int       ds_h5_has_attribute(const ds_h5 *f, const char *name);

rt_status ds_h5_set_create(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec);
/* Appends n rows, which are written chunk by chunk. */
rt_status ds_h5_set_append(ds_h5_set *s, const void *rows, int64_t n);
rt_status ds_h5_set_finish(ds_h5_set **s); /* writes the last rows and closes */

/* Opens a data set for reading.  RT_EFORMAT unless type and width are as in `spec` and a file of this size can hold the rows.
 * spec.chunk and spec.gzip are ignored; spec.text = 1 accepts texts of any length up to DS_H5_MAX_TEXT.  `cache`: bytes of
 * decompressed chunks kept. */
rt_status ds_h5_set_open(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec, size_t cache);
rt_status ds_h5_set_read(ds_h5_set *s, int64_t first, int64_t n, void *rows);
/* Checks every name in the file ("/set", "/group", "/group/set"): known() accepts it, and it is a data set that this reader can
 * read or a group of such data sets; else RT_EFORMAT. */
rt_status ds_h5_check_names(ds_h5 *f, int (*known)(const char *name));
/* Gets the entries per row of a two-dimensional data set; RT_EFORMAT if it is not one. */
rt_status ds_h5_width(ds_h5 *f, const char *name, int64_t *width);
int64_t   ds_h5_set_rows(const ds_h5_set *s);
int64_t   ds_h5_set_bytes(const ds_h5_set *s); /* bytes per row */
void      ds_h5_set_close(ds_h5_set **s);      /* does not write rows that are still in memory */
#endif
