/* functions.c -- the functions that every template has: range, dict, namespace, raise_exception, strftime_now. */
#include "data/chat/eval.h"
#include <string.h>
#include <time.h>

static rt_status function_range(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    int64_t   start = 0, stop = 0, step = 1;
    ds_jspan *s;
    RT_TRY(ds_jargument_int(r, c, 0, &stop));
    if (c->v[1].kind != DS_JABSENT) start = stop;
    RT_TRY(ds_jargument_int(r, c, 1, &stop));
    RT_TRY(ds_jargument_int(r, c, 2, &step));
    DS_JCHECK(r, step && step > -INT64_MAX, "the step of range() cannot be %lld", (long long)step);
    const uint64_t width = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    const uint64_t by    = (uint64_t)(step > 0 ? step : -step);
    const uint64_t n     = (step > 0 ? stop > start : stop < start) ? (width - 1) / by + 1 : 0;
    DS_JCHECK(r, n <= DS_JRANGE, "range() may have %d elements", DS_JRANGE);
    RT_TRY(DS_JNEW(&r->arena, s, 1));
    *s   = (ds_jspan){start, stop, step, (int64_t)n};
    *out = (ds_jvalue){.kind = DS_JSPAN, .span = s};
    return RT_OK;
}

/* Copies the pairs of the first argument, which is a dict or a sequence of pairs, and the named arguments. */
static rt_status collect_pairs(ds_jrun *r, const ds_jcall *c, ds_jdict *d)
{
    const ds_jdict *named = c->all->named;
    ds_jvalue       pairs, pair;
    DS_JCHECK(r, c->all->n <= 1, "'%s' takes one dict and named arguments", c->what);
    if (c->all->n) {
        pairs = c->all->v[0];
        if (pairs.kind == DS_JDICT) pairs = (ds_jvalue){.kind = DS_JVIEW, .how = DS_JITEMS, .dict = pairs.dict};
        RT_TRY(ds_jelements(r, &pairs, &pairs));
        for (int64_t i = 0; i < pairs.n; i++) {
            RT_TRY(ds_jelements(r, &pairs.v[i], &pair));
            DS_JCHECK(r, pair.n == 2, "'%s' takes pairs of a key and a value", c->what);
            RT_TRY(ds_jdict_set(r, d, pair.v[0], pair.v[1]));
        }
    }
    for (int64_t i = 0; named && i < named->n; i++) RT_TRY(ds_jdict_set(r, d, named->key[i], named->value[i]));
    return RT_OK;
}

static rt_status function_dict(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jdict *d;
    RT_TRY(ds_jdict_new(r, &d));
    RT_TRY(collect_pairs(r, c, d));
    *out = (ds_jvalue){.kind = DS_JDICT, .dict = d};
    return RT_OK;
}

static rt_status function_namespace(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    RT_TRY(function_dict(r, c, out));
    out->kind = DS_JNAMESPACE;
    for (int64_t i = 0; i < out->dict->n; i++)
        DS_JCHECK(r, out->dict->key[i].kind != DS_JTEXT || !out->dict->key[i].n || *out->dict->key[i].p != '_',
                  "an attribute of a namespace cannot begin with '_'");
    return RT_OK;
}

static rt_status function_raise(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    RT_TRY(ds_jstr_of(r, &c->v[0], out));
    DS_JFAIL(r, "the template refuses this chat: %.*s", (int)(out->n < 300 ? out->n : 300), out->p);
}

static rt_status function_now(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const time_t now = time(NULL);
    struct tm    local;
    char         format[100] = "", text[300];
    ds_jout      o           = {0};
    RT_TRY(ds_jargument_text(r, c, 0, out));
    DS_JCHECK(r, (size_t)out->n < sizeof format && !memchr(out->p, 0, (size_t)out->n), "'strftime_now' takes a format of at most 99 bytes");
    memcpy(format, out->p, (size_t)out->n);
    localtime_r(&now, &local);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const size_t n = *format ? strftime(text, sizeof text, format, &local) : 0;
#pragma GCC diagnostic pop
    RT_TRY(ds_jput(r, &o, text, n));
    *out = ds_jbuilt(&o);
    return RT_OK;
}

/* What Jinja has and this program has not is refused where it is called. */
static rt_status function_refuse(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    (void)out;
    DS_JFAIL(r, "the function '%s' is not supported", c->what);
}

static const ds_jrow rows[] = {{"range", "/start stop? step?", function_range},
                               {"dict", "*", function_dict},
                               {"namespace", "*", function_namespace},
                               {"raise_exception", "message", function_raise},
                               {"strftime_now", "format", function_now},
                               {"lipsum", "*", function_refuse},
                               {"cycler", "*", function_refuse},
                               {"joiner", "*", function_refuse},
                               {"self", "*", function_refuse},
                               {0}};

const ds_jrow *ds_jfunction_named(const char *name, size_t n) { return ds_jrow_named(rows, name, n); }
