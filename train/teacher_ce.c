/* teacher_ce.c -- the teacher's own cross-entropy on the text of its shards, a reference value for the student's. */
#include "train/train.h"
#include <math.h>

enum { DOCS = 1024 };

typedef struct mean {
    double  sum;
    int64_t n;
} mean;

/* Adds the rows of a document.  Rows whose target is a prompt token do not count, as in the loss. */
static void teacher_ce_add_doc(mean *o, const ds_doc *d)
{
    for (int64_t i = 0; i + 1 < d->n; i++) {
        if (!d->rows.valid[i] || !isfinite(d->rows.actual_logprob[i]) || (d->prompt_mask && d->prompt_mask[i + 1])) continue;
        o->sum -= (double)d->rows.actual_logprob[i];
        o->n++;
    }
}

static rt_status add_docs(mean *o, ds_shard *s)
{
    const int64_t all = ds_shard_docs(s), n = all < DOCS ? all : DOCS;
    ds_doc        d;
    for (int64_t i = 0; ds_shard_info(s)->soft && i < n; i++) {
        RT_TRY(ds_shard_doc(s, i * all / n, &d));
        teacher_ce_add_doc(o, &d);
    }
    return RT_OK;
}

rt_status tr_teacher_ce(const rt_strings *shards, double *ce)
{
    mean o = {0, 0};
    for (int i = 0; i < shards->n; i++) {
        ds_shard *s;
        RT_TRY(ds_shard_open(&s, shards->v[i]));
        const rt_status st = add_docs(&o, s);
        ds_shard_close(&s);
        RT_TRY(st);
    }
    *ce = o.n ? o.sum / (double)o.n : NAN;
    return RT_OK;
}
