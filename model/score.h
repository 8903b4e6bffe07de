/* score.h -- scoring: the logits of a text. */
#ifndef MD_SCORE_H
#define MD_SCORE_H
#include "model/model.h"

/* Applies the model's cap, if it has one, to a row of logits z[V]. */
void md_cap_logits(const md_model *m, real *z);

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

/* Returns log(sum_v exp z[v]): exponentials in `real`, in blocks, and their sum in f64. */
double md_lse(const real *z, int64_t V);
#endif
