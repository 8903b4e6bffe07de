/* fuzz_seeds.c -- reads every file of a folder of seeds: good_* must be accepted, all others refused.
 *
 * usage: fuzz_NAME FOLDER
 */
#include "core/file.h"
#include "tests/support/fuzz.h"
#include <stdio.h>
#include <string.h>

enum { MOST = 1 << 20 };

static int read_seed(const char *folder, const char *name)
{
    rt_buf path = {0}, bytes = {0};
    fuzz_must(rt_path(&path, folder, name));
    fuzz_must(rt_file_read(&bytes, path.p, MOST));
    const rt_status st   = fuzz_one((const uint8_t *)bytes.p, bytes.len);
    const int       good = !strncmp(name, "good_", 5), bad = good != (st == RT_OK);
    if (bad) printf("%s: %s\n", path.p, good ? rt_error_text() : "expected that it is refused");
    rt_buf_free(&path), rt_buf_free(&bytes);
    return bad;
}

int main(int argc, char **argv)
{
    char **names;
    int    n, failed = argc != 2;
    if (failed) return 2;
    fuzz_must(rt_dir_list(&names, &n, argv[1]));
    for (int i = 0; i < n; i++) failed |= read_seed(argv[1], names[i]);
    printf("%d seeds\n", n);
    failed |= n == 0;
    rt_names_free(&names, n);
    return failed;
}
