/* loop.c -- the for statement and its variable `loop`. */
#include "data/chat/eval.h"
#include <string.h>

typedef struct ds_jloop {
    const ds_jnode *node;
    ds_jvalue       of;
    ds_jiter       *from;
    ds_jscope      *outer;
    int64_t         index0, length;     /* length: -1: not known yet */
    ds_jvalue       before, now, after; /* absent: none; `after` is read ahead if the template asks for it */
    ds_jvalue       changed;            /* what changed() saw last */
} ds_jloop;

/* The condition of `for x in y if condition` is evaluated with the loop's names, in a scope of its own. */
static rt_status loop_wants(ds_jrun *r, const ds_jloop *l, const ds_jvalue *v, int *yes)
{
    ds_jscope *scope = r->scope;
    ds_jvalue  test;
    *yes = 1;
    if (!l->node->c) return RT_OK;
    RT_TRY(ds_jscope_open(r, l->outer));
    RT_TRY(ds_jassign(r, l->node->a, v));
    RT_TRY(ds_jeval(r, l->node->c, &test));
    r->scope = scope;
    *yes     = ds_jtrue(&test);
    return RT_OK;
}

static rt_status loop_read(ds_jrun *r, ds_jloop *l, ds_jvalue *out)
{
    int got, yes;
    for (*out = (ds_jvalue){0};; *out = (ds_jvalue){0}) {
        RT_TRY(l->from->next(r, l->from, out, &got));
        if (!got) break;
        RT_TRY(loop_wants(r, l, out, &yes));
        if (yes) return RT_OK;
    }
    *out = (ds_jvalue){0};
    return RT_OK;
}

static rt_status loop_next(ds_jrun *r, ds_jloop *l)
{
    ds_jvalue v = l->after;
    if (v.kind == DS_JABSENT) RT_TRY(loop_read(r, l, &v));
    l->after  = (ds_jvalue){0};
    l->before = l->now;
    l->now    = v;
    l->index0++;
    return RT_OK;
}

static rt_status loop_peek(ds_jrun *r, ds_jloop *l) { return l->after.kind == DS_JABSENT ? loop_read(r, l, &l->after) : RT_OK; }

/* A length that the value does not know is counted by reading all that is left. */
static rt_status loop_count(ds_jrun *r, ds_jloop *l)
{
    ds_jvalues rest = {0};
    ds_jvalue  v;
    for (;;) {
        RT_TRY(loop_read(r, l, &v));
        if (v.kind == DS_JABSENT) break;
        RT_TRY(ds_jadd(r, &rest, v));
    }
    l->length = rest.n + l->index0 + 1 + (l->after.kind != DS_JABSENT);
    v         = ds_jlist(rest.v, rest.n);
    return ds_jiterate(r, &v, &l->from);
}

static rt_status loop_length(ds_jrun *r, ds_jloop *l, int64_t *n)
{
    if (l->length < 0 && !l->node->c && l->of.kind != DS_JITER) RT_TRY(ds_jlength(r, &l->of, &l->length));
    if (l->length < 0) RT_TRY(loop_count(r, l));
    *n = l->length;
    return RT_OK;
}

/* ---- attributes ------------------------------------------------------------------------------------------ */

static rt_status loop_cycle(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    DS_JCHECK(r, c->all->n && !c->all->named, "loop.cycle takes at least one value");
    *out = c->all->v[c->self->loop->index0 % c->all->n];
    return RT_OK;
}

static rt_status loop_changed(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jloop       *l   = c->self->loop;
    const ds_jvalue now = ds_jtuple(c->all->v, c->all->n);
    int             same;
    RT_TRY(ds_jequal(r, &l->changed, &now, &same));
    l->changed = now;
    *out       = ds_jbool(!same);
    return RT_OK;
}

static const ds_jrow loop_methods[] = {{"cycle", "*", loop_cycle}, {"changed", "*", loop_changed}, {0}};

static rt_status loop_method(ds_jrun *r, ds_jloop *l, const ds_jrow *row, ds_jvalue *out)
{
    struct ds_jmethod *m;
    RT_TRY(DS_JNEW(&r->arena, m, 1));
    *m   = (struct ds_jmethod){row, {.kind = DS_JLOOP, .loop = l}};
    *out = (ds_jvalue){.kind = DS_JMETHOD, .method = m};
    return RT_OK;
}

static rt_status loop_neighbour(ds_jrun *r, const ds_jvalue *v, const char *which, ds_jvalue *out)
{
    if (v->kind == DS_JABSENT) return ds_jundefined(r, out, "there is no %s item", which);
    *out = *v;
    return RT_OK;
}

enum { INDEX, INDEX0, FIRST, LAST, LENGTH, REVINDEX, REVINDEX0, BEFORE, AFTER, DEPTH, DEPTH0, ATTRIBUTES };
static const char *const loop_names[] = {"index",     "index0",   "first",    "last",  "length", "revindex",
                                         "revindex0", "previtem", "nextitem", "depth", "depth0"};

static rt_status loop_value(ds_jrun *r, ds_jloop *l, int which, ds_jvalue *out)
{
    int64_t n = 0;
    if (which == LAST || which == AFTER) RT_TRY(loop_peek(r, l));
    if (which == LENGTH || which == REVINDEX || which == REVINDEX0) RT_TRY(loop_length(r, l, &n));
    switch (which) {
    case INDEX: *out = ds_jint(l->index0 + 1); break;
    case INDEX0: *out = ds_jint(l->index0); break;
    case FIRST: *out = ds_jbool(l->index0 == 0); break;
    case LAST: *out = ds_jbool(l->after.kind == DS_JABSENT); break;
    case LENGTH: *out = ds_jint(n); break;
    case REVINDEX: *out = ds_jint(n - l->index0); break;
    case REVINDEX0: *out = ds_jint(n - l->index0 - 1); break;
    case BEFORE: return loop_neighbour(r, &l->before, "previous", out);
    case AFTER: return loop_neighbour(r, &l->after, "next", out);
    default: *out = ds_jint(which == DEPTH);
    }
    return RT_OK;
}

rt_status ds_jloop_attribute(ds_jrun *r, ds_jloop *l, const char *name, size_t n, ds_jvalue *out)
{
    const ds_jrow *row = ds_jrow_named(loop_methods, name, n);
    if (row) return loop_method(r, l, row, out);
    for (int i = 0; i < ATTRIBUTES; i++)
        if (strlen(loop_names[i]) == n && !memcmp(loop_names[i], name, n)) return loop_value(r, l, i, out);
    *out = (ds_jvalue){.kind = DS_JABSENT};
    return RT_OK;
}

/* ---- the statement --------------------------------------------------------------------------------------------- */

static rt_status loop_turn(ds_jrun *r, ds_jloop *l, const ds_jnode *n)
{
    RT_TRY(ds_jscope_open(r, l->outer));
    RT_TRY(ds_jset(r, "loop", 4, (ds_jvalue){.kind = DS_JLOOP, .loop = l}));
    RT_TRY(ds_jassign(r, n->a, &l->now));
    return ds_jexecute(r, n->body);
}

static rt_status loop_else(ds_jrun *r, const ds_jnode *n, ds_jscope *outer)
{
    RT_TRY(ds_jscope_open(r, outer));
    RT_TRY(ds_jexecute(r, n->other));
    r->scope = outer;
    return RT_OK;
}

/* As in Jinja, `else` is executed where no turn reached its end, so also where each was left by break or continue. */
rt_status ds_jfor(ds_jrun *r, const ds_jnode *n)
{
    ds_jloop *l;
    int       whole = 0;
    RT_TRY(DS_JNEW(&r->arena, l, 1));
    *l = (ds_jloop){.node = n, .outer = r->scope, .index0 = -1, .length = -1};
    RT_TRY(ds_jeval(r, n->b, &l->of));
    RT_TRY(ds_jiterate(r, &l->of, &l->from));
    for (;;) {
        RT_TRY(loop_next(r, l));
        if (l->now.kind == DS_JABSENT) break;
        RT_TRY(loop_turn(r, l, n));
        const int flow = r->flow;
        r->flow        = 0;
        r->scope       = l->outer;
        whole |= !flow;
        if (flow == DS_JBREAK) break;
    }
    return !whole && n->other ? loop_else(r, n, l->outer) : RT_OK;
}
