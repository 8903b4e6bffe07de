/* quant.h -- quantisation of a model's weight matrices. */
#ifndef QU_QUANT_H
#define QU_QUANT_H
#include "model/model.h"

/* Quantises all matrices of the model in place to `bits` (8 or 4) in groups of `group` columns; vectors are not changed.
 * RT_EINVAL: the columns of a matrix are not a multiple of `group`, or the model is already quantised. */
rt_status qu_quantise(md_model *m, int bits, int64_t group);
#endif
