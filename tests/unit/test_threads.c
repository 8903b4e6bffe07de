/* test_threads.c -- the thread pool: every item once, phases in order, sleeping threads, other numbers of threads, several callers, a child
 * process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/threads.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ITEMS = 500, REGIONS = 2000 };

typedef struct work {
    int first[ITEMS], second[ITEMS], n, early, thread_beyond;
} work;

static void first(int64_t item, int thread, void *ud)
{
    work *w = ud;
    w->first[item]++;
    if (thread >= rt_threads()) w->thread_beyond = 1;
}

/* Each item looks at an item of the first phase that another thread may have run. */
static void second(int64_t item, int thread, void *ud)
{
    work *w = ud;
    (void)thread;
    w->second[item]++;
    if (w->first[w->n - 1 - item] != 1) w->early = 1;
}

static void check_region(int n, int two)
{
    work w = {.n = n};
    if (two) rt_parallel_two(n, first, n, second, &w);
    else rt_parallel(n, first, &w);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(w.first[i], i < n);
        assert_int_equal(w.second[i], two && i < n);
    }
    assert_int_equal(w.early, 0);
    assert_int_equal(w.thread_beyond, 0);
}

static void every_item_runs_once_and_phases_in_order(void **state)
{
    static const int threads[] = {2, 4, 3, 1, 2}; /* fewer than before, too: the pool does not shrink */
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        rt_threads_set(threads[t]);
        for (int i = 0; i < REGIONS / 10; i++) check_region(i % ITEMS, i % 2);
    }
}

static void threads_that_sleep_wake_up(void **state)
{
    (void)state;
    rt_threads_set(3);
    for (int i = 0; i < 20; i++) {
        nanosleep(&(struct timespec){0, 3000000}, NULL); /* longer than a thread spins */
        check_region(100, i % 2);
    }
}

static void slow_item(int64_t item, int thread, void *ud)
{
    (void)thread, (void)ud;
    if (item == 0) nanosleep(&(struct timespec){0, 3000000}, NULL);
}

/* Threads that wait for a slow item sleep at the end of the phase, and of the region. */
static void a_slow_item_is_waited_for(void **state)
{
    (void)state;
    rt_threads_set(3);
    for (int i = 0; i < 10; i++) {
        work w = {.n = 100};
        rt_parallel_two(50, slow_item, 1, slow_item, NULL);
        rt_parallel_two(100, first, 100, second, &w);
        assert_int_equal(w.early, 0);
    }
}

static void *call_often(void *ud)
{
    int *good = ud;
    for (int i = 0; i < REGIONS; i++) {
        work w = {.n = 8};
        rt_parallel_two(8, first, 8, second, &w);
        for (int k = 0; k < 8; k++) *good &= w.first[k] == 1 && w.second[k] == 1;
        *good &= !w.early;
    }
    return NULL;
}

static void callers_take_turns(void **state)
{
    pthread_t id;
    int       good[2] = {1, 1};
    (void)state;
    rt_threads_set(3);
    assert_int_equal(pthread_create(&id, NULL, call_often, &good[0]), 0);
    call_often(&good[1]);
    pthread_join(id, NULL);
    assert_true(good[0] && good[1]);
}

/* The alarm ends a child that waits for threads that it does not have. */
static void a_child_process_has_threads_of_its_own(void **state)
{
    int status = -1;
    (void)state;
    rt_threads_set(3);
    check_region(100, 1);
    const pid_t child = fork();
    if (!child) {
        work w = {.n = 100};
        alarm(20);
        rt_parallel_two(100, first, 100, second, &w);
        _exit(w.first[99] == 1 && w.second[99] == 1 && !w.early ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_region(100, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_runs_once_and_phases_in_order),
        cmocka_unit_test(threads_that_sleep_wake_up),
        cmocka_unit_test(a_slow_item_is_waited_for),
        cmocka_unit_test(callers_take_turns),
        cmocka_unit_test(a_child_process_has_threads_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
