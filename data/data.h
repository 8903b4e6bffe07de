/* data.h -- tokenizers, shards and batches.  HDF5 and PCRE2 are used only inside data/.
 *
 * Positions: row i of any target is the teacher's distribution of token i+1 of the same document, given tokens 0..i.  A row counts
 * in the loss if it is valid, its weight is not 0 and token i+1 is not a prompt token (unless prompt_weight is above 0).
 * Log-probabilities are natural logarithms.
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

typedef struct ds_tokenizer ds_tokenizer; /* read-only after loading: threads may share it */

typedef struct ds_ids {
    int32_t *v;
    int64_t  n, cap;
} ds_ids; /* {0} is empty; free(v) */

rt_status ds_ids_add(ds_ids *ids, int32_t id);

/* The tokens that end a text.  A model may name several. */
enum { DS_MAX_ENDS = 64 };
typedef struct ds_ends { /* {0} is empty */
    int32_t id[DS_MAX_ENDS];
    int     n;
} ds_ends;

int       ds_ends_have(const ds_ends *e, int32_t id);
rt_status ds_ends_add(ds_ends *e, int32_t id); /* a negative id is ignored */
rt_status ds_ends_join(ds_ends *e, const ds_ends *more);
/* Adds the ids of the object's key "eos_token_id", which holds one id or a list of ids. */
rt_status ds_ends_take(ds_ends *e, const cJSON *o, const char *where);
/* Does the same for DIR's config.json and generation_config.json; either may be missing. */
rt_status ds_ends_read(ds_ends *e, const char *dir);

/* Loads DIR/tokenizer.json.  The tokens that begin and end a text are also read from tokenizer_config.json, config.json and
 * generation_config.json in the same folder.  RT_EFORMAT names the part of the file that is not supported. */
rt_status      ds_tokenizer_load(ds_tokenizer **out, const char *dir);
void           ds_tokenizer_destroy(ds_tokenizer **t);
int64_t        ds_tokenizer_size(const ds_tokenizer *t);                  /* entries, added tokens included: largest id + 1 */
int32_t        ds_tokenizer_bos(const ds_tokenizer *t);                   /* -1: none */
int32_t        ds_tokenizer_eos(const ds_tokenizer *t);                   /* the tokenizer's own end token */
const ds_ends *ds_tokenizer_ends(const ds_tokenizer *t);                  /* that token and the model's end tokens */
int32_t        ds_tokenizer_id(const ds_tokenizer *t, const char *token); /* id of the entry `token`; -1: none */

/* The tokenizer's identity: a digest of everything that determines ids (data/FORMAT.md).  Shards and servers of older versions
 * record the SHA-256 of the bytes of tokenizer.json instead. */
const char *ds_tokenizer_identity(const ds_tokenizer *t);
const char *ds_tokenizer_file(const ds_tokenizer *t);   /* SHA-256 of tokenizer.json */
const char *ds_tokenizer_former(const ds_tokenizer *t); /* SHA-256 of the tokenizer.json from which this one was copied; "": not recorded */
/* Returns 1 if `noted`, an identity or a file hash recorded by a shard or a server, means this tokenizer. */
int ds_tokenizer_is(const ds_tokenizer *t, const char *noted);
/* Returns 1 if two recorded hashes mean the same tokenizer.  t relates file hashes to identities; it may be NULL. */
int ds_tokenizer_same(const ds_tokenizer *t, const char *a, const char *b);

/* Appends the ids of n bytes.  Any bytes are accepted: those that are not valid UTF-8 are encoded byte by byte.  A training
 * document and a prompt are encoded alike, except that a document is ended:
 * DS_ADDED     added tokens in the text are recognised, special ones too, as in transformers
 * DS_OPEN      adds the tokens that the post-processor's template puts before a text
 * DS_CLOSE     adds the tokens that end a training document: those that the template puts after a text or, if the
 *              tokenizer's files say so (tokenizers made by Retort do), the end token although the template omits it
 * DS_SPECIAL   adds the template's tokens unchanged, before and after the text */
enum { DS_SPECIAL = 1, DS_ADDED = 2, DS_OPEN = 4, DS_CLOSE = 8, DS_PROMPT = DS_ADDED | DS_OPEN, DS_DOCUMENT = DS_PROMPT | DS_CLOSE };
rt_status ds_encode(const ds_tokenizer *t, const char *text, size_t n, int flags, ds_ids *out);
/* Appends the bytes of ids.  `skip_special` omits special added tokens. */
rt_status ds_decode(const ds_tokenizer *t, const int32_t *ids, int64_t n, int skip_special, rt_buf *out);
/* Copies tokenizer.json, tokenizer_config.json (with eos, so that other programs know it) and the tokenizer's other files from one
 * model folder into another.  The copy's template puts no end token after a text; tokenizer_config.json records the tokens that
 * end a document and the hash of the former file. */
rt_status ds_tokenizer_copy(const char *from_dir, const char *to_dir);
/* Names of the files that ds_tokenizer_copy writes, i = 0, 1, ...; NULL after the last. */
const char *ds_tokenizer_part(int i);

/* Text files, and how they are divided into documents. */
typedef struct ds_input {
    const char *const *names; /* files, folders or "-" (standard input): .txt .md .jsonl .ndjson .csv .tsv, also .gz */
    int64_t            n;
    const char        *document; /* plain text: a document is a "line" (or NULL), a "blank-line" paragraph or a "file" */
    const char        *field;    /* JSON and tables: the field that holds the text; NULL: "text" */
    const char        *format;   /* "txt", "jsonl" or "csv" for all names; NULL: by the name's extension */
} ds_input;

/* Trains byte-level BPE of `vocab` entries on the files.  `end` (e.g. "<|end|>") becomes entry 0, bos and eos: documents begin and
 * end with it.  Equal counts: the smaller left id wins, then the smaller right id.  Writes DIR/tokenizer.json and
 * tokenizer_config.json. */
rt_status ds_tokenizer_train(const ds_input *in, int64_t vocab, const char *end, const char *dir, rt_progress *p);

/* ---- shards (data/FORMAT.md) -------------------------------------------------------- */

typedef struct ds_info { /* the attributes of a shard */
    int     soft;        /* kind: 0 text, 1 soft (has targets) */
    int64_t vocab;
    int64_t k, m;        /* 0 for text */
    int64_t codec_bytes; /* per row; 0: none */
    int64_t rank;        /* coordinates of a decoded row, ds_codec.r; set on opening, ignored by ds_writer_create; 0: none */
    char    tokenizer[RT_SHA_HEX];
    char    teacher[128], endpoint[256], dialect[32];
    char    sampling[512], probe[1024], prices[256]; /* JSON texts, may be empty */
    int64_t time;                                    /* unix seconds; not part of the digest */
    char    program[64];
} ds_info;

/* One document: arrays of n entries (n x k, n x m), owned by the caller that filled them.  k = 0: the m tail ids are sampled from
 * the whole distribution, each has weight 1/m, tail_mass is 1 and tail_entropy is the entropy of the whole distribution.  A soft
 * row has at least one of k, m and codec bytes. */
typedef struct ds_doc {
    int64_t        n;
    const int32_t *ids;
    const uint8_t *prompt_mask; /* NULL: no prompt */
    /* soft shards; values of rows with valid = 0 are ignored (written as NaN, ids as 0) */
    const uint8_t *valid;     /* 0 in the last row */
    const int32_t *target_id; /* ids[i + 1]; when writing: may be NULL, RT_EMISMATCH if it differs from ids[i + 1] */
    const int32_t *topk_ids;  /* NULL when k = 0, as is topk_logprob */
    const float   *topk_logprob;
    const float   *actual_logprob; /* NaN: unknown */
    const float   *tail_mass;
    const int32_t *tail_ids;     /* NULL when m = 0 */
    const float   *tail_entropy; /* NULL: unknown */
    const float   *weight;       /* weight of each row in the loss, finite and >= 0; NULL: 1 each */
    const uint8_t *encoded;      /* n rows of info.codec_bytes bytes; NULL if that is 0 */
    /* /doc/...; NULL texts are written as empty texts */
    const char *request, *recipe, *topic, *finish;
    const char *meta; /* a JSON object of further fields; NULL or empty: none */
    uint64_t    seed;
    double      cost; /* NaN: unknown */
} ds_doc;

/* The hidden-state codec: a few codec bytes per row from which the teacher's whole distribution is approximated.  The logits of a
 * row are head . [y, 1] up to a constant, where y[r] is decoded from the row's bytes.  One decoder serves all rows of a shard. */
typedef struct ds_codec {
    int64_t   r, V, bytes; /* coordinates, vocabulary, bytes per row */
    uint8_t  *bits;        /* [r] bits of each coordinate: 1..8, their sum at most 8 * bytes */
    float    *scale;       /* [r] standard deviation of each coordinate */
    uint16_t *head;        /* [V, r + 1] bfloat16; the last column is the bias */
    int64_t   C;           /* size of the teacher's hidden states h; 0: no encoder is known */
    float    *map;         /* [r, C + 1] encoder: coordinate i is map[i] . [h, 1]; NULL if C is 0 */
    double    loss;        /* mean KL(teacher || decoded) in nats per row, measured when it was fitted; NaN: not measured */
} ds_codec;

/* Allocates zeroed tables for the caller to fill.  RT_EINVAL if r coordinates do not fit into `bytes` bytes. */
rt_status ds_codec_create(ds_codec **out, int64_t r, int64_t V, int64_t bytes);
rt_status ds_codec_add_map(ds_codec *s, int64_t C); /* allocates a zeroed map */
void      ds_codec_destroy(ds_codec **s);
void      ds_codec_encode(const ds_codec *s, const float *y, uint8_t *row); /* y[r] to `bytes` bytes */
void      ds_codec_decode(const ds_codec *s, const uint8_t *row, float *y); /* to r + 1 numbers, the last is 1 */

typedef struct ds_writer ds_writer;
/* Creates a shard under a temporary name in the folder of `path`.  RT_EINVAL if `path` exists. */
rt_status ds_writer_create(ds_writer **out, const char *path, const ds_info *info);
rt_status ds_writer_add(ds_writer *w, const ds_doc *d); /* checks that ids < vocab and n >= 1 */
/* Writes the decoder: exactly once if info.codec_bytes > 0, before ds_writer_finish. */
rt_status ds_writer_codec(ds_writer *w, const ds_codec *s);
rt_status ds_writer_finish(ds_writer **w);  /* fsync, rename; *w = NULL */
void      ds_writer_abandon(ds_writer **w); /* removes the temporary file */

typedef struct ds_shard ds_shard; /* used by one thread at a time */

rt_status      ds_shard_open(ds_shard **out, const char *path);
void           ds_shard_close(ds_shard **s);
const ds_info *ds_shard_info(const ds_shard *s);
const char    *ds_shard_path(const ds_shard *s);
int64_t        ds_shard_docs(const ds_shard *s);
int64_t        ds_shard_tokens(const ds_shard *s);
const int64_t *ds_shard_starts(const ds_shard *s); /* [docs + 1] */
int            ds_shard_has_entropy(const ds_shard *s);
int            ds_shard_has_weight(const ds_shard *s);
/* The shard's decoder, checked; NULL: none.  It is read once and owned by the shard. */
rt_status ds_shard_codec(ds_shard *s, const ds_codec **out);
/* Reads document `i`.  The arrays belong to the shard and are valid until its next call. */
rt_status ds_shard_doc(ds_shard *s, int64_t i, ds_doc *d);
/* Full check: shapes, ids, doc_start, target_id against ids, sums of probabilities, checksums.  RT_ECHECK reports the first
 * violation. */
rt_status ds_shard_verify(ds_shard *s);
rt_status ds_shard_digest(ds_shard *s, char hex[RT_SHA_HEX]); /* digest of the content, without times */
/* A hash that identifies the shard: attributes, the lengths of all documents, and the whole content of up to 1024 evenly spread
 * documents.  It takes about a second for a shard of any size. */
rt_status ds_shard_fingerprint(ds_shard *s, char hex[RT_SHA_HEX]);

/* ---- reading text files ------------------------------------------------------------ */

typedef struct ds_text { /* a document before tokenization */
    const char *text;
    size_t      n;
    ds_doc      about;    /* its fields: request, recipe, topic, finish, seed, cost; all others in meta */
    int         left_out; /* number of fields that are too long for meta */
    int64_t     read;     /* bytes read so far, of all files */
} ds_text;

/* Calls doc() for each document of the files in order; its argument is valid until doc() returns.  *bytes (may be NULL) gets the
 * total size of all files before the first call.  The text is UTF-8 without a byte order mark.  RT_EFORMAT tells how to convert
 * other encodings, RT_EINVAL how to convert other kinds of files. */
rt_status ds_text_read(const ds_input *in, int64_t *bytes, rt_status (*doc)(void *ud, const ds_text *t), void *ud);
/* Reads the next line without its line end; *got = 0 at the end of the file.  `where` is for errors. */
rt_status ds_line_read(FILE *f, rt_buf *line, int *got, const char *where);
/* Parses one line of JSON Lines, an object; the line is changed in place.  Free *out with cJSON_Delete.  Numbers keep their digits
 * (RT_JSON_EXACT).  ds_line_text reads strings of it and keeps \u0000: out gets the bytes of the string field `key`; RT_EFORMAT if
 * it is missing. */
rt_status ds_line_parse(cJSON **out, char *line, size_t n, const char *where);
rt_status ds_line_text(const cJSON *o, const char *key, rt_buf *out, const char *where);
int       ds_utf8_valid(const char *s, size_t n);

/* ---- importing text files into shards, and exporting ---------------------------------- */

enum { DS_MAX_PARTS = 16 };
typedef struct ds_part {
    char    name[32];
    char   *path;
    int64_t docs, tokens;
} ds_part;

typedef struct ds_import_opts {
    const ds_input     *input;
    const ds_tokenizer *tokenizer;
    const char         *out;        /* "PATH.h5"; part NAME of a split is written to "PATH-NAME.h5" */
    const char         *split;      /* "train=0.9,valid=0.1": shares below 1, numbers of documents from 1 on; one may
                                       be "rest"; unnamed parts are 0, 1, ...; NULL: one part, in the files' order */
    const char         *max_tokens; /* "N" or "NAME=N,...": the last document is cut so that a part has exactly
                                       N tokens if there is enough text; NULL: no limit */
    int64_t             max_doc;    /* longer documents are cut into several of at most this many tokens; 0: no limit */
    uint64_t            seed;       /* seed of the order of documents before a split */
    const char         *program;    /* the program's name, an attribute of the shard */
} ds_import_opts;
/* Writes all parts or none.  Documents are encoded with DS_DOCUMENT.  RT_EINVAL if a part would be empty or its file exists.  `p`
 * (may be NULL) counts bytes of the files.  Fills parts[0..*n), which ds_parts_free frees.  *left_out: number of documents with a
 * field that did not fit into meta. */
rt_status ds_import(const ds_import_opts *o, ds_part parts[DS_MAX_PARTS], int *n, int64_t *left_out, rt_progress *p);
void      ds_parts_free(ds_part *parts, int n);
/* Writes one line of JSON per document: text, number of tokens, metadata.  RT_EMISMATCH if the shard was made with another
 * tokenizer; RT_EINVAL if `path` exists. */
rt_status ds_export(ds_shard *s, const ds_tokenizer *t, const char *path, rt_progress *p);

/* ---- batches ------------------------------------------------------------------------- */

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
    int64_t  rows, T, k, m;
    int32_t *ids;          /* [N] */
    int32_t *pos;          /* [N] position inside the document's window, used by the rotary embedding */
    int32_t *doc_start;    /* [N] index 0..T-1 within the sequence at which this position's document begins */
    int32_t *target;       /* [N] id of token i+1; -1 where loss_mask = 0 */
    uint8_t *loss_mask;    /* [N] 1: the row counts in the loss */
    float   *weight;       /* [N] the row's weight in the loss; 0 where loss_mask = 0 */
    int32_t *topk_ids;     /* [N, k]; -1 after the last entry that the student has */
    float   *topk_logprob; /* [N, k] */
    int32_t *tail_ids;     /* [N, m]; the same */
    float   *tail_entropy; /* [N]; NaN where unknown */
    float   *decoded;      /* [N, r + 1] decoded, the last of each row is 1; 0 where loss_mask = 0; NULL unless requested */
    int64_t  counted;      /* rows with loss_mask = 1 in this batch */
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

/* Checks that the n tokens of document `doc` from token `from` on are ids below V, the number of ids of the models in use.
 * RT_EMISMATCH names the first that is not.  A shard may have a larger vocabulary: that of a tokenizer with entries that no text
 * contains, or of a padded matrix. */
rt_status ds_ids_check(const ds_shard *s, int64_t doc, int64_t from, const int32_t *ids, int64_t n, int64_t V);

/* Restricts a row's k entries and m tail samples to the ids below V: larger ids are removed, and the remaining entries and tail
 * are renormalised to sum to 1.  Kept entries move to the front and are followed by -1.  tail_entropy (may be NULL) becomes the
 * entropy of the remaining tail.  Nothing changes if no id is V or above. */
void ds_entries_share(int64_t V, int64_t k, int32_t *topk_ids, float *topk_logprob, int64_t m, int32_t *tail_ids, float *tail_entropy);

/* ---- HDF5 files, for shards and checkpoints -------------------------------------------- */

typedef struct ds_h5 ds_h5;

rt_status ds_h5_create(ds_h5 **out, const char *path); /* a new file */
rt_status ds_h5_open(ds_h5 **out, const char *path);   /* read-only; RT_EFORMAT if truncated */
rt_status ds_h5_close(ds_h5 **f);                      /* flush, close; *f = NULL */
typedef enum ds_h5_type { DS_U8, DS_I32, DS_I64, DS_F32, DS_F64 } ds_h5_type;
/* These functions write and read whole one-dimensional data sets. */
rt_status ds_h5_put(ds_h5 *f, const char *name, ds_h5_type t, const void *x, int64_t n);
rt_status ds_h5_get(ds_h5 *f, const char *name, ds_h5_type t, void *x, int64_t n); /* RT_EFORMAT if the length is not n */
int       ds_h5_has(ds_h5 *f, const char *name);
rt_status ds_h5_put_text(ds_h5 *f, const char *attribute, const char *text); /* on the root group */
rt_status ds_h5_get_text(ds_h5 *f, const char *attribute, rt_buf *out);

/* Appends "NAME VERSION" lines of the libraries that this folder uses. */
rt_status ds_library_versions(rt_buf *out);
#endif
