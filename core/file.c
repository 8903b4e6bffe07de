/* file.c -- files and folders, with atomic and durable writes. */
#define _GNU_SOURCE /* renameat2 */
#include "core/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYS_FAIL(path, what) rt_fail(rt_status_of_errno(errno), __FILE__, __LINE__, "%s: cannot %s: %s", (path), (what), strerror(errno))

rt_status rt_file_read(rt_buf *out, const char *path, size_t cap)
{
    rt_status st = RT_OK;
    char      block[1 << 14];
    size_t    n;
    FILE     *f = fopen(path, "rb");
    if (!f) return SYS_FAIL(path, "be opened for reading");
    rt_buf_clear(out);
    while (st == RT_OK && (n = fread(block, 1, sizeof block, f)) > 0) {
        st = rt_buf_add(out, block, n);
        if (st == RT_OK && out->len > cap)
            st = rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: the file is larger than %zu bytes, the limit for a file of its kind", path,
                         cap);
    }
    if (st == RT_OK && ferror(f)) st = SYS_FAIL(path, "be read");
    if (st == RT_OK) st = rt_buf_add(out, "", 0);
    fclose(f);
    return st;
}

rt_status rt_file_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return SYS_FAIL(path, "be opened for fsync");
    const int bad = fsync(fd);
    const int err = errno;
    close(fd);
    errno = err;
    return bad ? SYS_FAIL(path, "be synchronised to disk (fsync)") : RT_OK;
}

/* Sets dir to the folder that holds `path` and returns the name in it. */
static const char *split(char dir[4096], const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) snprintf(dir, 4096, "%s", slash ? "/" : ".");
    else snprintf(dir, 4096, "%.*s", (int)(slash - path), path);
    return slash ? slash + 1 : path;
}

rt_status rt_file_sync_folder(const char *path)
{
    char dir[4096];
    split(dir, path);
    return rt_file_sync(dir);
}

/* Returns 1 if `name` is a temporary name of `base` whose process no longer exists. */
static int is_left_over(const char *name, const char *base)
{
    const size_t n = strlen(base);
    long         pid;
    char         end;
    if (strncmp(name, base, n) || sscanf(name + n, ".tmp.%ld%c", &pid, &end) != 1 || pid < 1) return 0;
    return kill((pid_t)pid, 0) && errno == ESRCH;
}

rt_status rt_file_temporary(rt_buf *out, const char *path)
{
    char           folder[4096], left[8192];
    const char    *base = split(folder, path);
    DIR           *d    = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (!is_left_over(e->d_name, base)) continue;
        snprintf(left, sizeof left, "%s/%s", folder, e->d_name);
        unlink(left); /* a failure is harmless */
    }
    if (d) closedir(d);
    rt_buf_clear(out);
    return rt_buf_fmt(out, "%s.tmp.%ld", path, (long)getpid());
}

rt_status rt_file_rename(const char *from, const char *to)
{
    RT_TRY(rt_file_sync(from));
    if (rename(from, to)) return SYS_FAIL(to, "be renamed into place");
    return rt_file_sync_folder(to);
}

static rt_status file_write_plain(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f) return SYS_FAIL(path, "be opened for writing");
    const int       bad = fwrite(bytes, 1, n, f) != n || fflush(f) != 0;
    const rt_status st  = bad ? SYS_FAIL(path, "be written") : RT_OK;
    fclose(f);
    return st;
}

rt_status rt_file_write(const char *path, const void *bytes, size_t n)
{
    rt_buf    tmp = {0};
    rt_status st  = rt_file_temporary(&tmp, path);
    if (st == RT_OK) st = file_write_plain(tmp.p, bytes, n);
    if (st == RT_OK) st = rt_file_rename(tmp.p, path);
    if (st != RT_OK && tmp.p) unlink(tmp.p);
    rt_buf_free(&tmp);
    return st;
}

rt_status rt_dir_make(const char *path)
{
    char part[4096];
    RT_CHECK(strlen(path) < sizeof part, RT_EINVAL, "%s: the path is too long", path);
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (!mkdir(part, 0777)) RT_TRY(rt_file_sync_folder(part));
        else if (errno != EEXIST) return SYS_FAIL(part, "be created as a folder");
    }
    struct stat s;
    RT_CHECK(!stat(path, &s) && S_ISDIR(s.st_mode), RT_EINVAL, "%s: expected a folder, found a file", path);
    return RT_OK;
}

rt_status rt_dir_remove(const char *path)
{
    char      **names = NULL;
    int         n     = 0;
    rt_buf      p     = {0};
    struct stat s;
    if (lstat(path, &s)) return RT_OK;
    if (!S_ISDIR(s.st_mode)) return unlink(path) ? SYS_FAIL(path, "be removed") : RT_OK;
    rt_status st = rt_dir_list(&names, &n, path);
    for (int i = 0; st == RT_OK && i < n; i++)
        if ((st = rt_path(&p, path, names[i])) == RT_OK) st = rt_dir_remove(p.p);
    if (st == RT_OK && rmdir(path)) st = SYS_FAIL(path, "be removed");
    rt_names_free(&names, n);
    rt_buf_free(&p);
    return st;
}

rt_status rt_dir_replace(const char *from, const char *to)
{
    RT_TRY(rt_file_sync(from));
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE)) {
        RT_TRY(rt_file_sync_folder(to));
        return rt_dir_remove(from);
    }
    if (errno != ENOENT && errno != EINVAL && errno != ENOSYS) return SYS_FAIL(to, "be replaced");
    RT_TRY(rt_dir_remove(to)); /* `to` does not exist, or the file system cannot exchange names */
    return rt_file_rename(from, to);
}

rt_status rt_path(rt_buf *out, const char *dir, const char *name)
{
    rt_buf_clear(out);
    return rt_buf_fmt(out, "%s/%s", dir, name);
}

int rt_file_exists(const char *path) { return access(path, F_OK) == 0; }

rt_status rt_output_new(const char *path)
{
    RT_CHECK(!rt_file_exists(path), RT_EINVAL, "%s exists already; remove it or choose another name", path);
    return RT_OK;
}

rt_status rt_output_check(const char *path, int force)
{
    RT_CHECK(force || !rt_file_exists(path), RT_EINVAL, "%s exists already; choose another name, or replace it with --force", path);
    return RT_OK;
}

int64_t rt_file_size(const char *path)
{
    struct stat s;
    return stat(path, &s) ? -1 : (int64_t)s.st_size;
}

static int file_by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

rt_status rt_dir_list(char ***names, int *n, const char *path)
{
    char  **v   = NULL;
    int64_t cap = 0;
    int     len = 0;
    DIR    *d   = opendir(path);
    if (!d) return SYS_FAIL(path, "be listed");
    rt_status st = RT_OK;
    for (struct dirent *e; st == RT_OK && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        st = rt_grow((void **)&v, len, &cap, sizeof *v);
        if (st == RT_OK) st = rt_strdup(&v[len], e->d_name);
        if (st == RT_OK) len++;
    }
    closedir(d);
    if (st != RT_OK) {
        rt_names_free(&v, len);
        return st;
    }
    if (len) qsort(v, (size_t)len, sizeof *v, file_by_name);
    *names = v;
    *n     = len;
    return RT_OK;
}

void rt_names_free(char ***names, int n)
{
    if (!*names) return;
    for (int i = 0; i < n; i++) free((*names)[i]);
    free(*names);
    *names = NULL;
}
