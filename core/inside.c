/* inside.c -- files that must lie in their folder (rt_path_inside in file.h). */
#include "core/file.h"
#include <stdlib.h>
#include <string.h>

/* Returns the length of the part of a folder's real path that the paths of its files must have in common: all of it, or of a snapshot in a cache
 * of the Hugging Face hub, .../models--NAME/snapshots/REVISION, the part .../models--NAME, whose folder "blobs" holds the files. */
static size_t inside_root(const char *dir)
{
    const char *models = strstr(dir, "/models--"), *end = models ? strchr(models + 1, '/') : NULL;
    if (!strcmp(dir, "/")) return 0;
    return end && !strncmp(end, "/snapshots/", 11) ? (size_t)(end - dir) : strlen(dir);
}

static rt_status check_inside(const char *dir, const char *file)
{
    char        *folder = realpath(dir, NULL), *resolved = realpath(file, NULL);
    const size_t n     = folder ? inside_root(folder) : 0;
    const int    stays = folder && resolved && !strncmp(folder, resolved, n) && resolved[n] == '/';
    rt_status    st    = RT_OK;
    if (!stays)
        st = rt_fail(
            RT_EFORMAT, __FILE__, __LINE__,
            "%s: expected a file of the model's folder, found a link to %s outside of it; copy the file into the folder, or name the "
            "folder that holds it",
            file, resolved ? resolved : "a file that cannot be opened");
    free(folder), free(resolved);
    return st;
}

rt_status rt_path_inside(rt_buf *out, const char *dir, const char *name)
{
    RT_TRY(rt_path(out, dir, name));
    return rt_file_exists(out->p) ? check_inside(dir, out->p) : RT_OK;
}
