/* origin.h -- the file that holds a folder's tokenizer, whatever its form (private to data/). */
#ifndef DS_TOKENIZER_ORIGIN_H
#define DS_TOKENIZER_ORIGIN_H
#include "data/tokenizer/parts.h"
#include "data/vocabulary.h"

/* sentencepiece.c: reads the bytes of a file, which must outlive *v.  RT_EFORMAT: it is damaged, or a part of it is not supported. */
rt_status ds_sentencepiece_read(ds_vocabulary *v, const rt_buf *file, const char *where);
/* tiktoken.c: the same; *texts holds the entries. */
rt_status ds_tiktoken_read(ds_vocabulary *v, rt_buf *texts, const rt_buf *file, const char *where);
int       ds_tiktoken_is(const rt_buf *file); /* returns 1 if the first line is one of such a file */

typedef struct ds_origin {   /* {0} is empty; ds_origin_free */
    rt_buf path;             /* the file, for messages */
    rt_buf json;             /* the text of a tokenizer.json */
    char   file[RT_SHA_HEX]; /* SHA-256 of the file */
    rt_buf bos, eos;         /* texts of the tokens that begin and end a text, as the file says; empty: it does not */
} ds_origin;

/* origin.c: reads the tokenizer of a folder: tokenizer.json; else tokenizer.model, which is SentencePiece's or tiktoken's; else the one *.tiktoken.  `from` may also be such a file. */
rt_status ds_origin_read(ds_origin *o, const char *from);
void      ds_origin_free(ds_origin *o);
#endif
