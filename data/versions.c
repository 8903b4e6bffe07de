/* versions.c -- the versions of HDF5 and PCRE2 in use. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/versions.h"
#include <hdf5.h>
#include <pcre2.h>
#include <string.h>

rt_status ds_library_versions(rt_buf *out)
{
    unsigned major = 0, minor = 0, release = 0;
    char     pcre[64] = "unknown";
    RT_CHECK(H5get_libversion(&major, &minor, &release) >= 0, RT_EIO, "HDF5 does not report its version");
    pcre2_config(PCRE2_CONFIG_VERSION, pcre); /* "10.42 2022-12-11", at most 24 bytes */
    pcre[strcspn(pcre, " ")] = '\0';
    RT_TRY(rt_buf_fmt(out, "HDF5 %u.%u.%u\n", major, minor, release));
    return rt_buf_fmt(out, "PCRE2 %s\n", pcre);
}
