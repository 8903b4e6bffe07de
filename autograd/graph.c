/* graph.c -- builds a graph by appending values and nodes to two arrays. */
#include "autograd/graph.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

rt_status ag_graph_create(ag_graph **out, kn_type activations)
{
    ag_graph *g;
    RT_TRY(RT_NEW(g, 1));
    g->activations = activations;
    *out           = g;
    return RT_OK;
}

void ag_graph_destroy(ag_graph **gp)
{
    ag_graph *g = *gp;
    if (!g) return;
    free(g->v);
    free(g->n);
    free(g);
    *gp = NULL;
}

static ag_id add_value(ag_graph *g, const char *name, kn_type t, const ag_shape *s, int role)
{
    if (g->st != RT_OK) return -1;
    g->st = rt_grow((void **)&g->v, g->nv, &g->cap_v, sizeof *g->v);
    if (g->st != RT_OK) return -1;
    ag_value *v = &g->v[g->nv];
    *v          = (ag_value){.shape = *s, .type = t, .role = role, .root = (ag_id)g->nv};
    snprintf(v->name, sizeof v->name, "%s", name);
    return (ag_id)g->nv++;
}

static ag_shape make_shape(ag_graph *g, const char *name, int nd, const int64_t *d)
{
    ag_shape s = {.nd = nd};
    if (g->st == RT_OK && (nd < 0 || nd > AG_MAX_DIM))
        g->st = rt_fail(RT_EINVAL, __FILE__, __LINE__, "%s: expected 0 to %d dimensions, found %d", name, AG_MAX_DIM, nd);
    for (int i = 0; g->st == RT_OK && i < nd; i++) {
        s.d[i] = d[i];
        if (d[i] < 0)
            g->st = rt_fail(RT_EINVAL, __FILE__, __LINE__, "%s: dimension %d must not be negative, found %lld", name, i, (long long)d[i]);
    }
    return s;
}

static ag_id add_leaf(ag_graph *g, const char *name, kn_type t, int nd, const int64_t *d, int role)
{
    const ag_shape s = make_shape(g, name, nd, d);
    return add_value(g, name, t, &s, role);
}

ag_id ag_input(ag_graph *g, const char *name, kn_type t, int nd, const int64_t *d) { return add_leaf(g, name, t, nd, d, AG_INPUT); }
ag_id ag_param(ag_graph *g, const char *name, kn_type t, int nd, const int64_t *d) { return add_leaf(g, name, t, nd, d, AG_PARAM); }
ag_id ag_opaque(ag_graph *g, const char *name) { return add_leaf(g, name, KN_REAL, 0, NULL, AG_INPUT); }

ag_id ag_view(ag_graph *g, ag_id x, int nd, const int64_t *d)
{
    if (g->st != RT_OK) return -1;
    RT_ASSERT(x >= 0 && x < g->nv);
    const ag_value of = g->v[x];
    const ag_shape s  = make_shape(g, "view", nd, d);
    if (g->st == RT_OK && ag_len(&s) != ag_len(&of.shape))
        g->st = rt_fail(RT_ESHAPE, __FILE__, __LINE__, "view of %s: expected a shape of %lld elements, found one of %lld", of.name,
                        (long long)ag_len(&of.shape), (long long)ag_len(&s));
    const ag_id v = add_value(g, "view", of.type, &s, of.role);
    if (v >= 0) g->v[v].root = of.root;
    return v;
}

static ag_id add_node(ag_graph *g, const ag_op *op, const ag_id *in, ag_attr attr)
{
    if (g->st != RT_OK) return -1;
    ag_infer inf = {.out_type = g->activations};
    ag_node  n   = {.op = op, .attr = attr, .segment = g->segment};
    for (int i = 0; i < op->n_in; i++) {
        RT_ASSERT(in[i] >= 0 && in[i] < g->nv);
        n.in[i]     = in[i];
        inf.in[i]   = &g->v[in[i]].shape;
        inf.type[i] = g->v[in[i]].type;
    }
    g->st = op->infer(&inf, &attr);
    if (g->st == RT_OK) g->st = rt_grow((void **)&g->n, g->nn, &g->cap_n, sizeof *g->n);
    n.out = add_value(g, op->name, inf.out_type, &inf.out, AG_ACT);
    if (g->st != RT_OK) return -1;
    n.saved       = inf.saved;
    n.scratch     = inf.scratch;
    n.shared      = inf.shared;
    g->n[g->nn++] = n;
    return n.out;
}

static ag_attr none(void) { return (ag_attr){0}; }
static ag_attr heads(const ag_heads *h)
{
    return (ag_attr){.f = h->scale > 0 ? h->scale : 1 / sqrt((double)h->D), .g = h->cap, .i = {h->B, h->T, h->H, h->KV, h->D, h->window}};
}

ag_id ag_add(ag_graph *g, ag_id a, ag_id b) { return add_node(g, &ag_op_add, (ag_id[]){a, b}, none()); }
ag_id ag_mul(ag_graph *g, ag_id a, ag_id b) { return add_node(g, &ag_op_mul, (ag_id[]){a, b}, none()); }
ag_id ag_bias(ag_graph *g, ag_id x, ag_id b) { return add_node(g, &ag_op_bias, (ag_id[]){x, b}, none()); }
ag_id ag_sum(ag_graph *g, ag_id x) { return add_node(g, &ag_op_sum, (ag_id[]){x}, none()); }
ag_id ag_embed(ag_graph *g, ag_id ids, ag_id w) { return add_node(g, &ag_op_embed, (ag_id[]){ids, w}, none()); }
ag_id ag_linear(ag_graph *g, ag_id x, ag_id w) { return add_node(g, &ag_op_linear, (ag_id[]){x, w}, none()); }
ag_id ag_linear_add(ag_graph *g, ag_id x, ag_id w, ag_id r) { return add_node(g, &ag_op_linear_add, (ag_id[]){x, w, r}, none()); }
ag_id ag_scale(ag_graph *g, ag_id x, double s) { return add_node(g, &ag_op_scale, (ag_id[]){x}, (ag_attr){.f = s}); }
ag_id ag_swiglu(ag_graph *g, ag_id a, ag_id b) { return add_node(g, &ag_op_swiglu, (ag_id[]){a, b}, none()); }
ag_id ag_geglu(ag_graph *g, ag_id a, ag_id b) { return add_node(g, &ag_op_geglu, (ag_id[]){a, b}, (ag_attr){.i = {1}}); }

ag_id ag_rmsnorm(ag_graph *g, ag_id x, ag_id w, double eps, int plus_one)
{
    return add_node(g, &ag_op_rmsnorm, (ag_id[]){x, w}, (ag_attr){.f = eps, .i = {plus_one}});
}

static int64_t g_head_block = (int64_t)64 << 20;

void ag_head_block(int64_t bytes)
{
    RT_ASSERT(bytes > 0);
    g_head_block = bytes;
}

ag_id ag_head(ag_graph *g, ag_id x, ag_id w, ag_id t, const ag_head_opts *o)
{
    return add_node(g, &ag_op_head, (ag_id[]){x, w, t}, (ag_attr){.f = o->cap, .i = {g_head_block, o->teacher, o->work}});
}

ag_id ag_match_hidden(ag_graph *g, ag_id x, ag_id w, ag_id t) { return add_node(g, &ag_op_match_hidden, (ag_id[]){x, w, t}, none()); }

ag_id ag_rope(ag_graph *g, ag_id x, ag_id pos, ag_id table, int64_t D)
{
    return add_node(g, &ag_op_rope, (ag_id[]){x, pos, table}, (ag_attr){.i = {D}});
}

ag_id ag_attention(ag_graph *g, ag_id q, ag_id k, ag_id v, ag_id doc_start, const ag_heads *h)
{
    return add_node(g, &ag_op_attention, (ag_id[]){q, k, v, doc_start}, heads(h));
}

ag_id ag_attention_cached(ag_graph *g, ag_id q, ag_id k, ag_id v, const ag_cache *c, const ag_heads *h)
{
    return add_node(g, &ag_op_attention_cached, (ag_id[]){q, k, v, c->k, c->v, c->slot, c->pos}, heads(h));
}

void ag_segment_begin(ag_graph *g)
{
    RT_ASSERT(!g->segment);
    g->segment = ++g->n_segments;
}

void ag_segment_end(ag_graph *g)
{
    RT_ASSERT(g->segment);
    g->segment = 0;
}
