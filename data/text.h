/* text.h -- inside text*.c: lines of a text file, decompressed and proved to be UTF-8. */
#ifndef DS_TEXT_H
#define DS_TEXT_H
#include "data/data.h"

/* ---- text_stream.c ------------------------------------------------------------------------ */

typedef struct ds_stream ds_stream;

/* "-": standard input.  gzip is recognised by its first bytes; a byte order mark is passed over; UTF-16 and UTF-32 are
 * RT_EFORMAT with the command that converts them. */
rt_status ds_stream_open(ds_stream **out, const char *path);
void      ds_stream_close(ds_stream **s);
/* The next line without its end (\n or \r\n); *got = 0 behind the last.  RT_EFORMAT where it is no UTF-8. */
rt_status   ds_stream_line(ds_stream *s, rt_buf *line, int *got);
const char *ds_stream_where(ds_stream *s);        /* "FILE, line N", for errors; until the next call */
int64_t     ds_stream_offset(const ds_stream *s); /* bytes of the file that were read */
int         ds_is_blank(const char *s, size_t n); /* nothing but ASCII white space */

/* ---- text_files.c ------------------------------------------------------------------------- */

typedef enum ds_format { DS_LINES, DS_JSONL, DS_CSV } ds_format;

typedef struct ds_file {
    char     *path;
    ds_format format;
    int64_t   bytes;
} ds_file;

typedef struct ds_files {
    ds_file *v;
    int64_t  n, cap, bytes; /* bytes: of all of them */
} ds_files;

/* The files that `in` names, in its order; those of folders, however deep, by name. */
rt_status ds_files_find(ds_files *out, const ds_input *in);
void      ds_files_free(ds_files *f);

/* ---- text_csv.c --------------------------------------------------------------------------- */

/* Every row as an object of the columns' names and its cells, but for empty cells.  RT_EFORMAT without a column `needed`. */
rt_status ds_csv_read(ds_stream *s, const char *needed, rt_status (*row)(void *ud, const cJSON *o), void *ud);
#endif
