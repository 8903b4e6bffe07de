/* parts.h -- a tokenizer's vocabulary, models and added tokens (private to data/); chain.h has the steps around the model.
 *
 * A text is processed in this order: added tokens -> normalizer -> added tokens again -> pre-tokenizer, which cuts it into pieces ->
 * model: BPE of bytes, BPE of characters, or Unigram.  Entries are kept in the form of tokenizer.json: if the symbols are bytes,
 * each is one printable character (bpe_alphabet.c), so that "Ġthe" is the entry of " the".
 */
#ifndef DS_TOKENIZER_PARTS_H
#define DS_TOKENIZER_PARTS_H
#include "data/tokenizer/cache.h"
#include "data/tokenizer/chain.h"

/* ---- vocab.c: strings <-> dense ids ------------------------------------------- */

enum { DS_MAX_ENTRIES = 1 << 22 };
enum { DS_ENTRY_PRESENT = 1, DS_ENTRY_ADDED = 2, DS_ENTRY_SPECIAL = 4, DS_ENTRY_CHANGED = 8 /* by the normalizer: ds_added_text */ };

typedef struct ds_entry {
    int64_t at; /* offset in ds_vocab.text */
    int32_t n;
    int32_t flags;
} ds_entry;

typedef struct ds_vocab { /* {0} is empty */
    rt_buf    text;
    ds_entry *entry; /* [n], by id; ids without PRESENT are unused */
    int64_t   n, cap, used;
    int32_t  *slot; /* open addressing: id + 1, or 0 (empty) */
    int64_t   slots;
} ds_vocab;

void        ds_vocab_free(ds_vocab *v);
int32_t     ds_vocab_find(const ds_vocab *v, const char *s, size_t n); /* -1: none */
const char *ds_vocab_text(const ds_vocab *v, int32_t id, size_t *n);
/* RT_EFORMAT if the id is out of range or in use, or if the string has another id. */
rt_status ds_vocab_put(ds_vocab *v, const char *s, size_t n, int64_t id, const char *where);

/* ---- bpe_alphabet.c: bytes <-> printable characters ----------------------------- */

enum { DS_MAX_UTF8 = 4 };
size_t    ds_alphabet_put(unsigned char byte, char out[2]);         /* returns the number of bytes: 1 or 2 */
int       ds_alphabet_get(const char *s, size_t n, size_t *len);    /* the byte for the character at s; -1: none */
int       ds_alphabet_order(int i);                                 /* the byte with the i-th smallest character */
rt_status ds_alphabet_encode(const char *s, size_t n, rt_buf *out); /* appends */
/* Appends the bytes that an entry represents.  An entry with a character outside the alphabet represents its own UTF-8. */
rt_status ds_alphabet_decode(const char *s, size_t n, rt_buf *out);

/* ---- bpe.c: merging ------------------------------------------------------------- */

typedef struct ds_merge {
    uint64_t key; /* left << 32 | right, plus 1; 0: empty */
    int32_t  rank, id;
} ds_merge;

typedef struct ds_merges { /* {0} is empty */
    ds_merge *slot;
    int64_t   slots;
} ds_merges;

rt_status       ds_merges_reserve(ds_merges *m, int64_t n);
void            ds_merges_put(ds_merges *m, int32_t left, int32_t right, int32_t rank, int32_t id); /* of equal pairs the last counts */
const ds_merge *ds_merges_find(const ds_merges *m, int32_t left, int32_t right);                    /* NULL: none */

typedef struct ds_bpe_work { /* scratch memory of one caller; {0} is empty */
    int32_t *rank, *id, *next, *prev;
    int64_t *heap;
    int64_t  cap;
} ds_bpe_work;
void ds_bpe_work_free(ds_bpe_work *w);
/* Merges ids[0..n) in place: the pair of the lowest rank first, of equal ranks the leftmost.  *left gets the remaining number.
 * O(n log n). */
rt_status ds_bpe_merge(const ds_merges *m, ds_bpe_work *w, int32_t *ids, int64_t n, int64_t *left);

/* ---- symbols.c: the symbols with which merging begins ------------------------------ */

/* Bytes, or characters that are entries.  A character that is no entry is given in bytes ("<0xE2>") if all of them are entries and
 * byte_fallback holds, else it is the entry `unk`; with fuse_unk neighbours are one. */
typedef struct ds_symbols {
    int32_t  byte[256]; /* -1: no entry */
    int32_t *character; /* [DS_CODE_POINTS] -1: no entry; NULL: symbols are bytes */
    int      byte_fallback, fuse_unk;
    int32_t  unk;  /* -1: a character without an entry is left out */
    uint8_t *join; /* a bit for each hash of two symbols: 1: some merge may join them; NULL: symbols are bytes */
} ds_symbols;

/* Both need the vocabulary.  byte_fallback, fuse_unk and unk are set before. */
rt_status ds_symbols_of_bytes(ds_symbols *s, const ds_vocab *v, const char *where);
rt_status ds_symbols_of_characters(ds_symbols *s, const ds_vocab *v);
/* Notes that a merge joins these entries.  Call it for every merge. */
void ds_symbols_join(ds_symbols *s, const ds_vocab *v, int32_t left, int32_t right);
void ds_symbols_free(ds_symbols *s);
/* Fills ids, which has room for n, with the symbols of n bytes; returns their number. */
int64_t ds_symbols_fill(const ds_symbols *s, const char *text, size_t n, int32_t *ids);
/* Writes into end[] the ends of the words from text + *at on, relative to text, until `most` are found or n is reached; returns their number and
 * moves *at behind them.  No merge crosses the bound of two words.  Symbols that are bytes are one word. */
int ds_symbols_cut(const ds_symbols *s, const char *text, size_t n, size_t *at, uint32_t *end, int most);
/* The bytes' entries "<0x00>" .. "<0xFF>"; -1: none.  ds_byte_entry: the byte that such an entry stands for; -1: it is none. */
void ds_byte_entries(const ds_vocab *v, int32_t byte[256]);
int  ds_byte_entry(const char *s, size_t n);

/* ---- trie.c: the entries that begin at a place ---------------------------------------- */

typedef struct ds_trie { /* {0} is empty */
    ds_merges next;      /* (node, byte) -> node, and the id of the string that ends there, or -1 */
    int32_t   nodes;
} ds_trie;

rt_status ds_trie_reserve(ds_trie *t, int64_t bytes); /* for strings of so many bytes in all */
void      ds_trie_put(ds_trie *t, const char *s, size_t n, int32_t id);
/* Goes from *node (0: the beginning) along a byte.  Returns 0 if no string continues so; else *id is the string that ends here, or -1. */
int  ds_trie_step(const ds_trie *t, int32_t *node, unsigned char byte, int32_t *id);
void ds_trie_free(ds_trie *t);

/* ---- unigram.c: the segmentation of the highest score ----------------------------------- */

typedef struct ds_unigram { /* {0}: the model is BPE */
    ds_trie trie;
    double *score;  /* [entries] natural logarithms */
    double *weight; /* [entries] the scores as Hugging Face's tokenizers read them; set by ds_unigram_ready */
    int64_t n, cap;
    double  unk_score;
    int32_t byte[256];
    int32_t unk; /* -1: a character without an entry is an error */
    int     byte_fallback;
} ds_unigram;

typedef struct ds_unigram_work { /* scratch memory of one caller; {0} is empty */
    struct ds_unigram_best *best;
    int64_t                 cap;
} ds_unigram_work;

rt_status ds_unigram_ready(ds_unigram *u, const ds_vocab *v); /* call it after the last entry */
rt_status ds_unigram_encode(const ds_unigram *u, const ds_vocab *v, ds_unigram_work *w, const char *s, size_t n, ds_ids *out);
void      ds_unigram_work_free(ds_unigram_work *w);
void      ds_unigram_free(ds_unigram *u);

/* ---- added.c: added tokens in the text ---------------------------------- */

enum { DS_ADDED_WORD = 1, DS_ADDED_LSTRIP = 2, DS_ADDED_RSTRIP = 4 };
typedef struct ds_added_token {
    char   *text;
    size_t  n;
    int32_t id;
    int     flags;
} ds_added_token;

typedef struct ds_added { /* {0} is empty */
    ds_added_token *token;
    int64_t         n, cap;
    ds_trie         trie;        /* of the tokens' texts, to their index */
    uint8_t         begins[256]; /* 1: a token begins with this byte */
    int             only;        /* the byte with which all tokens begin; -1: there are several */
} ds_added;

rt_status ds_added_put(ds_added *a, const char *text, size_t n, int32_t id, int flags);
rt_status ds_added_ready(ds_added *a); /* call it after the last put */
void      ds_added_free(ds_added *a);
/* Returns the text of the token with this id, which the list has. */
const char *ds_added_text(const ds_added *a, int32_t id, size_t *n);
/* Finds the first token at or after `from`, which covers text[*start..*stop).  NULL: none. */
const ds_added_token *ds_added_next(const ds_added *a, const char *text, size_t n, size_t from, size_t *start, size_t *stop);

/* ---- words.c: the ids of pieces ------------------------------------------------------ */

struct ds_tokenizer;
typedef struct ds_words { /* one thread's; {.t = t} is empty */
    const struct ds_tokenizer *t;
    ds_cache                   cache;
    ds_bpe_work                bpe;
    ds_unigram_work            unigram;
    rt_buf                     entry;
} ds_words;

/* Append the ids of a piece, and of a text that the pre-tokenizer's matcher cuts into pieces. */
rt_status ds_words_piece(ds_words *w, const char *s, size_t n, ds_ids *out);
rt_status ds_words_text(ds_words *w, const char *s, size_t n, ds_ids *out);
/* Appends the ids of a piece by the model alone: no cache, no words. */
rt_status ds_words_plain(ds_words *w, const char *s, size_t n, ds_ids *out);
void      ds_words_free(ds_words *w);

/* ---- the tokenizer ----------------------------------------------------------------- */

struct ds_tokenizer {
    ds_vocab        vocab;
    ds_merges       merges;
    ds_symbols      symbols;
    ds_unigram      unigram;
    ds_normalizer   normalizer;
    ds_pre          pre;
    ds_decode_steps decoder;
    ds_added        raw, normalized; /* tokens matched before and after the normalizer */
    ds_ids          prefix, suffix;  /* tokens that the post-processor adds around a text */
    ds_ids          close;           /* tokens that end a training document: the suffix, or those in tokenizer_config.json */
    int             is_unigram, ignore_merges;
    int32_t         bos, eos;
    ds_ends         ends;
    char            identity[RT_SHA_HEX]; /* see data/FORMAT.md */
    char            file[RT_SHA_HEX];     /* SHA-256 of tokenizer.json */
    char            former[RT_SHA_HEX];   /* SHA-256 of the tokenizer.json from which this one was copied; "": not recorded */
};

enum { DS_MAX_TOKENIZER = 256 << 20 }; /* largest size of a file in bytes */
/* The object of Retort's own data in tokenizer_config.json: "document_end", the tokens that end a training document;
 * "former_file", the SHA-256 of the tokenizer.json from which the present one was made; "identity", the identity of both. */
#define DS_OURS "retort_tokenizer"

/* encode.c: ds_encode by the regexes and by merging whole pieces, slowly.  The tests compare ds_encode with it. */
rt_status ds_encode_plain(const ds_tokenizer *t, const char *text, size_t n, int flags, ds_ids *out);
/* json.c: fills t from the parsed tokenizer.json (`where` is for errors). */
rt_status ds_tokenizer_parse(ds_tokenizer *t, const cJSON *root, const char *where);
/* model.c: parses the model, after the pre-tokenizer. */
rt_status ds_tokenizer_parse_model(ds_tokenizer *t, const cJSON *root, const char *where);
/* Gets the ids of a merge's left and right half and of their union; `number` is its place in the list, `both` is scratch memory. */
rt_status ds_merge_read(const ds_tokenizer *t, const cJSON *e, int64_t number, rt_buf *both, int32_t id[3], const char *where);
/* post.c: parses the post_processor. */
rt_status ds_tokenizer_parse_post(ds_tokenizer *t, const cJSON *root, const char *where);
/* ends.c: reads the tokens that begin and end texts from the files next to tokenizer.json. */
rt_status ds_tokenizer_read_ends(ds_tokenizer *t, const char *dir);
/* identity.c: computes t->identity from everything that was parsed. */
rt_status ds_tokenizer_identify(ds_tokenizer *t);
/* Appends an entry as tokenizer.json writes it. */
rt_status ds_tokenizer_entry(const ds_tokenizer *t, int32_t id, rt_buf *out);
/* keep.c: extends the marks of keep[entries] to all entries that encode a text as before if its ids are marked (see ds_tokenizer_trim). */
rt_status ds_tokenizer_keep(const ds_tokenizer *t, uint8_t *keep);
/* write.c: writes tokenizer.json and tokenizer_config.json of a trained tokenizer. */
typedef struct ds_trained {
    ds_vocab vocab;  /* entry 0 is the end token */
    ds_ids   merges; /* left, right, left, right, ... */
} ds_trained;
rt_status ds_tokenizer_write(const ds_trained *t, const char *dir);
/* Appends a tokenizer_config.json that names bos and eos. */
rt_status ds_tokenizer_config_text(const ds_tokenizer *t, rt_buf *out);
/* Reads a file of a tokenizer's folder; *there = 0 if it is missing. */
rt_status ds_tokenizer_read_file(const char *dir, const char *name, rt_buf *bytes, int *there);
/* copy.c: copies a file if it is there. */
rt_status ds_tokenizer_copy_file(const char *from_dir, const char *to_dir, const char *name);
rt_status ds_tokenizer_write_file(const char *dir, const char *name, const rt_buf *bytes);

/* bpe_train.c: learns merges from counted pieces.  `pieces` are raw bytes, count[i] is the count of piece i. */
rt_status ds_bpe_train(const ds_vocab *pieces, const int64_t *count, int64_t size, ds_trained *t, rt_progress *p);
#endif
