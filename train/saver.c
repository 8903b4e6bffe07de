/* saver.c -- a checkpoint in the middle of a step.
 *
 * When a launcher is told to stop, it gives its ranks one or two seconds; a step of a large model takes longer.  While rank 0
 * computes gradients, waits for other ranks or validates, the state that a checkpoint stores does not change ("still").  During
 * that time a thread that detects the interrupt writes the checkpoint in a child process (core/apart.c), which the launcher
 * does not end. */
#include "core/clock.h"
#include "train/trainer.h"
#include <pthread.h>
#include <stdlib.h>

static const double GRACE = 0.2; /* seconds in which the step may end by itself */

struct tr_saver {
    pthread_t       thread;
    pthread_mutex_t moving; /* held by the training thread except while the state is still */
    volatile int    quit, taken;
    rt_status (*snapshot)(void *ud);
    void *ud;
};

static void *watch(void *p)
{
    tr_saver *s    = p;
    double    seen = 0;
    while (!s->quit && !(seen > 0 && rt_now() - seen > GRACE)) {
        if (rt_interrupted() && seen <= 0) seen = rt_now();
        rt_sleep(0.02);
    }
    pthread_mutex_lock(&s->moving);
    if (!s->quit) s->taken = s->snapshot(s->ud) == RT_OK;
    pthread_mutex_unlock(&s->moving);
    return NULL;
}

rt_status tr_saver_start(tr_saver **out, rt_status (*snapshot)(void *ud), void *ud)
{
    tr_saver *s;
    RT_TRY(RT_NEW(s, 1));
    s->snapshot = snapshot, s->ud = ud;
    pthread_mutex_init(&s->moving, NULL);
    pthread_mutex_lock(&s->moving);
    if (pthread_create(&s->thread, NULL, watch, s)) {
        free(s);
        RT_FAIL(RT_ENOMEM, "the system cannot start the thread that waits for interrupts");
    }
    *out = s;
    return RT_OK;
}

void tr_saver_stop(tr_saver **sp)
{
    tr_saver *s = *sp;
    if (!s) return;
    s->quit = 1;
    pthread_mutex_unlock(&s->moving);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->moving);
    free(s);
    *sp = NULL;
}

void tr_saver_still(tr_saver *s)
{
    if (s) pthread_mutex_unlock(&s->moving);
}

void tr_saver_moving(tr_saver *s)
{
    if (s) pthread_mutex_lock(&s->moving);
}

int tr_saver_taken(const tr_saver *s) { return s && s->taken; }
