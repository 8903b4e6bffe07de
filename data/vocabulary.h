/* vocabulary.h -- a vocabulary of another program's file as the text of a tokenizer.json.
 *
 * A reader of a file form (data/tokenizer/sentencepiece.c, tiktoken.c; model/gguf_vocabulary.c) fills a ds_vocabulary, whose texts it keeps; the steps around the model
 * follow from the kind.
 */
#ifndef DS_VOCABULARY_H
#define DS_VOCABULARY_H
#include "core/memory.h"

/* Types of entries, numbered as in SentencePiece's and GGUF's files. */
enum { DS_NORMAL = 1, DS_UNKNOWN, DS_CONTROL, DS_USER, DS_UNUSED, DS_BYTE };

enum { DS_MAX_PIECE = 1 << 12 }; /* bytes of a text: bounds the splits that are looked up */
typedef struct ds_piece {
    const char *text; /* [n] bytes; of a byte-level vocabulary in GPT-2's alphabet of bytes */
    size_t      n, characters;
    float       score;
    int32_t     kind, id;   /* kind: a type of entry */
    int         normalized; /* of an added token: it is looked for in the normalised text */
} ds_piece;

/* Two entries that become one. */
typedef struct ds_join {
    const ds_piece *whole, *left, *right;
} ds_join;

typedef enum ds_vocabulary_kind {
    DS_OF_BYTES,   /* byte-level BPE: a text is cut by `patterns` */
    DS_OF_PIECES,  /* SentencePiece's BPE */
    DS_OF_UNIGRAM, /* SentencePiece's Unigram */
} ds_vocabulary_kind;

/* What is put before a text: nothing; U+2581 before every part between added tokens, by the normalizer (Llama 2's form); before the first part only, by the pre-tokenizer. */
typedef enum ds_prefix { DS_PREFIX_NONE, DS_PREFIX_ALL, DS_PREFIX_FIRST } ds_prefix;

enum { DS_MAX_PATTERNS = 4, DS_MAX_MORE = 4096 /* ids of added tokens beyond those of the model */ };
typedef struct ds_vocabulary { /* {0} is empty; ds_vocabulary_free */
    ds_vocabulary_kind kind;
    ds_piece          *p;      /* [n], by id: the model's entries [own], then added tokens, or nothing (kind 0) */
    ds_piece         **sorted; /* [own], by text */
    int64_t            n, own;
    ds_join           *joins; /* [n_joins], by rank */
    int64_t            n_joins, cap_joins;
    const char *const *patterns;   /* DS_OF_BYTES: [DS_MAX_PATTERNS], NULL after the last */
    int                whole, nfc; /* DS_OF_BYTES: a piece of the text that is an entry is taken as it is; the text is put into NFC */
    ds_prefix          prefix;     /* the others */
    int                squeeze;    /* spaces at the ends of a text are removed, and all but one of a run */
    int                no_bytes;   /* a character without an entry is unknown, although entries of bytes exist */
    const char        *charsmap;   /* [n_charsmap] SentencePiece's map of characters, see charsmap.c; NULL: none */
    size_t             n_charsmap;
    int32_t            bos, eos; /* tokens that begin and end a text; -1: none */
    int                begin;    /* bos is put before every text */
} ds_vocabulary;

/* Allocates p and sorted for n entries of the model and more added tokens. */
rt_status ds_vocabulary_create(ds_vocabulary *v, int64_t n);
/* Makes the entry `id`, which may be one of the model's, an added token.  RT_EFORMAT: the id is beyond DS_MAX_MORE more. */
rt_status ds_vocabulary_add(ds_vocabulary *v, int64_t id, const char *text, size_t n, int32_t kind, int normalized, const char *where);
/* Call it when the model's entries are filled; `where` is the file.  RT_EFORMAT: a text is too long. */
rt_status       ds_vocabulary_ready(ds_vocabulary *v, const char *where);
const ds_piece *ds_vocabulary_find(const ds_vocabulary *v, const char *text, size_t n); /* NULL: no entry of the model */
void            ds_vocabulary_free(ds_vocabulary *v);

/* Add to v->joins ...
 * join          one of two texts.  RT_EFORMAT: these or both together are no entries
 * join_scores   all splits of an entry into two, which is what SentencePiece's BPE does with its pieces: the best score first, then the left and the right part of more characters
 * join_ranks    all splits of an entry into two, the lowest id first: what tiktoken's ranks do
 * join_trained  of each entry the two parts that the entries before it make of it: the merges that were trained to get tiktoken's ranks */
rt_status ds_vocabulary_join(ds_vocabulary *v, const char *left, size_t n, const char *right, size_t m, const char *where);
rt_status ds_vocabulary_join_scores(ds_vocabulary *v);
rt_status ds_vocabulary_join_ranks(ds_vocabulary *v);
rt_status ds_vocabulary_join_trained(ds_vocabulary *v);

/* Appends the text of a tokenizer.json. */
rt_status ds_vocabulary_write(rt_buf *json, const ds_vocabulary *v);

/* Returns the patterns of a pre-tokenizer that is known by a name of llama.cpp's [DS_MAX_PATTERNS], NULL after the last; NULL: the name is unknown.  *whole: see ds_vocabulary. */
const char *const *ds_patterns_named(const char *name, int *whole);
/* Returns the name of these patterns; NULL: they have none. */
const char *ds_patterns_name(const char *const *patterns, int n, int whole);
#endif
