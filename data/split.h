/* split.h -- "train=0.9,valid=0.1": which documents go into which part. */
#ifndef DS_SPLIT_H
#define DS_SPLIT_H
#include "data/data.h"

typedef struct ds_split {
    ds_part part[DS_MAX_PARTS];
    double  size[DS_MAX_PARTS];  /* below 1: a share; -1: the rest; else documents */
    int64_t limit[DS_MAX_PARTS]; /* tokens; 0: none */
    int64_t first[DS_MAX_PARTS], docs[DS_MAX_PARTS];
    int     n;
} ds_split;

/* Names, sizes, limits and paths from o->split, o->max_tokens and o->out. */
rt_status ds_split_parse(ds_split *s, const ds_import_opts *o);
/* Parts of `docs` documents one after another.  RT_EINVAL when there are too few. */
rt_status ds_split_assign(ds_split *s, int64_t docs);
#endif
