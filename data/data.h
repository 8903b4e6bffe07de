/* data.h -- tokenizers, shards and batches.  HDF5 and PCRE2 stay inside data/.
 *
 * Positions: row i of any target is the teacher's distribution of token i+1 of
 * the same document, given tokens 0..i.  A row counts in the loss when it is
 * valid, its weight is not 0 and token i+1 is no prompt token (unless
 * prompt_weight says otherwise).  Log-probabilities are natural.
 */
#ifndef DS_DATA_H
#define DS_DATA_H
#include "core/hash.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/options.h"
#include "core/progress.h"
#include <stdio.h>

/* ---- tokenizer: Hugging Face's tokenizer.json, byte-level BPE ------------------- */

typedef struct ds_tokenizer ds_tokenizer; /* read-only after loading: safe to share between threads */

typedef struct ds_ids {
    int32_t *v;
    int64_t  n, cap;
} ds_ids; /* {0} is empty; free(v) */

rt_status ds_ids_add(ds_ids *ids, int32_t id);

/* The tokens that end a text: a model may name several. */
enum { DS_MAX_ENDS = 64 };
typedef struct ds_ends { /* {0} is empty */
    int32_t id[DS_MAX_ENDS];
    int     n;
} ds_ends;

int       ds_ends_have(const ds_ends *e, int32_t id);
rt_status ds_ends_add(ds_ends *e, int32_t id); /* below 0: none */
rt_status ds_ends_join(ds_ends *e, const ds_ends *more);
/* Add what the object's "eos_token_id" names: an id or a list of them. */
rt_status ds_ends_take(ds_ends *e, const cJSON *o, const char *where);
/* The same of DIR's config.json and generation_config.json, where they are. */
rt_status ds_ends_read(ds_ends *e, const char *dir);

/* DIR/tokenizer.json; the tokens that begin and end a text also from tokenizer_config.json, config.json and
 * generation_config.json beside it.
 * RT_EFORMAT names a part of the file that is not supported. */
rt_status      ds_tokenizer_load(ds_tokenizer **out, const char *dir);
void           ds_tokenizer_destroy(ds_tokenizer **t);
int64_t        ds_tokenizer_size(const ds_tokenizer *t);                  /* entries, added tokens included: largest id + 1 */
int32_t        ds_tokenizer_bos(const ds_tokenizer *t);                   /* -1: none */
int32_t        ds_tokenizer_eos(const ds_tokenizer *t);                   /* the tokenizer's own end token */
const ds_ends *ds_tokenizer_ends(const ds_tokenizer *t);                  /* it and those of the model beside it */
int32_t        ds_tokenizer_id(const ds_tokenizer *t, const char *token); /* of one entry; -1: none */

/* Its identity: a digest of what decides ids (data/FORMAT.md).  Shards and servers of older versions
 * give the SHA-256 of tokenizer.json's bytes instead. */
const char *ds_tokenizer_identity(const ds_tokenizer *t);
const char *ds_tokenizer_file(const ds_tokenizer *t);   /* that SHA-256 */
const char *ds_tokenizer_former(const ds_tokenizer *t); /* that of the file which this one was copied from; "": not noted */
/* Is it the tokenizer that a shard or a server noted, in either way? */
int ds_tokenizer_is(const ds_tokenizer *t, const char *noted);
/* Are two notes of one tokenizer?  t (NULL: none at hand) says which hash of a file is which identity. */
int ds_tokenizer_same(const ds_tokenizer *t, const char *a, const char *b);

/* Append the ids of n bytes (any bytes: what is no UTF-8 is encoded byte by byte).  A training document and a
 * prompt are encoded alike, but that a document is ended:
 * DS_ADDED     added tokens that stand in the text are recognised, special ones too, as transformers does
 * DS_OPEN      what the post-processor's template puts before a text
 * DS_CLOSE     what ends a training document: what the template puts behind a text, or, where the tokenizer's files say so
 *              (the tokenizers that Retort makes do), the end token although the template leaves it out
 * DS_SPECIAL   the template as it is, before and behind */
enum { DS_SPECIAL = 1, DS_ADDED = 2, DS_OPEN = 4, DS_CLOSE = 8, DS_PROMPT = DS_ADDED | DS_OPEN, DS_DOCUMENT = DS_PROMPT | DS_CLOSE };
rt_status ds_encode(const ds_tokenizer *t, const char *text, size_t n, int flags, ds_ids *out);
/* Append the bytes of ids; `skip_special` leaves out special added tokens. */
rt_status ds_decode(const ds_tokenizer *t, const int32_t *ids, int64_t n, int skip_special, rt_buf *out);
/* Copy tokenizer.json, tokenizer_config.json (with eos, so that other programs
 * know it) and what else belongs to it from one model directory into another.  The copy's template ends no text
 * with an end token; that documents do, and the file's former hash, are noted in tokenizer_config.json. */
rt_status ds_tokenizer_copy(const char *from_dir, const char *to_dir);
/* Names of the files that it writes, i = 0, 1, ...; NULL past the last. */
const char *ds_tokenizer_part(int i);

/* Text files, and how documents stand in them. */
typedef struct ds_input {
    const char *const *names; /* files, folders, "-" for standard input: .txt .md, .jsonl .ndjson, .csv .tsv, each perhaps .gz */
    int64_t            n;
    const char        *document; /* of plain text: "line" (or NULL), "blank-line" between paragraphs, "file" */
    const char        *field;    /* of JSON and tables: which holds the text; NULL: "text" */
    const char        *format;   /* "txt", "jsonl" or "csv", whatever names say; NULL: by name */
} ds_input;

/* Train byte-level BPE of `vocab` entries on the files; `end` (e.g. "<|end|>") becomes entry 0, bos and eos: documents begin and end with it.  Ties: the
 * higher count, then the smaller left id, then the smaller right id.  Writes
 * DIR/tokenizer.json and tokenizer_config.json. */
rt_status ds_tokenizer_train(const ds_input *in, int64_t vocab, const char *end, const char *dir, rt_progress *p);

/* ---- shards (data/FORMAT.md) -------------------------------------------------------- */

typedef struct ds_info { /* what the attributes of a shard say */
    int     soft;        /* kind: 0 text, 1 soft (has targets) */
    int64_t vocab;
    int64_t k, m;  /* 0 for text */
    int64_t codec; /* bytes of a row's encoded state; 0: none */
    int64_t rank;  /* numbers that an encoded state decodes to, ds_codec.r; from the decoder, ignored by ds_writer_create; 0: none */
    char    tokenizer[RT_SHA_HEX];
    char    teacher[128], endpoint[256], dialect[32];
    char    sampling[512], probe[1024], prices[256]; /* JSON texts, may be empty */
    int64_t time;                                    /* unix seconds; not part of the digest */
    char    program[64];
} ds_info;

/* One document: arrays of n entries (n x k, n x m); the owner is who filled it.
 * k = 0: no top k; the m tail ids are drawn from the whole distribution and each weighs 1/m,
 * tail_mass is 1 and tail_entropy the whole entropy.  A soft row has k, m or an encoded state. */
typedef struct ds_doc {
    int64_t        n;
    const int32_t *ids;
    const uint8_t *prompt_mask; /* NULL: no prompt */
    /* soft shards; values of rows with valid = 0 are ignored (written as NaN, ids 0) */
    const uint8_t *valid;     /* 0 in the last row */
    const int32_t *target_id; /* what each row is about; writing: NULL, or RT_EMISMATCH where it is not ids[i + 1] */
    const int32_t *topk_ids;  /* NULL when k = 0, as is topk_logprob */
    const float   *topk_logprob;
    const float   *actual_logprob; /* NaN: unknown */
    const float   *tail_mass;
    const int32_t *tail_ids;     /* NULL when m = 0 */
    const float   *tail_entropy; /* NULL: unknown */
    const float   *weight;       /* of each row in the loss, finite and >= 0; NULL: 1 each */
    const uint8_t *codec;        /* n rows of info.codec bytes; NULL when that is 0 */
    /* /doc/...; NULL texts are written empty */
    const char *request, *recipe, *topic, *finish;
    const char *meta; /* a JSON object of what else is known; NULL or empty: nothing */
    uint64_t    seed;
    double      cost; /* NaN: unknown */
} ds_doc;

/* The hidden-state codec: few bytes a row from which the teacher's whole distribution is rebuilt.  The
 * logits of a row are head . [y, 1] (less a constant), y[r] decoded from its bytes; one decoder
 * serves all rows of a shard. */
typedef struct ds_codec {
    int64_t   r, V, bytes; /* coordinates, vocabulary, bytes a row */
    uint8_t  *bits;        /* [r] of each coordinate: 1..8, together at most 8 times `bytes` */
    float    *scale;       /* [r] standard deviation of each coordinate */
    uint16_t *head;        /* [V, r + 1] bfloat16; the last column is the bias */
    int64_t   C;           /* of the teacher's hidden states h; 0: how rows are made is not known */
    float    *map;         /* [r, C + 1]: coordinate i is map[i] . [h, 1]; NULL where C is 0 */
    double    loss;        /* nats a row, KL(teacher || decoded state), as measured on some rows when it was made; NaN: it was not */
} ds_codec;

/* Zeroed tables to be filled.  RT_EINVAL: r coordinates cannot stand in so many bytes. */
rt_status ds_codec_create(ds_codec **out, int64_t r, int64_t V, int64_t bytes);
rt_status ds_codec_add_map(ds_codec *s, int64_t C); /* zeroed, to be filled */
void      ds_codec_destroy(ds_codec **s);
void      ds_codec_encode(const ds_codec *s, const float *y, uint8_t *row); /* y[r] into `bytes` bytes */
void      ds_codec_decode(const ds_codec *s, const uint8_t *row, float *y); /* into r + 1 numbers, the last 1 */

typedef struct ds_writer ds_writer;
/* A new shard under a temporary name beside `path`.  RT_EINVAL when `path` exists. */
rt_status ds_writer_create(ds_writer **out, const char *path, const ds_info *info);
rt_status ds_writer_add(ds_writer *w, const ds_doc *d); /* checks ids < vocab, n >= 1 */
/* The decoder of the encoded states: once, before the end, where info.codec > 0. */
rt_status ds_writer_codec(ds_writer *w, const ds_codec *s);
rt_status ds_writer_finish(ds_writer **w);  /* fsync, rename; *w = NULL */
void      ds_writer_abandon(ds_writer **w); /* removes the temporary file */

typedef struct ds_shard ds_shard; /* one thread at a time */

rt_status      ds_shard_open(ds_shard **out, const char *path);
void           ds_shard_close(ds_shard **s);
const ds_info *ds_shard_info(const ds_shard *s);
const char    *ds_shard_path(const ds_shard *s);
int64_t        ds_shard_docs(const ds_shard *s);
int64_t        ds_shard_tokens(const ds_shard *s);
const int64_t *ds_shard_starts(const ds_shard *s); /* [docs + 1] */
int            ds_shard_has_entropy(const ds_shard *s);
int            ds_shard_has_weight(const ds_shard *s);
/* The decoder of its encoded states, checked; NULL: it has none.  Read once, belongs to the shard. */
rt_status ds_shard_codec(ds_shard *s, const ds_codec **out);
/* Document `i`; the arrays belong to the shard and live until its next call. */
rt_status ds_shard_doc(ds_shard *s, int64_t i, ds_doc *d);
/* Full check: shapes, ids, doc_start, alignment of target_id with ids, sums of
 * probabilities, checksums.  RT_ECHECK with the first finding. */
rt_status ds_shard_verify(ds_shard *s);
rt_status ds_shard_digest(ds_shard *s, char hex[RT_SHA_HEX]); /* of content, without times */
/* Which shard is this? Attributes, the lengths of all documents, and the whole content of up to 1024, evenly spread: a second, however large it is. */
rt_status ds_shard_fingerprint(ds_shard *s, char hex[RT_SHA_HEX]);

/* ---- text files in ----------------------------------------------------------------- */

typedef struct ds_text { /* a document before it is tokens */
    const char *text;
    size_t      n;
    ds_doc      about;    /* the fields that it came with: request, recipe, topic, finish, seed, cost; all others in meta */
    int         left_out; /* fields that are too long for meta */
    int64_t     read;     /* bytes of all files so far */
} ds_text;

/* Calls doc() for each document of the files, one after another; what it is given lives until it returns.  *bytes (may be NULL):
 * of all files, known before the first call.  Texts are UTF-8 without a byte order mark; RT_EFORMAT says how other encodings are
 * converted, RT_EINVAL how other kinds of files are. */
rt_status ds_text_read(const ds_input *in, int64_t *bytes, rt_status (*doc)(void *ud, const ds_text *t), void *ud);
/* The next line without its end; *got = 0 at the end of the file.  `where` is for errors. */
rt_status ds_line_read(FILE *f, rt_buf *line, int *got, const char *where);
/* One line of JSON lines, an object; the line is changed in place.  Free *out with
 * cJSON_Delete.  Its numbers keep their digits (RT_JSON_EXACT).  Texts of it are read with ds_line_text, which keeps \u0000:
 * out = the bytes of string field `key`; RT_EFORMAT when it is missing. */
rt_status ds_line_parse(cJSON **out, char *line, size_t n, const char *where);
rt_status ds_line_text(const cJSON *o, const char *key, rt_buf *out, const char *where);
int       ds_utf8_valid(const char *s, size_t n);

/* ---- text files into shards, and back ------------------------------------------------ */

enum { DS_MAX_PARTS = 16 };
typedef struct ds_part {
    char    name[32];
    char   *path;
    int64_t docs, tokens;
} ds_part;

typedef struct ds_import_opts {
    const ds_input     *input;
    const ds_tokenizer *tokenizer;
    const char         *out;        /* "PATH.h5"; part NAME of a split becomes "PATH-NAME.h5" */
    const char         *split;      /* "train=0.9,valid=0.1": shares; from 1 on numbers of documents; one may be
                                       "rest"; without names: 0, 1, ...; NULL: one part, in the order of the files */
    const char         *max_tokens; /* "N" or "NAME=N,...": the last document is cut so that a part has exactly
                                       N tokens where there is text enough; NULL: no limit */
    int64_t             max_doc;    /* longer documents are cut into several of at most so many tokens; 0: none is */
    uint64_t            seed;       /* of the order of documents before a split */
    const char         *program;    /* who writes: an attribute of the shard */
} ds_import_opts;
/* All parts or none.  Documents are encoded with DS_DOCUMENT.  RT_EINVAL when a part would
 * be empty or its file exists.  `p` (may be NULL) counts bytes of the files.
 * Fills parts[0..*n); free with ds_parts_free.  *left_out: documents of which a field did not fit into meta. */
rt_status ds_import(const ds_import_opts *o, ds_part parts[DS_MAX_PARTS], int *n, int64_t *left_out, rt_progress *p);
void      ds_parts_free(ds_part *parts, int n);
/* A line of JSON for each document: text, number of tokens, metadata.  RT_EMISMATCH when the
 * shard was made with another tokenizer; RT_EINVAL when `path` exists. */
rt_status ds_export(ds_shard *s, const ds_tokenizer *t, const char *path, rt_progress *p);

/* ---- batches ------------------------------------------------------------------------- */

typedef struct ds_loader ds_loader;

typedef struct ds_loader_opts {
    const rt_strings   *shards;        /* all of one tokenizer */
    const ds_tokenizer *tokenizer;     /* the shards' own; NULL: not at hand, then all must note the same identity */
    int64_t             vocab;         /* ids of the student: tokens beyond are an error, a teacher's entries beyond are left out; 0: all */
    const double       *weights;       /* passes over each shard per epoch; NULL: 1 */
    int64_t             T;             /* tokens a sequence */
    int                 ordered;       /* documents stay in the order of the shards */
    int                 pack;          /* several documents in a sequence, none cut that fits */
    int                 targets;       /* 1: soft targets are wanted (all shards must be soft) */
    int64_t             k, m;          /* how many of them: k <= what the shards hold; m all of them or 0 (a row's were drawn together) */
    int                 codec;         /* 1: decode encoded states, of which all shards must have the same decoder */
    double              prompt_weight; /* of rows about prompt tokens, times their stored weight; 0: they do not count */
    int64_t             rows;          /* sequences in the largest batch that will be read */
    uint64_t            seed;
} ds_loader_opts;

/* A batch of `rows` sequences.  N = rows * T positions; arrays belong to the loader.
 * Unused positions are padding: id 0, count 0, a document of their own. */
typedef struct ds_batch {
    int64_t  rows, T, k, m;
    int32_t *ids;          /* [N] */
    int32_t *pos;          /* [N] position inside the document's window: what rotary embedding uses */
    int32_t *start;        /* [N] index 0..T-1 in the sequence where this position's document begins */
    int32_t *target;       /* [N] id of token i+1; -1 where count = 0 */
    uint8_t *count;        /* [N] 1: the row counts in the loss */
    float   *weight;       /* [N] its weight there; 0 where count = 0 */
    int32_t *topk_ids;     /* [N, k]; -1 behind the last that the student has */
    float   *topk_logprob; /* [N, k] */
    int32_t *tail_ids;     /* [N, m]; the same */
    float   *tail_entropy; /* [N]; NaN where unknown */
    float   *codec;        /* [N, r + 1] decoded, the last of a row 1; 0 where count = 0; NULL unless asked for */
    int64_t  counted;      /* rows with count = 1 in this batch */
} ds_batch;

/* RT_EMISMATCH when shards differ in tokenizer or (if asked for) the codec's decoder, or cannot
 * serve k and m. */
rt_status       ds_loader_create(ds_loader **out, const ds_loader_opts *o);
void            ds_loader_destroy(ds_loader **l);
const ds_info  *ds_loader_info(const ds_loader *l);   /* of the first shard */
int64_t         ds_loader_epoch(const ds_loader *l);  /* sequences in epoch 0 */
int64_t         ds_loader_tokens(const ds_loader *l); /* distinct tokens of all shards */
int             ds_loader_has_entropy(const ds_loader *l);
const ds_codec *ds_loader_codec(const ds_loader *l); /* the decoder; NULL unless asked for */
/* Sequences first .. first+rows-1 of the endless stream (a pure function of seed and
 * number: epoch after epoch, each shuffled and packed anew).  Each soft row's
 * target_id is checked against the token stream: RT_EMISMATCH names shard,
 * document and row. */
rt_status ds_loader_read(ds_loader *l, int64_t first, int64_t rows, ds_batch *b);
/* Sum of the weights of the rows that count in sequences first .. first+rows-1, without reading targets. */
rt_status ds_loader_weight(ds_loader *l, int64_t first, int64_t rows, double *weight);

/* Are the n tokens of document `doc`, from its token `from` on, ids below V, the ids of the models at hand?  RT_EMISMATCH names the
 * first that is not.  Shards may be of a larger vocabulary: that of a tokenizer with entries that no text holds, or of a padded matrix. */
rt_status ds_ids_check(const ds_shard *s, int64_t doc, int64_t from, const int32_t *ids, int64_t n, int64_t V);

/* A row's k entries and m samples, over the ids below V alone: those beyond are left out, what is left adds up to 1 with its rest.
 * Kept entries move to the front; -1 stands behind them. tail_entropy (NULL: none) becomes that of what is left of the rest.
 * Nothing is touched where no id is beyond V. */
void ds_entries_share(int64_t V, int64_t k, int32_t *topk_ids, float *topk_logprob, int64_t m, int32_t *tail_ids, float *tail_entropy);

/* ---- HDF5 (data/h5.c is the only wrapper; checkpoints use it too) -------------------- */

typedef struct ds_h5 ds_h5;

rt_status ds_h5_create(ds_h5 **out, const char *path); /* a new file */
rt_status ds_h5_open(ds_h5 **out, const char *path);   /* read-only; RT_EFORMAT when truncated */
rt_status ds_h5_close(ds_h5 **f);                      /* flush, close; *f = NULL */
typedef enum ds_h5_type { DS_U8, DS_I32, DS_I64, DS_F32, DS_F64 } ds_h5_type;
/* Whole one-dimensional data sets. */
rt_status ds_h5_put(ds_h5 *f, const char *name, ds_h5_type t, const void *x, int64_t n);
rt_status ds_h5_get(ds_h5 *f, const char *name, ds_h5_type t, void *x, int64_t n); /* RT_EFORMAT when n differs */
int       ds_h5_has(ds_h5 *f, const char *name);
rt_status ds_h5_put_text(ds_h5 *f, const char *attribute, const char *text); /* on the root group */
rt_status ds_h5_get_text(ds_h5 *f, const char *attribute, rt_buf *out);

/* Appends "NAME VERSION" lines of the libraries behind this folder. */
rt_status ds_library_versions(rt_buf *out);
#endif
