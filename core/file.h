/* file.h -- files that are whole or not there.
 *
 * Whatever must survive kill -9 is written under a temporary name in the same
 * folder, fsynced, renamed, and the folder fsynced.
 */
#ifndef RT_CORE_FILE_H
#define RT_CORE_FILE_H
#include "core/memory.h"

/* The whole file, at most `cap` bytes (RT_EFORMAT above). */
rt_status rt_file_read(rt_buf *out, const char *path, size_t cap);
/* The whole file replaced by these bytes, atomically and durably. */
rt_status rt_file_write(const char *path, const void *bytes, size_t n);
/* out = "PATH.tmp.PID", the name to write `path` under.  What killed writers of the same file left
 * behind under such names is removed; so only one machine at a time may write a file. */
rt_status rt_file_temporary(rt_buf *out, const char *path);
rt_status rt_file_rename(const char *from, const char *to);        /* durable: `from` and both folders fsynced */
rt_status rt_file_sync(const char *path);                          /* fsync a file or a folder */
rt_status rt_file_sync_folder(const char *path);                   /* fsync the folder that holds `path`: its name is durable */
rt_status rt_dir_make(const char *path);                           /* durably, with its parents; existing is fine */
rt_status rt_dir_remove(const char *path);                         /* with all its content; missing is fine */
rt_status rt_path(rt_buf *out, const char *dir, const char *name); /* out = "dir/name" */
int       rt_file_exists(const char *path);
int64_t   rt_file_size(const char *path); /* -1: cannot be read */
/* The folder `from` in the place of `to`, which goes; durable.  One of both stands there at each moment, except on file systems that cannot
 * exchange two names (NFS). */
rt_status rt_dir_replace(const char *from, const char *to);

/* Before a command makes the file or folder `path`: RT_EINVAL where something stands there.  What a command made before is
 * not its to replace, unless the user asks: rt_output_check is for commands that have --force. */
rt_status rt_output_new(const char *path);
rt_status rt_output_check(const char *path, int force);

/* Names in a folder, sorted by strcmp, without "." and "..".  Free with rt_names_free. */
rt_status rt_dir_list(char ***names, int *n, const char *path);
void      rt_names_free(char ***names, int n);
#endif
