/* export.c -- documents of a shard as lines of JSON. */
#include "core/file.h"
#include "core/json.h"
#include "data/data.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rt_status add_field(rt_buf *b, const char *key, const char *text)
{
    RT_TRY(rt_buf_fmt(b, ",\"%s\":", key));
    return rt_json_quote(b, text, strlen(text));
}

/* The fields of a JSON object, as they are. */
static rt_status add_meta(rt_buf *b, const char *meta)
{
    const size_t n = strlen(meta);
    if (n < 3) return RT_OK;
    RT_TRY(rt_buf_str(b, ","));
    return rt_buf_add(b, meta + 1, n - 2);
}

static rt_status make_line(rt_buf *line, rt_buf *text, const ds_doc *d, const ds_tokenizer *t)
{
    rt_buf_clear(text);
    rt_buf_clear(line);
    RT_TRY(ds_decode(t, d->ids, d->n, 1, text));
    RT_TRY(rt_buf_str(line, "{\"text\":"));
    RT_TRY(rt_json_quote(line, text->p ? text->p : "", text->len));
    RT_TRY(rt_buf_fmt(line, ",\"tokens\":%lld", (long long)d->n));
    RT_TRY(add_field(line, "request", d->request));
    RT_TRY(add_field(line, "recipe", d->recipe));
    RT_TRY(add_field(line, "topic", d->topic));
    RT_TRY(add_field(line, "finish", d->finish));
    RT_TRY(rt_buf_fmt(line, ",\"seed\":\"%llu\",\"cost\":", (unsigned long long)d->seed));
    RT_TRY(rt_json_number(line, d->cost, 9));
    RT_TRY(add_meta(line, d->meta));
    return rt_buf_str(line, "}\n");
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
             "%s was made with the tokenizer %.12s..., this one is %.12s...; give the one that it was made with", ds_shard_path(s),
             i->tokenizer, ds_tokenizer_identity(t));
    RT_TRY(rt_output_new(path));
    rt_status st = rt_buf_fmt(&tmp, "%s.tmp.%ld", path, (long)getpid());
    if (st == RT_OK) st = write_file(s, t, tmp.p, path, p);
    rt_buf_free(&tmp);
    return st;
}
