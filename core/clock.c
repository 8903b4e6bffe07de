/* clock.c -- time, and the flag that Ctrl-C sets. */
#include "core/clock.h"
#include <signal.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t g_interrupted;

double rt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int64_t rt_unix_time(void) { return (int64_t)time(NULL); }

void rt_sleep(double s)
{
    struct timespec t = {.tv_sec = (time_t)s};
    t.tv_nsec         = (long)((s - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

static void on_signal(int sig)
{
    (void)sig;
    if (g_interrupted) _exit(130);
    g_interrupted = 1;
}

void rt_interrupt_catch(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

int rt_interrupted(void) { return g_interrupted; }
