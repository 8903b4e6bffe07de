/* source_gguf.c -- the weight format of llama.cpp: a GGUF file, or a folder that holds one and no safetensors.  Tensors get the model's names and
 * order of rows. */
#include "core/file.h"
#include "model/gguf_model.h"
#include "model/source.h"
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    const md_gguf_tensor *from;
    md_tensor            *to; /* name, role and shape; no data */
} entry;

typedef struct gguf_file {
    md_gguf   *g;
    md_config  c;
    md_tensor *tensors; /* of a model of this configuration */
    entry     *entries; /* [count], in the order of the model's names */
    int64_t    count;
} gguf_file;

static int recognise_gguf(const char *path)
{
    rt_buf          file = {0};
    const rt_status st   = md_gguf_locate(&file, path);
    const int       yes  = st != RT_OK || file.len; /* open_gguf fails the same way */
    rt_buf_free(&file);
    return yes;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static rt_status open_file_of(gguf_file *f, const char *given)
{
    rt_buf    path = {0};
    rt_status st   = md_gguf_locate(&path, given);
    if (st == RT_OK) st = md_gguf_open(&f->g, path.p);
    rt_buf_free(&path);
    return st;
}

/* Lists the tensors of the model that the file has.  load.c reports the missing ones. */
static rt_status match_tensors(gguf_file *f)
{
    char name[MD_GGUF_NAME];
    int  n;
    RT_CHECK(md_gguf_at(f->g, f->c.L), RT_EFORMAT, "%s: block_count is %lld, but the file holds fewer tensors", md_gguf_path(f->g),
             (long long)f->c.L);
    RT_TRY(md_tensors(&f->tensors, &n, &f->c));
    RT_TRY(RT_NEW(f->entries, n));
    for (int i = 0; i < n; i++) {
        entry *e = &f->entries[f->count];
        RT_TRY(md_gguf_tensor_name(name, &f->tensors[i]));
        *e = (entry){md_gguf_find(f->g, name), &f->tensors[i]};
        if (e->from) f->count++;
    }
    return RT_OK;
}

static int by_place_in_file(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static int by_model_name(const void *a, const void *b) { return strcmp(((const entry *)a)->to->name, ((const entry *)b)->to->name); }

/* Puts the entries into the order of the model's names.  Refuses a tensor that would be ignored silently; the configuration has read the divisors. */
static rt_status gguf_find_unexpected(gguf_file *f)
{
    qsort(f->entries, (size_t)f->count, sizeof *f->entries, by_place_in_file);
    for (int64_t i = 0, j = 0; md_gguf_at(f->g, i); i++) {
        const md_gguf_tensor *t = md_gguf_at(f->g, i);
        if (f->c.family == MD_LLAMA && !strcmp(t->name, MD_GGUF_DIVISORS)) continue;
        RT_CHECK(j < f->count && f->entries[j++].from == t, RT_EFORMAT,
                 "%s: the tensor %s does not belong to a %s model of this configuration", md_gguf_path(f->g), t->name,
                 md_family_word((int)f->c.family));
    }
    qsort(f->entries, (size_t)f->count, sizeof *f->entries, by_model_name);
    return RT_OK;
}

static rt_status list_entries(md_source *s, const gguf_file *f)
{
    RT_TRY(RT_NEW(s->t, f->count));
    for (; s->n < f->count; s->n++) {
        const md_gguf_tensor *t = f->entries[s->n].from;
        md_stored            *o = &s->t[s->n];
        *o                      = (md_stored){.name = f->entries[s->n].to->name, .dtype = t->type->name, .nd = t->nd, .bytes = t->bytes};
        memcpy(o->shape, t->shape, sizeof t->shape);
    }
    return RT_OK;
}

static rt_status open_gguf(md_source *s)
{
    gguf_file *f;
    RT_TRY(RT_NEW(f, 1));
    s->files = f;
    RT_TRY(open_file_of(f, s->path));
    RT_TRY(md_gguf_config(&f->c, f->g));
    RT_TRY(match_tensors(f));
    RT_TRY(gguf_find_unexpected(f));
    return list_entries(s, f);
}

static void close_gguf(md_source *s)
{
    gguf_file *f = s->files;
    if (!f) return;
    md_gguf_close(&f->g);
    free(f->tensors), free(f->entries), free(f);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static rt_status gguf_read_bytes(const md_source *s, int64_t i, void *bytes)
{
    const md_gguf_tensor *t = ((const gguf_file *)s->files)->entries[i].from;
    memcpy(bytes, t->data, (size_t)t->bytes);
    return RT_OK;
}

/* Puts the rows of `heads` heads, in GGUF's order, into the model's (md_gguf_turned_heads). */
static rt_status turn_back(real *x, int64_t rows, int64_t cols, int64_t heads)
{
    const int64_t half = rows / heads / 2;
    real         *head;
    RT_TRY(RT_NEW(head, 2 * half * cols));
    for (int64_t h = 0; h < heads; h++, x += 2 * half * cols) {
        memcpy(head, x, (size_t)(2 * half * cols) * sizeof *x);
        for (int64_t r = 0; r < 2 * half; r++) memcpy(x + (r / 2 + r % 2 * half) * cols, head + r * cols, (size_t)cols * sizeof *x);
    }
    free(head);
    return RT_OK;
}

static rt_status gguf_read_real(const md_source *s, int64_t i, real *x)
{
    const gguf_file      *f = s->files;
    const md_gguf_tensor *t = f->entries[i].from;
    const int64_t n = t->bytes / t->type->bytes, elements = n * t->type->block, heads = md_gguf_turned_heads(&f->c, f->entries[i].to);
    const real    added = md_gguf_added(&f->c, f->entries[i].to);
    t->type->to_real(x, t->data, n);
    for (int64_t j = 0; added != 0 && j < elements; j++) x[j] -= added;
    return heads ? turn_back(x, t->shape[0], elements / t->shape[0], heads) : RT_OK;
}

const md_source_format md_source_gguf = {
    .recognise = recognise_gguf, .open = open_gguf, .close = close_gguf, .read = gguf_read_bytes, .read_real = gguf_read_real};
