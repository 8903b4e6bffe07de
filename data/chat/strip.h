/* strip.h -- parts of texts that filters and methods share: stripping, splitting, replacing.  Private to data/chat/. */
#ifndef DS_CHAT_STRIP_H
#define DS_CHAT_STRIP_H
#include "data/chat/value.h"

enum { DS_JSTRIP_LEFT = 1, DS_JSTRIP_RIGHT = 2, DS_JSTRIP_BOTH = 3 };
/* Returns the text without space at its sides or, if `set` is a text, without the characters of the set. */
ds_jvalue ds_jstrip(const ds_jvalue *t, const ds_jvalue *set, int sides);
/* str.replace: at most `count` times; negative: always. */
rt_status ds_jreplace(ds_jrun *r, const ds_jvalue *t, const ds_jvalue *from, const ds_jvalue *to, int64_t count, ds_jvalue *out);
/* str.splitlines: the lines without their ends.  last: an empty one after an end of line at the end of the text counts too. */
rt_status ds_jlines(ds_jrun *r, const ds_jvalue *t, int last, ds_jvalue *out);
/* str.split and str.rsplit at a separator or, if that is None, at space; at most `count` cuts, negative: all. */
rt_status ds_jsplit(ds_jrun *r, const ds_jvalue *t, const ds_jvalue *at, int64_t count, int from_right, ds_jvalue *out);
#endif
