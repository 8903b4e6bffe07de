/* data.h -- shared by data.c, data_show.c and data_rows.c: `retort data`. */
#ifndef CLI_DATA_H
#define CLI_DATA_H
#include "core/options.h"
#include "data/shard.h"
#include "data/tokenizer.h"

typedef struct data_options {
    const char *tokenizer, *former, *out, *split, *max_tokens, *document, *text_field, *format;
    int64_t     max_doc;
    int64_t     seed, doc;
    int         digest, json;
} data_options;

rt_status data_inspect(const data_options *o, const char *path); /* prints attributes, sizes and the rows of a document */
rt_status data_stats(const data_options *o, const char *path);
/* Prints the attributes and rows of document i; t and codec may be NULL. */
rt_status data_show_doc(ds_shard *s, int64_t i, const ds_tokenizer *t, const ds_codec *codec);
#endif
