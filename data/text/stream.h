/* stream.h -- declarations shared by the files of text/: lines of a text file, decompressed and checked to be UTF-8. */
#ifndef DS_TEXT_STREAM_H
#define DS_TEXT_STREAM_H
#include "data/text.h"

/* ---- stream.c ------------------------------------------------------------------------ */

typedef struct ds_stream ds_stream;

/* Opens a file; "-" is standard input.  gzip is recognised by its first bytes, and a byte order mark is skipped.  UTF-16 and
 * UTF-32 give RT_EFORMAT with the command that converts them. */
rt_status ds_stream_open(ds_stream **out, const char *path);
void      ds_stream_close(ds_stream **s);
/* Reads the next line without its line end (\n or \r\n); *got = 0 after the last.  RT_EFORMAT if it is not UTF-8. */
rt_status   ds_stream_line(ds_stream *s, rt_buf *line, int *got);
const char *ds_stream_where(ds_stream *s);        /* "FILE, line N", for errors; valid until the next call */
int64_t     ds_stream_offset(const ds_stream *s); /* bytes of the file read so far */
int         ds_is_blank(const char *s, size_t n); /* 1: only spaces, tabs, \r, \v, \f, or nothing */

/* ---- files.c ------------------------------------------------------------------------- */

typedef enum ds_format { DS_LINES, DS_JSONL, DS_CSV } ds_format;

typedef struct ds_file {
    char     *path;
    ds_format format;
    int64_t   bytes;
} ds_file;

typedef struct ds_files {
    ds_file *v;
    int64_t  n, cap, bytes; /* bytes: total size of all files */
} ds_files;

/* Finds the files that `in` names, in its order; files of folders and their subfolders in the order of names. */
rt_status ds_files_find(ds_files *out, const ds_input *in);
void      ds_files_free(ds_files *f);

/* ---- csv.c --------------------------------------------------------------------------- */

/* Calls row() for each row, as an object from column names to cells; empty cells are omitted.  RT_EFORMAT if the column `needed`
 * is missing. */
rt_status ds_csv_read(ds_stream *s, const char *needed, rt_status (*row)(void *ud, const cJSON *o), void *ud);
#endif
