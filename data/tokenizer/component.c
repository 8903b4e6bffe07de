/* component.c -- reading parts of tokenizer.json by their "type".  A part of an unknown type is refused by name, because ignoring
 * it would give ids with which the model was not trained. */
#include "data/tokenizer/chain.h"
#include <string.h>

const cJSON *ds_json_part(const cJSON *o, const char *key)
{
    const cJSON *p = cJSON_GetObjectItemCaseSensitive(o, key);
    return p && !cJSON_IsNull(p) ? p : NULL;
}

rt_status ds_json_bytes(const cJSON *o, const char *key, rt_buf *out, const char *where)
{
    const char *s = NULL;
    RT_TRY(rt_json_text(o, key, &s, where));
    if (!s) return RT_OK;
    rt_buf_clear(out);
    return rt_json_bytes(out, s);
}

rt_status ds_component_refuse(const char *what, const char *type, const char *known, const char *where)
{
    return rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the %s \"%s\" is not supported; expected %s", where, what, type, known);
}

static rt_status refuse_component(const ds_components *c, const char *type, const char *where)
{
    rt_buf    list = {0};
    rt_status st   = RT_OK;
    for (const ds_component *k = c->known; st == RT_OK && k->type; k++) st = rt_buf_fmt(&list, "%s, ", k->type);
    if (st == RT_OK) st = rt_buf_str(&list, "or a Sequence of these");
    if (st == RT_OK) st = ds_component_refuse(c->key, type, list.p, where);
    rt_buf_free(&list);
    return st;
}

static rt_status read_component(const ds_components *c, const cJSON *o, void *into, const char *where)
{
    const char  *type = NULL;
    const cJSON *e;
    RT_TRY(rt_json_text(o, "type", &type, where));
    RT_CHECK(type, RT_EFORMAT, "%s: a part of the %s has no \"type\"", where, c->key);
    for (const ds_component *k = c->known; k->type; k++)
        if (!strcmp(type, k->type)) return k->read(into, o, where);
    if (strcmp(type, "Sequence")) return refuse_component(c, type, where);
    cJSON_ArrayForEach(e, ds_json_part(o, c->list)) RT_TRY(read_component(c, e, into, where));
    return RT_OK;
}

rt_status ds_components_read(const ds_components *c, const cJSON *root, void *into, const char *where)
{
    const cJSON *o = ds_json_part(root, c->key);
    return o ? read_component(c, o, into, where) : RT_OK;
}
