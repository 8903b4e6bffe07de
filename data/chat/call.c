/* call.c -- calls: reading arguments, giving them to parameters, macros. */
#include "data/chat/eval.h"
#include <string.h>

rt_status ds_jread_arguments(ds_jrun *r, const ds_jnode *list, ds_jarguments *out)
{
    ds_jvalues l     = {0};
    ds_jdict  *named = NULL;
    ds_jvalue  v;
    for (const ds_jnode *e = list; e; e = e->next) {
        RT_TRY(ds_jeval(r, e->kind == DS_JN_KEYWORD ? e->a : e, &v));
        if (e->kind != DS_JN_KEYWORD) RT_TRY(ds_jadd(r, &l, v));
        else {
            if (!named) RT_TRY(ds_jdict_new(r, &named));
            RT_TRY(ds_jdict_set(r, named, ds_jtext(e->name, e->n), v));
        }
    }
    *out = (ds_jarguments){.v = l.v, .n = l.n, .named = named};
    return RT_OK;
}

const ds_jrow *ds_jrow_named(const ds_jrow *rows, const char *name, size_t n)
{
    for (; rows->name; rows++)
        if (strlen(rows->name) == n && !memcmp(rows->name, name, n)) return rows;
    return NULL;
}

/* ---- parameters of filters, tests, methods and functions -------------------------------------------------- */

/* Takes the argument of one parameter, the i-th; *taken counts those given by name. */
static rt_status take_argument(ds_jrun *r, ds_jcall *c, int i, const char *word, size_t n, int by_name, int64_t *taken)
{
    const int        optional = word[n - 1] == '?';
    const ds_jvalue  key      = ds_jtext(word, n - (size_t)optional);
    const ds_jvalue *v        = NULL;
    if (c->all->named && by_name) RT_TRY(ds_jdict_find(r, c->all->named, &key, &v));
    DS_JCHECK(r, !v || i >= c->all->n, "'%s' gets its argument '%.*s' twice", c->what, (int)key.n, key.p);
    if (v) c->v[i] = *v, ++*taken;
    else if (i < c->all->n) c->v[i] = c->all->v[i];
    DS_JCHECK(r, optional || c->v[i].kind != DS_JABSENT, "'%s' requires the argument '%.*s'", c->what, (int)key.n, key.p);
    return RT_OK;
}

static rt_status bind_arguments(ds_jrun *r, ds_jcall *c, const char *parameters)
{
    const int by_name = *parameters != '/';
    int64_t   taken   = 0;
    int       i       = 0;
    for (const char *p = parameters + !by_name; *p; p += strspn(p, " ")) {
        const size_t n = strcspn(p, " ");
        RT_TRY(take_argument(r, c, i++, p, n, by_name, &taken));
        p += n;
    }
    DS_JCHECK(r, c->all->n <= i, "'%s' takes at most %d arguments, found %lld", c->what, i, (long long)c->all->n);
    DS_JCHECK(r, !c->all->named || taken == c->all->named->n, "'%s' has no argument of one of the names that were given", c->what);
    return RT_OK;
}

rt_status ds_jinvoke(ds_jrun *r, const ds_jrow *row, const ds_jvalue *self, const ds_jarguments *a, ds_jvalue *out)
{
    ds_jcall c = {.what = row->name, .self = self, .all = a};
    if (*row->parameters != '*') RT_TRY(bind_arguments(r, &c, row->parameters));
    return row->fn(r, &c, out);
}

rt_status ds_jargument_text(ds_jrun *r, const ds_jcall *c, int i, ds_jvalue *v)
{
    if (c->v[i].kind == DS_JABSENT) return RT_OK;
    DS_JCHECK(r, c->v[i].kind == DS_JTEXT, "'%s' takes a text, found a %s", c->what, ds_jtype(&c->v[i]));
    *v = c->v[i];
    return RT_OK;
}

rt_status ds_jargument_int(ds_jrun *r, const ds_jcall *c, int i, int64_t *v)
{
    if (c->v[i].kind == DS_JABSENT) return RT_OK;
    DS_JCHECK(r, c->v[i].kind == DS_JINT || c->v[i].kind == DS_JBOOL, "'%s' takes a whole number, found a %s", c->what, ds_jtype(&c->v[i]));
    *v = c->v[i].i;
    return RT_OK;
}

/* ---- macros -------------------------------------------------------------------------------------------------- */

/* A parameter takes its argument by place, else by name, else its default. */
static rt_status macro_parameter(ds_jrun *r, const ds_jnode *p, int64_t i, const ds_jarguments *a, ds_jdict *rest)
{
    const ds_jvalue  key = ds_jtext(p->name, p->n);
    const ds_jvalue *v   = NULL;
    ds_jvalue        given;
    if (i >= a->n) RT_TRY(ds_jdict_find(r, rest, &key, &v));
    if (i < a->n) given = a->v[i];
    else if (v) given = *v;
    else if (p->a) RT_TRY(ds_jeval(r, p->a, &given));
    else RT_TRY(ds_jundefined(r, &given, "the parameter '%.*s' was not given", (int)(p->n < 80 ? p->n : 80), p->name));
    if (v) ds_jdict_remove(rest, v);
    return ds_jset(r, p->name, p->n, given);
}

/* Takes `caller`, which a call statement gives, out of the arguments. */
static rt_status macro_caller(ds_jrun *r, const ds_jnode *m, ds_jdict *rest)
{
    const ds_jvalue  key = ds_jtext("caller", 6);
    const ds_jvalue *v;
    ds_jvalue        given;
    if (!(m->uses & DS_JUSES_CALLER)) return RT_OK;
    RT_TRY(ds_jdict_find(r, rest, &key, &v));
    if (v) given = *v;
    else RT_TRY(ds_jundefined(r, &given, "the macro was not called by a call statement"));
    if (v) ds_jdict_remove(rest, v);
    return ds_jset(r, "caller", 6, given);
}

/* What is left becomes varargs and kwargs, if the macro reads them. */
static rt_status macro_rest(ds_jrun *r, const ds_jnode *m, int64_t parameters, const ds_jarguments *a, ds_jdict *rest)
{
    const int64_t more = a->n > parameters ? a->n - parameters : 0;
    RT_TRY(macro_caller(r, m, rest));
    DS_JCHECK(r, !more || m->uses & DS_JUSES_VARARGS, "the macro '%.*s' takes %lld arguments, found %lld", (int)m->n, m->name,
              (long long)parameters, (long long)a->n);
    DS_JCHECK(r, !rest->n || m->uses & DS_JUSES_KWARGS, "the macro '%.*s' has no argument '%.*s'", (int)m->n, m->name, (int)rest->key[0].n,
              rest->key[0].p);
    if (m->uses & DS_JUSES_VARARGS) RT_TRY(ds_jset(r, "varargs", 7, ds_jtuple(more ? a->v + parameters : NULL, more)));
    if (m->uses & DS_JUSES_KWARGS) RT_TRY(ds_jset(r, "kwargs", 6, (ds_jvalue){.kind = DS_JDICT, .dict = rest}));
    return RT_OK;
}

static rt_status run_macro(ds_jrun *r, const ds_jmacro *m, const ds_jarguments *a, ds_jvalue *out)
{
    ds_jdict *rest;
    int64_t   i = 0;
    RT_TRY(ds_jdict_new(r, &rest));
    for (int64_t k = 0; a->named && k < a->named->n; k++) RT_TRY(ds_jdict_set(r, rest, a->named->key[k], a->named->value[k]));
    RT_TRY(ds_jscope_open(r, m->scope));
    for (const ds_jnode *p = m->node->list; p; p = p->next) RT_TRY(macro_parameter(r, p, i++, a, rest));
    RT_TRY(macro_rest(r, m->node, i, a, rest));
    return ds_jcapture(r, m->node->body, out);
}

rt_status ds_jcall_macro(ds_jrun *r, const ds_jmacro *m, const ds_jarguments *a, ds_jvalue *out)
{
    ds_jscope *scope = r->scope;
    RT_TRY(ds_jenter(r));
    const rt_status st = run_macro(r, m, a, out);
    r->depth--;
    r->scope = scope;
    return st;
}

rt_status ds_jcall_value(ds_jrun *r, const ds_jvalue *callee, const ds_jarguments *a, ds_jvalue *out)
{
    switch (callee->kind) {
    case DS_JMACRO: return ds_jcall_macro(r, callee->macro, a, out);
    case DS_JMETHOD: return ds_jinvoke(r, callee->method->row, &callee->method->self, a, out);
    case DS_JFUNCTION: return ds_jinvoke(r, callee->function, NULL, a, out);
    case DS_JUNDEFINED: DS_JFAIL(r, "a call of what is not there: %s", callee->p);
    default: DS_JFAIL(r, "a %s cannot be called", ds_jtype(callee));
    }
}
