/* import.h -- models of other programs as model folders. */
#ifndef MD_IMPORT_H
#define MD_IMPORT_H
#include "model/model.h"

/* Writes the tokenizer of `from`, a GGUF file or a model folder, into the folder `to`.  RT_EFORMAT: it has none, or one of a kind that is not read. */
rt_status md_import_tokenizer(const char *from, const char *to);
#endif
