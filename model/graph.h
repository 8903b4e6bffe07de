/* graph.h -- the graph of a model: the transformer as calls to ag_*. */
#ifndef MD_GRAPH_H
#define MD_GRAPH_H
#include "autograd/autograd.h"
#include "model/model.h"

typedef enum md_use {
    MD_TRAIN, /* the weights are parameters; the value is the loss: the head's, plus the hidden-state term if there is one */
    MD_LOSS,  /* the weights are inputs; the value is the head's loss, for validation */
    MD_SCORE, /* the value is the normed hidden states [B T, C] */
    MD_DECODE /* the same for B T new tokens, each of the sequence in its slot of a KV cache */
} md_use;

/* The leaves to bind and the value to read.  An ag_id is -1 if the use has no such leaf. */
typedef struct md_graph {
    ag_graph *g;
    ag_id     ids, pos, doc_start, slot, targets; /* i32 [BT] x 4, ag_targets */
    ag_id     rope, rope_local;                   /* real [2,context,dims/2]; of all layers, or of those with a window */
    ag_id     projection;                         /* real [match,C]: the parameter of the hidden-state term */
    ag_id    *weight;                             /* [model->n], in the order of model->t */
    ag_id    *cache_k, *cache_v;                  /* [L]: [slots slot_rows, KV D] of the activations' type */
    ag_id     value;
} md_graph;

/* Values inside a layer that MD_SCORE can end with instead of the normed hidden states. */
typedef enum md_part {
    MD_HIDDEN,     /* none: the normed hidden states */
    MD_PART_IN,    /* what the projections of q, k and v read [B T, C] */
    MD_PART_HEADS, /* the outputs of the heads, which the output projection reads [B T, H D] */
    MD_PART_UNITS  /* the units of the feed-forward part, which the down projection reads [B T, F] */
} md_part;

typedef struct md_graph_opts {
    md_use  use;
    md_part part; /* MD_SCORE: the value, of layer `layer` */
    int64_t layer;
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
    real           *rope;             /* from md_rope_tables */
    int64_t         tokens;           /* length of the longest sequence */
    real           *grads;            /* MD_TRAIN: the gradient of m->t[i] is at grads + grad_at[i]; else NULL */
    const int64_t  *grad_at;
} md_leaves;
/* Binds the leaves to a plan of g.  The caller binds targets, projection and caches. */
void md_bind(ag_plan *p, const md_graph *g, const md_leaves *l);

/* Creates the rotary tables of a model.  The caller frees them with free(). */
rt_status md_rope_tables(real **out, const md_config *c);
/* Sets the shape of the table of a rotary embedding of c: [2, context, dims / 2]. */
void md_rope_shape(int64_t shape[3], const md_config *c, const md_rope *r);
/* Binds the tables for sequences of up to `tokens` tokens, as md_bind does.  A caller whose sequences grow binds them again. */
void md_bind_rope(ag_plan *p, const md_graph *g, const md_config *c, real *tables, int64_t tokens);
#endif
