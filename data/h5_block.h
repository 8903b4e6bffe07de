/* h5_block.h -- pieces of an HDF5 file, checked before they are believed.
 *
 * HDF5's library trusts what it reads: a crafted file leads it into other files, makes it
 * allocate without bound, or crashes it.  So the library only writes; files are read by
 * h5_block, h5_object, h5_names, h5_type, h5_table and h5_index, which know the forms that
 * data/FORMAT.md allows and refuse all others.  The names of structures and fields are those of
 * the HDF5 File Format Specification, version 3.
 */
#ifndef DS_H5_BLOCK_H
#define DS_H5_BLOCK_H
#include "core/memory.h"

typedef struct ds_h5_source {
    const char *path;
    int         fd;
    int64_t     size; /* of the file */
} ds_h5_source;

#define DS_H5_NOWHERE UINT64_MAX /* the address of what was never stored */

/* RT_EFORMAT with what was found at byte `at`. */
#define DS_H5_CHECK(cond, s, at, what)                                                                                                  \
    RT_CHECK(cond, RT_EFORMAT, "%s: %s, at byte %llu; the file is damaged or not of the form that data/FORMAT.md describes", (s)->path, \
             what, (unsigned long long)(at))

/* n bytes from `at`; RT_EFORMAT when the file has no such bytes. */
rt_status ds_h5_bytes(const ds_h5_source *s, uint64_t at, uint64_t n, void *to);
/* A block of n bytes that begins with four letters and a version byte (-1: it has none) and ends with its
 * checksum.  `out` gets all of it. */
rt_status ds_h5_block(const ds_h5_source *s, uint64_t at, uint64_t n, const char *letters, int version, rt_buf *out);
uint32_t  ds_h5_lookup3(const void *bytes, size_t n); /* HDF5's checksum of metadata, and its hash of names */

/* Reads forward through bytes that are there; `bad` is set, and stays, when they end early. */
typedef struct ds_h5_cursor {
    const uint8_t *p;
    size_t         n;
    int            bad;
} ds_h5_cursor;
uint64_t       ds_h5_take(ds_h5_cursor *c, size_t n); /* a little-endian number of at most 8 bytes; 0 when bad */
const uint8_t *ds_h5_skip(ds_h5_cursor *c, size_t n); /* the bytes passed; NULL when bad */
int            ds_h5_bytes_for(uint64_t most);        /* that HDF5 takes for a number up to `most` */
#endif
