/* checkpoint.c -- writing and reading out/step-00000100/: a model folder that other programs can load, the
 * optimiser's state (state.h), and a manifest; one rename makes it visible when it is complete.  See also checkpoint_find.c.
 * No position in the data is stored: batches are a pure function of (seed, step). */
#include "core/apart.h"
#include "core/file.h"
#include "train/state.h"
#include "train/trainer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- writing ------------------------------------------------------------------------------------------- */

static rt_status write_state(tr_trainer *t, const char *dir, int64_t step)
{
    const tr_counts c = {step, t->skipped, t->empty, t->best_step, t->best_ce};
    return tr_state_write(dir, t->opt, &c, 0, 1); /* every rank has the whole state */
}

static rt_status put_entry(rt_json_writer *w, const char *dir, const char *name)
{
    char      hex[RT_SHA_HEX];
    rt_buf    path = {0};
    rt_status st   = rt_path(&path, dir, name);
    if (st == RT_OK) st = rt_file_sync(path.p);
    if (st == RT_OK) st = rt_sha_file(path.p, hex);
    if (st == RT_OK) {
        rt_put_object(w, name);
        rt_put_int(w, "bytes", rt_file_size(path.p));
        rt_put_text(w, "sha256", hex);
        rt_put_end(w);
        st = w->st;
    }
    rt_buf_free(&path);
    return st;
}

static rt_status manifest_text(rt_buf *b, const char *dir, int64_t step, const char *inputs)
{
    rt_json_writer w     = {.out = b, .lines = 2};
    char         **names = NULL;
    int            n     = 0;
    RT_TRY(rt_dir_list(&names, &n, dir));
    rt_put_object(&w, NULL);
    rt_put_int(&w, "format", 1);
    rt_put_int(&w, "step", step);
    rt_put_raw(&w, "inputs", inputs ? inputs : "{}", inputs ? strlen(inputs) : 2);
    kn_gemm_put(&w, TR_GEMM_RECORD);
    rt_put_object(&w, "files");
    for (int i = 0; w.st == RT_OK && i < n; i++) w.st = put_entry(&w, dir, names[i]);
    rt_put_end(&w);
    rt_put_end(&w);
    rt_put_line_end(&w);
    rt_names_free(&names, n);
    return w.st;
}

static rt_status write_manifest(const char *dir, int64_t step, const char *inputs)
{
    rt_buf    text = {0}, path = {0};
    rt_status st = manifest_text(&text, dir, step, inputs);
    if (st == RT_OK) st = rt_path(&path, dir, "manifest.json");
    if (st == RT_OK) st = rt_file_write(path.p, text.p, text.len);
    rt_buf_free(&text);
    rt_buf_free(&path);
    return st;
}

rt_status tr_point(const char *out, const char *as, const char *name)
{
    char link[4096], tmp[4096];
    snprintf(link, sizeof link, "%s/%s", out, as);
    snprintf(tmp, sizeof tmp, "%s/%s.tmp", out, as);
    unlink(tmp);
    if (symlink(name, tmp) || rename(tmp, link))
        RT_FAIL(rt_status_of_errno(errno), "%s: cannot create the link to %s: %s", link, name, strerror(errno));
    return rt_file_sync(out);
}

rt_status tr_checkpoint_clean(const char *out, int64_t keep, int64_t best)
{
    char  **names;
    int     n;
    int64_t step, kept = 0;
    rt_buf  path = {0};
    RT_TRY(rt_dir_list(&names, &n, out));
    rt_status st = RT_OK;
    for (int i = n - 1; st == RT_OK && i >= 0; i--) {
        const int whole = tr_is_checkpoint(names[i], &step), left = tr_checkpoint_part(names[i]) == TR_HALF;
        if (!(left || (whole && ++kept > keep && step != best))) continue;
        st = rt_path(&path, out, names[i]);
        if (st == RT_OK) st = rt_dir_remove(path.p);
    }
    rt_names_free(&names, n);
    rt_buf_free(&path);
    return st;
}

static rt_status fill_folder(tr_trainer *t, const char *dir, int64_t step)
{
    const char *tokenizer = t->c->tokenizer ? t->c->tokenizer : t->model->dir;
    rt_buf      text = {0}, path = {0};
    RT_TRY(rt_dir_remove(dir));
    RT_TRY(md_save(t->model, dir, t->type));
    if (tokenizer) RT_TRY(ds_tokenizer_copy(tokenizer, dir));
    rt_status st = rt_buf_str(&text, "// The configuration of this run. Paths are relative to the folder in which the run was started.\n");
    if (st == RT_OK) st = tr_config_print(&text, t->c);
    if (st == RT_OK) st = rt_path(&path, dir, "retort-train.json");
    if (st == RT_OK) st = rt_file_write(path.p, text.p, text.len);
    rt_buf_free(&text);
    rt_buf_free(&path);
    RT_TRY(st);
    RT_TRY(write_state(t, dir, step));
    return write_manifest(dir, step, t->inputs);
}

static rt_status write_all(tr_trainer *t, int64_t step)
{
    char name[32], tmp[4096], path[4096];
    snprintf(name, sizeof name, "step-%08lld", (long long)step);
    snprintf(tmp, sizeof tmp, "%s/%s.tmp", t->c->out, name);
    snprintf(path, sizeof path, "%s/%s", t->c->out, name);
    rt_status st = fill_folder(t, tmp, step);
    if (st == RT_OK) st = rt_dir_replace(tmp, path); /* the path may exist: the same step, saved before its validation */
    if (st == RT_OK) st = tr_point(t->c->out, "latest", name);
    if (st == RT_OK && t->best_step == step) st = tr_point(t->c->out, "best", name);
    if (st == RT_OK) return tr_checkpoint_clean(t->c->out, t->c->checkpoint_keep, t->best_step);
    return st;
}

typedef struct snapshot {
    tr_trainer *t;
    int64_t     step;
} snapshot;

static rt_status write_snapshot(void *ud)
{
    const snapshot *o = ud;
    return write_all(o->t, o->step);
}

/* Removes the partially written folder and returns an error that names the last complete checkpoint. */
static rt_status checkpoint_give_up(const char *out, const char *path, rt_status st)
{
    char          why[1024], tmp[8192], link[4096], last[64] = "";
    const ssize_t n = (snprintf(link, sizeof link, "%s/latest", out), readlink(link, last, sizeof last - 1));
    snprintf(why, sizeof why, "%s", rt_error_text());
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (rt_dir_remove(tmp) != RT_OK) rt_note("%s", rt_error_text());
    if (n <= 0) return rt_fail(st, __FILE__, __LINE__, "%s; there is no earlier checkpoint", why);
    return rt_fail(st, __FILE__, __LINE__, "%s; the last checkpoint is %s/%s, continue with --resume", why, out, last);
}

rt_status tr_checkpoint_write(tr_trainer *t, int64_t step)
{
    snapshot o = {t, step};
    char     path[4096];
    snprintf(path, sizeof path, "%s/step-%08lld", t->c->out, (long long)step);
    const rt_status st = rt_apart(write_snapshot, &o, path);
    return st == RT_OK ? RT_OK : checkpoint_give_up(t->c->out, path, st);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

rt_status tr_checkpoint_read(tr_trainer *t, const char *dir)
{
    tr_counts       c;
    const rt_status st = tr_state_read(dir, t->opt, &c);
    if (st == RT_OK) t->skipped = c.skipped, t->empty = c.empty, t->best_step = c.best_step, t->best_ce = c.best_ce;
    return rt_comm_agree(t->comm, st);
}
