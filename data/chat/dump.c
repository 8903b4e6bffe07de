/* dump.c -- json.dumps, as Python writes JSON. */
#include "data/chat/value.h"
#include "data/tokenizer/unicode.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static rt_status dump_char(ds_jrun *r, ds_jout *o, const char *p, size_t len, int ascii)
{
    static const char *const short_ones[] = {['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    const uint32_t           c            = ds_utf8_decode(p, len);
    char                     text[16];
    if (c == '"' || c == '\\') RT_TRY(ds_jputs(r, o, "\\"));
    if (c < sizeof short_ones / sizeof *short_ones && short_ones[c]) return ds_jputs(r, o, short_ones[c]);
    if (c >= 0x20 && (c < 0x7f || !ascii)) return ds_jput(r, o, p, len);
    if (c < 0x10000) snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    else snprintf(text, sizeof text, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (c >> 10)), (unsigned)(0xdc00 | (c & 0x3ff)));
    return ds_jputs(r, o, text);
}

static rt_status dump_text(ds_jrun *r, ds_jout *o, const ds_jvalue *v, int ascii)
{
    RT_TRY(ds_jputs(r, o, "\""));
    for (size_t i = 0, n = (size_t)v->n, len; i < n; i += len) {
        len = ds_utf8_size(v->p[i]);
        RT_TRY(dump_char(r, o, v->p + i, len, ascii));
    }
    return ds_jputs(r, o, "\"");
}

static rt_status dump_float(ds_jrun *r, ds_jout *o, const ds_jvalue *v)
{
    if (isfinite(v->f)) return ds_jrepr(r, o, v);
    return ds_jputs(r, o, isnan(v->f) ? "NaN" : v->f < 0 ? "-Infinity" : "Infinity");
}

/* ---- lists and dicts ------------------------------------------------------------------------------ */

static rt_status dump_value(ds_jrun *r, ds_jout *o, const ds_jvalue *v, const ds_jdump *how, int level);

static rt_status dump_line(ds_jrun *r, ds_jout *o, const ds_jdump *how, int level)
{
    if (!how->indent) return RT_OK;
    RT_TRY(ds_jputs(r, o, "\n"));
    for (int i = 0; i < level; i++) RT_TRY(ds_jput(r, o, how->indent, how->indent_n));
    return RT_OK;
}

static rt_status dump_list(ds_jrun *r, ds_jout *o, const ds_jvalue *v, const ds_jdump *how, int level)
{
    if (!v->n) return ds_jputs(r, o, "[]");
    RT_TRY(ds_jputs(r, o, "["));
    for (int64_t i = 0; i < v->n; i++) {
        if (i) RT_TRY(ds_jput(r, o, how->item, how->item_n));
        RT_TRY(dump_line(r, o, how, level + 1));
        RT_TRY(dump_value(r, o, &v->v[i], how, level + 1));
    }
    RT_TRY(dump_line(r, o, how, level));
    return ds_jputs(r, o, "]");
}

/* A key is a text, or a number, a truth value or None, which become texts. */
static rt_status dump_key(ds_jrun *r, ds_jout *o, const ds_jvalue *key, const ds_jdump *how)
{
    ds_jout   text = {0};
    ds_jvalue k    = *key;
    DS_JCHECK(r, k.kind == DS_JTEXT || k.kind == DS_JNONE || ds_jnumber(&k), "a key of a dict in tojson cannot be a %s", ds_jtype(key));
    if (k.kind != DS_JTEXT) {
        RT_TRY(dump_value(r, &text, key, how, 0));
        k = ds_jbuilt(&text);
    }
    return dump_text(r, o, &k, how->ascii);
}

/* Returns the pairs of a dict in the order in which they are written. */
static rt_status dump_order(ds_jrun *r, const ds_jdict *d, int sort, ds_jvalue *out)
{
    ds_jvalues l = {0};
    ds_jvalue  pair;
    for (int64_t i = 0; i < d->n; i++) {
        RT_TRY(ds_jpair(r, d->key[i], d->value[i], &pair));
        RT_TRY(ds_jadd(r, &l, pair));
    }
    if (sort) RT_TRY(ds_jsort(r, l.v, d->key, l.n, 0));
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}

static rt_status dump_dict(ds_jrun *r, ds_jout *o, const ds_jdict *d, const ds_jdump *how, int level)
{
    ds_jvalue pairs = {0};
    if (!d->n) return ds_jputs(r, o, "{}");
    RT_TRY(dump_order(r, d, how->sort, &pairs));
    RT_TRY(ds_jputs(r, o, "{"));
    for (int64_t i = 0; i < pairs.n; i++) {
        if (i) RT_TRY(ds_jput(r, o, how->item, how->item_n));
        RT_TRY(dump_line(r, o, how, level + 1));
        RT_TRY(dump_key(r, o, &pairs.v[i].v[0], how));
        RT_TRY(ds_jput(r, o, how->key, how->key_n));
        RT_TRY(dump_value(r, o, &pairs.v[i].v[1], how, level + 1));
    }
    RT_TRY(dump_line(r, o, how, level));
    return ds_jputs(r, o, "}");
}

static rt_status dump_any(ds_jrun *r, ds_jout *o, const ds_jvalue *v, const ds_jdump *how, int level)
{
    switch (v->kind) {
    case DS_JNONE: return ds_jputs(r, o, "null");
    case DS_JBOOL: return ds_jputs(r, o, v->i ? "true" : "false");
    case DS_JINT: return ds_jrepr(r, o, v);
    case DS_JFLOAT: return dump_float(r, o, v);
    case DS_JTEXT: return dump_text(r, o, v, how->ascii);
    case DS_JLIST:
    case DS_JTUPLE: return dump_list(r, o, v, how, level);
    case DS_JDICT: return dump_dict(r, o, v->dict, how, level);
    case DS_JUNDEFINED: DS_JFAIL(r, "tojson of an undefined value: %s", v->p);
    default: DS_JFAIL(r, "tojson cannot write a %s", ds_jtype(v));
    }
}

static rt_status dump_value(ds_jrun *r, ds_jout *o, const ds_jvalue *v, const ds_jdump *how, int level)
{
    RT_TRY(ds_jenter(r));
    const rt_status st = dump_any(r, o, v, how, level);
    r->depth--;
    return st;
}

rt_status ds_jjson(ds_jrun *r, ds_jout *o, const ds_jvalue *v, const ds_jdump *how) { return dump_value(r, o, v, how, 0); }
