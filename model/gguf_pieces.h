/* gguf_pieces.h -- the entries of a GGUF file's vocabulary, and the merges of SentencePiece's BPE.  Private to model/. */
#ifndef MD_GGUF_PIECES_H
#define MD_GGUF_PIECES_H
#include "model/gguf_model.h"

typedef struct md_piece {
    const char *text; /* [n] bytes, in the file or in md_vocabulary.spaces */
    size_t      n, characters;
    float       score;
    int32_t     kind, id; /* kind: a type of token, see gguf_model.h */
} md_piece;

typedef struct md_vocabulary { /* {.g = an open file}; md_vocabulary_free frees the rest */
    const md_gguf *g;
    md_piece      *p;      /* [n], by id */
    md_piece     **sorted; /* [n], by text */
    int64_t        n;
    rt_buf         spaces; /* texts of pieces that the file has with spaces */
} md_vocabulary;

/* A merge of two pieces into one. */
typedef struct md_merge {
    const md_piece *whole, *left, *right;
} md_merge;

/* Reads the entries, with the pieces that users defined as they were before the file was written.  RT_EFORMAT: arrays of different lengths. */
rt_status md_vocabulary_read(md_vocabulary *v);
void      md_vocabulary_free(md_vocabulary *v);
/* Lists in *m [*n], by rank, the merges that SentencePiece's BPE makes of its pieces: all splits of a piece into two, the best score first, then the left and
 * the right part of more characters.  The caller frees *m, also after an error. */
rt_status md_vocabulary_merges(const md_vocabulary *v, md_merge **m, int64_t *n);
#endif
