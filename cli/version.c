/* version.c -- versions of the program, its commit, kernel and libraries. */
#include "generated/version.h"
#include "cli/cli.h"
#include "core/versions.h"
#include "data/versions.h"
#include "serve/serve.h"
#include "teacher/teacher.h"
#include "train/train.h"

const char *cli_program(void) { return "retort " RETORT_VERSION; }
const char *cli_build(void) { return "retort " RETORT_VERSION ", commit " RETORT_COMMIT; }

rt_status cli_versions(rt_buf *out)
{
    const int ready = kn_init() == RT_OK; /* the version is also printed on a machine without OpenBLAS */
    RT_TRY(rt_buf_fmt(out, "%s\ncommit %s\nkernel %s\n", cli_program(), RETORT_COMMIT, ready ? kn_describe() : rt_error_text()));
    RT_TRY(rt_library_versions(out));
    RT_TRY(ds_library_versions(out));
    RT_TRY(tc_library_versions(out));
    RT_TRY(sv_library_versions(out));
    RT_TRY(rt_buf_str(out, "MPI "));
    RT_TRY(tr_library_versions(out));
    return rt_buf_str(out, "\n");
}
