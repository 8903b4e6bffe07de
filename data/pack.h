/* pack.h -- windows of documents, and which of them share a sequence.
 *
 * A document longer than T is cut into windows of T; every token is in one window.
 */
#ifndef DS_PACK_H
#define DS_PACK_H
#include "core/memory.h"

enum { DS_POOL = 64 }; /* windows looked at when a sequence is filled */

typedef struct ds_window {
    int64_t doc;    /* of all shards, counted through */
    int64_t from;   /* first token, inside the document */
    int32_t n;      /* tokens */
    double  weight; /* of its rows in the loss, together */
} ds_window;

/* The sequences of one epoch: sequence q holds windows item[begin[q]] .. item[begin[q+1] - 1]. */
typedef struct ds_packing {
    int64_t *item;  /* window numbers */
    int64_t *begin; /* [sequences + 1] */
    int64_t  items, sequences;
} ds_packing;

/* Put windows order[0..n) into sequences of T tokens.  pack = 0: one each.  Else best fit
 * with look-ahead: the oldest of a pool of DS_POOL opens a sequence, then the largest
 * that fits (ties: the oldest) joins, until none fits.  A pure function of its arguments. */
rt_status ds_pack(ds_packing *p, const ds_window *w, const int64_t *order, int64_t n, int64_t T, int pack);
void      ds_packing_free(ds_packing *p);
#endif
