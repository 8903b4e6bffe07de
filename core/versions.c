/* versions.c -- the versions of cJSON and libcrypto at run time. */
#include "core/versions.h"
#include <cjson/cJSON.h>
#include <openssl/crypto.h>

rt_status rt_library_versions(rt_buf *out)
{
    RT_TRY(rt_buf_fmt(out, "cJSON %s\n", cJSON_Version()));
    return rt_buf_fmt(out, "OpenSSL %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
}
