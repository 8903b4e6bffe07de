/* rows.h -- rows of a teacher's distributions: one block of columns, wherever rows are computed, sent, stored or read.
 *
 * Row i is the distribution of token i+1 of a document, given its tokens 0..i.  Its k most likely ids are entries; the rest of the
 * distribution is the tail, of which m samples are known.  With k = 0 the tail is the whole distribution.
 */
#ifndef DS_ROWS_H
#define DS_ROWS_H
#include "core/memory.h"

/* The columns: X(type, name, per), where `per` is the number of values per row: one, or the block's k, m or bytes.
 *   valid           1: the row has a distribution.  A block without this column has one in every row
 *   topk_ids        the k most likely ids, most likely first, on ties the smaller id first; -1 after the last
 *   topk_logprob    their log-probabilities
 *   actual_logprob  the log-probability of token i+1; NaN: unknown
 *   tail_mass       the probability outside the k entries
 *   tail_ids        ids outside the k entries, each of weight tail_mass / m; -1 after the last
 *   tail_entropy    -sum p log p outside the k entries, in nats; NaN: unknown
 *   encoded         the teacher's hidden state (codec.h) */
#define DS_ROW_COLUMNS(X)         \
    X(uint8_t, valid, one)        \
    X(int32_t, topk_ids, k)       \
    X(float, topk_logprob, k)     \
    X(float, actual_logprob, one) \
    X(float, tail_mass, one)      \
    X(int32_t, tail_ids, m)       \
    X(float, tail_entropy, one)   \
    X(uint8_t, encoded, bytes)

typedef struct ds_rows { /* {0} is an empty block; a column that is not known is NULL */
    int64_t n, k, m, bytes;
#define X(type, name, per) type *name;
    DS_ROW_COLUMNS(X)
#undef X
} ds_rows;

#define X(type, name, per) DS_COLUMN_##name,
enum { DS_ROW_COLUMNS(X) DS_ROW_WIDTH };
#undef X
#define DS_COLUMN(name) (1u << DS_COLUMN_##name)
enum { DS_ALL_COLUMNS = (1 << DS_ROW_WIDTH) - 1 };

/* Allocates the `columns` (bits DS_COLUMN) of r for r->n rows, zeroed; r->n, k, m and bytes are set before.  A column of no values
 * per row stays NULL.  The caller frees r with ds_rows_free, also after a failure. */
rt_status ds_rows_alloc(ds_rows *r, unsigned columns);
void      ds_rows_free(ds_rows *r);
void      ds_rows_clear(ds_rows *r, int64_t n); /* sets rows 0 .. n-1 to zeros */
/* Returns rows first .. first+n-1 of r; they belong to r. */
ds_rows ds_rows_slice(const ds_rows *r, int64_t first, int64_t n);
/* Copies row i of `from` into row `at` of `to`, for the columns of `to` that both have.  `to` may have a smaller k: the entries from
 * to->k on become part of the tail's entropy.  Its m and bytes are those of `from`, or 0.  tail_mass is not recomputed. */
void ds_rows_copy(ds_rows *to, int64_t at, const ds_rows *from, int64_t i);
/* Restricts row i to the ids below V: larger ids are removed, and the remaining entries and tail are renormalised to sum to 1.  Kept
 * entries move to the front and are followed by -1.  tail_entropy becomes the entropy of the remaining tail.  tail_mass and
 * actual_logprob do not change.  Nothing changes if no id is V or above. */
void ds_rows_restrict(ds_rows *r, int64_t i, int64_t V);
#endif
