/* h5_file.h -- shared by h5.c, h5_set.c and h5_read.c: an open file, written by HDF5 or read by ourselves. */
#ifndef DS_H5_FILE_H
#define DS_H5_FILE_H
#include "data/h5.h"
#include "data/h5_names.h"
#include "data/h5_table.h"
#include <hdf5.h>

struct ds_h5 {
    char *path;
    int   writing;
    /* writing */
    hid_t id;
    int   note; /* errno of the first write that failed */
    /* reading */
    ds_h5_source in;
    ds_h5_group  root;
};

typedef struct ds_h5_reader ds_h5_reader; /* h5_read.c: a data set's header and its chunks */
void                        ds_h5_reader_free(ds_h5_reader **r);

struct ds_h5_set {
    ds_h5  *file;
    char   *name;
    int     rank;
    int64_t width, row; /* entries and bytes a row */
    int64_t rows;       /* in the file */
    /* writing */
    hid_t   id, type; /* the type in memory */
    int64_t chunk, held;
    char   *hold; /* rows that wait for a whole chunk */
    /* reading */
    ds_h5_reader *reader;
};

rt_status ds_h5_file_new(ds_h5 **out, const char *path, int writing);
void      ds_h5_file_free(ds_h5 **f);
rt_status ds_h5_set_new(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec);

/* HDF5 prints its error stack unless told otherwise, in each thread. */
void ds_h5_quiet(void);
/* RT_OK when the HDF5 call was good (`ok`) and the disk took what was written so far; else the status. */
rt_status ds_h5_check(const ds_h5 *f, int ok, const char *what, const char *name);

/* Make `access` (a file access list) use the driver of h5_disk.c; the first error's errno goes to *note. */
herr_t ds_h5_disk(hid_t access, int *note);
#endif
