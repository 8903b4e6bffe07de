/* batch.c -- encoding many texts on all threads. */
#include "core/threads.h"
#include "data/tokenizer/parts.h"
#include <stdlib.h>

struct ds_batch {
    const ds_tokenizer *t;
    ds_encoder         *encoder[RT_MAX_THREADS]; /* made when a thread first needs one */
};

typedef struct batch_run { /* one call at work */
    ds_batch     *b;
    const ds_raw *text;
    ds_ids       *ids;
    rt_status    *st; /* [n] */
    int           flags;
} batch_run;

rt_status ds_batch_create(ds_batch **out, const ds_tokenizer *t)
{
    RT_TRY(RT_NEW(*out, 1));
    (*out)->t = t;
    return RT_OK;
}

static void batch_item(int64_t i, int thread, void *ud)
{
    const batch_run *r = ud;
    ds_encoder     **e = &r->b->encoder[thread];
    r->st[i]           = *e ? RT_OK : ds_encoder_create(e, r->b->t);
    if (r->st[i] == RT_OK) r->st[i] = ds_encoder_add(*e, r->text[i].p, r->text[i].n, r->flags, &r->ids[i]);
}

/* An error's text belongs to the thread that found it, so the text that failed is encoded again here. */
rt_status ds_batch_encode(ds_batch *b, const ds_raw *text, int64_t n, int flags, ds_ids *ids)
{
    batch_run r = {b, text, ids, NULL, flags};
    RT_TRY(RT_NEW(r.st, n));
    rt_parallel(n, batch_item, &r);
    int64_t bad = 0;
    while (bad < n && r.st[bad] == RT_OK) bad++;
    free(r.st);
    return bad < n ? ds_encode(b->t, text[bad].p, text[bad].n, flags, &ids[bad]) : RT_OK;
}

void ds_batch_destroy(ds_batch **b)
{
    if (!*b) return;
    for (int i = 0; i < RT_MAX_THREADS; i++) ds_encoder_destroy(&(*b)->encoder[i]);
    free(*b);
    *b = NULL;
}
