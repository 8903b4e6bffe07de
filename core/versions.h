/* versions.h -- the libraries that core uses, as "NAME VERSION" lines.
 * Each folder that uses a library has such a function; cli/version.c calls them all. */
#ifndef RT_CORE_VERSIONS_H
#define RT_CORE_VERSIONS_H
#include "core/memory.h"

rt_status rt_library_versions(rt_buf *out); /* appends */
#endif
