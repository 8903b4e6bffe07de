/* tests.c -- tests: what stands after `is`. */
#include "data/chat/characters.h"
#include "data/chat/eval.h"
#include <math.h>
#include <string.h>

static rt_status test_defined(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    *out = ds_jbool(c->self->kind != DS_JUNDEFINED);
    return ds_jwork(r, 0);
}

static rt_status test_undefined(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    *out = ds_jbool(c->self->kind == DS_JUNDEFINED);
    return ds_jwork(r, 0);
}

/* ---- kinds ------------------------------------------------------------------------------------------- */

#define KIND_TEST(name, condition)                                        \
    static rt_status test_##name(ds_jrun *r, ds_jcall *c, ds_jvalue *out) \
    {                                                                     \
        const ds_jvalue *v = c->self;                                     \
        *out               = ds_jbool(condition);                         \
        return ds_jwork(r, 0);                                            \
    }
KIND_TEST(none, v->kind == DS_JNONE)
KIND_TEST(boolean, v->kind == DS_JBOOL)
KIND_TEST(true, v->kind == DS_JBOOL && v->i)
KIND_TEST(false, v->kind == DS_JBOOL && !v->i)
KIND_TEST(integer, v->kind == DS_JINT)
KIND_TEST(float, v->kind == DS_JFLOAT)
KIND_TEST(number, ds_jnumber(v))
KIND_TEST(string, v->kind == DS_JTEXT)
KIND_TEST(mapping, v->kind == DS_JDICT)
KIND_TEST(callable, v->kind == DS_JUNDEFINED || v->kind >= DS_JMACRO)
KIND_TEST(sequence, v->kind == DS_JUNDEFINED || (v->kind >= DS_JTEXT && v->kind <= DS_JDICT) || v->kind == DS_JSPAN)
KIND_TEST(iterable, v->kind == DS_JUNDEFINED || (v->kind >= DS_JTEXT && v->kind <= DS_JSPAN) || v->kind == DS_JITER || v->kind == DS_JLOOP)

/* None, True and False are single objects in Python; whether others are the same object depends on Python's memory. */
static rt_status test_sameas(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue *a = c->self, *b = &c->v[0];
    DS_JCHECK(r, b->kind == DS_JNONE || b->kind == DS_JBOOL, "'sameas' is supported for none, true and false, found a %s", ds_jtype(b));
    *out = ds_jbool(a->kind == b->kind && (a->kind == DS_JNONE || a->i == b->i));
    return RT_OK;
}

/* ---- comparisons ------------------------------------------------------------------------------------------ */

static rt_status test_eq(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int yes;
    RT_TRY(ds_jequal(r, c->self, &c->v[0], &yes));
    *out = ds_jbool(yes);
    return RT_OK;
}

static rt_status test_ne(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    RT_TRY(test_eq(r, c, out));
    out->i = !out->i;
    return RT_OK;
}

static rt_status test_lt(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int yes;
    RT_TRY(ds_jless(r, c->self, &c->v[0], &yes));
    *out = ds_jbool(yes);
    return RT_OK;
}

static rt_status test_gt(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int yes;
    RT_TRY(ds_jless(r, &c->v[0], c->self, &yes));
    *out = ds_jbool(yes);
    return RT_OK;
}

static rt_status test_le(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue equal = {0};
    RT_TRY(test_lt(r, c, out));
    RT_TRY(test_eq(r, c, &equal));
    out->i |= equal.i;
    return RT_OK;
}

static rt_status test_ge(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue equal = {0};
    RT_TRY(test_gt(r, c, out));
    RT_TRY(test_eq(r, c, &equal));
    out->i |= equal.i;
    return RT_OK;
}

static rt_status test_in(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int yes;
    RT_TRY(ds_jin(r, c->self, &c->v[0], &yes));
    *out = ds_jbool(yes);
    return RT_OK;
}

/* ---- numbers and letters ------------------------------------------------------------------------------------- */

static rt_status test_rest(ds_jrun *r, ds_jcall *c, const ds_jvalue *by, int64_t rest, ds_jvalue *out)
{
    const ds_jvalue want = ds_jint(rest);
    ds_jvalue       have;
    int             yes;
    RT_TRY(ds_jbinary(r, "%", 1, c->self, by, &have));
    RT_TRY(ds_jequal(r, &have, &want, &yes));
    *out = ds_jbool(yes);
    return RT_OK;
}

static rt_status test_odd(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue two = ds_jint(2);
    return test_rest(r, c, &two, 1, out);
}

static rt_status test_even(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue two = ds_jint(2);
    return test_rest(r, c, &two, 0, out);
}

static rt_status test_divisibleby(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return test_rest(r, c, &c->v[0], 0, out); }

/* str.islower and str.isupper: some character has a case, and every one that has one has this one. */
static rt_status test_case(ds_jrun *r, ds_jcall *c, int upper, ds_jvalue *out)
{
    ds_jvalue t;
    RT_TRY(ds_jstr_of(r, c->self, &t));
    RT_TRY(ds_jwork(r, t.n));
    *out = ds_jbool(ds_jall_case(t.p, (size_t)t.n, upper));
    return RT_OK;
}

static rt_status test_lower(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return test_case(r, c, 0, out); }
static rt_status test_upper(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return test_case(r, c, 1, out); }

static const ds_jrow rows[] = {{"defined", "", test_defined},
                               {"undefined", "", test_undefined},
                               {"none", "", test_none},
                               {"boolean", "", test_boolean},
                               {"true", "", test_true},
                               {"false", "", test_false},
                               {"integer", "", test_integer},
                               {"float", "", test_float},
                               {"number", "", test_number},
                               {"string", "", test_string},
                               {"mapping", "", test_mapping},
                               {"callable", "", test_callable},
                               {"sequence", "", test_sequence},
                               {"iterable", "", test_iterable},
                               {"sameas", "other", test_sameas},
                               {"==", "/other", test_eq},
                               {"eq", "/other", test_eq},
                               {"equalto", "/other", test_eq},
                               {"!=", "/other", test_ne},
                               {"ne", "/other", test_ne},
                               {"<", "/other", test_lt},
                               {"lt", "/other", test_lt},
                               {"lessthan", "/other", test_lt},
                               {">", "/other", test_gt},
                               {"gt", "/other", test_gt},
                               {"greaterthan", "/other", test_gt},
                               {"<=", "/other", test_le},
                               {"le", "/other", test_le},
                               {">=", "/other", test_ge},
                               {"ge", "/other", test_ge},
                               {"in", "seq", test_in},
                               {"odd", "", test_odd},
                               {"even", "", test_even},
                               {"divisibleby", "num", test_divisibleby},
                               {"lower", "", test_lower},
                               {"upper", "", test_upper},
                               {0}};

const ds_jrow *ds_jtest_named(const char *name, size_t n) { return ds_jrow_named(rows, name, n); }
