/* file.c -- writing HDF5 files: creating, closing, attributes, errors. */
#include "data/h5/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ds_h5_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

/* ---- errors ---------------------------------------------------------------------- */

static herr_t h5_look(unsigned n, const H5E_error2_t *e, void *ud)
{
    if (n == 0 && e->desc) snprintf(ud, 160, "%s", e->desc);
    return 0;
}

rt_status ds_h5_check(const ds_h5 *f, int ok, const char *what, const char *name)
{
    char text[160] = "no reason"; /* HDF5's innermost description */
    if (ok && !f->note) return RT_OK;
    const char *where = name ? name : "", *gap = name ? " " : "";
    if (f->note) RT_FAIL(rt_status_of_errno(f->note), "%s: cannot %s%s%s: %s", f->path, what, gap, where, strerror(f->note));
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, h5_look, text);
    text[strcspn(text, "\n")] = '\0';
    RT_FAIL(RT_EIO, "%s: cannot %s%s%s: HDF5 reports \"%s\"", f->path, what, gap, where, text);
}

/* ---- files ------------------------------------------------------------------------- */

/* HDF5's file locks are disabled: cluster file systems refuse them, and complete files never change. */
static hid_t access_list(void)
{
    const hid_t p = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(p, H5F_CLOSE_STRONG);
    H5Pset_libver_bounds(p, H5F_LIBVER_V110, H5F_LIBVER_V110);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(p, 0, 1);
#endif
    return p;
}

rt_status ds_h5_file_new(ds_h5 **out, const char *path, int writing)
{
    ds_h5 *f = NULL;
    RT_TRY(RT_NEW(f, 1));
    f->writing         = writing;
    f->id              = -1;
    f->in.fd           = -1;
    const rt_status st = rt_strdup(&f->path, path);
    if (st != RT_OK) {
        free(f);
        return st;
    }
    *out = f;
    return RT_OK;
}

void ds_h5_file_free(ds_h5 **f)
{
    if ((*f)->in.fd >= 0) close((*f)->in.fd);
    ds_h5_group_free(&(*f)->root);
    free((*f)->path);
    free(*f);
    *f = NULL;
}

rt_status ds_h5_create(ds_h5 **out, const char *path)
{
    ds_h5 *f = NULL;
    RT_TRY(ds_h5_file_new(&f, path, 1));
    ds_h5_quiet();
    const hid_t p = access_list(), root = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_obj_track_times(root, 0); /* equal content gives equal files */
    f->id        = ds_h5_disk(p, &f->note) < 0 ? -1 : H5Fcreate(path, H5F_ACC_TRUNC, root, p);
    rt_status st = ds_h5_check(f, f->id >= 0, "create the file", NULL);
    H5Pclose(root);
    H5Pclose(p);
    if (st != RT_OK) ds_h5_abandon(&f);
    if (st == RT_OK) *out = f;
    return st;
}

rt_status ds_h5_close(ds_h5 **file)
{
    ds_h5 *f = *file;
    if (!f) return RT_OK;
    rt_status st = RT_OK;
    if (f->writing) {
        ds_h5_quiet();
        const int ok = H5Fflush(f->id, H5F_SCOPE_GLOBAL) >= 0;
        st           = ds_h5_check(f, (H5Fclose(f->id) >= 0) & ok, "write the file", NULL);
    }
    ds_h5_file_free(file);
    return st;
}

void ds_h5_abandon(ds_h5 **file)
{
    ds_h5 *f = *file;
    if (!f) return;
    if (f->writing) ds_h5_quiet();
    if (f->writing && !f->note) f->note = ECANCELED; /* the driver writes nothing more */
    if (f->id >= 0) H5Fclose(f->id);
    ds_h5_file_free(file);
}

const char *ds_h5_path(const ds_h5 *f) { return f->path; }

/* ---- attributes of the root group ---------------------------------------------------- */

static rt_status attribute_write(ds_h5 *f, const char *name, hid_t type, const void *value)
{
    ds_h5_quiet();
    const hid_t     space = H5Screate(H5S_SCALAR);
    const hid_t     a     = H5Acreate2(f->id, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const rt_status st    = ds_h5_check(f, a >= 0 && H5Awrite(a, type, value) >= 0, "write attribute", name);
    if (a >= 0) H5Aclose(a);
    H5Sclose(space);
    return st;
}

rt_status ds_h5_put_int(ds_h5 *f, const char *name, int64_t v) { return attribute_write(f, name, H5T_STD_I64LE, &v); }

/* The text has a fixed length, because HDF5 keeps such texts in its checksummed header, unlike variable-length ones. */
rt_status ds_h5_put_text(ds_h5 *f, const char *name, const char *text)
{
    RT_CHECK(strlen(text) < DS_H5_MAX_ATTRIBUTE, RT_EINVAL, "%s: the attribute '%s' has %zu bytes, but at most %d are allowed", f->path,
             name, strlen(text), (int)DS_H5_MAX_ATTRIBUTE - 1);
    const hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, strlen(text) + 1);
    H5Tset_cset(t, H5T_CSET_UTF8);
    const rt_status st = attribute_write(f, name, t, text);
    H5Tclose(t);
    return st;
}
