/* memory.c -- what a run will need, before any of it is taken: `retort plan` shows it, and a run that cannot fit ends
 * with what it needs, for what, and which setting would make it fit. */
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>

enum { FIXED = 40 << 20 }; /* program, libraries, OpenMP's stacks, HDF5's buffers: measured 25 to 35 MB */

double tr_flops(const md_config *c, double tokens, int64_t T)
{
    const double block = (double)(c->C * c->D * (2 * c->H + 2 * c->KV) + 3 * c->C * c->F);
    return tokens * (6 * ((double)c->L * block + (double)(c->V * c->C)) + 6 * (double)(c->L * c->H * c->D) * (double)T);
}

static rt_status outline(const md_model *m, md_use use, int64_t B, int64_t T, kn_type type, int recompute, ag_plan_info *info, rt_buf *text)
{
    const md_graph_opts g = {.use = use, .B = B, .T = T, .activations = type, .recompute = recompute};
    const ag_plan_opts  p = {.forward_only = use != MD_TRAIN, .recompute = recompute, .outline = 1};
    md_graph            graph;
    ag_plan            *plan = NULL;
    RT_TRY(md_graph_create(&graph, m, &g));
    rt_status st = ag_plan_create(&plan, graph.g, graph.value, &p);
    if (st == RT_OK) *info = ag_plan_stats(plan);
    if (st == RT_OK && text) st = ag_plan_print(plan, text);
    ag_plan_destroy(&plan);
    md_graph_destroy(&graph);
    return st;
}

static int64_t share_of(const tr_config *c, int ranks) { return (c->sequences + ranks - 1) / ranks; }

int64_t tr_micro(const tr_config *c, int ranks)
{
    const int64_t share = share_of(c, ranks);
    return c->micro && c->micro < share ? c->micro : share;
}

rt_status tr_estimate(tr_memory *out, const tr_config *c, const md_config *shape, int ranks, int64_t k, int64_t m, rt_buf *graph)
{
    const kn_type type = !strcmp(c->dtype, "bf16") ? KN_BF16 : KN_REAL;
    const int64_t B = tr_micro(c, ranks), N = B * c->seq, n = md_config_parameters(shape);
    tr_memory     o     = {.parameters = n, .micro = B};
    md_model     *model = NULL;
    RT_TRY(md_skeleton(&model, shape));
    for (int i = 0; i < model->n; i++) model->t[i].type = type;
    ag_plan_info valid = {0};
    rt_status    st    = outline(model, MD_TRAIN, B, c->seq, type, c->recompute, &o.plan, graph);
    if (st == RT_OK && c->valid.n) st = outline(model, MD_LOSS, B, c->seq, type, 0, &valid, NULL);
    md_destroy(&model);
    RT_TRY(st);
    o.bytes[TR_WEIGHTS]     = n * (int64_t)kn_size(type);
    o.bytes[TR_GRADIENTS]   = n * (int64_t)sizeof(real);
    o.bytes[TR_MOMENTS]     = n * (int64_t)sizeof(real) * (type == KN_REAL ? 2 : 3);
    o.bytes[TR_HEAD_BLOCK]  = (int64_t)o.plan.head_bytes;
    o.bytes[TR_ACTIVATIONS] = (int64_t)o.plan.arena_bytes - o.bytes[TR_HEAD_BLOCK];
    o.bytes[TR_VALIDATION]  = (int64_t)valid.arena_bytes;
    o.bytes[TR_BATCHES]     = 2 * N * (21 + 8 * k + 4 * m) + shape->context * shape->D * (int64_t)sizeof(real);
    o.bytes[TR_PROGRAM]     = kn_work_bytes() + FIXED;
    for (int i = 0; i < TR_PURPOSES; i++) o.total += o.bytes[i];
    o.flops = tr_flops(shape, (double)(share_of(c, ranks) * c->seq), c->seq);
    *out    = o;
    return RT_OK;
}

const char *tr_purpose(int i)
{
    static const char *const names[] = {"weights",    "gradients", "AdamW's state", "activations", "head's block of logits",
                                        "validation", "batches",   "program"};
    return names[i];
}

/* ---- does it fit? ------------------------------------------------------------------------------------------ */

typedef struct remedy {
    const char *words;
    int64_t     micro;
    int         recompute;
} remedy;

/* The first setting, from the cheapest in time on, with which it fits; NULL: none. */
static const char *find_remedy(const tr_config *c, const md_config *shape, const rt_comm *comm, int64_t have, double *gb)
{
    const remedy remedies[] = {{"batch.micro=1", 1, c->recompute}, {"recompute=true", c->micro, 1}, {"batch.micro=1 recompute=true", 1, 1}};
    tr_memory    m;
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++) {
        tr_config changed = *c;
        changed.micro     = remedies[i].micro;
        changed.recompute = remedies[i].recompute;
        if (tr_estimate(&m, &changed, shape, comm->size, 0, 0, NULL) != RT_OK || m.total > have) continue;
        *gb = (double)m.total * 1e-9;
        return remedies[i].words;
    }
    return NULL;
}

rt_status tr_check_fit(const tr_config *c, const md_config *shape, const rt_comm *comm, int64_t k, int64_t m)
{
    const int64_t have = rt_memory_available() / (comm->local > 0 ? comm->local : 1);
    double        gb   = 0;
    tr_memory     need;
    RT_TRY(tr_estimate(&need, c, shape, comm->size, k, m, NULL));
    if (need.total <= have) return RT_OK;
    const int64_t model = need.bytes[TR_WEIGHTS] + need.bytes[TR_GRADIENTS] + need.bytes[TR_MOMENTS];
    const char   *words = find_remedy(c, shape, comm, have, &gb);
    RT_CHECK(
        !words, RT_ENOMEM,
        "training needs %.2f GB a rank (%.2f weights, gradients and AdamW's state, %.2f activations, %.2f the head's block), %.2f GB are "
        "available; with --set %s it needs %.2f GB (retort plan shows all of it)",
        (double)need.total * 1e-9, (double)model * 1e-9, (double)need.bytes[TR_ACTIVATIONS] * 1e-9,
        (double)need.bytes[TR_HEAD_BLOCK] * 1e-9, (double)have * 1e-9, words, gb);
    RT_FAIL(
        RT_ENOMEM,
        "training needs %.2f GB a rank (%.2f weights, gradients and AdamW's state, %.2f activations), %.2f GB are available, and smaller "
        "micro-batches with recompute do not make it fit; make the model smaller (it has %.0f million parameters)",
        (double)need.total * 1e-9, (double)model * 1e-9, (double)need.bytes[TR_ACTIVATIONS] * 1e-9, (double)have * 1e-9,
        (double)need.parameters * 1e-6);
}
