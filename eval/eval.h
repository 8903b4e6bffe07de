/* eval.h -- evaluation of a model on held-out text. */
#ifndef EV_EVAL_H
#define EV_EVAL_H
#include "core/options.h"
#include "infer/infer.h"

typedef struct ev_result {
    int64_t tokens;     /* rows that count in the loss */
    double  ce, ppl;    /* mean of -log q(next token) in nats; its exponential */
    double  acc, ece;   /* top-1 accuracy; expected calibration error over 15 bins of confidence */
    double  kl, agree;  /* KL divergence and top-1 agreement with an in-process teacher over the whole vocabulary; NaN: none */
    double  teacher_ce; /* cross-entropy of that teacher on the same rows; NaN: none */
    int     unknown,
        teacher_unknown; /* 1: the model's (the teacher's) folder has no tokenizer.json, so its ids cannot be compared with the shards' */
    double  kl_topk;     /* KL divergence over the shards' k stored ids and the tail as one outcome; NaN for text shards */
    int64_t kl_missing;  /* rows excluded from kl_topk: none of their stored ids is in the model's vocabulary */
} ev_result;

typedef struct ev_opts {
    const rt_strings *shards;
    int64_t           window; /* tokens per window; 0: the model's context */
    rt_progress      *progress;
} ev_opts;

/* Evaluates every document of the shards in windows of `window` tokens; each token is conditioned on the preceding tokens
 * of its window.  A row counts as in training: its target exists and is not a prompt token.  teacher may be NULL; it must
 * have the model's tokenizer, but its matrices may be padded to another size: KL is computed over the ids common to both.
 * RT_EMISMATCH: the tokenizers of the model, the teacher and the shards differ. */
rt_status ev_shards(ev_result *out, const md_model *m, const md_model *teacher, const ev_opts *o);

/* Reads ids [B,T] (I64 or I32) from the safetensors file `in` and writes ids and logits [B,T,V] (F32) to `out`. */
rt_status ev_logits(const md_model *m, const char *in, const char *out);
#endif
