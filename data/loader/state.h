/* state.h -- declarations that loader.c (the stream of sequences) and fill.c (the filling of batches) share. */
#ifndef DS_LOADER_STATE_H
#define DS_LOADER_STATE_H
#include "data/loader.h"
#include "data/loader/pack.h"
#include "data/shard/columns.h"

/* Returns a row's weight in the loss from its stored weight; 0: it does not count.  `prompt`: the row is about a prompt token. */
static inline float ds_row_weight(float stored, int valid, int prompt, double prompt_weight)
{
    return !valid ? 0 : prompt ? stored * (float)prompt_weight : stored;
}

typedef struct ds_epoch {
    int64_t    number; /* -1: empty */
    ds_packing p;
} ds_epoch;

struct ds_loader {
    ds_loader_opts  o; /* its shards and weights are not used after opening */
    int             n; /* shards */
    ds_shard       *shard[RT_MAX_STRINGS];
    double          weight[RT_MAX_STRINGS];
    int64_t         first_doc[RT_MAX_STRINGS + 1]; /* documents are numbered across all shards */
    ds_window      *window;                        /* in document order */
    int64_t        *doc_window;                    /* [documents + 1] first window of each document */
    ds_epoch        epoch[2];                      /* the two epochs used last: a batch may span both */
    int64_t        *begin;                         /* [epochs + 1] first sequence of each epoch known so far */
    int64_t         epochs, begin_cap;
    const ds_codec *codec; /* the first shard's codec; NULL unless requested */
    ds_batch        batch;
};

/* Allocates batch arrays for o.rows sequences. */
rt_status ds_batch_alloc(ds_loader *l);
void      ds_batch_free(ds_loader *l);
void      ds_batch_clear(ds_loader *l, int64_t rows);
/* Fills sequence `row` of the batch from windows item[0..n). */
rt_status ds_batch_fill(ds_loader *l, int64_t row, const int64_t *item, int64_t n);
#endif
