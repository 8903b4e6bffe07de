/* apart.c -- runs work in a child process that continues when this process is ended. */
#include "core/apart.h"
#include "core/clock.h"
#include "core/progress.h"
#include "core/threads.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 64 << 20 }; /* malloc gives blocks of this size their own mapping, which holds no other data */

typedef struct report {
    rt_status status;
    char      text[1024];
} report;

/* ---- the child ------------------------------------------------------------------------------------------------ */

static void close_streams(int keep)
{
    struct stat    s;
    struct dirent *e;
    const int      nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    DIR           *d       = opendir("/proc/self/fd");
    while (d && (e = readdir(d))) {
        const int fd = atoi(e->d_name);
        if (fd > 2 && fd != keep && fd != nothing && fd != dirfd(d) && !fstat(fd, &s) && (S_ISFIFO(s.st_mode) || S_ISSOCK(s.st_mode)))
            close(fd);
    }
    if (d) closedir(d);
    for (int fd = 0; fd <= 2; fd++) dup2(nothing, fd);
}

static void leave_group(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE};
    setsid();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

static _Noreturn void apart_run(rt_status (*work)(void *ud), void *ud, int to)
{
    report r = {RT_OK, ""};
    leave_group();
    close_streams(to);
    rt_threads_set(1);
    r.status = work(ud);
    if (r.status != RT_OK) snprintf(r.text, sizeof r.text, "%s", rt_error_text());
    const ssize_t n = write(to, &r, sizeof r); /* fails if the parent has ended */
    _exit(n == (ssize_t)sizeof r ? 0 : 1);
}

/* ---- the process that waits ------------------------------------------------------------------------------------- */

/* Reads the child's report and returns 1 if it is complete, 0 if the child ended before.  Prints a note after an interrupt. */
static int read_report(int from, report *r, const char *what, pid_t child)
{
    size_t  n    = 0;
    ssize_t got  = 1;
    int     said = 0;
    while (n < sizeof *r && got != 0) {
        struct pollfd p = {.fd = from, .events = POLLIN};
        if (rt_interrupted() && !said++)
            rt_note("interrupted: process %ld is writing %s, and completes it even if this process is terminated", (long)child, what);
        if (poll(&p, 1, 50) <= 0) continue;
        got = read(from, (char *)r + n, sizeof *r - n);
        if (got < 0 && errno != EINTR) break;
        if (got > 0) n += (size_t)got;
    }
    return n == sizeof *r;
}

static rt_status apart_wait_for(pid_t child, int from, const char *what, int *killed)
{
    report r;
    int    ended = 0;
    char   words[256];
    snprintf(words, sizeof words, "retort: ended; process %ld is still writing %s\n", (long)child, what);
    rt_interrupt_last_words(words);
    const int told = read_report(from, &r, what, child);
    while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {}
    rt_interrupt_last_words("");
    *killed = !told;
    RT_CHECK(told, RT_EIO, "%s: process %ld, which was writing it, was terminated before it was complete (%s %d)", what, (long)child,
             WIFSIGNALED(ended) ? "signal" : "exit code", WIFSIGNALED(ended) ? WTERMSIG(ended) : WEXITSTATUS(ended));
    if (r.status != RT_OK) return rt_fail(r.status, __FILE__, __LINE__, "%s", r.text);
    return RT_OK;
}

static rt_status attempt(rt_status (*work)(void *ud), void *ud, const char *what, int *killed)
{
    int ends[2];
    RT_CHECK(!pipe(ends), rt_status_of_errno(errno), "cannot create a pipe to a child process: %s", strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC), fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    const pid_t child = fork();
    if (!child) apart_run(work, ud, ends[1]);
    const int err = errno;
    close(ends[1]);
    const rt_status st = child > 0
                             ? apart_wait_for(child, ends[0], what, killed)
                             : rt_fail(rt_status_of_errno(err), __FILE__, __LINE__, "cannot start a child process: %s", strerror(err));
    close(ends[0]);
    return st;
}

rt_status rt_apart(rt_status (*work)(void *ud), void *ud, const char *what)
{
    int       killed = 0;
    rt_status st     = attempt(work, ud, what, &killed);
    if (!killed) return st;
    rt_note("%s; it is written again", rt_error_text());
    return attempt(work, ud, what, &killed);
}

void rt_apart_exclude(void *p, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), off = (page - (size_t)p % page) % page;
    if (bytes < LARGE) return;
    madvise((char *)p + off, (bytes - off) / page * page, MADV_DONTFORK); /* optional: if it fails, writes after a fork copy pages */
}
