/* import.c -- models of other programs as model folders (import.h). */
#include "model/import.h"
#include "core/file.h"
#include "model/gguf_model.h"

static rt_status import_write(const char *dir, const char *name, const rt_buf *text)
{
    rt_buf    path = {0};
    rt_status st   = rt_path(&path, dir, name);
    if (st == RT_OK) st = rt_file_write(path.p, text->p, text->len);
    rt_buf_free(&path);
    return st;
}

static rt_status import_from_gguf(const char *file, const char *to)
{
    md_gguf  *g    = NULL;
    rt_buf    json = {0}, config = {0};
    rt_status st = md_gguf_open(&g, file);
    if (st == RT_OK) st = md_gguf_vocabulary(&json, &config, g);
    if (st == RT_OK) st = import_write(to, "tokenizer.json", &json);
    if (st == RT_OK) st = import_write(to, "tokenizer_config.json", &config);
    md_gguf_close(&g);
    rt_buf_free(&json), rt_buf_free(&config);
    return st;
}

rt_status md_import_tokenizer(const char *from, const char *to)
{
    rt_buf    file = {0};
    rt_status st   = md_gguf_locate(&file, from);
    if (st == RT_OK) st = file.len ? import_from_gguf(file.p, to) : ds_tokenizer_copy(from, to);
    rt_buf_free(&file);
    return st;
}
