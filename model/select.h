/* select.h -- a model made of a part of another's layers, heads, feed-forward units, channels and ids. */
#ifndef MD_SELECT_H
#define MD_SELECT_H
#include "model/model.h"

/* What stays, by index in the former model.  The lists of heads and units have a row for each layer that stays.  Key/value heads stay all: each
 * of them keeps H / KV of its heads, which are listed one group after another. */
typedef struct md_selection {
    int64_t  L, H, F, C, V; /* sizes of the new model */
    int32_t *layer;         /* [L] */
    int32_t *head;          /* [L, H] */
    int32_t *unit;          /* [L, F] */
    int32_t *channel;       /* [C] */
    int32_t *id;            /* [V]; -1: a new id, whose rows are 0 */
} md_selection;

/* Allocates a selection of everything in c; the caller frees it with md_selection_free, also after an error. */
rt_status md_selection_all(md_selection *s, const md_config *c);
void      md_selection_free(md_selection *s);
/* Creates the model, with weights of the types of m; bos and ends of its configuration are renumbered, those that do not stay are removed.  m must
 * not be quantised. */
rt_status md_select(md_model **out, const md_model *m, const md_selection *s);
/* Sets the rows of `id` in the embedding and the head of `to` to the means of the rows ids[n] of `from`.  Neither is quantised. */
rt_status md_mean_rows(md_model *to, int32_t id, const md_model *from, const int32_t *ids, int64_t n);
/* Creates a model of the listed layers whose weights are those of m, in memory of m.  Destroy it with md_view_destroy before m. */
rt_status md_view_layers(md_model **out, const md_model *m, const int32_t *layer, int64_t L);
void      md_view_destroy(md_model **v);
#endif
