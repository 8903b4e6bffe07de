/* model.h -- a transformer of the Llama class: its shape, weights, files, and scoring.
 *
 * Dimension letters: B batch, T time, C width, H heads, KV key/value heads, D head
 * size, F feed-forward width, V vocabulary, L layers.  Matrices are [out, in].
 */
#ifndef MD_MODEL_H
#define MD_MODEL_H
#include "autograd/autograd.h"
#include "data/data.h"
#include "kernels/kernels.h"

typedef struct md_config {
    char    family[24]; /* "llama": a row of MD_FAMILIES in model/arch.h */
    int64_t V, C, L, H, KV, D, F;
    int64_t context; /* largest number of positions */
    double  rope_theta, norm_eps;
    int     tied;        /* the head is the embedding */
    int64_t bits, group; /* of its quantised matrices; 0: there are none */
    int32_t bos;         /* -1: none */
    ds_ends ends;        /* the tokens that end a text: those of config.json and generation_config.json */
} md_config;

enum { MD_NAME = 80 };
typedef struct md_tensor {
    char    name[MD_NAME]; /* Hugging Face's: "model.layers.0.self_attn.q_proj.weight" */
    int64_t rows, cols;    /* a vector has rows = 1 and is_vector */
    int     is_vector;
    kn_type type;
    void   *data; /* rows x cols; quantised: see kn_quant in kernels.h */
    int     role; /* which of the tensors of model/arch.h */
    int64_t layer;
} md_tensor;

typedef struct md_model {
    md_config  config;
    md_tensor *t; /* [n], in the order of MD_TENSORS in model/arch.h */
    int        n;
    char      *dir; /* where it was read from (its tokenizer lives there); NULL: new */
} md_model;

/* The names of the families, for a text: "llama, ...". */
extern const char md_family_list[]; /* each behind ", " */
#define MD_FAMILY_NAMES (md_family_list + 2)

/* RT_EINVAL that names the field and the rule (H a multiple of KV, D even, all sizes >= 1). */
rt_status md_config_check(const md_config *c);
int64_t   md_config_parameters(const md_config *c);      /* of a checked configuration, as is the next */
int64_t   md_config_layer_products(const md_config *c);  /* multiply-adds of a token with the matrices of one layer */
rt_status md_config_read(md_config *c, const char *dir); /* DIR/config.json */

/* Names and shapes, no memory. */
rt_status md_meta(md_model **out, const md_config *c);
/* Zeroed weights of type KN_REAL or KN_BF16 (norms too). */
rt_status md_create(md_model **out, const md_config *c, kn_type type);
/* Normal(0, 0.5 / sqrt(C)), output matrices of a block scaled by 1/sqrt(2 L), norms 1, biases 0; a pure
 * function of (config, seed). */
void       md_init(md_model *m, uint64_t seed);
void       md_destroy(md_model **m);
int64_t    md_bytes(const md_model *m);
kn_type    md_activations(const md_model *m);            /* that of its vectors: KN_REAL or KN_BF16 */
md_tensor *md_find(const md_model *m, const char *name); /* NULL: none */

/* The head's matrix [V, C]: tied to the embedding or its own. */
const md_tensor *md_head(const md_model *m);
/* Its weights where they are quantised, cast to reals; *out stays NULL where they are not.  free(). */
rt_status md_head_cast(real **out, const md_model *m);

/* Read DIR (config.json; model.safetensors or the files that its index names; also quantised by retort).  type: KN_REAL
 * or KN_BF16, what plain weights become; quantised ones stay so.  A head of its own wins over tie_word_embeddings.
 * RT_EFORMAT names what is missing, unexpected, of another shape or no finite number, or the setting that is not supported. */
rt_status md_load(md_model **out, const char *dir, kn_type type);
/* The type that loses nothing of DIR's weights: KN_BF16 where all are stored so, else KN_REAL. */
rt_status md_stored_type(kn_type *out, const char *dir);
/* Write config.json, generation_config.json and model.safetensors into DIR (made if
 * missing); files are fsynced.  Plain weights are stored as `type`.  What holds quantised matrices is in a form of our own
 * (experiments/decisions/0013). */
rt_status md_save(const md_model *m, const char *dir, kn_type type);

/* ---- safetensors: 8 bytes length, a JSON header, the data --------------------------------- */

enum { MD_ST_DIMS = 4 };
typedef struct md_st_tensor {
    char    name[MD_NAME + 16];
    char    dtype[8]; /* "F64" "F32" "BF16" "F16" "I64" "I32" "U8" */
    int     nd;
    int64_t shape[MD_ST_DIMS];
    int64_t begin, end; /* bytes after the header; set by md_st_open and md_st_begin */
} md_st_tensor;

typedef struct md_st md_st; /* a file open for reading or for writing */

rt_status           md_st_open(md_st **out, const char *path); /* RT_EFORMAT: truncated, overlapping, with holes, wrong sizes */
void                md_st_close(md_st **f);                    /* a file not ended is removed */
const md_st_tensor *md_st_at(const md_st *f, int64_t i);       /* by name; NULL past the end */
const md_st_tensor *md_st_find(const md_st *f, const char *name);
int64_t             md_st_count(const md_st_tensor *t); /* elements */
rt_status           md_st_read(md_st *f, const md_st_tensor *t, void *bytes);
/* Values as reals, from F64, F32, BF16 or F16; as i64, from I64 or I32. */
rt_status md_st_read_real(md_st *f, const md_st_tensor *t, real *x);
rt_status md_st_read_i64(md_st *f, const md_st_tensor *t, int64_t *x);
/* Writing: the list first, then each tensor's bytes in that order, then the end (fsync): a whole file, which may
 * replace another, or none. */
rt_status md_st_begin(md_st **out, const char *path, md_st_tensor *list, int64_t n);
rt_status md_st_write(md_st *f, const void *bytes, int64_t n);
rt_status md_st_end(md_st **f);

/* ---- the graph: the model as calls to ag_* -------------------------------------------- */

typedef enum md_use {
    MD_TRAIN, /* weights are parameters; the value is the head's loss */
    MD_LOSS,  /* the same without gradients: validation */
    MD_SCORE, /* the value is the normed hidden state [B T, C] of a document a sequence */
    MD_DECODE /* the same for T new tokens against a KV cache (B = 1) */
} md_use;

/* Leaves to bind and the value to read.  Ids are -1 where a use has no such leaf. */
typedef struct md_graph {
    ag_graph *g;
    ag_id     ids, pos, start, rope, targets, past; /* i32 [BT] x 3, real [2,context,D/2], ag_targets, i32 [1] */
    ag_id     projection;                           /* real [match,C]: a parameter of the hidden-state term */
    ag_id    *weight;                               /* [model->n], in the order of model->t */
    ag_id    *cache_k, *cache_v;                    /* [L]: [cache, KV D] of the activations' type */
    ag_id     value;
} md_graph;

typedef struct md_graph_opts {
    md_use  use;
    int64_t B, T, cache; /* cache: rows of the KV cache (MD_DECODE) */
    kn_type activations;
    int     recompute; /* blocks are segments */
    /* MD_TRAIN, MD_LOSS: what stands beside the student */
    ag_head_opts head;
    int64_t      match; /* width of the teacher's hidden rows that a projection is matched with; 0: no such term (MD_TRAIN) */
} md_graph_opts;

rt_status md_graph_create(md_graph *out, const md_model *m, const md_graph_opts *o);
void      md_graph_destroy(md_graph *g);

/* The leaves that every use of a model has. The arrays stay the caller's and outlive the plan. */
typedef struct md_leaves {
    const md_model *m;
    int32_t        *ids, *pos;    /* [B T] */
    int32_t        *start, *past; /* [B T], NULL in MD_DECODE; [1], NULL in the others */
    real           *rope;         /* md_rope */
    real           *grads;        /* MD_TRAIN: the gradient of m->t[i] is at grads + grad_at[i]; else NULL */
    const int64_t  *grad_at;
} md_leaves;
/* Binds them to a plan of g.  targets, projection and caches are the caller's to bind. */
void md_bind(ag_plan *p, const md_graph *g, const md_leaves *l);

/* The rotary table of a model: real [2, context, D/2]; free(). */
rt_status md_rope(real **out, const md_config *c);

/* ---- scoring: what the model says about a text ---------------------------------------- */

typedef struct md_scorer md_scorer; /* plans for up to max_tokens at once; one caller at a time */

rt_status md_scorer_create(md_scorer **out, const md_model *m, int64_t max_tokens);
void      md_scorer_destroy(md_scorer **s);

/* Called for each position t with its logits z[V], from several threads, in any order;
 * `thread` is 0 .. rt_threads()-1.  z may be changed. */
typedef void (*md_row_fn)(void *ud, int64_t t, real *z, int thread);
/* Several documents at once, as in a training batch: position pos[i] of its document, which begins
 * at index start[i] of these arrays.  n <= max_tokens, pos below the context. */
typedef struct md_packed {
    const int32_t *ids, *pos, *start;
    int64_t        n;
} md_packed;
rt_status md_score_packed(md_scorer *s, const md_packed *b, md_row_fn row, void *ud); /* row NULL: no logits are made */
/* The last pass's normed hidden state h[C] of position t: what the head multiplies. */
void md_scorer_hidden(const md_scorer *s, int64_t t, real *h);

/* The same with two models' logits of one position. */
typedef void (*md_pair_fn)(void *ud, int64_t t, real *z, real *z2, int thread);
/* Forward pass over ids[n], n <= max_tokens: one document.  The result is a
 * function of model and ids alone (never of what else the process does).  RT_ECHECK, as with all passes: some logits are no
 * finite numbers; their rows were not handed out. */
rt_status md_score(md_scorer *s, const int32_t *ids, int64_t n, md_row_fn row, void *ud);

/* Both models over the same documents; each row has its model's V. */
rt_status md_score_pair(md_scorer *s, md_scorer *s2, const md_packed *b, md_pair_fn row, void *ud);

/* log(sum_v exp z[v]): exponentials in `real` by blocks, their sum in f64; the one log-sum-exp of model, infer and eval. */
double md_lse(const real *z, int64_t V);

/* ---- top k and tail samples of one row: what a teacher says about one token -------------- */

enum { MD_TEACHER_MAX_K = 256 };
typedef struct md_teacher_row {
    int32_t *topk_ids;                /* [k], most likely first; ties: the smaller id first */
    float   *topk_logprob;            /* [k] */
    int32_t *tail_ids;                /* [m], ascending, drawn from all other ids; m may be 0.  The expected count of id
                                         v is m p_v / tail_mass, and its count one of the two whole numbers beside that */
    double   tail_mass, tail_entropy; /* of all other ids: sum p, -sum p log p */
    double   actual_logprob;
    int64_t  actual_rank; /* of `actual` (rank 1: the most likely); 0 and 0 when actual < 0 */
} md_teacher_row;
/* Fill r from logits z[V] (k <= V and MD_TEACHER_MAX_K; k = 0: the rest is the whole distribution; when rest mass is
 * 0, tail ids are the top id).
 * A pure function of its arguments. */
void md_teacher_fill(md_teacher_row *r, const real *z, int64_t V, int64_t k, int64_t m, int32_t actual, uint64_t seed);

#endif
