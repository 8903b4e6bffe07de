/* test_assert.c -- in a debug build a broken precondition names itself and ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/memory.h"
#include "core/rng.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef RT_DEBUG
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

/* Draws a number below n in a child process; returns how the child ended and sets `said` to its standard error. */
static int draw_in_child(uint64_t n, char said[256])
{
    int out[2], status = 0;
    assert_int_equal(pipe(out), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        rt_rng r = {1};
        rt_memory_keep_secret(); /* no core file */
        dup2(out[1], 2);
        _exit(rt_rng_below(&r, n) < 10 ? 0 : 1);
    }
    close(out[1]);
    memset(said, 0, 256);
    for (ssize_t got, at = 0; at < 255 && (got = read(out[0], said + at, (size_t)(255 - at))) > 0;) at += got;
    close(out[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_broken_precondition_ends_the_process(void **state)
{
    char said[256];
    (void)state;
    if (!CHECKED) skip();
    const int status = draw_in_child(0, said);
    if (!strstr(said, "core/rng.h:") || !strstr(said, "n >= 1")) fail_msg("said '%s'", said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void a_kept_precondition_says_nothing(void **state)
{
    char said[256];
    (void)state;
    assert_int_equal(draw_in_child(10, said), 0);
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_broken_precondition_ends_the_process),
                                       cmocka_unit_test(a_kept_precondition_says_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
