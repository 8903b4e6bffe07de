/* h5_table.h -- a stored data set: its header, and where each of its chunks is. */
#ifndef DS_H5_TABLE_H
#define DS_H5_TABLE_H
#include "data/h5_type.h"

enum ds_h5_index_kind { DS_H5_SINGLE = 1, DS_H5_FIXED = 3, DS_H5_EXTENSIBLE = 4 };
/* A chunk holds no more than the larger of the first two, and never more than the third. */
enum { DS_H5_CHUNK_ROWS = 2048, DS_H5_CHUNK_BYTES = 1 << 20, DS_H5_CHUNK_MOST = 64 << 20 };

typedef struct ds_h5_piece { /* a chunk as it is stored */
    uint64_t at, size;
    uint32_t skipped; /* filters that were left out, a bit each in their order */
} ds_h5_piece;

typedef struct ds_h5_table {
    ds_h5_kind  kind;
    int         rank;                /* 1 or 2 */
    int64_t     rows, width, row;    /* width: entries a row; row: its bytes */
    int64_t     chunk, chunks;       /* rows a chunk; how many there are */
    int         gzip;                /* its chunks went through gzip before their checksum was added */
    int         index, page_bits;    /* ds_h5_index_kind */
    uint64_t    index_at, header_at; /* DS_H5_NOWHERE: nothing is stored */
    ds_h5_piece only;                /* DS_H5_SINGLE */
    rt_buf      block[4];            /* of the index: the one read last at each of its levels */
    uint64_t    block_at[4];
} ds_h5_table;

/* The data set whose header is at `at`; `name` is for errors.  What it claims fits the file's size. */
rt_status ds_h5_table_read(ds_h5_table *out, const ds_h5_source *s, uint64_t at, const char *name);
void      ds_h5_table_free(ds_h5_table *t);

/* h5_index.c: where chunk number `chunk` is. */
rt_status ds_h5_index_find(ds_h5_table *t, const ds_h5_source *s, int64_t chunk, ds_h5_piece *out);
/* h5_chunk.c: the first `bytes` bytes of a chunk: checksum checked, decompressed. */
typedef struct ds_h5_inflater ds_h5_inflater; /* NULL at first; kept from chunk to chunk */
rt_status ds_h5_chunk_read(const ds_h5_table *t, const ds_h5_source *s, const ds_h5_piece *p, ds_h5_inflater **z, size_t bytes, void *out);
void      ds_h5_inflater_free(ds_h5_inflater **z);
#endif
