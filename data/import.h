/* import.h -- importing text files into shards, and exporting shards as text. */
#ifndef DS_IMPORT_H
#define DS_IMPORT_H
#include "core/progress.h"
#include "data/shard.h"
#include "data/text.h"
#include "data/tokenizer.h"

enum { DS_MAX_PARTS = 16 };
typedef struct ds_part {
    char    name[32];
    char   *path;
    int64_t docs, tokens;
} ds_part;

typedef struct ds_import_opts {
    const ds_input     *input;
    const ds_tokenizer *tokenizer;
    const char         *out;        /* "PATH.h5"; part NAME of a split is written to "PATH-NAME.h5" */
    const char         *split;      /* "train=0.9,valid=0.1": shares below 1, numbers of documents from 1 on; one may
                                       be "rest"; unnamed parts are 0, 1, ...; NULL: one part, in the files' order */
    const char         *max_tokens; /* "N" or "NAME=N,...": the last document is cut so that a part has exactly
                                       N tokens if there is enough text; NULL: no limit */
    int64_t             max_doc;    /* longer documents are cut into several of at most this many tokens; 0: no limit */
    uint64_t            seed;       /* seed of the order of documents before a split */
    const char         *program;    /* the program's name, an attribute of the shard */
} ds_import_opts;
/* Writes all parts or none.  Documents are encoded with DS_DOCUMENT.  RT_EINVAL if a part would be empty or its file exists.  `p`
 * (may be NULL) counts bytes of the files.  Fills parts[0..*n), which ds_parts_free frees.  *left_out: number of documents with a
 * field that did not fit into meta. */
rt_status ds_import(const ds_import_opts *o, ds_part parts[DS_MAX_PARTS], int *n, int64_t *left_out, rt_progress *p);
void      ds_parts_free(ds_part *parts, int n);
/* Writes one line of JSON per document: text, number of tokens, metadata.  RT_EMISMATCH if the shard was made with another
 * tokenizer; RT_EINVAL if `path` exists. */
rt_status ds_export(ds_shard *s, const ds_tokenizer *t, const char *path, rt_progress *p);
#endif
