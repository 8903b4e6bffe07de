/* tokenizer_trim.c -- retort tokenizer trim. */
#include "cli/cli.h"
#include "cli/tokenizer.h"
#include "core/file.h"
#include "data/shard.h"
#include "data/tokenizer.h"
#include <stdlib.h>
#include <string.h>

typedef struct usage {
    const ds_tokenizer *t;
    uint8_t            *used;  /* [size of the tokenizer] */
    ds_queue           *queue; /* texts on their way to usage_ids */
    int64_t             tokens;
} usage;

static void usage_mark(usage *u, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) u->used[ids[i]] = 1;
    u->tokens += n;
}

static rt_status usage_documents(usage *u, ds_shard *s)
{
    RT_CHECK(ds_tokenizer_is(u->t, ds_shard_info(s)->tokenizer), RT_EMISMATCH, "%s was made with another tokenizer than the one to trim",
             ds_shard_path(s));
    for (int64_t i = 0; i < ds_shard_docs(s); i++) {
        ds_doc d;
        RT_TRY(ds_shard_doc(s, i, &d));
        RT_TRY(ds_ids_check(s, i, 0, d.ids, d.n, ds_tokenizer_size(u->t)));
        usage_mark(u, d.ids, d.n);
    }
    return RT_OK;
}

static rt_status usage_shard(usage *u, const char *path)
{
    ds_shard *s;
    RT_TRY(ds_shard_open(&s, path));
    const rt_status st = usage_documents(u, s);
    ds_shard_close(&s);
    return st;
}

static rt_status usage_text(void *ud, const ds_text *text) { return ds_queue_add(((usage *)ud)->queue, text->text, text->n); }

static rt_status usage_ids(void *ud, const ds_ids *ids)
{
    usage_mark(ud, ids->v, ids->n);
    return RT_OK;
}

static int is_shard(const char *path)
{
    const size_t n = strlen(path);
    return n > 3 && !strcmp(path + n - 3, ".h5");
}

static rt_status usage_files(usage *u, const char *const *files, int n, ds_input input)
{
    rt_status st = ds_queue_create(&u->queue, u->t, DS_DOCUMENT, usage_ids, u);
    input.n      = 1;
    for (int i = 0; st == RT_OK && i < n; i++) {
        input.names = files + i;
        st          = is_shard(files[i]) ? usage_shard(u, files[i]) : ds_text_read(&input, NULL, usage_text, u);
    }
    if (st == RT_OK) st = ds_queue_end(u->queue);
    ds_queue_destroy(&u->queue);
    RT_TRY(st);
    RT_CHECK(u->tokens, RT_EINVAL, "the corpus holds no text");
    return RT_OK;
}

static rt_status trim_print(const usage *u, const char *out)
{
    ds_tokenizer *t;
    int64_t       used = 0;
    RT_TRY(ds_tokenizer_load(&t, out));
    for (int64_t id = 0; id < ds_tokenizer_size(u->t); id++) used += u->used[id];
    cli_print("%s: %lld of %lld entries, of which %lld occur in %lld tokens\n", out, (long long)ds_tokenizer_entries(t),
              (long long)ds_tokenizer_entries(u->t), (long long)used, (long long)u->tokens);
    ds_tokenizer_destroy(&t);
    return RT_OK;
}

rt_status cli_tokenizer_trim(const char *dir, const char *const *files, int n, const ds_input *input, const char *out)
{
    ds_tokenizer *t = NULL;
    RT_TRY(ds_tokenizer_load(&t, dir));
    usage     u  = {.t = t};
    rt_status st = RT_NEW(u.used, ds_tokenizer_size(t));
    if (st == RT_OK) st = usage_files(&u, files, n, *input);
    if (st == RT_OK) st = ds_tokenizer_trim(dir, u.used, out);
    if (st == RT_OK) st = trim_print(&u, out);
    free(u.used);
    ds_tokenizer_destroy(&t);
    return st;
}
