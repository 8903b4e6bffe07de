/* settings.c -- reads the keys of config.json, other than sizes, that change a model's results.
 *
 * Hugging Face's programs have used several spellings of a key; all are read.  A setting that would change the results and is
 * not supported is refused by name, in every spelling.  A setting that changes nothing is accepted.
 */
#include "core/json.h"
#include "model/arch.h"
#include "model/files.h"
#include <string.h>

static const cJSON *settings_get(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return v && !cJSON_IsNull(v) ? v : NULL;
}

/* ---- rotary embedding ------------------------------------------------------------------------------ */

/* rope_theta; `from` names the first object that holds it, NULL: none so far. */
typedef struct theta {
    double      value;
    const char *from;
} theta;

static rt_status take_theta(theta *t, const cJSON *o, const char *where, const char *path)
{
    double v = t->value;
    if (!settings_get(o, "rope_theta")) return RT_OK;
    RT_TRY(rt_json_real(o, "rope_theta", &v, path));
    RT_CHECK(!t->from || v == t->value, RT_EFORMAT,
             "%s: rope_theta is %.17g in %s and %.17g in %s, and programs differ in which they read; remove one", path, t->value, t->from,
             v, where);
    *t = (theta){v, where};
    return RT_OK;
}

/* Accepts the kinds of scaling that change nothing: linear by a factor of 1, and dynamic, which begins beyond the context. */
static rt_status settings_check_kind(const cJSON *o, const char *key, const char *where, const char *path)
{
    const char *kind   = "default";
    double      factor = 0;
    RT_TRY(rt_json_text(o, key, &kind, path));
    if (!strcmp(kind, "linear")) RT_TRY(rt_json_real(o, "factor", &factor, path));
    RT_CHECK(!strcmp(kind, "default") || !strcmp(kind, "dynamic") || factor == 1, RT_EFORMAT,
             "%s: %s.%s \"%s\" is not supported in this version", path, where, key, kind);
    return RT_OK;
}

static rt_status check_partial(const cJSON *o, const char *where, const char *path)
{
    double part = 1;
    RT_TRY(rt_json_real(o, "partial_rotary_factor", &part, path));
    RT_CHECK(part == 1, RT_EFORMAT, "%s: partial_rotary_factor %g in %s is not supported in this version, which rotates all of a head",
             path, part, where);
    return RT_OK;
}

/* rope_parameters (transformers 5) and rope_scaling (earlier versions) hold the same keys.  "type" is the older name of "rope_type". */
static rt_status read_rope_object(theta *t, const cJSON *o, const char *where, const char *path)
{
    const cJSON *p = settings_get(o, where), *e;
    if (!p) return RT_OK;
    RT_CHECK(cJSON_IsObject(p), RT_EFORMAT, "%s: \"%s\" must be an object or null", path, where);
    cJSON_ArrayForEach(e, p) RT_CHECK(!cJSON_IsObject(e), RT_EFORMAT,
                                      "%s: %s.%s: settings for only some layers are not supported in this version", path, where, e->string);
    RT_TRY(settings_check_kind(p, "rope_type", where, path));
    if (!settings_get(p, "rope_type")) RT_TRY(settings_check_kind(p, "type", where, path));
    RT_TRY(check_partial(p, where, path));
    return take_theta(t, p, where, path);
}

static rt_status read_rope(md_config *c, const cJSON *o, const char *path)
{
    theta t = {.value = 10000};
    RT_TRY(check_partial(o, "the top-level object", path));
    RT_TRY(take_theta(&t, o, "the top-level object", path));
    RT_TRY(read_rope_object(&t, o, "rope_parameters", path));
    RT_TRY(read_rope_object(&t, o, "rope_scaling", path));
    c->rope_theta = t.value;
    return RT_OK;
}

/* ---- attention and feed-forward -------------------------------------------------------------------- */

static rt_status refuse_true(const cJSON *o, const char *key, const char *path)
{
    int on = 0;
    RT_TRY(rt_json_bool(o, key, &on, path));
    RT_CHECK(!on, RT_EFORMAT, "%s: %s true is not supported in this version", path, key);
    return RT_OK;
}

/* Returns 1 if a layer has a sliding window: layer_types says so or, without layer_types, layers from max_window_layers on do. */
static int has_windowed_layer(const cJSON *types, int64_t from, int64_t layers)
{
    const cJSON *e;
    if (!types) return from < layers;
    cJSON_ArrayForEach(e, types) if (!cJSON_IsString(e) || strcmp(e->valuestring, "full_attention") != 0) return 1;
    return 0;
}

/* Refuses a sliding window, unless it is at least as wide as the context, which changes nothing. */
static rt_status check_window(const md_config *c, const cJSON *o, const char *path)
{
    const cJSON *none   = cJSON_GetObjectItemCaseSensitive(o, "sliding_window");
    int          on     = 0;
    int64_t      window = 4096, from = 28;
    if (!md_has(c, MD_WINDOW)) return RT_OK;
    RT_TRY(rt_json_bool(o, "use_sliding_window", &on, path));
    RT_TRY(rt_json_int(o, "sliding_window", &window, path));
    RT_TRY(rt_json_int(o, "max_window_layers", &from, path));
    RT_CHECK(!on || cJSON_IsNull(none) || window >= c->context || !has_windowed_layer(settings_get(o, "layer_types"), from, c->L),
             RT_EFORMAT, "%s: use_sliding_window true (sliding_window %lld, a context of %lld) is not supported in this version", path,
             (long long)window, (long long)c->context);
    return RT_OK;
}

static rt_status check_activation(const cJSON *o, const char *path)
{
    const char *act = MD_ACTIVATION;
    RT_TRY(rt_json_text(o, "hidden_act", &act, path));
    RT_CHECK(!strcmp(act, MD_ACTIVATION) || !strcmp(act, "swish"), RT_EFORMAT,
             "%s: hidden_act \"%s\" is not supported in this version, only " MD_ACTIVATION " is", path, act);
    return RT_OK;
}

/* ---- quantisation ---------------------------------------------------------------------------------- */

static rt_status read_quantisation(md_config *c, const cJSON *o, const char *path)
{
    const cJSON *q      = settings_get(o, "quantization_config");
    const char  *method = "?";
    if (!q) return RT_OK;
    RT_TRY(rt_json_text(q, "quant_method", &method, path));
    RT_CHECK(!strcmp(method, "retort"), RT_EFORMAT,
             "%s: quantization_config.quant_method \"%s\" is not supported; use the model from which it was quantised", path, method);
    RT_TRY(rt_json_int(q, "bits", &c->bits, path));
    RT_TRY(rt_json_int(q, "group_size", &c->group, path));
    RT_CHECK((c->bits == 4 || c->bits == 8) && c->group >= 2 && c->group % 2 == 0, RT_EFORMAT,
             "%s: quantization_config: expected 4 or 8 bits and an even group_size, found %lld and %lld", path, (long long)c->bits,
             (long long)c->group);
    return RT_OK;
}

rt_status md_settings_read(md_config *c, const cJSON *o, const char *path)
{
    RT_TRY(read_rope(c, o, path));
    RT_TRY(check_activation(o, path));
    if (!md_has(c, MD_QKV_BIAS)) RT_TRY(refuse_true(o, "attention_bias", path)); /* families with biases do not use this key */
    RT_TRY(refuse_true(o, "mlp_bias", path));
    RT_TRY(check_window(c, o, path));
    return read_quantisation(c, o, path);
}
