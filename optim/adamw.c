/* adamw.c -- AdamW in one pass over master, moments, gradient and weight, in blocks that depend only on the parameters' sizes. */
#include "optim/optim.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 14 };

typedef struct block {
    int     param;
    int64_t at, n;
} block;

struct opt_state {
    opt_param *p;
    opt_view  *v;
    block     *b;       /* [blocks] the blocks of all parameters */
    double    *squares; /* [blocks] sums of squared gradients */
    int        n;
    int64_t    blocks, from, to; /* number of blocks; the range from .. to-1 */
};

static int64_t blocks_of(const opt_param *p) { return (p->n + BLOCK - 1) / BLOCK; }

int64_t opt_blocks(const opt_param *p, int n)
{
    int64_t total = 0;
    for (int i = 0; i < n; i++) total += blocks_of(&p[i]);
    return total;
}

static rt_status make_blocks(opt_state *s)
{
    const int64_t total = opt_blocks(s->p, s->n);
    RT_TRY(RT_NEW(s->b, total));
    RT_TRY(RT_NEW(s->squares, total));
    for (int i = 0; i < s->n; i++)
        for (int64_t at = 0; at < s->p[i].n; at += BLOCK)
            s->b[s->blocks++] = (block){i, at, s->p[i].n - at < BLOCK ? s->p[i].n - at : BLOCK};
    return RT_OK;
}

/* Sets the view of each parameter to the elements from its first to its last block in the range. */
static void cut_views(opt_state *s)
{
    for (int64_t i = s->from; i < s->to; i++) {
        opt_view *v = &s->v[s->b[i].param];
        if (!v->n) v->at = s->b[i].at;
        v->n += s->b[i].n;
    }
}

static rt_status make_view(opt_view *v, const opt_param *p)
{
    RT_TRY(rt_alloc((void **)&v->m, v->n, sizeof(real), "first moments"));
    RT_TRY(rt_alloc((void **)&v->v, v->n, sizeof(real), "second moments"));
    if (p->type == KN_REAL) {
        v->master = (real *)p->weight + v->at;
        return RT_OK;
    }
    RT_TRY(rt_alloc((void **)&v->master, v->n, sizeof(real), "master weights"));
    kn_type_of(p->type)->to_real(v->master, p->weight, v->at, v->n);
    return RT_OK;
}

static rt_status adamw_make(opt_state *s, const opt_param *p)
{
    RT_TRY(RT_NEW(s->p, s->n));
    RT_TRY(RT_NEW(s->v, s->n));
    memcpy(s->p, p, (size_t)s->n * sizeof *p);
    RT_TRY(make_blocks(s));
    cut_views(s);
    for (int i = 0; i < s->n; i++) {
        s->v[i].size = p[i].n;
        if (s->v[i].n) RT_TRY(make_view(&s->v[i], &p[i]));
    }
    return RT_OK;
}

rt_status opt_create(opt_state **out, const opt_param *p, int n, int64_t from, int64_t to)
{
    opt_state *s;
    RT_ASSERT(n >= 0 && 0 <= from && from <= to && to <= opt_blocks(p, n));
    RT_TRY(RT_NEW(s, 1));
    s->n               = n;
    s->from            = from;
    s->to              = to;
    const rt_status st = adamw_make(s, p);
    if (st != RT_OK) opt_destroy(&s);
    else *out = s;
    return st;
}

void opt_destroy(opt_state **sp)
{
    opt_state *s = *sp;
    if (!s) return;
    for (int i = 0; s->v && i < s->n; i++) {
        free(s->v[i].m), free(s->v[i].v);
        if (s->p[i].type != KN_REAL) free(s->v[i].master);
    }
    free(s->p), free(s->v), free(s->b), free(s->squares), free(s);
    *sp = NULL;
}

int64_t opt_bytes(kn_type type, int64_t n) { return n * (int64_t)sizeof(real) * (type == KN_REAL ? 2 : 3); }

static void square_block(int64_t item, int thread, void *ud)
{
    const opt_state *s = ud;
    const block     *b = &s->b[item];
    const real      *g = s->p[b->param].grad + b->at;
    (void)thread;
    s->squares[item] = (double)kn_get()->dot(g, g, b->n);
}

double opt_grad_norm(const opt_state *s)
{
    double sum = 0;
    rt_parallel(s->blocks, square_block, (void *)(uintptr_t)s);
    for (int64_t i = 0; i < s->blocks; i++) sum += s->squares[i];
    return sqrt(sum);
}

typedef struct pass {
    opt_state *s;
    kn_adamw   o;
    real       decay;
} pass;

/* Returns the offset of block b in the arrays of its parameter's view. */
static int64_t in_view(const opt_state *s, const block *b) { return b->at - s->v[b->param].at; }

static void sync_block(opt_state *s, const block *b)
{
    const opt_param *p = &s->p[b->param];
    if (p->type != KN_REAL) kn_put(p->weight, p->type, b->at, s->v[b->param].master + in_view(s, b), b->n, 0);
}

static void step_block(int64_t item, int thread, void *ud)
{
    const pass     *u  = ud;
    const block    *b  = &u->s->b[u->s->from + item];
    const opt_view *v  = &u->s->v[b->param];
    const int64_t   at = in_view(u->s, b);
    kn_adamw        o  = u->o;
    (void)thread;
    o.decay = u->s->p[b->param].decay ? u->decay : 0;
    kn_get()->adamw(v->master + at, v->m + at, v->v + at, u->s->p[b->param].grad + b->at, &o, b->n);
    sync_block(u->s, b);
}

void opt_step(opt_state *s, const opt_adamw *o, double lr, double norm, int64_t t)
{
    RT_ASSERT(t >= 1);
    const double ratio = o->clip / (norm + 1e-6), clip = o->clip > 0 && ratio < 1 ? ratio : 1;
    pass         u = {.s = s, .decay = (real)(lr * o->weight_decay)};
    u.o            = (kn_adamw){.lr       = (real)lr,
                                .beta1    = (real)o->beta1,
                                .beta2    = (real)o->beta2,
                                .eps      = (real)o->eps,
                                .scale    = (real)clip,
                                .correct1 = (real)(1 - pow(o->beta1, (double)t)),
                                .correct2 = (real)(1 - pow(o->beta2, (double)t))};
    rt_parallel(s->to - s->from, step_block, &u);
}

opt_view opt_at(opt_state *s, int i)
{
    RT_ASSERT(i >= 0 && i < s->n);
    return s->v[i];
}

int opt_params(const opt_state *s) { return s->n; }

void opt_sync_weights(opt_state *s)
{
    for (int64_t i = s->from; i < s->to; i++) sync_block(s, &s->b[i]);
}
