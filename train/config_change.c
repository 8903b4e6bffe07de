/* config_change.c -- comparing the configuration of a resumed run with the checkpoint's, key by key. */
#include "core/file.h"
#include "train/trainer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct comparison {
    const tr_config  *c;
    int64_t           step;
    const rt_strings *change;
    cJSON            *then, *manifest, *inputs; /* the checkpoint's configuration and manifest; current content hashes of the input files */
    rt_buf            refused, shape, noted;
    int               measured_anew;
    md_config         was; /* the checkpoint's shape */
} comparison;

static int may_change(const comparison *o, const char *key)
{
    for (int i = 0; o->change && i < o->change->n; i++)
        if (!strcmp(o->change->v[i], key)) return 1;
    return 0;
}

/* Compares key i by file content if the checkpoint's manifest has it, else by value. */
static int is_same(const comparison *o, int i, const cJSON *then, const cJSON *now)
{
    const char  *key     = tr_config_key(i);
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o->manifest, "inputs"), key);
    if (content) return cJSON_Compare(content, cJSON_GetObjectItemCaseSensitive(o->inputs, key), 1);
    return cJSON_Compare(then, now, 1);
}

/* Returns 1 if no learning rate and no cross-entropy weight of a later step depends on the number of steps. */
static int more_steps_are_harmless(const comparison *o, double before)
{
    const opt_schedule *s = &o->c->schedule;
    if (o->c->objective.ce_weight_end == o->c->objective.ce_weight_end) return 0;
    if (s->kind == OPT_CONSTANT) return 1;
    return s->kind == OPT_WSD && (double)o->step <= before - (double)s->decay && o->step <= s->steps - s->decay;
}

static rt_buf *list_for(comparison *o, int i, const cJSON *then)
{
    const tr_key_class class = tr_config_class(i);
    if (class == TR_SHAPE) return &o->shape;
    if (class == TR_FREE || class == TR_FREE_FILES || may_change(o, tr_config_key(i))) return &o->noted;
    return class == TR_STEPS && more_steps_are_harmless(o, cJSON_GetNumberValue(then)) ? &o->noted : &o->refused;
}

/* Returns 1 if the key affects which rows are validated, or their weights. */
static int is_of_validation(const char *key)
{
    static const char *const keys[] = {"data.valid", "eval.sequences", "data.seq", "data.pack", "objective.prompt_weight"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(keys[i], key)) return 1;
    return 0;
}

/* Returns 1 if key i is model.init and names a model whose shape differs from the checkpoint's. */
static int is_shape(const comparison *o, int i)
{
    md_config        read;
    const md_config *a = &o->was, *b = &o->c->shape;
    if (strcmp(tr_config_key(i), "model.init")) return 0;
    if (strcmp(o->c->init, "new")) {
        if (md_config_read(&read, o->c->init) != RT_OK) return 0; /* the error is reported when the model is loaded */
        b = &read;
    }
    return (b->V && a->V != b->V) || a->C != b->C || a->L != b->L || a->H != b->H || a->KV != b->KV || a->D != b->D || a->F != b->F ||
           a->family != b->family;
}

static rt_status compare_key(comparison *o, int i)
{
    const cJSON *then = tr_config_value(o->then, i), *now = tr_config_value(o->c->json, i);
    if (!then || is_same(o, i, then, now)) return RT_OK; /* !then: an older version wrote the checkpoint without this key */
    o->measured_anew |= is_of_validation(tr_config_key(i));
    rt_buf   *list = is_shape(o, i) ? &o->shape : list_for(o, i, then);
    char     *a = cJSON_PrintUnformatted(then), *b = cJSON_PrintUnformatted(now);
    rt_status st = a && b ? rt_buf_fmt(list, "%s%s (%.80s in the checkpoint, now %.80s)", list->len ? ", " : "", tr_config_key(i), a, b)
                          : rt_fail(RT_ENOMEM, __FILE__, __LINE__, "no memory to compare configurations");
    free(a), free(b);
    return st;
}

static rt_status change_decide(const comparison *o, const char *dir)
{
    RT_CHECK(!o->shape.len, RT_EMISMATCH, "%s cannot be continued with another shape: %s; restore the values, or start a new run", dir,
             o->shape.p);
    RT_CHECK(
        !o->refused.len, RT_EMISMATCH,
        "%s cannot be continued, because these values change the results of the run: %s; restore them, or allow each with --change KEY",
        dir, o->refused.p);
    if (o->noted.len) rt_note("continuing from %s with %s", dir, o->noted.p);
    return RT_OK;
}

static rt_status change_read_all(comparison *o, const char *dir, const char *inputs)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/retort-train.json", dir);
    RT_TRY(rt_json_read(&o->then, path, RT_JSON_COMMENTS));
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    RT_TRY(rt_json_read(&o->manifest, path, 0));
    RT_TRY(md_config_read(&o->was, dir));
    o->inputs = cJSON_Parse(inputs);
    RT_CHECK(o->inputs, RT_ENOMEM, "no memory to compare configurations");
    return RT_OK;
}

rt_status tr_config_compare(const tr_config *c, const char *dir, int64_t step, const char *inputs, const tr_run_opts *options,
                            int *measured_anew)
{
    comparison o  = {.c = c, .step = step, .change = options->change};
    rt_status  st = change_read_all(&o, dir, inputs);
    for (int i = 0; st == RT_OK && tr_config_key(i); i++) st = compare_key(&o, i);
    if (st == RT_OK) st = change_decide(&o, dir);
    if (st == RT_OK) *measured_anew = o.measured_anew && c->valid.n;
    cJSON_Delete(o.then), cJSON_Delete(o.manifest), cJSON_Delete(o.inputs);
    rt_buf_free(&o.refused), rt_buf_free(&o.shape), rt_buf_free(&o.noted);
    return st;
}

rt_status tr_config_known(const rt_strings *keys, const char *where)
{
    const char *names[256];
    int         n = 0;
    while (n < 256 && tr_config_key(n)) names[n] = tr_config_key(n), n++;
    for (int i = 0; i < keys->n; i++) {
        int known = 0;
        for (int j = 0; j < n && !known; j++) known = !strcmp(keys->v[i], names[j]);
        RT_CHECK(known, RT_EINVAL, "%s: there is no key \"%s\"; the nearest is \"%s\"", where, keys->v[i],
                 rt_nearest(keys->v[i], names, n));
    }
    return RT_OK;
}
