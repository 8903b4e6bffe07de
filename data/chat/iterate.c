/* iterate.c -- reading the elements of values; their length, items and slices, as in Python. */
#include "data/chat/value.h"
#include "data/tokenizer/unicode.h"
#include <string.h>

/* ---- the iterators of each kind --------------------------------------------------------------------- */

static rt_status next_element(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    *got = i->at < i->of.n;
    if (*got) *out = i->of.v[i->at++];
    return ds_jwork(r, 0);
}

static rt_status next_char(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    *got = i->at < i->of.n;
    if (!*got) return RT_OK;
    const size_t len = ds_utf8_size(i->of.p[i->at]);
    *out             = ds_jtext(i->of.p + i->at, len);
    i->at += (int64_t)len;
    return ds_jwork(r, 0);
}

static rt_status next_pair(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    const ds_jdict *d   = i->of.dict;
    const int       how = i->of.kind == DS_JVIEW ? i->of.how : DS_JKEYS;
    *got                = i->at < d->n;
    RT_TRY(ds_jwork(r, 0));
    if (!*got) return RT_OK;
    const int64_t at = i->at++;
    if (how == DS_JITEMS) return ds_jpair(r, d->key[at], d->value[at], out);
    *out = how == DS_JKEYS ? d->key[at] : d->value[at];
    return RT_OK;
}

static rt_status next_of_span(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    const ds_jspan *s = i->of.span;
    *got              = i->at < s->n;
    if (*got) *out = ds_jint(s->start + s->step * i->at++);
    return ds_jwork(r, 0);
}

static rt_status next_nothing(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got)
{
    (void)i, (void)out;
    *got = 0;
    return ds_jwork(r, 0);
}

static ds_jnext reader_of(ds_jkind kind)
{
    switch (kind) {
    case DS_JUNDEFINED: return next_nothing;
    case DS_JTEXT: return next_char;
    case DS_JLIST:
    case DS_JTUPLE: return next_element;
    case DS_JDICT:
    case DS_JVIEW: return next_pair;
    case DS_JSPAN: return next_of_span;
    default: return NULL;
    }
}

rt_status ds_jiterate(ds_jrun *r, const ds_jvalue *v, ds_jiter **out)
{
    const ds_jnext next = reader_of(v->kind);
    ds_jiter      *i    = NULL;
    if (v->kind == DS_JITER) i = v->iter;
    else {
        DS_JCHECK(r, next, "a %s has no elements to iterate over", ds_jtype(v));
        RT_TRY(DS_JNEW(&r->arena, i, 1));
        *i = (ds_jiter){.next = next, .of = *v};
    }
    *out = i;
    return RT_OK;
}

rt_status ds_jelements(ds_jrun *r, const ds_jvalue *v, ds_jvalue *out)
{
    ds_jvalues l = {0};
    ds_jiter  *i;
    ds_jvalue  e;
    int        got;
    if (v->kind == DS_JLIST || v->kind == DS_JTUPLE) {
        *out = ds_jlist(v->v, v->n);
        return ds_jwork(r, v->n);
    }
    RT_TRY(ds_jiterate(r, v, &i));
    for (;;) {
        RT_TRY(i->next(r, i, &e, &got));
        if (!got) break;
        RT_TRY(ds_jadd(r, &l, e));
    }
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}

rt_status ds_jlength(ds_jrun *r, const ds_jvalue *v, int64_t *n)
{
    switch (v->kind) {
    case DS_JUNDEFINED: *n = 0; return RT_OK;
    case DS_JTEXT: *n = ds_jchars(v->p, (size_t)v->n); return ds_jwork(r, v->n);
    case DS_JLIST:
    case DS_JTUPLE: *n = v->n; return RT_OK;
    case DS_JDICT:
    case DS_JVIEW: *n = v->dict->n; return RT_OK;
    case DS_JSPAN: *n = v->span->n; return RT_OK;
    default: DS_JFAIL(r, "a %s has no length", ds_jtype(v));
    }
}

/* ---- items ------------------------------------------------------------------------------------------------ */

static rt_status element_at(ds_jrun *r, const ds_jvalue *of, int64_t at, ds_jvalue *out)
{
    int64_t n;
    RT_TRY(ds_jlength(r, of, &n));
    if (at < 0) at += n;
    if (at < 0 || at >= n)
        return ds_jundefined(r, out, "a %s of %lld elements has no element %lld", ds_jtype(of), (long long)n, (long long)at);
    if (of->kind == DS_JTEXT) {
        const size_t from = ds_jchar_at(of->p, (size_t)of->n, at);
        *out              = ds_jtext(of->p + from, ds_utf8_size(of->p[from]));
        out->how          = of->how;
    } else if (of->kind == DS_JSPAN) *out = ds_jint(of->span->start + of->span->step * at);
    else *out = of->v[at];
    return RT_OK;
}

static int has_elements(const ds_jvalue *v)
{
    return v->kind == DS_JTEXT || v->kind == DS_JLIST || v->kind == DS_JTUPLE || v->kind == DS_JSPAN;
}

rt_status ds_jitem(ds_jrun *r, const ds_jvalue *of, const ds_jvalue *key, ds_jvalue *out)
{
    const ds_jvalue *found;
    ds_jout          name = {0};
    DS_JCHECK(r, of->kind != DS_JUNDEFINED, "%s", of->p);
    if (has_elements(of) && (key->kind == DS_JINT || key->kind == DS_JBOOL)) return element_at(r, of, key->i, out);
    if (of->kind == DS_JDICT && key->kind != DS_JLIST && key->kind != DS_JDICT) {
        RT_TRY(ds_jdict_find(r, of->dict, key, &found));
        if (found) {
            *out = *found;
            return RT_OK;
        }
    }
    RT_TRY(ds_jrepr(r, &name, key));
    return ds_jundefined(r, out, "a %s has no item or attribute %.*s", ds_jtype(of), (int)(name.n < 80 ? name.n : 80), name.p);
}

/* ---- slices ------------------------------------------------------------------------------------------------- */

typedef struct slice {
    int64_t from, step, n;
} slice;

static rt_status slice_number(ds_jrun *r, const ds_jvalue *v, int64_t absent, int64_t *out)
{
    DS_JCHECK(r, v->kind == DS_JABSENT || v->kind == DS_JNONE || v->kind == DS_JINT || v->kind == DS_JBOOL,
              "the parts of a slice must be integers, found a %s", ds_jtype(v));
    *out = v->kind == DS_JINT || v->kind == DS_JBOOL ? v->i : absent;
    return RT_OK;
}

static int64_t slice_clip(int64_t v, int64_t n, int64_t step)
{
    const int64_t least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
    if (v < 0) v = v < -n ? -1 : v + n;
    return v < least ? least : v > most ? most : v;
}

/* Sets *s to the elements that from:to:step selects of n. */
static rt_status slice_of(ds_jrun *r, const ds_jvalue part[3], int64_t n, slice *s)
{
    int64_t to = 0;
    RT_TRY(slice_number(r, &part[2], 1, &s->step));
    DS_JCHECK(r, s->step && s->step > -INT64_MAX, "the step of a slice cannot be %lld", (long long)s->step);
    RT_TRY(slice_number(r, &part[0], s->step < 0 ? INT64_MAX : 0, &s->from));
    RT_TRY(slice_number(r, &part[1], s->step < 0 ? INT64_MIN : INT64_MAX, &to));
    s->from = slice_clip(s->from, n, s->step);
    to      = slice_clip(to, n, s->step);
    if (s->step > 0) s->n = to > s->from ? (to - s->from - 1) / s->step + 1 : 0;
    else s->n = to < s->from ? (s->from - to - 1) / -s->step + 1 : 0;
    return RT_OK;
}

static rt_status slice_text(ds_jrun *r, const ds_jvalue *of, const slice *s, ds_jvalue *out)
{
    const size_t n = (size_t)of->n;
    ds_jout      o = {0};
    if (s->step == 1) {
        const size_t from = ds_jchar_at(of->p, n, s->from);
        *out              = ds_jtext(of->p + from, ds_jchar_at(of->p + from, n - from, s->n));
        out->how          = of->how;
        return ds_jwork(r, of->n);
    }
    const int ascii = ds_jchars(of->p, n) == of->n;
    for (int64_t i = 0; i < s->n; i++) {
        const size_t at = ascii ? (size_t)(s->from + i * s->step) : ds_jchar_at(of->p, n, s->from + i * s->step);
        RT_TRY(ds_jput(r, &o, of->p + at, ds_utf8_size(of->p[at])));
        if (!ascii) RT_TRY(ds_jwork(r, of->n));
    }
    *out     = ds_jbuilt(&o);
    out->how = of->how;
    return RT_OK;
}

static rt_status slice_elements(ds_jrun *r, const ds_jvalue *of, const slice *s, ds_jvalue *out)
{
    ds_jvalues l = {0};
    for (int64_t i = 0; i < s->n; i++) RT_TRY(ds_jadd(r, &l, of->v[s->from + i * s->step]));
    *out = of->kind == DS_JLIST ? ds_jlist(l.v, l.n) : ds_jtuple(l.v, l.n);
    return RT_OK;
}

rt_status ds_jslice(ds_jrun *r, const ds_jvalue *of, const ds_jvalue part[3], ds_jvalue *out)
{
    slice   s = {0};
    int64_t n = 0;
    DS_JCHECK(r, of->kind != DS_JUNDEFINED, "%s", of->p);
    DS_JCHECK(r, of->kind != DS_JSPAN, "a slice of range() is not supported; take one of range()|list");
    if (!has_elements(of)) return ds_jundefined(r, out, "a %s has no slices", ds_jtype(of));
    RT_TRY(ds_jlength(r, of, &n));
    RT_TRY(slice_of(r, part, n, &s));
    return of->kind == DS_JTEXT ? slice_text(r, of, &s, out) : slice_elements(r, of, &s, out);
}
