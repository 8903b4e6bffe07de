/* file.h -- files and folders, with atomic and durable writes.
 *
 * A file that must survive kill -9 is written under a temporary name in the same
 * folder, fsynced and renamed; then the folder is fsynced.
 */
#ifndef RT_CORE_FILE_H
#define RT_CORE_FILE_H
#include "core/memory.h"

/* Reads the whole file.  RT_EFORMAT: it has more than `cap` bytes. */
rt_status rt_file_read(rt_buf *out, const char *path, size_t cap);
/* Replaces the whole file by n bytes, atomically and durably. */
rt_status rt_file_write(const char *path, const void *bytes, size_t n);
/* Sets *out to "PATH.tmp.PID", the temporary name for writing `path`.  Removes temporary files of the same `path` whose
 * process no longer exists on this machine, so only one machine at a time may write a file. */
rt_status rt_file_temporary(rt_buf *out, const char *path);
rt_status rt_file_rename(const char *from, const char *to);        /* durable: fsyncs `from` and the folder of `to` */
rt_status rt_file_sync(const char *path);                          /* fsyncs a file or a folder */
rt_status rt_file_sync_folder(const char *path);                   /* fsyncs the folder that holds `path`, so that the name is durable */
rt_status rt_dir_make(const char *path);                           /* creates a folder and its parents durably; it may exist */
rt_status rt_dir_remove(const char *path);                         /* removes a file, or a folder with its content; it may be missing */
rt_status rt_path(rt_buf *out, const char *dir, const char *name); /* sets *out to "dir/name" */
/* Does the same for a file that is read from a folder of foreign origin, which must not name files of this machine.  RT_EFORMAT: the file exists and is a symbolic
 * link out of the folder.  A snapshot in a cache of the Hugging Face hub may link to its "blobs". */
rt_status rt_path_inside(rt_buf *out, const char *dir, const char *name);
int       rt_file_exists(const char *path);
int64_t   rt_file_size(const char *path); /* in bytes; -1: stat failed */
/* Replaces the folder `to` by the folder `from` durably and removes the old one.  At every moment one of them has the name `to`, except
 * on file systems that cannot exchange two names (NFS). */
rt_status rt_dir_replace(const char *from, const char *to);

/* Called before a command creates the file or folder `path`.  RT_EINVAL: it exists.  A command does not replace existing output
 * unless the user asks for it; rt_output_check is for commands with --force. */
rt_status rt_output_new(const char *path);
rt_status rt_output_check(const char *path, int force);

/* Lists the names in a folder, sorted by strcmp, without "." and "..".  Free them with rt_names_free. */
rt_status rt_dir_list(char ***names, int *n, const char *path);
void      rt_names_free(char ***names, int n);
#endif
