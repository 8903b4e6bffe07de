/* memory.c -- estimating the memory of a run before it is allocated.  `retort plan` prints the estimate; a run that does not
 * fit ends with an error that lists the memory needed and a setting that makes the run fit. */
#include "model/graph.h"
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>

enum { FIXED = 40 << 20 }; /* program, libraries, the threads' stacks, HDF5's buffers: measured 25 to 35 MB */

double tr_flops(const md_config *c, double tokens, double rows, int64_t T)
{
    return tokens * 6 * (double)c->L * (double)(md_config_layer_macs(c) + c->H * c->D * T) + rows * 6 * (double)(c->V * c->C);
}

static rt_status outline(const md_model *m, const md_graph_opts *g, ag_plan_info *info, rt_buf *text)
{
    const ag_plan_opts p = {.forward_only = g->use != MD_TRAIN, .recompute = g->recompute, .outline = 1};
    md_graph           graph;
    ag_plan           *plan = NULL;
    RT_TRY(md_graph_create(&graph, m, g));
    rt_status st = ag_plan_create(&plan, graph.g, graph.value, &p);
    if (st == RT_OK) *info = ag_plan_stats(plan);
    if (st == RT_OK && text) st = ag_plan_print(plan, text);
    ag_plan_destroy(&plan);
    md_graph_destroy(&graph);
    return st;
}

/* Creates a meta model of this shape, without weights, whose tensors have the given type. */
static rt_status shell(md_model **out, const md_config *shape, kn_type type)
{
    RT_TRY(md_meta(out, shape));
    for (int i = 0; i < (*out)->n; i++) (*out)->t[i].type = type;
    return RT_OK;
}

/* Estimates the student's plans; the head's block includes the teacher's logits. */
static rt_status outline_student(tr_memory *o, const tr_config *c, const md_config *shape, const di_objective *need, int64_t C,
                                 rt_buf *graph)
{
    md_graph_opts g     = {.use = MD_TRAIN, .B = o->micro, .T = c->seq, .activations = c->dtype, .recompute = c->recompute};
    md_model     *model = NULL;
    ag_plan_info  valid = {0};
    g.head              = (ag_head_opts){.teacher = need->logits ? C : 0, .work = need->work};
    g.match             = need->t.match ? C : 0;
    RT_TRY(shell(&model, shape, c->dtype));
    rt_status st = outline(model, &g, &o->plan, graph);
    g.use = MD_LOSS, g.match = 0, g.recompute = 0;
    if (st == RT_OK && c->valid.n) st = outline(model, &g, &valid, NULL);
    o->bytes[TR_VALIDATION] = (int64_t)valid.arena_bytes;
    md_destroy(&model);
    return st;
}

/* Estimates a teacher in process: its weights, and an arena for each pass that uses it. */
static rt_status outline_teacher(tr_memory *o, const tr_config *c, const md_config *teacher)
{
    const md_graph_opts g     = {.use = MD_SCORE, .B = o->micro, .T = c->seq, .activations = c->dtype};
    md_model           *model = NULL;
    ag_plan_info        plan  = {0};
    RT_TRY(shell(&model, teacher, c->dtype));
    const rt_status st = outline(model, &g, &plan, NULL);
    md_destroy(&model);
    o->bytes[TR_TEACHER] = md_config_parameters(teacher) * (int64_t)kn_size(c->dtype) + (int64_t)plan.arena_bytes * (c->valid.n ? 2 : 1);
    return st;
}

static int64_t share_of(const tr_config *c, int ranks) { return (c->sequences + ranks - 1) / ranks; }

int64_t tr_micro(const tr_config *c, int ranks)
{
    const int64_t share = share_of(c, ranks);
    return c->micro && c->micro < share ? c->micro : share;
}

/* Returns the bytes per position in the buffers of the loader and the pass. */
static int64_t batch_bytes(const di_objective *need, const ds_info *info)
{
    const int64_t entries = need->stored || need->fresh ? 12 + 8 * need->t.k + 4 * need->t.m : 0;
    return 2 * (21 + entries) + (need->codec_bytes ? (int64_t)(sizeof(float) + sizeof(real)) * (info->rank + 1) : 0);
}

rt_status tr_estimate(tr_memory *out, const tr_config *c, const md_config *shape, int ranks, const ds_info *info, rt_buf *graph)
{
    const int64_t B = tr_micro(c, ranks), N = B * c->seq, n = md_config_parameters(shape);
    const int64_t passes  = c->valid.n ? 2 : 1; /* each has its own loader */
    const double  tokens  = (double)(share_of(c, ranks) * c->seq);
    tr_memory     o       = {.parameters = n, .micro = B, .flops = tr_flops(shape, tokens, tokens, c->seq)};
    md_config     teacher = {0};
    di_objective  need;
    RT_TRY(di_objective_resolve(&need, &c->objective, info, c->train.v[0]));
    if (need.teacher) {
        RT_TRY(md_config_read(&teacher, need.teacher));
        RT_TRY(outline_teacher(&o, c, &teacher));
        o.flops += tr_flops(&teacher, tokens, tokens, c->seq) / 3; /* the forward pass */
    }
    const int64_t C       = need.teacher ? teacher.C : need.codec_bytes ? info->rank + 1 : 0;
    const int64_t trained = n + (need.t.match ? C * shape->C : 0);
    RT_TRY(outline_student(&o, c, shape, &need, C, graph));
    if (need.codec_bytes) o.bytes[TR_TEACHER] = passes * info->vocab * C * 2; /* the decoder in bf16 */
    o.bytes[TR_WEIGHTS]     = n * (int64_t)kn_size(c->dtype);
    o.bytes[TR_GRADIENTS]   = trained * (int64_t)sizeof(real);
    o.bytes[TR_MOMENTS]     = opt_bytes(c->dtype, trained);
    o.bytes[TR_HEAD_BLOCK]  = (int64_t)o.plan.head_bytes;
    o.bytes[TR_ACTIVATIONS] = (int64_t)o.plan.arena_bytes - o.bytes[TR_HEAD_BLOCK];
    o.bytes[TR_BATCHES]     = passes * N * batch_bytes(&need, info) + shape->context * shape->D * (int64_t)sizeof(real);
    o.bytes[TR_PROGRAM]     = kn_work_bytes() + FIXED;
    for (int i = 0; i < TR_MEMORY_CATEGORIES; i++) o.total += o.bytes[i];
    *out = o;
    return RT_OK;
}

const char *tr_memory_category_name(int i)
{
    static const char *const names[] = {"weights", "gradients",  "AdamW's state", "activations", "head's block of logits",
                                        "teacher", "validation", "batches",       "program"};
    return names[i];
}

/* ---- checking the fit -------------------------------------------------------------------------------------- */

typedef struct suggestion {
    const char *words;
    int64_t     micro;
    int         recompute;
} suggestion;

/* Returns the first setting with which the run fits, in order of increasing cost in time; NULL: none.  *gb: its memory in GB. */
static const char *find_suggestion(const tr_config *c, const md_config *shape, const rt_comm *comm, const ds_info *info, int64_t have,
                                   double *gb)
{
    const suggestion suggestions[] = {
        {"batch.micro=1", 1, c->recompute}, {"recompute=true", c->micro, 1}, {"batch.micro=1 recompute=true", 1, 1}};
    tr_memory m;
    for (size_t i = 0; i < sizeof suggestions / sizeof *suggestions; i++) {
        tr_config changed = *c;
        changed.micro     = suggestions[i].micro;
        changed.recompute = suggestions[i].recompute;
        if (tr_estimate(&m, &changed, shape, comm->size, info, NULL) != RT_OK || m.total > have) continue;
        *gb = (double)m.total * 1e-9;
        return suggestions[i].words;
    }
    return NULL;
}

rt_status tr_check_fit(const tr_config *c, const md_config *shape, const rt_comm *comm, const ds_info *info)
{
    const int64_t have = rt_memory_available() / (comm->local > 0 ? comm->local : 1);
    double        gb   = 0;
    tr_memory     need;
    RT_TRY(tr_estimate(&need, c, shape, comm->size, info, NULL));
    if (need.total <= have) return RT_OK;
    const int64_t model = need.bytes[TR_WEIGHTS] + need.bytes[TR_GRADIENTS] + need.bytes[TR_MOMENTS];
    const char   *words = find_suggestion(c, shape, comm, info, have, &gb);
    RT_CHECK(
        !words, RT_ENOMEM,
        "the run does not fit: it needs %.2f GB per rank (%.2f weights, gradients and AdamW's state, %.2f activations, %.2f the head's "
        "block), but "
        "%.2f GB are available; with --set %s it needs %.2f GB (retort plan shows the details)",
        (double)need.total * 1e-9, (double)model * 1e-9, (double)need.bytes[TR_ACTIVATIONS] * 1e-9,
        (double)need.bytes[TR_HEAD_BLOCK] * 1e-9, (double)have * 1e-9, words, gb);
    RT_FAIL(
        RT_ENOMEM,
        "the run does not fit: it needs %.2f GB per rank (%.2f weights, gradients and AdamW's state, %.2f activations, %.2f the teacher), "
        "but %.2f GB are "
        "available, and it does not fit with smaller micro-batches and recompute either; make the model smaller (it has %.0f million "
        "parameters)%s",
        (double)need.total * 1e-9, (double)model * 1e-9, (double)need.bytes[TR_ACTIVATIONS] * 1e-9, (double)need.bytes[TR_TEACHER] * 1e-9,
        (double)have * 1e-9, (double)need.parameters * 1e-6,
        c->objective.teacher ? ", or train without teacher.model on encoded hidden states, which retort score --model DIR stores" : "");
}
