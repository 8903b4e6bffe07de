/* show.c -- a plan's statistics and its printed form. */
#include "autograd/plan.h"
#include <stdio.h>
#include <string.h>

/* Returns 1 if the buffer is live between the last forward and the first backward step. */
static int waits(const ag_plan *p, const ag_buffer *b)
{
    for (int i = 0; i < b->n_iv; i++)
        if (b->from[i] < p->n_fwd && b->to[i] >= p->n_fwd) return 1;
    return 0;
}

ag_plan_info ag_plan_stats(const ag_plan *p)
{
    ag_plan_info i = {.arena_bytes = p->arena_bytes, .sum_bytes = p->sum_bytes, .n_steps = (int)p->n_steps};
    for (int64_t k = 0; k < p->n_b; k++) {
        if (!p->b[k].bytes || !p->b[k].n_iv) continue;
        i.n_buffers++;
        if (waits(p, &p->b[k])) i.kept_bytes += (size_t)p->b[k].bytes;
    }
    for (int64_t n = 0; n < p->g->nn; n++)
        if (p->g->n[n].op->work == AG_LOSS) i.head_bytes += (size_t)b_work(p, n)->bytes;
    return i;
}

static rt_status print_shape(rt_buf *out, const ag_shape *s)
{
    char text[64] = "";
    int  n        = 0;
    for (int i = 0; i < s->nd; i++) n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld", i ? "," : "", (long long)s->d[i]);
    return rt_buf_fmt(out, " %-18s", text);
}

/* Returns the buffer that a step writes: forward, its output; backward, the gradient of its first input that is an activation, or NULL. */
static const ag_buffer *written(const ag_plan *p, const ag_entry *s, const ag_shape **shape)
{
    const ag_node *n = &p->g->n[s->node];
    *shape           = &p->g->v[n->out].shape;
    if (s->phase == AG_FWD) return b_data(p, n->out);
    for (int j = 0; j < n->op->n_in; j++)
        if (wanted(p, n, j) && p->g->v[root(p, n->in[j])].role == AG_ACT) return *shape = &p->g->v[n->in[j]].shape, b_grad(p, n->in[j]);
    return NULL;
}

static rt_status print_step(const ag_plan *p, int64_t t, rt_buf *out)
{
    const ag_entry  *s = &p->s[t];
    const ag_shape  *shape;
    const ag_buffer *b    = written(p, s, &shape);
    const char      *name = "";
    const ag_node   *n    = &p->g->n[s->node];
    int64_t          from = -1, to = -1;
    for (int j = n->op->n_in - 1; j >= 0; j--)
        if (p->g->v[n->in[j]].role == AG_PARAM) name = p->g->v[n->in[j]].name;
    for (int i = 0; b && i < b->n_iv; i++)
        if (b->from[i] <= t && t <= b->to[i]) from = b->from[i], to = b->to[i];
    RT_TRY(rt_buf_fmt(out, "%5lld %-8s %-10s", (long long)t,
                      s->phase == AG_BWD ? "backward"
                      : t < p->n_fwd     ? "forward"
                      : t < p->n_bwd     ? "again"
                                         : "late",
                      n->op->name));
    RT_TRY(print_shape(out, shape));
    if (b && b->bytes)
        RT_TRY(rt_buf_fmt(out, " %9.1f kB at %9.1f  lives %lld-%lld", (double)b->bytes / 1e3, (double)b->offset / 1e3, (long long)from,
                          (long long)to));
    return rt_buf_fmt(out, "%s%s\n", *name ? "  " : "", name);
}

/* Returns the owner of buffer i.  Buffers are stored in pairs: data and gradient of each value, then saved and work space of each node. */
static const char *owner(const ag_plan *p, int64_t i, const char **kind)
{
    static const char *const kinds[] = {"data", "gradient", "saved", "work"};
    const int64_t            values  = 2 * p->g->nv;
    *kind                            = kinds[i % 2 + (i < values ? 0 : 2)];
    return i < values ? p->g->v[i / 2].name : p->g->n[(i - values) / 2].op->name;
}

static rt_status print_buffers(const ag_plan *p, rt_buf *out)
{
    RT_TRY(rt_buf_str(out, "\n buffer     kind           bytes       at  lives\n"));
    for (int64_t i = 0; i < p->n_b; i++) {
        const ag_buffer *b = &p->b[i];
        const char      *kind, *name = owner(p, i, &kind);
        for (int k = 0; b->bytes && k < b->n_iv; k++)
            RT_TRY(rt_buf_fmt(out, " %-10.10s %-8s %11lld %10lld  %lld-%lld\n", name, kind, (long long)b->bytes, (long long)b->offset,
                              (long long)b->from[k], (long long)b->to[k]));
    }
    return RT_OK;
}

rt_status ag_plan_print(const ag_plan *p, rt_buf *out)
{
    RT_TRY(rt_buf_str(out, " step pass     operator   shape              memory written, its address and lifetime; the weight\n"));
    for (int64_t t = 0; t < p->n_steps; t++) RT_TRY(print_step(p, t, out));
    return print_buffers(p, out);
}
