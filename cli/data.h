/* data.h -- shared by data.c and data_show.c: the options of `retort data`. */
#ifndef CLI_DATA_H
#define CLI_DATA_H
#include "core/options.h"

typedef struct data_options {
    const char *tokenizer, *out, *split, *max_tokens;
    int64_t     max_doc;
    int64_t     seed, doc;
    int         digest, json;
} data_options;

rt_status data_inspect(const data_options *o, const char *path); /* attributes, sizes, rows of a document */
rt_status data_stats(const data_options *o, const char *path);
#endif
