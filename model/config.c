/* config.c -- reads a model's configuration; writes config.json and generation_config.json in Hugging Face's layout. */
#include "core/file.h"
#include "core/json.h"
#include "model/arch.h"
#include "model/files.h"
#include "model/gguf_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char quantised_type[] = "retort_quantized";

/* Reads bos_token_id.  A missing key, null or a negative number means that there is none. */
static rt_status read_bos(int32_t *id, const cJSON *o, const char *path)
{
    int64_t v = -1;
    RT_TRY(rt_json_int(o, "bos_token_id", &v, path));
    RT_CHECK(v <= INT32_MAX, RT_EFORMAT, "%s: \"bos_token_id\" is %lld, which is not a token id", path, (long long)v);
    *id = v < 0 ? -1 : (int32_t)v;
    return RT_OK;
}

static rt_status read_fields(md_config *c, const cJSON *o, const char *path)
{
    const char *type = "";
    RT_TRY(rt_json_text(o, "model_type", &type, path));
    if (!strcmp(type, quantised_type))
        RT_TRY(rt_json_text(cJSON_GetObjectItemCaseSensitive(o, "quantization_config"), "base_model_type", &type, path));
    RT_CHECK(md_family_find(type, &c->family), RT_EFORMAT, "%s: model_type \"%s\" is not supported; this version supports %s", path, type,
             MD_FAMILY_NAMES);
    c->norm_eps = 1e-6;
    RT_TRY(rt_json_int(o, "vocab_size", &c->V, path));
    RT_TRY(rt_json_int(o, "hidden_size", &c->C, path));
    RT_TRY(rt_json_int(o, "num_hidden_layers", &c->L, path));
    RT_TRY(rt_json_int(o, "num_attention_heads", &c->H, path));
    c->KV = c->H;
    RT_TRY(rt_json_int(o, "num_key_value_heads", &c->KV, path));
    c->D = c->H ? c->C / c->H : 0;
    if (md_has(c, MD_GEMMA)) c->D = 256;
    RT_TRY(rt_json_int(o, "head_dim", &c->D, path));
    RT_TRY(rt_json_int(o, "intermediate_size", &c->F, path));
    RT_TRY(rt_json_int(o, "max_position_embeddings", &c->context, path));
    RT_TRY(rt_json_real(o, "rms_norm_eps", &c->norm_eps, path));
    c->tied = md_has(c, MD_GEMMA) || c->family == MD_SMOLLM3; /* where the key is missing */
    RT_TRY(rt_json_bool(o, "tie_word_embeddings", &c->tied, path));
    RT_TRY(read_bos(&c->bos, o, path));
    RT_TRY(md_config_check(c));
    return md_settings_read(c, o, path);
}

static rt_status config_of_json(md_config *c, const char *dir)
{
    rt_buf    path = {0};
    cJSON    *o    = NULL;
    md_config read = {0};
    rt_status st   = rt_path_inside(&path, dir, "config.json");
    if (st == RT_OK && !rt_file_exists(path.p))
        st = rt_fail(RT_ENOENT, __FILE__, __LINE__, "%s: expected a model folder with config.json, found none", dir);
    if (st == RT_OK) st = rt_json_read(&o, path.p, 0);
    if (st == RT_OK) st = read_fields(&read, o, path.p);
    if (st == RT_OK) st = ds_ends_read(&read.ends, dir);
    if (st == RT_OK) *c = read;
    cJSON_Delete(o);
    rt_buf_free(&path);
    return st;
}

static rt_status config_of_gguf(md_config *c, const char *path)
{
    md_gguf *g;
    RT_TRY(md_gguf_open(&g, path));
    const rt_status st = md_gguf_config(c, g);
    md_gguf_close(&g);
    return st;
}

rt_status md_config_read(md_config *c, const char *dir)
{
    rt_buf    gguf = {0};
    rt_status st   = md_gguf_locate(&gguf, dir);
    if (st == RT_OK) st = gguf.len ? config_of_gguf(c, gguf.p) : config_of_json(c, dir);
    rt_buf_free(&gguf);
    return st;
}

static void put_token(rt_json_writer *w, const char *key, int32_t id)
{
    if (id >= 0) rt_put_int(w, key, id);
    else rt_put_null(w, key);
}

/* Writes the special tokens.  One end token is written as a number, because some programs read no list; several as a list.  A token that
 * does not exist is null, because transformers replaces a missing key by the family's default, whatever the vocabulary. */
static void config_put_tokens(rt_json_writer *w, const md_config *c)
{
    const ds_ends *e = &c->ends;
    put_token(w, "bos_token_id", c->bos);
    put_token(w, "pad_token_id", -1);
    if (e->n < 2) put_token(w, "eos_token_id", e->n ? e->id[0] : -1);
    if (e->n < 2) return;
    rt_put_array(w, "eos_token_id");
    for (int i = 0; i < e->n; i++) rt_put_int(w, NULL, e->id[i]);
    rt_put_end(w);
}

/* Writes the model's type.  A quantised model gets a type that other programs do not know, so that they refuse it instead of
 * loading it with random weights. */
static void put_type(rt_json_writer *w, const md_config *c)
{
    rt_put_array(w, "architectures");
    rt_put_text(w, NULL, c->bits ? "RetortQuantizedForCausalLM" : md_architecture(c->family));
    rt_put_end(w);
    rt_put_text(w, "model_type", c->bits ? quantised_type : md_family_word((int)c->family));
    if (!c->bits) return;
    rt_put_object(w, "quantization_config");
    rt_put_text(w, "quant_method", "retort");
    rt_put_text(w, "base_model_type", md_family_word((int)c->family));
    rt_put_int(w, "bits", c->bits);
    rt_put_int(w, "group_size", c->group);
    rt_put_end(w);
}

static void put_config(rt_json_writer *w, const md_config *c, kn_type type)
{
    put_type(w, c);
    rt_put_int(w, "vocab_size", c->V);
    rt_put_int(w, "hidden_size", c->C);
    rt_put_int(w, "num_hidden_layers", c->L);
    rt_put_int(w, "num_attention_heads", c->H);
    rt_put_int(w, "num_key_value_heads", c->KV);
    rt_put_int(w, "head_dim", c->D);
    rt_put_int(w, "intermediate_size", c->F);
    rt_put_int(w, "max_position_embeddings", c->context);
    rt_put_real(w, "rms_norm_eps", c->norm_eps, 9);
    md_settings_write(w, c);
    rt_put_bool(w, "tie_word_embeddings", c->tied);
    config_put_tokens(w, c);
    rt_put_text(w, "torch_dtype", type == KN_BF16 ? "bfloat16" : "float32");
}

static rt_status config_text(rt_buf *b, const md_config *c, kn_type type)
{
    rt_json_writer w = {.out = b, .lines = 1};
    rt_put_object(&w, NULL);
    put_config(&w, c, type);
    rt_put_end(&w);
    rt_put_line_end(&w);
    return w.st;
}

static rt_status generation_text(rt_buf *b, const md_config *c)
{
    rt_json_writer w = {.out = b, .lines = 1};
    rt_put_object(&w, NULL);
    config_put_tokens(&w, c);
    rt_put_bool(&w, "do_sample", 1);
    rt_put_end(&w);
    rt_put_line_end(&w);
    return w.st;
}

static rt_status config_write_text(const char *dir, const char *name, const rt_buf *text)
{
    rt_buf    path = {0};
    rt_status st   = rt_path(&path, dir, name);
    if (st == RT_OK) st = rt_file_write(path.p, text->p, text->len);
    rt_buf_free(&path);
    return st;
}

rt_status md_config_write(const md_model *m, const char *dir, kn_type type)
{
    rt_buf    config = {0}, generation = {0};
    rt_status st = config_text(&config, &m->config, type);
    if (st == RT_OK) st = generation_text(&generation, &m->config);
    if (st == RT_OK) st = config_write_text(dir, "config.json", &config);
    if (st == RT_OK) st = config_write_text(dir, "generation_config.json", &generation);
    rt_buf_free(&config);
    rt_buf_free(&generation);
    return st;
}
