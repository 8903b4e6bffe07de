/* share.h -- where the files that come with the program are.
 *
 * Found from the place of the running program, so that an installed tree may be
 * moved: PREFIX/share/retort beside PREFIX/bin, or share/retort in the build
 * folder (links into the source tree).  It holds teacher/ and configs/.
 */
#ifndef RT_CORE_SHARE_H
#define RT_CORE_SHARE_H
#include "core/memory.h"

/* *out = the folder; RT_ENOENT names the places that were looked at.
 * RETORT_SHARE in the environment wins. */
rt_status rt_share_dir(rt_buf *out);
/* *out = `path`, with the share folder in place of a leading "@share": "@share/teacher" is the bundled teacher. */
rt_status rt_share_path(rt_buf *out, const char *path);
#endif
