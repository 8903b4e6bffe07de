/* h5.h -- HDF5 files of whole one-dimensional data sets, for checkpoints.  Shards use the same files (h5/set.h). */
#ifndef DS_H5_H
#define DS_H5_H
#include "core/memory.h"

typedef struct ds_h5 ds_h5;

rt_status ds_h5_create(ds_h5 **out, const char *path); /* a new file */
rt_status ds_h5_open(ds_h5 **out, const char *path);   /* read-only; RT_EFORMAT if truncated */
rt_status ds_h5_close(ds_h5 **f);                      /* flush, close; *f = NULL */
typedef enum ds_h5_type { DS_U8, DS_I32, DS_I64, DS_F32, DS_F64 } ds_h5_type;
/* These functions write and read whole one-dimensional data sets. */
rt_status ds_h5_put(ds_h5 *f, const char *name, ds_h5_type t, const void *x, int64_t n);
rt_status ds_h5_get(ds_h5 *f, const char *name, ds_h5_type t, void *x, int64_t n); /* RT_EFORMAT if the length is not n */
int       ds_h5_has(ds_h5 *f, const char *name);
rt_status ds_h5_put_text(ds_h5 *f, const char *attribute, const char *text); /* on the root group */
rt_status ds_h5_get_text(ds_h5 *f, const char *attribute, rt_buf *out);
#endif
