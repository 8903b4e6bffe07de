/* block.h -- blocks of an HDF5 file, checked before their content is used.
 *
 * HDF5's library trusts what it reads: a crafted file can lead it into other files, make it allocate without bound, or crash it.
 * Therefore the library only writes.  Files are read by h5_block, h5_object, h5_names, h5_dense, h5_type, h5_table, h5_index,
 * h5_chunk and h5_read, which accept only the forms that data/FORMAT.md allows.  The names of structures and fields are those of
 * the HDF5 File Format Specification, version 3.
 */
#ifndef DS_H5_BLOCK_H
#define DS_H5_BLOCK_H
#include "core/memory.h"

typedef struct ds_h5_source {
    const char *path;
    int         fd;
    int64_t     size; /* size of the file */
} ds_h5_source;

#define DS_H5_NOWHERE UINT64_MAX /* the undefined address: nothing is stored */

/* Fails with RT_EFORMAT and says what was found at byte `at`. */
#define DS_H5_CHECK(cond, s, at, what)                                                                                         \
    RT_CHECK(cond, RT_EFORMAT, "%s: %s, at byte %llu; the file is damaged or does not follow data/FORMAT.md", (s)->path, what, \
             (unsigned long long)(at))

/* Reads n bytes from byte `at` on; RT_EFORMAT if the file is shorter. */
rt_status ds_h5_bytes(const ds_h5_source *s, uint64_t at, uint64_t n, void *to);
/* Reads a block of n bytes that begins with four letters and a version byte (-1: no version byte) and ends with its checksum.
 * `out` gets the whole block. */
rt_status ds_h5_block(const ds_h5_source *s, uint64_t at, uint64_t n, const char *letters, int version, rt_buf *out);
uint32_t  ds_h5_lookup3(const void *bytes, size_t n); /* HDF5's checksum of metadata and hash of names */

/* A cursor that reads forward through bytes in memory.  `bad` is set, and stays set, if they end early. */
typedef struct ds_h5_cursor {
    const uint8_t *p;
    size_t         n;
    int            bad;
} ds_h5_cursor;
uint64_t       ds_h5_take(ds_h5_cursor *c, size_t n); /* a little-endian number of n <= 8 bytes; 0 if bad */
const uint8_t *ds_h5_skip(ds_h5_cursor *c, size_t n); /* the skipped bytes; NULL if bad */
int            ds_h5_bytes_for(uint64_t most);        /* bytes with which HDF5 stores a number up to `most` */
#endif
