/* best.c -- the link `best` of a resumed run.  It points to the best checkpoint recorded in the state, provided that this
 * checkpoint is intact and was measured on the current validation data. */
#include "train/trainer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void forget(tr_trainer *t)
{
    t->best_step = 0;
    t->best_ce   = 0;
}

static rt_status drop_link(const char *out)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/best", out);
    RT_CHECK(!unlink(path) || errno == ENOENT, rt_status_of_errno(errno), "%s: cannot be removed: %s", path, strerror(errno));
    return RT_OK;
}

static void best_decide(tr_trainer *t, const char *dir, int64_t step, int measured_anew)
{
    if (measured_anew)
        rt_note("%s: the validation data have changed: the lowest validation loss so far (%.4f at step %lld) is no longer compared",
                t->c->out, t->best_ce, (long long)t->best_step);
    else if (t->best_step == step || tr_checkpoint_verify(dir, t->best_step) == RT_OK) return;
    else
        rt_note("%s: the checkpoint of the lowest validation loss (%.4f at step %lld) can no longer be used: %s; the search for the best "
                "starts again",
                t->c->out, t->best_ce, (long long)t->best_step, rt_error_text());
    forget(t);
}

rt_status tr_best_settle(tr_trainer *t, int64_t step, int measured_anew)
{
    char name[32], dir[4096];
    snprintf(name, sizeof name, "step-%08lld", (long long)t->best_step);
    snprintf(dir, sizeof dir, "%s/%s", t->c->out, name);
    if (t->best_step) best_decide(t, dir, step, measured_anew);
    return t->best_step ? tr_point(t->c->out, "best", name) : drop_link(t->c->out);
}
