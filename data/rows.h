/* rows.h -- rows of a teacher's distributions. */
#ifndef DS_ROWS_H
#define DS_ROWS_H
#include "core/memory.h"

/* Restricts a row's k entries and m tail samples to the ids below V: larger ids are removed, and the remaining entries and tail
 * are renormalised to sum to 1.  Kept entries move to the front and are followed by -1.  tail_entropy (may be NULL) becomes the
 * entropy of the remaining tail.  Nothing changes if no id is V or above. */
void ds_entries_share(int64_t V, int64_t k, int32_t *topk_ids, float *topk_logprob, int64_t m, int32_t *tail_ids, float *tail_entropy);
#endif
