/* plan.c -- computes the schedule, the lifetimes of buffers and their arena offsets.
 *
 *   1. schedule: forward nodes in order, then backward nodes in reverse.  The forward steps of a recomputed
 *      segment are inserted before its backward steps, those of a cheap operator before the first backward
 *      step that reads its output.  Late steps end the schedule: the forward steps of nodes that read a loss
 *      which ag_step computes in backward.
 *   2. lifetimes: one walk over the steps; a definition opens an interval, a use extends it.
 *      A recomputed buffer has two intervals, a work space has one per step.
 *   3. offsets: largest buffer first, at the lowest address where it overlaps no placed buffer that is
 *      live at the same time.
 *
 * Views share the buffers of their root, so this file works on roots.  Two values share a buffer if an operator
 * works in place (rope) or passes a gradient through unchanged (the residual branch).
 */
#include "autograd/plan.h"
#include "core/apart.h"
#include <stdlib.h>
#include <string.h>

/* ---- 1. schedule ---------------------------------------------------------- */

static void mark_wanted(ag_plan *p)
{
    const ag_graph *g = p->g;
    if (p->o.forward_only) return;
    for (int64_t v = 0; v < g->nv; v++) p->wants[v] = g->v[v].role == AG_PARAM;
    for (int64_t i = 0; i < g->nn; i++)
        for (int j = 0; j < g->n[i].op->n_in; j++)
            if (wanted(p, &g->n[i], j)) p->wants[g->n[i].out] = 1;
}

/* Returns 1 if the backward of this node computes its output. */
static int in_backward(const ag_plan *p, const ag_node *n) { return n->op->fused && p->wants[n->out]; }

/* Marks the outputs that backward computes, and all that is computed from them.  If a backward step reads one of the latter, none is
 * late: ag_step then runs every forward step. */
static void mark_late(ag_plan *p)
{
    const ag_graph *g    = p->g;
    int             read = 0;
    for (int64_t i = 0; i < g->nn; i++) {
        const ag_node *n     = &g->n[i];
        int            after = 0;
        for (int j = 0; j < n->op->n_in; j++) after |= p->late[root(p, n->in[j])];
        p->late[n->out] = after || in_backward(p, n);
        read |= after && n->op->keeps && p->wants[n->out];
    }
    if (read) memset(p->late, 0, (size_t)g->nv);
}

static void plan_push(ag_plan *p, int64_t node, int phase) { p->s[p->n_steps++] = (ag_entry){.node = node, .phase = phase}; }

/* Appends forward steps for the nodes of segment `seg` whose results its backward steps read. */
static void push_recompute(ag_plan *p, int seg, unsigned char *need)
{
    const ag_graph *g = p->g;
    memset(need, 0, (size_t)g->nv);
    for (int64_t i = g->nn - 1; i >= 0; i--) { /* consumers come before producers */
        const ag_node *n = &g->n[i];
        if (n->segment != seg || !p->wants[n->out]) continue;
        if (n->op->keeps & (AG_KEEP_SAVED | AG_KEEP_OUT)) need[n->out] = 1;
        for (int j = 0; j < n->op->n_in; j++)
            if ((n->op->keeps >> j & 1) || need[n->out]) need[root(p, n->in[j])] = 1;
    }
    for (int64_t i = 0; i < g->nn; i++)
        if (g->n[i].segment == seg && need[g->n[i].out]) plan_push(p, i, AG_FWD);
}

static int in_segment(const ag_plan *p, const ag_node *n) { return p->o.recompute && n->segment; }

/* Appends forward steps for the outputs of cheap operators that the backward of node i reads.  `again` marks the nodes already appended. */
static void push_cheap(ag_plan *p, int64_t i, unsigned char *again)
{
    const ag_graph *g = p->g;
    for (int64_t k = 0; k < i; k++) {
        if (!g->n[k].op->cheap || again[k] || in_segment(p, &g->n[k])) continue;
        for (int j = 0; j < g->n[i].op->n_in && !again[k]; j++)
            if ((g->n[i].op->keeps >> j & 1) && root(p, g->n[i].in[j]) == g->n[k].out) plan_push(p, k, AG_FWD), again[k] = 1;
    }
}

static rt_status make_schedule(ag_plan *p)
{
    const ag_graph *g = p->g;
    unsigned char  *need, *again;
    RT_TRY(RT_NEW(p->s, 4 * g->nn));
    RT_TRY(RT_NEW(need, g->nv + g->nn));
    again = need + g->nv;
    for (int64_t i = 0; i < g->nn; i++) plan_push(p, i, AG_FWD);
    p->n_fwd = p->n_steps;
    for (int64_t i = g->nn - 1, seg = 0; i >= 0; i--) {
        if (!p->wants[g->n[i].out]) continue;
        if (p->o.recompute && g->n[i].segment && g->n[i].segment != seg) push_recompute(p, (int)(seg = g->n[i].segment), need);
        push_cheap(p, i, again);
        plan_push(p, i, AG_BWD);
    }
    p->n_bwd = p->n_steps;
    for (int64_t i = 0; i < g->nn; i++)
        if (p->late[g->n[i].out] && !in_backward(p, &g->n[i])) plan_push(p, i, AG_FWD);
    free(need);
    return RT_OK;
}

/* ---- shared memory ----------------------------------------------------------- */

static int is_arena(const ag_plan *p, ag_id v) { return p->g->v[v].role == AG_ACT; }

/* Returns 1 if a step other than the forward of node i reads v: another node, the backward of i, or its producer's backward. */
static int read_elsewhere(const ag_plan *p, ag_id v, int64_t i)
{
    const ag_graph *g = p->g;
    for (int64_t k = 0; k < g->nn; k++) {
        const ag_node *n = &g->n[k];
        if (root(p, n->out) == v && (n->op->keeps & AG_KEEP_OUT)) return 1;
        for (int j = 0; j < n->op->n_in; j++)
            if (root(p, n->in[j]) == v && (k != i || j || n->op->keeps & 1)) return 1;
    }
    return v == root(p, p->loss);
}

/* Lets an in-place operator overwrite its input if no other step reads that input. */
static void share_data(ag_plan *p)
{
    const ag_graph *g = p->g;
    for (int64_t i = 0; i < g->nn; i++) {
        const ag_id v = root(p, g->n[i].in[0]), out = g->n[i].out;
        if (!g->n[i].op->inplace || !is_arena(p, v) || g->v[v].type != g->v[out].type || read_elsewhere(p, v, i)) continue;
        p->data_of[out] = p->data_of[v];
    }
}

/* Returns 1 if din[j] may use the buffer of dout: dout's lifetime ends in the step that computes din[j]. */
static int shares_grad(const ag_plan *p, const ag_node *n, int j)
{
    const ag_id v = root(p, n->in[j]);
    return (n->op->passes >> j & 1 || (n->op->inplace && j == 0)) && is_arena(p, v) && p->g->v[v].type == p->g->v[n->out].type;
}

/* ---- 2. lifetimes --------------------------------------------------------- */

/* A buffer has at most AG_MAX_IV lifetimes: forward, again and backward, or forward, backward and late.  A late node is not recomputed,
 * because no backward step reads its output (mark_late). */
static void def(ag_buffer *b, int64_t t)
{
    RT_ASSERT(b->n_iv < AG_MAX_IV);
    b->from[b->n_iv] = b->to[b->n_iv] = t;
    b->n_iv++;
}

static void use(ag_buffer *b, int64_t t)
{
    if (b->n_iv) b->to[b->n_iv - 1] = t;
}

static void walk_forward(ag_plan *p, const ag_entry *s, int64_t t)
{
    const ag_node *n = &p->g->n[s->node];
    for (int j = 0; j < n->op->n_in; j++) use(b_data(p, n->in[j]), t);
    if (t >= p->n_bwd) use(b_data(p, n->out), t); /* the forward step wrote it too */
    else if (p->data_of[n->out] == n->out) def(b_data(p, n->out), t);
    def(b_saved(p, s->node), t);
    def(b_work(p, s->node), t);
}

static void walk_backward(ag_plan *p, ag_entry *s, int64_t t, int64_t *writer)
{
    const ag_node *n = &p->g->n[s->node];
    use(b_grad(p, n->out), t);
    def(b_work(p, s->node), t);
    if (n->op->keeps & AG_KEEP_OUT) use(b_data(p, n->out), t);
    if (n->op->keeps & AG_KEEP_SAVED) use(b_saved(p, s->node), t);
    for (int j = 0; j < n->op->n_in; j++) {
        const ag_id v = root(p, n->in[j]);
        if (n->op->keeps >> j & 1) use(b_data(p, v), t);
        if (!wanted(p, n, j)) continue;
        if (writer[v] >= 0) {
            s->acc |= 1u << j;
            use(b_grad(p, v), t);
        } else if (shares_grad(p, n, j)) {
            p->grad_of[v] = p->grad_of[root(p, n->out)];
            use(b_grad(p, v), t);
        } else {
            def(b_grad(p, v), t);
            s->param_first |= (unsigned)(p->g->v[v].role == AG_PARAM) << j;
        }
        writer[v] = t;
    }
}

static rt_status find_lifetimes(ag_plan *p)
{
    int64_t *writer;
    RT_TRY(RT_NEW(writer, p->g->nv));
    for (int64_t v = 0; v < p->g->nv; v++) writer[v] = -1;
    if (!p->o.forward_only) def(b_grad(p, p->loss), p->n_fwd);
    for (int64_t t = 0; t < p->n_steps; t++)
        if (p->s[t].phase == AG_FWD) walk_forward(p, &p->s[t], t);
        else walk_backward(p, &p->s[t], t, writer);
    use(b_data(p, p->loss), p->n_steps); /* the caller may read the loss after the replay */
    free(writer);
    return RT_OK;
}

/* ---- 3. offsets ----------------------------------------------------------- */

static void size_buffers(ag_plan *p)
{
    const ag_graph *g = p->g;
    for (ag_id v = 0; v < g->nv; v++) {
        if (g->v[v].role != AG_ACT || g->v[v].root != v) continue; /* leaves are bound by the caller; views have no memory of their own */
        b_data(p, v)->bytes = ag_round_up(ag_len(&g->v[v].shape) * (int64_t)kn_size(g->v[v].type));
        b_grad(p, v)->bytes = b_data(p, v)->bytes;
    }
    for (int64_t i = 0; i < g->nn; i++) {
        const int64_t lane   = ag_round_up(g->n[i].scratch * (int64_t)sizeof(real)) * rt_threads();
        b_saved(p, i)->bytes = ag_round_up(g->n[i].saved * (int64_t)sizeof(real));
        b_work(p, i)->bytes  = ag_round_up(g->n[i].shared * (int64_t)sizeof(real)) + lane;
    }
}

static int live_together(const ag_buffer *a, const ag_buffer *b)
{
    for (int i = 0; i < a->n_iv; i++)
        for (int j = 0; j < b->n_iv; j++)
            if (a->from[i] <= b->to[j] && b->from[j] <= a->to[i]) return 1;
    return 0;
}

static int by_size_desc(const void *x, const void *y)
{
    const ag_buffer *a = *(ag_buffer *const *)x, *b = *(ag_buffer *const *)y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return (a->from[0] > b->from[0]) - (a->from[0] < b->from[0]);
}

/* Returns the lowest offset at which `b` overlaps no placed buffer that is live at the same time. */
static int64_t lowest_fit(const ag_buffer *b, ag_buffer *const *placed, int64_t n)
{
    int64_t at = 0;
    for (int moved = 1; moved;) {
        moved = 0;
        for (int64_t i = 0; i < n; i++) {
            const ag_buffer *q = placed[i];
            if (at < q->offset + q->bytes && q->offset < at + b->bytes && live_together(b, q)) {
                at    = q->offset + q->bytes;
                moved = 1;
            }
        }
    }
    return at;
}

static rt_status plan_place(ag_plan *p)
{
    ag_buffer **order;
    int64_t     n = 0;
    RT_TRY(RT_NEW(order, p->n_b));
    for (int64_t i = 0; i < p->n_b; i++)
        if (p->b[i].bytes && p->b[i].n_iv) order[n++] = &p->b[i];
    qsort(order, (size_t)n, sizeof *order, by_size_desc);
    for (int64_t i = 0; i < n; i++) {
        ag_buffer *b = order[i];
        b->offset    = lowest_fit(b, order, i);
        p->sum_bytes += (size_t)b->bytes;
        if ((size_t)(b->offset + b->bytes) > p->arena_bytes) p->arena_bytes = (size_t)(b->offset + b->bytes);
    }
    free(order);
    if (p->o.outline) return RT_OK;
    RT_TRY(rt_alloc((void **)&p->arena, (int64_t)p->arena_bytes, 1, "the plan's arena"));
    rt_apart_exclude(p->arena, p->arena_bytes);
    if (p->o.poison) memset(p->arena, 0xff, p->arena_bytes); /* NaN, so that a read before the first write shows */
    return RT_OK;
}

/* ---- create / destroy ----------------------------------------------------- */

static rt_status plan_make(ag_plan *p)
{
    RT_TRY(RT_NEW(p->b, p->n_b));
    RT_TRY(RT_NEW(p->wants, p->g->nv));
    RT_TRY(RT_NEW(p->late, p->g->nv));
    RT_TRY(RT_NEW(p->data, p->g->nv));
    RT_TRY(RT_NEW(p->grad, p->g->nv));
    RT_TRY(RT_NEW(p->data_of, p->g->nv));
    RT_TRY(RT_NEW(p->grad_of, p->g->nv));
    for (ag_id v = 0; v < p->g->nv; v++) p->data_of[v] = p->grad_of[v] = v;
    share_data(p);
    mark_wanted(p);
    mark_late(p);
    RT_TRY(make_schedule(p));
    RT_TRY(find_lifetimes(p));
    size_buffers(p);
    return plan_place(p);
}

rt_status ag_plan_create(ag_plan **out, const ag_graph *g, ag_id loss, const ag_plan_opts *o)
{
    if (g->st != RT_OK) return rt_trace(g->st, __FILE__, __LINE__);
    RT_CHECK(loss >= 0 && loss < g->nv && (o->forward_only || (ag_len(&g->v[loss].shape) == 1 && g->v[loss].type == KN_REAL)), RT_EINVAL,
             "the loss must be a real scalar of this graph");
    ag_plan *p;
    RT_TRY(RT_NEW(p, 1));
    *p                 = (ag_plan){.g = g, .o = *o, .loss = loss, .n_b = 2 * (g->nv + g->nn)};
    const rt_status st = plan_make(p);
    if (st != RT_OK) ag_plan_destroy(&p);
    else *out = p;
    return st;
}

void ag_plan_destroy(ag_plan **pp)
{
    ag_plan *p = *pp;
    if (!p) return;
    free(p->s), free(p->b), free(p->wants), free(p->late), free(p->data_of), free(p->grad_of), free(p->data), free(p->grad), free(p->arena);
    free(p);
    *pp = NULL;
}
