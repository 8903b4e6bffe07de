/* gguf_write.h -- writing GGUF files, version 3.  Private to model/. */
#ifndef MD_GGUF_WRITE_H
#define MD_GGUF_WRITE_H
#include "model/gguf.h"

/* Metadata under construction; {0} is empty.  The first failure is kept in st, and nothing is added after it. */
typedef struct md_gguf_keys {
    rt_buf    b; /* rt_buf_free */
    int64_t   n;
    rt_status st;
} md_gguf_keys;

void md_gguf_put_int(md_gguf_keys *k, const char *key, int64_t v); /* as 32 bits without a sign, in which programs expect sizes and ids */
void md_gguf_put_real(md_gguf_keys *k, const char *key, double v); /* as F32 */
void md_gguf_put_bool(md_gguf_keys *k, const char *key, int v);
void md_gguf_put_text(md_gguf_keys *k, const char *key, const char *v);
/* Begins an array of n texts or of n numbers of type MD_GGUF_I32, which follow with md_gguf_add_*. */
void md_gguf_put_array(md_gguf_keys *k, const char *key, md_gguf_kind kind, int64_t n);
void md_gguf_add_text(md_gguf_keys *k, const char *v, size_t n);
void md_gguf_add_int(md_gguf_keys *k, int32_t v);

typedef struct md_gguf_out md_gguf_out; /* opaque; a file that is being written */

/* md_gguf_begin writes the header for the tensors t[n] (name, type, shape; bytes are set), md_gguf_write parts of their data in that order,
 * md_gguf_align ends a tensor, md_gguf_end fsyncs the file and renames it to `path`.  Until then `path` is unchanged; an existing file is
 * replaced. */
rt_status md_gguf_begin(md_gguf_out **out, const char *path, const md_gguf_keys *k, md_gguf_tensor *t, int64_t n);
rt_status md_gguf_write(md_gguf_out *f, const void *bytes, int64_t n);
rt_status md_gguf_align(md_gguf_out *f);
rt_status md_gguf_end(md_gguf_out **f);
void      md_gguf_abandon(md_gguf_out **f); /* removes a file whose writing was not ended */
#endif
