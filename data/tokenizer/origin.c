/* origin.c -- the file that holds a folder's tokenizer, and what tokenizer_config.json beside it says of a file that is no tokenizer.json (origin.h). */
#include "data/tokenizer/origin.h"
#include "core/file.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- which file ----------------------------------------------------------------------------------- */

static int origin_ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static rt_status find_tiktoken(rt_buf *path, const char *dir)
{
    char **names, *one = NULL;
    int    n;
    RT_TRY(rt_dir_list(&names, &n, dir));
    rt_status st = RT_OK;
    for (int i = 0; i < n && st == RT_OK; i++) {
        if (!origin_ends_with(names[i], ".tiktoken")) continue;
        if (one)
            st = rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the folder holds %s and %s; name one of the files instead", dir, one,
                         names[i]);
        one = names[i];
    }
    if (st == RT_OK && one) st = rt_path_inside(path, dir, one);
    else if (st == RT_OK)
        st = rt_fail(RT_ENOENT, __FILE__, __LINE__,
                     "%s: expected a folder with tokenizer.json, tokenizer.model or *.tiktoken, found none of them", dir);
    rt_names_free(&names, n);
    return st;
}

static rt_status find_in_folder(rt_buf *path, const char *dir)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    for (int i = 0; i < 2; i++) {
        RT_TRY(rt_path_inside(path, dir, names[i]));
        if (rt_file_exists(path->p)) return RT_OK;
    }
    return find_tiktoken(path, dir);
}

int ds_tokenizer_is_file(const char *path)
{
    struct stat s;
    return (origin_ends_with(path, ".model") || origin_ends_with(path, ".tiktoken")) && !stat(path, &s) && !S_ISDIR(s.st_mode);
}

/* A GGUF file may stand where a model folder does, but its vocabulary is not read in place. */
static rt_status find_origin(rt_buf *path, const char *from)
{
    struct stat s;
    if (stat(from, &s) || S_ISDIR(s.st_mode)) return find_in_folder(path, from);
    RT_CHECK(ds_tokenizer_is_file(from), RT_EINVAL,
             "%s: expected a folder with a tokenizer, found a file; 'retort import FILE.gguf --out DIR' makes a folder of a GGUF file",
             from);
    return rt_buf_str(path, from);
}

/* ---- tokenizer_config.json --------------------------------------------------------------------------- */

/* An added token of tokenizer_config.json, "ID": {"content": TEXT, ...}, replaces what the program's name says of this id. */
static rt_status add_decoder_token(ds_vocabulary *v, const cJSON *e, const char *where)
{
    const char   *text    = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "content"));
    int           special = 0, normalized = 0;
    char         *end = NULL;
    const int64_t id  = strtoll(e->string, &end, 10);
    RT_CHECK(text && *text && end != e->string && !*end, RT_EFORMAT,
             "%s: \"added_tokens_decoder\": the token \"%.16s\" has no id or no \"content\"", where, e->string);
    RT_TRY(rt_json_bool(e, "special", &special, where));
    RT_TRY(rt_json_bool(e, "normalized", &normalized, where));
    RT_CHECK(id >= v->own || (v->p[id < 0 ? 0 : id].n == strlen(text) && !memcmp(v->p[id < 0 ? 0 : id].text, text, strlen(text))),
             RT_EFORMAT,
             "%s: \"added_tokens_decoder\": the token %lld is \"%.60s\", but the vocabulary beside it has another entry with this id",
             where, (long long)id, text);
    if (id < v->own && v->p[id].kind == DS_UNKNOWN) return RT_OK;
    return ds_vocabulary_add(v, id, text, strlen(text), special ? DS_CONTROL : DS_USER, normalized, where);
}

static rt_status apply_config(ds_vocabulary *v, const cJSON *config, const char *where)
{
    const cJSON *e;
    int          legacy = 1;
    RT_TRY(rt_json_bool(config, "add_bos_token", &v->begin, where));
    RT_TRY(rt_json_bool(config, "legacy", &legacy, where));
    if (!legacy && v->kind == DS_OF_PIECES && v->prefix == DS_PREFIX_ALL) v->prefix = DS_PREFIX_FIRST;
    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(config, "added_tokens_decoder")) RT_TRY(add_decoder_token(v, e, where));
    return RT_OK;
}

/* ---- other forms ------------------------------------------------------------------------------------------ */

static rt_status put_token_text(rt_buf *b, const ds_vocabulary *v, int32_t id)
{
    return id < 0 ? RT_OK : rt_buf_add(b, v->p[id].text, v->p[id].n);
}

static rt_status origin_compose(ds_origin *o, ds_vocabulary *v, const rt_buf *file, rt_buf *texts, const cJSON *config, const char *where)
{
    RT_TRY(ds_tiktoken_is(file) ? ds_tiktoken_read(v, texts, file, o->path.p) : ds_sentencepiece_read(v, file, o->path.p));
    if (config) RT_TRY(apply_config(v, config, where));
    RT_TRY(put_token_text(&o->bos, v, v->bos));
    RT_TRY(put_token_text(&o->eos, v, v->eos));
    return ds_vocabulary_write(&o->json, v);
}

static rt_status origin_compose_beside(ds_origin *o, const rt_buf *file, const char *from)
{
    ds_vocabulary v     = {0};
    rt_buf        texts = {0}, path = {0};
    cJSON        *config = NULL;
    rt_status     st     = rt_path_inside(&path, from, "tokenizer_config.json");
    if (st == RT_OK && rt_file_exists(path.p)) st = rt_json_read(&config, path.p, RT_JSON_DUPLICATES);
    if (st == RT_OK) st = origin_compose(o, &v, file, &texts, config, path.p);
    ds_vocabulary_free(&v);
    cJSON_Delete(config);
    rt_buf_free(&texts), rt_buf_free(&path);
    return st;
}

rt_status ds_origin_read(ds_origin *o, const char *from)
{
    rt_buf file = {0};
    RT_TRY(find_origin(&o->path, from));
    rt_status st = rt_file_read(&file, o->path.p, DS_MAX_TOKENIZER);
    if (st == RT_OK) st = rt_sha_bytes(file.p, file.len, o->file);
    if (st == RT_OK && !origin_ends_with(o->path.p, ".json")) st = origin_compose_beside(o, &file, from);
    else if (st == RT_OK) o->json = file, file = (rt_buf){0};
    rt_buf_free(&file);
    return st;
}

rt_status ds_tokenizer_json(rt_buf *json, rt_buf *path, const char *from)
{
    ds_origin o  = {0};
    rt_status st = ds_origin_read(&o, from);
    if (st == RT_OK) *json = o.json, *path = o.path, o.json = o.path = (rt_buf){0};
    ds_origin_free(&o);
    return st;
}

void ds_origin_free(ds_origin *o) { rt_buf_free(&o->path), rt_buf_free(&o->json), rt_buf_free(&o->bos), rt_buf_free(&o->eos); }
