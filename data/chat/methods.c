/* methods.c -- which attributes the types have in Python: methods that templates may call, and others, which are refused by name. */
#include "data/chat/eval.h"
#include <string.h>

/* ---- dicts, lists and tuples -------------------------------------------------------------------------- */

static rt_status dict_view(ds_jrun *r, ds_jcall *c, int how, ds_jvalue *out)
{
    *out = (ds_jvalue){.kind = DS_JVIEW, .how = how, .dict = c->self->dict};
    return ds_jwork(r, 0);
}

static rt_status method_keys(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return dict_view(r, c, DS_JKEYS, out); }
static rt_status method_values(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return dict_view(r, c, DS_JVALUES, out); }
static rt_status method_items(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return dict_view(r, c, DS_JITEMS, out); }

static rt_status method_get(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue *v;
    RT_TRY(ds_jdict_find(r, c->self->dict, &c->v[0], &v));
    *out = v ? *v : c->v[1].kind == DS_JABSENT ? ds_jnone() : c->v[1];
    return RT_OK;
}

/* Values do not change, so a copy is the value. */
static rt_status method_copy(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    *out = *c->self;
    return ds_jwork(r, 0);
}

static rt_status method_count_equal(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int64_t n = 0;
    int     yes;
    for (int64_t i = 0; i < c->self->n; i++) {
        RT_TRY(ds_jequal(r, &c->self->v[i], &c->v[0], &yes));
        n += yes;
    }
    *out = ds_jint(n);
    return RT_OK;
}

static rt_status method_index_of(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int yes;
    for (int64_t i = 0; i < c->self->n; i++) {
        RT_TRY(ds_jequal(r, &c->self->v[i], &c->v[0], &yes));
        if (!yes) continue;
        *out = ds_jint(i);
        return RT_OK;
    }
    DS_JFAIL(r, "'index': the element is not in the %s", ds_jtype(c->self));
}

static const ds_jrow dict_methods[] = {{"keys", "/", method_keys},           {"values", "/", method_values}, {"items", "/", method_items},
                                       {"get", "/key default?", method_get}, {"copy", "/", method_copy},     {0}};
static const ds_jrow list_methods[] = {
    {"count", "/value", method_count_equal}, {"index", "/value", method_index_of}, {"copy", "/", method_copy}, {0}};
static const ds_jrow tuple_methods[] = {{"count", "/value", method_count_equal}, {"index", "/value", method_index_of}, {0}};
static const ds_jrow no_methods[]    = {{0}};

/* ---- attributes that templates cannot use -------------------------------------------------------------------- */

typedef struct kind_names {
    ds_jkind       kind;
    const ds_jrow *methods;
    const char    *changing; /* methods that change the value: Jinja's sandbox has them undefined */
    const char    *others;   /* attributes that exist in Python */
} kind_names;

#define NUMBER "as_integer_ratio conjugate fromhex from_bytes hex imag is_integer numerator denominator real bit_length bit_count to_bytes"
static const kind_names kinds[] = {
    {DS_JTEXT, ds_jtext_methods, "",
     "casefold center encode expandtabs format format_map isascii isidentifier isprintable istitle ljust maketrans rjust swapcase translate zfill"},
    {DS_JDICT, dict_methods, "clear pop popitem setdefault update", "fromkeys"},
    {DS_JLIST, list_methods, "append clear extend insert pop remove reverse sort", ""},
    {DS_JTUPLE, tuple_methods, "", ""},
    {DS_JBOOL, no_methods, "", NUMBER},
    {DS_JINT, no_methods, "", NUMBER},
    {DS_JFLOAT, no_methods, "", NUMBER},
    {DS_JVIEW, no_methods, "", "isdisjoint mapping"},
    {DS_JSPAN, no_methods, "", "count index start stop step"},
    {DS_JITER, no_methods, "", "close send throw"},
};

static int among(const char *words, const char *name, size_t n)
{
    for (size_t len; *words; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        if (len == n && !memcmp(words, name, n)) return 1;
    }
    return 0;
}

rt_status ds_jmethod_named(ds_jrun *r, const ds_jvalue *v, const char *name, size_t n, ds_jvalue *out)
{
    const kind_names  *k = NULL;
    struct ds_jmethod *m;
    *out = (ds_jvalue){.kind = DS_JABSENT};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == v->kind) k = &kinds[i];
    if (!k) return RT_OK;
    const ds_jrow *row = ds_jrow_named(k->methods, name, n);
    DS_JCHECK(r, !among(k->others, name, n), "'%.*s' of a %s is not supported", (int)n, name, ds_jtype(v));
    DS_JCHECK(r, !row || v->kind != DS_JTEXT || !v->how, "'%s' of a text that the filter safe marked is not supported", row->name);
    if (among(k->changing, name, n)) return ds_jundefined(r, out, "'%.*s' would change a %s", (int)n, name, ds_jtype(v));
    if (!row) return RT_OK;
    RT_TRY(DS_JNEW(&r->arena, m, 1));
    *m   = (struct ds_jmethod){row, *v};
    *out = (ds_jvalue){.kind = DS_JMETHOD, .method = m};
    return RT_OK;
}
