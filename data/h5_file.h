/* h5_file.h -- shared by h5.c and h5_set.c: the open file and HDF5's errors as ours. */
#ifndef DS_H5_FILE_H
#define DS_H5_FILE_H
#include "data/h5.h"
#include <hdf5.h>

struct ds_h5 {
    hid_t id;
    char *path;
    int   writing;
    int   note; /* errno of the first write that failed */
};

/* HDF5 prints its error stack unless told otherwise, in each thread. */
void ds_h5_quiet(void);
/* RT_OK when the HDF5 call was good (`ok`) and the disk took what was written so far; else
 * the status.  A reading HDF5 hides errno in the text of its error stack, where it is
 * looked for; without one reading failures are RT_EFORMAT. */
rt_status ds_h5_check(const ds_h5 *f, int ok, const char *what, const char *name);

/* Make `access` (a file access list) use the driver of h5_disk.c; the first error's errno goes to *note. */
herr_t ds_h5_disk(hid_t access, int *note);
#endif
