/* sample.c -- text on which models are compared, out of shards. */
#include "data/shard.h"
#include "distill/prune.h"
#include <stdlib.h>

static void sample_add(di_sample *s, const ds_doc *d, int64_t most)
{
    const int32_t start = (int32_t)s->n;
    for (int64_t i = 0; i < d->n && s->n < most; i++, s->n++) {
        s->ids[s->n]       = d->ids[i];
        s->pos[s->n]       = (int32_t)i;
        s->doc_start[s->n] = start;
    }
}

static rt_status sample_from(di_sample *s, ds_shard *shard, const ds_tokenizer *t, int64_t most)
{
    RT_CHECK(ds_tokenizer_is(t, ds_shard_info(shard)->tokenizer), RT_EMISMATCH,
             "%s was made with another tokenizer than the model to write; import or remap it with that one", ds_shard_path(shard));
    for (int64_t i = 0; s->n < most && i < ds_shard_docs(shard); i++) {
        ds_doc d;
        RT_TRY(ds_shard_doc(shard, i, &d));
        RT_TRY(ds_ids_check(shard, i, 0, d.ids, d.n, ds_tokenizer_size(t)));
        sample_add(s, &d, most);
    }
    return RT_OK;
}

rt_status di_sample_take(di_sample *s, const rt_strings *shards, const ds_tokenizer *t, int64_t n)
{
    *s = (di_sample){0};
    RT_TRY(RT_NEW(s->ids, n));
    RT_TRY(RT_NEW(s->pos, n));
    RT_TRY(RT_NEW(s->doc_start, n));
    for (int i = 0; s->n < n && i < shards->n; i++) {
        ds_shard *shard;
        RT_TRY(ds_shard_open(&shard, shards->v[i]));
        const rt_status st = sample_from(s, shard, t, n);
        ds_shard_close(&shard);
        RT_TRY(st);
    }
    RT_CHECK(s->n >= 2, RT_EINVAL, "choosing what to keep of a model needs text: expected shards with at least 2 tokens, found %lld",
             (long long)s->n);
    return RT_OK;
}

void di_sample_free(di_sample *s)
{
    free(s->ids), free(s->pos), free(s->doc_start);
    *s = (di_sample){0};
}
