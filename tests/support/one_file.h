/* one_file.h -- the fixture of tests that rewrite one file: an empty folder and a path in it. */
#ifndef TESTS_ONE_FILE_H
#define TESTS_ONE_FILE_H
#include "core/file.h"
#include <stdio.h>
#include <stdlib.h>

static char g_dir[] = "/tmp/retort_test_XXXXXX", g_path[sizeof g_dir + 8];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(g_dir)) return -1;
    snprintf(g_path, sizeof g_path, "%s/a.h5", g_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}
#endif
