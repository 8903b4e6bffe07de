/* gguf_blocks.h -- the tensor types of GGUF files.  Private to model/.
 *
 * A tensor is stored in blocks of consecutive elements of a row.  A block of a quantised type holds small integers, their levels, and the
 * scales that turn them into values.  The layouts are those of ggml (ggml-common.h) and are checked against its Python package.
 */
#ifndef MD_GGUF_BLOCKS_H
#define MD_GGUF_BLOCKS_H
#include "kernels/kernels.h"

enum { MD_GGUF_MAX_BLOCK = 256 };
typedef struct md_gguf_type {
    const char *name;                                             /* ggml's: "Q4_0" */
    int         id;                                               /* its number in files */
    int64_t     block, bytes;                                     /* elements of a block, and its bytes */
    void (*to_real)(real *x, const uint8_t *blocks, int64_t n);   /* reads n blocks */
    void (*from_real)(uint8_t *blocks, const real *x, int64_t n); /* writes n blocks; NULL: a type that is only read */
} md_gguf_type;

const md_gguf_type *md_gguf_type_of(int id);              /* NULL: a type that is not read */
const md_gguf_type *md_gguf_type_named(const char *name); /* in lower or upper case; NULL: none */
/* The names of all types for messages, a space before each. */
extern const char md_gguf_type_list[];

/* gguf_quantise.c: write one block. */
void md_gguf_write_q8_0(uint8_t *b, const float *x);
void md_gguf_write_q4_0(uint8_t *b, const float *x);
void md_gguf_write_q4_k(uint8_t *b, const float *x);
void md_gguf_write_q6_k(uint8_t *b, const float *x);
#endif
