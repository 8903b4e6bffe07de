/* arch.h -- the parts of model families and the table of tensors.  Private to model/.
 *
 * MD_FAMILIES (model.h) lists the families and MD_TENSORS the tensors.  Tensor names, shapes, parameter counts, FLOPs, initial values, the
 * required content of a model folder and the list of known families in messages are derived from these tables.
 * transformer.c looks up weights by role.
 */
#ifndef MD_ARCH_H
#define MD_ARCH_H
#include "model/model.h"

/* Parts that only some models have: distinct bits.  MD_PRE_NORM, MD_POST_NORM and MD_FOUR_NORMS exclude one another. */
enum {
    MD_PRE_NORM          = 1 << 0,  /* a norm before attention and one before the feed-forward part */
    MD_POST_NORM         = 1 << 1,  /* a norm after each instead, before the residual is added */
    MD_FOUR_NORMS        = 1 << 2,  /* both */
    MD_QK_NORM           = 1 << 3,  /* RMSNorm of each head of q and k before rotation */
    MD_WIDE_QK_NORM      = 1 << 4,  /* RMSNorm of all heads of q together, and of k */
    MD_GEMMA             = 1 << 5,  /* norms multiply by 1 + w, embeddings by sqrt(C), GELU, and the keys of Gemma's config.json */
    MD_MULTIPLIERS       = 1 << 6,  /* the keys of Granite's factors */
    MD_FUSED             = 1 << 7,  /* q, k and v are stored as one matrix, and gate and up (model/fused.c) */
    MD_WINDOW_EVERYWHERE = 1 << 8,  /* sliding_window is that of all layers */
    MD_WINDOW_SWITCH     = 1 << 9,  /* use_sliding_window turns it on */
    MD_LOCAL_ROPE        = 1 << 10, /* layers with a window have a rotary embedding of their own */
    MD_NO_ROPE           = 1 << 11, /* some layers have no rotary embedding */
    MD_BIAS_KEYS         = 1 << 12, /* attention_bias and mlp_bias in config.json */
    MD_QKV_BIAS          = 1 << 13, /* biases of q, k and v */
    MD_O_BIAS            = 1 << 14,
    MD_MLP_BIAS          = 1 << 15,
    MD_UNTIED            = 1 << 30 /* a head separate from the embedding; a property of a model, not of a family */
};

/* clang-format off */

/* Role; Hugging Face's name with "*" for the layer's number; rows (0: a vector) and columns for md_config *c; initial value;
 * parts, of which the model has at least one (0: every model has it).  The order determines the order in files and the seeds of the
 * initial values. */
#define MD_TENSORS(X)                                                                                                                     \
    X(MD_EMBEDDING,      "model.embed_tokens.weight",                        c->V,         c->C,         NORMAL, 0)                       \
    X(MD_ATTENTION_NORM, "model.layers.*.input_layernorm.weight",            0,            c->C,         ONES,   MD_PRE_NORM | MD_FOUR_NORMS)   \
    X(MD_Q,              "model.layers.*.self_attn.q_proj.weight",           c->H * c->D,  c->C,         NORMAL, 0)                       \
    X(MD_K,              "model.layers.*.self_attn.k_proj.weight",           c->KV * c->D, c->C,         NORMAL, 0)                       \
    X(MD_V,              "model.layers.*.self_attn.v_proj.weight",           c->KV * c->D, c->C,         NORMAL, 0)                       \
    X(MD_Q_BIAS,         "model.layers.*.self_attn.q_proj.bias",             0,            c->H * c->D,  ZEROS,  MD_QKV_BIAS)             \
    X(MD_K_BIAS,         "model.layers.*.self_attn.k_proj.bias",             0,            c->KV * c->D, ZEROS,  MD_QKV_BIAS)             \
    X(MD_V_BIAS,         "model.layers.*.self_attn.v_proj.bias",             0,            c->KV * c->D, ZEROS,  MD_QKV_BIAS)             \
    X(MD_Q_NORM,         "model.layers.*.self_attn.q_norm.weight",           0,            c->D,         ONES,   MD_QK_NORM)              \
    X(MD_K_NORM,         "model.layers.*.self_attn.k_norm.weight",           0,            c->D,         ONES,   MD_QK_NORM)              \
    X(MD_WIDE_Q_NORM,    "model.layers.*.self_attn.q_norm.weight",           0,            c->H * c->D,  ONES,   MD_WIDE_QK_NORM)         \
    X(MD_WIDE_K_NORM,    "model.layers.*.self_attn.k_norm.weight",           0,            c->KV * c->D, ONES,   MD_WIDE_QK_NORM)         \
    X(MD_O,              "model.layers.*.self_attn.o_proj.weight",           c->C,         c->H * c->D,  OUTPUT, 0)                       \
    X(MD_O_BIAS_VECTOR,  "model.layers.*.self_attn.o_proj.bias",             0,            c->C,         ZEROS,  MD_O_BIAS)               \
    X(MD_AFTER_ATTENTION,"model.layers.*.post_attention_layernorm.weight",   0,            c->C,         ONES,   MD_POST_NORM | MD_FOUR_NORMS)  \
    X(MD_MLP_NORM,       "model.layers.*.post_attention_layernorm.weight",   0,            c->C,         ONES,   MD_PRE_NORM)             \
    X(MD_BEFORE_MLP,     "model.layers.*.pre_feedforward_layernorm.weight",  0,            c->C,         ONES,   MD_FOUR_NORMS)           \
    X(MD_GATE,           "model.layers.*.mlp.gate_proj.weight",              c->F,         c->C,         NORMAL, 0)                       \
    X(MD_UP,             "model.layers.*.mlp.up_proj.weight",                c->F,         c->C,         NORMAL, 0)                       \
    X(MD_GATE_BIAS,      "model.layers.*.mlp.gate_proj.bias",                0,            c->F,         ZEROS,  MD_MLP_BIAS)             \
    X(MD_UP_BIAS,        "model.layers.*.mlp.up_proj.bias",                  0,            c->F,         ZEROS,  MD_MLP_BIAS)             \
    X(MD_DOWN,           "model.layers.*.mlp.down_proj.weight",              c->C,         c->F,         OUTPUT, 0)                       \
    X(MD_DOWN_BIAS,      "model.layers.*.mlp.down_proj.bias",                0,            c->C,         ZEROS,  MD_MLP_BIAS)             \
    X(MD_AFTER_MLP,      "model.layers.*.post_feedforward_layernorm.weight", 0,            c->C,         ONES,   MD_POST_NORM | MD_FOUR_NORMS)  \
    X(MD_FINAL_NORM,     "model.norm.weight",                                0,            c->C,         ONES,   0)                       \
    X(MD_HEAD,           "lm_head.weight",                                   c->V,         c->C,         NORMAL, MD_UNTIED)
/* clang-format on */

typedef enum md_role {
#define X(role, ...) role,
    MD_TENSORS(X)
#undef X
        MD_ROLES
} md_role;

typedef enum md_first { ZEROS, ONES, NORMAL, OUTPUT /* NORMAL scaled by 1/sqrt(2 L), for a block's output matrices */ } md_first;

const char *md_architecture(md_family family); /* architectures[0] */

int    md_has(const md_config *c, unsigned parts); /* returns 1 if the model has one of these parts */
double md_family_theta(md_family family);

/* Lists the tensors of a configuration in order, without data, in *t [*n].  The caller frees *t with free(). */
rt_status md_tensors(md_tensor **t, int *n, const md_config *c);
md_first  md_first_value(md_role r);
int       md_per_layer(md_role r); /* 1: each layer has such a tensor; 0: it occurs once per model */
/* Hugging Face's name of a tensor that occurs once per model. */
const char *md_role_name(md_role r);
/* Returns the index in md_model.t, or -1 if the model has no such tensor.  `layer` is 0 for a tensor that occurs once per model. */
int md_place(const md_model *m, md_role r, int64_t layer);
#endif
