/* share.c -- finds the share folder through /proc/self/exe. */
#include "core/share.h"
#include "core/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rt_status program_folder(char *dir, size_t size)
{
    const ssize_t n = readlink("/proc/self/exe", dir, size - 1);
    RT_CHECK(n > 0, RT_EIO, "/proc/self/exe cannot be read (%s); set RETORT_SHARE to the folder that holds teacher/ and configs/",
             strerror(errno));
    dir[n]             = '\0';
    *strrchr(dir, '/') = '\0';
    return RT_OK;
}

rt_status rt_share_dir(rt_buf *out)
{
    static const char *const places[] = {"share/retort", "../share/retort"};
    char                     dir[4096];
    const char              *own = getenv("RETORT_SHARE");
    if (own && *own) {
        RT_CHECK(rt_file_exists(own), RT_ENOENT,
                 "RETORT_SHARE is %s, which does not exist; set it to the folder that holds teacher/ and configs/", own);
        rt_buf_clear(out);
        return rt_buf_str(out, own);
    }
    RT_TRY(program_folder(dir, sizeof dir));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        RT_TRY(rt_path(out, dir, places[i]));
        char *real = realpath(out->p, NULL);
        if (!real) continue;
        rt_buf_clear(out);
        const rt_status st = rt_buf_str(out, real);
        free(real);
        return st;
    }
    RT_FAIL(RT_ENOENT, "there is no folder share/retort in %s or beside it; install the program with cmake --install, or set RETORT_SHARE",
            dir);
}

rt_status rt_share_path(rt_buf *out, const char *path)
{
    static const char mark[] = "@share";
    const size_t      n      = sizeof mark - 1;
    rt_buf_clear(out);
    if (strncmp(path, mark, n) || (path[n] && path[n] != '/')) return rt_buf_str(out, path);
    RT_TRY(rt_share_dir(out));
    return rt_buf_str(out, path + n);
}
