/* filters_text.c -- filters whose result is a text or a number. */
#include "data/chat/eval.h"
#include "data/chat/strip.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rt_status filter_upper(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jout   o = {0};
    ds_jvalue t;
    RT_TRY(ds_jstr_of(r, c->self, &t));
    RT_TRY(ds_jput_case(r, &o, t.p, (size_t)t.n, DS_JUPPER));
    *out     = ds_jbuilt(&o);
    out->how = t.how;
    return RT_OK;
}

static rt_status filter_lower(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jout   o = {0};
    ds_jvalue t;
    RT_TRY(ds_jstr_of(r, c->self, &t));
    RT_TRY(ds_jput_case(r, &o, t.p, (size_t)t.n, DS_JLOWER));
    *out     = ds_jbuilt(&o);
    out->how = t.how;
    return RT_OK;
}

static rt_status filter_capitalize(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jout   o = {0};
    ds_jvalue t;
    RT_TRY(ds_jstr_of(r, c->self, &t));
    RT_TRY(ds_jput_capital(r, &o, t.p, (size_t)t.n));
    *out     = ds_jbuilt(&o);
    out->how = t.how;
    return RT_OK;
}

/* Jinja's title: words begin after space and - ( { [ <, so an apostrophe begins none. */
static rt_status filter_title(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jout   o = {0};
    ds_jvalue t;
    RT_TRY(ds_jstr_of(r, c->self, &t));
    for (size_t i = 0, n = (size_t)t.n, end; i < n; i = end) {
        const size_t space = ds_jspace_at(t.p + i, n - i), len = space ? space : strchr("-({[<", t.p[i]) && t.p[i] ? 1 : 0;
        end = i + len;
        if (len) {
            RT_TRY(ds_jput(r, &o, t.p + i, len));
            continue;
        }
        while (end < n && !ds_jspace_at(t.p + end, n - end) && !(strchr("-({[<", t.p[end]) && t.p[end])) end++;
        const size_t first = ds_jchar_at(t.p + i, end - i, 1);
        RT_TRY(ds_jput_case(r, &o, t.p + i, first, DS_JUPPER));
        RT_TRY(ds_jput_case(r, &o, t.p + i + first, end - i - first, DS_JLOWER));
    }
    *out = ds_jbuilt(&o);
    return RT_OK;
}

static rt_status filter_trim(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue t, set = ds_jnone();
    RT_TRY(ds_jstr_of(r, c->self, &t));
    if (c->v[0].kind != DS_JNONE) RT_TRY(ds_jargument_text(r, c, 0, &set));
    *out = ds_jstrip(&t, &set, DS_JSTRIP_BOTH);
    return ds_jwork(r, t.n);
}

static rt_status filter_replace(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue t, from, to;
    int64_t   count = -1;
    RT_TRY(ds_jstr_of(r, c->self, &t));
    RT_TRY(ds_jstr_of(r, &c->v[0], &from));
    RT_TRY(ds_jstr_of(r, &c->v[1], &to));
    if (c->v[2].kind != DS_JNONE) RT_TRY(ds_jargument_int(r, c, 2, &count));
    return ds_jreplace(r, &t, &from, &to, count, out);
}

static rt_status filter_string(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return ds_jstr_of(r, c->self, out); }

static rt_status filter_safe(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    RT_TRY(ds_jstr_of(r, c->self, out));
    out->how = DS_JSAFE;
    return RT_OK;
}

/* ---- indent ------------------------------------------------------------------------------------------- */

static rt_status indent_width(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jout o     = {0};
    int64_t width = 4;
    if (c->v[0].kind == DS_JTEXT) {
        *out = c->v[0];
        return RT_OK;
    }
    RT_TRY(ds_jargument_int(r, c, 0, &width));
    for (; width > 0; width--) RT_TRY(ds_jputs(r, &o, " "));
    *out = ds_jbuilt(&o);
    return RT_OK;
}

/* Lines after the first are indented, and the first too if `first`; empty ones only if `blank`. */
static rt_status filter_indent(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const int first = ds_jtrue(&c->v[1]), blank = ds_jtrue(&c->v[2]);
    ds_jout   o     = {0};
    ds_jvalue width = {0}, lines = {0}, t = *c->self;
    DS_JCHECK(r, t.kind == DS_JTEXT, "'indent' takes a text, found a %s", ds_jtype(&t));
    RT_TRY(indent_width(r, c, &width));
    RT_TRY(ds_jlines(r, &t, 1, &lines));
    for (int64_t i = 0; i < lines.n; i++) {
        if (i) RT_TRY(ds_jputs(r, &o, "\n"));
        if (i ? lines.v[i].n || blank : first) RT_TRY(ds_jput(r, &o, width.p, (size_t)width.n));
        RT_TRY(ds_jput(r, &o, lines.v[i].p, (size_t)lines.v[i].n));
    }
    *out     = ds_jbuilt(&o);
    out->how = t.how;
    return RT_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------------------- */

static rt_status json_indent(ds_jrun *r, const ds_jvalue *v, ds_jdump *how)
{
    ds_jout o = {0};
    if (v->kind == DS_JABSENT || v->kind == DS_JNONE) return RT_OK;
    DS_JCHECK(r, v->kind == DS_JTEXT || v->kind == DS_JINT || v->kind == DS_JBOOL, "the indent of tojson cannot be a %s", ds_jtype(v));
    if (v->kind == DS_JTEXT) RT_TRY(ds_jput(r, &o, v->p, (size_t)v->n));
    for (int64_t i = 0; v->kind != DS_JTEXT && i < v->i; i++) RT_TRY(ds_jputs(r, &o, " "));
    how->indent   = ds_jbuilt(&o).p;
    how->indent_n = o.n;
    how->item_n   = 1; /* no space at the end of a line */
    return RT_OK;
}

static rt_status json_separators(ds_jrun *r, const ds_jvalue *v, ds_jdump *how)
{
    if (v->kind == DS_JABSENT || v->kind == DS_JNONE) return RT_OK;
    DS_JCHECK(r, (v->kind == DS_JTUPLE || v->kind == DS_JLIST) && v->n == 2 && v->v[0].kind == DS_JTEXT && v->v[1].kind == DS_JTEXT,
              "the separators of tojson must be two texts");
    how->item = v->v[0].p, how->item_n = (size_t)v->v[0].n;
    how->key = v->v[1].p, how->key_n = (size_t)v->v[1].n;
    return RT_OK;
}

static rt_status filter_tojson(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jdump how = {.ascii = ds_jtrue(&c->v[0]), .sort = ds_jtrue(&c->v[3]), .item = ", ", .item_n = 2, .key = ": ", .key_n = 2};
    ds_jout  o   = {0};
    RT_TRY(json_indent(r, &c->v[1], &how));
    RT_TRY(json_separators(r, &c->v[2], &how));
    RT_TRY(ds_jjson(r, &o, c->self, &how));
    *out = ds_jbuilt(&o);
    return RT_OK;
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

/* Reads a whole text, space around it left out, as Python's int() and float() do; *ok: it is a number. */
static void text_number(const ds_jvalue *t, int real, ds_jvalue *out, int *ok)
{
    const ds_jvalue none = ds_jnone(), s = ds_jstrip(t, &none, DS_JSTRIP_BOTH);
    char            text[64] = "", *end;
    *ok                      = 0;
    if (s.n < 1 || s.n > 63) return;
    memcpy(text, s.p, (size_t)s.n);
    if (strspn(text, real ? "+-0123456789.eE" : "+-0123456789") != (size_t)s.n) return;
    *out = real ? ds_jfloat(strtod(text, &end)) : ds_jint(strtoll(text, &end, 10));
    *ok  = !*end && (real || (out->i != INT64_MAX && out->i != INT64_MIN));
}

static rt_status filter_number(ds_jrun *r, const ds_jcall *c, int real, ds_jvalue *out, int *ok)
{
    const ds_jvalue *v = c->self;
    *ok                = ds_jnumber(v);
    if (v->kind == DS_JTEXT) text_number(v, real, out, ok);
    if (!*ok && v->kind == DS_JTEXT && !real) text_number(v, 1, out, ok);
    DS_JCHECK(r, v->kind != DS_JUNDEFINED, "%s", v->p);
    if (ds_jnumber(v)) *out = *v;
    return RT_OK;
}

static rt_status filter_int(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue v;
    int64_t   base = 10;
    int       ok;
    RT_TRY(ds_jargument_int(r, c, 1, &base));
    DS_JCHECK(r, base == 10, "the filter int takes base 10, found %lld", (long long)base);
    RT_TRY(filter_number(r, c, 0, &v, &ok));
    if (ok && v.kind == DS_JFLOAT && !isfinite(v.f)) ok = 0;
    DS_JCHECK(r, !ok || v.kind != DS_JFLOAT || fabs(v.f) < 0x1p63, "the filter int gives a number of more than 64 bits");
    if (ok) *out = ds_jint(v.kind == DS_JFLOAT ? (int64_t)v.f : v.i);
    else *out = c->v[0].kind == DS_JABSENT ? ds_jint(0) : c->v[0];
    return RT_OK;
}

static rt_status filter_float(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue v;
    int       ok;
    RT_TRY(filter_number(r, c, 1, &v, &ok));
    if (ok) *out = ds_jfloat(ds_jreal(&v));
    else *out = c->v[0].kind == DS_JABSENT ? ds_jfloat(0) : c->v[0];
    return RT_OK;
}

static rt_status filter_abs(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    DS_JCHECK(r, ds_jnumber(c->self), "'abs' takes a number, found a %s", ds_jtype(c->self));
    return ds_jsign(r, ds_jreal(c->self) < 0, c->self, out);
}

/* printf rounds halves of exact binary values to even, as Python does. */
static rt_status filter_round(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue method = ds_jtext("common", 6);
    int64_t   digits = 0;
    char      text[400];
    RT_TRY(ds_jargument_int(r, c, 0, &digits));
    RT_TRY(ds_jargument_text(r, c, 1, &method));
    DS_JCHECK(r, ds_jnumber(c->self), "'round' takes a number, found a %s", ds_jtype(c->self));
    DS_JCHECK(r, digits >= 0 && digits <= 20, "'round' takes 0 to 20 digits, found %lld", (long long)digits);
    const double f = ds_jreal(c->self), power = pow(10, (double)digits);
    if (ds_jis(&method, "ceil") || ds_jis(&method, "floor")) {
        *out = ds_jfloat((ds_jis(&method, "ceil") ? ceil(f * power) : floor(f * power)) / power);
        return RT_OK;
    }
    DS_JCHECK(r, ds_jis(&method, "common"), "the method of 'round' must be common, ceil or floor");
    snprintf(text, sizeof text, "%.*f", (int)digits, f);
    *out = c->self->kind == DS_JFLOAT ? ds_jfloat(strtod(text, NULL)) : ds_jint(c->self->i);
    return RT_OK;
}

const ds_jrow ds_jtext_filters[] = {{"upper", "", filter_upper},
                                    {"lower", "", filter_lower},
                                    {"capitalize", "", filter_capitalize},
                                    {"title", "", filter_title},
                                    {"trim", "chars?", filter_trim},
                                    {"replace", "old new count?", filter_replace},
                                    {"string", "", filter_string},
                                    {"safe", "", filter_safe},
                                    {"indent", "width? first? blank?", filter_indent},
                                    {"tojson", "ensure_ascii? indent? separators? sort_keys?", filter_tojson},
                                    {"int", "default? base?", filter_int},
                                    {"float", "default?", filter_float},
                                    {"abs", "", filter_abs},
                                    {"round", "precision? method?", filter_round},
                                    {0}};
