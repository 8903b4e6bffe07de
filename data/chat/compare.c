/* compare.c -- types, truth, equality and order of values, as in Python. */
#include "data/chat/value.h"
#include <string.h>

const char *ds_jtype(const ds_jvalue *v)
{
    static const char *const names[] = {"nothing",   "Undefined", "NoneType", "bool",   "int",       "float",
                                        "str",       "list",      "tuple",    "dict",   "dict view", "range",
                                        "Namespace", "generator", "Macro",    "method", "function",  "LoopContext"};
    return names[v->kind];
}

int ds_jtrue(const ds_jvalue *v)
{
    switch (v->kind) {
    case DS_JABSENT:
    case DS_JUNDEFINED:
    case DS_JNONE: return 0;
    case DS_JBOOL:
    case DS_JINT: return v->i != 0;
    case DS_JFLOAT: return v->f != 0;
    case DS_JTEXT:
    case DS_JLIST:
    case DS_JTUPLE: return v->n > 0;
    case DS_JDICT:
    case DS_JVIEW: return v->dict->n > 0;
    case DS_JSPAN: return v->span->n > 0;
    default: return 1;
    }
}

/* ---- equality ------------------------------------------------------------------------------------ */

static rt_status elements_equal(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    *yes = a->n == b->n;
    for (int64_t i = 0; *yes && i < a->n; i++) RT_TRY(ds_jequal(r, &a->v[i], &b->v[i], yes));
    return RT_OK;
}

static rt_status dicts_equal(ds_jrun *r, const ds_jdict *a, const ds_jdict *b, int *yes)
{
    const ds_jvalue *v;
    *yes = a->n == b->n;
    for (int64_t i = 0; *yes && i < a->n; i++) {
        RT_TRY(ds_jdict_find(r, b, &a->key[i], &v));
        *yes = v != NULL;
        if (v) RT_TRY(ds_jequal(r, &a->value[i], v, yes));
    }
    return RT_OK;
}

static rt_status same_kind_equal(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    switch (a->kind) {
    case DS_JUNDEFINED:
    case DS_JNONE: *yes = 1; return RT_OK;
    case DS_JTEXT: *yes = a->n == b->n && !memcmp(a->p, b->p, (size_t)a->n); return ds_jwork(r, a->n);
    case DS_JLIST:
    case DS_JTUPLE: return elements_equal(r, a, b, yes);
    case DS_JDICT: return dicts_equal(r, a->dict, b->dict, yes);
    case DS_JSPAN: DS_JFAIL(r, "range() objects are not compared here; compare lists of them");
    case DS_JVIEW: DS_JFAIL(r, "keys(), values() and items() are not compared here; compare lists of them");
    default: *yes = a->p == b->p; return RT_OK;
    }
}

rt_status ds_jequal(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    *yes = 0;
    if (ds_jnumber(a) && ds_jnumber(b)) {
        *yes = a->kind != DS_JFLOAT && b->kind != DS_JFLOAT ? a->i == b->i : ds_jreal(a) == ds_jreal(b);
        return ds_jwork(r, 0);
    }
    if (a->kind != b->kind) return ds_jwork(r, 0);
    RT_TRY(ds_jenter(r));
    const rt_status st = same_kind_equal(r, a, b, yes);
    r->depth--;
    return st;
}

/* ---- order ---------------------------------------------------------------------------------------- */

/* UTF-8 orders texts as Python does, by code points. */
static rt_status text_less(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    const int64_t n = a->n < b->n ? a->n : b->n;
    const int     d = memcmp(a->p, b->p, (size_t)n);
    *yes            = d < 0 || (d == 0 && a->n < b->n);
    return ds_jwork(r, n);
}

static rt_status elements_less(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    int same = 1;
    for (int64_t i = 0; i < a->n && i < b->n; i++) {
        RT_TRY(ds_jequal(r, &a->v[i], &b->v[i], &same));
        if (!same) return ds_jless(r, &a->v[i], &b->v[i], yes);
    }
    *yes = a->n < b->n;
    return RT_OK;
}

static rt_status both_less(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    if (ds_jnumber(a) && ds_jnumber(b)) {
        *yes = a->kind != DS_JFLOAT && b->kind != DS_JFLOAT ? a->i < b->i : ds_jreal(a) < ds_jreal(b);
        return RT_OK;
    }
    if (a->kind == DS_JTEXT && b->kind == DS_JTEXT) return text_less(r, a, b, yes);
    if (a->kind == b->kind && (a->kind == DS_JLIST || a->kind == DS_JTUPLE)) return elements_less(r, a, b, yes);
    if (a->kind == DS_JUNDEFINED || b->kind == DS_JUNDEFINED) DS_JFAIL(r, "%s", a->kind == DS_JUNDEFINED ? a->p : b->p);
    DS_JFAIL(r, "a %s and a %s have no order", ds_jtype(a), ds_jtype(b));
}

rt_status ds_jless(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    RT_TRY(ds_jenter(r));
    const rt_status st = both_less(r, a, b, yes);
    r->depth--;
    return st;
}

/* ---- membership -------------------------------------------------------------------------------------- */

rt_status ds_jin(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes)
{
    const ds_jvalue *found;
    ds_jiter        *i;
    ds_jvalue        v;
    int              got;
    *yes = 0;
    if (b->kind == DS_JTEXT) {
        DS_JCHECK(r, a->kind == DS_JTEXT, "'in' of a text takes a text on its left, found a %s", ds_jtype(a));
        *yes = ds_jfind(b->p, (size_t)b->n, a->p, (size_t)a->n) != NULL;
        return ds_jwork(r, b->n);
    }
    if (b->kind == DS_JDICT || (b->kind == DS_JVIEW && b->how == DS_JKEYS)) {
        RT_TRY(ds_jdict_find(r, b->dict, a, &found));
        *yes = found != NULL;
        return RT_OK;
    }
    RT_TRY(ds_jiterate(r, b, &i));
    for (;;) {
        RT_TRY(i->next(r, i, &v, &got));
        if (!got) return RT_OK;
        RT_TRY(ds_jequal(r, &v, a, yes));
        if (*yes) return RT_OK;
    }
}

/* ---- sorting: a stable merge sort, because a comparison may fail ----------------------------------------- */

typedef struct sorted {
    ds_jvalue v, by;
} sorted;

static rt_status sort_merge(ds_jrun *r, sorted *s, sorted *work, int64_t n, int down)
{
    const int64_t half = n / 2;
    int64_t       i = 0, j = half, k = 0;
    int           second;
    if (n < 2) return RT_OK;
    RT_TRY(sort_merge(r, s, work, half, down));
    RT_TRY(sort_merge(r, s + half, work, n - half, down));
    while (i < half && j < n) {
        RT_TRY(down ? ds_jless(r, &s[i].by, &s[j].by, &second) : ds_jless(r, &s[j].by, &s[i].by, &second));
        work[k++] = second ? s[j++] : s[i++];
    }
    while (i < half) work[k++] = s[i++];
    memcpy(s, work, (size_t)k * sizeof *s);
    return RT_OK;
}

rt_status ds_jsort(ds_jrun *r, ds_jvalue *v, const ds_jvalue *by, int64_t n, int down)
{
    sorted *s, *work;
    RT_TRY(DS_JNEW(&r->arena, s, n));
    RT_TRY(DS_JNEW(&r->arena, work, n));
    for (int64_t i = 0; i < n; i++) s[i] = (sorted){v[i], by[i]};
    RT_TRY(sort_merge(r, s, work, n, down));
    for (int64_t i = 0; i < n; i++) v[i] = s[i].v;
    return RT_OK;
}
