/* fuzz.c -- the folder of a fuzzing program, and libFuzzer's entry (fuzz.h). */
#include "tests/support/fuzz.h"
#include "core/file.h"
#include "kernels/kernels.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n); /* libFuzzer's name */

static char g_dir[256];

static void remove_dir(void) { (void)rt_dir_remove(g_dir); }

const char *fuzz_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (*g_dir) return g_dir;
    snprintf(g_dir, sizeof g_dir, "%s/retort-fuzz-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(g_dir)) abort();
    atexit(remove_dir);
    fuzz_must(kn_init());
    return g_dir;
}

const char *fuzz_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", fuzz_dir(), name);
    return path;
}

const char *fuzz_write(const char *name, const void *data, size_t n)
{
    const char *path = fuzz_path(name);
    FILE       *f    = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) abort();
    return path;
}

void fuzz_must(rt_status st)
{
    if (st == RT_OK) return;
    fprintf(stderr, "%s\n", rt_error_text());
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    (void)fuzz_one(data, n);
    return 0;
}
