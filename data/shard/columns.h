/* columns.h -- the tables that writer, reader, check and digest of shards share.
 *
 * A shard consists of columns of token rows, columns of documents, and attributes.  The tables here list each of them once, in the
 * order of the digest.
 */
#ifndef DS_SHARD_COLUMNS_H
#define DS_SHARD_COLUMNS_H
#include "data/h5/set.h"
#include "data/shard.h"

enum {
    DS_FORMAT      = 1,
    DS_CHUNK       = 2048,    /* rows per chunk: reading one document decompresses this many */
    DS_CHUNK_BYTES = 4 << 20, /* limit of a chunk's bytes: chunks of wide rows have fewer rows */
    DS_GZIP        = 4,       /* level */
    DS_MAX_K       = 1 << 16, /* largest k and m */
    DS_MAX_SKETCH  = 4096,    /* codec bytes per row */
    DS_MAX_WIDTH   = 1 << 20, /* numbers in a row of the encoder's map */
    DS_MAX_DOC     = 1 << 26, /* tokens per document */
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
    char        per; /* values per row: '1', 'k', 'm' or 's' (codec bytes) */
    size_t      at;  /* of the pointer to its values in ds_doc */
} ds_column;
extern const ds_column ds_columns[DS_COLS];
/* Rows that are read at a time when all of a document is read: a few megabytes for rows of any width. */
int64_t ds_rows_a_part(const ds_info *info);
int     ds_column_used(const ds_info *info, int c);  /* COL_ENTROPY, COL_WEIGHT: optional even if 1 */
int64_t ds_column_width(const ds_info *info, int c); /* values per row */
size_t  ds_column_size(int c);                       /* bytes per value */
/* Get and set the document's pointer to the values of column c; NULL: it has none. */
const void *ds_column_get(const ds_doc *d, int c);
void        ds_column_set(ds_doc *d, int c, const void *values);
ds_h5_spec  ds_column_spec(const ds_info *info, int c);

enum { TEXT_REQUEST, TEXT_RECIPE, TEXT_TOPIC, TEXT_FINISH, TEXT_SEED, TEXT_META /* optional */, DS_TEXTS };
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
    int         digest;   /* 1: part of the digest */
    int         later;    /* 1: it was added to format 1 later, so older shards lack it */
} ds_attribute;
enum { DS_ATTRIBUTES = 10 };
extern const ds_attribute ds_attributes[DS_ATTRIBUTES];

/* Like ds_shard_open, with `cache` bytes of decompressed chunks kept for each column. */
rt_status ds_shard_open_cached(ds_shard **out, const char *path, size_t cache);
/* Reads rows first .. first+n-1 of a document, of the columns whose bits (1 << COL_...) are set in `want`; texts and cost are not
 * read.  ids and prompt_mask hold one more entry unless the document ends there.  Ids are checked against the vocabulary, and rows
 * by ds_shard_check_rows. */
rt_status ds_shard_rows(ds_shard *s, int64_t doc, int64_t first, int64_t n, unsigned want, ds_doc *d);
/* Checks rows of a document, beginning with row `first`, against data/FORMAT.md, for the columns that are not NULL in *d.  Every
 * reader of rows calls it.  RT_EMISMATCH: a row is not about the token that follows it; RT_EFORMAT: any other violation. */
rt_status ds_shard_check_rows(ds_shard *s, int64_t doc, int64_t first, const ds_doc *d);
/* Reads only the texts, seed and cost of a document.  The texts belong to the shard and are valid until its next call. */
rt_status ds_shard_texts(ds_shard *s, int64_t doc, ds_doc *d);
int       ds_shard_has(const ds_shard *s, int c); /* 1: the shard has column c */
int       ds_shard_has_meta(const ds_shard *s);
/* Checks the names in the file.  RT_EFORMAT if a name is not one that a shard may hold, or is of a part that the attributes
 * exclude. */
rt_status ds_shard_names(ds_shard *s);
/* Reads n rows of a column with one entry per row, from token `first` of the shard on, unchanged. */
rt_status ds_shard_column(ds_shard *s, ds_col c, int64_t first, int64_t n, void *out);
/* Returns 1 if v[at] may be in a column of `width` ids per row; entry: a column of entries or tail ids, whose rows may end early. */
int ds_id_fits(const ds_info *i, const int32_t *v, int64_t at, int64_t width, int entry);
/* Returns 1 if the attributes for k, m and the codec are valid together. */
int ds_info_fits(const ds_info *i);
/* Reads the decoder again; the caller destroys it. */
rt_status ds_shard_codec_read(ds_shard *s, ds_codec **out);

/* Returns the status `code` with a message about the first value that a codec may not have; RT_OK: none. */
rt_status ds_codec_check(const ds_codec *s, rt_status code, const char *path);
/* Returns the first part in which two codecs differ: "bits", "scale" or "head"; NULL: they do not differ. */
const char *ds_codec_differs(const ds_codec *a, const ds_codec *b);
#endif
