/* file.h -- the state of an open shard, shared by open.c, read.c and check.c. */
#ifndef DS_SHARD_FILE_H
#define DS_SHARD_FILE_H
#include "data/shard/columns.h"

struct ds_shard {
    ds_h5     *file;
    ds_info    info;
    int64_t    docs, tokens, *starts;
    ds_h5_set *col[DS_COLS], *text[DS_TEXTS], *cost;
    ds_codec  *codec; /* NULL until it is requested */
    void      *rows[DS_COLS];
    int64_t    cap[DS_COLS]; /* rows for which rows[c] has space */
    uint64_t  *marks;        /* check.c: a bit per id, all 0 between rows; NULL until a row is checked */
    char       words[DS_TEXTS][DS_H5_MAX_TEXT + 1];
};

/* Gets the number of entries of a one-dimensional data set. */
rt_status ds_shard_count(int64_t *n, ds_shard *s, const char *name, ds_h5_type type);
#endif
