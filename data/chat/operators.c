/* operators.c -- arithmetic on values, as in Python.  Integers have 64 bits; a larger one is an error. */
#include "data/chat/eval.h"
#include <math.h>
#include <string.h>

static int both_whole(const ds_jvalue *a, const ds_jvalue *b) { return a->kind != DS_JFLOAT && b->kind != DS_JFLOAT; }

/* Division rounds towards minus infinity, and the rest has the divisor's sign. */
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

static double float_mod(double a, double b)
{
    const double m = fmod(a, b);
    return m != 0 && (m < 0) != (b < 0) ? m + b : m == 0 ? copysign(0, b) : m;
}

static double float_floor_div(double a, double b)
{
    const double m = float_mod(a, b), q = (a - m) / b, whole = floor(q);
    return q == 0 ? copysign(0, a / b) : q - whole > 0.5 ? whole + 1 : whole;
}

static rt_status int_power(ds_jrun *r, int64_t a, int64_t b, ds_jvalue *out)
{
    int64_t v    = 1;
    int     over = 0;
    if (a == 0 || a == 1) v = b == 0 || a == 1;
    else if (a == -1) v = b % 2 ? -1 : 1;
    else
        for (; b > 0 && !over; b--) over = __builtin_mul_overflow(v, a, &v);
    DS_JCHECK(r, !over, "a power is larger than 64 bits");
    *out = ds_jint(v);
    return RT_OK;
}

static rt_status int_arithmetic(ds_jrun *r, char op, int64_t a, int64_t b, ds_jvalue *out)
{
    int64_t v    = 0;
    int     over = 0;
    switch (op) {
    case '+': over = __builtin_add_overflow(a, b, &v); break;
    case '-': over = __builtin_sub_overflow(a, b, &v); break;
    case '*': over = __builtin_mul_overflow(a, b, &v); break;
    case 'd':
        over = a == INT64_MIN && b == -1;
        v    = over ? 0 : floor_div(a, b);
        break;
    default: v = b == -1 ? 0 : a - b * floor_div(a, b); break;
    }
    DS_JCHECK(r, !over, "the result of '%c' is larger than 64 bits", op == 'd' ? '/' : op);
    *out = ds_jint(v);
    return RT_OK;
}

static rt_status float_arithmetic(ds_jrun *r, char op, double a, double b, ds_jvalue *out)
{
    switch (op) {
    case '+': *out = ds_jfloat(a + b); break;
    case '-': *out = ds_jfloat(a - b); break;
    case '*': *out = ds_jfloat(a * b); break;
    case '/': *out = ds_jfloat(a / b); break;
    case 'd': *out = ds_jfloat(float_floor_div(a, b)); break;
    case '%': *out = ds_jfloat(float_mod(a, b)); break;
    default:
        DS_JCHECK(r, a >= 0 || b == floor(b), "a negative number has no power %g", b);
        DS_JCHECK(r, a != 0 || b >= 0, "0 has no negative power");
        *out = ds_jfloat(pow(a, b));
    }
    return RT_OK;
}

/* op: one of + - * / % and d for //, p for **. */
static rt_status arithmetic(ds_jrun *r, char op, const ds_jvalue *a, const ds_jvalue *b, ds_jvalue *out)
{
    DS_JCHECK(r, !strchr("/d%", op) || ds_jreal(b) != 0, "division by zero");
    if (both_whole(a, b) && op == 'p' && b->i >= 0) return int_power(r, a->i, b->i, out);
    if (both_whole(a, b) && op != '/' && op != 'p') return int_arithmetic(r, op, a->i, b->i, out);
    return float_arithmetic(r, op, ds_jreal(a), ds_jreal(b), out);
}

/* ---- texts and lists ---------------------------------------------------------------------------------- */

static rt_status join_values(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, ds_jvalue *out)
{
    ds_jout    o = {0};
    ds_jvalues l = {0};
    if (a->kind == DS_JTEXT) {
        RT_TRY(ds_jput(r, &o, a->p, (size_t)a->n));
        RT_TRY(ds_jput(r, &o, b->p, (size_t)b->n));
        *out = ds_jbuilt(&o);
        return RT_OK;
    }
    for (int64_t i = 0; i < a->n; i++) RT_TRY(ds_jadd(r, &l, a->v[i]));
    for (int64_t i = 0; i < b->n; i++) RT_TRY(ds_jadd(r, &l, b->v[i]));
    *out = a->kind == DS_JLIST ? ds_jlist(l.v, l.n) : ds_jtuple(l.v, l.n);
    return RT_OK;
}

static rt_status repeat_value(ds_jrun *r, const ds_jvalue *a, int64_t times, ds_jvalue *out)
{
    ds_jout    o = {0};
    ds_jvalues l = {0};
    for (; times > 0 && a->n; times--) {
        if (a->kind == DS_JTEXT) RT_TRY(ds_jput(r, &o, a->p, (size_t)a->n));
        else
            for (int64_t i = 0; i < a->n; i++) RT_TRY(ds_jadd(r, &l, a->v[i]));
    }
    *out = a->kind == DS_JTEXT ? ds_jbuilt(&o) : a->kind == DS_JLIST ? ds_jlist(l.v, l.n) : ds_jtuple(l.v, l.n);
    return RT_OK;
}

static int is_sequence(const ds_jvalue *v) { return v->kind == DS_JTEXT || v->kind == DS_JLIST || v->kind == DS_JTUPLE; }
static int is_whole_number(const ds_jvalue *v) { return v->kind == DS_JINT || v->kind == DS_JBOOL; }
static int is_safe(const ds_jvalue *v) { return v->kind == DS_JTEXT && v->how; }

rt_status ds_jbinary(ds_jrun *r, const char *op, size_t n, const ds_jvalue *a, const ds_jvalue *b, ds_jvalue *out)
{
    const char kind = n == 2 ? (*op == '/' ? 'd' : 'p') : *op;
    DS_JCHECK(r, a->kind != DS_JUNDEFINED, "%s", a->p);
    DS_JCHECK(r, b->kind != DS_JUNDEFINED, "%s", b->p);
    DS_JCHECK(r, !is_safe(a) && !is_safe(b), "'%.*s' of a text that the filter safe marked is not supported", (int)n, op);
    DS_JCHECK(r, kind != '%' || a->kind != DS_JTEXT, "formatting a text with %% is not supported");
    if (ds_jnumber(a) && ds_jnumber(b)) return arithmetic(r, kind, a, b, out);
    if (kind == '+' && a->kind == b->kind && is_sequence(a)) return join_values(r, a, b, out);
    if (kind == '*' && is_sequence(a) && is_whole_number(b)) return repeat_value(r, a, b->i, out);
    if (kind == '*' && is_sequence(b) && is_whole_number(a)) return repeat_value(r, b, a->i, out);
    DS_JFAIL(r, "'%.*s' does not apply to a %s and a %s", (int)n, op, ds_jtype(a), ds_jtype(b));
}

rt_status ds_jsign(ds_jrun *r, int minus, const ds_jvalue *v, ds_jvalue *out)
{
    DS_JCHECK(r, v->kind != DS_JUNDEFINED, "%s", v->p);
    DS_JCHECK(r, ds_jnumber(v), "a sign does not apply to a %s", ds_jtype(v));
    if (v->kind == DS_JFLOAT) {
        *out = ds_jfloat(minus ? -v->f : v->f);
        return RT_OK;
    }
    return minus ? int_arithmetic(r, '-', 0, v->i, out) : int_arithmetic(r, '+', 0, v->i, out);
}
