/* versions.c -- version of libmicrohttpd as it runs here. */
#include "infer/infer.h"
#include <microhttpd.h>

rt_status inf_library_versions(rt_buf *out) { return rt_buf_fmt(out, "libmicrohttpd %s\n", MHD_get_version()); }
