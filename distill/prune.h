/* prune.h -- a smaller model out of a larger one: which layers, heads, feed-forward units and channels to keep.
 *
 * Layers are dropped one after another: each time the one without which the model's distributions change least, by the mean KL(model || model
 * without it) over some text (as in Gromov et al. 2024 and Muralidharan et al. 2024, who compare several criteria).  Columns of activations are
 * ranked by the size of what they contribute to the next matrix: root mean square of the column over some text times the norm of the matrix's
 * column (Sun et al. 2023).
 */
#ifndef DI_PRUNE_H
#define DI_PRUNE_H
#include "core/options.h"
#include "core/progress.h"
#include "model/select.h"

/* Text on which models are compared: documents one after another, the last one cut. */
typedef struct di_sample {
    int32_t *ids, *pos, *doc_start; /* [n] */
    int64_t  n;
} di_sample;
/* Takes n tokens from the shards, or all if they have fewer.  The caller frees it with di_sample_free, also after an error.  RT_EMISMATCH: a
 * shard's tokenizer is not `t`. */
rt_status di_sample_take(di_sample *s, const rt_strings *shards, const ds_tokenizer *t, int64_t n);
void      di_sample_free(di_sample *s);

/* Chooses `keep` of m's layers: writes them in ascending order to layer[keep], and the divergence of the model of these layers to *kl, in nats
 * per token.  Needs V numbers of memory for each token of the sample.  `p` may be NULL. */
rt_status di_prune_layers(const md_model *m, const di_sample *s, int64_t keep, int32_t *layer, double *kl, rt_progress *p);
/* Narrows a selection of everything in m to H heads, F units and C channels; H must be a multiple of m's KV. */
rt_status di_prune_width(const md_model *m, const di_sample *s, int64_t H, int64_t F, int64_t C, md_selection *keep, rt_progress *p);
/* Returns the mean KL(m || other) of two models with the same ids over the sample, in *kl. */
rt_status di_prune_divergence(const md_model *m, const md_model *other, const di_sample *s, double *kl);
#endif
