/* folder.c -- the run's folder on rank 0: its lock, what an earlier run left there, metrics.jsonl. */
#include "core/file.h"
#include "train/trainer.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char LOG[] = "metrics.jsonl", LOST[] = "metrics.lost.jsonl";

/* ---- is there a run already? ------------------------------------------------------------------------------ */

static rt_status refuse(const tr_folder *f)
{
    const tr_found *x = &f->found;
    RT_CHECK(
        !x->step, RT_EINVAL,
        "%s holds a run of %lld steps; go on with --resume, set \"out\" to another folder, or begin anew with --force (which removes that run)",
        f->out, (long long)x->step);
    RT_CHECK(!x->damaged, RT_EINVAL,
             "%s holds a run, but no complete checkpoint: %s; bring it back from a copy, set \"out\" to another folder, or begin anew with "
             "--force (which removes that run)",
             f->out, x->why.p);
    RT_FAIL(RT_EINVAL,
            "%s holds a run that ended before its first checkpoint; begin it again with --resume, or set \"out\" to another folder",
            f->out);
}

static rt_status look(tr_folder *f, const tr_run_opts *o)
{
    tr_found *x = &f->found;
    RT_TRY(tr_checkpoint_find(f->out, x));
    if (o->force || !x->traces) return tr_found_free(x), RT_OK;
    if (!o->resume) return refuse(f);
    if (x->damaged && !x->step) return refuse(f);
    if (x->damaged) rt_note("%s; going on from step %lld", x->why.p, (long long)x->step);
    else if (!x->step) rt_note("%s holds no checkpoint: beginning at step 1", f->out);
    return RT_OK;
}

rt_status tr_folder_open(tr_folder *f, const tr_config *c, const tr_run_opts *o)
{
    *f = (tr_folder){.out = c->out, .made = !rt_file_exists(c->out)};
    RT_TRY(rt_dir_make(c->out));
    RT_TRY(rt_lock_take(&f->lock, c->out));
    return look(f, o);
}

void tr_folder_close(tr_folder *f)
{
    if (f->log) fclose(f->log);
    rt_lock_release(&f->lock);
    if (f->made) rmdir(f->out); /* goes only while it is empty: a run that was refused leaves nothing */
    tr_found_free(&f->found);
    *f = (tr_folder){0};
}

/* ---- metrics.jsonl ------------------------------------------------------------------------------------------ */

static rt_status fail(const tr_folder *f, const char *name, const char *what)
{
    RT_FAIL(rt_status_of_errno(errno), "%s/%s: cannot be %s: %s", f->out, name, what, strerror(errno));
}

/* Lines of steps that the checkpoint does not have are kept in a file of their own. */
static rt_status keep_lost(const tr_folder *f, const rt_buf *all, int64_t bytes)
{
    char         path[4096];
    const char  *lost = all->p + bytes;
    const size_t n    = all->len - (size_t)bytes;
    if (!n) return RT_OK;
    snprintf(path, sizeof path, "%s/%s", f->out, LOST);
    FILE *to = fopen(path, "a");
    if (!to) return fail(f, LOST, "opened");
    int bad = fwrite(lost, 1, n, to) != n || (lost[n - 1] != '\n' && fputc('\n', to) == EOF) || fflush(to) || fsync(fileno(to));
    bad |= fclose(to) != 0;
    if (bad) return fail(f, LOST, "written");
    rt_note("%s/%s: what it says of steps after %lld, which no checkpoint holds, is now in %s", f->out, LOG, (long long)f->found.step,
            LOST);
    return RT_OK;
}

static rt_status open_log(tr_folder *f, int64_t bytes)
{
    char   path[4096];
    rt_buf all = {0};
    snprintf(path, sizeof path, "%s/%s", f->out, LOG);
    if (rt_file_exists(path)) {
        rt_status st = rt_file_read(&all, path, (size_t)1 << 40);
        if (st == RT_OK && (size_t)bytes > all.len) {
            rt_note("%s: %zu bytes of the %lld that its checkpoint knows are left: metrics of earlier steps are missing", path, all.len,
                    (long long)bytes);
            bytes = (int64_t)all.len;
        }
        if (st == RT_OK) st = keep_lost(f, &all, bytes);
        rt_buf_free(&all);
        RT_TRY(st);
    } else if (bytes) {
        rt_note("%s is not there: metrics of earlier steps are missing", path);
        bytes = 0;
    }
    f->log = fopen(path, bytes ? "r+" : "w");
    if (!f->log || ftruncate(fileno(f->log), bytes) || fseek(f->log, 0, SEEK_END)) return fail(f, LOG, "opened");
    return RT_OK;
}

rt_status tr_folder_begin(tr_folder *f, const tr_run_opts *o, int64_t bytes)
{
    if (o->force) RT_TRY(tr_checkpoint_remove_all(f->out));
    else if (f->found.damaged) RT_TRY(tr_checkpoint_set_aside(f->out, f->found.step));
    return open_log(f, bytes);
}

rt_status tr_folder_log(tr_folder *f, const rt_buf *line)
{
    if (fwrite(line->p, 1, line->len, f->log) != line->len || fflush(f->log)) return fail(f, LOG, "written");
    return RT_OK;
}

rt_status tr_folder_sync(tr_folder *f, int64_t *bytes)
{
    if (fsync(fileno(f->log))) return fail(f, LOG, "made durable");
    *bytes = ftell(f->log);
    return RT_OK;
}
