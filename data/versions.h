/* versions.h -- versions of the libraries that data/ uses. */
#ifndef DS_VERSIONS_H
#define DS_VERSIONS_H
#include "core/memory.h"

/* Appends "NAME VERSION" lines of the libraries that this folder uses. */
rt_status ds_library_versions(rt_buf *out);
#endif
