/* import.c -- importing text files into text shards: all documents are encoded, then divided into parts.
 *
 * Four bytes per token and the fields of the documents stay in memory until the parts are written, so that documents can be
 * shuffled.
 */
#include "core/file.h"
#include "core/rng.h"
#include "data/import/split.h"
#include "data/shard/columns.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct document {
    int64_t  end;   /* end of its tokens in ids */
    size_t   about; /* offset of request, recipe, topic, finish, meta in texts; 0: none of them */
    uint64_t seed;
    double   cost;
    int      left_out; /* 1: a field was too long for meta */
} document;

typedef struct import {
    const ds_import_opts *o;
    rt_progress          *p;
    int64_t               bytes; /* total size of the files */
    ds_queue             *queue;
    ds_ids                ids;
    rt_buf                texts;
    document             *doc; /* [docs] documents; those from `waiting` to `read` are not encoded yet */
    int64_t               docs, waiting, read, cap, left_out;
    int64_t              *order;
} import;

/* Appends the fields of `about` one after another; *at = 0 if all are empty. */
static rt_status keep_about(rt_buf *texts, const ds_doc *about, size_t *at)
{
    const char *const field[] = {about->request, about->recipe, about->topic, about->finish, about->meta};
    int               some    = 0;
    for (int i = 0; i < 5; i++) some |= field[i] && *field[i];
    *at = 0;
    if (!some) return RT_OK;
    if (!texts->len) RT_TRY(rt_buf_add(texts, "", 1)); /* offset 0 means that there are no fields */
    *at = texts->len;
    for (int i = 0; i < 5; i++) RT_TRY(rt_buf_add(texts, field[i] ? field[i] : "", (field[i] ? strlen(field[i]) : 0) + 1));
    return RT_OK;
}

static void set_about(const rt_buf *texts, size_t at, ds_doc *d)
{
    const char **const field[] = {&d->request, &d->recipe, &d->topic, &d->finish, &d->meta};
    const char        *text    = texts->p + at;
    for (int i = 0; at && i < 5; i++, text += strlen(text) + 1) *field[i] = text;
}

/* Keeps the fields of a document and has its text encoded. */
static rt_status take_text(void *ud, const ds_text *t)
{
    import *m = ud;
    if (m->p && !m->read) rt_progress_begin(m->p, "importing", "bytes", m->bytes, 0);
    if (m->p) rt_progress_at(m->p, t->read, NULL);
    RT_TRY(rt_grow((void **)&m->doc, m->read, &m->cap, sizeof *m->doc));
    document *d = &m->doc[m->read];
    *d          = (document){.seed = t->about.seed, .cost = t->about.cost, .left_out = t->left_out > 0};
    RT_TRY(keep_about(&m->texts, &t->about, &d->about));
    m->read++;
    return ds_queue_add(m->queue, t->text, t->n);
}

/* Adds the next document that waits, unless it has no ids. */
static rt_status take_ids(void *ud, const ds_ids *ids)
{
    import        *m = ud;
    const document d = m->doc[m->waiting++];
    if (!ids->n) return RT_OK;
    RT_TRY(ds_ids_add_all(&m->ids, ids));
    m->doc[m->docs]       = d;
    m->doc[m->docs++].end = m->ids.n;
    m->left_out += d.left_out;
    return RT_OK;
}

static rt_status encode_files(import *m)
{
    RT_TRY(ds_queue_create(&m->queue, m->o->tokenizer, DS_DOCUMENT, take_ids, m));
    rt_status st = ds_text_read(m->o->input, &m->bytes, take_text, m);
    if (st == RT_OK) st = ds_queue_end(m->queue);
    ds_queue_destroy(&m->queue);
    return st;
}

static rt_status read_files(import *m)
{
    rt_rng          r  = {m->o->seed};
    const ds_input *in = m->o->input;
    RT_TRY(encode_files(m));
    RT_CHECK(m->docs > 0, RT_EINVAL, "%s%s: expected at least one document to import, found none", in->n ? in->names[0] : "no file",
             in->n > 1 ? " and the others" : "");
    RT_TRY(RT_NEW(m->order, m->docs));
    for (int64_t i = 0; i < m->docs; i++) m->order[i] = i;
    if (m->o->split) rt_rng_shuffle(&r, m->order, m->docs);
    return RT_OK;
}

/* Writes a document; if it is longer than max_doc, as several documents, each with all of its fields. */
static rt_status import_write_doc(const import *m, ds_part *part, ds_writer *w, const document *from, int64_t first, int64_t n)
{
    const int64_t most = m->o->max_doc ? m->o->max_doc : n;
    ds_doc        d    = {.seed = from->seed, .cost = from->cost};
    set_about(&m->texts, from->about, &d);
    for (int64_t at = 0; at < n; at += most) {
        d.n   = n - at < most ? n - at : most;
        d.ids = m->ids.v + first + at;
        RT_TRY(ds_writer_add(w, &d));
        part->docs++;
    }
    return RT_OK;
}

static rt_status write_part(const import *m, ds_split *s, int i, ds_writer *w)
{
    ds_part *part = &s->part[i];
    for (int64_t j = s->first[i]; j < s->first[i] + s->docs[i]; j++) {
        const int64_t d = m->order[j], from = d ? m->doc[d - 1].end : 0, left = s->limit[i] - part->tokens;
        int64_t       n = m->doc[d].end - from;
        if (s->limit[i] && n > left) n = left;
        if (n == 0) break;
        RT_TRY(import_write_doc(m, part, w, &m->doc[d], from, n));
        part->tokens += n;
    }
    return RT_OK;
}

/* Every writer finishes only after all have written, so that an error leaves no part. */
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

static rt_status import_run(import *m, ds_split *s)
{
    RT_TRY(ds_split_parse(s, m->o));
    for (int i = 0; i < s->n; i++) /* checked before the work starts */
        RT_TRY(rt_output_new(s->part[i].path));
    RT_TRY(read_files(m));
    RT_TRY(ds_split_assign(s, m->docs));
    return write_parts(m, s);
}

rt_status ds_import(const ds_import_opts *o, ds_part parts[DS_MAX_PARTS], int *n, int64_t *left_out, rt_progress *p)
{
    ds_split s;
import m = {.o = o, .p = p };
    const rt_status st = import_run(&m, &s);
    if (p && m.read) rt_progress_end(p);
    free(m.ids.v);
    free(m.doc);
    rt_buf_free(&m.texts);
    free(m.order);
    if (st != RT_OK) {
        ds_parts_free(s.part, s.n);
        return st;
    }
    memcpy(parts, s.part, sizeof s.part);
    *n        = s.n;
    *left_out = m.left_out;
    return RT_OK;
}

void ds_parts_free(ds_part *parts, int n)
{
    for (int i = 0; i < n; i++) free(parts[i].path);
}
