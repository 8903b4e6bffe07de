/* agree.h -- do a text and the token ids beside it say the same? */
#ifndef TC_AGREE_H
#define TC_AGREE_H
#include "data/data.h"

/* RT_EFORMAT names the first place where `text` is not what the n ids decode to.  `stop`: the strings that may have ended it. */
rt_status tc_agree(const ds_tokenizer *t, const int32_t *ids, int64_t n, const rt_buf *text, const char *const *stop, int stops);
#endif
