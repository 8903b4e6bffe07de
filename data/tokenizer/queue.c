/* queue.c -- texts that arrive one by one, encoded together on all threads. */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

enum { FULL = 4 << 20 }; /* bytes of text that are encoded together */

struct ds_queue {
    ds_batch *batch;
    rt_status (*take)(void *ud, const ds_ids *ids);
    void   *ud;
    int     flags;
    rt_buf  text; /* the texts that wait, one after another */
    ds_raw *raw;  /* [n] of these; the places are set when the text no longer moves */
    ds_ids *ids;  /* [n]; the lists are kept for the next texts */
    int64_t n, raw_cap, ids_cap, lists;
};

rt_status ds_queue_create(ds_queue **out, const ds_tokenizer *t, int flags, rt_status (*take)(void *ud, const ds_ids *ids), void *ud)
{
    ds_queue *q = NULL;
    RT_TRY(RT_NEW(q, 1));
    *q                 = (ds_queue){.take = take, .ud = ud, .flags = flags};
    const rt_status st = ds_batch_create(&q->batch, t);
    if (st != RT_OK) ds_queue_destroy(&q);
    else *out = q;
    return st;
}

rt_status ds_queue_end(ds_queue *q)
{
    size_t at = 0;
    for (int64_t i = 0; i < q->n; at += q->raw[i++].n) q->raw[i].p = q->text.p + at, q->ids[i].n = 0;
    rt_status st = ds_batch_encode(q->batch, q->raw, q->n, q->flags, q->ids);
    for (int64_t i = 0; st == RT_OK && i < q->n; i++) st = q->take(q->ud, &q->ids[i]);
    q->n = 0;
    rt_buf_clear(&q->text);
    return st;
}

rt_status ds_queue_add(ds_queue *q, const char *text, size_t n)
{
    RT_TRY(rt_grow((void **)&q->raw, q->n, &q->raw_cap, sizeof *q->raw));
    RT_TRY(rt_grow((void **)&q->ids, q->n, &q->ids_cap, sizeof *q->ids));
    if (q->n == q->lists) q->ids[q->lists++] = (ds_ids){0};
    q->raw[q->n].n = n;
    RT_TRY(rt_buf_add(&q->text, text, n));
    q->n++;
    return q->text.len < FULL ? RT_OK : ds_queue_end(q);
}

void ds_queue_destroy(ds_queue **q)
{
    if (!*q) return;
    for (int64_t i = 0; i < (*q)->lists; i++) free((*q)->ids[i].v);
    free((*q)->ids);
    free((*q)->raw);
    rt_buf_free(&(*q)->text);
    ds_batch_destroy(&(*q)->batch);
    free(*q);
    *q = NULL;
}
