/* execute.c -- executing statements. */
#include "data/chat/eval.h"
#include <string.h>

rt_status ds_jcapture(ds_jrun *r, const ds_jnode *body, ds_jvalue *text)
{
    ds_jout o = {0}, *before = r->out;
    r->out             = &o;
    const rt_status st = ds_jexecute(r, body);
    r->out             = before;
    *text              = ds_jbuilt(&o);
    return st;
}

/* As ds_jcapture, in a scope of its own. */
static rt_status capture_apart(ds_jrun *r, const ds_jnode *body, ds_jvalue *text)
{
    ds_jscope *scope = r->scope;
    RT_TRY(ds_jscope_open(r, scope));
    const rt_status st = ds_jcapture(r, body, text);
    r->scope           = scope;
    return st;
}

/* Applies the filters of a block, the innermost of which has no operand, to its text. */
static rt_status filter_text(ds_jrun *r, const ds_jnode *filter, const ds_jvalue *text, ds_jvalue *out)
{
    const ds_jrow *row = ds_jfilter_named(filter->name, filter->n);
    ds_jarguments  a;
    ds_jvalue      of = *text;
    RT_TRY(ds_jenter(r));
    if (filter->a) RT_TRY(filter_text(r, filter->a, text, &of));
    r->depth--;
    DS_JCHECK(r, row, "the filter '%.*s' is not supported", (int)(filter->n < 40 ? filter->n : 40), filter->name);
    RT_TRY(ds_jread_arguments(r, filter->list, &a));
    return ds_jinvoke(r, row, &of, &a, out);
}

static rt_status execute_print(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue v;
    RT_TRY(ds_jeval(r, n->a, &v));
    return ds_jstr(r, r->out, &v);
}

static rt_status execute_if(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue v;
    for (; n; n = n->other) {
        if (n->a) RT_TRY(ds_jeval(r, n->a, &v));
        if (!n->a || ds_jtrue(&v)) return ds_jexecute(r, n->body);
    }
    return RT_OK;
}

static rt_status execute_set(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue v;
    RT_TRY(ds_jeval(r, n->b, &v));
    return ds_jassign(r, n->a, &v);
}

static rt_status execute_set_block(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue v;
    RT_TRY(capture_apart(r, n->body, &v));
    if (n->b) RT_TRY(filter_text(r, n->b, &v, &v));
    return ds_jassign(r, n->a, &v);
}

static rt_status execute_filter_block(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue v;
    RT_TRY(capture_apart(r, n->body, &v));
    RT_TRY(filter_text(r, n->b, &v, &v));
    return ds_jstr(r, r->out, &v);
}

static rt_status make_macro(ds_jrun *r, const ds_jnode *n, ds_jvalue *out)
{
    ds_jmacro *m;
    RT_TRY(DS_JNEW(&r->arena, m, 1));
    *m   = (ds_jmacro){n, r->scope};
    *out = (ds_jvalue){.kind = DS_JMACRO, .macro = m};
    return RT_OK;
}

static rt_status execute_macro(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue v;
    RT_TRY(make_macro(r, n, &v));
    return ds_jset(r, n->name, n->n, v);
}

static rt_status execute_call_block(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue     callee, caller, v;
    ds_jarguments a;
    ds_jdict     *named;
    RT_TRY(ds_jeval(r, n->a->a, &callee));
    RT_TRY(ds_jread_arguments(r, n->a->list, &a));
    RT_TRY(ds_jdict_new(r, &named));
    for (int64_t i = 0; a.named && i < a.named->n; i++) RT_TRY(ds_jdict_set(r, named, a.named->key[i], a.named->value[i]));
    RT_TRY(make_macro(r, n->other, &caller));
    RT_TRY(ds_jdict_set(r, named, ds_jtext("caller", 6), caller));
    a.named = named;
    RT_TRY(ds_jcall_value(r, &callee, &a, &v));
    return ds_jstr(r, r->out, &v);
}

/* The values of a `with` are evaluated before its names are set. */
static rt_status execute_with(ds_jrun *r, const ds_jnode *n)
{
    ds_jscope *outer = r->scope, *inner;
    ds_jvalue  v;
    RT_TRY(ds_jscope_open(r, outer));
    inner = r->scope;
    for (const ds_jnode *set = n->list; set; set = set->next) {
        r->scope = outer;
        RT_TRY(ds_jeval(r, set->b, &v));
        r->scope = inner;
        RT_TRY(ds_jassign(r, set->a, &v));
    }
    RT_TRY(ds_jexecute(r, n->body));
    r->scope = outer;
    return RT_OK;
}

static rt_status execute_scope(ds_jrun *r, const ds_jnode *n)
{
    ds_jvalue text;
    RT_TRY(capture_apart(r, n->body, &text));
    return ds_jstr(r, r->out, &text);
}

static rt_status execute_leave(ds_jrun *r, const ds_jnode *n)
{
    r->flow = n->kind == DS_JN_BREAK ? DS_JBREAK : DS_JCONTINUE;
    return RT_OK;
}

static rt_status execute_one(ds_jrun *r, const ds_jnode *n)
{
    switch (n->kind) {
    case DS_JN_TEXT: return ds_jput(r, r->out, n->name, n->n);
    case DS_JN_PRINT: return execute_print(r, n);
    case DS_JN_IF: return execute_if(r, n);
    case DS_JN_FOR: return ds_jfor(r, n);
    case DS_JN_SET: return execute_set(r, n);
    case DS_JN_SET_BLOCK: return execute_set_block(r, n);
    case DS_JN_MACRO: return execute_macro(r, n);
    case DS_JN_CALL_BLOCK: return execute_call_block(r, n);
    case DS_JN_FILTER_BLOCK: return execute_filter_block(r, n);
    case DS_JN_WITH: return execute_with(r, n);
    case DS_JN_SCOPE: return execute_scope(r, n);
    default: return execute_leave(r, n);
    }
}

rt_status ds_jexecute(ds_jrun *r, const ds_jnode *body)
{
    rt_status st = RT_OK;
    RT_TRY(ds_jenter(r));
    for (const ds_jnode *n = body; n && st == RT_OK && !r->flow; n = n->next) {
        r->line = n->line;
        st      = execute_one(r, n);
    }
    r->depth--;
    return st;
}
