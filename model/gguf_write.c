/* gguf_write.c -- writing GGUF files (gguf_write.h). */
#include "model/gguf_write.h"
#include "core/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct md_gguf_out {
    FILE   *f;
    char   *path;
    rt_buf  tmp; /* the temporary name until the file is complete */
    int64_t at;  /* bytes written */
};

/* ---- metadata ------------------------------------------------------------------------------------- */

static rt_status add_whole(rt_buf *b, uint64_t v, int bytes)
{
    char le[8];
    for (int i = 0; i < bytes; i++) le[i] = (char)(v >> 8 * i & 255);
    return rt_buf_add(b, le, (size_t)bytes);
}

static rt_status gguf_add_text(rt_buf *b, const char *text, size_t n)
{
    RT_TRY(add_whole(b, n, 8));
    return rt_buf_add(b, text, n);
}

static rt_status add_key(rt_buf *b, const char *key, md_gguf_kind kind)
{
    RT_TRY(gguf_add_text(b, key, strlen(key)));
    return add_whole(b, kind, 4);
}

static void put_whole(md_gguf_keys *k, const char *key, md_gguf_kind kind, uint64_t v, int bytes)
{
    if (k->st == RT_OK) k->st = add_key(&k->b, key, kind);
    if (k->st == RT_OK) k->st = add_whole(&k->b, v, bytes);
    k->n++;
}

void md_gguf_put_int(md_gguf_keys *k, const char *key, int64_t v) { put_whole(k, key, MD_GGUF_U32, (uint64_t)v, 4); }
void md_gguf_put_bool(md_gguf_keys *k, const char *key, int v) { put_whole(k, key, MD_GGUF_BOOL, v != 0, 1); }

void md_gguf_put_real(md_gguf_keys *k, const char *key, double v)
{
    const float x = (float)v;
    uint32_t    bits;
    memcpy(&bits, &x, sizeof bits);
    put_whole(k, key, MD_GGUF_F32, bits, 4);
}

void md_gguf_put_text(md_gguf_keys *k, const char *key, const char *v)
{
    put_whole(k, key, MD_GGUF_TEXT, strlen(v), 8);
    if (k->st == RT_OK) k->st = rt_buf_str(&k->b, v);
}

void md_gguf_put_array(md_gguf_keys *k, const char *key, md_gguf_kind kind, int64_t n)
{
    put_whole(k, key, MD_GGUF_ARRAY, kind, 4);
    if (k->st == RT_OK) k->st = add_whole(&k->b, (uint64_t)n, 8);
}

void md_gguf_add_text(md_gguf_keys *k, const char *v, size_t n)
{
    if (k->st == RT_OK) k->st = gguf_add_text(&k->b, v, n);
}

void md_gguf_add_int(md_gguf_keys *k, int32_t v)
{
    if (k->st == RT_OK) k->st = add_whole(&k->b, (uint32_t)v, 4);
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static int64_t aligned(int64_t n) { return (n + MD_GGUF_ALIGNMENT - 1) / MD_GGUF_ALIGNMENT * MD_GGUF_ALIGNMENT; }

static rt_status gguf_add_entry(rt_buf *b, md_gguf_tensor *t, int64_t *at)
{
    int64_t total = 1;
    RT_TRY(gguf_add_text(b, t->name, strlen(t->name)));
    RT_TRY(add_whole(b, (uint64_t)t->nd, 4));
    for (int i = t->nd - 1; i >= 0; i--) {
        RT_TRY(add_whole(b, (uint64_t)t->shape[i], 8));
        total *= t->shape[i];
    }
    RT_TRY(add_whole(b, (uint64_t)t->type->id, 4));
    RT_TRY(add_whole(b, (uint64_t)*at, 8));
    t->bytes = total / t->type->block * t->type->bytes;
    *at += aligned(t->bytes);
    return RT_OK;
}

static rt_status gguf_add_header(rt_buf *b, const md_gguf_keys *k, md_gguf_tensor *t, int64_t n)
{
    int64_t at = 0;
    RT_TRY(k->st);
    RT_TRY(rt_buf_str(b, "GGUF"));
    RT_TRY(add_whole(b, MD_GGUF_VERSION, 4));
    RT_TRY(add_whole(b, (uint64_t)n, 8));
    RT_TRY(add_whole(b, (uint64_t)k->n, 8));
    RT_TRY(rt_buf_add(b, k->b.p, k->b.len));
    for (int64_t i = 0; i < n; i++) RT_TRY(gguf_add_entry(b, &t[i], &at));
    return RT_OK;
}

static rt_status gguf_begin(md_gguf_out *f, const char *path, const rt_buf *header)
{
    RT_TRY(rt_strdup(&f->path, path));
    RT_TRY(rt_file_temporary(&f->tmp, path));
    f->f = fopen(f->tmp.p, "wb");
    RT_CHECK(f->f, rt_status_of_errno(errno), "%s: cannot be created: %s", path, strerror(errno));
    RT_TRY(md_gguf_write(f, header->p, (int64_t)header->len));
    return md_gguf_align(f);
}

rt_status md_gguf_begin(md_gguf_out **out, const char *path, const md_gguf_keys *k, md_gguf_tensor *t, int64_t n)
{
    md_gguf_out *f;
    rt_buf       header = {0};
    RT_TRY(RT_NEW(f, 1));
    rt_status st = gguf_add_header(&header, k, t, n);
    if (st == RT_OK) st = gguf_begin(f, path, &header);
    if (st != RT_OK) md_gguf_abandon(&f);
    else *out = f;
    rt_buf_free(&header);
    return st;
}

rt_status md_gguf_write(md_gguf_out *f, const void *bytes, int64_t n)
{
    RT_CHECK(fwrite(bytes, 1, (size_t)n, f->f) == (size_t)n, rt_status_of_errno(errno), "%s: cannot be written: %s", f->path,
             strerror(errno));
    f->at += n;
    return RT_OK;
}

rt_status md_gguf_align(md_gguf_out *f)
{
    static const char zeros[MD_GGUF_ALIGNMENT] = {0};
    return md_gguf_write(f, zeros, aligned(f->at) - f->at);
}

rt_status md_gguf_end(md_gguf_out **fp)
{
    md_gguf_out *f  = *fp;
    rt_status    st = RT_OK;
    if (fflush(f->f)) st = rt_fail(rt_status_of_errno(errno), __FILE__, __LINE__, "%s: cannot be written: %s", f->path, strerror(errno));
    if (st == RT_OK) st = rt_file_rename(f->tmp.p, f->path);
    md_gguf_abandon(fp); /* after the rename no file has the temporary name */
    return st;
}

void md_gguf_abandon(md_gguf_out **fp)
{
    md_gguf_out *f = *fp;
    if (!f) return;
    if (f->f) fclose(f->f);
    if (f->tmp.p) unlink(f->tmp.p);
    rt_buf_free(&f->tmp);
    free(f->path), free(f);
    *fp = NULL;
}
