/* remap.h -- a shard for a trimmed tokenizer: the same documents and rows under the trimmed tokenizer's ids. */
#ifndef DS_REMAP_H
#define DS_REMAP_H
#include "core/progress.h"
#include "data/rows.h"
#include "data/shard.h"
#include "data/tokenizer.h"

/* `map` has the new id of every id of the teacher.  Renumbers the ids of row i: id becomes map[id], and an id with map[id] = -1 is removed.  The mass of a removed entry becomes tail mass, and
 * its share of the entropy tail entropy, both exactly.  A removed tail sample is not replaced: the remaining ones stand for the whole tail.
 * Removed ids leave -1 at the end, removed entries the log-probability -infinity.  Returns the mass that moved to the tail. */
double ds_rows_map(ds_rows *r, int64_t i, const int32_t *map);

typedef struct ds_remapped {
    int64_t documents, tokens, rows; /* rows: valid ones */
    double  moved;                   /* mean mass that moved from the entries of a row to its tail; NaN: no rows */
} ds_remapped;
/* Writes the shard `out` with the documents of `s` under the ids of `to`.  The decoder of encoded states keeps the rows of the remaining ids.
 * RT_EMISMATCH: `s` was not made with `from`, an entry of `to` is not one of `from`, or a document holds an id that `to` lacks;
 * RT_EINVAL: `out` exists. */
rt_status ds_remap(ds_shard *s, const ds_tokenizer *from, const ds_tokenizer *to, const char *out, rt_progress *p, ds_remapped *r);
#endif
