/* quant.h -- quantisation of a model's matrices. */
#ifndef QU_QUANT_H
#define QU_QUANT_H
#include "model/model.h"

/* All matrices to `bits` (8 or 4) in groups of `group` columns; norms stay.  RT_EINVAL when a
 * matrix is no whole number of groups wide, or the model is quantised already. */
rt_status qu_quantise(md_model *m, int bits, int64_t group);
#endif
