/* settings.c -- reads and writes the keys of config.json, other than sizes and rotary settings, that change a model's results.
 *
 * Hugging Face's programs have used several spellings of a key; all are read.  A setting that would change the results and is
 * not supported is refused by name, in every spelling.  A setting that changes nothing is accepted.
 */
#include "core/json.h"
#include "model/arch.h"
#include "model/files.h"
#include "model/rope.h"
#include <math.h>
#include <string.h>

static const cJSON *settings_get(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    return v && !cJSON_IsNull(v) ? v : NULL;
}

static int is_null(const cJSON *o, const char *key) { return cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(o, key)); }

/* ---- kinds of layers ------------------------------------------------------------------------------- */

int md_windowed_by_rule(const md_config *c, int64_t l, int64_t pattern, int64_t from)
{
    if (c->family == MD_GEMMA2) return l % 2 == 0;
    if (c->family == MD_GEMMA3) return (l + 1) % pattern != 0;
    if (c->family == MD_SMOLLM3) return (c->layer[l] & MD_LAYER_NO_ROPE) != 0;
    return md_has(c, MD_WINDOW_EVERYWHERE) || l >= from;
}

static rt_status read_layer_types(md_config *c, const cJSON *types, const char *path)
{
    const cJSON *e;
    int64_t      l = 0;
    RT_CHECK(cJSON_IsArray(types) && cJSON_GetArraySize(types) == c->L, RT_EFORMAT, "%s: layer_types must be a list of %lld names", path,
             (long long)c->L);
    cJSON_ArrayForEach(e, types)
    {
        const char *kind    = cJSON_IsString(e) ? e->valuestring : "?";
        const int   sliding = !strcmp(kind, "sliding_attention");
        RT_CHECK(sliding || !strcmp(kind, "full_attention"), RT_EFORMAT,
                 "%s: layer_types has \"%s\"; expected full_attention or sliding_attention", path, kind);
        c->layer[l++] |= sliding ? MD_LAYER_WINDOW : 0;
    }
    return RT_OK;
}

/* Reads the width of the windows and the layers that have one.  A window as wide as the context changes nothing. */
static rt_status settings_read_window(md_config *c, const cJSON *o, const char *path)
{
    const cJSON *types = settings_get(o, "layer_types");
    int          on    = !md_has(c, MD_WINDOW_SWITCH);
    int64_t      width = c->family == MD_PHI3 ? 0 : 4096, from = 28, pattern = 6;
    if (!md_has(c, MD_WINDOW_SWITCH | MD_WINDOW_EVERYWHERE | MD_GEMMA)) return RT_OK;
    RT_TRY(rt_json_bool(o, "use_sliding_window", &on, path));
    RT_TRY(rt_json_int(o, "sliding_window", &width, path));
    RT_TRY(rt_json_int(o, "max_window_layers", &from, path));
    RT_TRY(rt_json_int(o, "sliding_window_pattern", &pattern, path));
    if (!on || is_null(o, "sliding_window") || width == 0) return RT_OK;
    RT_CHECK(width > 0 && pattern > 0, RT_EFORMAT, "%s: expected a positive sliding_window and sliding_window_pattern, found %lld and %lld",
             path, (long long)width, (long long)pattern);
    if (types) RT_TRY(read_layer_types(c, types, path));
    for (int64_t l = 0; l < c->L && !types; l++)
        if (md_windowed_by_rule(c, l, pattern, from)) c->layer[l] |= MD_LAYER_WINDOW;
    c->window = width;
    return RT_OK;
}

/* no_rope_layers has 0 for a layer without rotary embedding; without it every no_rope_layer_interval-th layer is one. */
static rt_status read_no_rope(md_config *c, const cJSON *o, const char *path)
{
    const cJSON *list  = settings_get(o, "no_rope_layers"), *e;
    int64_t      every = 4, l = 0;
    if (!md_has(c, MD_NO_ROPE)) return RT_OK;
    RT_TRY(rt_json_int(o, "no_rope_layer_interval", &every, path));
    RT_CHECK(every > 0 && (!list || (cJSON_IsArray(list) && cJSON_GetArraySize(list) >= c->L)), RT_EFORMAT,
             "%s: no_rope_layers must be a list of %lld numbers, and no_rope_layer_interval positive", path, (long long)c->L);
    for (; l < c->L && !list; l++) c->layer[l] |= (l + 1) % every ? 0 : MD_LAYER_NO_ROPE;
    cJSON_ArrayForEach(e, list)
    {
        RT_CHECK(cJSON_IsNumber(e), RT_EFORMAT, "%s: no_rope_layers must hold 0 and 1", path);
        if (l < c->L) c->layer[l++] |= e->valueint ? 0 : MD_LAYER_NO_ROPE;
    }
    return RT_OK;
}

/* ---- factors and caps ------------------------------------------------------------------------------ */

/* clang-format off */

/* Key; part of the families that have it; member of md_config; value where the key is missing. */
#define SETTINGS(X)                                                                       \
    X("embedding_multiplier",    MD_MULTIPLIERS, embedding_scale, 1)                      \
    X("residual_multiplier",     MD_MULTIPLIERS, residual_scale,  1)                      \
    X("attention_multiplier",    MD_MULTIPLIERS, attention_scale, 1)                      \
    X("logits_scaling",          MD_MULTIPLIERS, logit_scale,     1)                      \
    X("query_pre_attn_scalar",   MD_GEMMA,       attention_scale, 256)                    \
    X("attn_logit_softcapping",  MD_GEMMA,       attention_cap,   c->family == MD_GEMMA2 ? 50 : 0) \
    X("final_logit_softcapping", MD_GEMMA,       logit_cap,       c->family == MD_GEMMA2 ? 30 : 0)
/* clang-format on */

static rt_status read_factors(md_config *c, const cJSON *o, const char *path)
{
#define X(key, part, member, missing)                                                                                             \
    if (md_has(c, part)) {                                                                                                        \
        c->member = is_null(o, key) ? 0 : (double)(missing);                                                                      \
        RT_TRY(rt_json_real(o, key, &c->member, path));                                                                           \
        RT_CHECK(c->member >= 0 && isfinite(c->member), RT_EFORMAT, "%s: %s must be a number of at least 0, found %g", path, key, \
                 c->member);                                                                                                      \
    }
    SETTINGS(X)
#undef X
    if (md_has(c, MD_GEMMA) && c->attention_scale > 0) c->attention_scale = 1 / sqrt(c->attention_scale);
    if (c->logit_scale > 0) c->logit_scale = 1 / c->logit_scale; /* the key divides */
    return RT_OK;
}

/* Returns a factor as config.json has it: the inverse of what read_factors makes of it.  0 means null. */
static double as_stored(const char *key, const md_config *c, double x)
{
    if (!strcmp(key, "query_pre_attn_scalar")) return x > 0 ? 1 / (x * x) : (double)c->D;
    if (!strcmp(key, "attention_multiplier")) return x > 0 ? x : 1 / sqrt((double)c->D);
    if (strstr(key, "softcapping")) return x;
    return x > 0 ? !strcmp(key, "logits_scaling") ? 1 / x : x : 1;
}

/* transformers takes a cap only with a decimal point. */
static void write_factor(rt_json_writer *w, const char *key, double x)
{
    if (x > 0 && x == floor(x) && strstr(key, "softcapping")) rt_put_fixed(w, key, x, 1);
    else if (x > 0) rt_put_real(w, key, x, 9);
    else rt_put_null(w, key);
}

static void write_factors(rt_json_writer *w, const md_config *c)
{
#define X(key, part, member, missing) \
    if (md_has(c, part)) write_factor(w, key, as_stored(key, c, c->member));
    SETTINGS(X)
#undef X
}

/* ---- activation and biases -------------------------------------------------------------------------- */

/* Gemma's config.json has hidden_activation, and older ones a hidden_act "gelu" that means the same. */
static rt_status check_activation(const md_config *c, const cJSON *o, const char *path)
{
    const char *want = md_has(c, MD_GEMMA) ? "gelu_pytorch_tanh" : "silu", *act = want;
    if (!md_has(c, MD_GEMMA)) RT_TRY(rt_json_text(o, "hidden_act", &act, path));
    else RT_TRY(rt_json_text(o, settings_get(o, "hidden_activation") ? "hidden_activation" : "hidden_act", &act, path));
    const int same = !strcmp(act, want) || !strcmp(act, md_has(c, MD_GEMMA) ? "gelu" : "swish");
    RT_CHECK(same, RT_EFORMAT, "%s: the activation \"%s\" is not supported in a %s model, only %s is", path, act,
             md_family_word((int)c->family), want);
    return RT_OK;
}

static rt_status refuse_true(const cJSON *o, const char *key, const char *path)
{
    int on = 0;
    RT_TRY(rt_json_bool(o, key, &on, path));
    RT_CHECK(!on, RT_EFORMAT, "%s: %s true is not supported in this version", path, key);
    return RT_OK;
}

static rt_status read_biases(md_config *c, const cJSON *o, const char *path)
{
    int attention = 0, mlp = 0;
    if (!md_has(c, MD_BIAS_KEYS)) return refuse_true(o, "mlp_bias", path);
    RT_TRY(rt_json_bool(o, "attention_bias", &attention, path));
    RT_TRY(rt_json_bool(o, "mlp_bias", &mlp, path));
    c->biases = (attention ? MD_QKV_BIAS | MD_O_BIAS : 0) | (mlp ? MD_MLP_BIAS : 0);
    return refuse_true(o, "use_bidirectional_attention", path);
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

/* ---- all ----------------------------------------------------------------------------------------------- */

rt_status md_settings_read(md_config *c, const cJSON *o, const char *path)
{
    RT_TRY(md_rope_read(c, o, path));
    RT_TRY(check_activation(c, o, path));
    RT_TRY(read_biases(c, o, path));
    RT_TRY(read_no_rope(c, o, path));
    RT_TRY(settings_read_window(c, o, path));
    RT_TRY(read_factors(c, o, path));
    return read_quantisation(c, o, path);
}

static void write_layers(rt_json_writer *w, const md_config *c)
{
    if (md_has(c, MD_NO_ROPE)) {
        rt_put_array(w, "no_rope_layers");
        for (int64_t l = 0; l < c->L; l++) rt_put_int(w, NULL, !(c->layer[l] & MD_LAYER_NO_ROPE));
        rt_put_end(w);
    }
    if (md_has(c, MD_WINDOW_SWITCH)) rt_put_bool(w, "use_sliding_window", c->window > 0);
    if (!md_has(c, MD_WINDOW_SWITCH | MD_WINDOW_EVERYWHERE | MD_GEMMA)) return;
    if (c->window) rt_put_int(w, "sliding_window", c->window);
    else rt_put_null(w, "sliding_window");
    if (!c->window || md_has(c, MD_WINDOW_EVERYWHERE)) return;
    rt_put_array(w, "layer_types");
    for (int64_t l = 0; l < c->L; l++) rt_put_text(w, NULL, c->layer[l] & MD_LAYER_WINDOW ? "sliding_attention" : "full_attention");
    rt_put_end(w);
}

void md_settings_write(rt_json_writer *w, const md_config *c)
{
    md_rope_write(w, c);
    write_layers(w, c);
    write_factors(w, c);
    if (md_has(c, MD_GEMMA)) rt_put_text(w, "hidden_activation", "gelu_pytorch_tanh");
    else rt_put_text(w, "hidden_act", "silu");
    if (md_has(c, MD_BIAS_KEYS)) rt_put_bool(w, "attention_bias", (c->biases & MD_QKV_BIAS) != 0);
    rt_put_bool(w, "mlp_bias", (c->biases & MD_MLP_BIAS) != 0);
}
