/* tokenizer.h -- shared by tokenizer.c and tokenizer_trim.c: `retort tokenizer`. */
#ifndef CLI_TOKENIZER_H
#define CLI_TOKENIZER_H
#include "data/text.h"

/* Trims the tokenizer of the folder `dir` to the ids of n files, shards (.h5) or texts that are read as `input` says. */
rt_status cli_tokenizer_trim(const char *dir, const char *const *files, int n, const ds_input *input, const char *out);
#endif
