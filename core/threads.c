/* threads.c -- rt_parallel with OpenMP. */
#define _GNU_SOURCE
#include "core/threads.h"
#include "core/clock.h"
#include "core/status.h"
#include <omp.h>
#include <sched.h>
#include <stdlib.h>

static int g_threads;

int rt_cores_allowed(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

static int clamp(int n) { return n < 1 ? 1 : n > RT_MAX_THREADS ? RT_MAX_THREADS : n; }

void rt_threads_set(int n) { g_threads = clamp(n); }

int rt_threads(void)
{
    if (!g_threads) g_threads = clamp(getenv("OMP_NUM_THREADS") ? atoi(getenv("OMP_NUM_THREADS")) : rt_cores_allowed());
    return g_threads;
}

static double g_wall;
static struct {
    _Alignas(64) double seconds; /* one cache line per thread */
} g_busy[RT_MAX_THREADS];

void rt_parallel_seconds(double *wall, double *busy)
{
    *wall = g_wall;
    *busy = 0;
    for (int i = 0; i < RT_MAX_THREADS; i++) *busy += g_busy[i].seconds;
}

static void threads_serial(int64_t n, rt_body body, void *ud)
{
    for (int64_t i = 0; i < n; i++) body(i, 0, ud);
}

/* Runs this thread's share of the items, and adds its time to the thread's. */
static void threads_share(int64_t n, rt_body body, int thread, void *ud)
{
    const double start = rt_now();
#pragma omp for schedule(dynamic, 1) nowait
    for (int64_t i = 0; i < n; i++) body(i, thread, ud);
    g_busy[thread].seconds += rt_now() - start;
}

void rt_parallel(int64_t n, rt_body body, void *ud) { rt_parallel_two(n, body, 0, NULL, ud); }

void rt_parallel_two(int64_t n1, rt_body first, int64_t n2, rt_body second, void *ud)
{
    const int    threads = rt_threads();
    const double began   = rt_now();
    RT_ASSERT(n1 >= 0 && n2 >= 0 && !omp_in_parallel());
    if (threads == 1 || (n1 <= 1 && n2 <= 1)) {
        threads_serial(n1, first, ud);
        threads_serial(n2, second, ud);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        const int thread = omp_get_thread_num();
        threads_share(n1, first, thread, ud);
        if (n2) {
#pragma omp barrier
            threads_share(n2, second, thread, ud);
        }
    }
    g_wall += rt_now() - began;
}
