/* filters_list.c -- filters that look at a whole sequence: length, first, join, sort and the like; default. */
#include "data/chat/eval.h"
#include <string.h>

static rt_status filter_length(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int64_t n;
    RT_TRY(ds_jlength(r, c->self, &n));
    *out = ds_jint(n);
    return RT_OK;
}

static rt_status filter_first(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jiter *i;
    int       got;
    RT_TRY(ds_jiterate(r, c->self, &i));
    RT_TRY(i->next(r, i, out, &got));
    return got ? RT_OK : ds_jundefined(r, out, "the sequence has no first item");
}

static rt_status filter_last(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue l;
    DS_JCHECK(r, c->self->kind != DS_JITER, "'last' does not apply to a generator; apply the filter list first");
    RT_TRY(ds_jelements(r, c->self, &l));
    if (!l.n) return ds_jundefined(r, out, "the sequence has no last item");
    *out = l.v[l.n - 1];
    return RT_OK;
}

static rt_status filter_list(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return ds_jelements(r, c->self, out); }

static rt_status filter_default(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const int missing = c->self->kind == DS_JUNDEFINED || (ds_jtrue(&c->v[1]) && !ds_jtrue(c->self));
    *out              = missing ? c->v[0].kind == DS_JABSENT ? ds_jtext("", 0) : c->v[0] : *c->self;
    return ds_jwork(r, 0);
}

static rt_status filter_join(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue none = {0};
    ds_jout         o    = {0};
    ds_jvalue       mark = ds_jtext("", 0), l, v;
    if (c->v[0].kind != DS_JABSENT) RT_TRY(ds_jstr_of(r, &c->v[0], &mark));
    RT_TRY(ds_jelements(r, c->self, &l));
    for (int64_t i = 0; i < l.n; i++) {
        RT_TRY(ds_jpath(r, &l.v[i], &c->v[1], &none, &v));
        if (i) RT_TRY(ds_jput(r, &o, mark.p, (size_t)mark.n));
        RT_TRY(ds_jstr(r, &o, &v));
    }
    *out = ds_jbuilt(&o);
    return RT_OK;
}

/* ---- sorting ------------------------------------------------------------------------------------------- */

/* Texts are compared in lower case unless the case counts. */
static rt_status sort_key(ds_jrun *r, const ds_jvalue *v, const ds_jvalue *attribute, int with_case, ds_jvalue *out)
{
    const ds_jvalue none = {0};
    ds_jout         o    = {0};
    RT_TRY(ds_jpath(r, v, attribute, &none, out));
    if (out->kind != DS_JTEXT || with_case) return RT_OK;
    RT_TRY(ds_jput_case(r, &o, out->p, (size_t)out->n, DS_JLOWER));
    *out = ds_jbuilt(&o);
    return RT_OK;
}

static rt_status copy_elements(ds_jrun *r, const ds_jvalue *of, ds_jvalues *l)
{
    ds_jvalue all;
    RT_TRY(ds_jelements(r, of, &all));
    for (int64_t i = 0; i < all.n; i++) RT_TRY(ds_jadd(r, l, all.v[i]));
    return RT_OK;
}

/* Sorts a list by the keys of its elements. */
static rt_status sort_values(ds_jrun *r, ds_jvalues *l, const ds_jvalue *attribute, int with_case, int down)
{
    ds_jvalues keys = {0};
    ds_jvalue  key;
    DS_JCHECK(r, attribute->kind != DS_JTEXT || !memchr(attribute->p, ',', (size_t)attribute->n),
              "'sort' by several attributes is not supported");
    for (int64_t i = 0; i < l->n; i++) {
        RT_TRY(sort_key(r, &l->v[i], attribute, with_case, &key));
        RT_TRY(ds_jadd(r, &keys, key));
    }
    return ds_jsort(r, l->v, keys.v, l->n, down);
}

static rt_status filter_sort(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalues l = {0};
    RT_TRY(copy_elements(r, c->self, &l));
    RT_TRY(sort_values(r, &l, &c->v[2], ds_jtrue(&c->v[1]), ds_jtrue(&c->v[0])));
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}

/* Pairs of a dict, sorted by their keys or values. */
static rt_status filter_dictsort(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue  by = ds_jtext("key", 3), view;
    ds_jvalues l  = {0};
    RT_TRY(ds_jargument_text(r, c, 1, &by));
    DS_JCHECK(r, ds_jis(&by, "key") || ds_jis(&by, "value"), "'dictsort' sorts by 'key' or 'value'");
    DS_JCHECK(r, c->self->kind == DS_JDICT, "'dictsort' takes a dict, found a %s", ds_jtype(c->self));
    view = (ds_jvalue){.kind = DS_JVIEW, .how = DS_JITEMS, .dict = c->self->dict};
    RT_TRY(copy_elements(r, &view, &l));
    const ds_jvalue place = ds_jint(ds_jis(&by, "value"));
    RT_TRY(sort_values(r, &l, &place, ds_jtrue(&c->v[0]), ds_jtrue(&c->v[2])));
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}

/* The least or the greatest element; the first of equal ones. */
static rt_status filter_extreme(ds_jrun *r, ds_jcall *c, int greatest, ds_jvalue *out)
{
    ds_jvalue l, key, best = {0};
    int       better = 1;
    RT_TRY(ds_jelements(r, c->self, &l));
    if (!l.n) return ds_jundefined(r, out, "the sequence is empty");
    for (int64_t i = 0; i < l.n; i++) {
        RT_TRY(sort_key(r, &l.v[i], &c->v[1], ds_jtrue(&c->v[0]), &key));
        if (i) RT_TRY(greatest ? ds_jless(r, &best, &key, &better) : ds_jless(r, &key, &best, &better));
        if (better) best = key, *out = l.v[i];
    }
    return RT_OK;
}

static rt_status filter_min(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return filter_extreme(r, c, 0, out); }
static rt_status filter_max(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return filter_extreme(r, c, 1, out); }

static rt_status filter_sum(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue none = {0};
    ds_jvalue       l, v, sum = c->v[1].kind == DS_JABSENT ? ds_jint(0) : c->v[1];
    RT_TRY(ds_jelements(r, c->self, &l));
    for (int64_t i = 0; i < l.n; i++) {
        RT_TRY(ds_jpath(r, &l.v[i], &c->v[0], &none, &v));
        RT_TRY(ds_jbinary(r, "+", 1, &sum, &v, &sum));
    }
    *out = sum;
    return RT_OK;
}

const ds_jrow ds_jlist_filters[] = {{"length", "", filter_length},
                                    {"count", "", filter_length},
                                    {"first", "", filter_first},
                                    {"last", "", filter_last},
                                    {"list", "", filter_list},
                                    {"default", "default_value? boolean?", filter_default},
                                    {"d", "default_value? boolean?", filter_default},
                                    {"join", "d? attribute?", filter_join},
                                    {"sort", "reverse? case_sensitive? attribute?", filter_sort},
                                    {"dictsort", "case_sensitive? by? reverse?", filter_dictsort},
                                    {"min", "case_sensitive? attribute?", filter_min},
                                    {"max", "case_sensitive? attribute?", filter_max},
                                    {"sum", "attribute? start?", filter_sum},
                                    {0}};
