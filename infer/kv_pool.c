/* kv_pool.c -- the KV pool: one block [L][keys, values][slots][max_tokens, KV D] of the activations' type, and which slots are in use. */
#include "infer/kv_pool.h"
#include <stdlib.h>

struct inf_kv_pool {
    const md_model *m;
    int64_t         slots, max_tokens;
    size_t          slot_bytes; /* of a slot's keys, or values, in one layer */
    char           *block;
    char           *used; /* [slots] */
};

static rt_status kv_pool_allocate(inf_kv_pool *p)
{
    const md_config *c = &p->m->config;
    p->slot_bytes      = (size_t)(p->max_tokens * c->KV * c->D) * kn_size(md_activations(p->m));
    RT_TRY(rt_alloc((void **)&p->block, 2 * c->L * p->slots, p->slot_bytes, "the KV cache"));
    return RT_NEW(p->used, p->slots);
}

rt_status inf_kv_pool_create(inf_kv_pool **out, const md_model *m, int64_t slots, int64_t max_tokens)
{
    inf_kv_pool *p;
    RT_CHECK(max_tokens >= 1 && max_tokens <= m->config.context, RT_EINVAL,
             "the model's context is %lld tokens; expected a sequence of 1 to that many, found %lld", (long long)m->config.context,
             (long long)max_tokens);
    RT_CHECK(slots >= 1 && slots <= INT32_MAX, RT_EINVAL, "a KV pool must have 1 to %d slots, found %lld", INT32_MAX, (long long)slots);
    RT_TRY(RT_NEW(p, 1));
    p->m               = m;
    p->slots           = slots;
    p->max_tokens      = max_tokens;
    const rt_status st = kv_pool_allocate(p);
    if (st != RT_OK) inf_kv_pool_destroy(&p);
    else *out = p;
    return st;
}

void inf_kv_pool_destroy(inf_kv_pool **pp)
{
    inf_kv_pool *p = *pp;
    if (!p) return;
    free(p->block), free(p->used), free(p);
    *pp = NULL;
}

rt_status inf_kv_pool_acquire(inf_kv_pool *p, int32_t *slot)
{
    int64_t i = 0;
    while (i < p->slots && p->used[i]) i++;
    RT_CHECK(i < p->slots, RT_ENOMEM, "all %lld slots of the KV pool are in use, each for up to %lld tokens; end a sequence first",
             (long long)p->slots, (long long)p->max_tokens);
    p->used[i] = 1;
    *slot      = (int32_t)i;
    return RT_OK;
}

void inf_kv_pool_release(inf_kv_pool *p, int32_t slot)
{
    RT_ASSERT(slot >= 0 && slot < p->slots && p->used[slot]);
    p->used[slot] = 0;
}

rt_status inf_kv_pool_plan(const inf_kv_pool *p, int64_t R, md_graph *g, ag_plan **plan)
{
    const md_graph_opts o = {
        .use = MD_DECODE, .B = 1, .T = R, .slots = p->slots, .slot_rows = p->max_tokens, .activations = md_activations(p->m)};
    const ag_plan_opts f     = {.forward_only = 1};
    const size_t       bytes = (size_t)p->slots * p->slot_bytes;
    RT_TRY(md_graph_create(g, p->m, &o));
    RT_TRY(ag_plan_create(plan, g->g, g->value, &f));
    for (int64_t l = 0; l < p->m->config.L; l++) {
        ag_plan_bind(*plan, g->cache_k[l], p->block + (size_t)(2 * l) * bytes, NULL);
        ag_plan_bind(*plan, g->cache_v[l], p->block + (size_t)(2 * l + 1) * bytes, NULL);
    }
    return RT_OK;
}
