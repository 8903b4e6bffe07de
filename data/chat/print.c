/* print.c -- str() and repr() of values, as Python 3 writes them. */
#include "data/chat/value.h"
#include "data/tokenizer/unicode.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest digits that give the same number; an exponent below 1e-4 and from 1e16 on. */
static rt_status print_float(ds_jrun *r, ds_jout *o, double f)
{
    char text[40], *e;
    int  digits = 1;
    if (!isfinite(f)) return ds_jputs(r, o, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
    do snprintf(text, sizeof text, "%.*e", digits - 1, f);
    while (strtod(text, NULL) != f && digits++ < 17);
    const long power = strtol(strchr(text, 'e') + 1, NULL, 10);
    if (power >= -4 && power < 16) {
        const int decimals = digits - 1 > power ? digits - 1 - (int)power : 1;
        snprintf(text, sizeof text, "%.*f", decimals, f);
    } else if ((e = strchr(text, 'e')) != NULL)
        snprintf(e, (size_t)(text + sizeof text - e), "e%c%02ld", power < 0 ? '-' : '+', labs(power));
    return ds_jputs(r, o, text);
}

static rt_status put_escape(ds_jrun *r, ds_jout *o, uint32_t c)
{
    char text[16];
    snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
    return ds_jputs(r, o, text);
}

/* Single quotes, or double ones where the text holds single quotes and no double ones. */
static rt_status put_quoted(ds_jrun *r, ds_jout *o, const char *p, size_t n)
{
    const char quote = memchr(p, '\'', n) && !memchr(p, '"', n) ? '"' : '\'';
    RT_TRY(ds_jput(r, o, &quote, 1));
    for (size_t i = 0, len; i < n; i += len) {
        len              = ds_utf8_size(p[i]);
        const uint32_t c = ds_utf8_decode(p + i, len);
        const char    *t = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : NULL;
        if (t) RT_TRY(ds_jputs(r, o, t));
        else if (p[i] == quote) RT_TRY(ds_jputs(r, o, "\\'"));
        else if (ds_jprintable(c)) RT_TRY(ds_jput(r, o, p + i, len));
        else RT_TRY(put_escape(r, o, c));
    }
    return ds_jput(r, o, &quote, 1);
}

static rt_status print_marked(ds_jrun *r, ds_jout *o, const ds_jvalue *v)
{
    if (v->how & DS_JSAFE) RT_TRY(ds_jputs(r, o, "Markup("));
    RT_TRY(put_quoted(r, o, v->p, (size_t)v->n));
    return v->how & DS_JSAFE ? ds_jputs(r, o, ")") : RT_OK;
}

static rt_status put_elements(ds_jrun *r, ds_jout *o, const ds_jvalue *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (i) RT_TRY(ds_jputs(r, o, ", "));
        RT_TRY(ds_jrepr(r, o, &v[i]));
    }
    return RT_OK;
}

static rt_status print_pairs(ds_jrun *r, ds_jout *o, const ds_jdict *d)
{
    for (int64_t i = 0; i < d->n; i++) {
        if (i) RT_TRY(ds_jputs(r, o, ", "));
        RT_TRY(ds_jrepr(r, o, &d->key[i]));
        RT_TRY(ds_jputs(r, o, ": "));
        RT_TRY(ds_jrepr(r, o, &d->value[i]));
    }
    return RT_OK;
}

static rt_status print_view(ds_jrun *r, ds_jout *o, const ds_jvalue *v)
{
    ds_jvalue l;
    RT_TRY(ds_jelements(r, v, &l));
    RT_TRY(ds_jputs(r, o, v->how == DS_JKEYS ? "dict_keys([" : v->how == DS_JVALUES ? "dict_values([" : "dict_items(["));
    RT_TRY(put_elements(r, o, l.v, l.n));
    return ds_jputs(r, o, "])");
}

static rt_status put_span(ds_jrun *r, ds_jout *o, const ds_jspan *s)
{
    char text[100];
    snprintf(text, sizeof text, s->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)", (long long)s->start, (long long)s->stop,
             (long long)s->step);
    return ds_jputs(r, o, text);
}

static rt_status put_between(ds_jrun *r, ds_jout *o, const char *open, const ds_jvalue *v, const char *close)
{
    RT_TRY(ds_jputs(r, o, open));
    RT_TRY(v->kind == DS_JDICT ? print_pairs(r, o, v->dict) : put_elements(r, o, v->v, v->n));
    return ds_jputs(r, o, close);
}

static rt_status print_value(ds_jrun *r, ds_jout *o, const ds_jvalue *v)
{
    char number[32];
    switch (v->kind) {
    case DS_JUNDEFINED: return ds_jputs(r, o, "Undefined");
    case DS_JNONE: return ds_jputs(r, o, "None");
    case DS_JBOOL: return ds_jputs(r, o, v->i ? "True" : "False");
    case DS_JINT: snprintf(number, sizeof number, "%lld", (long long)v->i); return ds_jputs(r, o, number);
    case DS_JFLOAT: return print_float(r, o, v->f);
    case DS_JTEXT: return print_marked(r, o, v);
    case DS_JLIST: return put_between(r, o, "[", v, "]");
    case DS_JTUPLE: return put_between(r, o, "(", v, v->n == 1 ? ",)" : ")");
    case DS_JDICT: return put_between(r, o, "{", v, "}");
    case DS_JVIEW: return print_view(r, o, v);
    case DS_JSPAN: return put_span(r, o, v->span);
    default: DS_JFAIL(r, "the text of a %s holds an address in Python and is not supported", ds_jtype(v));
    }
}

rt_status ds_jrepr(ds_jrun *r, ds_jout *o, const ds_jvalue *v)
{
    RT_TRY(ds_jenter(r));
    const rt_status st = print_value(r, o, v);
    r->depth--;
    return st;
}

rt_status ds_jstr(ds_jrun *r, ds_jout *o, const ds_jvalue *v)
{
    if (v->kind == DS_JTEXT) return ds_jput(r, o, v->p, (size_t)v->n);
    return v->kind == DS_JUNDEFINED ? RT_OK : ds_jrepr(r, o, v);
}

rt_status ds_jstr_of(ds_jrun *r, const ds_jvalue *v, ds_jvalue *text)
{
    ds_jout o = {0};
    if (v->kind == DS_JTEXT) *text = *v;
    else {
        RT_TRY(ds_jstr(r, &o, v));
        *text = ds_jbuilt(&o);
    }
    return RT_OK;
}
