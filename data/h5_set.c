/* h5_set.c -- tables of rows in HDF5: appended chunk by chunk, read as ranges of rows. */
#include "data/h5_file.h"
#include <stdlib.h>
#include <string.h>

enum { CACHE_SLOTS = 12289, MAX_RATIO = 1100 }; /* gzip never shrinks by more than 1032 */

struct ds_h5_set {
    ds_h5  *file;
    char   *name;
    hid_t   id, type; /* the type in memory */
    int     rank;
    int64_t width, row; /* entries and bytes a row */
    int64_t rows;       /* in the file */
    int64_t chunk, held;
    char   *hold; /* writing: rows that wait for a whole chunk */
};

static const struct {
    size_t size;
    H5T_class_t class;
    H5T_sign_t  sign;
    const char *name;
} kinds[] = {
    [DS_U8] = {1, H5T_INTEGER, H5T_SGN_NONE, "u8"},  [DS_I32] = {4, H5T_INTEGER, H5T_SGN_2, "i32"},
    [DS_I64] = {8, H5T_INTEGER, H5T_SGN_2, "i64"},   [DS_F32] = {4, H5T_FLOAT, H5T_SGN_ERROR, "f32"},
    [DS_F64] = {8, H5T_FLOAT, H5T_SGN_ERROR, "f64"},
};

/* A new HDF5 handle of the type, in the file (little-endian) or in memory. */
static hid_t type_of(const ds_h5_spec *s, int memory)
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

static rt_status set_new(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec)
{
    ds_h5_set *s;
    RT_NEW(s, 1);
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
    s->row   = spec->text ? spec->text : s->width * (int64_t)kinds[spec->type].size;
    s->chunk = spec->chunk;
    *out     = s;
    return RT_OK;
}

void ds_h5_set_close(ds_h5_set **set)
{
    ds_h5_set *s = *set;
    if (!s) return;
    ds_h5_quiet();
    if (s->id >= 0) H5Dclose(s->id);
    if (s->type >= 0) H5Tclose(s->type);
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
    const hid_t   type = type_of(spec, 0), space = H5Screate_simple(s->rank, dims, most);
    H5Pset_chunk(make, s->rank, chunk);
    if (spec->gzip) H5Pset_deflate(make, (unsigned)spec->gzip);
    H5Pset_fletcher32(make);
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
    RT_TRY(set_new(&s, f, spec));
    ds_h5_quiet();
    s->type = type_of(spec, 1);
    RT_TRY_OR(rt_alloc((void **)&s->hold, s->chunk, (size_t)s->row, s->name), fail);
    RT_TRY_OR(create_in_file(s, spec), fail);
    *out = s;
    return RT_OK;
fail:
    ds_h5_set_close(&s);
    return st;
}

/* A file selection of n rows from `first` and the matching memory space. */
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

/* ---- reading ------------------------------------------------------------------------- */

/* Fixed-length texts are read as they are stored: another padding must not cost the last byte. */
static rt_status check_text(ds_h5_set *s, hid_t t)
{
    const size_t size = H5Tget_size(t);
    RT_CHECK(H5Tget_class(t) == H5T_STRING && H5Tis_variable_str(t) == 0 && size >= 1 && size <= DS_H5_MAX_TEXT, RT_EFORMAT,
             "%s: %s must hold texts of a fixed length of at most %d bytes", s->file->path, s->name, (int)DS_H5_MAX_TEXT);
    s->row  = (int64_t)size;
    s->type = H5Tcopy(t);
    return RT_OK;
}

static rt_status check_number(ds_h5_set *s, hid_t t, const ds_h5_spec *spec)
{
    const H5T_class_t c    = H5Tget_class(t);
    const H5T_sign_t  sign = c == H5T_INTEGER ? H5Tget_sign(t) : H5T_SGN_ERROR;
    RT_CHECK(c == kinds[spec->type].class && H5Tget_size(t) == kinds[spec->type].size && sign == kinds[spec->type].sign, RT_EFORMAT,
             "%s: %s must be of type %s", s->file->path, s->name, kinds[spec->type].name);
    s->type = type_of(spec, 1);
    return RT_OK;
}

static rt_status check_type(ds_h5_set *s, const ds_h5_spec *spec)
{
    const hid_t     t  = H5Dget_type(s->id);
    const rt_status st = spec->text ? check_text(s, t) : check_number(s, t, spec);
    H5Tclose(t);
    return st;
}

/* Extents are only numbers in a header: a lie must not become an allocation. */
static rt_status check_shape(ds_h5_set *s)
{
    hsize_t     dims[2] = {0, 1};
    const hid_t space   = H5Dget_space(s->id);
    const int   rank    = H5Sget_simple_extent_ndims(space);
    if (rank == s->rank) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    RT_CHECK(rank == s->rank, RT_EFORMAT, "%s: %s has %d dimensions, expected %d", s->file->path, s->name, rank, s->rank);
    RT_CHECK(dims[1] == (hsize_t)s->width, RT_EFORMAT, "%s: %s has rows of %llu entries, expected %lld", s->file->path, s->name,
             (unsigned long long)dims[1], (long long)s->width);
    const hsize_t stored = H5Dget_storage_size(s->id);
    RT_CHECK(dims[0] <= stored * MAX_RATIO / (hsize_t)s->row, RT_EFORMAT, "%s: %s claims %llu rows, its %llu stored bytes cannot hold them",
             s->file->path, s->name, (unsigned long long)dims[0], (unsigned long long)stored);
    s->rows = (int64_t)dims[0];
    return RT_OK;
}

rt_status ds_h5_set_open(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec, size_t cache)
{
    ds_h5_set *s;
    rt_status  st;
    RT_TRY(set_new(&s, f, spec));
    ds_h5_quiet();
    const hid_t how = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(how, CACHE_SLOTS, cache, 0.0);
    s->id = H5Dopen2(f->id, s->name, how);
    RT_TRY_OR(ds_h5_check(f, s->id >= 0, "open data set", s->name), fail);
    RT_TRY_OR(check_type(s, spec), fail);
    RT_TRY_OR(check_shape(s), fail);
    H5Pclose(how);
    *out = s;
    return RT_OK;
fail:
    H5Pclose(how);
    ds_h5_set_close(&s);
    return st;
}

rt_status ds_h5_set_read(ds_h5_set *s, int64_t first, int64_t n, void *rows)
{
    hid_t file = -1, memory = -1;
    RT_CHECK(first >= 0 && n >= 0 && first <= s->rows - n, RT_EINVAL, "%s: rows %lld to %lld of %s, it has %lld", s->file->path,
             (long long)first, (long long)(first + n), s->name, (long long)s->rows);
    if (n == 0) return RT_OK;
    ds_h5_quiet();
    const int       ok = select_rows(s, first, n, &file, &memory) && H5Dread(s->id, s->type, memory, file, H5P_DEFAULT, rows) >= 0;
    const rt_status st = ds_h5_check(s->file, ok, "read", s->name);
    release(file, memory);
    return st;
}

int64_t ds_h5_set_rows(const ds_h5_set *s) { return s->rows; }
int64_t ds_h5_set_bytes(const ds_h5_set *s) { return s->row; }

rt_status ds_h5_width(ds_h5 *f, const char *name, int64_t *width)
{
    hsize_t dims[2] = {0};
    ds_h5_quiet();
    const hid_t set = H5Dopen2(f->id, name, H5P_DEFAULT), space = set < 0 ? -1 : H5Dget_space(set);
    const int   rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank == 2) H5Sget_simple_extent_dims(space, dims, NULL);
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    RT_CHECK(rank == 2 && dims[1] >= 1 && dims[1] <= INT32_MAX, RT_EFORMAT, "%s: %s must be a table with two dimensions", f->path, name);
    *width = (int64_t)dims[1];
    return RT_OK;
}
