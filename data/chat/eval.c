/* eval.c -- evaluating expressions. */
#include "data/chat/eval.h"
#include <string.h>

static rt_status eval_list(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalues l = {0};
    ds_jvalue  v;
    for (const ds_jnode *e = n->list; e; e = e->next) {
        RT_TRY(ds_jeval(r, e, &v));
        RT_TRY(ds_jadd(r, &l, v));
    }
    *out = n->kind == DS_JN_LIST ? ds_jlist(l.v, l.n) : ds_jtuple(l.v, l.n);
    return RT_OK;
}

static rt_status eval_dict(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jdict *d;
    ds_jvalue key, v;
    RT_TRY(ds_jdict_new(r, &d));
    for (const ds_jnode *e = n->list; e; e = e->next->next) {
        RT_TRY(ds_jeval(r, e, &key));
        RT_TRY(ds_jeval(r, e->next, &v));
        RT_TRY(ds_jdict_set(r, d, key, v));
    }
    *out = (ds_jvalue){.kind = DS_JDICT, .dict = d};
    return RT_OK;
}

static rt_status eval_item(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalue of, key;
    RT_TRY(ds_jeval(r, n->a, &of));
    RT_TRY(ds_jeval(r, n->b, &key));
    return ds_jmember(r, &of, &key, out);
}

static rt_status eval_slice(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    const ds_jnode *const parts[] = {n->b, n->c, n->d};
    ds_jvalue             of, part[3] = {0};
    RT_TRY(ds_jeval(r, n->a, &of));
    for (int i = 0; i < 3; i++)
        if (parts[i]) RT_TRY(ds_jeval(r, parts[i], &part[i]));
    return ds_jslice(r, &of, part, out);
}

static rt_status eval_call(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalue     callee;
    ds_jarguments a;
    RT_TRY(ds_jeval(r, n->a, &callee));
    RT_TRY(ds_jread_arguments(r, n->list, &a));
    return ds_jcall_value(r, &callee, &a, out);
}

static rt_status eval_filter_or_test(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    const int      filter = n->kind == DS_JN_FILTER;
    const ds_jrow *row    = filter ? ds_jfilter_named(n->name, n->n) : ds_jtest_named(n->name, n->n);
    ds_jvalue      of;
    ds_jarguments  a;
    DS_JCHECK(r, row, "the %s '%.*s' is not supported", filter ? "filter" : "test", (int)(n->n < 40 ? n->n : 40), n->name);
    RT_TRY(ds_jeval(r, n->a, &of));
    RT_TRY(ds_jread_arguments(r, n->list, &a));
    r->line = n->line;
    return ds_jinvoke(r, row, &of, &a, out);
}

static rt_status eval_logic(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    RT_TRY(ds_jeval(r, n->a, out));
    return ds_jtrue(out) == (n->kind == DS_JN_AND) ? ds_jeval(r, n->b, out) : RT_OK;
}

static rt_status eval_choice(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalue test;
    RT_TRY(ds_jeval(r, n->a, &test));
    if (ds_jtrue(&test)) return ds_jeval(r, n->b, out);
    if (n->c) return ds_jeval(r, n->c, out);
    return ds_jundefined(r, out, "an 'if' without 'else' has no value");
}

static rt_status eval_binary(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalue a, b;
    RT_TRY(ds_jeval(r, n->a, &a));
    RT_TRY(ds_jeval(r, n->b, &b));
    r->line = n->line;
    return ds_jbinary(r, n->name, n->n, &a, &b, out);
}

static rt_status eval_concat(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jout   o = {0};
    ds_jvalue v;
    for (const ds_jnode *e = n->list; e; e = e->next) {
        RT_TRY(ds_jeval(r, e, &v));
        RT_TRY(ds_jstr(r, &o, &v));
    }
    *out = ds_jbuilt(&o);
    return RT_OK;
}

/* ---- comparisons ------------------------------------------------------------------------------------------ */

static rt_status compare_order(ds_jrun *r, const char *op, size_t n, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    int less, equal = 0;
    RT_TRY(*op == '<' ? ds_jless(r, a, b, &less) : ds_jless(r, b, a, &less));
    if (!less && n == 2) RT_TRY(ds_jequal(r, a, b, &equal));
    *yes = less || equal;
    return RT_OK;
}

static rt_status compare_two(ds_jrun *r, const ds_jnode *op, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    if (*op->name == '<' || *op->name == '>') return compare_order(r, op->name, op->n, a, b, yes);
    if (*op->name == '=' || *op->name == '!') RT_TRY(ds_jequal(r, a, b, yes));
    else RT_TRY(ds_jin(r, a, b, yes));
    if (*op->name == '!' || *op->name == 'n') *yes = !*yes;
    return RT_OK;
}

static rt_status eval_comparison(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalue a, b;
    int       yes = 1;
    RT_TRY(ds_jeval(r, n->a, &a));
    for (const ds_jnode *op = n->list; op && yes; op = op->next, a = b) {
        RT_TRY(ds_jeval(r, op->a, &b));
        r->line = op->line;
        RT_TRY(compare_two(r, op, &a, &b, &yes));
    }
    *out = ds_jbool(yes);
    return RT_OK;
}

/* ---- any expression ------------------------------------------------------------------------------------------ */

static rt_status eval_unary(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalue v;
    RT_TRY(ds_jeval(r, n->a, &v));
    if (n->kind == DS_JN_ATTRIBUTE) return ds_jattribute(r, &v, n->name, n->n, out);
    if (n->kind != DS_JN_NOT) return ds_jsign(r, n->kind == DS_JN_NEGATIVE, &v, out);
    *out = ds_jbool(!ds_jtrue(&v));
    return RT_OK;
}

static rt_status eval_any(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    switch (n->kind) {
    case DS_JN_CONST: *out = n->value; return RT_OK;
    case DS_JN_NAME: return ds_jget(r, n->name, n->n, out);
    case DS_JN_TUPLE:
    case DS_JN_LIST: return eval_list(r, n, out);
    case DS_JN_DICT: return eval_dict(r, n, out);
    case DS_JN_ITEM: return eval_item(r, n, out);
    case DS_JN_SLICE: return eval_slice(r, n, out);
    case DS_JN_CALL: return eval_call(r, n, out);
    case DS_JN_FILTER:
    case DS_JN_TEST: return eval_filter_or_test(r, n, out);
    case DS_JN_AND:
    case DS_JN_OR: return eval_logic(r, n, out);
    case DS_JN_BINARY: return eval_binary(r, n, out);
    case DS_JN_CONCAT: return eval_concat(r, n, out);
    case DS_JN_COMPARE: return eval_comparison(r, n, out);
    case DS_JN_CHOICE: return eval_choice(r, n, out);
    default: return eval_unary(r, n, out);
    }
}

rt_status ds_jeval(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jvalue v = {0}; /* `out` may be what is read */
    RT_TRY(ds_jenter(r));
    r->line            = n->line;
    const rt_status st = eval_any(r, n, &v);
    r->depth--;
    if (st == RT_OK) *out = v;
    return st;
}
