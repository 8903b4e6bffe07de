/* attribute.c -- attributes and items of values: of.name and of[key]. */
#include "data/chat/eval.h"
#include <string.h>

/* An attribute that is no item; absent: there is none. */
static rt_status attribute_of(ds_jrun *r, const ds_jvalue *of, const char *name, size_t n, ds_jvalue *out)
{
    const ds_jvalue  key = ds_jtext(name, n);
    const ds_jvalue *v   = NULL;
    *out                 = (ds_jvalue){.kind = DS_JABSENT};
    DS_JCHECK(r, of->kind != DS_JUNDEFINED, "%s", of->p);
    DS_JCHECK(r, of->kind != DS_JMACRO && of->kind != DS_JFUNCTION && of->kind != DS_JMETHOD, "attributes of a %s are not supported",
              ds_jtype(of));
    if (n > 3 && !memcmp(name, "__", 2)) return ds_jundefined(r, out, "the attribute '%.*s' is not safe", (int)(n < 80 ? n : 80), name);
    if (of->kind == DS_JLOOP) return ds_jloop_attribute(r, of->loop, name, n, out);
    if (of->kind != DS_JNAMESPACE) return ds_jmethod_named(r, of, name, n, out);
    RT_TRY(ds_jdict_find(r, of->dict, &key, &v));
    if (v) *out = *v;
    return RT_OK;
}

rt_status ds_jattribute(ds_jrun *r, const ds_jvalue *of, const char *name, size_t n, ds_jvalue *out)
{
    const ds_jvalue key = ds_jtext(name, n);
    ds_jvalue       v;
    RT_TRY(attribute_of(r, of, name, n, &v));
    if (v.kind == DS_JABSENT) RT_TRY(ds_jitem(r, of, &key, &v));
    *out = v;
    return RT_OK;
}

rt_status ds_jmember(ds_jrun *r, const ds_jvalue *of, const ds_jvalue *key, ds_jvalue *out)
{
    ds_jvalue v, attribute = {0};
    RT_TRY(ds_jitem(r, of, key, &v));
    if (v.kind == DS_JUNDEFINED && key->kind == DS_JTEXT) RT_TRY(attribute_of(r, of, key->p, (size_t)key->n, &attribute));
    *out = attribute.kind == DS_JABSENT ? v : attribute;
    return RT_OK;
}

/* A part of a path that has only digits is a number. */
static ds_jvalue path_part(const char *p, size_t n)
{
    int64_t v = 0;
    size_t  i = 0;
    for (; i < n && i < 18 && p[i] >= '0' && p[i] <= '9'; i++) v = 10 * v + (p[i] - '0');
    return n && i == n ? ds_jint(v) : ds_jtext(p, n);
}

static rt_status path_step(ds_jrun *r, const ds_jvalue *key, const ds_jvalue *other, ds_jvalue *v)
{
    RT_TRY(ds_jmember(r, v, key, v));
    if (v->kind == DS_JUNDEFINED && other->kind != DS_JABSENT && other->kind != DS_JNONE) *v = *other;
    return RT_OK;
}

rt_status ds_jpath(ds_jrun *r, const ds_jvalue *of, const ds_jvalue *path, const ds_jvalue *other, ds_jvalue *out)
{
    *out = *of;
    if (path->kind == DS_JABSENT || path->kind == DS_JNONE) return RT_OK;
    if (path->kind == DS_JINT) return path_step(r, path, other, out);
    DS_JCHECK(r, path->kind == DS_JTEXT, "an attribute is named by a text or a number, found a %s", ds_jtype(path));
    for (const char *p = path->p, *end = p + path->n;; p++) {
        const char     *dot = memchr(p, '.', (size_t)(end - p));
        const ds_jvalue key = path_part(p, (size_t)((dot ? dot : end) - p));
        RT_TRY(path_step(r, &key, other, out));
        if (!dot) return RT_OK;
        p = dot;
    }
}
