/* source.h -- the stored weights of a model, whatever their format.  Private to model/.
 *
 * md_load reads weights through this interface alone.  A weight format is a file source_NAME.c that defines one const
 * md_source_format, and a line of the list in source.c.
 */
#ifndef MD_SOURCE_H
#define MD_SOURCE_H
#include "kernels/kernels.h"

enum { MD_STORED_DIMS = 4 };

/* A tensor as it is stored.  The source owns the strings. */
typedef struct md_stored {
    const char *name;  /* as in md_tensor, followed by a suffix if the tensor is a part of a quantised matrix: see load.c */
    const char *dtype; /* type of the elements, in the words of safetensors: "BF16"; a format may have types of its own */
    int         nd;
    int64_t     shape[MD_STORED_DIMS], bytes;
} md_stored;

typedef struct md_source_format md_source_format;
typedef struct md_source {
    const md_source_format *format;
    const char             *path; /* the folder or file, for messages; borrowed */
    md_stored              *t;    /* [n], in the order of strcmp of their names */
    int64_t                 n;
    void                   *files; /* what the format needs to read them */
} md_source;

struct md_source_format {
    int (*recognise)(const char *path); /* returns 1 if `path` is of this format */
    /* Sets s->t and s->n for s->path, and s->files, which close() frees, also after a failure.  RT_ENOENT: no weights;
     * RT_EFORMAT: the files are damaged or contradict each other. */
    rt_status (*open)(md_source *s);
    void (*close)(md_source *s);
    rt_status (*read)(const md_source *s, int64_t i, void *bytes);  /* reads the bytes of s->t[i] as they are stored */
    rt_status (*read_real)(const md_source *s, int64_t i, real *x); /* reads its values; RT_EFORMAT: they are not of a float type */
};

extern const md_source_format md_source_gguf, md_source_safetensors; /* source_NAME.c */

/* Opens the weights of `path`, which is borrowed, in the first format that recognises it.  Errors are those of the format. */
rt_status md_source_open(md_source **out, const char *path);
void      md_source_close(md_source **s);
/* Returns the tensor NAMESUFFIX; NULL: there is no such tensor. */
const md_stored *md_source_find(const md_source *s, const char *name, const char *suffix);
rt_status        md_source_read(const md_source *s, const md_stored *t, void *bytes); /* reads t->bytes bytes */
rt_status        md_source_read_real(const md_source *s, const md_stored *t, real *x);
#endif
