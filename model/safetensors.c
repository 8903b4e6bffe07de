/* safetensors.c -- the safetensors format (github.com/huggingface/safetensors): u64 little-endian
 * header length, JSON {"name": {"dtype", "shape", "data_offsets"}}, the data, without holes.
 *
 * A header is untrusted input: each number is checked before it is cast, the tensors must cover the data exactly, and
 * no step takes longer than sorting the names. */
#include "model/safetensors.h"
#include "core/file.h"
#include "core/json.h"
#include "model/half.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_CAP = 100000000 }; /* the format's own limit */

struct md_st {
    FILE         *f;
    char         *path;
    rt_buf        tmp; /* writing: the temporary name until the file is complete */
    md_st_tensor *t;   /* reading: [n], in name order */
    int64_t       n, data, size;
};

/* ---- types --------------------------------------------------------------------------------- */

/* Defines a function that casts n elements of type T, whose value is VALUE(element), to reals. */
#define CAST(name, T, VALUE)                                                      \
    static void name(real *x, const void *from, int64_t n)                        \
    {                                                                             \
        for (int64_t i = 0; i < n; i++) x[i] = (real)VALUE(((const T *)from)[i]); \
    }
CAST(cast_f64, double, )
CAST(cast_f32, float, )
CAST(cast_f16, uint16_t, md_half_value)
CAST(cast_e4m3, uint8_t, md_e4m3_value)
CAST(cast_e5m2, uint8_t, md_e5m2_value)
static void cast_bf16(real *x, const void *from, int64_t n) { kn_get()->from_bf16(x, from, n); }

static const struct st_type {
    const char *name;
    int64_t     size;
    void (*to_real)(real *x, const void *from, int64_t n); /* NULL: integers */
} st_types[] = {{"F64", 8, cast_f64},      {"F32", 4, cast_f32}, {"BF16", 2, cast_bf16}, {"F16", 2, cast_f16}, {"F8_E4M3", 1, cast_e4m3},
                {"F8_E5M2", 1, cast_e5m2}, {"I64", 8, NULL},     {"I32", 4, NULL},       {"U32", 4, NULL},     {"U8", 1, NULL}};

/* NULL: a type that is not read. */
static const struct st_type *st_type_of(const char *name)
{
    for (size_t i = 0; i < sizeof st_types / sizeof *st_types; i++)
        if (!strcmp(st_types[i].name, name)) return &st_types[i];
    return NULL;
}

int64_t md_st_count(const md_st_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->nd; i++) n *= t->shape[i];
    return n;
}

/* ---- reading --------------------------------------------------------------------------------- */

static rt_status read_shape(md_st_tensor *t, const cJSON *shape, const char *path)
{
    const cJSON *d;
    int64_t      total = 1;
    cJSON_ArrayForEach(d, shape)
    {
        RT_CHECK(t->nd < MD_ST_DIMS && rt_json_whole(d, 0, (int64_t)1 << 40, &t->shape[t->nd]), RT_EFORMAT,
                 "%s: tensor %s has a shape of more than %d dimensions or with a wrong size", path, t->name, MD_ST_DIMS);
        RT_CHECK(t->shape[t->nd] == 0 || total < ((int64_t)1 << 48) / t->shape[t->nd], RT_EFORMAT, "%s: tensor %s is too large", path,
                 t->name);
        total *= t->shape[t->nd++];
    }
    return RT_OK;
}

static rt_status read_place(const md_st *s, md_st_tensor *t, const cJSON *off)
{
    const struct st_type *type  = st_type_of(t->dtype);
    const int64_t         bytes = s->size - s->data, need = type ? md_st_count(t) * type->size : 0;
    RT_CHECK(cJSON_GetArraySize(off) == 2 && rt_json_whole(off->child, 0, (int64_t)1 << 53, &t->begin) &&
                 rt_json_whole(off->child->next, 0, (int64_t)1 << 53, &t->end) && t->end >= t->begin,
             RT_EFORMAT, "%s: tensor %s: data_offsets must be two integers, the second at least the first", s->path, t->name);
    RT_CHECK(t->end <= bytes, RT_EFORMAT,
             "%s: tensor %s ends after the end of the file (%lld bytes of data); the file is truncated or damaged", s->path, t->name,
             (long long)bytes);
    RT_CHECK(type || md_st_count(t) <= 8 * (t->end - t->begin), RT_EFORMAT,
             "%s: tensor %s of type %s has %lld bytes, fewer than a bit for each of its %lld elements", s->path, t->name, t->dtype,
             (long long)(t->end - t->begin),
             (long long)md_st_count(t)); /* memory for its elements may be taken before its type is refused */
    RT_CHECK(!type || t->end - t->begin == need, RT_EFORMAT, "%s: tensor %s has %lld bytes, but its shape needs %lld", s->path, t->name,
             (long long)(t->end - t->begin), (long long)need);
    return RT_OK;
}

static rt_status st_read_entry(md_st *s, const cJSON *e)
{
    const char   *dtype = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "dtype"));
    const cJSON  *shape = cJSON_GetObjectItemCaseSensitive(e, "shape"), *off = cJSON_GetObjectItemCaseSensitive(e, "data_offsets");
    md_st_tensor *t = &s->t[s->n];
    if (!strcmp(e->string, "__metadata__")) return RT_OK;
    RT_CHECK(strlen(e->string) < sizeof t->name, RT_EFORMAT, "%s: a tensor's name has more than %zu bytes: \"%.80s...\"", s->path,
             sizeof t->name - 1, e->string);
    RT_CHECK(dtype && strlen(dtype) < sizeof t->dtype && cJSON_IsArray(shape) && cJSON_IsArray(off), RT_EFORMAT,
             "%s: the header's entry \"%s\" lacks dtype, shape or data_offsets", s->path, e->string);
    *t = (md_st_tensor){0};
    strcpy(t->name, e->string);
    strcpy(t->dtype, dtype);
    RT_TRY(read_shape(t, shape, s->path));
    RT_TRY(read_place(s, t, off));
    s->n++;
    return RT_OK;
}

static int by_place(const void *a, const void *b)
{
    const md_st_tensor *x = a, *y = b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : (x->end > y->end) - (x->end < y->end);
}

static int st_by_name(const void *a, const void *b) { return strcmp(((const md_st_tensor *)a)->name, ((const md_st_tensor *)b)->name); }

/* Checks that each byte of the data belongs to exactly one tensor; a file with overlaps or holes is damaged. */
static rt_status check_places(md_st *s)
{
    int64_t at = 0;
    if (s->n) qsort(s->t, (size_t)s->n, sizeof *s->t, by_place);
    for (int64_t i = 0; i < s->n; i++) {
        RT_CHECK(s->t[i].begin == at, RT_EFORMAT,
                 "%s: tensor %s begins at byte %lld of the data, but the one before it ends at %lld; the file is damaged", s->path,
                 s->t[i].name, (long long)s->t[i].begin, (long long)at);
        at = s->t[i].end;
    }
    RT_CHECK(at == s->size - s->data, RT_EFORMAT, "%s: %lld bytes follow the last tensor; the file is damaged", s->path,
             (long long)(s->size - s->data - at));
    if (s->n) qsort(s->t, (size_t)s->n, sizeof *s->t, st_by_name);
    return RT_OK;
}

static rt_status st_read_entries(md_st *s, const cJSON *o)
{
    RT_TRY(RT_NEW(s->t, cJSON_GetArraySize(o)));
    for (const cJSON *e = o->child; e; e = e->next) RT_TRY(st_read_entry(s, e));
    return check_places(s);
}

static rt_status read_header(md_st *s)
{
    unsigned char le[8];
    uint64_t      len = 0;
    char         *text;
    cJSON        *o;
    s->size = rt_file_size(s->path);
    RT_CHECK(fread(le, 1, 8, s->f) == 8, RT_EFORMAT, "%s: expected a safetensors file, found %lld bytes", s->path, (long long)s->size);
    for (int i = 7; i >= 0; i--) len = len << 8 | le[i];
    RT_CHECK(
        len <= HEADER_CAP && (int64_t)len + 8 <= s->size, RT_EFORMAT,
        "%s: expected a safetensors file, found a header length of %llu bytes in a file of %lld; the file is truncated or of another kind",
        s->path, (unsigned long long)len, (long long)s->size);
    RT_TRY(RT_NEW(text, (int64_t)len + 1));
    rt_status st = fread(text, 1, len, s->f) == len ? rt_json_parse(&o, text, len, 0, s->path)
                                                    : rt_fail(RT_EIO, __FILE__, __LINE__, "%s: the file cannot be read", s->path);
    free(text);
    RT_TRY(st);
    s->data = (int64_t)len + 8;
    st      = st_read_entries(s, o);
    cJSON_Delete(o);
    return st;
}

static rt_status open_file(md_st *s, const char *path, const char *mode)
{
    s->f = fopen(path, mode);
    RT_CHECK(s->f, rt_status_of_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
    return RT_OK;
}

rt_status md_st_open(md_st **out, const char *path)
{
    md_st *s;
    RT_TRY(RT_NEW(s, 1));
    rt_status st = rt_strdup(&s->path, path);
    if (st == RT_OK) st = open_file(s, path, "rb");
    if (st == RT_OK) st = read_header(s);
    if (st != RT_OK) md_st_close(&s);
    else *out = s;
    return st;
}

void md_st_close(md_st **sp)
{
    md_st *s = *sp;
    if (!s) return;
    if (s->f) fclose(s->f);
    if (s->tmp.p) unlink(s->tmp.p);
    rt_buf_free(&s->tmp);
    free(s->path), free(s->t), free(s);
    *sp = NULL;
}

const md_st_tensor *md_st_at(const md_st *s, int64_t i) { return i < s->n ? &s->t[i] : NULL; }

const md_st_tensor *md_st_find(const md_st *s, const char *name)
{
    md_st_tensor key;
    if (strlen(name) >= sizeof key.name) return NULL;
    strcpy(key.name, name);
    return s->n ? bsearch(&key, s->t, (size_t)s->n, sizeof key, st_by_name) : NULL;
}

rt_status md_st_read(md_st *s, const md_st_tensor *t, void *bytes)
{
    const size_t n = (size_t)(t->end - t->begin);
    RT_CHECK(!fseeko(s->f, s->data + t->begin, SEEK_SET) && fread(bytes, 1, n, s->f) == n, RT_EIO, "%s: tensor %s cannot be read", s->path,
             t->name);
    return RT_OK;
}

rt_status md_st_read_real(md_st *s, const md_st_tensor *t, real *x)
{
    const struct st_type *type = st_type_of(t->dtype);
    char                 *raw;
    RT_CHECK(type && type->to_real, RT_EFORMAT, "%s: tensor %s is of type %s; expected F32, BF16, F16, F64, F8_E4M3 or F8_E5M2", s->path,
             t->name, t->dtype);
    RT_TRY(rt_alloc((void **)&raw, t->end - t->begin, 1, t->name));
    const rt_status st = md_st_read(s, t, raw);
    if (st == RT_OK) type->to_real(x, raw, md_st_count(t));
    free(raw);
    return st;
}

rt_status md_st_read_i64(md_st *s, const md_st_tensor *t, int64_t *x)
{
    const int64_t n = md_st_count(t);
    if (!strcmp(t->dtype, "I64")) return md_st_read(s, t, x);
    RT_CHECK(!strcmp(t->dtype, "I32"), RT_EFORMAT, "%s: tensor %s is of type %s; expected I64 or I32", s->path, t->name, t->dtype);
    RT_TRY(md_st_read(s, t, x));
    for (int64_t i = n - 1; i >= 0; i--) x[i] = ((const int32_t *)(const void *)x)[i];
    return RT_OK;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void put_tensor(rt_json_writer *w, const md_st_tensor *t)
{
    rt_put_object(w, t->name);
    rt_put_text(w, "dtype", t->dtype);
    rt_put_array(w, "shape");
    for (int d = 0; d < t->nd; d++) rt_put_int(w, NULL, t->shape[d]);
    rt_put_end(w);
    rt_put_array(w, "data_offsets");
    rt_put_int(w, NULL, t->begin);
    rt_put_int(w, NULL, t->end);
    rt_put_end(w);
    rt_put_end(w);
}

static rt_status header_text(rt_buf *b, md_st_tensor *list, int64_t n)
{
    rt_json_writer w  = {.out = b};
    int64_t        at = 0;
    rt_put_object(&w, NULL);
    rt_put_object(&w, "__metadata__");
    rt_put_text(&w, "format", "pt");
    rt_put_end(&w);
    for (int64_t i = 0; i < n; i++) {
        md_st_tensor *t = &list[i];
        t->begin        = at;
        t->end          = at += md_st_count(t) * st_type_of(t->dtype)->size;
        put_tensor(&w, t);
    }
    rt_put_end(&w);
    RT_TRY(w.st);
    while (b->len % 8) RT_TRY(rt_buf_str(b, " "));
    return RT_OK;
}

static rt_status st_begin(md_st *s, const char *path, const rt_buf *header)
{
    unsigned char le[8];
    for (int i = 0; i < 8; i++) le[i] = (unsigned char)((uint64_t)header->len >> (8 * i));
    RT_TRY(rt_strdup(&s->path, path));
    RT_TRY(rt_file_temporary(&s->tmp, path));
    RT_TRY(open_file(s, s->tmp.p, "wb"));
    RT_TRY(md_st_write(s, le, 8));
    return md_st_write(s, header->p, (int64_t)header->len);
}

rt_status md_st_begin(md_st **out, const char *path, md_st_tensor *list, int64_t n)
{
    md_st *s;
    rt_buf b = {0};
    RT_TRY(RT_NEW(s, 1));
    rt_status st = header_text(&b, list, n);
    if (st == RT_OK) st = st_begin(s, path, &b);
    if (st != RT_OK) md_st_close(&s);
    else *out = s;
    rt_buf_free(&b);
    return st;
}

rt_status md_st_write(md_st *s, const void *bytes, int64_t n)
{
    RT_CHECK(fwrite(bytes, 1, (size_t)n, s->f) == (size_t)n, rt_status_of_errno(errno), "%s: cannot be written: %s", s->path,
             strerror(errno));
    return RT_OK;
}

static rt_status end(md_st *s)
{
    RT_CHECK(!fflush(s->f), rt_status_of_errno(errno), "%s: cannot be written: %s", s->path, strerror(errno));
    return rt_file_rename(s->tmp.p, s->path);
}

rt_status md_st_end(md_st **sp)
{
    const rt_status st = end(*sp);
    md_st_close(sp); /* after the rename no file has the temporary name */
    return st;
}
