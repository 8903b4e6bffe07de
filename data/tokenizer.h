/* tokenizer.h -- tokenizers of Hugging Face's form (tokenizer.json), also made of SentencePiece's and tiktoken's files: text to ids and back, training, copying.
 *
 * BPE of bytes (GPT-2's, Llama 3's, Qwen's kind), BPE of characters (SentencePiece's kind: Llama 2, Mistral, Gemma) and Unigram.
 */
#ifndef DS_TOKENIZER_H
#define DS_TOKENIZER_H
#include "core/hash.h"
#include "core/json.h"
#include "core/progress.h"

typedef struct ds_tokenizer ds_tokenizer; /* read-only after loading: threads may share it */

typedef struct ds_ids {
    int32_t *v;
    int64_t  n, cap;
} ds_ids; /* {0} is empty; free(v) */

rt_status ds_ids_add(ds_ids *ids, int32_t id);
rt_status ds_ids_add_all(ds_ids *ids, const ds_ids *more);
rt_status ds_ids_reserve(ds_ids *ids, int64_t more); /* allocates room for `more` ids */

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

/* Loads the tokenizer of a folder: tokenizer.json; if there is none, SentencePiece's tokenizer.model or a tiktoken file of Llama 3, Qwen or GPT-2 (tokenizer.model, *.tiktoken), with which
 * tokenizer_config.json beside it counts.  DIR may also be a file *.model or *.tiktoken.  The tokens that begin and end a text are also read from tokenizer_config.json, config.json and
 * generation_config.json in the same folder.  RT_EFORMAT names the part of the file that is not supported. */
rt_status      ds_tokenizer_load(ds_tokenizer **out, const char *dir);
int            ds_tokenizer_is_file(const char *path); /* returns 1 if the path names a file *.model or *.tiktoken, not a folder */
void           ds_tokenizer_destroy(ds_tokenizer **t);
int64_t        ds_tokenizer_size(const ds_tokenizer *t);                  /* entries, added tokens included: largest id + 1 */
int64_t        ds_tokenizer_entries(const ds_tokenizer *t);               /* number of entries: the size without unused ids */
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

/* Appends the ids of n bytes.  Any bytes are accepted.  Byte-level BPE encodes bytes that are not UTF-8 as they are; for every other
 * model each maximal part that is not UTF-8 becomes U+FFFD first, as in Python's errors="replace".  A training document and a prompt are encoded alike, except that a document is ended:
 * DS_ADDED     added tokens in the text are recognised, special ones too, as in transformers
 * DS_OPEN      adds the tokens that the post-processor's template puts before a text
 * DS_CLOSE     adds the tokens that end a training document: those that the template puts after a text or, if the
 *              tokenizer's files say so (tokenizers made by Retort do), the end token although the template omits it
 * DS_SPECIAL   adds the template's tokens unchanged, before and after the text */
enum { DS_SPECIAL = 1, DS_ADDED = 2, DS_OPEN = 4, DS_CLOSE = 8, DS_PROMPT = DS_ADDED | DS_OPEN, DS_DOCUMENT = DS_PROMPT | DS_CLOSE };
rt_status ds_encode(const ds_tokenizer *t, const char *text, size_t n, int flags, ds_ids *out);
/* Encodes many texts: an encoder keeps the ids of words that it has seen, up to 48 MB, which makes it about ten times as fast as ds_encode, and
 * gives the same ids.  One thread uses an encoder; several encoders may share a tokenizer, which must outlive them. */
typedef struct ds_encoder ds_encoder;
rt_status                 ds_encoder_create(ds_encoder **out, const ds_tokenizer *t);
rt_status                 ds_encoder_add(ds_encoder *e, const char *text, size_t n, int flags, ds_ids *out); /* as ds_encode */
void                      ds_encoder_destroy(ds_encoder **e);
/* Encodes many texts on all threads, each with an encoder that is kept from call to call. */
typedef struct ds_raw {
    const char *p;
    size_t      n;
} ds_raw;
typedef struct ds_batch ds_batch;
rt_status               ds_batch_create(ds_batch **out, const ds_tokenizer *t); /* t must outlive it */
/* Appends the ids of text[i] to ids[i], i = 0 .. n-1. */
rt_status ds_batch_encode(ds_batch *b, const ds_raw *text, int64_t n, int flags, ds_ids *ids);
void      ds_batch_destroy(ds_batch **b);
/* Does the same for texts that arrive one by one, of which it keeps copies of about 4 MB: take() gets the ids of each text in order, during a later
 * ds_queue_add or ds_queue_end. */
typedef struct ds_queue ds_queue;
rt_status ds_queue_create(ds_queue **out, const ds_tokenizer *t, int flags, rt_status (*take)(void *ud, const ds_ids *ids), void *ud);
rt_status ds_queue_add(ds_queue *q, const char *text, size_t n);
rt_status ds_queue_end(ds_queue *q); /* encodes the texts that wait */
void      ds_queue_destroy(ds_queue **q);
/* Appends the text of ids.  `skip_special` omits special added tokens.  Byte-level entries give their bytes, which need not be UTF-8. */
rt_status ds_decode(const ds_tokenizer *t, const int32_t *ids, int64_t n, int skip_special, rt_buf *out);
/* Appends the text of one id inside a text: no space is removed, and an entry of a byte ("<0xE2>") gives that byte. */
rt_status ds_token_text(const ds_tokenizer *t, int32_t id, rt_buf *out);

/* Decoding one id at a time gives the same text.  A space that the decoder removes at the beginning is removed from the first id's
 * text only, and bytes of byte entries are kept back until another id shows whether they are characters. */
typedef struct ds_decoder ds_decoder;
rt_status                 ds_decoder_create(ds_decoder **out, const ds_tokenizer *t, int skip_special); /* t must outlive it */
rt_status                 ds_decoder_add(ds_decoder *d, int32_t id, rt_buf *out); /* appends the text that has become certain */
rt_status                 ds_decoder_end(ds_decoder *d, rt_buf *out);             /* appends the rest; the next id begins another text */
void                      ds_decoder_destroy(ds_decoder **d);

/* Sets *json to the text of a folder's tokenizer.json, which is made if the tokenizer is in another form, and *path to the file from which it is. */
rt_status ds_tokenizer_json(rt_buf *json, rt_buf *path, const char *dir);
/* Copies tokenizer.json, tokenizer_config.json (with eos, so that other programs know it) and the tokenizer's other files from one
 * model folder into another.  The copy's template puts no end token after a text; tokenizer_config.json records the tokens that
 * end a document and the hash of the former file. */
rt_status ds_tokenizer_copy(const char *from_dir, const char *to_dir);
/* Names of the files that ds_tokenizer_copy writes, i = 0, 1, ...; NULL after the last. */
const char *ds_tokenizer_part(int i);

/* Writes to to_dir the tokenizer of from_dir with only a part of its entries: those with used[id] = 1 (of all ids of the tokenizer), the symbols
 * and intermediate entries from which they are merged, all bytes and all special tokens.  Entries keep their order, ids become dense.  A text
 * whose ids are all in use gets the same entries as before.  The result is an ordinary tokenizer.json with tokenizer_config.json and the chat
 * template.  RT_EINVAL if to_dir holds a tokenizer. */
rt_status ds_tokenizer_trim(const char *from_dir, const uint8_t *used, const char *to_dir);
/* Sets map[id] for all ids of `from` to the id of the same entry in `to`, or to -1.  Entries are the same if they have the same form in
 * tokenizer.json or, if only one of the tokenizers is byte-level, the same text; an added token is never the same as another entry. */
rt_status ds_tokenizer_map(const ds_tokenizer *from, const ds_tokenizer *to, int32_t *map);

typedef struct ds_input ds_input; /* text.h */
/* Trains byte-level BPE of `vocab` entries on the files.  `end` (e.g. "<|end|>") becomes entry 0, bos and eos: documents begin and
 * end with it.  Equal counts: the smaller left id wins, then the smaller right id.  Writes DIR/tokenizer.json and
 * tokenizer_config.json. */
rt_status ds_tokenizer_train(const ds_input *in, int64_t vocab, const char *end, const char *dir, rt_progress *p);
#endif
