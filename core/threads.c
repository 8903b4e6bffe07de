/* threads.c -- rt_parallel over OpenMP. */
#define _GNU_SOURCE
#include "core/threads.h"
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

void rt_parallel(int64_t n, rt_body body, void *ud)
{
    const int threads = rt_threads();
    if (threads == 1 || n == 1) {
        for (int64_t i = 0; i < n; i++) body(i, 0, ud);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int64_t i = 0; i < n; i++) body(i, omp_get_thread_num(), ud);
}
