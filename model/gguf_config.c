/* gguf_config.c -- a model's configuration in the metadata of a GGUF file, read and written (gguf_model.h). */
#include "model/gguf_model.h"
#include "model/rope.h"
#include <stdio.h>
#include <string.h>

/* Families that are read and written, which GGUF calls by the same name. */
static const md_family known[] = {MD_LLAMA, MD_QWEN2, MD_QWEN3};

/* Keys of sizes, behind the family's name and a dot.  The optional ones are last. */
static const struct {
    const char *name;
    size_t      field; /* in md_config */
    int         optional;
} size_keys[] = {{"block_count", offsetof(md_config, L), 0},          {"context_length", offsetof(md_config, context), 0},
                 {"embedding_length", offsetof(md_config, C), 0},     {"feed_forward_length", offsetof(md_config, F), 0},
                 {"attention.head_count", offsetof(md_config, H), 0}, {"attention.head_count_kv", offsetof(md_config, KV), 1},
                 {"attention.key_length", offsetof(md_config, D), 1}};
enum { KEYS = sizeof size_keys / sizeof *size_keys, FIRST_OPTIONAL = 5 };
static const char        eps_key[] = "attention.layer_norm_rms_epsilon", theta_key[] = "rope.freq_base";
static const char        bos_key[]  = "tokenizer.ggml.bos_token_id";
static const char *const end_keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"};
enum { ENDS = sizeof end_keys / sizeof *end_keys };

static int64_t *size_of_key(const md_config *c, size_t i) { return (int64_t *)(uintptr_t)((const char *)c + size_keys[i].field); }

/* Sets key to "FAMILY.NAME". */
typedef char       key_text[MD_GGUF_WORD + 64];
static const char *gguf_key_of(key_text key, const md_config *c, const char *name)
{
    snprintf(key, sizeof(key_text), "%s.%s", md_family_word((int)c->family), name);
    return key;
}

static rt_status gguf_int(const md_gguf *g, const md_config *c, const char *name, int64_t *v)
{
    key_text key;
    return md_gguf_int(g, gguf_key_of(key, c, name), v);
}

static rt_status read_family(md_config *c, const md_gguf *g)
{
    char word[MD_GGUF_WORD] = "";
    RT_TRY(md_gguf_word(g, "general.architecture", word));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(word, md_family_word((int)known[i])) != 0) continue;
        c->family = known[i];
        return RT_OK;
    }
    RT_FAIL(RT_EFORMAT, "%s: general.architecture \"%s\" is not supported; this version reads llama, qwen2 and qwen3 from GGUF files",
            md_gguf_path(g), word);
}

static rt_status gguf_need(const md_gguf *g, const md_config *c, const char *name)
{
    key_text key;
    RT_CHECK(md_gguf_has(g, gguf_key_of(key, c, name)), RT_EFORMAT, "%s: the key %s is missing", md_gguf_path(g), key);
    return RT_OK;
}

static rt_status read_sizes(md_config *c, const md_gguf *g)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (!size_keys[i].optional) RT_TRY(gguf_need(g, c, size_keys[i].name));
        if (i == FIRST_OPTIONAL) c->KV = c->H, c->D = c->H > 0 ? c->C / c->H : 0;
        RT_TRY(gguf_int(g, c, size_keys[i].name, size_of_key(c, i)));
    }
    return RT_OK;
}

/* Sets what the metadata do not say: the vocabulary is that of the embedding, and a model without a head of its own is tied. */
static void read_head(md_config *c, const md_gguf *g)
{
    const md_gguf_tensor *embedding = md_gguf_find(g, md_gguf_role_name(MD_EMBEDDING));
    c->V                            = embedding ? embedding->shape[0] : 0;
    c->tied                         = !md_gguf_find(g, md_gguf_role_name(MD_HEAD));
}

static rt_status gguf_read_reals(md_config *c, const md_gguf *g)
{
    key_text key;
    c->rope.theta = 10000;
    RT_TRY(gguf_need(g, c, eps_key));
    RT_TRY(md_gguf_real(g, gguf_key_of(key, c, eps_key), &c->norm_eps));
    return md_gguf_real(g, gguf_key_of(key, c, theta_key), &c->rope.theta);
}

/* Refuses a key whose integer would change the results, unless it has the value `same`. */
static rt_status expect_int(const md_gguf *g, const md_config *c, const char *name, int64_t same)
{
    int64_t v = same;
    RT_TRY(gguf_int(g, c, name, &v));
    RT_CHECK(v == same, RT_EFORMAT, "%s: %s.%s %lld is not supported in this version; expected %lld", md_gguf_path(g),
             md_family_word((int)c->family), name, (long long)v, (long long)same);
    return RT_OK;
}

static rt_status check_settings(const md_config *c, const md_gguf *g)
{
    char     scaling[MD_GGUF_WORD] = "none";
    key_text key;
    int64_t  window = c->context;
    RT_TRY(md_gguf_word(g, gguf_key_of(key, c, "rope.scaling.type"), scaling));
    RT_CHECK(!strcmp(scaling, "none") && !md_gguf_find(g, "rope_freqs.weight"), RT_EFORMAT,
             "%s: a scaled rotary embedding (%s \"%s\" or a tensor rope_freqs.weight) is not supported in this version", md_gguf_path(g),
             key, scaling);
    RT_TRY(expect_int(g, c, "rope.dimension_count", c->D));
    RT_TRY(expect_int(g, c, "attention.value_length", c->D));
    RT_TRY(expect_int(g, c, "expert_count", 0));
    RT_TRY(gguf_int(g, c, "attention.sliding_window", &window));
    RT_CHECK(window >= c->context, RT_EFORMAT, "%s: attention.sliding_window %lld is not supported in this version", md_gguf_path(g),
             (long long)window);
    return RT_OK;
}

static rt_status gguf_read_tokens(md_config *c, const md_gguf *g)
{
    int64_t id = -1;
    RT_TRY(md_gguf_int(g, bos_key, &id));
    c->bos = id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
    for (int i = 0; i < ENDS; i++) {
        id = -1;
        RT_TRY(md_gguf_int(g, end_keys[i], &id));
        RT_TRY(ds_ends_add(&c->ends, id >= 0 && id <= INT32_MAX ? (int32_t)id : -1));
    }
    return RT_OK;
}

rt_status md_gguf_config(md_config *c, const md_gguf *g)
{
    md_config read  = {0};
    int64_t   parts = 1;
    RT_TRY(md_gguf_int(g, "split.count", &parts));
    RT_CHECK(parts <= 1, RT_EFORMAT, "%s: the file is one of %lld parts, which are not supported; merge them with llama-gguf-split --merge",
             md_gguf_path(g), (long long)parts);
    RT_TRY(read_family(&read, g));
    RT_TRY(read_sizes(&read, g));
    read_head(&read, g);
    RT_TRY(gguf_read_reals(&read, g));
    RT_TRY(md_config_check(&read));
    RT_TRY(check_settings(&read, g));
    RT_TRY(gguf_read_tokens(&read, g));
    *c = read;
    return RT_OK;
}

/* ---- writing --------------------------------------------------------------------------------------- */

static rt_status check_writable(const md_config *c)
{
    size_t i = 0;
    while (i < sizeof known / sizeof *known && known[i] != c->family) i++;
    RT_CHECK(i < sizeof known / sizeof *known, RT_EINVAL, "a %s model cannot be written as a GGUF file in this version",
             md_family_word((int)c->family));
    RT_CHECK(c->rope.kind == MD_ROPE_DEFAULT && (!c->rope.dims || c->rope.dims == c->D) && !c->window, RT_EINVAL,
             "a model with a scaled or partial rotary embedding or a sliding window cannot be written as a GGUF file in this version");
    return RT_OK;
}

rt_status md_gguf_put_config(md_gguf_keys *k, const md_config *c)
{
    key_text key;
    RT_TRY(check_writable(c));
    md_gguf_put_text(k, "general.architecture", md_family_word((int)c->family));
    for (size_t i = 0; i < KEYS; i++) md_gguf_put_int(k, gguf_key_of(key, c, size_keys[i].name), *size_of_key(c, i));
    md_gguf_put_int(k, gguf_key_of(key, c, "attention.value_length"), c->D);
    md_gguf_put_int(k, gguf_key_of(key, c, "rope.dimension_count"), c->D);
    md_gguf_put_int(k, gguf_key_of(key, c, "vocab_size"), c->V);
    md_gguf_put_real(k, gguf_key_of(key, c, eps_key), c->norm_eps);
    md_gguf_put_real(k, gguf_key_of(key, c, theta_key), c->rope.theta);
    return RT_OK;
}

void md_gguf_put_tokens(md_gguf_keys *k, int32_t bos, const ds_ends *ends)
{
    if (bos >= 0) md_gguf_put_int(k, bos_key, bos);
    for (int i = 0; i < ENDS && i < ends->n; i++) md_gguf_put_int(k, end_keys[i], ends->id[i]);
}
