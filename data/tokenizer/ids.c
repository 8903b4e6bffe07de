/* ids.c -- a growing list of token ids. */
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

rt_status ds_ids_add(ds_ids *ids, int32_t id)
{
    RT_TRY(rt_grow((void **)&ids->v, ids->n, &ids->cap, sizeof *ids->v));
    ids->v[ids->n++] = id;
    return RT_OK;
}

rt_status ds_ids_reserve(ds_ids *ids, int64_t more)
{
    if (ids->n + more <= ids->cap) return RT_OK;
    const int64_t cap = 2 * ids->cap > ids->n + more ? 2 * ids->cap : ids->n + more;
    int32_t      *p   = realloc(ids->v, (size_t)cap * sizeof *p);
    RT_CHECK(p, RT_ENOMEM, "no memory for an array of %lld token ids", (long long)cap);
    ids->v   = p;
    ids->cap = cap;
    return RT_OK;
}

rt_status ds_ids_add_all(ds_ids *ids, const ds_ids *more)
{
    RT_TRY(ds_ids_reserve(ids, more->n));
    if (more->n) memcpy(ids->v + ids->n, more->v, (size_t)more->n * sizeof *more->v);
    ids->n += more->n;
    return RT_OK;
}
