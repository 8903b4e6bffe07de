/* gguf_model.c -- what GGUF calls families and tensors, and a model's configuration in a file's metadata (gguf_model.h). */
#include "model/gguf_model.h"
#include "core/file.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- names ------------------------------------------------------------------------------------- */

/* A role without a row is one of a family that is neither read nor written. */
static const char *const role_names[MD_ROLES] = {
    [MD_EMBEDDING]      = "token_embd.weight",
    [MD_ATTENTION_NORM] = "blk.*.attn_norm.weight",
    [MD_Q]              = "blk.*.attn_q.weight",
    [MD_K]              = "blk.*.attn_k.weight",
    [MD_V]              = "blk.*.attn_v.weight",
    [MD_Q_BIAS]         = "blk.*.attn_q.bias",
    [MD_K_BIAS]         = "blk.*.attn_k.bias",
    [MD_V_BIAS]         = "blk.*.attn_v.bias",
    [MD_Q_NORM]         = "blk.*.attn_q_norm.weight",
    [MD_K_NORM]         = "blk.*.attn_k_norm.weight",
    [MD_O]              = "blk.*.attn_output.weight",
    [MD_MLP_NORM]       = "blk.*.ffn_norm.weight",
    [MD_GATE]           = "blk.*.ffn_gate.weight",
    [MD_UP]             = "blk.*.ffn_up.weight",
    [MD_DOWN]           = "blk.*.ffn_down.weight",
    [MD_FINAL_NORM]     = "output_norm.weight",
    [MD_HEAD]           = "output.weight",
};

/* Families that GGUF calls by the same name. */
static const md_family known[] = {MD_LLAMA, MD_QWEN2, MD_QWEN3};

const char *md_gguf_role_name(md_role role) { return role_names[role]; }

rt_status md_gguf_tensor_name(char name[MD_GGUF_NAME], const md_tensor *t)
{
    const char *form = role_names[t->role], *star = form ? strchr(form, '*') : NULL;
    RT_CHECK(form, RT_EINVAL, "GGUF files have no tensor for %s", t->name);
    if (star) snprintf(name, MD_GGUF_NAME, "%.*s%lld%s", (int)(star - form), form, (long long)t->layer, star + 1);
    else snprintf(name, MD_GGUF_NAME, "%s", form);
    return RT_OK;
}

int64_t md_gguf_turned_heads(const md_config *c, const md_tensor *t)
{
    if (c->family != MD_LLAMA) return 0;
    return t->role == MD_Q || t->role == MD_Q_BIAS ? c->H : t->role == MD_K || t->role == MD_K_BIAS ? c->KV : 0;
}

/* ---- the file ------------------------------------------------------------------------------------- */

static int gguf_is_name(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".gguf");
}

static int holds_safetensors(char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (!strncmp(names[i], "model.safetensors", 17)) return 1;
    return 0;
}

static rt_status choose_file(rt_buf *path, const char *dir, char *const *names, int n)
{
    const char *one = NULL;
    if (holds_safetensors(names, n)) return RT_OK;
    for (int i = 0; i < n; i++) {
        if (!gguf_is_name(names[i])) continue;
        RT_CHECK(!one, RT_EFORMAT, "%s: the folder holds %s and %s; name one of the files instead", dir, one ? one : "", names[i]);
        one = names[i];
    }
    return one ? rt_path(path, dir, one) : RT_OK;
}

rt_status md_gguf_locate(rt_buf *path, const char *given)
{
    struct stat info;
    const int   folder = !stat(given, &info) && S_ISDIR(info.st_mode);
    char      **names;
    int         n;
    if (!folder) return gguf_is_name(given) ? rt_buf_str(path, given) : RT_OK;
    RT_TRY(rt_dir_list(&names, &n, given));
    const rt_status st = choose_file(path, given, names, n);
    rt_names_free(&names, n);
    return st;
}

/* ---- the configuration -------------------------------------------------------------------------- */

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
    const struct {
        const char *name;
        int64_t    *v;
    } needed[] = {{"block_count", &c->L},
                  {"context_length", &c->context},
                  {"embedding_length", &c->C},
                  {"feed_forward_length", &c->F},
                  {"attention.head_count", &c->H}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        RT_TRY(gguf_need(g, c, needed[i].name));
        RT_TRY(gguf_int(g, c, needed[i].name, needed[i].v));
    }
    c->KV = c->H;
    RT_TRY(gguf_int(g, c, "attention.head_count_kv", &c->KV));
    c->D = c->H > 0 ? c->C / c->H : 0;
    return gguf_int(g, c, "attention.key_length", &c->D);
}

/* Sets what the metadata do not say: the vocabulary is that of the embedding, and a model without a head of its own is tied. */
static void read_head(md_config *c, const md_gguf *g)
{
    const md_gguf_tensor *embedding = md_gguf_find(g, role_names[MD_EMBEDDING]);
    c->V                            = embedding ? embedding->shape[0] : 0;
    c->tied                         = !md_gguf_find(g, role_names[MD_HEAD]);
}

static rt_status gguf_read_reals(md_config *c, const md_gguf *g)
{
    static const char eps[] = "attention.layer_norm_rms_epsilon";
    key_text          key;
    c->rope.theta = 10000;
    RT_TRY(gguf_need(g, c, eps));
    RT_TRY(md_gguf_real(g, gguf_key_of(key, c, eps), &c->norm_eps));
    return md_gguf_real(g, gguf_key_of(key, c, "rope.freq_base"), &c->rope.theta);
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
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"};
    int64_t                  id     = -1;
    RT_TRY(md_gguf_int(g, "tokenizer.ggml.bos_token_id", &id));
    c->bos = id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
    for (int i = 0; i < 2; i++) {
        id = -1;
        RT_TRY(md_gguf_int(g, ends[i], &id));
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
