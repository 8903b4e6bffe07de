/* adamw.c -- one pass over master, moments, gradient and weight, in blocks cut by shape. */
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
    block     *b;
    double    *squares; /* [blocks] */
    int        n;
    int64_t    blocks;
};

static rt_status make_blocks(opt_state *s)
{
    int64_t total = 0;
    for (int i = 0; i < s->n; i++) total += (s->p[i].n + BLOCK - 1) / BLOCK;
    RT_TRY(RT_NEW(s->b, total));
    RT_TRY(RT_NEW(s->squares, total));
    for (int i = 0; i < s->n; i++)
        for (int64_t at = 0; at < s->p[i].n; at += BLOCK)
            s->b[s->blocks++] = (block){i, at, s->p[i].n - at < BLOCK ? s->p[i].n - at : BLOCK};
    return RT_OK;
}

static rt_status make(opt_state *s, const opt_param *p)
{
    RT_TRY(RT_NEW(s->p, s->n));
    RT_TRY(RT_NEW(s->v, s->n));
    memcpy(s->p, p, (size_t)s->n * sizeof *p);
    for (int i = 0; i < s->n; i++) {
        opt_view *v = &s->v[i];
        v->n        = p[i].n;
        RT_TRY(rt_alloc((void **)&v->m, v->n, sizeof(real), "first moments"));
        RT_TRY(rt_alloc((void **)&v->v, v->n, sizeof(real), "second moments"));
        if (p[i].type == KN_REAL) v->master = p[i].weight;
        else {
            RT_TRY(rt_alloc((void **)&v->master, v->n, sizeof(real), "master weights"));
            kn_get()->from_bf16(v->master, p[i].weight, v->n);
        }
    }
    return make_blocks(s);
}

rt_status opt_create(opt_state **out, const opt_param *p, int n)
{
    opt_state *s;
    RT_TRY(RT_NEW(s, 1));
    s->n               = n;
    const rt_status st = make(s, p);
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

int64_t opt_bytes(const opt_param *p, int n)
{
    int64_t bytes = 0;
    for (int i = 0; i < n; i++) bytes += p[i].n * (int64_t)sizeof(real) * (p[i].type == KN_REAL ? 2 : 3);
    return bytes;
}

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

static void publish_block(opt_state *s, const block *b)
{
    const opt_param *p = &s->p[b->param];
    if (p->type != KN_REAL) kn_put(p->weight, p->type, b->at, s->v[b->param].master + b->at, b->n, 0);
}

static void step_block(int64_t item, int thread, void *ud)
{
    const pass     *u = ud;
    const block    *b = &u->s->b[item];
    const opt_view *v = &u->s->v[b->param];
    kn_adamw        o = u->o;
    (void)thread;
    o.decay = u->s->p[b->param].decay ? u->decay : 0;
    kn_get()->adamw(v->master + b->at, v->m + b->at, v->v + b->at, u->s->p[b->param].grad + b->at, &o, b->n);
    publish_block(u->s, b);
}

void opt_step(opt_state *s, const opt_adamw *o, double lr, double norm, int64_t t)
{
    const double ratio = o->clip / (norm + 1e-6), clip = o->clip > 0 && ratio < 1 ? ratio : 1;
    pass         u = {.s = s, .decay = (real)(lr * o->weight_decay)};
    u.o            = (kn_adamw){.lr       = (real)lr,
                                .beta1    = (real)o->beta1,
                                .beta2    = (real)o->beta2,
                                .eps      = (real)o->eps,
                                .scale    = (real)clip,
                                .correct1 = (real)(1 - pow(o->beta1, (double)t)),
                                .correct2 = (real)(1 - pow(o->beta2, (double)t))};
    rt_parallel(s->blocks, step_block, &u);
}

opt_view opt_at(opt_state *s, int i) { return s->v[i]; }

void opt_publish(opt_state *s)
{
    for (int64_t i = 0; i < s->blocks; i++) publish_block(s, &s->b[i]);
}
