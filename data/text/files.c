/* files.c -- finding the text files to read, and their formats by the extensions of their names. */
#include "core/file.h"
#include "data/text/stream.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 32 };

static const struct {
    const char *end;
    ds_format   format;
} kinds[] = {{".txt", DS_LINES},    {".text", DS_LINES}, {".md", DS_LINES}, {".jsonl", DS_JSONL},
             {".ndjson", DS_JSONL}, {".csv", DS_CSV},    {".tsv", DS_CSV}};

/* File types that are not supported, and the commands that convert them. */
static const struct {
    const char *end, *how;
} others[] = {
    {".parquet",
     "python3 -c 'import pandas, sys; pandas.read_parquet(sys.argv[1]).to_json(sys.argv[2], orient=\"records\", lines=True)' FILE "
     "NEW.jsonl"},
    {".arrow",
     "python3 -c 'import pandas, sys; pandas.read_feather(sys.argv[1]).to_json(sys.argv[2], orient=\"records\", lines=True)' FILE "
     "NEW.jsonl"},
    {".json", "jq -c '.[]' FILE > NEW.jsonl"},
    {".zst", "zstd -dc FILE | retort data import - --format ..."},
    {".xz", "xz -dc FILE | retort data import - --format ..."},
    {".bz2", "bzip2 -dc FILE | retort data import - --format ..."},
    {".zip", "unzip FILE -d FOLDER"},
    {".tar", "tar -xf FILE"},
    {".tgz", "tar -xf FILE"},
    {".pdf", "pdftotext FILE NEW.txt"},
    {".html", "html2text FILE > NEW.txt"},
    {".docx", "pandoc -t plain --wrap=none FILE -o NEW.txt"},
};

static int ends_with(const char *s, size_t n, const char *end)
{
    const size_t m = strlen(end);
    return n > m && !strncasecmp(s + n - m, end, m);
}

/* The format by the name's extension; -1: unknown. */
static int format_of(const char *path)
{
    size_t n = strlen(path);
    if (ends_with(path, n, ".gz")) n -= 3;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ends_with(path, n, kinds[i].end)) return (int)kinds[i].format;
    return -1;
}

static int format_named(const char *word)
{
    static const char *const words[] = {"txt", "jsonl", "csv"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(word, words[i])) return i;
    return -1;
}

static rt_status files_unknown(const char *path)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        RT_CHECK(!ends_with(path, strlen(path), others[i].end), RT_EINVAL, "%s: %s files are not supported; convert it: %s", path,
                 others[i].end, others[i].how);
    RT_FAIL(
        RT_EINVAL,
        "%s: expected a name that ends with .txt, .md, .jsonl, .ndjson, .csv or .tsv, and perhaps .gz; for other names pass --format txt, "
        "jsonl or csv",
        path);
}

static rt_status files_add(ds_files *f, const char *path, int format)
{
    RT_TRY(rt_grow((void **)&f->v, f->n, &f->cap, sizeof *f->v));
    f->v[f->n] = (ds_file){.format = (ds_format)format, .bytes = rt_file_size(path) > 0 ? rt_file_size(path) : 0};
    RT_TRY(rt_strdup(&f->v[f->n].path, path));
    f->bytes += f->v[f->n].bytes;
    f->n++;
    return RT_OK;
}

static int is_folder(const char *path)
{
    struct stat s;
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

/* A folder that is being read, linked to the folders that contain it. */
typedef struct inside {
    struct stat          s;
    const struct inside *outer;
} inside;

static rt_status files_add_folder(ds_files *f, const char *folder, const inside *outer, int depth)
{
    inside self = {.outer = outer};
    RT_CHECK(!stat(folder, &self.s), RT_ENOENT, "%s: the folder cannot be accessed", folder);
    for (const inside *o = outer; o; o = o->outer)
        RT_CHECK(o->s.st_dev != self.s.st_dev || o->s.st_ino != self.s.st_ino, RT_EINVAL,
                 "%s: this link leads back to a folder that contains it; remove it, or name the folders one by one", folder);
    char **names = NULL;
    int    n     = 0;
    rt_buf path  = {0};
    RT_CHECK(depth < MAX_DEPTH, RT_EINVAL, "%s: the folders are nested more than %d deep", folder, (int)MAX_DEPTH);
    RT_TRY(rt_dir_list(&names, &n, folder));
    rt_status st = RT_OK;
    for (int i = 0; st == RT_OK && i < n; i++) {
        if (names[i][0] == '.') continue;
        st = rt_path(&path, folder, names[i]);
        if (st == RT_OK && is_folder(path.p)) st = files_add_folder(f, path.p, &self, depth + 1);
        else if (st == RT_OK && format_of(path.p) >= 0) st = files_add(f, path.p, format_of(path.p));
    }
    rt_names_free(&names, n);
    rt_buf_free(&path);
    return st;
}

static rt_status add_name(ds_files *f, const char *name, int said)
{
    const int64_t before = f->n;
    if (!strcmp(name, "-")) return files_add(f, name, said >= 0 ? said : DS_LINES);
    if (is_folder(name)) {
        RT_TRY(files_add_folder(f, name, NULL, 0));
        RT_CHECK(f->n > before, RT_EINVAL,
                 "%s: this folder holds no file whose name ends with .txt, .md, .jsonl, .ndjson, .csv or .tsv (perhaps .gz)", name);
        return RT_OK;
    }
    const int format = said >= 0 ? said : format_of(name);
    return format < 0 ? files_unknown(name) : files_add(f, name, format);
}

rt_status ds_files_find(ds_files *out, const ds_input *in)
{
    ds_files  f    = {0};
    const int said = in->format ? format_named(in->format) : -1;
    RT_CHECK(!in->format || said >= 0, RT_EINVAL, "--format must be txt, jsonl or csv, found '%s'", in->format);
    rt_status st = RT_OK;
    for (int64_t i = 0; st == RT_OK && i < in->n; i++) st = add_name(&f, in->names[i], said);
    if (st == RT_OK) *out = f;
    else ds_files_free(&f);
    return st;
}

void ds_files_free(ds_files *f)
{
    for (int64_t i = 0; i < f->n; i++) free(f->v[i].path);
    free(f->v);
    *f = (ds_files){0};
}
