/* source_safetensors.c -- the weight format of Hugging Face's folders: model.safetensors, or the files that
 * model.safetensors.index.json names.
 *
 * A folder may also hold files of an older save, so file names are not enough.  If there is an index, it determines
 * the file of each tensor.
 */
#include "core/file.h"
#include "core/json.h"
#include "model/safetensors.h"
#include "model/source.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 512 };
static const char one_file[] = "model.safetensors", index_file[] = "model.safetensors.index.json";

typedef struct place {
    const md_st_tensor *t;
    md_st              *file;
} place;

typedef struct folder {
    const char *dir;
    md_st      *file[MAX_FILES];
    const char *name[MAX_FILES]; /* [n] file names */
    int         n;
    cJSON      *index; /* parsed index, which owns the names; NULL: no index */
    place      *places;
    int64_t     count;
} folder;

static int there(const char *dir, const char *name)
{
    rt_buf    path = {0};
    const int yes  = rt_path(&path, dir, name) == RT_OK && rt_file_exists(path.p);
    rt_buf_free(&path);
    return yes;
}

static rt_status add_file(folder *f, const char *name)
{
    rt_buf path = {0};
    RT_CHECK(f->n < MAX_FILES, RT_EFORMAT, "%s: the folder has more than %d safetensors files", f->dir, MAX_FILES);
    rt_status st = rt_path_inside(&path, f->dir, name);
    if (st == RT_OK) st = md_st_open(&f->file[f->n], path.p);
    if (st == RT_OK) f->name[f->n++] = name;
    rt_buf_free(&path);
    return st;
}

/* ---- one file ---------------------------------------------------------------------------------- */

static rt_status open_one(folder *f)
{
    RT_TRY(add_file(f, one_file));
    while (md_st_at(f->file[0], f->count)) f->count++;
    RT_TRY(RT_NEW(f->places, f->count));
    for (int64_t i = 0; i < f->count; i++) f->places[i] = (place){md_st_at(f->file[0], i), f->file[0]};
    return RT_OK;
}

/* ---- an index ---------------------------------------------------------------------------------- */

/* Sets *out to the file `name`, which is opened at its first use.  Entries of a file are mostly adjacent in the index, so the
 * search starts with the last file. */
static rt_status file_of(folder *f, const char *name, md_st **out)
{
    int i = f->n - 1;
    while (i >= 0 && strcmp(f->name[i], name)) i--;
    if (i < 0) {
        RT_CHECK(!strchr(name, '/'), RT_EFORMAT, "%s: %s names \"%s\", expected a file of the same folder", f->dir, index_file, name);
        RT_CHECK(there(f->dir, name), RT_ENOENT,
                 "%s: %s names %s, which does not exist; download it, or remove the index if it belongs to another save", f->dir,
                 index_file, name);
        RT_TRY(add_file(f, name));
        i = f->n - 1;
    }
    *out = f->file[i];
    return RT_OK;
}

static rt_status source_safetensors_add_entry(folder *f, const cJSON *e)
{
    place *p = &f->places[f->count];
    RT_CHECK(cJSON_IsString(e), RT_EFORMAT, "%s: %s must name a file for the tensor %.80s", f->dir, index_file, e->string);
    RT_TRY(file_of(f, e->valuestring, &p->file));
    p->t = md_st_find(p->file, e->string);
    RT_CHECK(p->t, RT_EFORMAT, "%s: according to %s the tensor %.80s is in %s, which does not hold it", f->dir, index_file, e->string,
             e->valuestring);
    f->count++;
    return RT_OK;
}

static int source_safetensors_by_name(const void *a, const void *b)
{
    return strcmp(((const place *)a)->t->name, ((const place *)b)->t->name);
}

static rt_status open_index(folder *f)
{
    rt_buf    path = {0};
    rt_status st   = rt_path_inside(&path, f->dir, index_file);
    if (st == RT_OK) st = rt_json_read(&f->index, path.p, 0);
    rt_buf_free(&path);
    RT_TRY(st);
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(f->index, "weight_map");
    RT_CHECK(cJSON_IsObject(map), RT_EFORMAT, "%s: %s has no object \"weight_map\"", f->dir, index_file);
    RT_TRY(RT_NEW(f->places, cJSON_GetArraySize(map)));
    for (const cJSON *e = map->child; e; e = e->next) RT_TRY(source_safetensors_add_entry(f, e));
    if (f->count) qsort(f->places, (size_t)f->count, sizeof *f->places, source_safetensors_by_name);
    return RT_OK;
}

static int names(const folder *f, const char *name)
{
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->name[i], name)) return 1;
    return 0;
}

/* ---- the folder -------------------------------------------------------------------------------- */

static rt_status source_safetensors_open_all(folder *f)
{
    const int one = there(f->dir, one_file);
    RT_CHECK(!there(f->dir, "adapter_config.json"), RT_EFORMAT,
             "%s: adapter_config.json: adapters are not supported in this version; merge the adapter into the weights", f->dir);
    if (!there(f->dir, index_file)) {
        RT_CHECK(one, RT_ENOENT, "%s: expected %s or %s, found neither", f->dir, one_file, index_file);
        return open_one(f);
    }
    RT_TRY(open_index(f));
    RT_CHECK(!one || names(f, one_file), RT_EFORMAT,
             "%s: %s is not named by %s, so the folder holds two saves, and programs differ in which they read; remove the older save",
             f->dir, one_file, index_file);
    return RT_OK;
}

/* Sets the source's list of tensors, whose strings belong to the files. */
static rt_status list_tensors(md_source *s, const folder *f)
{
    RT_TRY(RT_NEW(s->t, f->count));
    for (; s->n < f->count; s->n++) {
        const md_st_tensor *t = f->places[s->n].t;
        md_stored          *o = &s->t[s->n];
        *o                    = (md_stored){.name = t->name, .dtype = t->dtype, .nd = t->nd, .bytes = t->end - t->begin};
        for (int d = 0; d < t->nd; d++) o->shape[d] = t->shape[d];
    }
    return RT_OK;
}

/* ---- the format -------------------------------------------------------------------------------- */

static int recognise_any(const char *path)
{
    (void)path;
    return 1;
}

static rt_status open_folder(md_source *s)
{
    folder *f;
    RT_TRY(RT_NEW(f, 1));
    s->files = f;
    f->dir   = s->path;
    RT_TRY(source_safetensors_open_all(f));
    return list_tensors(s, f);
}

static void close_folder(md_source *s)
{
    folder *f = s->files;
    if (!f) return;
    for (int i = 0; i < f->n; i++) md_st_close(&f->file[i]);
    cJSON_Delete(f->index);
    free(f->places), free(f);
}

static rt_status read_bytes(const md_source *s, int64_t i, void *bytes)
{
    const place *p = &((const folder *)s->files)->places[i];
    return md_st_read(p->file, p->t, bytes);
}

static rt_status read_real(const md_source *s, int64_t i, real *x)
{
    const place *p = &((const folder *)s->files)->places[i];
    return md_st_read_real(p->file, p->t, x);
}

const md_source_format md_source_safetensors = {
    .recognise = recognise_any, .open = open_folder, .close = close_folder, .read = read_bytes, .read_real = read_real};
