/* gguf_config.c -- a model's configuration in the metadata of a GGUF file, read and written (gguf_model.h). */
#include "model/files.h"
#include "model/gguf_model.h"
#include "model/rope.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Families that are read and written, and what GGUF calls them.  A Mistral is a "llama", as which it is read. */
static const struct {
    md_family   family;
    const char *name;
} known[] = {{MD_LLAMA, "llama"},     {MD_QWEN2, "qwen2"}, {MD_QWEN3, "qwen3"},     {MD_GEMMA2, "gemma2"}, {MD_GEMMA3, "gemma3"},
             {MD_SMOLLM3, "smollm3"}, {MD_OLMO2, "olmo2"}, {MD_GRANITE, "granite"}, {MD_MISTRAL, "llama"}};
enum { KNOWN = sizeof known / sizeof *known };

/* Factors and caps, behind the family's name and a dot; the part of the families that have them; 1 if the key has the reciprocal. */
static const struct {
    unsigned    part;
    const char *name;
    size_t      field; /* in md_config */
    int         reciprocal;
} factor_keys[] = {{MD_MULTIPLIERS, "embedding_scale", offsetof(md_config, embedding_scale), 0},
                   {MD_MULTIPLIERS, "residual_scale", offsetof(md_config, residual_scale), 0},
                   {MD_MULTIPLIERS, "attention.scale", offsetof(md_config, attention_scale), 0},
                   {MD_MULTIPLIERS, "logit_scale", offsetof(md_config, logit_scale), 1},
                   {MD_GEMMA, "attn_logit_softcapping", offsetof(md_config, attention_cap), 0},
                   {MD_GEMMA, "final_logit_softcapping", offsetof(md_config, logit_cap), 0}};
enum { FACTORS = sizeof factor_keys / sizeof *factor_keys, PATTERN = 6 /* a global layer after PATTERN - 1 local ones, in Gemma 3 */ };

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
static const char eps_key[] = "attention.layer_norm_rms_epsilon", theta_key[] = "rope.freq_base", local_theta_key[] = "rope.freq_base_swa",
                  pattern_key[] = "attention.sliding_window_pattern";
static const char scaling_key[] = "rope.scaling.type", factor_key[] = "rope.scaling.factor", window_key[] = "attention.sliding_window";
static const char bos_key[]         = "tokenizer.ggml.bos_token_id";
static const char *const end_keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"};
enum { ENDS = sizeof end_keys / sizeof *end_keys };

static int64_t *size_of_key(const md_config *c, size_t i) { return (int64_t *)(uintptr_t)((const char *)c + size_keys[i].field); }

/* Sets key to "FAMILY.NAME". */
typedef char       key_text[MD_GGUF_WORD + 64];
static const char *gguf_key_of(key_text key, const md_config *c, const char *name)
{
    int i = 0;
    while (known[i].family != c->family) i++;
    snprintf(key, sizeof(key_text), "%s.%s", known[i].name, name);
    return key;
}

static double *factor_at(const md_config *c, int i) { return (double *)(uintptr_t)((const char *)c + factor_keys[i].field); }

static rt_status gguf_int(const md_gguf *g, const md_config *c, const char *name, int64_t *v)
{
    key_text key;
    return md_gguf_int(g, gguf_key_of(key, c, name), v);
}

static rt_status read_family(md_config *c, const md_gguf *g)
{
    char word[MD_GGUF_WORD] = "";
    RT_TRY(md_gguf_word(g, "general.architecture", word));
    char list[KNOWN * 12] = "";
    for (int i = 0; i < KNOWN - 1; i++) { /* but for the second "llama" */
        if (!strcmp(word, known[i].name)) {
            c->family = known[i].family;
            return RT_OK;
        }
        strcat(strcat(list, i ? ", " : ""), known[i].name);
    }
    RT_FAIL(RT_EFORMAT, "%s: general.architecture \"%s\" is not supported; this version reads %s from GGUF files", md_gguf_path(g), word,
            list);
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
    c->rope.theta = c->rope_local.theta = 10000;
    RT_TRY(gguf_need(g, c, eps_key));
    RT_TRY(md_gguf_real(g, gguf_key_of(key, c, eps_key), &c->norm_eps));
    RT_TRY(md_gguf_real(g, gguf_key_of(key, c, theta_key), &c->rope.theta));
    return md_gguf_real(g, gguf_key_of(key, c, local_theta_key), &c->rope_local.theta);
}

/* A llama has the biases whose tensors the file holds. */
static rt_status gguf_read_biases(md_config *c, const md_gguf *g)
{
    if (c->family != MD_LLAMA) return RT_OK;
    const int qkv = md_gguf_find(g, "blk.0.attn_q.bias") != NULL, o = md_gguf_find(g, "blk.0.attn_output.bias") != NULL;
    RT_CHECK(qkv == o, RT_EFORMAT, "%s: expected biases of q, k, v and the output, or of none of them; found those of %s only",
             md_gguf_path(g), qkv ? "q, k and v" : "the output");
    c->biases = (qkv ? MD_QKV_BIAS | MD_O_BIAS : 0) | (md_gguf_find(g, "blk.0.ffn_gate.bias") ? MD_MLP_BIAS : 0);
    return RT_OK;
}

/* llama.cpp rotates q and k in three of four layers of a SmolLM3, whatever a file says. */
static int without_rope(const md_config *c, int64_t l) { return c->family == MD_SMOLLM3 && (l + 1) % 4 == 0; }

/* Returns the scale of Gemma's scores where it is not 1 / sqrt(D), else 0: a file does not say it, and llama.cpp recognises the two
 * models of 27 billion parameters by their number of layers. */
static double scale_of_scores(const md_config *c)
{
    const int large = (c->family == MD_GEMMA2 && c->L == 46) || (c->family == MD_GEMMA3 && c->L == 62);
    return large ? 1 / sqrt((double)c->C / (double)c->H) : 0;
}

static rt_status gguf_read_factors(md_config *c, const md_gguf *g)
{
    key_text key;
    for (int i = 0; i < FACTORS; i++) {
        double *v = factor_at(c, i);
        if (!md_has(c, factor_keys[i].part)) continue;
        RT_TRY(md_gguf_real(g, gguf_key_of(key, c, factor_keys[i].name), v));
        RT_CHECK(*v >= 0 && isfinite(*v), RT_EFORMAT, "%s: %s must be a number of at least 0, found %g", md_gguf_path(g), key, *v);
        if (factor_keys[i].reciprocal && *v > 0) *v = 1 / *v;
    }
    if (md_has(c, MD_GEMMA)) c->attention_scale = scale_of_scores(c);
    return RT_OK;
}

/* Reads a list of 1 (window) or 0 for each layer. */
static rt_status read_window_list(md_config *c, const md_gguf *g, const char *key)
{
    md_gguf_array list;
    RT_TRY(md_gguf_elements(g, key, MD_GGUF_I32, &list));
    RT_CHECK(list.n == c->L, RT_EFORMAT, "%s: %s has %lld elements, expected one for each of %lld layers", md_gguf_path(g), key,
             (long long)list.n, (long long)c->L);
    for (int64_t l = 0; l < c->L; l++)
        if (md_gguf_take_i32(&list)) c->layer[l] |= MD_LAYER_WINDOW;
    return RT_OK;
}

static rt_status read_windows(md_config *c, const md_gguf *g)
{
    int64_t  pattern = PATTERN;
    key_text key;
    if (!md_has(c, MD_GEMMA)) return RT_OK;
    RT_TRY(gguf_int(g, c, window_key, &c->window));
    gguf_key_of(key, c, pattern_key);
    if (c->window > 0 && md_gguf_has_array(g, key)) return read_window_list(c, g, key);
    if (c->family == MD_GEMMA3) RT_TRY(md_gguf_int(g, key, &pattern));
    RT_CHECK(c->window > 0 && pattern > 0, RT_EFORMAT, "%s: expected a positive attention.sliding_window, found %lld", md_gguf_path(g),
             (long long)c->window);
    for (int64_t l = 0; l < c->L; l++)
        if (md_windowed_by_rule(c, l, pattern, 0)) c->layer[l] |= MD_LAYER_WINDOW;
    return RT_OK;
}

/* Reads the divisors as those of longrope for all lengths. */
static rt_status read_divisors(md_config *c, const md_gguf *g)
{
    const md_gguf_tensor *t = md_gguf_find(g, MD_GGUF_DIVISORS);
    const int64_t         n = c->D / 2;
    real                  x[MD_MAX_PAIRS];
    if (!t || c->family != MD_LLAMA) return RT_OK;
    RT_CHECK(t->nd == 1 && t->shape[0] == n && n <= MD_MAX_PAIRS && t->type->block == 1, RT_EFORMAT,
             "%s: expected %lld floats in " MD_GGUF_DIVISORS, md_gguf_path(g), (long long)n);
    t->type->to_real(x, t->data, n);
    for (int64_t i = 0; i < n; i++) {
        RT_CHECK(x[i] > 0 && isfinite(x[i]), RT_EFORMAT, "%s: " MD_GGUF_DIVISORS "[%lld] is %g, expected a positive number",
                 md_gguf_path(g), (long long)i, (double)x[i]);
        c->rope.divisor[0][i] = c->rope.divisor[1][i] = (double)x[i];
    }
    c->rope.kind   = MD_ROPE_LONGROPE;
    c->rope.factor = c->rope.attention = 1;
    c->rope.original                   = c->context;
    return RT_OK;
}

static rt_status read_scaling(md_config *c, const md_gguf *g)
{
    char     scaling[MD_GGUF_WORD] = "none";
    key_text key;
    RT_TRY(read_divisors(c, g));
    RT_TRY(md_gguf_word(g, gguf_key_of(key, c, scaling_key), scaling));
    if (!strcmp(scaling, "none")) return RT_OK;
    RT_CHECK(!strcmp(scaling, "linear") && c->rope.kind == MD_ROPE_DEFAULT, RT_EFORMAT, "%s: %s \"%s\" is not supported in this version",
             md_gguf_path(g), key, scaling);
    c->rope.kind     = MD_ROPE_LINEAR;
    c->rope.original = c->context;
    RT_TRY(md_gguf_real(g, gguf_key_of(key, c, factor_key), &c->rope.factor));
    RT_CHECK(c->rope.factor > 0, RT_EFORMAT, "%s: expected a positive %s, found %g", md_gguf_path(g), key, c->rope.factor);
    return RT_OK;
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
    int64_t window = c->context;
    RT_TRY(expect_int(g, c, "rope.dimension_count", c->D));
    RT_TRY(expect_int(g, c, "attention.value_length", c->D));
    RT_TRY(expect_int(g, c, "expert_count", 0));
    RT_TRY(gguf_int(g, c, window_key, &window));
    RT_CHECK(md_has(c, MD_GEMMA) || window >= c->context, RT_EFORMAT, "%s: attention.sliding_window %lld is not supported in this version",
             md_gguf_path(g), (long long)window);
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
    RT_TRY(read_scaling(&read, g));
    RT_TRY(read_windows(&read, g));
    RT_TRY(gguf_read_biases(&read, g));
    for (int64_t l = 0; l < read.L; l++) read.layer[l] |= without_rope(&read, l) ? MD_LAYER_NO_ROPE : 0;
    RT_TRY(gguf_read_factors(&read, g));
    RT_TRY(gguf_read_tokens(&read, g));
    *c = read;
    return RT_OK;
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* llama.cpp reads divisors of Llama models only.  Those of longrope must not depend on the length. */
static int has_divisors(const md_config *c)
{
    const md_rope *r = &c->rope;
    return c->family == MD_LLAMA &&
           (r->kind == MD_ROPE_LLAMA3 || (r->kind == MD_ROPE_LONGROPE && r->attention == 1 &&
                                          !memcmp(r->divisor[0], r->divisor[1], (size_t)(c->D / 2) * sizeof(double))));
}

int md_gguf_divisors(float *x, const md_config *c)
{
    double f[MD_MAX_PAIRS];
    if (!has_divisors(c)) return 0;
    (void)md_rope_frequencies(f, &c->rope, c->D, 0);
    for (int64_t i = 0; i < c->D / 2; i++) x[i] = (float)(pow(c->rope.theta, -2.0 * (double)i / (double)c->D) / f[i]);
    return 1;
}

/* Returns 1 if the layers with a window are those that a Gemma model has by its family's rule. */
static int windows_by_rule(const md_config *c)
{
    int yes = 1;
    for (int64_t l = 0; l < c->L; l++) yes &= md_windowed_by_rule(c, l, PATTERN, 0) == (c->layer[l] & MD_LAYER_WINDOW);
    return yes;
}

static rt_status check_writable(const md_config *c)
{
    const double scale = c->attention_scale > 0 ? c->attention_scale : 1 / sqrt((double)c->D), gguf = scale_of_scores(c);
    int          i = 0;
    while (i < KNOWN && known[i].family != c->family) i++;
    RT_CHECK(i < KNOWN, RT_EINVAL, "a %s model cannot be written as a GGUF file in this version", md_family_word((int)c->family));
    RT_CHECK(
        !c->rope.dims && (!c->window || c->window >= c->context || md_has(c, MD_GEMMA)), RT_EINVAL,
        "a model with a partial rotary embedding or a sliding window within its context cannot be written as a GGUF file: llama.cpp has "
        "none in this family");
    for (int64_t l = 0; l < c->L; l++)
        RT_CHECK(without_rope(c, l) == !!(c->layer[l] & MD_LAYER_NO_ROPE), RT_EINVAL,
                 "a GGUF file cannot say which layers have no rotary embedding: llama.cpp expects every fourth one");
    RT_CHECK(c->rope.kind == MD_ROPE_DEFAULT || c->rope.kind == MD_ROPE_LINEAR || has_divisors(c), RT_EINVAL,
             "GGUF files of %s models hold no rotary embedding with this scaling", md_family_word((int)c->family));
    RT_CHECK(!md_has(c, MD_GEMMA) || (c->window && fabs(scale * sqrt((double)c->D) - 1) < 1e-6) || gguf > 0, RT_EINVAL,
             "a GGUF file cannot say the scale of a Gemma model's scores, nor that no layer has a window: llama.cpp expects 1 / sqrt(%lld)",
             (long long)c->D);
    RT_CHECK(!c->biases || c->family == MD_LLAMA, RT_EINVAL, "a %s model with biases cannot be written as a GGUF file in this version",
             md_family_word((int)c->family));
    return RT_OK;
}

/* llama.cpp replaces a missing factor by 1, and a missing cap of Gemma 2 by that of the released models. */
static void put_factors(md_gguf_keys *k, const md_config *c)
{
    key_text key;
    for (int i = 0; i < FACTORS; i++) {
        const double v = *factor_at(c, i);
        if (md_has(c, factor_keys[i].part) && v > 0)
            md_gguf_put_real(k, gguf_key_of(key, c, factor_keys[i].name), factor_keys[i].reciprocal ? 1 / v : v);
    }
}

/* llama.cpp (build 11434) reads the list; without it, it assumes the rule of the family. */
static void put_window_list(md_gguf_keys *k, const md_config *c)
{
    key_text key;
    md_gguf_put_array(k, gguf_key_of(key, c, pattern_key), MD_GGUF_I32, c->L);
    for (int64_t l = 0; l < c->L; l++) md_gguf_add_int(k, (c->layer[l] & MD_LAYER_WINDOW) != 0);
}

rt_status md_gguf_put_config(md_gguf_keys *k, const md_config *c)
{
    key_text key;
    RT_TRY(check_writable(c));
    int i = 0;
    while (known[i].family != c->family) i++;
    md_gguf_put_text(k, "general.architecture", known[i].name);
    for (size_t s = 0; s < KEYS; s++) md_gguf_put_int(k, gguf_key_of(key, c, size_keys[s].name), *size_of_key(c, s));
    md_gguf_put_int(k, gguf_key_of(key, c, "attention.value_length"), c->D);
    md_gguf_put_int(k, gguf_key_of(key, c, "rope.dimension_count"), c->D);
    md_gguf_put_int(k, gguf_key_of(key, c, "vocab_size"), c->V);
    md_gguf_put_real(k, gguf_key_of(key, c, eps_key), c->norm_eps);
    md_gguf_put_real(k, gguf_key_of(key, c, theta_key), c->rope.theta);
    if (md_has(c, MD_LOCAL_ROPE)) md_gguf_put_real(k, gguf_key_of(key, c, local_theta_key), c->rope_local.theta);
    if (md_has(c, MD_GEMMA)) md_gguf_put_int(k, gguf_key_of(key, c, window_key), c->window);
    if (md_has(c, MD_GEMMA) && !windows_by_rule(c)) put_window_list(k, c);
    if (c->rope.kind == MD_ROPE_LINEAR) {
        md_gguf_put_text(k, gguf_key_of(key, c, scaling_key), "linear");
        md_gguf_put_real(k, gguf_key_of(key, c, factor_key), c->rope.factor);
    }
    put_factors(k, c);
    return RT_OK;
}

void md_gguf_put_tokens(md_gguf_keys *k, int32_t bos, const ds_ends *ends)
{
    if (bos >= 0) md_gguf_put_int(k, bos_key, bos);
    for (int i = 0; i < ENDS && i < ends->n; i++) md_gguf_put_int(k, end_keys[i], ends->id[i]);
}
