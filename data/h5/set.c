/* set.c -- writing data sets: tables of rows, appended chunk by chunk, and whole data sets. */
#include "data/h5/file.h"
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {[DS_U8] = 1, [DS_I32] = 4, [DS_I64] = 8, [DS_F32] = 4, [DS_F64] = 8};

/* Creates an HDF5 handle of the type, for the file (little-endian) or for memory. */
static hid_t h5_type_of(const ds_h5_spec *s, int memory)
{
    if (s->text > 0) {
        const hid_t t = H5Tcopy(H5T_C_S1);
        H5Tset_size(t, (size_t)s->text);
        H5Tset_strpad(t, H5T_STR_NULLTERM);
        H5Tset_cset(t, H5T_CSET_UTF8);
        return t;
    }
    switch (s->type) {
    case DS_U8: return H5Tcopy(memory ? H5T_NATIVE_UINT8 : H5T_STD_U8LE);
    case DS_I32: return H5Tcopy(memory ? H5T_NATIVE_INT32 : H5T_STD_I32LE);
    case DS_I64: return H5Tcopy(memory ? H5T_NATIVE_INT64 : H5T_STD_I64LE);
    case DS_F32: return H5Tcopy(memory ? H5T_NATIVE_FLOAT : H5T_IEEE_F32LE);
    case DS_F64: return H5Tcopy(memory ? H5T_NATIVE_DOUBLE : H5T_IEEE_F64LE);
    }
    return -1;
}

rt_status ds_h5_set_new(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec)
{
    ds_h5_set *s;
    RT_TRY(RT_NEW(s, 1));
    const rt_status st = rt_strdup(&s->name, spec->name);
    if (st != RT_OK) {
        free(s);
        return st;
    }
    s->file  = f;
    s->id    = -1;
    s->type  = -1;
    s->rank  = spec->text == 0 && spec->width > 0 ? 2 : 1;
    s->width = s->rank == 2 ? spec->width : 1;
    s->row   = spec->text ? spec->text : s->width * (int64_t)sizes[spec->type];
    s->chunk = spec->chunk;
    *out     = s;
    return RT_OK;
}

void ds_h5_set_close(ds_h5_set **set)
{
    ds_h5_set *s = *set;
    if (!s) return;
    if (s->id >= 0 || s->type >= 0) ds_h5_quiet();
    if (s->id >= 0) H5Dclose(s->id);
    if (s->type >= 0) H5Tclose(s->type);
    ds_h5_reader_free(&s->reader);
    free(s->hold);
    free(s->name);
    free(s);
    *set = NULL;
}

/* ---- writing ------------------------------------------------------------------------ */

static rt_status create_in_file(ds_h5_set *s, const ds_h5_spec *spec)
{
    const hsize_t dims[2] = {0, (hsize_t)s->width}, most[2] = {H5S_UNLIMITED, (hsize_t)s->width};
    const hsize_t chunk[2] = {(hsize_t)s->chunk, (hsize_t)s->width};
    const hid_t   make = H5Pcreate(H5P_DATASET_CREATE), link = H5Pcreate(H5P_LINK_CREATE);
    const hid_t   type = h5_type_of(spec, 0), space = H5Screate_simple(s->rank, dims, most);
    H5Pset_chunk(make, s->rank, chunk);
    if (spec->gzip) H5Pset_deflate(make, (unsigned)spec->gzip);
    H5Pset_fletcher32(make);
    H5Pset_obj_track_times(make, 0); /* equal content gives equal files */
    H5Pset_create_intermediate_group(link, 1);
    s->id              = H5Dcreate2(s->file->id, s->name, type, space, link, make, H5P_DEFAULT);
    const rt_status st = ds_h5_check(s->file, s->id >= 0, "create data set", s->name);
    H5Sclose(space);
    H5Tclose(type);
    H5Pclose(link);
    H5Pclose(make);
    return st;
}

rt_status ds_h5_set_create(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec)
{
    ds_h5_set *s;
    rt_status  st;
    RT_TRY(ds_h5_set_new(&s, f, spec));
    ds_h5_quiet();
    s->type = h5_type_of(spec, 1);
    RT_TRY_OR(rt_alloc((void **)&s->hold, s->chunk, (size_t)s->row, s->name), fail);
    RT_TRY_OR(create_in_file(s, spec), fail);
    *out = s;
    return RT_OK;
fail:
    ds_h5_set_close(&s);
    return st;
}

/* Selects n rows of the file from `first` on and creates the matching memory space. */
static int select_rows(const ds_h5_set *s, int64_t first, int64_t n, hid_t *file, hid_t *memory)
{
    const hsize_t at[2] = {(hsize_t)first, 0}, count[2] = {(hsize_t)n, (hsize_t)s->width};
    *file   = H5Dget_space(s->id);
    *memory = H5Screate_simple(s->rank, count, NULL);
    return *file >= 0 && *memory >= 0 && H5Sselect_hyperslab(*file, H5S_SELECT_SET, at, NULL, count, NULL) >= 0;
}

static void release(hid_t file, hid_t memory)
{
    if (file >= 0) H5Sclose(file);
    if (memory >= 0) H5Sclose(memory);
}

static rt_status put_rows(ds_h5_set *s, const void *rows, int64_t n)
{
    const hsize_t dims[2] = {(hsize_t)(s->rows + n), (hsize_t)s->width};
    hid_t         file = -1, memory = -1;
    ds_h5_quiet();
    const int ok = H5Dset_extent(s->id, dims) >= 0 && select_rows(s, s->rows, n, &file, &memory) &&
                   H5Dwrite(s->id, s->type, memory, file, H5P_DEFAULT, rows) >= 0;
    const rt_status st = ds_h5_check(s->file, ok, "write", s->name);
    release(file, memory);
    if (st == RT_OK) s->rows += n;
    return st;
}

rt_status ds_h5_set_append(ds_h5_set *s, const void *rows, int64_t n)
{
    const char *from = rows;
    while (n > 0) {
        int64_t part = s->chunk - s->held;
        if (part > n) part = n;
        if (part == s->chunk) {
            RT_TRY(put_rows(s, from, part));
        } else {
            memcpy(s->hold + s->held * s->row, from, (size_t)(part * s->row));
            s->held += part;
        }
        if (s->held == s->chunk) {
            RT_TRY(put_rows(s, s->hold, s->held));
            s->held = 0;
        }
        from += part * s->row;
        n -= part;
    }
    return RT_OK;
}

rt_status ds_h5_set_finish(ds_h5_set **set)
{
    ds_h5_set *s  = *set;
    rt_status  st = s->held ? put_rows(s, s->hold, s->held) : RT_OK;
    ds_h5_quiet();
    if (st == RT_OK) {
        st    = ds_h5_check(s->file, H5Dclose(s->id) >= 0, "write", s->name);
        s->id = -1;
    }
    ds_h5_set_close(set);
    return st;
}

int64_t ds_h5_set_rows(const ds_h5_set *s) { return s->rows; }
int64_t ds_h5_set_bytes(const ds_h5_set *s) { return s->row; }

/* ---- whole data sets ----------------------------------------------------------------- */

enum { PUT_CHUNK = 1 << 16 }; /* elements per chunk */

rt_status ds_h5_put(ds_h5 *f, const char *name, ds_h5_type t, const void *x, int64_t n)
{
    ds_h5_set    *s;
    const int64_t chunk = n < 1 ? 1 : n < PUT_CHUNK ? n : PUT_CHUNK; /* HDF5 stores whole chunks, so a short set gets a short chunk */
    RT_TRY(ds_h5_set_create(&s, f, &(ds_h5_spec){.name = name, .type = t, .chunk = chunk}));
    const rt_status st = ds_h5_set_append(s, x, n);
    if (st == RT_OK) return ds_h5_set_finish(&s);
    ds_h5_set_close(&s);
    return st;
}
