/* ids.c -- a growing list of token ids. */
#include "data/tokenizer.h"

rt_status ds_ids_add(ds_ids *ids, int32_t id)
{
    RT_TRY(rt_grow((void **)&ids->v, ids->n, &ids->cap, sizeof *ids->v));
    ids->v[ids->n++] = id;
    return RT_OK;
}
