/* given.c -- a rank's inputs as lines of text, which must be the same on all ranks.
 *
 * A line has tab-separated fields: a name, the value that is compared, and (for files, whose paths may differ) the text that
 * is shown instead of the value. */
#include "core/file.h"
#include "train/trainer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the inputs of this rank -------------------------------------------------------------------------------- */

static rt_status identify_shard(const char *path, char hex[RT_SHA_HEX], ds_info *info, int64_t *docs)
{
    ds_shard *s;
    RT_TRY(ds_shard_open(&s, path));
    const rt_status st = ds_shard_fingerprint(s, hex);
    *info              = *ds_shard_info(s);
    *docs              = ds_shard_docs(s);
    ds_shard_close(&s);
    return st;
}

static rt_status add_shard(rt_buf *b, const char *key, const char *path)
{
    char    hex[RT_SHA_HEX];
    ds_info info = {0};
    int64_t docs = 0;
    RT_TRY(identify_shard(path, hex, &info, &docs));
    return rt_buf_fmt(b, "%s\t%s\t%s (%s, %lld documents, content %.12s)\n", key, hex, path, info.soft ? "soft" : "text", (long long)docs,
                      hex);
}

static rt_status add_shards(rt_buf *b, const char *key, const rt_strings *paths)
{
    RT_TRY(rt_buf_fmt(b, "number of %s\t%d\n", key, paths->n));
    for (int i = 0; i < paths->n; i++) RT_TRY(add_shard(b, key, paths->v[i]));
    return RT_OK;
}

static int is_of_model(const char *name)
{
    const char *end = strrchr(name, '.');
    return !strcmp(name, "config.json") || !strcmp(name, "tokenizer.json") || (end && !strcmp(end, ".safetensors"));
}

static rt_status digest_folder(rt_sha *h, const char *dir, char **names, int n)
{
    char   hex[RT_SHA_HEX];
    rt_buf path = {0};
    for (int i = 0; i < n; i++) {
        if (!is_of_model(names[i])) continue;
        rt_status st = rt_path(&path, dir, names[i]);
        if (st == RT_OK) st = rt_sha_file(path.p, hex);
        if (st != RT_OK) return rt_buf_free(&path), st;
        rt_sha_add(h, names[i], strlen(names[i]) + 1);
        rt_sha_add(h, hex, sizeof hex);
    }
    rt_buf_free(&path);
    return RT_OK;
}

static rt_status identify_folder(const char *key, const char *dir, char hex[RT_SHA_HEX])
{
    char  **names;
    int     n;
    rt_sha *h;
    RT_CHECK(rt_file_exists(dir), RT_ENOENT, "%s: %s: expected a model folder, found none", key, dir);
    RT_TRY(rt_dir_list(&names, &n, dir));
    rt_status st = rt_sha_begin(&h);
    if (st == RT_OK) {
        st = digest_folder(h, dir, names, n);
        rt_sha_end(&h, st == RT_OK ? hex : NULL);
    }
    rt_names_free(&names, n);
    return st;
}

/* Appends the line of a folder with a model, a tokenizer, or both (dir NULL: none). */
static rt_status given_add_folder(rt_buf *b, const char *key, const char *dir)
{
    char hex[RT_SHA_HEX];
    if (!dir) return rt_buf_fmt(b, "%s\tnone\n", key);
    RT_TRY(identify_folder(key, dir, hex));
    return rt_buf_fmt(b, "%s\t%s\t%s (content %.12s)\n", key, hex, dir, hex);
}

static rt_status add_input(rt_buf *json, const char *key, const char *dir)
{
    char hex[RT_SHA_HEX];
    if (!dir) return rt_buf_fmt(json, ",\"%s\":null", key);
    RT_TRY(identify_folder(key, dir, hex));
    return rt_buf_fmt(json, ",\"%s\":\"%s\"", key, hex);
}

static const char *init_of(const tr_config *c) { return strcmp(c->init, "new") ? c->init : NULL; }

static rt_status add_inputs(rt_buf *json, const char *key, const rt_strings *shards)
{
    char    hex[RT_SHA_HEX];
    ds_info info;
    int64_t docs;
    RT_TRY(rt_buf_fmt(json, "\"%s\":[", key));
    for (int i = 0; i < shards->n; i++) {
        RT_TRY(identify_shard(shards->v[i], hex, &info, &docs));
        RT_TRY(rt_buf_fmt(json, "%s\"%s\"", i ? "," : "", hex));
    }
    return rt_buf_str(json, "]");
}

rt_status tr_given_inputs(rt_buf *json, const tr_config *c)
{
    RT_TRY(rt_buf_str(json, "{"));
    RT_TRY(add_inputs(json, "data.train", &c->train));
    RT_TRY(rt_buf_str(json, ","));
    RT_TRY(add_inputs(json, "data.valid", &c->valid));
    RT_TRY(add_input(json, "model.init", init_of(c)));
    RT_TRY(add_input(json, "teacher.model", c->objective.teacher));
    return rt_buf_str(json, "}");
}

static rt_status given_describe(rt_buf *b, const tr_config *c, const tr_run_opts *o)
{
    if (o->program) RT_TRY(rt_buf_fmt(b, "program\t%s\n", o->program));
    RT_TRY(rt_buf_fmt(b, "kernels (RETORT_CPU, RETORT_GEMM, OPENBLAS_CORETYPE)\t%s, %s; gemm: %s\n", kn_get()->isa, kn_type_name(KN_REAL),
                      kn_gemm_describe()));
    RT_TRY(rt_buf_fmt(b, "--resume\t%s\n--force\t%s\n", o->resume ? "given" : "not given", o->force ? "given" : "not given"));
    RT_TRY(tr_config_lines(b, c));
    RT_TRY(add_shards(b, "data.train", &c->train));
    RT_TRY(add_shards(b, "data.valid", &c->valid));
    RT_TRY(given_add_folder(b, "model.init", init_of(c)));
    RT_TRY(given_add_folder(b, "model.tokenizer", c->tokenizer));
    return given_add_folder(b, "teacher.model", c->objective.teacher);
}

/* ---- comparison ------------------------------------------------------------------------------------------------- */

typedef struct line {
    const char *name, *value, *shown;
    int         compared_n, name_n, shown_n; /* bytes: from name to the end of value; of name; of shown */
} line;

/* Parses the next line of *text and advances *text past it. */
static line next_line(const char **text)
{
    line      o  = {.name = *text};
    const int n  = (int)strcspn(o.name, "\n");
    o.name_n     = (int)strcspn(o.name, "\t\n");
    o.value      = o.name + o.name_n + (o.name_n < n);
    o.shown      = o.value + strcspn(o.value, "\t\n");
    o.compared_n = (int)(o.shown - o.name);
    o.shown      = *o.shown == '\t' ? o.shown + 1 : o.value;
    o.shown_n    = (int)(o.name + n - o.shown);
    *text += n + ((*text)[n] == '\n');
    return o;
}

/* Writes the first difference to verdict, or "" if there is none.  Up to the first difference, corresponding lines have the same
 * name. */
static void given_compare(char verdict[RT_COMM_TEXT], const char *first, const char *mine, int rank)
{
    verdict[0] = '\0';
    while (*first || *mine) {
        const line a = next_line(&first), b = next_line(&mine);
        if (a.compared_n == b.compared_n && !memcmp(a.name, b.name, (size_t)a.compared_n)) continue;
        snprintf(verdict, RT_COMM_TEXT, "the ranks differ: %.*s is %.*s on rank 0, %.*s on rank %d", a.name_n, a.name, a.shown_n, a.shown,
                 b.shown_n, b.shown, rank);
        return;
    }
}

static rt_status given_agree(rt_comm *comm, const rt_buf *mine)
{
    char    verdict[RT_COMM_TEXT] = "";
    int64_t n                     = (int64_t)mine->len;
    char   *first                 = NULL;
    RT_TRY(comm->broadcast(comm, &n, sizeof n));
    rt_status st = rt_comm_agree(comm, RT_NEW(first, n + 1));
    if (st == RT_OK) {
        if (!comm->rank) memcpy(first, mine->p, mine->len);
        st = comm->broadcast(comm, first, (size_t)n);
    }
    if (st == RT_OK) {
        given_compare(verdict, first, mine->p, comm->rank);
        st = rt_comm_share_text(comm, verdict);
    }
    free(first);
    RT_TRY(st);
    if (*verdict && !comm->rank) st = rt_fail(RT_EMISMATCH, __FILE__, __LINE__, "%s; start all ranks with the same inputs", verdict);
    return rt_comm_agree(comm, st);
}

rt_status tr_given_agree(const tr_config *c, rt_comm *comm, const tr_run_opts *o)
{
    rt_buf b = {0};
    if (comm->size == 1) return RT_OK;
    rt_status st = rt_comm_agree(comm, given_describe(&b, c, o));
    if (st == RT_OK) st = given_agree(comm, &b);
    rt_buf_free(&b);
    return st;
}

/* Appends the line of the newest checkpoint name in the folder. */
static rt_status add_newest(rt_buf *b, const char *out)
{
    char  **names  = NULL;
    int     n      = 0;
    int64_t newest = 0, step;
    if (rt_file_exists(out)) RT_TRY(rt_dir_list(&names, &n, out));
    for (int i = 0; i < n; i++)
        if (tr_is_checkpoint(names[i], &step) && step > newest) newest = step;
    rt_names_free(&names, n);
    return newest ? rt_buf_fmt(b, "newest checkpoint\t%lld\t%s/step-%08lld\n", (long long)newest, out, (long long)newest)
                  : rt_buf_fmt(b, "newest checkpoint\t0\tmissing (there is none in %s)\n", out);
}

/* Appends the hash of the checkpoint's manifest for comparison between ranks; verify_own compares the files with the manifest. */
static rt_status add_checkpoint(rt_buf *b, const char *out, int64_t step)
{
    char path[4096], hex[RT_SHA_HEX];
    snprintf(path, sizeof path, "%s/step-%08lld/manifest.json", out, (long long)step);
    RT_TRY(rt_sha_file(path, hex));
    return rt_buf_fmt(b, "checkpoint\t%s\t%s (SHA-256 %.12s)\n", hex, path, hex);
}

/* Verifies the checkpoint on ranks other than 0, whose hosts may have other files under the same manifest.  Rank 0 has verified it
 * when it searched for the checkpoint. */
static rt_status verify_own(const char *out, int64_t step)
{
    char dir[4096], why[RT_COMM_TEXT];
    snprintf(dir, sizeof dir, "%s/step-%08lld", out, (long long)step);
    const rt_status st = tr_checkpoint_verify(dir, step);
    if (st == RT_OK) return RT_OK;
    snprintf(why, sizeof why, "%s", rt_error_text());
    return rt_fail(st, __FILE__, __LINE__, "%s is damaged: %s; copy it from the host of rank 0", dir, why);
}

rt_status tr_given_agree_checkpoint(const tr_config *c, rt_comm *comm, int64_t step)
{
    rt_buf b = {0};
    if (comm->size == 1) return RT_OK;
    rt_status st = rt_comm_agree(comm, add_newest(&b, c->out));
    if (st == RT_OK) st = given_agree(comm, &b);
    if (st == RT_OK && step) st = rt_comm_agree(comm, add_checkpoint(&b, c->out, step));
    if (st == RT_OK && step) st = given_agree(comm, &b);
    if (st == RT_OK && step) st = rt_comm_agree(comm, comm->rank ? verify_own(c->out, step) : RT_OK);
    rt_buf_free(&b);
    return st;
}
