/* versions.c -- versions of libcurl, SQLite and zstd as they run here. */
#include "teacher/teacher.h"
#include <curl/curl.h>
#include <sqlite3.h>
#include <zstd.h>

rt_status tc_library_versions(rt_buf *out)
{
    RT_TRY(rt_buf_fmt(out, "libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version));
    RT_TRY(rt_buf_fmt(out, "SQLite %s\n", sqlite3_libversion()));
    return rt_buf_fmt(out, "zstd %s\n", ZSTD_versionString());
}
