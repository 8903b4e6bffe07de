/* source.c -- the list of weight formats, and what all formats share. */
#include "model/source.h"
#include "core/memory.h"
#include "model/model.h"
#include <stdlib.h>
#include <string.h>

/* The last format recognises every path, so that its errors say what was expected. */
static const md_source_format *const formats[] = {&md_source_gguf, &md_source_safetensors};

rt_status md_source_open(md_source **out, const char *path)
{
    md_source *s;
    int        i = 0;
    while (!formats[i]->recognise(path)) i++;
    RT_TRY(RT_NEW(s, 1));
    s->format          = formats[i];
    s->path            = path;
    const rt_status st = s->format->open(s);
    if (st != RT_OK) md_source_close(&s);
    else *out = s;
    return st;
}

void md_source_close(md_source **sp)
{
    md_source *s = *sp;
    if (!s) return;
    s->format->close(s);
    free(s->t), free(s);
    *sp = NULL;
}

static int source_by_name(const void *a, const void *b) { return strcmp(((const md_stored *)a)->name, ((const md_stored *)b)->name); }

const md_stored *md_source_find(const md_source *s, const char *name, const char *suffix)
{
    char         whole[MD_NAME + 16];
    const size_t n = strlen(name);
    if (n + strlen(suffix) >= sizeof whole) return NULL;
    strcpy(whole, name);
    strcpy(whole + n, suffix);
    return s->n ? bsearch(&(md_stored){.name = whole}, s->t, (size_t)s->n, sizeof *s->t, source_by_name) : NULL;
}

rt_status md_source_read(const md_source *s, const md_stored *t, void *bytes) { return s->format->read(s, t - s->t, bytes); }
rt_status md_source_read_real(const md_source *s, const md_stored *t, real *x) { return s->format->read_real(s, t - s->t, x); }
