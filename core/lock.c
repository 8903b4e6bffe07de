/* lock.c -- a lock that admits one process at a time to an output folder. */
#include "core/lock.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/progress.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT = 512, HOST = 256, SIGNED_WITHIN = 20 /* tries within which a holder has written its name */ };
struct rt_lock {
    int  fd;
    char path[4096];
};

static void name_host(char host[HOST])
{
    memset(host, 0, HOST);
    gethostname(host, HOST - 1);
}

static void sign(int fd)
{
    char host[HOST], text[TEXT];
    name_host(host);
    const int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (!ftruncate(fd, 0) && pwrite(fd, text, (size_t)n, 0) == n) return; /* the text only names the holder */
}

/* Returns 1 if the process runs.  A zombie counts as ended. */
static int is_alive(long pid)
{
    char  path[64], state = 'X';
    FILE *f;
    if (kill((pid_t)pid, 0) && errno == ESRCH) return 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!(f = fopen(path, "r"))) return rt_file_exists("/proc/self/stat") == 0; /* without /proc assume that it runs */
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1) state = '?';
    fclose(f);
    return state != 'Z' && state != 'X';
}

/* Returns 1 if the process named by `holder` ran on this host and has ended; then its child holds the lock. */
static int has_ended(const char *holder)
{
    char here[HOST], host[HOST];
    long pid;
    name_host(here);
    return sscanf(holder, "process %ld on %255s", &pid, host) == 2 && !strcmp(host, here) && !is_alive(pid);
}

static void read_holder(int fd, char text[TEXT])
{
    const ssize_t n           = pread(fd, text, TEXT - 1, 0);
    text[n > 0 ? n : 0]       = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* Returns 1 if fd is still the file at `path`.  The holder may have removed it between open and flock. */
static int is_in_place(int fd, const char *path)
{
    struct stat a, b;
    return !fstat(fd, &a) && !stat(path, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Tries once to take the lock.  Sets *got to 1 on success.  If another process holds the lock, *got is 0 and `holder` is its name. */
static rt_status try_once(rt_lock *l, const char *dir, int *got, char holder[TEXT])
{
    *got  = 0;
    l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    RT_CHECK(l->fd >= 0, rt_status_of_errno(errno), "%s cannot be created: %s", l->path, strerror(errno));
    if (flock(l->fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK) {
            rt_note("warning: %s is on a file system without locks (%s); do not start a second run in this folder", dir, strerror(errno));
            *got = 1;
            return RT_OK;
        }
        read_holder(l->fd, holder);
    } else *got = is_in_place(l->fd, l->path);
    if (!*got) close(l->fd), l->fd = -1;
    return RT_OK;
}

static rt_status lock_wait_for(rt_lock *l, const char *dir)
{
    char holder[TEXT] = "", waited[TEXT] = "";
    for (int got = 0, nameless = 0;; rt_sleep(0.05)) {
        holder[0] = '\0';
        RT_TRY(try_once(l, dir, &got, holder));
        if (got) return RT_OK;
        if (!*holder && ++nameless < SIGNED_WITHIN)
            continue; /* the lock was just released, or the new holder has not written its name yet */
        RT_CHECK(has_ended(holder), RT_EINVAL, "%s is in use by another run (%s); wait for it, or choose another folder", dir,
                 *holder ? holder : "a process that is not named in the lock file");
        RT_CHECK(!rt_interrupted(), RT_EINTR, "interrupted while waiting for a checkpoint of an ended run to be completed in %s", dir);
        if (strcmp(waited, holder)) rt_note("%s: %s has ended, but its checkpoint is still being completed; waiting for it", dir, holder);
        strcpy(waited, holder);
    }
}

rt_status rt_lock_take(rt_lock **out, const char *dir)
{
    rt_lock *l;
    RT_TRY(rt_alloc((void **)&l, 1, sizeof *l, "a lock"));
    l->fd       = -1;
    const int n = snprintf(l->path, sizeof l->path, "%s/.lock", dir);
    rt_status st =
        n < (int)sizeof l->path ? lock_wait_for(l, dir) : rt_fail(RT_EINVAL, __FILE__, __LINE__, "%s: the path is too long", dir);
    if (st != RT_OK) free(l);
    else sign(l->fd), *out = l;
    return st;
}

void rt_lock_release(rt_lock **lp)
{
    rt_lock *l = *lp;
    if (!l) return;
    unlink(l->path); /* while the lock is held, so that no other process's file is removed */
    close(l->fd);
    free(l);
    *lp = NULL;
}
