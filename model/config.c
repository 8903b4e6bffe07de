/* config.c -- config.json and generation_config.json in Hugging Face's layout. */
#include "core/file.h"
#include "core/json.h"
#include "model/arch.h"
#include "model/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char quantised_type[] = "retort_quantized";

/* A beginning token; null, or a number below 0: none. */
static rt_status read_bos(int32_t *id, const cJSON *o, const char *path)
{
    int64_t v = -1;
    RT_TRY(rt_json_int(o, "bos_token_id", &v, path));
    RT_CHECK(v <= INT32_MAX, RT_EFORMAT, "%s: \"bos_token_id\" is %lld, no token id", path, (long long)v);
    *id = v < 0 ? -1 : (int32_t)v;
    return RT_OK;
}

static rt_status read_fields(md_config *c, const cJSON *o, const char *path)
{
    const char *type = "";
    RT_TRY(rt_json_text(o, "model_type", &type, path));
    if (!strcmp(type, quantised_type))
        RT_TRY(rt_json_text(cJSON_GetObjectItemCaseSensitive(o, "quantization_config"), "base_model_type", &type, path));
    RT_CHECK(md_family_find(type), RT_EFORMAT, "%s: model_type \"%s\": this version knows %s", path, type, MD_FAMILY_NAMES);
    snprintf(c->family, sizeof c->family, "%s", type);
    c->norm_eps = 1e-6;
    RT_TRY(rt_json_int(o, "vocab_size", &c->V, path));
    RT_TRY(rt_json_int(o, "hidden_size", &c->C, path));
    RT_TRY(rt_json_int(o, "num_hidden_layers", &c->L, path));
    RT_TRY(rt_json_int(o, "num_attention_heads", &c->H, path));
    c->KV = c->H;
    RT_TRY(rt_json_int(o, "num_key_value_heads", &c->KV, path));
    c->D = c->H ? c->C / c->H : 0;
    RT_TRY(rt_json_int(o, "head_dim", &c->D, path));
    RT_TRY(rt_json_int(o, "intermediate_size", &c->F, path));
    RT_TRY(rt_json_int(o, "max_position_embeddings", &c->context, path));
    RT_TRY(rt_json_real(o, "rms_norm_eps", &c->norm_eps, path));
    RT_TRY(rt_json_bool(o, "tie_word_embeddings", &c->tied, path));
    RT_TRY(read_bos(&c->bos, o, path));
    RT_TRY(md_settings_read(c, o, path));
    return md_config_check(c);
}

rt_status md_config_read(md_config *c, const char *dir)
{
    rt_buf    path = {0};
    cJSON    *o    = NULL;
    md_config read = {0};
    rt_status st   = rt_path(&path, dir, "config.json");
    if (st == RT_OK && !rt_file_exists(path.p))
        st = rt_fail(RT_ENOENT, __FILE__, __LINE__, "%s: expected a model folder with config.json, there is none", dir);
    if (st == RT_OK) st = rt_json_read(&o, path.p, 0);
    if (st == RT_OK) st = read_fields(&read, o, path.p);
    if (st == RT_OK) st = ds_ends_read(&read.ends, dir);
    if (st == RT_OK) *c = read;
    cJSON_Delete(o);
    rt_buf_free(&path);
    return st;
}

static rt_status add_token(rt_buf *b, const char *key, int32_t id) { return id < 0 ? RT_OK : rt_buf_fmt(b, "  \"%s\": %d,\n", key, id); }

/* One as a number, which is all that some programs read, several as a list. */
static rt_status add_ends(rt_buf *b, const ds_ends *e)
{
    if (e->n < 2) return add_token(b, "eos_token_id", e->n ? e->id[0] : -1);
    RT_TRY(rt_buf_str(b, "  \"eos_token_id\": ["));
    for (int i = 0; i < e->n; i++) RT_TRY(rt_buf_fmt(b, i ? ", %d" : "%d", e->id[i]));
    return rt_buf_str(b, "],\n");
}

/* Programs that do not know the quantised form must not load it with random weights: to them its type is unknown. */
static rt_status add_type(rt_buf *b, const md_config *c)
{
    if (!c->bits)
        return rt_buf_fmt(b, "  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n", md_family_find(c->family)->architecture,
                          c->family);
    RT_TRY(rt_buf_fmt(b, "  \"architectures\": [\"RetortQuantizedForCausalLM\"],\n  \"model_type\": \"%s\",\n", quantised_type));
    return rt_buf_fmt(
        b,
        "  \"quantization_config\": {\"quant_method\": \"retort\", \"base_model_type\": \"%s\", \"bits\": %lld, \"group_size\": %lld},\n",
        c->family, (long long)c->bits, (long long)c->group);
}

static rt_status config_text(rt_buf *b, const md_model *m, kn_type type)
{
    const md_config *c = &m->config;
    RT_TRY(rt_buf_str(b, "{\n"));
    RT_TRY(add_type(b, c));
    RT_TRY(rt_buf_fmt(b, "  \"vocab_size\": %lld,\n  \"hidden_size\": %lld,\n  \"num_hidden_layers\": %lld,\n", (long long)c->V,
                      (long long)c->C, (long long)c->L));
    RT_TRY(rt_buf_fmt(b, "  \"num_attention_heads\": %lld,\n  \"num_key_value_heads\": %lld,\n  \"head_dim\": %lld,\n", (long long)c->H,
                      (long long)c->KV, (long long)c->D));
    RT_TRY(rt_buf_fmt(b, "  \"intermediate_size\": %lld,\n  \"max_position_embeddings\": %lld,\n", (long long)c->F, (long long)c->context));
    RT_TRY(rt_buf_fmt(b, "  \"rms_norm_eps\": %.9g,\n  \"rope_theta\": %.17g,\n", c->norm_eps, c->rope_theta));
    RT_TRY(rt_buf_fmt(b, "  \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": %.17g},\n", c->rope_theta));
    RT_TRY(rt_buf_fmt(b, "  \"hidden_act\": \"silu\",\n%s  \"mlp_bias\": false,\n  \"tie_word_embeddings\": %s,\n",
                      md_has(c, MD_QKV_BIAS) ? "" : "  \"attention_bias\": false,\n", c->tied ? "true" : "false"));
    RT_TRY(add_token(b, "bos_token_id", c->bos));
    RT_TRY(add_ends(b, &c->ends));
    return rt_buf_fmt(b, "  \"torch_dtype\": \"%s\"\n}\n", type == KN_BF16 ? "bfloat16" : "float32");
}

static rt_status generation_text(rt_buf *b, const md_config *c)
{
    RT_TRY(rt_buf_str(b, "{\n"));
    RT_TRY(add_token(b, "bos_token_id", c->bos));
    RT_TRY(add_ends(b, &c->ends));
    return rt_buf_str(b, "  \"do_sample\": true\n}\n");
}

rt_status md_config_write(const md_model *m, const char *dir, kn_type type)
{
    rt_buf    path = {0}, text = {0};
    rt_status st = config_text(&text, m, type);
    if (st == RT_OK) st = rt_path(&path, dir, "config.json");
    if (st == RT_OK) st = rt_file_write(path.p, text.p, text.len);
    rt_buf_clear(&text);
    if (st == RT_OK) st = generation_text(&text, &m->config);
    if (st == RT_OK) st = rt_path(&path, dir, "generation_config.json");
    if (st == RT_OK) st = rt_file_write(path.p, text.p, text.len);
    rt_buf_free(&path);
    rt_buf_free(&text);
    return st;
}
