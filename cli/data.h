/* data.h -- shared by data.c, data_show.c and data_rows.c: `retort data`. */
#ifndef CLI_DATA_H
#define CLI_DATA_H
#include "core/options.h"
#include "data/data.h"

typedef struct data_options {
    const char *tokenizer, *out, *split, *max_tokens, *document, *text_field, *format;
    int64_t     max_doc;
    int64_t     seed, doc;
    int         digest, json;
} data_options;

rt_status data_inspect(const data_options *o, const char *path); /* attributes, sizes, rows of a document */
rt_status data_stats(const data_options *o, const char *path);
/* Inside: a line of a name and a text that is not empty; document i's attributes and rows (t, encoded state: NULL where there is none). */
void      data_show_text(const char *name, const char *text);
rt_status data_show_doc(ds_shard *s, int64_t i, const ds_tokenizer *t, const ds_codec *codec);
#endif
