/* share.h -- finds the folder of files that are installed with the program.
 *
 * It is found relative to the running program, so an installed tree may be
 * moved: PREFIX/share/retort beside PREFIX/bin, or share/retort in the build
 * folder (links into the source tree).  It holds teacher/ and configs/.
 */
#ifndef RT_CORE_SHARE_H
#define RT_CORE_SHARE_H
#include "core/memory.h"

/* Sets *out to the share folder.  The environment variable RETORT_SHARE takes precedence.
 * RT_ENOENT: not found; the message names the folders that were searched. */
rt_status rt_share_dir(rt_buf *out);
/* Sets *out to `path` with a leading "@share" replaced by the share folder: "@share/teacher" is the bundled teacher. */
rt_status rt_share_path(rt_buf *out, const char *path);
#endif
