/* import.c -- text files into text shards: all is encoded once, then shared out.
 *
 * Four bytes a token stay in memory until the parts are written, so that documents can
 * be shuffled.
 */
#include "core/file.h"
#include "core/rng.h"
#include "data/shard.h"
#include "data/split.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct import {
    const ds_import_opts *o;
    rt_progress          *p;
    int64_t               bytes;
    ds_ids                ids;
    int64_t              *end, docs, cap; /* where each document ends in ids */
    int64_t              *order;
} import;

static rt_status take_text(void *ud, const char *text, size_t n)
{
    import       *m    = ud;
    const int64_t from = m->docs ? m->end[m->docs - 1] : 0;
    RT_TRY(ds_encode(m->o->tokenizer, text, n, DS_DOCUMENT, &m->ids));
    m->bytes += (int64_t)n + 1;
    if (m->p) rt_progress_at(m->p, m->bytes, NULL);
    if (m->ids.n == from) return RT_OK;
    RT_TRY(rt_grow((void **)&m->end, m->docs, &m->cap, sizeof *m->end));
    m->end[m->docs++] = m->ids.n;
    return RT_OK;
}

static rt_status read_files(import *m)
{
    rt_rng r = {m->o->seed};
    for (int i = 0; i < m->o->files->n; i++) RT_TRY(ds_text_read(m->o->files->v[i], take_text, m));
    RT_CHECK(m->docs > 0, RT_EINVAL, "%s%s: no document to import", m->o->files->v[0], m->o->files->n > 1 ? " and the others" : "");
    RT_TRY(RT_NEW(m->order, m->docs));
    for (int64_t i = 0; i < m->docs; i++) m->order[i] = i;
    if (m->o->split) rt_rng_shuffle(&r, m->order, m->docs);
    return RT_OK;
}

/* A document longer than max_doc becomes several. */
static rt_status write_doc(const import *m, ds_part *part, ds_writer *w, int64_t from, int64_t n)
{
    const int64_t most = m->o->max_doc ? m->o->max_doc : n;
    for (int64_t at = 0; at < n; at += most) {
        RT_TRY(ds_writer_add(w, &(ds_doc){.n = n - at < most ? n - at : most, .ids = m->ids.v + from + at, .cost = NAN}));
        part->docs++;
    }
    return RT_OK;
}

static rt_status write_part(const import *m, ds_split *s, int i, ds_writer *w)
{
    ds_part *part = &s->part[i];
    for (int64_t j = s->first[i]; j < s->first[i] + s->docs[i]; j++) {
        const int64_t d = m->order[j], from = d ? m->end[d - 1] : 0, left = s->limit[i] - part->tokens;
        int64_t       n = m->end[d] - from;
        if (s->limit[i] && n > left) n = left;
        if (n == 0) break;
        RT_TRY(write_doc(m, part, w, from, n));
        part->tokens += n;
    }
    return RT_OK;
}

/* All writers finish only after all have written: an error leaves no part alone. */
static rt_status write_parts(const import *m, ds_split *s)
{
    ds_writer *w[DS_MAX_PARTS] = {NULL};
    ds_info    info            = {.vocab = ds_tokenizer_size(m->o->tokenizer)};
    rt_status  st              = RT_OK;
    int        done            = 0;
    snprintf(info.tokenizer, sizeof info.tokenizer, "%s", ds_tokenizer_identity(m->o->tokenizer));
    snprintf(info.program, sizeof info.program, "%s", m->o->program ? m->o->program : "");
    for (int i = 0; st == RT_OK && i < s->n; i++) {
        st = ds_writer_create(&w[i], s->part[i].path, &info);
        if (st == RT_OK) st = write_part(m, s, i, w[i]);
    }
    while (st == RT_OK && done < s->n) {
        st = ds_writer_finish(&w[done]);
        if (st == RT_OK) done++;
    }
    for (int i = 0; i < s->n; i++) ds_writer_abandon(&w[i]);
    for (int i = 0; st != RT_OK && i < done; i++) remove(s->part[i].path);
    return st;
}

static rt_status run(import *m, ds_split *s)
{
    RT_TRY(ds_split_parse(s, m->o));
    for (int i = 0; i < s->n; i++) /* said before the work, not after it */
        RT_TRY(rt_output_new(s->part[i].path));
    RT_TRY(read_files(m));
    RT_TRY(ds_split_assign(s, m->docs));
    return write_parts(m, s);
}

rt_status ds_import(const ds_import_opts *o, ds_part parts[DS_MAX_PARTS], int *n, rt_progress *p)
{
    ds_split s;
import m = {.o = o, .p = p };
    const rt_status st = run(&m, &s);
    free(m.ids.v);
    free(m.end);
    free(m.order);
    if (st != RT_OK) {
        ds_parts_free(s.part, s.n);
        return st;
    }
    memcpy(parts, s.part, sizeof s.part);
    *n = s.n;
    return RT_OK;
}

void ds_parts_free(ds_part *parts, int n)
{
    for (int i = 0; i < n; i++) free(parts[i].path);
}
