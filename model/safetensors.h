/* safetensors.h -- reading and writing safetensors files: 8 bytes of header length, a JSON header, the data. */
#ifndef MD_SAFETENSORS_H
#define MD_SAFETENSORS_H
#include "kernels/kernels.h"

enum { MD_ST_NAME = 96, MD_ST_DIMS = 4 };
typedef struct md_st_tensor {
    char    name[MD_ST_NAME];
    char    dtype[8]; /* "F64" "F32" "BF16" "F16" "F8_E4M3" "F8_E5M2" "I64" "I32" "U32" "U8" */
    int     nd;
    int64_t shape[MD_ST_DIMS];
    int64_t begin, end; /* byte offsets in the data; set by md_st_open and md_st_begin */
} md_st_tensor;

typedef struct md_st md_st; /* opaque; a file open for reading or for writing */

rt_status md_st_open(md_st **out, const char *path);     /* RT_EFORMAT: truncated file; tensors overlap, leave holes or have wrong sizes */
void      md_st_close(md_st **f);                        /* removes a file whose writing was not ended */
const md_st_tensor *md_st_at(const md_st *f, int64_t i); /* i-th tensor in name order; NULL past the end */
const md_st_tensor *md_st_find(const md_st *f, const char *name);
int64_t             md_st_count(const md_st_tensor *t);                       /* number of elements */
rt_status           md_st_read(md_st *f, const md_st_tensor *t, void *bytes); /* reads t->end - t->begin bytes */
/* Reads values as reals from the types of floats, or as int64_t from I64 or I32.  RT_EFORMAT: another type. */
rt_status md_st_read_real(md_st *f, const md_st_tensor *t, real *x);
rt_status md_st_read_i64(md_st *f, const md_st_tensor *t, int64_t *x);
/* Writing: md_st_begin writes the header from the list, whose types are those above, md_st_write each tensor's bytes in that order, md_st_end fsyncs the file
 * and renames it to `path`.  Until then `path` is unchanged; an existing file is replaced. */
rt_status md_st_begin(md_st **out, const char *path, md_st_tensor *list, int64_t n);
rt_status md_st_write(md_st *f, const void *bytes, int64_t n);
rt_status md_st_end(md_st **f);
#endif
