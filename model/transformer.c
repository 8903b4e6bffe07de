/* transformer.c -- the transformer as calls to ag_*; the same code builds the graphs for training,
 * validation, scoring and decoding. */
#include "model/arch.h"
#include "model/graph.h"
#include <math.h>
#include <stdlib.h>

typedef struct builder {
    md_graph            *o;
    ag_graph            *g;
    const md_model      *m;
    const md_graph_opts *opts;
    int64_t              N;
    int64_t              layer; /* layer of the weights; 0 for tensors that occur once per model */
    ag_id                part;  /* the value that opts->part asks for; -1: not met yet, or none */
    ag_heads             heads;
} builder;

static ag_id transformer_weight(const builder *b, md_role r) { return b->o->weight[md_place(b->m, r, b->layer)]; }

static ag_id norm(const builder *b, ag_id x, md_role w)
{
    return ag_rmsnorm(b->g, x, transformer_weight(b, w), b->m->config.norm_eps, md_has(&b->m->config, MD_GEMMA));
}

/* Returns x, or x times a factor that is not neutral. */
static ag_id times(const builder *b, ag_id x, double s) { return s > 0 && s != 1 ? ag_scale(b->g, x, s) : x; }

/* RMSNorm of each head: x[N, heads D] is viewed as [N heads, D]. */
static ag_id head_norm(const builder *b, ag_id x, md_role w, int64_t heads)
{
    const int64_t D = b->m->config.D;
    return ag_view(b->g, norm(b, ag_view(b->g, x, 2, (int64_t[]){b->N * heads, D}), w), 2, (int64_t[]){b->N, heads * D});
}

/* Returns x times the matrix w, plus a bias if the model has that part. */
static ag_id project(const builder *b, ag_id x, md_role w, unsigned part, md_role bias)
{
    const ag_id y = ag_linear(b->g, x, transformer_weight(b, w));
    return md_has(&b->m->config, part) ? ag_bias(b->g, y, transformer_weight(b, bias)) : y;
}

/* Returns r + y W, the end of a branch: with a bias, a norm after it or a factor if the model has them. */
static ag_id join(const builder *b, ag_id y, ag_id r, md_role w, unsigned part, md_role bias, md_role after)
{
    const md_config *c     = &b->m->config;
    const int        plain = !md_has(c, MD_POST_NORM | MD_FOUR_NORMS) && !(c->residual_scale > 0 && c->residual_scale != 1);
    if (plain && !md_has(c, part)) return ag_linear_add(b->g, y, transformer_weight(b, w), r);
    y = project(b, y, w, part, bias);
    if (md_has(c, MD_POST_NORM | MD_FOUR_NORMS)) y = norm(b, y, after);
    return ag_add(b->g, r, times(b, y, c->residual_scale));
}

static ag_id rotate(const builder *b, ag_id x)
{
    const md_config *c     = &b->m->config;
    const int        local = md_has(c, MD_LOCAL_ROPE) && c->layer[b->layer] & MD_LAYER_WINDOW;
    if (c->layer[b->layer] & MD_LAYER_NO_ROPE) return x;
    return ag_rope(b->g, x, b->o->pos, local ? b->o->rope_local : b->o->rope, c->D);
}

/* Normalises q or k, if the model does. */
static ag_id norm_heads(const builder *b, ag_id x, md_role each, md_role wide, int64_t heads)
{
    if (md_has(&b->m->config, MD_QK_NORM)) return head_norm(b, x, each, heads);
    return md_has(&b->m->config, MD_WIDE_QK_NORM) ? norm(b, x, wide) : x;
}

/* Notes a value that opts->part may ask for. */
static void transformer_note(builder *b, md_part part, ag_id x)
{
    if (b->opts->part == part && b->opts->layer == b->layer) b->part = x;
}

/* Returns r + attention(x). */
static ag_id attention(builder *b, ag_id x, ag_id r)
{
    transformer_note(b, MD_PART_IN, x);
    const md_config *c     = &b->m->config;
    ag_graph        *g     = b->g;
    ag_heads         heads = b->heads;
    const ag_id      q     = rotate(b, norm_heads(b, project(b, x, MD_Q, MD_QKV_BIAS, MD_Q_BIAS), MD_Q_NORM, MD_WIDE_Q_NORM, c->H));
    const ag_id      k     = rotate(b, norm_heads(b, project(b, x, MD_K, MD_QKV_BIAS, MD_K_BIAS), MD_K_NORM, MD_WIDE_K_NORM, c->KV));
    const ag_id      v     = project(b, x, MD_V, MD_QKV_BIAS, MD_V_BIAS);
    const ag_cache   cache = {b->o->cache_k[b->layer], b->o->cache_v[b->layer], b->o->slot, b->o->pos};
    heads.window           = c->layer[b->layer] & MD_LAYER_WINDOW ? c->window : 0;
    const ag_id y =
        b->opts->use == MD_DECODE ? ag_attention_cached(g, q, k, v, &cache, &heads) : ag_attention(g, q, k, v, b->o->doc_start, &heads);
    transformer_note(b, MD_PART_HEADS, y);
    return join(b, y, r, MD_O, MD_O_BIAS, MD_O_BIAS_VECTOR, MD_AFTER_ATTENTION);
}

/* Returns r + mlp(x). */
static ag_id mlp(builder *b, ag_id x, ag_id r)
{
    const ag_id gate = project(b, x, MD_GATE, MD_MLP_BIAS, MD_GATE_BIAS), up = project(b, x, MD_UP, MD_MLP_BIAS, MD_UP_BIAS);
    const ag_id y = md_has(&b->m->config, MD_GEMMA) ? ag_geglu(b->g, gate, up) : ag_swiglu(b->g, gate, up);
    transformer_note(b, MD_PART_UNITS, y);
    return join(b, y, r, MD_DOWN, MD_MLP_BIAS, MD_DOWN_BIAS, MD_AFTER_MLP);
}

static ag_id transformer_block(builder *b, ag_id x)
{
    const md_config *c = &b->m->config;
    if (b->opts->recompute) ag_segment_begin(b->g);
    x = attention(b, md_has(c, MD_POST_NORM) ? x : norm(b, x, MD_ATTENTION_NORM), x);
    x = mlp(b, md_has(c, MD_POST_NORM) ? x : norm(b, x, md_has(c, MD_PRE_NORM) ? MD_MLP_NORM : MD_BEFORE_MLP), x);
    if (b->opts->recompute) ag_segment_end(b->g);
    return x;
}

static void add_leaves(builder *b)
{
    md_graph        *o      = b->o;
    const md_config *c      = &b->m->config;
    const int        decode = b->opts->use == MD_DECODE, loss = b->opts->use == MD_TRAIN || b->opts->use == MD_LOSS;
    const int64_t    N[] = {b->N}, cache[] = {b->opts->slots * b->opts->slot_rows, c->KV * c->D};
    o->ids       = ag_input(b->g, "ids", KN_I32, 1, N);
    o->pos       = ag_input(b->g, "pos", KN_I32, 1, N);
    o->doc_start = decode ? -1 : ag_input(b->g, "doc_start", KN_I32, 1, N);
    o->slot      = decode ? ag_input(b->g, "slot", KN_I32, 1, N) : -1;
    o->targets   = loss ? ag_opaque(b->g, "targets") : -1;
    int64_t table[3];
    md_rope_shape(table, c, &c->rope);
    o->rope = ag_input(b->g, "rope", KN_REAL, 3, table);
    md_rope_shape(table, c, &c->rope_local);
    o->rope_local = md_has(c, MD_LOCAL_ROPE) ? ag_input(b->g, "rope_local", KN_REAL, 3, table) : -1;
    if (b->opts->match) o->projection = ag_param(b->g, "projection", KN_REAL, 2, (int64_t[]){b->opts->match, c->C});
    for (int64_t l = 0; decode && l < c->L; l++) {
        o->cache_k[l] = ag_input(b->g, "cache.k", b->opts->activations, 2, cache);
        o->cache_v[l] = ag_input(b->g, "cache.v", b->opts->activations, 2, cache);
    }
    for (int i = 0; i < b->m->n; i++) {
        const md_tensor *t                                                     = &b->m->t[i];
        const int64_t    shape[]                                               = {t->rows, t->cols};
        ag_id (*leaf)(ag_graph *, const char *, kn_type, int, const int64_t *) = b->opts->use == MD_TRAIN ? ag_param : ag_input;
        o->weight[i] = leaf(b->g, t->name, t->type, t->is_vector ? 1 : 2, shape + t->is_vector);
    }
}

/* Returns the loss of the last hidden states.  match_hidden stands before the head, so that backward begins with the head, which sets
 * their gradient; match_hidden adds to it. */
static ag_id loss(const builder *b, ag_id x)
{
    const md_graph *o    = b->o;
    ag_head_opts    opts = b->opts->head;
    opts.cap             = b->m->config.logit_cap;
    const ag_id matched  = o->projection < 0 ? -1 : ag_match_hidden(b->g, x, o->projection, o->targets);
    const ag_id head     = ag_head(b->g, x, transformer_weight(b, b->m->config.tied ? MD_EMBEDDING : MD_HEAD), o->targets, &opts);
    return matched < 0 ? head : ag_add(b->g, head, matched);
}

static void build(builder *b)
{
    add_leaves(b);
    const md_config *c = &b->m->config;
    ag_id            x = ag_embed(b->g, b->o->ids, transformer_weight(b, MD_EMBEDDING));
    x                  = times(b, x, md_has(c, MD_GEMMA) ? sqrt((double)c->C) : c->embedding_scale);
    for (; b->layer < c->L && b->part < 0; b->layer++) x = transformer_block(b, x);
    b->layer    = 0;
    b->o->value = b->part;
    if (b->part >= 0) return;
    x           = times(b, norm(b, x, MD_FINAL_NORM), c->logit_scale); /* scaled hidden states give scaled logits */
    b->o->value = b->o->targets < 0 ? x : loss(b, x);
}

rt_status md_graph_create(md_graph *out, const md_model *m, const md_graph_opts *opts)
{
    const md_config *c  = &m->config;
    md_graph         o  = {.projection = -1};
    rt_status        st = ag_graph_create(&o.g, opts->activations);
    if (st == RT_OK) st = RT_NEW(o.weight, m->n);
    if (st == RT_OK) st = RT_NEW(o.cache_k, c->L);
    if (st == RT_OK) st = RT_NEW(o.cache_v, c->L);
    if (st != RT_OK) {
        md_graph_destroy(&o);
        return st;
    }
    const int decode = opts->use == MD_DECODE;
    builder   b      = {.o = &o, .g = o.g, .m = m, .opts = opts, .N = opts->B * opts->T, .part = -1};
    b.heads          = (ag_heads){.B     = decode ? opts->slots : opts->B,
                                  .T     = decode ? opts->slot_rows : opts->T,
                                  .H     = c->H,
                                  .KV    = c->KV,
                                  .D     = c->D,
                                  .scale = c->attention_scale,
                                  .cap   = c->attention_cap};
    build(&b);
    *out = o;
    return RT_OK;
}

void md_bind(ag_plan *p, const md_graph *g, const md_leaves *l)
{
    ag_plan_bind(p, g->ids, l->ids, NULL);
    ag_plan_bind(p, g->pos, l->pos, NULL);
    if (l->doc_start) ag_plan_bind(p, g->doc_start, l->doc_start, NULL);
    if (l->slot) ag_plan_bind(p, g->slot, l->slot, NULL);
    md_bind_rope(p, g, &l->m->config, l->rope, l->tokens);
    for (int i = 0; i < l->m->n; i++) ag_plan_bind(p, g->weight[i], l->m->t[i].data, l->grads ? l->grads + l->grad_at[i] : NULL);
}

void md_graph_destroy(md_graph *g)
{
    ag_graph_destroy(&g->g);
    free(g->weight), free(g->cache_k), free(g->cache_v);
    *g = (md_graph){0};
}
