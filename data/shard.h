/* shard.h -- shards: files of documents with a teacher's distribution for each token (data/FORMAT.md).
 *
 * Positions: row i of any target is the teacher's distribution of token i+1 of the same document, given tokens 0..i.  A row counts
 * in the loss if it is valid, its weight is not 0 and token i+1 is not a prompt token (unless prompt_weight is above 0).
 * Log-probabilities are natural logarithms.
 */
#ifndef DS_SHARD_H
#define DS_SHARD_H
#include "core/hash.h"
#include "data/codec.h"
#include "data/rows.h"

typedef struct ds_info { /* the attributes of a shard */
    int     soft;        /* kind: 0 text, 1 soft (has targets) */
    int64_t vocab;
    int64_t former;      /* number of the teacher's ids, if the tokenizer is a trimmed one (remap.h); 0: not trimmed */
    int64_t k, m;        /* 0 for text */
    int64_t codec_bytes; /* per row; 0: none */
    int64_t rank;        /* coordinates of a decoded row, ds_codec.r; set on opening, ignored by ds_writer_create; 0: none */
    char    tokenizer[RT_SHA_HEX];
    char    teacher[128], endpoint[256], dialect[32];
    char    dtype[8], gemm[256]; /* of a local teacher: type of its activations, JSON text of kn_gemm_put; "": unknown */
    char    sampling[512], probe[1024], prices[256]; /* JSON texts, may be empty */
    int64_t time;                                    /* unix seconds; not part of the digest */
    char    program[64];
} ds_info;

/* One document: arrays of n values, owned by the caller that filled them.  In a shard, k = 0 means that the m tail ids are sampled
 * from the whole distribution: each has weight 1/m, tail_mass is 1 and tail_entropy is the entropy of the whole distribution.  A soft
 * row has at least one of k, m and codec bytes.  If info.former is set, a row may have fewer entries, which are followed by the id -1 with
 * the log-probability -infinity, and fewer tail ids, which are followed by -1. */
typedef struct ds_doc {
    int64_t        n;
    const int32_t *ids;
    const uint8_t *prompt_mask; /* NULL: no prompt */
    /* soft shards: */
    ds_rows        rows;      /* of info's k, m and codec_bytes; valid is 0 in the last row; other values of rows with valid = 0 are ignored
                                 (written as NaN, ids as 0) */
    const int32_t *target_id; /* ids[i + 1]; when writing: may be NULL, RT_EMISMATCH if it differs from ids[i + 1] */
    const float   *weight;    /* weight of each row in the loss, finite and >= 0; NULL: 1 each */
    /* /doc/...; NULL texts are written as empty texts */
    const char *request, *recipe, *topic, *finish;
    const char *meta; /* a JSON object of further fields; NULL or empty: none */
    uint64_t    seed;
    double      cost; /* NaN: unknown */
} ds_doc;

typedef struct ds_writer ds_writer;
/* Creates a shard under a temporary name in the folder of `path`.  RT_EINVAL if `path` exists. */
rt_status ds_writer_create(ds_writer **out, const char *path, const ds_info *info);
/* Checks that ids < vocab and n >= 1.  After an error the shard may hold a part of the document: abandon the writer. */
rt_status ds_writer_add(ds_writer *w, const ds_doc *d);
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

/* Checks that the n tokens of document `doc` from token `from` on are ids below V, the number of ids of the models in use.
 * RT_EMISMATCH names the first that is not.  A shard may have a larger vocabulary: that of a tokenizer with entries that no text
 * contains, or of a padded matrix. */
rt_status ds_ids_check(const ds_shard *s, int64_t doc, int64_t from, const int32_t *ids, int64_t n, int64_t V);
#endif
