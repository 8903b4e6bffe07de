/* test_core.c -- JSON that is bounded; files and folders that are durable. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/file.h"
#include "core/json.h"
#include "core/utf8.h"
#include "teacher/ledger.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what was made durable: fsync of this program and of its libraries ------------------------- */

static char synced[64][256];
static int  syncs;

static int note_sync(int fd)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = syncs < 64 ? readlink(link, synced[syncs], sizeof *synced - 1) : -1;
    if (n > 0) synced[syncs++][n] = '\0';
    return fd;
}

int fsync(int fd);
int fdatasync(int fd);
int fsync(int fd) { return (int)syscall(SYS_fsync, note_sync(fd)); }
int fdatasync(int fd) { return (int)syscall(SYS_fdatasync, note_sync(fd)); }

static int was_synced(const char *dir, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", dir, name);
    for (int i = 0; i < syncs; i++)
        if (!strcmp(synced[i], path)) return 1;
    return 0;
}

static char removed[256]; /* the file that went last */

int unlink(const char *path)
{
    snprintf(removed, sizeof removed, "%s", path);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/test_core.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rt_dir_remove(dir) == RT_OK ? 0 : -1;
}

/* A folder that is not in its parent after a power loss takes all that was written into it along. */
static void new_folders_are_durable(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/a/b/c", dir);
    syncs = 0;
    assert_int_equal(rt_dir_make(path), RT_OK);
    assert_true(was_synced(dir, "") && was_synced(dir, "/a") && was_synced(dir, "/a/b"));
    syncs = 0;
    assert_int_equal(rt_dir_make(path), RT_OK); /* nothing new */
    assert_int_equal(syncs, 0);
}

/* What stands in the place is taken apart elsewhere: whoever is killed meanwhile leaves the old folder or the new one. */
static void a_folder_is_replaced_at_once(void **state)
{
    char   old[128], new[128], file[160];
    rt_buf b = {0};
    (void)state;
    snprintf(old, sizeof old, "%s/old", dir), snprintf(new, sizeof new, "%s/new", dir);
    for (int i = 0; i < 2; i++) { /* nothing stands there; the folder that was put there */
        assert_int_equal(rt_dir_make(new), RT_OK);
        snprintf(file, sizeof file, "%s/file", new);
        assert_int_equal(rt_file_write(file, i ? "new" : "old", 3), RT_OK);
        syncs = 0;
        assert_int_equal(rt_dir_replace(new, old), RT_OK);
        assert_true(was_synced(dir, "/new") && was_synced(dir, "") && !rt_file_exists(new));
    }
    assert_string_equal(removed, file);
    snprintf(file, sizeof file, "%s/file", old);
    assert_int_equal(rt_file_read(&b, file, 16), RT_OK);
    assert_string_equal(b.p, "new");
    rt_buf_free(&b);
}

static void a_new_ledger_is_durable(void **state)
{
    char       path[128];
    tc_ledger *l = NULL;
    (void)state;
    snprintf(path, sizeof path, "%s/x.ledger", dir);
    syncs = 0;
    assert_int_equal(tc_ledger_open(&l, path), RT_OK);
    assert_true(was_synced(dir, ""));
    assert_true(was_synced(dir, "/x.ledger-wal"));
    assert_string_equal(synced[syncs - 1], dir); /* after both were made, whatever SQLite does by itself */
    tc_ledger_close(&l);
}

/* A dense text makes a tree of forty times its size: it is counted before it is built. */
static void a_tree_is_bounded(void **state)
{
    const size_t n    = 2 * (size_t)RT_JSON_VALUES + 2;
    char        *text = malloc(n);
    cJSON       *o    = NULL;
    (void)state;
    assert_non_null(text);
    memset(text, '0', n);
    for (size_t i = 2; i < n; i += 2) text[i] = ',';
    text[0] = '[', text[n - 1] = ']';
    assert_int_equal(rt_json_parse(&o, text, n, RT_JSON_LENIENT, "dense"), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "values, more than"));
    memset(text, ',', n);
    text[0] = '"', text[n - 1] = '"'; /* commas of a string are no values */
    assert_int_equal(rt_json_parse(&o, text, n, RT_JSON_LENIENT | RT_JSON_ANY, "string"), RT_OK);
    cJSON_Delete(o);
    free(text);
}

/* Every cut of a text: the bytes that are left out are exactly those of a character that goes on after the cut. */
static void incomplete_characters_are_left_out(void **state)
{
    static const char text[]  = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
    static const int  whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    (void)state;
    for (size_t n = 0; n < sizeof text; n++) assert_int_equal(rt_utf8_whole(text, n), whole[n]);
    assert_int_equal(rt_utf8_whole("a\xff", 2), 1); /* as if four bytes followed */
    assert_int_equal(rt_utf8_whole("a\xc1", 2), 2); /* never the first byte of a character */
    assert_int_equal(rt_utf8_whole("\x80\x80\x80\x80", 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_folders_are_durable),
        cmocka_unit_test(a_folder_is_replaced_at_once),
        cmocka_unit_test(a_new_ledger_is_durable),
        cmocka_unit_test(a_tree_is_bounded),
        cmocka_unit_test(incomplete_characters_are_left_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
