/* model.h -- transformers of the Llama class: configuration, weights, files, graph, scoring.
 *
 * Dimension letters: B batch, T time, C width, H heads, KV key/value heads, D head
 * size, F feed-forward width, V vocabulary, L layers.  Matrices are [out, in].
 */
#ifndef MD_MODEL_H
#define MD_MODEL_H
#include "autograd/autograd.h"
#include "data/rows.h"
#include "data/tokenizer.h"
#include "kernels/kernels.h"

/* clang-format off */

/* Model families: constant; model_type and architectures[0] in config.json; parts (model/arch.h). */
#define MD_FAMILIES(X)                                                 \
    X(MD_LLAMA, "llama", "LlamaForCausalLM", 0)                        \
    X(MD_QWEN2, "qwen2", "Qwen2ForCausalLM", MD_QKV_BIAS | MD_WINDOW)  \
    X(MD_QWEN3, "qwen3", "Qwen3ForCausalLM", MD_QK_NORM | MD_WINDOW)
/* clang-format on */

typedef enum md_family {
#define X(id, ...) id,
    MD_FAMILIES(X)
#undef X
} md_family;

const char *md_family_word(int i); /* name of family i = 0, 1, ...: "llama", ...; NULL past the end */

/* MD_FAMILY_NAMES is the names of the families for messages: "llama, ...". */
extern const char md_family_list[]; /* each name is preceded by ", " */
#define MD_FAMILY_NAMES (md_family_list + 2)

typedef struct md_config {
    md_family family;
    int64_t   V, C, L, H, KV, D, F;
    int64_t   context; /* largest number of positions */
    double    rope_theta, norm_eps;
    int       tied;        /* 1: the head's matrix is the embedding */
    int64_t   bits, group; /* of the quantised matrices; 0: no quantised matrices */
    int32_t   bos;         /* -1: none */
    ds_ends   ends;        /* tokens that end a text, from config.json and generation_config.json */
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
rt_status md_config_read(md_config *c, const char *dir); /* reads DIR/config.json and checks it */

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

/* Reads a model from DIR: config.json, and model.safetensors or the files that its index names.  `type` (KN_REAL or KN_BF16) is
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

/* ---- safetensors: 8 bytes of header length, a JSON header, the data --------------------------------- */

enum { MD_ST_DIMS = 4 };
typedef struct md_st_tensor {
    char    name[MD_NAME + 16];
    char    dtype[8]; /* "F64" "F32" "BF16" "F16" "I64" "I32" "U8" */
    int     nd;
    int64_t shape[MD_ST_DIMS];
    int64_t begin, end; /* byte offsets in the data; set by md_st_open and md_st_begin */
} md_st_tensor;

typedef struct md_st md_st; /* opaque; a file open for reading or for writing */

rt_status md_st_open(md_st **out, const char *path);     /* RT_EFORMAT: truncated file; tensors overlap, leave holes or have wrong sizes */
void      md_st_close(md_st **f);                        /* removes a file whose writing was not ended */
const md_st_tensor *md_st_at(const md_st *f, int64_t i); /* i-th tensor in name order; NULL past the end */
const md_st_tensor *md_st_find(const md_st *f, const char *name);
int64_t             md_st_count(const md_st_tensor *t);                       /* number of elements */
rt_status           md_st_read(md_st *f, const md_st_tensor *t, void *bytes); /* reads t->end - t->begin bytes */
/* Reads values as reals from F64, F32, BF16 or F16, or as int64_t from I64 or I32.  RT_EFORMAT: another type. */
rt_status md_st_read_real(md_st *f, const md_st_tensor *t, real *x);
rt_status md_st_read_i64(md_st *f, const md_st_tensor *t, int64_t *x);
/* Writing: md_st_begin writes the header from the list, md_st_write each tensor's bytes in that order, md_st_end fsyncs the file
 * and renames it to `path`.  Until then `path` is unchanged; an existing file is replaced. */
rt_status md_st_begin(md_st **out, const char *path, md_st_tensor *list, int64_t n);
rt_status md_st_write(md_st *f, const void *bytes, int64_t n);
rt_status md_st_end(md_st **f);

/* ---- the graph: the model as calls to ag_* -------------------------------------------- */

typedef enum md_use {
    MD_TRAIN, /* the weights are parameters; the value is the loss: the head's, plus the hidden-state term if there is one */
    MD_LOSS,  /* the weights are inputs; the value is the head's loss, for validation */
    MD_SCORE, /* the value is the normed hidden states [B T, C] */
    MD_DECODE /* the same for B T new tokens, each of the sequence in its slot of a KV cache */
} md_use;

/* The leaves to bind and the value to read.  An ag_id is -1 if the use has no such leaf. */
typedef struct md_graph {
    ag_graph *g;
    ag_id     ids, pos, doc_start, slot, rope, targets; /* i32 [BT] x 4, real [2,context,D/2], ag_targets */
    ag_id     projection;                               /* real [match,C]: the parameter of the hidden-state term */
    ag_id    *weight;                                   /* [model->n], in the order of model->t */
    ag_id    *cache_k, *cache_v;                        /* [L]: [slots slot_rows, KV D] of the activations' type */
    ag_id     value;
} md_graph;

typedef struct md_graph_opts {
    md_use  use;
    int64_t B, T;
    int64_t slots, slot_rows; /* MD_DECODE: slots of the KV cache, and rows (tokens) of a slot */
    kn_type activations;
    int     recompute; /* 1: each block is a segment, recomputed in backward */
    /* MD_TRAIN, MD_LOSS: the teacher of the loss */
    ag_head_opts head;
    int64_t      match; /* MD_TRAIN: width of the teacher's hidden rows in the hidden-state term; 0: no such term */
} md_graph_opts;

/* Builds the graph of a model; m is not needed afterwards.  ag_plan_create reports errors of operators.  RT_ENOMEM. */
rt_status md_graph_create(md_graph *out, const md_model *m, const md_graph_opts *o);
void      md_graph_destroy(md_graph *g);

/* The memory of the leaves that every use of a model has.  The caller owns the arrays and keeps them as long as the plan. */
typedef struct md_leaves {
    const md_model *m;
    int32_t        *ids, *pos;        /* [B T] */
    int32_t        *doc_start, *slot; /* [B T]; doc_start is NULL for MD_DECODE, slot for the other uses */
    real           *rope;             /* from md_rope */
    real           *grads;            /* MD_TRAIN: the gradient of m->t[i] is at grads + grad_at[i]; else NULL */
    const int64_t  *grad_at;
} md_leaves;
/* Binds the leaves to a plan of g.  The caller binds targets, projection and caches. */
void md_bind(ag_plan *p, const md_graph *g, const md_leaves *l);

/* Creates the rotary table of a model: real [2, context, D/2].  The caller frees it with free(). */
rt_status md_rope(real **out, const md_config *c);

/* ---- scoring: the logits of a text ---------------------------------------- */

typedef struct md_scorer md_scorer; /* opaque; plans for up to max_tokens per pass; not thread-safe */

/* Creates a scorer, which borrows m.  Destroy it with md_scorer_destroy.  RT_EINVAL: max_tokens < 1. */
rt_status md_scorer_create(md_scorer **out, const md_model *m, int64_t max_tokens);
void      md_scorer_destroy(md_scorer **s);

/* Called for each position t with its logits z[V], from several threads and in any order.
 * `thread` is 0 .. rt_threads()-1.  The callback may overwrite z. */
typedef void (*md_row_fn)(void *ud, int64_t t, real *z, int thread);
/* Several documents in one pass, as in a training batch.  Token i is at position pos[i] of its document, which begins
 * at index doc_start[i] of these arrays.  n <= max_tokens; pos[i] < context. */
typedef struct md_packed {
    const int32_t *ids, *pos, *doc_start;
    int64_t        n;
} md_packed;
rt_status md_score_packed(md_scorer *s, const md_packed *b, md_row_fn row, void *ud); /* row NULL: no logits are computed */
/* Copies to h[C] the normed hidden state, the head's input, of position t in the last pass. */
void md_scorer_hidden(const md_scorer *s, int64_t t, real *h);

/* As md_row_fn, with the logits of two models at one position. */
typedef void (*md_pair_fn)(void *ud, int64_t t, real *z, real *z2, int thread);
/* Runs a forward pass over one document ids[n], n <= max_tokens.  The result depends only on the model and
 * the ids.  RT_ECHECK, here and in the other passes: some logits are not finite; the callback was not called for their rows.
 * RT_EINVAL: too many tokens, or an id or a position out of range. */
rt_status md_score(md_scorer *s, const int32_t *ids, int64_t n, md_row_fn row, void *ud);

/* Runs both models over the same documents.  Each row of logits has the V of its model. */
rt_status md_score_pair(md_scorer *s, md_scorer *s2, const md_packed *b, md_pair_fn row, void *ud);

/* Returns log(sum_v exp z[v]): exponentials in `real`, in blocks, and their sum in f64.  model, infer and eval all use it. */
double md_lse(const real *z, int64_t V);

/* ---- top k and tail samples of one row of a teacher -------------- */

enum { MD_TEACHER_MAX_K = 256 };
typedef struct md_teacher_row {      /* what a block's columns hold rounded to float, and the rank */
    double  tail_mass, tail_entropy; /* over the ids outside the top k: sum p, -sum p log p */
    double  actual_logprob;
    int64_t actual_rank; /* of `actual`; 1: the most likely.  Both are 0 if actual < 0 */
} md_teacher_row;
/* Fills the columns of row i of r that are not NULL from logits z[V]; r->k <= V and r->k <= MD_TEACHER_MAX_K.  Returns its values in
 * full precision.  With k = 0 the tail is the whole distribution.  The m tail samples are drawn by systematic sampling and ascend:
 * the expected count of id v is m p_v / tail_mass, and its count is that number rounded down or up.  If the tail mass is 0, every
 * tail id is the top id.  valid becomes 1; `encoded` does not change.  The result depends only on the arguments. */
md_teacher_row md_teacher_fill(ds_rows *r, int64_t i, const real *z, int64_t V, int32_t actual, uint64_t seed);

#endif
