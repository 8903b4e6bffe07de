/* gguf.c -- opening GGUF files (gguf.h): the header, the metadata, the table of tensors. */
#include "model/gguf.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Least bytes of a key with its value and of a tensor's entry; the most of each that a file may have. */
enum { LEAST_KEY = 8 + 4 + 1, LEAST_ENTRY = 8 + 4 + 8 + 4 + 8, MOST = 1 << 20, MOST_ALIGNMENT = 1 << 16 };

typedef struct pair {
    const char    *key; /* [n], not ended by a NUL */
    int64_t        n;
    md_gguf_kind   kind;
    const uint8_t *value;
} pair;

struct md_gguf {
    char           *path;
    const uint8_t  *map;
    int64_t         size, at; /* at: first byte that is not parsed yet */
    int64_t         alignment;
    pair           *pairs; /* [keys], in the order of their keys */
    md_gguf_tensor *t;     /* [n], in the order of their names */
    int64_t         keys, n;
};

/* ---- bytes -------------------------------------------------------------------------------------- */

static const int sizes[MD_GGUF_KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}; /* 0: of no fixed size */

static uint64_t whole_at(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

/* Sets *p to the next n bytes, which `what` names in the message, and passes them. */
static rt_status gguf_take(md_gguf *g, const uint8_t **p, uint64_t n, const char *what)
{
    const int64_t left = g->size - g->at;
    RT_CHECK(n <= (uint64_t)left, RT_EFORMAT, "%s: %s at byte %lld needs %llu bytes, but %lld are left; the file is truncated or damaged",
             g->path, what, (long long)g->at, (unsigned long long)n, (long long)left);
    *p = g->map + g->at;
    g->at += (int64_t)n;
    return RT_OK;
}

static rt_status gguf_take_whole(md_gguf *g, uint64_t *v, int bytes, const char *what)
{
    const uint8_t *p = NULL;
    RT_TRY(gguf_take(g, &p, (uint64_t)bytes, what));
    *v = whole_at(p, bytes);
    return RT_OK;
}

static rt_status gguf_take_text(md_gguf *g, const char **text, int64_t *n, const char *what)
{
    const uint8_t *p      = NULL;
    uint64_t       length = 0;
    RT_TRY(gguf_take_whole(g, &length, 8, what));
    RT_TRY(gguf_take(g, &p, length, what));
    *text = (const char *)p;
    *n    = (int64_t)length;
    return RT_OK;
}

/* ---- metadata ------------------------------------------------------------------------------------ */

static rt_status pass_array(md_gguf *g)
{
    const char *what = "an array";
    uint64_t    kind = 0, n = 0;
    RT_TRY(gguf_take_whole(g, &kind, 4, what));
    RT_TRY(gguf_take_whole(g, &n, 8, what));
    RT_CHECK(kind < MD_GGUF_KINDS && kind != MD_GGUF_ARRAY && n < (uint64_t)1 << 48, RT_EFORMAT,
             "%s: the array that ends at byte %lld has %llu elements of type %llu; expected fewer, of a type that is no array", g->path,
             (long long)g->at, (unsigned long long)n, (unsigned long long)kind);
    if (kind != MD_GGUF_TEXT) return gguf_take(g, &(const uint8_t *){NULL}, n * (uint64_t)sizes[kind], what);
    for (uint64_t i = 0; i < n; i++) RT_TRY(gguf_take_text(g, &(const char *){NULL}, &(int64_t){0}, what));
    return RT_OK;
}

static rt_status gguf_read_pair(md_gguf *g, pair *p)
{
    uint64_t kind = 0;
    RT_TRY(gguf_take_text(g, &p->key, &p->n, "a key"));
    RT_TRY(gguf_take_whole(g, &kind, 4, "the type of a value"));
    RT_CHECK(kind < MD_GGUF_KINDS, RT_EFORMAT, "%s: the key %.*s has a value of type %llu; expected a type below %d", g->path,
             (int)(p->n < 80 ? p->n : 80), p->key, (unsigned long long)kind, MD_GGUF_KINDS);
    p->kind  = (md_gguf_kind)kind;
    p->value = g->map + g->at;
    if (kind == MD_GGUF_ARRAY) return pass_array(g);
    if (kind == MD_GGUF_TEXT) return gguf_take_text(g, &(const char *){NULL}, &(int64_t){0}, "a text");
    RT_TRY(gguf_take(g, &p->value, (uint64_t)sizes[kind], "a value"));
    RT_CHECK(kind != MD_GGUF_BOOL || *p->value <= 1, RT_EFORMAT, "%s: the key %.*s has the truth value %d; expected 0 or 1", g->path,
             (int)(p->n < 80 ? p->n : 80), p->key, *p->value);
    return RT_OK;
}

static int gguf_by_key(const void *a, const void *b)
{
    const pair   *x = a, *y = b;
    const int64_t n = x->n < y->n ? x->n : y->n;
    const int     c = memcmp(x->key, y->key, (size_t)n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static rt_status read_pairs(md_gguf *g, int64_t n)
{
    RT_TRY(RT_NEW(g->pairs, n));
    for (; g->keys < n; g->keys++) RT_TRY(gguf_read_pair(g, &g->pairs[g->keys]));
    if (n) qsort(g->pairs, (size_t)n, sizeof *g->pairs, gguf_by_key);
    for (int64_t i = 1; i < n; i++)
        RT_CHECK(gguf_by_key(&g->pairs[i - 1], &g->pairs[i]), RT_EFORMAT, "%s: the key %.*s occurs twice", g->path,
                 (int)(g->pairs[i].n < 80 ? g->pairs[i].n : 80), g->pairs[i].key);
    return RT_OK;
}

static const pair *find_pair(const md_gguf *g, const char *key)
{
    const pair want = {.key = key, .n = (int64_t)strlen(key)};
    return g->keys ? bsearch(&want, g->pairs, (size_t)g->keys, sizeof want, gguf_by_key) : NULL;
}

int md_gguf_has(const md_gguf *g, const char *key) { return find_pair(g, key) != NULL; }

int md_gguf_has_array(const md_gguf *g, const char *key)
{
    const pair *p = find_pair(g, key);
    return p && p->kind == MD_GGUF_ARRAY;
}

static rt_status wrong_kind(const md_gguf *g, const char *key, const char *expected)
{
    return rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: expected %s as the value of %s, found another type or size", g->path, expected,
                   key);
}

rt_status md_gguf_int(const md_gguf *g, const char *key, int64_t *v)
{
    const pair *p = find_pair(g, key);
    if (!p) return RT_OK;
    const int is_signed = p->kind == MD_GGUF_I8 || p->kind == MD_GGUF_I16 || p->kind == MD_GGUF_I32 || p->kind == MD_GGUF_I64;
    const int is_whole  = is_signed || p->kind == MD_GGUF_U8 || p->kind == MD_GGUF_U16 || p->kind == MD_GGUF_U32 || p->kind == MD_GGUF_U64;
    if (!is_whole) return wrong_kind(g, key, "an integer");
    const int      spare = 64 - 8 * sizes[p->kind];
    const uint64_t bits  = whole_at(p->value, sizes[p->kind]);
    if (!is_signed && bits > INT64_MAX) return wrong_kind(g, key, "an integer below 2^63");
    *v = is_signed ? (int64_t)(bits << spare) >> spare : (int64_t)bits;
    return RT_OK;
}

/* Returns the decimal of seven digits that was rounded to x, if there is one: 1e-5, not 9.99999975e-6. */
static double decimal_of(float x)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)x);
    const double d = strtod(text, NULL);
    return (float)d == x ? d : (double)x;
}

rt_status md_gguf_real(const md_gguf *g, const char *key, double *v)
{
    const pair *p = find_pair(g, key);
    float       narrow;
    if (!p) return RT_OK;
    if (p->kind != MD_GGUF_F32 && p->kind != MD_GGUF_F64) return wrong_kind(g, key, "a floating-point number");
    memcpy(&narrow, p->value, sizeof narrow);
    if (p->kind == MD_GGUF_F32) *v = decimal_of(narrow);
    else memcpy(v, p->value, sizeof *v);
    return RT_OK;
}

rt_status md_gguf_truth(const md_gguf *g, const char *key, int64_t *v)
{
    const pair *p = find_pair(g, key);
    if (!p) return RT_OK;
    if (p->kind != MD_GGUF_BOOL) return wrong_kind(g, key, "true or false");
    *v = *p->value;
    return RT_OK;
}

rt_status md_gguf_word(const md_gguf *g, const char *key, char v[MD_GGUF_WORD])
{
    const pair *p = find_pair(g, key);
    if (!p) return RT_OK;
    const uint64_t n = p->kind == MD_GGUF_TEXT ? whole_at(p->value, 8) : MD_GGUF_WORD;
    if (n >= MD_GGUF_WORD) return wrong_kind(g, key, "a short text");
    memcpy(v, p->value + 8, (size_t)n);
    v[n] = 0;
    return RT_OK;
}

/* The bytes were checked when the file was opened. */
rt_status md_gguf_elements(const md_gguf *g, const char *key, md_gguf_kind kind, md_gguf_array *a)
{
    const pair *p = find_pair(g, key);
    *a            = (md_gguf_array){NULL, 0};
    if (!p) return RT_OK;
    const int one = p->kind == MD_GGUF_TEXT && kind == MD_GGUF_TEXT;
    if (!one && (p->kind != MD_GGUF_ARRAY || whole_at(p->value, 4) != (uint64_t)kind))
        return wrong_kind(g, key, "an array of another type");
    *a = one ? (md_gguf_array){p->value, 1} : (md_gguf_array){p->value + 12, (int64_t)whole_at(p->value + 4, 8)};
    return RT_OK;
}

const char *md_gguf_take_text(md_gguf_array *a, size_t *bytes)
{
    const char *text = (const char *)a->next + 8;
    *bytes           = (size_t)whole_at(a->next, 8);
    a->next += 8 + *bytes, a->n--;
    return text;
}

int32_t md_gguf_take_i32(md_gguf_array *a)
{
    const uint32_t bits = (uint32_t)whole_at(a->next, 4);
    a->next += 4, a->n--;
    return (int32_t)bits;
}

float md_gguf_take_f32(md_gguf_array *a)
{
    const int32_t bits = md_gguf_take_i32(a);
    float         v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* ---- tensors ------------------------------------------------------------------------------------- */

static rt_status take_name(md_gguf *g, md_gguf_tensor *t)
{
    const char *name = NULL;
    int64_t     n    = 0;
    RT_TRY(gguf_take_text(g, &name, &n, "a tensor's name"));
    RT_CHECK(n < MD_GGUF_NAME && !memchr(name, 0, (size_t)n), RT_EFORMAT,
             "%s: a tensor's name has %lld bytes or a NUL; expected fewer than %d", g->path, (long long)n, MD_GGUF_NAME);
    memcpy(t->name, name, (size_t)n);
    return RT_OK;
}

/* Sets the shape and the bytes of t, whose type is set. */
static rt_status take_shape(md_gguf *g, md_gguf_tensor *t)
{
    int64_t  total = 1;
    uint64_t nd = 0, size = 0, id = 0;
    RT_TRY(gguf_take_whole(g, &nd, 4, "a number of dimensions"));
    RT_CHECK(nd >= 1 && nd <= MD_GGUF_DIMS, RT_EFORMAT, "%s: tensor %s has %llu dimensions; expected 1 to %d", g->path, t->name,
             (unsigned long long)nd, MD_GGUF_DIMS);
    t->nd = (int)nd;
    for (int i = t->nd - 1; i >= 0; i--) {
        RT_TRY(gguf_take_whole(g, &size, 8, "a dimension"));
        RT_CHECK(size >= 1 && size < ((uint64_t)1 << 48) / (uint64_t)total, RT_EFORMAT, "%s: tensor %s is empty or too large", g->path,
                 t->name);
        total *= t->shape[i] = (int64_t)size;
    }
    RT_TRY(gguf_take_whole(g, &id, 4, "a tensor's type"));
    t->type = md_gguf_type_of(id < INT32_MAX ? (int)id : -1);
    RT_CHECK(t->type, RT_EFORMAT, "%s: tensor %s is of GGUF's type %llu, which is not supported; expected one of%s", g->path, t->name,
             (unsigned long long)id, md_gguf_type_list);
    RT_CHECK(t->shape[t->nd - 1] % t->type->block == 0, RT_EFORMAT,
             "%s: tensor %s has rows of %lld elements; %s requires a multiple of %lld", g->path, t->name, (long long)t->shape[t->nd - 1],
             t->type->name, (long long)t->type->block);
    t->bytes = total / t->type->block * t->type->bytes;
    return RT_OK;
}

/* Reads a tensor's entry.  t->data becomes its offset from the map; the beginning of the data is not known yet. */
static rt_status gguf_read_entry(md_gguf *g, md_gguf_tensor *t)
{
    uint64_t offset = 0;
    RT_TRY(take_name(g, t));
    RT_TRY(take_shape(g, t));
    RT_TRY(gguf_take_whole(g, &offset, 8, "a tensor's offset"));
    RT_CHECK(offset % (uint64_t)g->alignment == 0, RT_EFORMAT, "%s: tensor %s begins at byte %llu of the data; expected a multiple of %lld",
             g->path, t->name, (unsigned long long)offset, (long long)g->alignment);
    RT_CHECK(offset <= (uint64_t)g->size && t->bytes <= g->size - (int64_t)offset, RT_EFORMAT,
             "%s: tensor %s ends after the end of the file (%lld bytes); the file is truncated or damaged", g->path, t->name,
             (long long)g->size);
    t->data = g->map + offset;
    return RT_OK;
}

static int gguf_by_data(const void *a, const void *b)
{
    const md_gguf_tensor *x = a, *y = b;
    return (x->data > y->data) - (x->data < y->data);
}

static int gguf_by_name(const void *a, const void *b)
{
    return strcmp(((const md_gguf_tensor *)a)->name, ((const md_gguf_tensor *)b)->name);
}

/* Moves the tensors to the beginning of the data and checks that they do not overlap. */
static rt_status gguf_place(md_gguf *g)
{
    const int64_t data = (g->at + g->alignment - 1) / g->alignment * g->alignment;
    if (g->n) qsort(g->t, (size_t)g->n, sizeof *g->t, gguf_by_data);
    for (int64_t i = 0; i < g->n; i++) {
        md_gguf_tensor *t = &g->t[i];
        RT_CHECK(t->data - g->map <= g->size - data - t->bytes, RT_EFORMAT,
                 "%s: tensor %s ends after the end of the file (%lld bytes); the file is truncated or damaged", g->path, t->name,
                 (long long)g->size);
        t->data += data;
        RT_CHECK(!i || t->data >= t[-1].data + t[-1].bytes, RT_EFORMAT, "%s: the tensors %s and %s overlap; the file is damaged", g->path,
                 t[-1].name, t->name);
    }
    if (g->n) qsort(g->t, (size_t)g->n, sizeof *g->t, gguf_by_name);
    for (int64_t i = 1; i < g->n; i++)
        RT_CHECK(strcmp(g->t[i - 1].name, g->t[i].name) != 0, RT_EFORMAT, "%s: the tensor %s occurs twice", g->path, g->t[i].name);
    return RT_OK;
}

const md_gguf_tensor *md_gguf_at(const md_gguf *g, int64_t i) { return i < g->n ? &g->t[i] : NULL; }

const md_gguf_tensor *md_gguf_find(const md_gguf *g, const char *name)
{
    md_gguf_tensor key = {.name = ""};
    if (!g->n || strlen(name) >= sizeof key.name) return NULL;
    strcpy(key.name, name);
    return bsearch(&key, g->t, (size_t)g->n, sizeof key, gguf_by_name);
}

/* ---- the file --------------------------------------------------------------------------------------- */

static rt_status read_alignment(md_gguf *g)
{
    g->alignment = MD_GGUF_ALIGNMENT;
    RT_TRY(md_gguf_int(g, "general.alignment", &g->alignment));
    RT_CHECK(g->alignment >= 8 && g->alignment <= MOST_ALIGNMENT && !(g->alignment & (g->alignment - 1)), RT_EFORMAT,
             "%s: general.alignment is %lld; expected a power of two from 8 to %d", g->path, (long long)g->alignment, MOST_ALIGNMENT);
    return RT_OK;
}

static rt_status take_header(md_gguf *g, uint64_t *tensors, uint64_t *keys)
{
    uint64_t magic = 0, version = 0;
    RT_TRY(gguf_take_whole(g, &magic, 4, "the header"));
    RT_TRY(gguf_take_whole(g, &version, 4, "the header"));
    RT_CHECK(magic == 0x46554747, RT_EFORMAT, "%s: expected a GGUF file, which begins with \"GGUF\"", g->path);
    RT_CHECK(version == 2 || version == MD_GGUF_VERSION, RT_EFORMAT,
             "%s: the file is of GGUF version %llu; expected 2 or 3 in little-endian order; convert the model again", g->path,
             (unsigned long long)version);
    RT_TRY(gguf_take_whole(g, tensors, 8, "the header"));
    RT_TRY(gguf_take_whole(g, keys, 8, "the header"));
    RT_CHECK(*keys <= MOST && *keys <= (uint64_t)(g->size - g->at) / LEAST_KEY && *tensors <= MOST &&
                 *tensors <= (uint64_t)(g->size - g->at) / LEAST_ENTRY,
             RT_EFORMAT, "%s: the header promises %llu keys and %llu tensors, more than a file of %lld bytes holds; the file is damaged",
             g->path, (unsigned long long)*keys, (unsigned long long)*tensors, (long long)g->size);
    return RT_OK;
}

static rt_status gguf_parse(md_gguf *g)
{
    uint64_t tensors = 0, keys = 0;
    RT_TRY(take_header(g, &tensors, &keys));
    RT_TRY(read_pairs(g, (int64_t)keys));
    RT_TRY(read_alignment(g));
    RT_TRY(RT_NEW(g->t, (int64_t)tensors));
    for (; g->n < (int64_t)tensors; g->n++) RT_TRY(gguf_read_entry(g, &g->t[g->n]));
    return gguf_place(g);
}

static rt_status gguf_map(md_gguf *g)
{
    struct stat info;
    const int   fd  = open(g->path, O_RDONLY | O_CLOEXEC);
    void       *map = NULL;
    int         bad = fd < 0 || fstat(fd, &info);
    if (!bad && info.st_size > 0) map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    bad           = bad || map == MAP_FAILED;
    const int err = errno;
    if (fd >= 0) close(fd);
    RT_CHECK(!bad, rt_status_of_errno(err), "%s: cannot be opened: %s", g->path, strerror(err));
    g->map  = map;
    g->size = info.st_size;
    return RT_OK;
}

rt_status md_gguf_open(md_gguf **out, const char *path)
{
    md_gguf *g;
    RT_TRY(RT_NEW(g, 1));
    rt_status st = rt_strdup(&g->path, path);
    if (st == RT_OK) st = gguf_map(g);
    if (st == RT_OK) st = gguf_parse(g);
    if (st != RT_OK) md_gguf_close(&g);
    else *out = g;
    return st;
}

void md_gguf_close(md_gguf **gp)
{
    md_gguf *g = *gp;
    if (!g) return;
    if (g->size) munmap((void *)(uintptr_t)g->map, (size_t)g->size);
    free(g->pairs), free(g->t), free(g->path), free(g);
    *gp = NULL;
}

const char *md_gguf_path(const md_gguf *g) { return g->path; }
