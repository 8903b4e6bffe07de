/* classes.c -- computing classes of characters from sets: the coarsest partition of all code points in which every set is a
 * union of classes. */
#include "data/tokenizer/chain.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_CLASSES = 256 };

typedef struct division {
    uint32_t *from; /* [n]: interval i is from[i] .. from[i + 1] - 1 */
    int *class;
    int64_t n;
    int     classes;
} division;

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Divides the code points into intervals at the bounds of all sets; all intervals begin in one class. */
static rt_status classes_cut(division *d, const ds_splitter *s)
{
    int64_t most = 1, n = 0;
    for (int64_t i = 0; i < s->sets; i++) most += 2 * s->set[i].n;
    RT_TRY(RT_NEW(d->from, most));
    RT_TRY(RT_NEW(d->class, most));
    d->from[n++] = 0;
    for (int64_t i = 0; i < s->sets; i++)
        for (int64_t k = 0; k < s->set[i].n; k++) {
            d->from[n++] = s->set[i].range[k].from;
            if (s->set[i].range[k].to + 1 < DS_CODE_POINTS) d->from[n++] = s->set[i].range[k].to + 1;
        }
    qsort(d->from, (size_t)n, sizeof *d->from, by_number);
    for (int64_t i = 0; i < n; i++)
        if (!i || d->from[i] != d->from[d->n - 1]) d->from[d->n++] = d->from[i];
    d->classes = 1;
    return RT_OK;
}

/* Splits each class that has members inside and outside the set. */
static rt_status refine(division *d, const ds_set *x, const char *where)
{
    int     inside[MAX_CLASSES], outside[MAX_CLASSES]; /* new classes of the members inside and outside, by old class; -1: none yet */
    int64_t r = 0;
    int     n = 0;
    memset(inside, -1, sizeof inside);
    memset(outside, -1, sizeof outside);
    for (int64_t i = 0; i < d->n; i++) {
        while (r < x->n && x->range[r].to < d->from[i]) r++;
        int *half = r < x->n && x->range[r].from <= d->from[i] ? &inside[d->class[i]] : &outside[d->class[i]];
        RT_CHECK(*half >= 0 || n < MAX_CLASSES, RT_EFORMAT, "%s: the pre_tokenizer distinguishes more than %d classes of characters", where,
                 MAX_CLASSES);
        if (*half < 0) *half = n++;
        d->class[i] = *half;
    }
    d->classes = n;
    return RT_OK;
}

static rt_status classes_fill(uint8_t **class, const division *d)
{
    RT_TRY(rt_alloc((void **)class, DS_CODE_POINTS, 1, "classes of characters"));
    for (int64_t i = 0; i < d->n; i++) {
        const uint32_t to = i + 1 < d->n ? d->from[i + 1] : DS_CODE_POINTS;
        memset(*class + d->from[i], d->class[i], to - d->from[i]);
    }
    return RT_OK;
}

rt_status ds_classes_make(ds_splitter *s, const char *where)
{
    division  d  = {0};
    rt_status st = classes_cut(&d, s);
    for (int64_t i = 0; st == RT_OK && i < s->sets; i++) st = refine(&d, &s->set[i], where);
    if (st == RT_OK) st = classes_fill(&s->class, &d);
    free(d.class);
    s->cut  = d.from;
    s->cuts = d.n;
    return st;
}

/* Writes a set as a character class of its class bytes; an empty set becomes one that matches no byte. */
static rt_status write_set(const ds_splitter *s, const ds_set *x, rt_buf *out)
{
    uint8_t has[MAX_CLASSES] = {0};
    for (int64_t i = 0, r = 0; i < s->cuts; i++) {
        while (r < x->n && x->range[r].to < s->cut[i]) r++;
        if (r < x->n && x->range[r].from <= s->cut[i]) has[s->class[s->cut[i]]] = 1;
    }
    RT_TRY(rt_buf_str(out, "["));
    const size_t before = out->len;
    for (int i = 0; i < MAX_CLASSES; i++)
        if (has[i]) RT_TRY(rt_buf_fmt(out, "\\x%02x", (unsigned)i));
    return rt_buf_str(out, out->len > before ? "]" : "^\\x00-\\xff]");
}

rt_status ds_classes_write(const ds_splitter *s, const rt_buf *parts, rt_buf *out)
{
    for (size_t i = 0; i < parts->len; i++) {
        const unsigned char c = (unsigned char)parts->p[i];
        if (c < 0x80) RT_TRY(rt_buf_add(out, parts->p + i, 1));
        else RT_TRY(write_set(s, &s->set[(c & 0x7f) << 8 | (unsigned char)parts->p[++i]], out));
    }
    return RT_OK;
}
