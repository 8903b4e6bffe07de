/* type.c -- reading datatype and dataspace messages.  Only the types in data/FORMAT.md are accepted. */
#include "data/h5/type.h"
#include <string.h>

/* The bytes after class and version: flags, size, offset, precision, exponent and mantissa, bias of IEEE 754 numbers. */
static const uint8_t ieee32[19] = {0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127};
static const uint8_t ieee64[19] = {0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xff, 3};

static const char *read_integer(ds_h5_kind *k, unsigned flags, ds_h5_cursor m)
{
    const uint64_t offset = ds_h5_take(&m, 2), bits = ds_h5_take(&m, 2);
    if (flags & 1) return "numbers that are not little-endian";
    if (m.bad || (flags & ~8u) || k->size < 1 || k->size > 8 || offset || bits != 8 * (uint64_t)k->size)
        return "integers of an unexpected form";
    k->is_signed = (flags & 8) != 0;
    return NULL;
}

static const char *read_float(const ds_h5_kind *k, const uint8_t *rest, size_t n)
{
    const uint8_t *want = k->size == 4 ? ieee32 : ieee64;
    if (n >= 1 && (rest[0] & 0x41)) return "numbers that are not little-endian";
    return n >= sizeof ieee32 && (k->size == 4 || k->size == 8) && !memcmp(rest, want, sizeof ieee32)
               ? NULL
               : "numbers that are neither f32 nor f64 of IEEE 754";
}

const char *ds_h5_kind_read(ds_h5_kind *out, ds_h5_cursor m)
{
    const unsigned     first = (unsigned)ds_h5_take(&m, 1), class = first & 15, version = first >> 4;
    const ds_h5_cursor rest  = m;
    const unsigned     flags = (unsigned)ds_h5_take(&m, 3);
    *out                     = (ds_h5_kind){.size = (int64_t)ds_h5_take(&m, 4), .class = (ds_h5_class) class};
    if (m.bad || version < 1 || version > 3) return "a data type of an unexpected version";
    if (class == DS_H5_INTEGER) return read_integer(out, flags, m);
    if (class == DS_H5_FLOAT) return read_float(out, rest.p, rest.n);
    if (class == 9) return "strings of variable length, which HDF5 stores without checksums";
    if (class != DS_H5_TEXT) return "a data type that is neither a number nor a string";
    /* padding: NUL terminated or NUL padded; characters: ASCII or UTF-8 */
    return out->size >= 1 && (flags & 15) <= 1 && (flags >> 4) <= 1 ? NULL : "strings that do not end with NUL";
}

const char *ds_h5_shape_read(ds_h5_shape *out, ds_h5_cursor m)
{
    const unsigned version = (unsigned)ds_h5_take(&m, 1), rank = (unsigned)ds_h5_take(&m, 1);
    const unsigned flags = (unsigned)ds_h5_take(&m, 1), type = (unsigned)ds_h5_take(&m, 1);
    if (m.bad || version != 2 || flags > 1 || type > 1 || (type == 0) != (rank == 0)) return "a shape of an unexpected form";
    if (rank > 2) return "a table of more than two dimensions";
    *out = (ds_h5_shape){.rank = (int)rank, .dims = {1, 1}};
    for (unsigned i = 0; i < rank; i++) out->dims[i] = ds_h5_take(&m, 8);
    return m.bad ? "a shape that ends early" : NULL;
}
