/* licence.h -- the licence that a model names. */
#ifndef MD_LICENCE_H
#define MD_LICENCE_H
#include "core/memory.h"

enum { MD_LICENCE_LENGTH = 200 }; /* most bytes of it */
/* Appends the licence that the model folder or GGUF file `path` names, without control characters: a GGUF file's general.license; a folder's "license:" in the front matter of README.md, or
 * the "license_name:" if it is "other"; else the first line of its file LICENSE, LICENSE.md or LICENSE.txt; nothing if there is none of these. */
rt_status md_licence(rt_buf *out, const char *path);
#endif
