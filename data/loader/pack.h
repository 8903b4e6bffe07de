/* pack.h -- windows of documents, and the packing of windows into sequences.
 *
 * A document longer than T is cut into windows of T; every token is in one window.
 */
#ifndef DS_PACK_H
#define DS_PACK_H
#include "core/memory.h"

enum { DS_POOL = 64 }; /* windows considered when a sequence is filled */

typedef struct ds_window {
    int64_t doc;    /* document, numbered across all shards */
    int64_t from;   /* first token, counted from the document's start */
    int32_t n;      /* tokens */
    double  weight; /* total weight of its rows in the loss */
} ds_window;

/* The sequences of one epoch: sequence q holds windows item[begin[q]] .. item[begin[q+1] - 1]. */
typedef struct ds_packing {
    int64_t *item;  /* window numbers */
    int64_t *begin; /* [sequences + 1] */
    int64_t  items, sequences;
} ds_packing;

/* Packs windows order[0..n) into sequences of T tokens.  pack = 0: one window per sequence.  Else best fit with look-ahead: the
 * oldest window of a pool of DS_POOL begins a sequence, then the largest that fits (of equal ones the oldest) is added until none
 * fits.  A pure function of its arguments. */
rt_status ds_pack(ds_packing *p, const ds_window *w, const int64_t *order, int64_t n, int64_t T, int pack);
void      ds_packing_free(ds_packing *p);
#endif
