/* arena.c -- the memory of a template or of one rendering, and the limits of a rendering. */
#include "data/chat/value.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 << 10, ALIGN = 16 };

typedef struct ds_jblock {
    struct ds_jblock *before;
    size_t            n, cap;
    _Alignas(ALIGN) char bytes[];
} ds_jblock;

static rt_status arena_block(ds_jarena *a, size_t n)
{
    const size_t cap = n > BLOCK ? n : BLOCK, most = a->most ? a->most : DS_JMEMORY;
    RT_CHECK(cap <= most - a->used, RT_EINVAL, "the chat template requires more than %zu MB of memory", most >> 20);
    ds_jblock *b = calloc(1, sizeof *b + cap);
    RT_CHECK(b, RT_ENOMEM, "no memory for %zu bytes of a chat template", cap);
    b->cap    = cap;
    b->before = a->block;
    a->block  = b;
    a->used += cap;
    return RT_OK;
}

rt_status ds_jalloc(ds_jarena *a, void **out, size_t n)
{
    RT_CHECK(n < (size_t)DS_JMEMORY, RT_EINVAL, "the chat template requires more than %d MB of memory", DS_JMEMORY >> 20);
    n = (n + ALIGN - 1) / ALIGN * ALIGN;
    if (!a->block || n > a->block->cap - a->block->n) RT_TRY(arena_block(a, n));
    *out = a->block->bytes + a->block->n;
    a->block->n += n;
    return RT_OK;
}

rt_status ds_jgrow(ds_jarena *a, void **p, size_t old, size_t n)
{
    ds_jblock   *b    = a->block;
    const size_t more = (n + ALIGN - 1) / ALIGN * ALIGN, had = (old + ALIGN - 1) / ALIGN * ALIGN;
    void        *q = NULL;
    if (had && (char *)*p + had == b->bytes + b->n && more - had <= b->cap - b->n) {
        b->n += more - had;
        return RT_OK;
    }
    RT_TRY(ds_jalloc(a, &q, n));
    if (old) memcpy(q, *p, old);
    *p = q;
    return RT_OK;
}

void ds_jarena_free(ds_jarena *a)
{
    for (ds_jblock *b = a->block, *before; b; b = before) {
        before = b->before;
        free(b);
    }
    a->block = NULL;
    a->used  = 0;
}

rt_status ds_jfail(const ds_jrun *r, const char *file, int line, const char *fmt, ...)
{
    char    text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return rt_fail(RT_EINVAL, file, line, "%s, line %d: %s", r->where, r->line, text);
}

rt_status ds_jwork(ds_jrun *r, int64_t bytes)
{
    r->steps += 1 + bytes / 64;
    DS_JCHECK(r, r->steps <= DS_JSTEPS, "the template takes more than %d steps for this chat", DS_JSTEPS);
    return RT_OK;
}

rt_status ds_jenter(ds_jrun *r)
{
    RT_TRY(ds_jwork(r, 0));
    DS_JCHECK(r, r->depth < DS_JDEPTH, "expressions, macros or values are nested deeper than %d levels", DS_JDEPTH);
    r->depth++;
    return RT_OK;
}

rt_status ds_jput(ds_jrun *r, ds_jout *o, const char *p, size_t n)
{
    RT_TRY(ds_jwork(r, (int64_t)n));
    DS_JCHECK(r, n <= DS_JOUTPUT - o->n, "a text of the template becomes longer than %d MB", DS_JOUTPUT >> 20);
    if (n > o->cap - o->n) {
        size_t cap = o->cap ? o->cap : 32;
        while (cap < o->n + n) cap *= 2;
        RT_TRY(ds_jgrow(&r->arena, (void **)&o->p, o->cap, cap));
        o->cap = cap;
    }
    if (n) memcpy(o->p + o->n, p, n);
    o->n += n;
    return RT_OK;
}

rt_status ds_jputs(ds_jrun *r, ds_jout *o, const char *s) { return ds_jput(r, o, s, strlen(s)); }
