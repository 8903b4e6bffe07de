/* size.h -- sensible sizes of a new model with about a given number of parameters. */
#ifndef MD_SIZE_H
#define MD_SIZE_H
#include "model/model.h"

/* Sets L, C, H, KV, D and F of c, whose family, V and tied are set, so that the model has about `parameters` of them, at most 5 % more.  Of the
 * widths that fit it takes the one whose ratio of width to depth is nearest to that of small models that train well: deep and narrow (Liu et al.
 * 2024, MobileLLM: 576 x 30 at 125 M; SmolLM2: 576 x 30 at 135 M).  RT_EINVAL: the embedding of V ids alone takes more than 70 % of the parameters at every width. */
rt_status md_config_size(md_config *c, int64_t parameters);
#endif
