/* chain.h -- the steps around a tokenizer's model, in the order of tokenizer.json (private to data/).
 *
 * text -> normalizer -> pre-tokenizer -> model -> ids -> decoder -> text.  Each of the three lists is an array of steps.  The types
 * of steps that are known are tables, from which error messages list them; a Sequence adds the steps of its members.
 */
#ifndef DS_TOKENIZER_CHAIN_H
#define DS_TOKENIZER_CHAIN_H
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/json.h"
#include "data/tokenizer.h"
#include "data/tokenizer/match.h"
#include "data/tokenizer/unicode.h"
#include <pcre2.h>

enum { DS_MAX_STEPS = 8 }; /* of each list */

/* ---- component.c: parts of tokenizer.json by their "type" ---------------------------------- */

typedef struct ds_component {
    const char *type;
    rt_status (*read)(void *into, const cJSON *o, const char *where); /* adds the component's steps to `into` */
} ds_component;

typedef struct ds_components {
    const char         *key;   /* of the outermost object: "normalizer" */
    const char         *list;  /* key of a Sequence's members: "normalizers" */
    const ds_component *known; /* ends with {0} */
} ds_components;

const cJSON *ds_json_part(const cJSON *o, const char *key); /* NULL: missing or null */
/* Sets *out to the text of a key, which may hold U+0000; *out is unchanged if the key is missing. */
rt_status ds_json_bytes(const cJSON *o, const char *key, rt_buf *out, const char *where);
/* Reads root's object of c->key, if it is there.  RT_EFORMAT names an unknown type and lists the known ones. */
rt_status ds_components_read(const ds_components *c, const cJSON *root, void *into, const char *where);
rt_status ds_component_refuse(const char *what, const char *type, const char *known, const char *where);

/* ---- split.c, classes.c: regexes that cut a text ------------------------------------- */

/* What becomes of the matches of a regex and of the text between them: both are pieces; only matches are; only the text between
 * them is; a match belongs to the piece before it, or after it, unless that is a match; neighbouring matches are one piece.  An
 * inverted rule takes the text between matches for matches. */
typedef enum ds_split_keep {
    DS_KEEP_BOTH,
    DS_KEEP_MATCHES,
    DS_KEEP_GAPS,
    DS_JOIN_PREVIOUS,
    DS_JOIN_NEXT,
    DS_JOIN_MATCHES,
    DS_INVERTED_PREVIOUS,
    DS_INVERTED_NEXT
} ds_split_keep;

/* Regexes match classes of characters, one byte each.  Two characters are in one class if no pattern of the splitter distinguishes
 * them.  Our own tables therefore define \p{L} and the like, and PCRE2's tables are not used. */
typedef struct ds_splitter { /* {0}: the whole text is one piece */
    struct {
        pcre2_code   *code; /* over classes */
        ds_split_keep keep;
        char         *pattern; /* as written in the file */
        int           literal;
        rt_buf        parts; /* see ds_regex_read */
    } step[DS_MAX_STEPS];
    int       n;
    ds_set   *set; /* sets of all patterns */
    int64_t   sets, cap_sets;
    uint32_t *cut; /* [cuts] code points at which a new class may begin; freed by ds_splitter_ready */
    int64_t   cuts;
    uint8_t *class;     /* [DS_CODE_POINTS]; NULL before ds_splitter_ready */
    ds_matcher matcher; /* cuts as all steps do; ds_split does not use it */
} ds_splitter;

extern const char ds_gpt2_pattern[];
/* Adds a step.  `literal`: the pattern is a plain string.  RT_EFORMAT describes the fault of the pattern. */
rt_status ds_splitter_add(ds_splitter *s, const char *pattern, int literal, ds_split_keep keep, const char *where);
/* Call this after the last step. */
rt_status ds_splitter_ready(ds_splitter *s, const char *where);
void      ds_splitter_free(ds_splitter *s);

/* regex.c: append a pattern to `out`, in which each character, class or property becomes the two bytes 0x80 | n >> 8 and n &
 * 255 for s->set[n].  Everything else is ASCII with the same meaning in PCRE2 as in Ruby. */
rt_status ds_regex_read(ds_splitter *s, const char *pattern, rt_buf *out, const char *where);
rt_status ds_regex_read_literal(ds_splitter *s, const char *text, rt_buf *out, const char *where);
/* classes.c: compute s->class and s->cut; write `parts` as a regex over classes. */
rt_status ds_classes_make(ds_splitter *s, const char *where);
rt_status ds_classes_write(const ds_splitter *s, const rt_buf *parts, rt_buf *out);

typedef rt_status (*ds_piece_fn)(void *ud, const char *piece, size_t n);
typedef struct ds_split_work { /* scratch memory of one caller; {0} is empty */
    pcre2_match_data *match[DS_MAX_STEPS];
    uint8_t *class; /* [cap] classes of a text's characters */
    size_t cap;
} ds_split_work;
void ds_split_work_free(ds_split_work *w);
/* Calls piece() for each piece.  Any bytes are accepted; a byte that is not valid UTF-8 is a piece. */
rt_status ds_split(const ds_splitter *s, ds_split_work *w, const char *text, size_t n, ds_piece_fn piece, void *ud);
/* Appends the text in which each match of the splitter's only step is replaced by `content`. */
rt_status ds_split_replace(const ds_splitter *s, const char *text, size_t n, const rt_buf *content, rt_buf *out);

/* ---- normalize.c: the normalizer -------------------------------------------------------------- */

typedef struct ds_norm_step ds_norm_step;
typedef rt_status (*ds_norm_fn)(const ds_norm_step *s, const char *text, size_t n, rt_buf *out); /* appends the normalised text */
struct ds_norm_step {
    const char *type; /* as in tokenizer.json */
    ds_norm_fn  apply;
    rt_buf      from, to;    /* Replace: the pattern, unless it is a regex; the content.  Prepend: `to`.  Precompiled: `from` */
    ds_splitter regex;       /* Replace: no step unless the pattern is a regex */
    int         left, right; /* Strip: from which ends */
    int         form;        /* NFC, NFD, NFKC, NFKD */
};

typedef struct ds_normalizer { /* {0} changes nothing */
    ds_norm_step step[DS_MAX_STEPS];
    int          n;
} ds_normalizer;

rt_status ds_normalizer_read(ds_normalizer *z, const cJSON *root, const char *where);
void      ds_normalizer_free(ds_normalizer *z);
int       ds_normalizer_has(const ds_normalizer *z, const char *type);

typedef struct ds_norm_work { /* scratch memory of one caller; {0} is empty */
    rt_buf text[2];
} ds_norm_work;
void ds_norm_work_free(ds_norm_work *w);
/* Sets *text and *n to the normalised text, which is valid until the next call. */
rt_status ds_normalize(const ds_normalizer *z, ds_norm_work *w, const char **text, size_t *n);
/* Appends the text in which each `from` is `to`. */
rt_status ds_replace(const rt_buf *from, const rt_buf *to, const char *text, size_t n, rt_buf *out);

/* forms.c: appends the text in NFC (form 0) or another form; bytes that are not valid UTF-8 are kept. */
enum { DS_DECOMPOSED = 1 /* NFD */, DS_COMPATIBLE = 2 /* NFKC; with DS_DECOMPOSED NFKD */ };
rt_status ds_normal_form(int form, const char *text, size_t n, rt_buf *out);

/* charsmap.c: the normalizer Precompiled.  `map` is its decoded precompiled_charsmap. */
rt_status ds_base64_encode(const char *bytes, size_t n, rt_buf *out);
rt_status ds_base64_decode(const char *s, size_t n, rt_buf *out); /* RT_EFORMAT: another character; up to the first "=" */
rt_status ds_charsmap_read(rt_buf *map, const char *base64, const char *where);
rt_status ds_charsmap_apply(const rt_buf *map, const char *text, size_t n, rt_buf *out);

/* ---- pre.c: the pre-tokenizer ------------------------------------------------------------------ */

typedef enum ds_pre_kind { DS_PRE_SPLIT, DS_PRE_SPACE, DS_PRE_METASPACE } ds_pre_kind;
typedef enum ds_scheme { DS_ALWAYS, DS_FIRST, DS_NEVER } ds_scheme; /* Metaspace: which pieces get a mark before them */

typedef struct ds_pre_step {
    ds_pre_kind kind;
    ds_splitter splitter; /* DS_PRE_SPLIT: neighbouring regexes are one step */
    rt_buf      blank;    /* DS_PRE_METASPACE: " " */
    rt_buf      mark;     /* what takes the place of a space */
    ds_scheme   scheme;
    int         cut; /* 1: every mark begins a piece */
} ds_pre_step;

typedef struct ds_pre { /* {0}: the text is one piece */
    ds_pre_step step[DS_MAX_STEPS];
    int         n;
    int         byte_level; /* 1: the model's symbols are bytes */
} ds_pre;

/* Reads the prepend_scheme of a Metaspace. */
rt_status ds_scheme_read(const cJSON *o, ds_scheme *scheme, const char *where);
rt_status ds_pre_read(ds_pre *p, const cJSON *root, const char *where);
void      ds_pre_free(ds_pre *p);

typedef struct ds_pre_work { /* scratch memory of one caller; {0} is empty */
    ds_split_work split[DS_MAX_STEPS];
    rt_buf        text[DS_MAX_STEPS];
} ds_pre_work;
void ds_pre_work_free(ds_pre_work *w);
/* Calls piece() for each piece.  `first`: the text is the beginning of the whole text. */
rt_status ds_pre_run(const ds_pre *p, ds_pre_work *w, const char *text, size_t n, int first, ds_piece_fn piece, void *ud);

/* ---- decode.c: the decoder ------------------------------------------------------------------------ */

typedef struct ds_chunk ds_chunk;
typedef struct ds_decode_step {
    const char *type;
    rt_status (*push)(ds_decoder *d, int i, const ds_chunk *c); /* step i gets a token or a part of the fused text */
    rt_buf    from, to;                                         /* Replace, Metaspace; Strip: `from` */
    int64_t   start;                                            /* Strip: how many at the beginning */
    ds_scheme scheme;                                           /* Metaspace */
} ds_decode_step;

typedef struct ds_decode_steps {
    ds_decode_step step[DS_MAX_STEPS];
    int            n;
} ds_decode_steps;

rt_status ds_decode_steps_read(ds_decode_steps *z, const cJSON *root, const char *where);
void      ds_decode_steps_free(ds_decode_steps *z);
int       ds_decode_steps_have(const ds_decode_steps *z, const char *type);
#endif
