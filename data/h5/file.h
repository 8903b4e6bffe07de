/* file.h -- the state of an open HDF5 file and data set, shared by file.c, set.c, read.c and disk.c. */
#ifndef DS_H5_FILE_H
#define DS_H5_FILE_H
#include "data/h5.h"
#include "data/h5/names.h"
#include "data/h5/set.h"
#include "data/h5/table.h"
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

typedef struct ds_h5_reader ds_h5_reader; /* read.c: a data set's header and chunks */
void                        ds_h5_reader_free(ds_h5_reader **r);

struct ds_h5_set {
    ds_h5  *file;
    char   *name;
    int     rank;
    int64_t width, row; /* entries and bytes per row */
    int64_t rows;       /* rows in the file */
    /* writing */
    hid_t   id, type; /* type in memory */
    int64_t chunk, held;
    char   *hold; /* rows that wait until a chunk is full */
    /* reading */
    ds_h5_reader *reader;
};

rt_status ds_h5_file_new(ds_h5 **out, const char *path, int writing);
void      ds_h5_file_free(ds_h5 **f);
rt_status ds_h5_set_new(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec);

/* Stops HDF5 from printing its error stack, in the calling thread. */
void ds_h5_quiet(void);
/* Returns RT_OK if the HDF5 call succeeded (`ok`) and all writes so far succeeded; else the error's status. */
rt_status ds_h5_check(const ds_h5 *f, int ok, const char *what, const char *name);

/* Makes `access` (a file access property list) use the driver of disk.c, which writes the first error's errno to *note. */
herr_t ds_h5_disk(hid_t access, int *note);
#endif
