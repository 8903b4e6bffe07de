/* teacher_row.h -- top k and tail samples of one row of a teacher. */
#ifndef MD_TEACHER_ROW_H
#define MD_TEACHER_ROW_H
#include "data/rows.h"
#include "kernels/kernels.h"

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
