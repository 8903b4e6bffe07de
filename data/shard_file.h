/* shard_file.h -- shared by shard_open.c and shard_read.c: a shard that is open. */
#ifndef DS_SHARD_FILE_H
#define DS_SHARD_FILE_H
#include "data/shard.h"

struct ds_shard {
    ds_h5     *file;
    ds_info    info;
    int64_t    docs, tokens, *starts;
    ds_h5_set *col[DS_COLS], *text[DS_TEXTS], *cost;
    ds_codec  *codec; /* NULL until it is asked for */
    void      *rows[DS_COLS];
    int64_t    cap[DS_COLS]; /* rows that rows[c] has room for */
    uint64_t  *marks;        /* shard_rows.c: a bit for each id, all 0 between rows; NULL until a row is checked */
    char       words[DS_TEXTS][DS_H5_MAX_TEXT + 1];
};

/* Entries of a one-dimensional data set. */
rt_status ds_shard_count(int64_t *n, ds_shard *s, const char *name, ds_h5_type type);
#endif
