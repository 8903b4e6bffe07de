/* versions.h -- the libraries that core stands on, as "NAME VERSION" lines.
 * Each folder that owns a library has such a function; cli/version.c joins them. */
#ifndef RT_CORE_VERSIONS_H
#define RT_CORE_VERSIONS_H
#include "core/memory.h"

rt_status rt_library_versions(rt_buf *out); /* appends */
#endif
