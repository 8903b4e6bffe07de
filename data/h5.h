/* h5.h -- what shards need of HDF5 beyond data.h: data sets that grow, and attributes.
 *
 * A data set here is a table of rows: one-dimensional (width 0), two-dimensional
 * (width >= 1), or of fixed-length texts.  All are chunked along the rows and carry
 * fletcher32 checksums; the file form is HDF5 1.10's, whose own metadata is
 * checksummed too and in which a file that was not closed says so.
 * HDF5's library writes; it never reads, since it trusts what it reads (h5_block.h).
 * Debian's HDF5 locks itself; others need one thread at a time.
 */
#ifndef DS_H5_H
#define DS_H5_H
#include "data/data.h"

typedef struct ds_h5_set ds_h5_set;

enum {
    DS_H5_MAX_TEXT      = 4096, /* bytes of a text in a table */
    DS_H5_MAX_ATTRIBUTE = 3840  /* and in an attribute: longer ones would lie outside HDF5's checksums */
};

typedef struct ds_h5_spec {
    const char *name; /* "/topk_ids"; groups on the way are made */
    ds_h5_type  type;
    int64_t     width; /* entries a row; 0: one-dimensional */
    int64_t     text;  /* > 0: rows are texts of this many bytes, the NUL included; type and width are ignored */
    int64_t     chunk; /* rows a chunk */
    int         gzip;  /* level; 0: none */
} ds_h5_spec;

/* Close after a failure: errors no longer matter, nothing more reaches the file. */
void        ds_h5_abandon(ds_h5 **f);
const char *ds_h5_path(const ds_h5 *f);

rt_status ds_h5_put_int(ds_h5 *f, const char *attribute, int64_t v);
rt_status ds_h5_get_int(ds_h5 *f, const char *attribute, int64_t *v);

rt_status ds_h5_set_create(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec);
/* Append n rows; they reach the file chunk by chunk. */
rt_status ds_h5_set_append(ds_h5_set *s, const void *rows, int64_t n);
rt_status ds_h5_set_finish(ds_h5_set **s); /* writes the last rows and closes */

/* Opens for reading.  RT_EFORMAT unless type and width are as wanted (spec.chunk and gzip
 * are ignored; spec.text: 1 asks for texts of any size) and a file of this size can hold the rows.
 * `cache`: bytes of decompressed chunks kept. */
rt_status ds_h5_set_open(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec, size_t cache);
rt_status ds_h5_set_read(ds_h5_set *s, int64_t first, int64_t n, void *rows);
/* Every name in the file ("/set", "/group", "/group/set"), asked for or not, is known and a data set of a form that we read, or a group of
 * such; else RT_EFORMAT. */
rt_status ds_h5_check_names(ds_h5 *f, int (*known)(const char *name));
/* Entries a row of a two-dimensional data set; RT_EFORMAT where it has another form. */
rt_status ds_h5_width(ds_h5 *f, const char *name, int64_t *width);
int64_t   ds_h5_set_rows(const ds_h5_set *s);
int64_t   ds_h5_set_bytes(const ds_h5_set *s); /* of one row */
void      ds_h5_set_close(ds_h5_set **s);      /* without writing what is held */
#endif
