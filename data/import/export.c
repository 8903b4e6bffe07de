/* export.c -- exporting documents of a shard as lines of JSON. */
#include "core/file.h"
#include "core/json_write.h"
#include "data/import.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rt_status make_line(rt_buf *line, rt_buf *text, const ds_doc *d, const ds_tokenizer *t)
{
    rt_json_writer w = {.out = line};
    const size_t   n = strlen(d->meta);
    rt_buf_clear(text);
    rt_buf_clear(line);
    RT_TRY(ds_decode(t, d->ids, d->n, 1, text));
    rt_put_object(&w, NULL);
    rt_put_bytes(&w, "text", text->p, text->len);
    rt_put_int(&w, "tokens", d->n);
    rt_put_text(&w, "request", d->request);
    rt_put_text(&w, "recipe", d->recipe);
    rt_put_text(&w, "topic", d->topic);
    rt_put_text(&w, "finish", d->finish);
    rt_put_format(&w, "seed", "%llu", (unsigned long long)d->seed);
    rt_put_real(&w, "cost", d->cost, 9);
    if (n > 2) rt_put_raw(&w, NULL, d->meta + 1, n - 2); /* the fields of the object, unchanged */
    rt_put_end(&w);
    rt_put_line_end(&w);
    return w.st;
}

static rt_status write_lines(ds_shard *s, const ds_tokenizer *t, FILE *f, const char *path, rt_progress *p)
{
    rt_buf    line = {0}, text = {0};
    rt_status st = RT_OK;
    ds_doc    d;
    for (int64_t i = 0; st == RT_OK && i < ds_shard_docs(s); i++) {
        st = ds_shard_doc(s, i, &d);
        if (st == RT_OK) st = make_line(&line, &text, &d, t);
        if (st == RT_OK && fwrite(line.p, 1, line.len, f) != line.len)
            st = rt_fail(rt_status_of_errno(errno), __FILE__, __LINE__, "%s: cannot be written: %s", path, strerror(errno));
        if (p) rt_progress_at(p, i + 1, NULL);
    }
    if (st == RT_OK && fflush(f))
        st = rt_fail(rt_status_of_errno(errno), __FILE__, __LINE__, "%s: cannot be written: %s", path, strerror(errno));
    rt_buf_free(&line);
    rt_buf_free(&text);
    return st;
}

static rt_status write_file(ds_shard *s, const ds_tokenizer *t, const char *tmp, const char *path, rt_progress *p)
{
    FILE *f = fopen(tmp, "wb");
    RT_CHECK(f, rt_status_of_errno(errno), "%s: cannot be opened for writing: %s", tmp, strerror(errno));
    rt_status st = write_lines(s, t, f, path, p);
    fclose(f);
    if (st == RT_OK) st = rt_file_rename(tmp, path);
    if (st != RT_OK) unlink(tmp);
    return st;
}

rt_status ds_export(ds_shard *s, const ds_tokenizer *t, const char *path, rt_progress *p)
{
    const ds_info *i   = ds_shard_info(s);
    rt_buf         tmp = {0};
    RT_CHECK(ds_tokenizer_is(t, i->tokenizer), RT_EMISMATCH,
             "%s was made with the tokenizer %.12s..., but --tokenizer is %.12s...; pass the one that it was made with", ds_shard_path(s),
             i->tokenizer, ds_tokenizer_identity(t));
    RT_TRY(rt_output_new(path));
    rt_status st = rt_buf_fmt(&tmp, "%s.tmp.%ld", path, (long)getpid());
    if (st == RT_OK) st = write_file(s, t, tmp.p, path, p);
    rt_buf_free(&tmp);
    return st;
}
