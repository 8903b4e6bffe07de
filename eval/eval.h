/* eval.h -- measuring a model on held-out text. */
#ifndef EV_EVAL_H
#define EV_EVAL_H
#include "infer/infer.h"

typedef struct ev_result {
    int64_t tokens;     /* rows that count */
    double  ce, ppl;    /* mean of -log q(next token); its exponential */
    double  acc, ece;   /* top-1 accuracy; expected calibration error over 15 bins of confidence */
    double  kl, agree;  /* against an in-process teacher, whole vocabulary; NaN without one */
    double  teacher_ce; /* of that teacher on the same rows; NaN without one */
    int     unknown,
        teacher_unknown; /* 1: the model's (the teacher's) folder has no tokenizer.json, so that nothing says whether its ids are the shards' */
    double  kl_topk;     /* against the shards' k stored ids and the rest as one outcome; NaN for text shards */
    int64_t kl_missing; /* rows that kl_topk leaves out, since none of their stored ids is one of the model's */
} ev_result;

typedef struct ev_opts {
    const rt_strings *shards;
    int64_t           window; /* tokens scored at once; 0: the model's context */
    rt_progress      *progress;
} ev_opts;

/* Every document of the shards, in windows of `window` tokens, each token given those before it
 * in its window.  teacher may be NULL; it must have the model's tokenizer,
 * its matrices may be padded to another size: KL is from its distribution over the ids that the model has too.  RT_EMISMATCH: shards of another tokenizer
 * than the one in the model's folder.  A row counts as
 * in training: the target exists and is no prompt token. */
rt_status ev_shards(ev_result *out, const md_model *m, const md_model *teacher, const ev_opts *o);

/* IN.safetensors: ids [B,T] (I64 or I32) -> OUT.safetensors: ids and logits [B,T,V] F32. */
rt_status ev_logits(const md_model *m, const char *in, const char *out);
#endif
