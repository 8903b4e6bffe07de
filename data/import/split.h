/* split.h -- assigning documents to parts: "train=0.9,valid=0.1". */
#ifndef DS_SPLIT_H
#define DS_SPLIT_H
#include "data/import.h"

typedef struct ds_split {
    ds_part part[DS_MAX_PARTS];
    double  size[DS_MAX_PARTS];  /* below 1: a share; -1: the rest; else a number of documents */
    int64_t limit[DS_MAX_PARTS]; /* tokens; 0: none */
    int64_t first[DS_MAX_PARTS], docs[DS_MAX_PARTS];
    int     n;
} ds_split;

/* Takes names, sizes, limits and paths from o->split, o->max_tokens and o->out. */
rt_status ds_split_parse(ds_split *s, const ds_import_opts *o);
/* Divides `docs` documents into consecutive parts.  RT_EINVAL if there are too few. */
rt_status ds_split_assign(ds_split *s, int64_t docs);
#endif
