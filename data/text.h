/* text.h -- reading text files as documents: .txt .md .jsonl .ndjson .csv .tsv, also compressed with gzip. */
#ifndef DS_TEXT_H
#define DS_TEXT_H
#include "core/json.h"
#include "data/shard.h"
#include <stdio.h>

/* Text files, and how they are divided into documents. */
typedef struct ds_input {
    const char *const *names; /* files, folders or "-" (standard input): .txt .md .jsonl .ndjson .csv .tsv, also .gz */
    int64_t            n;
    const char        *document; /* plain text: a document is a "line" (or NULL), a "blank-line" paragraph or a "file" */
    const char        *field;    /* JSON and tables: the field that holds the text; NULL: "text" */
    const char        *format;   /* "txt", "jsonl" or "csv" for all names; NULL: by the name's extension */
} ds_input;

typedef struct ds_text { /* a document before tokenization */
    const char *text;
    size_t      n;
    ds_doc      about;    /* its fields: request, recipe, topic, finish, seed, cost; all others in meta */
    int         left_out; /* number of fields that are too long for meta */
    int64_t     read;     /* bytes read so far, of all files */
} ds_text;

/* Calls doc() for each document of the files in order; its argument is valid until doc() returns.  *bytes (may be NULL) gets the
 * total size of all files before the first call.  The text is UTF-8 without a byte order mark.  RT_EFORMAT tells how to convert
 * other encodings, RT_EINVAL how to convert other kinds of files. */
rt_status ds_text_read(const ds_input *in, int64_t *bytes, rt_status (*doc)(void *ud, const ds_text *t), void *ud);
/* Reads the next line without its line end; *got = 0 at the end of the file.  `where` is for errors. */
rt_status ds_line_read(FILE *f, rt_buf *line, int *got, const char *where);
/* Parses one line of JSON Lines, an object; the line is changed in place.  Free *out with cJSON_Delete.  Numbers keep their digits
 * (RT_JSON_EXACT).  ds_line_text reads strings of it and keeps \u0000: out gets the bytes of the string field `key`; RT_EFORMAT if
 * it is missing. */
rt_status ds_line_parse(cJSON **out, char *line, size_t n, const char *where);
rt_status ds_line_text(const cJSON *o, const char *key, rt_buf *out, const char *where);
#endif
