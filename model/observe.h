/* observe.h -- activations inside a model: how large each column of a value is over some text. */
#ifndef MD_OBSERVE_H
#define MD_OBSERVE_H
#include "model/graph.h"
#include "model/score.h"

int64_t md_part_width(const md_config *c, md_part part); /* number of columns of a part */
/* Runs the documents b forward up to `part` of layer `layer` and sets square[md_part_width] to the mean square of each column over the b->n
 * rows.  The result does not depend on the number of threads.  RT_ECHECK: a value is not finite. */
rt_status md_observe(const md_model *m, const md_packed *b, md_part part, int64_t layer, double *square);
/* Does the same and multiplies each column's mean square by the squared norm of the column of the matrix that reads it, for MD_PART_HEADS and
 * MD_PART_UNITS: the mean square of what the column contributes to the matrix's product. */
rt_status md_contribution(const md_model *m, const md_packed *b, md_part part, int64_t layer, double *square);
#endif
