/* value.c -- making values: dicts, growing lists, undefined values, values of JSON. */
#include "data/chat/value.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rt_status ds_jundefined(ds_jrun *r, ds_jvalue *out, const char *fmt, ...)
{
    char    text[200], *copy;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    RT_TRY(DS_JNEW(&r->arena, copy, strlen(text) + 1));
    memcpy(copy, text, strlen(text));
    *out = (ds_jvalue){.kind = DS_JUNDEFINED, .p = copy};
    return RT_OK;
}

rt_status ds_jadd(ds_jrun *r, ds_jvalues *l, ds_jvalue v)
{
    RT_TRY(ds_jwork(r, 0));
    if (l->n == l->cap) {
        const int64_t cap = l->cap ? 2 * l->cap : 8;
        RT_TRY(ds_jgrow(&r->arena, (void **)&l->v, (size_t)l->cap * sizeof v, (size_t)cap * sizeof v));
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return RT_OK;
}

rt_status ds_jpair(ds_jrun *r, ds_jvalue key, ds_jvalue value, ds_jvalue *out)
{
    ds_jvalue *v;
    RT_TRY(DS_JNEW(&r->arena, v, 2));
    v[0] = key, v[1] = value;
    *out = ds_jtuple(v, 2);
    return RT_OK;
}

/* ---- dicts -------------------------------------------------------------------------------------- */

rt_status ds_jdict_new(ds_jrun *r, ds_jdict **out) { return DS_JNEW(&r->arena, *out, 1); }

static int can_hash(const ds_jvalue *v)
{
    if (v->kind == DS_JLIST || v->kind == DS_JDICT || v->kind == DS_JVIEW) return 0;
    for (int64_t i = 0; v->kind == DS_JTUPLE && i < v->n; i++)
        if (v->v[i].kind == DS_JTUPLE || !can_hash(&v->v[i])) return 0;
    return 1;
}

static rt_status dict_index(ds_jrun *r, const ds_jdict *d, const ds_jvalue *key, int64_t *at)
{
    int yes = 0;
    for (*at = 0; *at < d->n; ++*at) {
        RT_TRY(ds_jequal(r, &d->key[*at], key, &yes));
        if (yes) return RT_OK;
    }
    return RT_OK;
}

rt_status ds_jdict_find(ds_jrun *r, const ds_jdict *d, const ds_jvalue *key, const ds_jvalue **out)
{
    int64_t at;
    DS_JCHECK(r, can_hash(key), "a key of a dict cannot be a %s", ds_jtype(key));
    RT_TRY(dict_index(r, d, key, &at));
    *out = at < d->n ? &d->value[at] : NULL;
    return RT_OK;
}

rt_status ds_jdict_set(ds_jrun *r, ds_jdict *d, ds_jvalue key, ds_jvalue value)
{
    int64_t at;
    DS_JCHECK(r, can_hash(&key), "a key of a dict cannot be a %s", ds_jtype(&key));
    RT_TRY(dict_index(r, d, &key, &at));
    if (at == d->cap) {
        const int64_t cap = d->cap ? 2 * d->cap : 8;
        RT_TRY(ds_jgrow(&r->arena, (void **)&d->key, (size_t)d->cap * sizeof key, (size_t)cap * sizeof key));
        RT_TRY(ds_jgrow(&r->arena, (void **)&d->value, (size_t)d->cap * sizeof key, (size_t)cap * sizeof key));
        d->cap = cap;
    }
    if (at == d->n) d->key[d->n++] = key;
    d->value[at] = value;
    return RT_OK;
}

void ds_jdict_remove(ds_jdict *d, const ds_jvalue *value)
{
    const int64_t at = value - d->value;
    d->n--;
    memmove(d->key + at, d->key + at + 1, (size_t)(d->n - at) * sizeof *d->key);
    memmove(d->value + at, d->value + at + 1, (size_t)(d->n - at) * sizeof *d->value);
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

/* Parsed strings hold U+0000 as C0 80. */
static rt_status json_text(ds_jrun *r, const char *s, ds_jvalue *out)
{
    const size_t n = strlen(s);
    char        *copy;
    size_t       m = 0;
    RT_TRY(ds_jwork(r, (int64_t)n));
    *out = ds_jtext(s, n);
    if (rt_utf8_valid(s, n)) return RT_OK;
    RT_TRY(DS_JNEW(&r->arena, copy, n));
    for (size_t i = 0; i < n; i++)
        if (!memcmp(s + i, "\xc0\x80", 2)) copy[m++] = '\0', i++;
        else copy[m++] = s[i];
    *out = ds_jtext(copy, m);
    DS_JCHECK(r, rt_utf8_valid(copy, m), "a text of the messages is not valid UTF-8");
    return RT_OK;
}

/* A number is an int if its digits say so; where the digits were not kept, if it is whole. */
static ds_jvalue json_number(const cJSON *o)
{
    const double f     = o->valuedouble;
    const int    whole = o->valuestring ? !strpbrk(o->valuestring, ".eE") : f == floor(f);
    if (!whole || fabs(f) >= 0x1p63) return ds_jfloat(f);
    return ds_jint(o->valuestring ? strtoll(o->valuestring, NULL, 10) : (int64_t)f);
}

static rt_status json_list(ds_jrun *r, const cJSON *o, ds_jvalue *out)
{
    ds_jvalues l = {0};
    ds_jvalue  v;
    for (const cJSON *e = o->child; e; e = e->next) {
        RT_TRY(ds_jfrom_json(r, e, &v));
        RT_TRY(ds_jadd(r, &l, v));
    }
    *out = ds_jlist(l.v, l.n);
    return RT_OK;
}

static rt_status json_dict(ds_jrun *r, const cJSON *o, ds_jvalue *out)
{
    ds_jdict *d;
    ds_jvalue key, v;
    RT_TRY(ds_jdict_new(r, &d));
    for (const cJSON *e = o->child; e; e = e->next) {
        RT_TRY(json_text(r, e->string, &key));
        RT_TRY(ds_jfrom_json(r, e, &v));
        RT_TRY(ds_jdict_set(r, d, key, v));
    }
    *out = (ds_jvalue){.kind = DS_JDICT, .dict = d};
    return RT_OK;
}

rt_status ds_jfrom_json(ds_jrun *r, const cJSON *o, ds_jvalue *out)
{
    rt_status st = RT_OK;
    RT_TRY(ds_jenter(r));
    *out = cJSON_IsBool(o) ? ds_jbool(cJSON_IsTrue(o)) : cJSON_IsNumber(o) ? json_number(o) : ds_jnone();
    if (cJSON_IsString(o)) st = json_text(r, o->valuestring, out);
    else if (cJSON_IsArray(o)) st = json_list(r, o, out);
    else if (cJSON_IsObject(o)) st = json_dict(r, o, out);
    r->depth--;
    return st;
}
