/* gguf.h -- reading GGUF files (ggml's docs/gguf.md), versions 2 and 3 in little-endian order.  Private to model/.
 *
 * A file holds metadata (keys and typed values), a table of tensors and their data.  It is mapped, not copied: what the functions return points
 * into the map until md_gguf_close, and the file must not be truncated before.  It is untrusted: each number is checked against the bytes that the
 * file has, and tensors may not overlap.
 */
#ifndef MD_GGUF_H
#define MD_GGUF_H
#include "model/gguf_blocks.h"

enum { MD_GGUF_VERSION = 3, MD_GGUF_ALIGNMENT = 32, MD_GGUF_NAME = 64, MD_GGUF_DIMS = 4, MD_GGUF_WORD = 64 };

/* Types of values, by their numbers in files. */
typedef enum md_gguf_kind {
    MD_GGUF_U8,
    MD_GGUF_I8,
    MD_GGUF_U16,
    MD_GGUF_I16,
    MD_GGUF_U32,
    MD_GGUF_I32,
    MD_GGUF_F32,
    MD_GGUF_BOOL,
    MD_GGUF_TEXT,
    MD_GGUF_ARRAY,
    MD_GGUF_U64,
    MD_GGUF_I64,
    MD_GGUF_F64,
    MD_GGUF_KINDS
} md_gguf_kind;

typedef struct md_gguf_tensor {
    char                name[MD_GGUF_NAME];
    const md_gguf_type *type;
    int                 nd;
    int64_t             shape[MD_GGUF_DIMS]; /* rows first, which is the reverse of the file's order */
    int64_t             bytes;
    const uint8_t      *data; /* aligned to 8 bytes at least */
} md_gguf_tensor;

typedef struct md_gguf md_gguf; /* opaque; an open file */

/* RT_EFORMAT: not a GGUF file, of another version or byte order, damaged, or with a tensor of a type that is not read. */
rt_status             md_gguf_open(md_gguf **out, const char *path);
void                  md_gguf_close(md_gguf **g);
const char           *md_gguf_path(const md_gguf *g);
const md_gguf_tensor *md_gguf_at(const md_gguf *g, int64_t i); /* i-th tensor in name order; NULL past the end */
const md_gguf_tensor *md_gguf_find(const md_gguf *g, const char *name);

/* Read the value of a key.  If the key is missing, *v is not changed.  RT_EFORMAT: the value is of another type (or not an integer within int64_t,
 * or a text of MD_GGUF_WORD bytes or more); the message names the key. */
rt_status md_gguf_int(const md_gguf *g, const char *key, int64_t *v);
rt_status md_gguf_real(const md_gguf *g, const char *key, double *v);
rt_status md_gguf_truth(const md_gguf *g, const char *key, int64_t *v); /* 0 or 1 */
rt_status md_gguf_word(const md_gguf *g, const char *key, char v[MD_GGUF_WORD]);
int       md_gguf_has(const md_gguf *g, const char *key);
int       md_gguf_has_array(const md_gguf *g, const char *key);

/* The elements of an array, or one text.  A reader takes them one by one: *a is then the rest. */
typedef struct md_gguf_array {
    const uint8_t *next;
    int64_t        n;
} md_gguf_array;
/* Sets *a to the array of a key, or to the key's text if it has no array; n is 0 if the key is missing.  RT_EFORMAT: its elements are of another type. */
rt_status   md_gguf_elements(const md_gguf *g, const char *key, md_gguf_kind kind, md_gguf_array *a);
const char *md_gguf_take_text(md_gguf_array *a, size_t *bytes); /* not ended by a NUL */
int32_t     md_gguf_take_i32(md_gguf_array *a);
float       md_gguf_take_f32(md_gguf_array *a);
#endif
