/* shard.h -- the tables that writer, reader, check and digest of shards share.
 *
 * A shard is columns of token rows, columns of documents and attributes; each stands
 * once in a table here, in the order of the digest.
 */
#ifndef DS_SHARD_H
#define DS_SHARD_H
#include "data/h5.h"

enum {
    DS_FORMAT      = 1,
    DS_CHUNK       = 2048,    /* rows a chunk: a document read alone decompresses this many */
    DS_CHUNK_BYTES = 4 << 20, /* of wide rows fewer stand in a chunk */
    DS_GZIP        = 4,       /* level */
    DS_MAX_K       = 1 << 16, /* largest k and m */
    DS_MAX_SKETCH  = 4096,    /* bytes a row */
    DS_MAX_WIDTH   = 1 << 20, /* numbers in a row of the encoder's map */
    DS_MAX_DOC     = 1 << 26, /* tokens a document */
    DS_CACHE       = 32 << 20 /* bytes of decompressed chunks kept for each column */
};

typedef enum ds_col {
    COL_IDS,
    COL_PROMPT,
    COL_TARGET,
    COL_VALID,
    COL_TOPK_IDS,
    COL_TOPK_LOGPROB,
    COL_ACTUAL,
    COL_REST,
    COL_TAIL,
    COL_ENTROPY,
    COL_WEIGHT,
    COL_SKETCH,
    DS_COLS
} ds_col;

typedef struct ds_column {
    const char *name;
    ds_h5_type  type;
    char        per; /* entries a row: '1', 'k', 'm' or 's' (bytes of an encoded state) */
} ds_column;
extern const ds_column ds_columns[DS_COLS];
/* Rows that are read at a time where all of a document is: some megabytes, however wide they are. */
int64_t    ds_rows_a_part(const ds_info *info);
int        ds_column_used(const ds_info *info, int c);  /* COL_ENTROPY, COL_WEIGHT: may be there */
int64_t    ds_column_width(const ds_info *info, int c); /* entries a row */
ds_h5_spec ds_column_spec(const ds_info *info, int c);

enum { TEXT_REQUEST, TEXT_RECIPE, TEXT_TOPIC, TEXT_FINISH, TEXT_SEED, TEXT_META /* may be there */, DS_TEXTS };
extern const char *const ds_text_names[DS_TEXTS]; /* "/doc/request" ... */
#define DS_STARTS       "/doc_start"
#define DS_COST         "/doc/cost"
#define DS_SKETCH_BITS  "/sketch_bits"
#define DS_SKETCH_SCALE "/sketch_scale"
#define DS_SKETCH_HEAD  "/sketch_head"
#define DS_SKETCH_MAP   "/sketch_map"
#define DS_SKETCH_LOSS  "/sketch_loss"

typedef struct ds_attribute {
    const char *name;
    size_t      at, size; /* of the text in ds_info */
    int         digest;   /* content, not circumstance */
} ds_attribute;
enum { DS_ATTRIBUTES = 8 };
extern const ds_attribute ds_attributes[DS_ATTRIBUTES];

/* As ds_shard_open, with another cache for each column. */
rt_status ds_shard_open_cached(ds_shard **out, const char *path, size_t cache);
/* Rows first .. first+n-1 of a document, of the columns whose bits (1 << COL_...) are in
 * `want`; texts and cost are left out.  ids and prompt_mask hold one more entry where
 * the document goes on.  Ids are checked against the vocabulary, and rows by ds_shard_check_rows. */
rt_status ds_shard_rows(ds_shard *s, int64_t doc, int64_t first, int64_t n, unsigned want, ds_doc *d);
/* Are rows first .. first+n-1 of a document, of the columns that are not NULL in *d, what FORMAT.md says of them?  Everyone who
 * reads rows asks this.  RT_EMISMATCH: a row is not about the token that follows it; RT_EFORMAT: anything else. */
rt_status ds_shard_check_rows(ds_shard *s, int64_t doc, int64_t first, const ds_doc *d);
/* The texts, seed and cost of a document alone; the texts belong to the shard and live until its next call. */
rt_status ds_shard_texts(ds_shard *s, int64_t doc, ds_doc *d);
int       ds_shard_has(const ds_shard *s, int c); /* column c is there */
int       ds_shard_has_meta(const ds_shard *s);
/* Names that stand in the file: RT_EFORMAT where one is of no form that a shard may hold, or a part of what the attributes deny. */
rt_status ds_shard_names(ds_shard *s);
/* A column of one entry a row, all tokens from `first`, as it is stored. */
rt_status ds_shard_column(ds_shard *s, ds_col c, int64_t first, int64_t n, void *out);
/* What the attributes say about k, m and the codec can be. */
int ds_info_fits(const ds_info *i);
/* The decoder anew, for the caller to destroy. */
rt_status ds_shard_codec_read(ds_shard *s, ds_codec **out);

/* `code`, with the first thing that a decoder may not be. */
rt_status ds_codec_check(const ds_codec *s, rt_status code, const char *path);
/* "bits", "scale" or "head": the first in which two decoders differ; NULL: they are the same. */
const char *ds_codec_differs(const ds_codec *a, const ds_codec *b);
#endif
