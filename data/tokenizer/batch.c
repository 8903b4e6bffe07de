/* batch.c -- encoding many texts on all threads. */
#include "core/threads.h"
#include "data/tokenizer/parts.h"
#include <stdlib.h>

struct ds_batch {
    const ds_tokenizer *t;
    ds_encoder         *encoder[RT_MAX_THREADS]; /* made when a thread first needs one */
};

enum { GROUP = 16 << 10 }; /* bytes of text that one item has at least, unless they are the last */

typedef struct batch_run { /* one call at work */
    ds_batch     *b;
    const ds_raw *text;
    ds_ids       *ids;
    rt_status    *st;    /* [n] */
    int64_t      *first; /* [groups + 1] the first text of each group */
    int           flags;
} batch_run;

rt_status ds_batch_create(ds_batch **out, const ds_tokenizer *t)
{
    RT_TRY(RT_NEW(*out, 1));
    (*out)->t = t;
    return RT_OK;
}

static void batch_group(int64_t item, int thread, void *ud)
{
    const batch_run *r  = ud;
    ds_encoder     **e  = &r->b->encoder[thread];
    const rt_status  st = *e ? RT_OK : ds_encoder_create(e, r->b->t);
    for (int64_t i = r->first[item]; i < r->first[item + 1]; i++)
        r->st[i] = st == RT_OK ? ds_encoder_add(*e, r->text[i].p, r->text[i].n, r->flags, &r->ids[i]) : st;
}

/* Divides the texts into groups, so that a thread takes many short texts at once; returns the number of groups. */
static int64_t batch_divide(const ds_raw *text, int64_t n, int64_t *first)
{
    int64_t groups = 0;
    size_t  bytes  = GROUP;
    for (int64_t i = 0; i < n; bytes += text[i++].n)
        if (bytes >= GROUP) first[groups++] = i, bytes = 0;
    first[groups] = n;
    return groups;
}

/* An error's text belongs to the thread that found it, so the text that failed is encoded again here. */
rt_status ds_batch_encode(ds_batch *b, const ds_raw *text, int64_t n, int flags, ds_ids *ids)
{
    batch_run r   = {b, text, ids, NULL, NULL, flags};
    rt_status st  = RT_NEW(r.st, n);
    int64_t   bad = 0;
    if (st == RT_OK) st = RT_NEW(r.first, n + 1);
    if (st == RT_OK) rt_parallel(batch_divide(text, n, r.first), batch_group, &r);
    while (st == RT_OK && bad < n && r.st[bad] == RT_OK) bad++;
    if (st == RT_OK && bad < n) st = ds_encode(b->t, text[bad].p, text[bad].n, flags, &ids[bad]);
    free(r.st);
    free(r.first);
    return st;
}

void ds_batch_destroy(ds_batch **b)
{
    if (!*b) return;
    for (int i = 0; i < RT_MAX_THREADS; i++) ds_encoder_destroy(&(*b)->encoder[i]);
    free(*b);
    *b = NULL;
}
