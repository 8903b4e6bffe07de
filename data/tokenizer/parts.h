/* parts.h -- the parts of a byte-level BPE tokenizer (private to data/).
 *
 * A text is processed in this order: added tokens -> NFC -> pre-tokenizer (a chain of regexes that cut it into pieces) -> merging
 * of each piece's bytes.  Entries are kept in the form of tokenizer.json: each byte is one printable character (bpe_alphabet.c),
 * so that "Ġthe" is the entry of " the".
 */
#ifndef DS_TOKENIZER_PARTS_H
#define DS_TOKENIZER_PARTS_H
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/json.h"
#include "data/tokenizer.h"
#include "data/tokenizer/unicode.h"
#include <pcre2.h>

/* ---- vocab.c: strings <-> dense ids ------------------------------------------- */

enum { DS_MAX_ENTRIES = 1 << 22 };
enum { DS_ENTRY_PRESENT = 1, DS_ENTRY_ADDED = 2, DS_ENTRY_SPECIAL = 4 };

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

/* ---- bpe_split.c, bpe_classes.c: the pre-tokenizer -------------------------------- */

enum { DS_MAX_SPLITS = 8 };
typedef enum ds_split_keep { DS_KEEP_BOTH, DS_KEEP_MATCHES, DS_KEEP_GAPS } ds_split_keep;

/* Regexes match classes of characters, one byte each.  Two characters are in one class if no pattern of the splitter distinguishes
 * them.  Our own tables therefore define \p{L} and the like, and PCRE2's tables are not used. */
typedef struct ds_splitter { /* {0}: the whole text is one piece */
    struct {
        pcre2_code   *code; /* over classes */
        ds_split_keep keep;
        char         *pattern; /* as written in the file */
        int           literal;
        rt_buf        parts; /* see ds_regex_read */
    } step[DS_MAX_SPLITS];
    int       n;
    ds_set   *set; /* sets of all patterns */
    int64_t   sets, cap_sets;
    uint32_t *cut; /* [cuts] code points at which a new class may begin; freed by ds_splitter_ready */
    int64_t   cuts;
    uint8_t *class; /* [DS_CODE_POINTS]; NULL before ds_splitter_ready */
} ds_splitter;

extern const char ds_gpt2_pattern[];
/* Adds a step.  `literal`: the pattern is a plain string.  RT_EFORMAT describes the fault of the pattern. */
rt_status ds_splitter_add(ds_splitter *s, const char *pattern, int literal, ds_split_keep keep, const char *where);
/* Call this after the last step. */
rt_status ds_splitter_ready(ds_splitter *s, const char *where);
void      ds_splitter_free(ds_splitter *s);

/* bpe_regex.c: append a pattern to `out`, in which each character, class or property becomes the two bytes 0x80 | n >> 8 and n &
 * 255 for s->set[n].  Everything else is ASCII with the same meaning in PCRE2 as in Ruby. */
rt_status ds_regex_read(ds_splitter *s, const char *pattern, rt_buf *out, const char *where);
rt_status ds_regex_read_literal(ds_splitter *s, const char *text, rt_buf *out, const char *where);
/* bpe_classes.c: compute s->class and s->cut; write `parts` as a regex over classes. */
rt_status ds_classes_make(ds_splitter *s, const char *where);
rt_status ds_classes_write(const ds_splitter *s, const rt_buf *parts, rt_buf *out);

typedef rt_status (*ds_piece_fn)(void *ud, const char *piece, size_t n);
typedef struct ds_split_work { /* scratch memory of one caller; {0} is empty */
    pcre2_match_data *match[DS_MAX_SPLITS];
    uint8_t *class; /* [cap] classes of a text's characters */
    size_t cap;
} ds_split_work;
void ds_split_work_free(ds_split_work *w);
/* Calls piece() for each piece.  Any bytes are accepted; a byte that is not valid UTF-8 is a piece. */
rt_status ds_split(const ds_splitter *s, ds_split_work *w, const char *text, size_t n, ds_piece_fn piece, void *ud);

/* ---- added.c: added tokens in the text ---------------------------------- */

enum { DS_ADDED_WORD = 1, DS_ADDED_LSTRIP = 2, DS_ADDED_RSTRIP = 4 };
typedef struct ds_added_token {
    char   *text;
    size_t  n;
    int32_t id;
    int     flags;
} ds_added_token;

typedef struct ds_added { /* {0} is empty; sorted by first byte, then longest first */
    ds_added_token *token;
    int64_t         n, cap;
    int64_t         first[257];
} ds_added;

rt_status ds_added_put(ds_added *a, const char *text, size_t n, int32_t id, int flags);
void      ds_added_sort(ds_added *a); /* call it after the last put */
void      ds_added_free(ds_added *a);
/* Finds the first token at or after `from`, which covers text[*start..*stop).  NULL: none. */
const ds_added_token *ds_added_next(const ds_added *a, const char *text, size_t n, size_t from, size_t *start, size_t *stop);

/* ---- the tokenizer ----------------------------------------------------------------- */

struct ds_tokenizer {
    ds_vocab    vocab;
    ds_merges   merges;
    ds_splitter splitter;
    ds_added    raw, normalized; /* tokens matched before and after NFC */
    ds_ids      prefix, suffix;  /* tokens that the post-processor adds around a text */
    ds_ids      close;           /* tokens that end a training document: the suffix, or those in tokenizer_config.json */
    int         nfc, prefix_space, ignore_merges;
    int32_t     byte_id[256];
    int32_t     bos, eos;
    ds_ends     ends;
    char        identity[RT_SHA_HEX]; /* see data/FORMAT.md */
    char        file[RT_SHA_HEX];     /* SHA-256 of tokenizer.json */
    char        former[RT_SHA_HEX];   /* SHA-256 of the tokenizer.json from which this one was copied; "": not recorded */
};

enum { DS_MAX_TOKENIZER = 256 << 20 }; /* largest size of a file in bytes */
/* The object of Retort's own data in tokenizer_config.json: "document_end", the tokens that end a training document;
 * "former_file", the SHA-256 of the tokenizer.json from which the present one was made; "identity", the identity of both. */
#define DS_OURS "retort_tokenizer"

/* json.c: fills t from the parsed tokenizer.json (`where` is for errors). */
rt_status ds_tokenizer_parse(ds_tokenizer *t, const cJSON *root, const char *where);
/* pre.c: parses normalizer, pre_tokenizer, post_processor and decoder. */
rt_status ds_tokenizer_parse_chain(ds_tokenizer *t, const cJSON *root, const char *where);
/* ends.c: reads the tokens that begin and end texts from the files next to tokenizer.json. */
rt_status ds_tokenizer_read_ends(ds_tokenizer *t, const char *dir);
/* identity.c: computes t->identity from everything that was parsed. */
rt_status ds_tokenizer_identify(ds_tokenizer *t);
/* Appends an entry as tokenizer.json writes it. */
rt_status ds_tokenizer_entry(const ds_tokenizer *t, int32_t id, rt_buf *out);
/* nfc.c: appends the text in NFC; bytes that are not valid UTF-8 are kept. */
rt_status ds_nfc(const char *text, size_t n, rt_buf *out);
/* write.c: writes tokenizer.json and tokenizer_config.json of a trained tokenizer. */
typedef struct ds_trained {
    ds_vocab vocab;  /* entry 0 is the end token */
    ds_ids   merges; /* left, right, left, right, ... */
} ds_trained;
rt_status ds_tokenizer_write(const ds_trained *t, const char *dir);
/* Appends a tokenizer_config.json that names bos and eos. */
rt_status ds_tokenizer_config_text(const ds_tokenizer *t, rt_buf *out);
rt_status ds_tokenizer_write_file(const char *dir, const char *name, const rt_buf *bytes);

/* bpe_train.c: learns merges from counted pieces.  `pieces` are raw bytes, count[i] is the count of piece i. */
rt_status ds_bpe_train(const ds_vocab *pieces, const int64_t *count, int64_t size, ds_trained *t, rt_progress *p);
#endif
