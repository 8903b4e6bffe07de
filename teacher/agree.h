/* agree.h -- compares a response's text with its token ids. */
#ifndef TC_AGREE_H
#define TC_AGREE_H
#include "data/tokenizer.h"

/* RT_EFORMAT names the first offset at which `text` differs from what the n ids decode to.
 * `stop`: the strings that may have ended the text. */
rt_status tc_agree(const ds_tokenizer *t, const int32_t *ids, int64_t n, const rt_buf *text, const char *const *stop, int stops);
#endif
