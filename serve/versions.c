/* versions.c -- version of the loaded libmicrohttpd. */
#include "serve/serve.h"
#include <microhttpd.h>

rt_status sv_library_versions(rt_buf *out) { return rt_buf_fmt(out, "libmicrohttpd %s\n", MHD_get_version()); }
