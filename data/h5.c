/* h5.c -- HDF5 files: opening, closing, attributes, whole data sets, errors. */
#include "data/h5.h"
#include "data/h5_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PUT_CHUNK = 1 << 16 }; /* elements a chunk of ds_h5_put */

void ds_h5_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

/* ---- errors ---------------------------------------------------------------------- */

typedef struct found {
    int  err;       /* errno, 0: none found */
    char text[160]; /* the innermost description */
} found;

static herr_t look(unsigned n, const H5E_error2_t *e, void *ud)
{
    found      *f  = ud;
    const char *at = e->desc ? strstr(e->desc, "errno = ") : NULL;
    if (n == 0 && e->desc) snprintf(f->text, sizeof f->text, "%s", e->desc);
    if (at && !f->err) f->err = (int)strtol(at + 8, NULL, 10);
    return 0;
}

rt_status ds_h5_check(const ds_h5 *f, int ok, const char *what, const char *name)
{
    found e = {f->note, "no reason given"};
    if (ok && !f->note) return RT_OK;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look, &e);
    e.text[strcspn(e.text, "\n")] = '\0';
    const char *where = name ? name : "", *gap = name ? " " : "";
    if (e.err) RT_FAIL(rt_status_of_errno(e.err), "%s: cannot %s%s%s: %s", f->path, what, gap, where, strerror(e.err));
    if (f->writing) RT_FAIL(RT_EIO, "%s: cannot %s%s%s: HDF5 says \"%s\"", f->path, what, gap, where, e.text);
    RT_FAIL(RT_EFORMAT, "%s: cannot %s%s%s: HDF5 says \"%s\"; the file is damaged or another program's", f->path, what, gap, where, e.text);
}

/* ---- files ------------------------------------------------------------------------- */

/* No HDF5 locks: cluster file systems refuse them, and complete files never change. */
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

static rt_status file_new(ds_h5 **out, const char *path, int writing)
{
    ds_h5 *f;
    RT_NEW(f, 1);
    f->writing         = writing;
    const rt_status st = rt_strdup(&f->path, path);
    if (st != RT_OK) {
        free(f);
        return st;
    }
    *out = f;
    return RT_OK;
}

static void file_free(ds_h5 **f)
{
    free((*f)->path);
    free(*f);
    *f = NULL;
}

rt_status ds_h5_create(ds_h5 **out, const char *path)
{
    ds_h5 *f;
    RT_TRY(file_new(&f, path, 1));
    ds_h5_quiet();
    const hid_t p = access_list();
    f->id         = ds_h5_disk(p, &f->note) < 0 ? -1 : H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, p);
    rt_status st  = ds_h5_check(f, f->id >= 0, "create the file", NULL);
    H5Pclose(p);
    if (st != RT_OK) ds_h5_abandon(&f);
    if (st == RT_OK) *out = f;
    return st;
}

/* Tells a missing, empty or foreign file from one that was cut. */
static rt_status open_failed(const ds_h5 *f)
{
    found e       = {0, ""};
    char  head[8] = {0};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look, &e);
    if (e.err) return ds_h5_check(f, 0, "open the file", NULL);
    const int     fd = open(f->path, O_RDONLY | O_CLOEXEC);
    const ssize_t n  = fd < 0 ? -1 : read(fd, head, sizeof head);
    if (fd >= 0) close(fd);
    RT_CHECK(n == sizeof head && !memcmp(head, "\211HDF\r\n\032\n", sizeof head), RT_EFORMAT,
             "%s: expected an HDF5 file, its first bytes say otherwise (%s)", f->path, n <= 0 ? "it is empty" : "is the name right?");
    RT_FAIL(RT_EFORMAT, "%s: the HDF5 file is truncated or was never finished (%s); make it again", f->path, e.text);
}

rt_status ds_h5_open(ds_h5 **out, const char *path)
{
    ds_h5 *f;
    RT_TRY(file_new(&f, path, 0));
    ds_h5_quiet();
    const hid_t p = access_list();
    f->id         = H5Fopen(path, H5F_ACC_RDONLY, p);
    rt_status st  = f->id < 0 ? open_failed(f) : RT_OK;
    H5Pclose(p);
    if (st != RT_OK) file_free(&f);
    if (st == RT_OK) *out = f;
    return st;
}

rt_status ds_h5_close(ds_h5 **file)
{
    ds_h5 *f = *file;
    if (!f) return RT_OK;
    ds_h5_quiet();
    const int       ok = !f->writing || H5Fflush(f->id, H5F_SCOPE_GLOBAL) >= 0;
    const rt_status st = ds_h5_check(f, (H5Fclose(f->id) >= 0) & ok, "write the file", NULL);
    file_free(file);
    return st;
}

void ds_h5_abandon(ds_h5 **file)
{
    ds_h5 *f = *file;
    if (!f) return;
    ds_h5_quiet();
    if (f->writing && !f->note) f->note = ECANCELED; /* the driver writes no more */
    if (f->id >= 0) H5Fclose(f->id);
    file_free(file);
}

const char *ds_h5_path(const ds_h5 *f) { return f->path; }

int ds_h5_has(ds_h5 *f, const char *name)
{
    ds_h5_quiet();
    return H5Lexists(f->id, name, H5P_DEFAULT) > 0;
}

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

/* A fixed-length text: HDF5 keeps it inside its checksummed header, unlike variable ones. */
rt_status ds_h5_put_text(ds_h5 *f, const char *name, const char *text)
{
    const hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, strlen(text) + 1);
    H5Tset_cset(t, H5T_CSET_UTF8);
    const rt_status st = attribute_write(f, name, t, text);
    H5Tclose(t);
    return st;
}

static rt_status attribute_open(ds_h5 *f, const char *name, hid_t *a, hid_t *type)
{
    ds_h5_quiet();
    const htri_t there = H5Aexists(f->id, name);
    RT_CHECK(there != 0, RT_EFORMAT, "%s: the attribute '%s' is missing; this is no file of that kind", f->path, name);
    *a = there < 0 ? -1 : H5Aopen(f->id, name, H5P_DEFAULT);
    RT_TRY(ds_h5_check(f, *a >= 0, "read attribute", name));
    const hid_t    space = H5Aget_space(*a);
    const hssize_t n     = H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    *type = H5Aget_type(*a);
    if (n == 1 && *type >= 0) return RT_OK;
    if (*type >= 0) H5Tclose(*type);
    H5Aclose(*a);
    RT_FAIL(RT_EFORMAT, "%s: the attribute '%s' must be one value", f->path, name);
}

rt_status ds_h5_get_int(ds_h5 *f, const char *name, int64_t *v)
{
    hid_t   a, type;
    int64_t x = 0;
    RT_TRY(attribute_open(f, name, &a, &type));
    rt_status st = RT_OK;
    RT_CHECK_OR(H5Tget_class(type) == H5T_INTEGER, done, RT_EFORMAT, "%s: the attribute '%s' must be a whole number", f->path, name);
    st = ds_h5_check(f, H5Aread(a, H5T_NATIVE_INT64, &x) >= 0, "read attribute", name);
    if (st == RT_OK) *v = x;
done:
    H5Tclose(type);
    H5Aclose(a);
    return st;
}

static rt_status text_read(ds_h5 *f, const char *name, hid_t a, hid_t type, rt_buf *out)
{
    const size_t n = H5Tget_size(type);
    char        *p = NULL;
    RT_CHECK(H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && n <= (size_t)64 << 20, RT_EFORMAT,
             "%s: the attribute '%s' must be a text of fixed length", f->path, name);
    RT_TRY(rt_alloc((void **)&p, (int64_t)n + 1, 1, "an attribute"));
    rt_status st = ds_h5_check(f, H5Aread(a, type, p) >= 0, "read attribute", name);
    rt_buf_clear(out);
    if (st == RT_OK) st = rt_buf_str(out, p);
    free(p);
    return st;
}

rt_status ds_h5_get_text(ds_h5 *f, const char *name, rt_buf *out)
{
    hid_t a, type;
    RT_TRY(attribute_open(f, name, &a, &type));
    const rt_status st = text_read(f, name, a, type, out);
    H5Tclose(type);
    H5Aclose(a);
    return st;
}

/* ---- whole data sets ----------------------------------------------------------------- */

rt_status ds_h5_put(ds_h5 *f, const char *name, ds_h5_type t, const void *x, int64_t n)
{
    ds_h5_set    *s;
    const int64_t chunk = n < 1 ? 1 : n < PUT_CHUNK ? n : PUT_CHUNK; /* HDF5 stores whole chunks */
    RT_TRY(ds_h5_set_create(&s, f, &(ds_h5_spec){.name = name, .type = t, .chunk = chunk}));
    const rt_status st = ds_h5_set_append(s, x, n);
    if (st == RT_OK) return ds_h5_set_finish(&s);
    ds_h5_set_close(&s);
    return st;
}

rt_status ds_h5_get(ds_h5 *f, const char *name, ds_h5_type t, void *x, int64_t n)
{
    ds_h5_set *s;
    rt_status  st;
    RT_TRY(ds_h5_set_open(&s, f, &(ds_h5_spec){.name = name, .type = t}, (size_t)1 << 20));
    RT_CHECK_OR(ds_h5_set_rows(s) == n, done, RT_EFORMAT, "%s: %s holds %lld entries, expected %lld", f->path, name,
                (long long)ds_h5_set_rows(s), (long long)n);
    st = ds_h5_set_read(s, 0, n, x);
done:
    ds_h5_set_close(&s);
    return st;
}
