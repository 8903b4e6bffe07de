/* model.h -- transformers of the Llama class: configuration, weights, files.
 *
 * Dimension letters: B batch, T time, C width, H heads, KV key/value heads, D head
 * size, F feed-forward width, V vocabulary, L layers.  Matrices are [out, in].
 */
#ifndef MD_MODEL_H
#define MD_MODEL_H
#include "data/tokenizer.h"
#include "kernels/kernels.h"

/* clang-format off */

/* Model families: constant; model_type and architectures[0] in config.json; parts (model/arch.h); default base of the rotary angles. */
#define MD_FAMILIES(X)                                                                                                            \
    X(MD_LLAMA,   "llama",       "LlamaForCausalLM",   MD_PRE_NORM | MD_BIAS_KEYS, 1e4)                                           \
    X(MD_MISTRAL, "mistral",     "MistralForCausalLM", MD_PRE_NORM | MD_WINDOW_EVERYWHERE, 1e4)                                   \
    X(MD_PHI3,    "phi3",        "Phi3ForCausalLM",    MD_PRE_NORM | MD_WINDOW_EVERYWHERE | MD_FUSED, 1e4)                        \
    X(MD_QWEN2,   "qwen2",       "Qwen2ForCausalLM",   MD_PRE_NORM | MD_QKV_BIAS | MD_WINDOW_SWITCH, 1e4)                         \
    X(MD_QWEN3,   "qwen3",       "Qwen3ForCausalLM",   MD_PRE_NORM | MD_QK_NORM | MD_BIAS_KEYS | MD_WINDOW_SWITCH, 1e4)           \
    X(MD_GEMMA2,  "gemma2",      "Gemma2ForCausalLM",  MD_FOUR_NORMS | MD_GEMMA | MD_BIAS_KEYS, 1e4)                              \
    X(MD_GEMMA3,  "gemma3_text", "Gemma3ForCausalLM",  MD_FOUR_NORMS | MD_GEMMA | MD_QK_NORM | MD_BIAS_KEYS | MD_LOCAL_ROPE, 1e6) \
    X(MD_SMOLLM3, "smollm3",     "SmolLM3ForCausalLM", MD_PRE_NORM | MD_NO_ROPE | MD_BIAS_KEYS | MD_WINDOW_SWITCH, 2e6)           \
    X(MD_OLMO2,   "olmo2",       "Olmo2ForCausalLM",   MD_POST_NORM | MD_WIDE_QK_NORM | MD_BIAS_KEYS, 1e4)                        \
    X(MD_GRANITE, "granite",     "GraniteForCausalLM", MD_PRE_NORM | MD_MULTIPLIERS | MD_BIAS_KEYS, 1e4)
/* clang-format on */

typedef enum md_family {
#define X(id, ...) id,
    MD_FAMILIES(X)
#undef X
} md_family;

const char *md_family_word(int i);                               /* name of family i = 0, 1, ...: "llama", ...; NULL past the end */
int         md_family_find(const char *name, md_family *family); /* returns 0 if the name is unknown */

/* MD_FAMILY_NAMES is the names of the families for messages: "llama, ...". */
extern const char md_family_list[]; /* each name is preceded by ", " */
#define MD_FAMILY_NAMES (md_family_list + 2)

enum { MD_MAX_LAYERS = 1024, MD_MAX_PAIRS = 256 };

/* A rotary embedding (model/rope.c). */
typedef struct md_rope {
    int     kind;                     /* md_rope_kind in model/rope.h */
    double  theta;                    /* base of the angles */
    int64_t dims;                     /* elements of a head that are rotated; 0: all */
    double  factor, low, high;        /* of the scaling */
    double  attention;                /* factor of cosines and sines */
    int     truncate;                 /* YaRN: round the ends of the ramp */
    int64_t original;                 /* positions before the scaling */
    double  divisor[2][MD_MAX_PAIRS]; /* longrope: divisors of the frequencies, of sequences up to `original` and of longer ones */
} md_rope;

enum { MD_LAYER_WINDOW = 1, MD_LAYER_NO_ROPE = 2 }; /* bits of md_config.layer */

/* A member that is 0 has no effect, but for the sizes. */
typedef struct md_config {
    md_family family;
    int64_t   V, C, L, H, KV, D, F;
    int64_t   context; /* largest number of positions */
    double    norm_eps;
    md_rope   rope, rope_local; /* of all layers; of the layers with a window if the family has MD_LOCAL_ROPE */
    int64_t   window;           /* positions that a layer with MD_LAYER_WINDOW attends to */
    uint8_t   layer[MD_MAX_LAYERS];
    unsigned  biases; /* MD_QKV_BIAS, MD_O_BIAS, MD_MLP_BIAS (model/arch.h), beyond those of the family */
    double    embedding_scale, residual_scale, logit_scale; /* factors of the embeddings, of each branch, of the logits */
    double    attention_scale, attention_cap, logit_cap;    /* see ag_heads; logits become cap tanh(logit / cap) */
    int       tied;                                         /* 1: the head's matrix is the embedding */
    int64_t   bits, group;                                  /* of the quantised matrices; 0: no quantised matrices */
    int32_t   bos;                                          /* -1: none */
    ds_ends   ends;                                         /* tokens that end a text, from config.json and generation_config.json */
} md_config;

enum { MD_NAME = 80 };
typedef struct md_tensor {
    char    name[MD_NAME]; /* Hugging Face's name: "model.layers.0.self_attn.q_proj.weight" */
    int64_t rows, cols;    /* a vector has rows = 1 and is_vector */
    int     is_vector;
    kn_type type;
    void   *data; /* rows x cols; quantised: see kn_quant in kernels.h */
    int     role; /* md_role in model/arch.h */
    int64_t layer;
} md_tensor;

typedef struct md_model {
    md_config  config;
    md_tensor *t; /* [n], in the order of MD_TENSORS in model/arch.h */
    int        n;
    char      *dir; /* folder that it was read from, which holds its tokenizer; NULL: new model */
} md_model;

/* Checks a configuration (H a multiple of KV, D even, all sizes >= 1).  RT_EINVAL: the message names the field and the rule. */
rt_status md_config_check(const md_config *c);
int64_t   md_config_parameters(const md_config *c);      /* number of parameters; md_config_check must have accepted *c, here and below */
int64_t   md_config_layer_macs(const md_config *c);      /* multiply-adds per token in the matrices of one layer */
rt_status md_config_read(md_config *c, const char *dir); /* reads DIR/config.json, or a GGUF file's metadata, and checks it */

/* Creates a meta model: names and shapes without data. */
rt_status md_meta(md_model **out, const md_config *c);
/* Creates a model with zeroed weights of type KN_REAL or KN_BF16, norms included.  Destroy it with md_destroy. */
rt_status md_create(md_model **out, const md_config *c, kn_type type);
/* Initialises the weights: Normal(0, 0.5 / sqrt(C)) for matrices, scaled by 1/sqrt(2 L) for a block's output matrices; 1 for
 * norms; 0 for biases.  The result depends only on (config, seed). */
void    md_init(md_model *m, uint64_t seed);
void    md_destroy(md_model **m);
int64_t md_bytes(const md_model *m);
kn_type md_activations(const md_model *m); /* type of the activations, that of the norms: KN_REAL or KN_BF16 */

/* Returns the head's matrix [V, C], which is the embedding in a tied model. */
const md_tensor *md_head(const md_model *m);
/* Sets *out to the head's weights cast to reals if they are quantised; the caller frees it with free().  Else *out is not changed. */
rt_status md_head_cast(real **out, const md_model *m);

/* Reads a model from DIR: config.json, and model.safetensors or the files that its index names.  DIR may also be a GGUF file, or a folder that
 * holds one and no safetensors; configuration and weights then come from that file (experiments/decisions/0028).  `type` (KN_REAL or KN_BF16) is
 * the type of the weights in memory; weights quantised by retort stay quantised.  If the files hold a separate head, it is used
 * even if tie_word_embeddings is true.  RT_EFORMAT: the message names the tensor that is missing, unexpected, of another shape or
 * not finite, or the setting that is not supported. */
rt_status md_load(md_model **out, const char *dir, kn_type type);
/* Sets *out to KN_BF16 if all weights of DIR are stored in bf16, else to KN_REAL. */
rt_status md_stored_type(kn_type *out, const char *dir);
/* Writes config.json, generation_config.json and model.safetensors to DIR, which it creates if it is missing.  The files are
 * fsynced.  Plain weights are stored as `type`.  A model with quantised matrices is stored in Retort's own layout
 * (experiments/decisions/0013). */
rt_status md_save(const md_model *m, const char *dir, kn_type type);
#endif
