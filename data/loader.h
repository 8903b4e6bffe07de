/* loader.h -- batches of sequences from shards: a stream that is a pure function of a seed and a sequence's number. */
#ifndef DS_LOADER_H
#define DS_LOADER_H
#include "core/options.h"
#include "data/rows.h"
#include "data/shard.h"
#include "data/tokenizer.h"

typedef struct ds_loader ds_loader;

typedef struct ds_loader_opts {
    const rt_strings   *shards;        /* all made with one tokenizer */
    const ds_tokenizer *tokenizer;     /* the shards' tokenizer; NULL: all shards must record the same identity */
    int64_t             vocab;         /* ids of the student: larger tokens are an error, larger entries are omitted; 0: no limit */
    const double       *weights;       /* passes over each shard per epoch; NULL: 1 */
    int64_t             T;             /* tokens per sequence */
    int                 ordered;       /* 1: documents stay in the order of the shards */
    int                 pack;          /* 1: a sequence may hold several documents; none that fits is cut */
    int                 targets;       /* 1: read soft targets (all shards must be soft) */
    int64_t             k, m;          /* entries and tail samples to read: k <= the shards' k; m is the shards' m or 0 */
    int                 use_codec;     /* 1: decode codec bytes; all shards must have the same decoder */
    double              prompt_weight; /* factor on the stored weight of rows about prompt tokens; 0: they do not count */
    int64_t             rows;          /* sequences in the largest batch */
    uint64_t            seed;
} ds_loader_opts;

/* A batch of `rows` sequences: N = rows * T positions.  The arrays belong to the loader.  Unused positions are padding: id 0,
 * loss_mask 0, a document of their own. */
typedef struct ds_batch {
    int64_t  rows, T;
    int32_t *ids;       /* [N] */
    int32_t *pos;       /* [N] position inside the document's window, used by the rotary embedding */
    int32_t *doc_start; /* [N] index 0..T-1 within the sequence at which this position's document begins */
    int32_t *target;    /* [N] id of token i+1; -1 where loss_mask = 0 */
    uint8_t *loss_mask; /* [N] 1: the row counts in the loss */
    float   *weight;    /* [N] the row's weight in the loss; 0 where loss_mask = 0 */
    ds_rows  targets;   /* [N] topk_ids, topk_logprob, tail_ids, tail_entropy, restricted to the student's ids; 0 where loss_mask = 0 */
    float   *decoded;   /* [N, r + 1] decoded, the last of each row is 1; 0 where loss_mask = 0; NULL unless requested */
    int64_t  counted;   /* rows with loss_mask = 1 in this batch */
} ds_batch;

/* RT_EMISMATCH if shards differ in tokenizer or (if requested) in the codec's decoder, or do not have the requested k and m. */
rt_status       ds_loader_create(ds_loader **out, const ds_loader_opts *o);
void            ds_loader_destroy(ds_loader **l);
const ds_info  *ds_loader_info(const ds_loader *l);   /* of the first shard */
int64_t         ds_loader_epoch(const ds_loader *l);  /* sequences in epoch 0 */
int64_t         ds_loader_tokens(const ds_loader *l); /* tokens of all shards, each counted once */
int             ds_loader_has_entropy(const ds_loader *l);
const ds_codec *ds_loader_codec(const ds_loader *l); /* the decoder; NULL unless requested */
/* Reads sequences first .. first+rows-1 of the endless stream, which is a pure function of seed and number: each epoch is shuffled
 * and packed anew.  Each soft row's target_id is checked against the tokens: RT_EMISMATCH names shard, document and row. */
rt_status ds_loader_read(ds_loader *l, int64_t first, int64_t rows, ds_batch *b);
/* Sum of the weights of the rows that count in sequences first .. first+rows-1, without reading targets. */
rt_status ds_loader_weight(ds_loader *l, int64_t first, int64_t rows, double *weight);
#endif
