/* read.c -- reading HDF5 files: opening, attributes, rows of data sets. */
#include "data/h5/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- opening ----------------------------------------------------------------------------- */

static rt_status open_source(ds_h5_source *in, const char *path)
{
    struct stat s;
    in->path = path;
    in->fd   = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a pipe must not block */
    RT_CHECK(in->fd >= 0 && !fstat(in->fd, &s), rt_status_of_errno(errno), "%s: cannot open the file: %s", path, strerror(errno));
    RT_CHECK(S_ISREG(s.st_mode), RT_EFORMAT, "%s: expected an HDF5 file, found a folder, a pipe or a device", path);
    in->size = (int64_t)s.st_size;
    return RT_OK;
}

enum { SUPERBLOCK = 48 };

/* `p` holds a whole superblock of version 3. */
static rt_status check_superblock(const ds_h5_source *in, const uint8_t *p, uint64_t *root)
{
    ds_h5_cursor   c     = {p + 9, SUPERBLOCK - 9, 0};
    const unsigned sizes = (unsigned)ds_h5_take(&c, 2), flags = (unsigned)ds_h5_take(&c, 1);
    const uint64_t base = ds_h5_take(&c, 8), extension = ds_h5_take(&c, 8), end = ds_h5_take(&c, 8);
    *root = ds_h5_take(&c, 8);
    DS_H5_CHECK(ds_h5_take(&c, 4) == ds_h5_lookup3(p, SUPERBLOCK - 4), in, 0, "a superblock with a wrong checksum");
    RT_CHECK(!flags, RT_EFORMAT, "%s: the HDF5 file is still being written or was never completed; create it again", in->path);
    DS_H5_CHECK(sizes == 0x0808 && base == 0 && extension == DS_H5_NOWHERE, in, 0, "a superblock of an unexpected form");
    RT_CHECK(end <= (uint64_t)in->size, RT_EFORMAT, "%s: the HDF5 file is truncated: it has %lld of %llu bytes; create it again", in->path,
             (long long)in->size, (unsigned long long)end);
    DS_H5_CHECK(end == (uint64_t)in->size, in, end, "bytes after its end");
    return RT_OK;
}

static rt_status read_superblock(const ds_h5_source *in, uint64_t *root)
{
    uint8_t      p[SUPERBLOCK] = {0};
    const size_t n             = in->size < SUPERBLOCK ? (size_t)in->size : SUPERBLOCK;
    RT_TRY(ds_h5_bytes(in, 0, n, p));
    RT_CHECK(n >= 8 && !memcmp(p, "\211HDF\r\n\032\n", 8), RT_EFORMAT, "%s: expected an HDF5 file, found %s", in->path,
             n ? "a file of another kind; check the name" : "an empty file");
    RT_CHECK(n == SUPERBLOCK, RT_EFORMAT, "%s: the HDF5 file is truncated: it has %zu bytes; create it again", in->path, n);
    RT_CHECK(
        p[8] == 3, RT_EFORMAT,
        "%s: the HDF5 superblock has version %d, expected 3; write the file in the format of HDF5 1.10 (h5py: libver=('v110', 'v110'))",
        in->path, (int)p[8]);
    return check_superblock(in, p, root);
}

rt_status ds_h5_open(ds_h5 **out, const char *path)
{
    ds_h5   *f;
    uint64_t root = 0;
    RT_TRY(ds_h5_file_new(&f, path, 0));
    rt_status st = open_source(&f->in, f->path);
    if (st == RT_OK) st = read_superblock(&f->in, &root);
    if (st == RT_OK) st = ds_h5_group_read(&f->root, &f->in, root);
    if (st == RT_OK) *out = f;
    else ds_h5_file_free(&f);
    return st;
}

/* ---- names ------------------------------------------------------------------------------- */

/* Finds the header of "/group/name"; DS_H5_NOWHERE: it does not exist. */
static rt_status h5_find(const ds_h5 *f, const char *name, uint64_t *at)
{
    ds_h5_group       g    = {0};
    const char       *part = name + (*name == '/'), *slash = strchr(part, '/');
    const ds_h5_link *link = ds_h5_group_link(&f->root, part, slash ? (size_t)(slash - part) : strlen(part));
    *at                    = link ? link->at : DS_H5_NOWHERE;
    if (!link || !slash) return RT_OK;
    RT_TRY(ds_h5_group_read(&g, &f->in, link->at));
    link = ds_h5_group_link(&g, slash + 1, strlen(slash + 1));
    *at  = link ? link->at : DS_H5_NOWHERE;
    ds_h5_group_free(&g);
    return RT_OK;
}

int ds_h5_has(ds_h5 *f, const char *name)
{
    uint64_t at = DS_H5_NOWHERE;
    return h5_find(f, name, &at) == RT_OK && at != DS_H5_NOWHERE;
}

static rt_status find_table(ds_h5 *f, const char *name, ds_h5_table *t)
{
    uint64_t at;
    RT_TRY(h5_find(f, name, &at));
    RT_CHECK(at != DS_H5_NOWHERE, RT_EFORMAT, "%s: expected the data set %s, found none; the file is not a shard", f->path, name);
    return ds_h5_table_read(t, &f->in, at, name);
}

static rt_status note_group(void *is_group, int type, ds_h5_cursor m)
{
    (void)m;
    if (type == DS_H5_LINK_INFO) *(int *)is_group = 1;
    return RT_OK;
}

/* Checks a data set or a group of data sets; its full name is `before` / link name. */
static rt_status check_object(ds_h5 *f, const char *before, const ds_h5_link *link, int (*known)(const char *name))
{
    ds_h5_table t;
    ds_h5_group g        = {0};
    int         is_group = 0;
    char        name[160]; /* no known name is longer */
    rt_status   st = RT_OK;
    snprintf(name, sizeof name, "%s/%s", before, link->name);
    if (!*before) RT_TRY(ds_h5_object(&f->in, link->at, note_group, &is_group));
    RT_CHECK(known(name), RT_EFORMAT, "%s: holds %s, which does not belong to a shard", f->path, name);
    if (!is_group) return ds_h5_table_read(&t, &f->in, link->at, link->name);
    RT_TRY(ds_h5_group_read(&g, &f->in, link->at));
    for (int64_t i = 0; st == RT_OK && i < g.links; i++) st = check_object(f, name, &g.link[i], known);
    ds_h5_group_free(&g);
    return st;
}

rt_status ds_h5_check_names(ds_h5 *f, int (*known)(const char *name))
{
    for (int64_t i = 0; i < f->root.links; i++) RT_TRY(check_object(f, "", &f->root.link[i], known));
    return RT_OK;
}

/* ---- attributes of the root group ---------------------------------------------------------- */

static rt_status find_attribute(const ds_h5 *f, const char *name, ds_h5_class class, const ds_h5_attribute **out)
{
    const ds_h5_attribute *a = ds_h5_group_attribute(&f->root, name);
    RT_CHECK(a, RT_EFORMAT, "%s: expected the attribute '%s', found none; the file is not a shard", f->path, name);
    RT_CHECK(!a->fault, RT_EFORMAT, "%s: the attribute '%s' holds %s", f->path, name, a->fault);
    RT_CHECK(a->kind.class == class, RT_EFORMAT, "%s: the attribute '%s' must be %s", f->path, name,
             class == DS_H5_TEXT ? "a string of fixed length" : "an integer");
    *out = a;
    return RT_OK;
}

int ds_h5_has_attribute(const ds_h5 *f, const char *name) { return ds_h5_group_attribute(&f->root, name) != NULL; }

rt_status ds_h5_get_int(ds_h5 *f, const char *name, int64_t *v)
{
    const ds_h5_attribute *a = NULL;
    RT_TRY(find_attribute(f, name, DS_H5_INTEGER, &a));
    RT_CHECK(a->kind.size == 8 && a->kind.is_signed, RT_EFORMAT, "%s: the attribute '%s' must be an i64, found %s%d", f->path, name,
             a->kind.is_signed ? "i" : "u", 8 * (int)a->kind.size);
    ds_h5_cursor c = {a->value, (size_t)a->kind.size, 0};
    *v             = (int64_t)ds_h5_take(&c, (size_t)a->kind.size);
    return RT_OK;
}

rt_status ds_h5_get_text(ds_h5 *f, const char *name, rt_buf *out)
{
    const ds_h5_attribute *a = NULL;
    RT_TRY(find_attribute(f, name, DS_H5_TEXT, &a));
    rt_buf_clear(out);
    return rt_buf_add(out, a->value, strnlen((const char *)a->value, (size_t)a->kind.size));
}

/* ---- data sets ------------------------------------------------------------------------------ */

enum { MAX_SLOTS = 1 << 14 };

typedef struct slot {
    int64_t  chunk; /* -1: none */
    uint8_t *p;     /* the chunk's rows that exist */
} slot;

struct ds_h5_reader {
    ds_h5_table     t;
    ds_h5_inflater *z;
    slot           *slot; /* chunk c is kept in slot c % slots */
    int64_t         slots;
};

void ds_h5_reader_free(ds_h5_reader **reader)
{
    ds_h5_reader *r = *reader;
    if (!r) return;
    for (int64_t i = 0; i < r->slots; i++) free(r->slot[i].p);
    free(r->slot);
    ds_h5_inflater_free(&r->z);
    ds_h5_table_free(&r->t);
    free(r);
    *reader = NULL;
}

static const struct {
    ds_h5_kind  kind;
    const char *name;
} kinds[] = {
    [DS_U8] = {{DS_H5_INTEGER, 0, 1}, "u8"}, [DS_I32] = {{DS_H5_INTEGER, 1, 4}, "i32"}, [DS_I64] = {{DS_H5_INTEGER, 1, 8}, "i64"},
    [DS_F32] = {{DS_H5_FLOAT, 0, 4}, "f32"}, [DS_F64] = {{DS_H5_FLOAT, 0, 8}, "f64"},
};

static rt_status h5_check_kind(ds_h5_set *s, const ds_h5_spec *spec)
{
    const ds_h5_table *t    = &s->reader->t;
    const ds_h5_kind  *want = &kinds[spec->type].kind;
    const char        *path = s->file->path;
    if (spec->text)
        RT_CHECK(t->kind.class == DS_H5_TEXT && t->kind.size <= DS_H5_MAX_TEXT, RT_EFORMAT,
                 "%s: %s must hold strings of a fixed length of at most %d bytes", path, s->name, (int)DS_H5_MAX_TEXT);
    else
        RT_CHECK(t->kind.class == want->class && t->kind.size == want->size && t->kind.is_signed == want->is_signed, RT_EFORMAT,
                 "%s: %s must be of type %s", path, s->name, kinds[spec->type].name);
    RT_CHECK(t->rank == s->rank, RT_EFORMAT, "%s: %s has %d dimensions, expected %d", path, s->name, t->rank, s->rank);
    RT_CHECK(t->width == s->width, RT_EFORMAT, "%s: %s has rows of %lld entries, expected %lld", path, s->name, (long long)t->width,
             (long long)s->width);
    return RT_OK;
}

static rt_status open_reader(ds_h5_set *s, const ds_h5_spec *spec, size_t cache)
{
    ds_h5_reader *r;
    RT_TRY(RT_NEW(r, 1));
    s->reader = r;
    RT_TRY(find_table(s->file, s->name, &r->t));
    RT_TRY(h5_check_kind(s, spec));
    s->row   = r->t.row;
    s->rows  = r->t.rows;
    r->slots = (int64_t)cache / (r->t.chunk * r->t.row);
    if (r->slots > MAX_SLOTS) r->slots = MAX_SLOTS;
    if (r->slots > r->t.chunks) r->slots = r->t.chunks;
    if (r->slots < 1) r->slots = 1;
    const int64_t n = r->slots;
    r->slots        = 0;
    RT_TRY(RT_NEW(r->slot, n));
    r->slots = n;
    for (int64_t i = 0; i < n; i++) r->slot[i].chunk = -1;
    return RT_OK;
}

rt_status ds_h5_set_open(ds_h5_set **out, ds_h5 *f, const ds_h5_spec *spec, size_t cache)
{
    ds_h5_set *s;
    RT_TRY(ds_h5_set_new(&s, f, spec));
    const rt_status st = open_reader(s, spec, cache);
    if (st == RT_OK) *out = s;
    else ds_h5_set_close(&s);
    return st;
}

/* Gets the rows of a chunk from its slot; reads the chunk if another one is there. */
static rt_status h5_load(ds_h5_set *s, int64_t chunk, const uint8_t **rows)
{
    ds_h5_piece   p;
    ds_h5_reader *r    = s->reader;
    slot         *at   = &r->slot[chunk % r->slots];
    const int64_t left = s->rows - chunk * r->t.chunk, n = left < r->t.chunk ? left : r->t.chunk;
    if (at->chunk != chunk) {
        at->chunk = -1;
        RT_TRY(ds_h5_index_find(&r->t, &s->file->in, chunk, &p));
        if (!at->p) RT_TRY(rt_alloc((void **)&at->p, r->t.chunk < s->rows ? r->t.chunk : s->rows, (size_t)s->row, s->name));
        RT_TRY(ds_h5_chunk_read(&r->t, &s->file->in, &p, &r->z, (size_t)(n * s->row), at->p));
        at->chunk = chunk;
    }
    *rows = at->p;
    return RT_OK;
}

rt_status ds_h5_set_read(ds_h5_set *s, int64_t first, int64_t n, void *rows)
{
    char *to = rows;
    RT_CHECK(first >= 0 && n >= 0 && first <= s->rows - n, RT_EINVAL, "%s: cannot read rows %lld to %lld of %s, which has %lld rows",
             s->file->path, (long long)first, (long long)(first + n), s->name, (long long)s->rows);
    while (n > 0) {
        const uint8_t *from = NULL;
        const int64_t  size = s->reader->t.chunk, chunk = first / size, skip = first - chunk * size;
        const int64_t  part = n < size - skip ? n : size - skip;
        RT_TRY(h5_load(s, chunk, &from));
        memcpy(to, from + skip * s->row, (size_t)(part * s->row));
        to += part * s->row;
        first += part;
        n -= part;
    }
    return RT_OK;
}

rt_status ds_h5_width(ds_h5 *f, const char *name, int64_t *width)
{
    ds_h5_table t;
    RT_TRY(find_table(f, name, &t));
    RT_CHECK(t.rank == 2, RT_EFORMAT, "%s: %s must be a table with two dimensions", f->path, name);
    *width = t.width;
    return RT_OK;
}

rt_status ds_h5_get(ds_h5 *f, const char *name, ds_h5_type t, void *x, int64_t n)
{
    ds_h5_set *s;
    rt_status  st;
    RT_TRY(ds_h5_set_open(&s, f, &(ds_h5_spec){.name = name, .type = t}, 0));
    RT_CHECK_OR(ds_h5_set_rows(s) == n, done, RT_EFORMAT, "%s: %s holds %lld entries, expected %lld", f->path, name,
                (long long)ds_h5_set_rows(s), (long long)n);
    st = ds_h5_set_read(s, 0, n, x);
done:
    ds_h5_set_close(&s);
    return st;
}
