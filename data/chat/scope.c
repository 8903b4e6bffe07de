/* scope.c -- the names that a template sets. */
#include "data/chat/eval.h"
#include <string.h>

typedef struct ds_jbinding {
    const char         *name;
    size_t              n;
    ds_jvalue           value;
    struct ds_jbinding *next;
} ds_jbinding;

/* Scopes stay until the rendering ends, because a macro refers to the one in which it was defined. */
rt_status ds_jscope_open(ds_jrun *r, ds_jscope *up)
{
    ds_jscope *s;
    RT_TRY(DS_JNEW(&r->arena, s, 1));
    s->up    = up;
    r->scope = s;
    return RT_OK;
}

static rt_status scope_find(ds_jrun *r, const ds_jscope *s, const char *name, size_t n, ds_jbinding **out)
{
    *out = NULL;
    for (ds_jbinding *b = s->first; b && !*out; b = b->next) {
        RT_TRY(ds_jwork(r, 0));
        if (b->n == n && !memcmp(b->name, name, n)) *out = b;
    }
    return RT_OK;
}

rt_status ds_jset(ds_jrun *r, const char *name, size_t n, ds_jvalue v)
{
    ds_jbinding *b;
    RT_TRY(scope_find(r, r->scope, name, n, &b));
    if (!b) {
        RT_TRY(DS_JNEW(&r->arena, b, 1));
        *b              = (ds_jbinding){.name = name, .n = n, .next = r->scope->first};
        r->scope->first = b;
    }
    b->value = v;
    return RT_OK;
}

rt_status ds_jget(ds_jrun *r, const char *name, size_t n, ds_jvalue *out)
{
    ds_jbinding *b = NULL;
    for (const ds_jscope *s = r->scope; s && !b; s = s->up) {
        RT_TRY(ds_jwork(r, 0));
        RT_TRY(scope_find(r, s, name, n, &b));
    }
    const ds_jrow *function = b ? NULL : ds_jfunction_named(name, n);
    if (b) *out = b->value;
    else if (function) *out = (ds_jvalue){.kind = DS_JFUNCTION, .function = function};
    else RT_TRY(ds_jundefined(r, out, "'%.*s' is undefined", (int)(n < 80 ? n : 80), name));
    return RT_OK;
}

/* ---- targets ------------------------------------------------------------------------------------------ */

static rt_status assign_member(ds_jrun *r, const ds_jnode *target, const ds_jvalue *v)
{
    ds_jvalue of;
    RT_TRY(ds_jget(r, target->a->name, target->a->n, &of));
    DS_JCHECK(r, of.kind == DS_JNAMESPACE, "only attributes of a namespace can be set, found a %s", ds_jtype(&of));
    DS_JCHECK(r, target->name[0] != '_', "an attribute of a namespace cannot begin with '_'");
    return ds_jdict_set(r, of.dict, ds_jtext(target->name, target->n), *v);
}

rt_status ds_jassign(ds_jrun *r, const ds_jnode *target, const ds_jvalue *v)
{
    ds_jvalue l;
    int64_t   i = 0, n = 0;
    if (target->kind == DS_JN_NAME) return ds_jset(r, target->name, target->n, *v);
    if (target->kind == DS_JN_MEMBER) return assign_member(r, target, v);
    RT_TRY(ds_jelements(r, v, &l));
    for (const ds_jnode *t = target->list; t; t = t->next) n++;
    DS_JCHECK(r, n == l.n, "%lld names are set to %lld values", (long long)n, (long long)l.n);
    for (const ds_jnode *t = target->list; t; t = t->next) RT_TRY(ds_jassign(r, t, &l.v[i++]));
    return RT_OK;
}
