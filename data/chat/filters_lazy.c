/* filters_lazy.c -- filters that return a generator, whose elements are computed when they are read: map, select and their kind. */
#include "data/chat/eval.h"
#include <string.h>

typedef struct lazy {                /* what a generator does with each element */
    const ds_jrow *row;              /* a filter (map) or a test (select); NULL: the element itself, or its truth */
    ds_jarguments  rest;             /* the arguments of row */
    ds_jvalue      attribute, other; /* an attribute of the element that is looked at, and what stands for an undefined one */
    int            reject;           /* keeps elements for which the test is false */
    ds_jvalues     seen;             /* unique: the keys so far */
    int            with_case;
    int64_t        size; /* batch */
} lazy;

static rt_status lazy_make(ds_jrun *r, const ds_jcall *c, ds_jnext next, const lazy *l, ds_jvalue *out)
{
    ds_jiter *i;
    lazy     *copy;
    RT_TRY(DS_JNEW(&r->arena, i, 1));
    RT_TRY(DS_JNEW(&r->arena, copy, 1));
    *copy = *l;
    *i    = (ds_jiter){.next = next, .how = copy};
    RT_TRY(ds_jiterate(r, c->self, &i->from));
    *out = (ds_jvalue){.kind = DS_JITER, .iter = i};
    return RT_OK;
}

/* Takes the name of a filter or test from argument `at`, and the arguments after it. */
static rt_status lazy_function(ds_jrun *r, const ds_jcall *c, int64_t at, int filter, lazy *l)
{
    const ds_jvalue *name = &c->all->v[at];
    DS_JCHECK(r, name->kind == DS_JTEXT, "'%s' takes the name of a %s, found a %s", c->what, filter ? "filter" : "test", ds_jtype(name));
    l->row = filter ? ds_jfilter_named(name->p, (size_t)name->n) : ds_jtest_named(name->p, (size_t)name->n);
    DS_JCHECK(r, l->row, "the %s '%.*s' is not supported", filter ? "filter" : "test", (int)(name->n < 40 ? name->n : 40), name->p);
    l->rest = (ds_jarguments){.v = name + 1, .n = c->all->n - at - 1, .named = c->all->named};
    return RT_OK;
}

/* ---- map ------------------------------------------------------------------------------------------- */

static rt_status next_mapped(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    const lazy *l = i->how;
    ds_jvalue   v;
    RT_TRY(i->from->next(r, i->from, &v, got));
    if (!*got) return RT_OK;
    return l->row ? ds_jinvoke(r, l->row, &v, &l->rest, out) : ds_jpath(r, &v, &l->attribute, &l->other, out);
}

static rt_status filter_map(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue  key = ds_jtext("attribute", 9), other = ds_jtext("default", 7);
    const ds_jvalue *v = NULL;
    lazy             l = {0};
    if (c->all->n) RT_TRY(lazy_function(r, c, 0, 1, &l));
    else {
        if (c->all->named) RT_TRY(ds_jdict_find(r, c->all->named, &key, &v));
        DS_JCHECK(r, v, "'map' requires the name of a filter or an attribute");
        l.attribute = *v;
        RT_TRY(ds_jdict_find(r, c->all->named, &other, &v));
        if (v) l.other = *v;
        DS_JCHECK(r, c->all->named->n == 1 + (v != NULL), "'map' by attribute takes 'attribute' and 'default' only");
    }
    return lazy_make(r, c, next_mapped, &l, out);
}

/* ---- select, reject, selectattr, rejectattr ---------------------------------------------------------------- */

static rt_status lazy_wants(ds_jrun *r, const lazy *l, const ds_jvalue *v, int *yes)
{
    const ds_jvalue none = {0};
    ds_jvalue       of, result;
    RT_TRY(ds_jpath(r, v, &l->attribute, &none, &of));
    result = of;
    if (l->row) RT_TRY(ds_jinvoke(r, l->row, &of, &l->rest, &result));
    *yes = ds_jtrue(&result) != l->reject;
    return RT_OK;
}

static rt_status next_selected(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    int yes = 0;
    do {
        RT_TRY(i->from->next(r, i->from, out, got));
        if (*got) RT_TRY(lazy_wants(r, i->how, out, &yes));
    } while (*got && !yes);
    return RT_OK;
}

static rt_status lazy_select(ds_jrun *r, ds_jcall *c, int attribute, int reject, ds_jvalue *out)
{
    lazy l = {.reject = reject};
    DS_JCHECK(r, c->all->n >= attribute, "'%s' requires the name of an attribute", c->what);
    if (attribute) l.attribute = c->all->v[0];
    if (c->all->n > attribute) RT_TRY(lazy_function(r, c, attribute, 0, &l));
    return lazy_make(r, c, next_selected, &l, out);
}

static rt_status filter_select(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return lazy_select(r, c, 0, 0, out); }
static rt_status filter_reject(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return lazy_select(r, c, 0, 1, out); }
static rt_status filter_selectattr(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return lazy_select(r, c, 1, 0, out); }
static rt_status filter_rejectattr(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return lazy_select(r, c, 1, 1, out); }

/* ---- unique, reverse, batch, items ------------------------------------------------------------------------------ */

static rt_status unique_key(ds_jrun *r, const lazy *l, const ds_jvalue *v, ds_jvalue *key)
{
    const ds_jvalue none = {0};
    ds_jout         o    = {0};
    RT_TRY(ds_jpath(r, v, &l->attribute, &none, key));
    if (key->kind != DS_JTEXT || l->with_case) return RT_OK;
    RT_TRY(ds_jput_case(r, &o, key->p, (size_t)key->n, DS_JLOWER));
    *key = ds_jbuilt(&o);
    return RT_OK;
}

static rt_status next_unique(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    lazy     *l = (lazy *)i->how;
    ds_jvalue key, all;
    for (int seen = 1; seen;) {
        RT_TRY(i->from->next(r, i->from, out, got));
        if (!*got) return RT_OK;
        RT_TRY(unique_key(r, l, out, &key));
        DS_JCHECK(r, key.kind != DS_JLIST && key.kind != DS_JDICT, "'unique' cannot compare elements of type %s", ds_jtype(&key));
        all = ds_jlist(l->seen.v, l->seen.n);
        RT_TRY(ds_jin(r, &key, &all, &seen));
    }
    return ds_jadd(r, &l->seen, key);
}

static rt_status filter_unique(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const lazy l = {.with_case = ds_jtrue(&c->v[0]), .attribute = c->v[1]};
    return lazy_make(r, c, next_unique, &l, out);
}

static rt_status filter_reverse(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue part[3]  = {{0}, {0}, ds_jint(-1)};
    const int       sequence = c->self->kind == DS_JTEXT || c->self->kind == DS_JITER;
    ds_jvalue       v        = *c->self;
    if (v.kind != DS_JTEXT) RT_TRY(ds_jelements(r, c->self, &v));
    RT_TRY(ds_jslice(r, &v, part, &v));
    *out = v;
    if (sequence) return RT_OK;
    *out = (ds_jvalue){.kind = DS_JITER};
    return ds_jiterate(r, &v, &out->iter);
}

static rt_status next_batch(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    const lazy *l     = i->how;
    ds_jvalues  batch = {0};
    ds_jvalue   v;
    for (*got = 1; *got && batch.n < l->size;) {
        RT_TRY(i->from->next(r, i->from, &v, got));
        if (*got) RT_TRY(ds_jadd(r, &batch, v));
    }
    while (batch.n && batch.n < l->size && l->other.kind != DS_JABSENT && l->other.kind != DS_JNONE) RT_TRY(ds_jadd(r, &batch, l->other));
    *got = batch.n > 0;
    *out = ds_jlist(batch.v, batch.n);
    return RT_OK;
}

static rt_status filter_batch(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    lazy l = {.other = c->v[1]};
    RT_TRY(ds_jargument_int(r, c, 0, &l.size));
    DS_JCHECK(r, l.size >= 1 && l.size <= DS_JRANGE, "'batch' takes a size from 1 to %d, found %lld", DS_JRANGE, (long long)l.size);
    return lazy_make(r, c, next_batch, &l, out);
}

static rt_status filter_items(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue v = *c->self;
    DS_JCHECK(r, v.kind == DS_JDICT || v.kind == DS_JUNDEFINED, "'items' takes a dict, found a %s", ds_jtype(&v));
    if (v.kind == DS_JDICT) v = (ds_jvalue){.kind = DS_JVIEW, .how = DS_JITEMS, .dict = v.dict};
    *out = (ds_jvalue){.kind = DS_JITER};
    return ds_jiterate(r, &v, &out->iter);
}

const ds_jrow ds_jlazy_filters[] = {{"map", "*", filter_map},
                                    {"select", "*", filter_select},
                                    {"reject", "*", filter_reject},
                                    {"selectattr", "*", filter_selectattr},
                                    {"rejectattr", "*", filter_rejectattr},
                                    {"unique", "case_sensitive? attribute?", filter_unique},
                                    {"reverse", "", filter_reverse},
                                    {"batch", "linecount fill_with?", filter_batch},
                                    {"items", "", filter_items},
                                    {0}};

const ds_jrow *ds_jfilter_named(const char *name, size_t n)
{
    static const ds_jrow *const tables[] = {ds_jtext_filters, ds_jlist_filters, ds_jlazy_filters};
    const ds_jrow              *row      = NULL;
    for (size_t i = 0; !row && i < sizeof tables / sizeof *tables; i++) row = ds_jrow_named(tables[i], name, n);
    return row;
}
