/* table.h -- a stored data set: its header and the places of its chunks. */
#ifndef DS_H5_TABLE_H
#define DS_H5_TABLE_H
#include "data/h5/type.h"

enum ds_h5_index_kind { DS_H5_SINGLE = 1, DS_H5_FIXED = 3, DS_H5_EXTENSIBLE = 4 };
/* A chunk holds at most the larger of the first two, and never more than the third. */
enum { DS_H5_CHUNK_ROWS = 2048, DS_H5_CHUNK_BYTES = 1 << 20, DS_H5_CHUNK_MOST = 64 << 20 };

typedef struct ds_h5_piece { /* a stored chunk */
    uint64_t at, size;
    uint32_t skipped; /* filters that were omitted, a bit for each in their order */
} ds_h5_piece;

typedef struct ds_h5_table {
    ds_h5_kind  kind;
    int         rank;                /* 1 or 2 */
    int64_t     rows, width, row;    /* width: entries per row; row: bytes per row */
    int64_t     chunk, chunks;       /* rows per chunk; number of chunks */
    int         gzip;                /* 1: chunks are compressed with gzip before the checksum is added */
    int         index, page_bits;    /* ds_h5_index_kind; log2 of the entries per page */
    uint64_t    index_at, header_at; /* DS_H5_NOWHERE: nothing is stored */
    ds_h5_piece only;                /* DS_H5_SINGLE */
    rt_buf      block[4];            /* of the index: the block read last at each level */
    uint64_t    block_at[4];
} ds_h5_table;

/* Reads the data set whose header is at `at`, and checks its claims against the file's size.  `name` is for errors. */
rt_status ds_h5_table_read(ds_h5_table *out, const ds_h5_source *s, uint64_t at, const char *name);
void      ds_h5_table_free(ds_h5_table *t);

/* index.c: finds the chunk with number `chunk`. */
rt_status ds_h5_index_find(ds_h5_table *t, const ds_h5_source *s, int64_t chunk, ds_h5_piece *out);
/* chunk.c: reads the first `bytes` bytes of a chunk: the checksum is checked and the data decompressed. */
typedef struct ds_h5_inflater ds_h5_inflater; /* NULL at first; reused for the next chunk */
rt_status ds_h5_chunk_read(const ds_h5_table *t, const ds_h5_source *s, const ds_h5_piece *p, ds_h5_inflater **z, size_t bytes, void *out);
void      ds_h5_inflater_free(ds_h5_inflater **z);
#endif
