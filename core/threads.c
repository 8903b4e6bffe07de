/* threads.c -- the threads of rt_parallel.
 *
 * A thread that waits spins for a short while, in which it offers its core to other programs, and then sleeps.  Waking a sleeping
 * thread takes as long as many a region of a training step; a thread that only spins takes the cores of other ranks
 * (experiments/decisions/0027).
 */
#define _GNU_SOURCE
#include "core/threads.h"
#include "core/clock.h"
#include "core/status.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { LOOKS = 32 };               /* at a counter, before the core is offered to other programs */
static const double SPIN = 200e-6; /* seconds before a waiting thread sleeps */

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

/* ---- waiting ------------------------------------------------------------------------------------------------- */

typedef _Atomic unsigned counter; /* counts up, modulo 2^32 */

static pthread_mutex_t g_lock    = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  g_changed = PTHREAD_COND_INITIALIZER; /* a counter has changed, and g_sleepers was not 0 */
static _Atomic int     g_sleepers;

static int reached(counter *c, unsigned target) { return (int)(atomic_load(c) - target) >= 0; }

static void threads_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int spin(counter *c, unsigned target)
{
    const double end = rt_now() + SPIN;
    do {
        for (int i = 0; i < LOOKS; i++, threads_pause())
            if (reached(c, target)) return 1;
        sched_yield();
    } while (rt_now() < end);
    return 0;
}

/* Returns when *c has reached the target. */
static void await(counter *c, unsigned target)
{
    if (spin(c, target)) return;
    pthread_mutex_lock(&g_lock);
    atomic_fetch_add(&g_sleepers, 1); /* before the counter is read: advance() does the two in the other order */
    while (!reached(c, target)) pthread_cond_wait(&g_changed, &g_lock);
    atomic_fetch_sub(&g_sleepers, 1);
    pthread_mutex_unlock(&g_lock);
}

static void advance(counter *c)
{
    atomic_fetch_add(c, 1);
    if (!atomic_load(&g_sleepers)) return;
    pthread_mutex_lock(&g_lock);
    pthread_cond_broadcast(&g_changed);
    pthread_mutex_unlock(&g_lock);
}

/* ---- regions --------------------------------------------------------------------------------------------------- */

typedef struct phase {
    int64_t         n;
    rt_body         body;
    _Atomic int64_t next; /* the first item that no thread has taken */
} phase;

/* The current region.  The caller of rt_parallel writes it while all workers wait for g_regions. */
static struct {
    phase    phase[2];
    void    *ud;
    int      phases, threads; /* threads that run items: workers beyond them only arrive */
    unsigned arrived;         /* g_arrivals at the beginning */
} g_region;

static pthread_mutex_t   g_entry = PTHREAD_MUTEX_INITIALIZER; /* held during a region: callers take turns */
static counter           g_regions, g_arrivals;
static int               g_workers;
static _Thread_local int t_inside; /* 1: this thread runs a body */

static void run_items(phase *p, int thread)
{
    const double start = rt_now();
    t_inside           = 1;
    for (int64_t i; (i = atomic_fetch_add(&p->next, 1)) < p->n;) p->body(i, thread, g_region.ud);
    t_inside = 0;
    g_busy[thread].seconds += rt_now() - start;
}

/* Takes part in the region; a phase begins when all threads have arrived at the end of the one before. */
static void threads_take_part(int thread)
{
    const int      phases = g_region.phases, working = thread < g_region.threads;
    const unsigned all = (unsigned)g_workers + 1, arrived = g_region.arrived;
    for (int p = 0; p < phases; p++) {
        if (p) await(&g_arrivals, arrived + all);
        if (working) run_items(&g_region.phase[p], thread);
        advance(&g_arrivals);
    }
}

typedef struct start {
    int      thread;
    unsigned regions; /* g_regions when it was created */
} start;

static void *threads_work(void *ud)
{
    start s = *(start *)ud;
    free(ud);
    for (;;) {
        await(&g_regions, ++s.regions);
        threads_take_part(s.thread);
    }
    return NULL;
}

/* A child process has no workers, whatever its parent had. */
static void threads_forget(void)
{
    g_workers = 0;
    atomic_store(&g_sleepers, 0);
    g_lock = g_entry = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    g_changed        = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}

/* Creates workers until there are n, or as many as the system allows: results do not depend on their number. */
static void grow(int n)
{
    static int prepared;
    pthread_t  id;
    if (!prepared) prepared = !pthread_atfork(NULL, NULL, threads_forget);
    while (g_workers < n) {
        start *s = malloc(sizeof *s);
        if (!s) return;
        *s = (start){g_workers + 1, atomic_load(&g_regions)};
        if (pthread_create(&id, NULL, threads_work, s)) {
            free(s);
            return;
        }
        pthread_detach(id);
        g_workers++;
    }
}

static void region(int threads, int64_t n1, rt_body first, int64_t n2, rt_body second, void *ud)
{
    pthread_mutex_lock(&g_entry);
    const double began = rt_now();
    grow(threads - 1);
    g_region.phase[0].n = n1, g_region.phase[0].body = first, g_region.phase[0].next = 0;
    g_region.phase[1].n = n2, g_region.phase[1].body = second, g_region.phase[1].next = 0;
    g_region.ud = ud, g_region.phases = n2 ? 2 : 1, g_region.threads = threads;
    g_region.arrived    = atomic_load(&g_arrivals);
    const unsigned last = g_region.arrived + (unsigned)((g_workers + 1) * g_region.phases);
    advance(&g_regions);
    threads_take_part(0);
    await(&g_arrivals, last);
    g_wall += rt_now() - began;
    pthread_mutex_unlock(&g_entry);
}

static void threads_serial(int64_t n, rt_body body, void *ud)
{
    for (int64_t i = 0; i < n; i++) body(i, 0, ud);
}

void rt_parallel(int64_t n, rt_body body, void *ud) { rt_parallel_two(n, body, 0, NULL, ud); }

void rt_parallel_two(int64_t n1, rt_body first, int64_t n2, rt_body second, void *ud)
{
    const int threads = rt_threads();
    RT_ASSERT(n1 >= 0 && n2 >= 0 && !t_inside);
    if (threads == 1 || (n1 <= 1 && n2 <= 1)) {
        threads_serial(n1, first, ud);
        threads_serial(n2, second, ud);
        return;
    }
    region(threads, n1, first, n2, second, ud);
}
