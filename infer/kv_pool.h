/* kv_pool.h -- the memory of sequences that are being decoded.  Private to infer/.
 *
 * A KV pool has a number of slots.  A slot holds one sequence: keys and values of up to max_tokens rows in every layer.  The rows
 * of one forward may belong to several slots.
 */
#ifndef INF_KV_POOL_H
#define INF_KV_POOL_H
#include "model/graph.h"

typedef struct inf_kv_pool inf_kv_pool; /* opaque; owns the caches of all layers as one block; not thread-safe */

/* Creates a pool whose slots are free.  The model must outlive it.  RT_EINVAL: max_tokens is not in 1 .. the model's context, or
 * slots < 1; RT_ENOMEM: the message has the size of the whole pool, of which nothing was allocated. */
rt_status inf_kv_pool_create(inf_kv_pool **out, const md_model *m, int64_t slots, int64_t max_tokens);
void      inf_kv_pool_destroy(inf_kv_pool **p);

/* Sets *slot to a free slot, the caller's until inf_kv_pool_release.  Its rows are those of an earlier sequence: a row is stored
 * before it is read.  RT_ENOMEM: all slots are in use. */
rt_status inf_kv_pool_acquire(inf_kv_pool *p, int32_t *slot);
void      inf_kv_pool_release(inf_kv_pool *p, int32_t slot);

/* Creates the graph of use MD_DECODE for R rows, and a plan with the pool's caches bound to it.  The caller binds the other leaves
 * with md_bind and destroys plan and graph before the pool, also after a failure. */
rt_status inf_kv_pool_plan(const inf_kv_pool *p, int64_t R, md_graph *g, ag_plan **plan);
#endif
