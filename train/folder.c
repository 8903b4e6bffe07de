/* folder.c -- the run's folder on rank 0: its lock, the contents left by an earlier run, metrics.jsonl. */
#include "core/file.h"
#include "train/trainer.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- detecting an earlier run ----------------------------------------------------------------------------- */

static rt_status folder_refuse(const tr_folder *f)
{
    const tr_found *x = &f->found;
    RT_CHECK(!x->step, RT_EINVAL,
             "%s holds a run of %lld steps; continue it with --resume, set \"out\" to another folder, or start again with --force (which "
             "removes that run)",
             f->out, (long long)x->step);
    RT_CHECK(!x->damaged, RT_EINVAL,
             "%s holds a run, but no complete checkpoint: %s; restore one from a copy, set \"out\" to another folder, or start again with "
             "--force (which removes that run)",
             f->out, x->why.p);
    RT_CHECK(
        !x->aside, RT_EINVAL,
        "%s holds a run whose only checkpoints are %lld that were set aside as damaged (step-....damaged); restore one from a copy, set "
        "\"out\" "
        "to another folder, or start again with --force (which removes that run)",
        f->out, (long long)x->aside);
    RT_FAIL(RT_EINVAL,
            "%s holds a run that ended before its first checkpoint; start it again with --resume, or set \"out\" to another folder",
            f->out);
}

/* RT_EINVAL: `latest` or `best` is not a link, as in a copy made with cp -rL.  Without this check the error would occur only
 * when the first checkpoint is written. */
static rt_status check_links(const char *out)
{
    static const char *const links[] = {"latest", "best"};
    char                     path[4096];
    struct stat              s;
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "%s/%s", out, links[i]);
        RT_CHECK(lstat(path, &s) || S_ISLNK(s.st_mode), RT_EINVAL,
                 "%s is not a link to a checkpoint, as in a copy that followed links (cp -rL); remove or rename it; the checkpoints are in "
                 "step-...",
                 path);
    }
    return RT_OK;
}

static rt_status folder_look(tr_folder *f, const tr_run_opts *o)
{
    tr_found *x = &f->found;
    RT_TRY(tr_checkpoint_find(f->out, x));
    f->replaced = o->force && x->traces;
    if (o->force || !x->traces) return tr_found_free(x), RT_OK;
    RT_TRY(check_links(f->out));
    if (!o->resume) return folder_refuse(f);
    if (!x->step && (x->damaged || x->aside)) return folder_refuse(f);
    if (x->damaged) rt_note("%s; continuing from step %lld", x->why.p, (long long)x->step);
    else if (!x->step) rt_note("%s holds no checkpoint; starting at step 1", f->out);
    return RT_OK;
}

rt_status tr_folder_open(tr_folder *f, const tr_config *c, const tr_run_opts *o)
{
    *f = (tr_folder){.out = c->out, .made = !rt_file_exists(c->out)};
    RT_TRY(rt_dir_make(c->out));
    RT_TRY(rt_lock_take(&f->lock, c->out));
    return folder_look(f, o);
}

void tr_folder_close(tr_folder *f)
{
    if (f->log) fclose(f->log);
    rt_lock_release(&f->lock);
    if (f->made) rmdir(f->out); /* succeeds only if the folder is empty, so that a rejected run leaves nothing */
    tr_found_free(&f->found);
    rt_buf_free(&f->line);
    *f = (tr_folder){0};
}

/* ---- starting and writing the log ----------------------------------------------------------------------------- */

static rt_status fail(const tr_folder *f, const char *what)
{
    RT_FAIL(rt_status_of_errno(errno), "%s/metrics.jsonl: cannot be %s: %s", f->out, what, strerror(errno));
}

rt_status tr_folder_begin(tr_folder *f, const tr_run_opts *o)
{
    if (o->force) RT_TRY(tr_checkpoint_remove_all(f->out));
    else if (f->found.damaged) RT_TRY(tr_checkpoint_set_aside(f->out, f->found.step));
    RT_TRY(tr_checkpoint_clean(f->out, INT64_MAX, 0)); /* first, to free disk space */
    return tr_log_open(&f->log, &f->line, f->out, f->found.step);
}

rt_status tr_folder_log(tr_folder *f, const rt_buf *line)
{
    if (fwrite(line->p, 1, line->len, f->log) != line->len || fflush(f->log)) return fail(f, "written");
    return RT_OK;
}

rt_status tr_folder_sync(tr_folder *f) { return fsync(fileno(f->log)) ? fail(f, "synchronised to disk") : RT_OK; }
