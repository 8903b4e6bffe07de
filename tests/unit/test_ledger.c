/* test_ledger.c -- answers survive: reopening, replacing, kill -9, a full disk, another owner. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/clock.h"
#include "core/file.h"
#include "teacher/ledger.h"
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/test_ledger.XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/a.ledger", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rt_dir_remove(dir) == RT_OK ? 0 : -1;
}

static tc_entry entry(tc_state state, const char *answer)
{
    return (tc_entry){.state             = state,
                      .status            = 200,
                      .response          = answer,
                      .n                 = answer ? strlen(answer) : 0,
                      .prompt_tokens     = 7,
                      .completion_tokens = -1,
                      .cost              = (double)NAN,
                      .seconds           = 0.5};
}

static void an_answer_is_kept(void **state)
{
    tc_ledger *l = NULL;
    tc_entry   e, bad = entry(TC_BAD, "nonsense"), good = entry(TC_DONE, "{\"a\":1}");
    rt_buf     b    = {0};
    int64_t    done = -1;
    (void)state;
    assert_int_equal(tc_ledger_open(&l, path), RT_OK);
    assert_int_equal(tc_ledger_find(l, "k1", &e, NULL), RT_OK);
    assert_int_equal(e.state, TC_ABSENT);
    assert_int_equal(tc_ledger_put(l, "k1", &bad), RT_OK);
    assert_int_equal(tc_ledger_put(l, "k1", &good), RT_OK);
    assert_int_equal(tc_ledger_note(l, "probe", "{}"), RT_OK);
    tc_ledger_close(&l);
    assert_null(l);
    assert_int_equal(tc_ledger_open(&l, path), RT_OK);
    assert_int_equal(tc_ledger_find(l, "k1", &e, &b), RT_OK);
    assert_int_equal(e.state, TC_DONE);
    assert_int_equal(e.attempts, 2);
    assert_int_equal(e.prompt_tokens, 7);
    assert_int_equal(e.completion_tokens, -1);
    assert_true(isnan(e.cost));
    assert_string_equal(b.p, "{\"a\":1}");
    assert_int_equal(tc_ledger_count(l, &done), RT_OK);
    assert_int_equal(done, 1);
    assert_int_equal(tc_ledger_noted(l, "probe", &b), RT_OK);
    assert_string_equal(b.p, "{}");
    assert_int_equal(tc_ledger_noted(l, "nothing", &b), RT_OK);
    assert_int_equal(b.len, 0);
    tc_ledger_close(&l);
    rt_buf_free(&b);
}

/* A failure after a bad answer keeps the answer for looking at. */
static void a_failure_keeps_the_answer(void **state)
{
    tc_ledger *l = NULL;
    tc_entry   e, bad = entry(TC_BAD, "nonsense"), failed = entry(TC_FAILED, NULL);
    rt_buf     b = {0};
    (void)state;
    failed.error = "HTTP 500";
    assert_int_equal(tc_ledger_open(&l, path), RT_OK);
    assert_int_equal(tc_ledger_put(l, "k2", &bad), RT_OK);
    assert_int_equal(tc_ledger_put(l, "k2", &failed), RT_OK);
    assert_int_equal(tc_ledger_find(l, "k2", &e, &b), RT_OK);
    assert_int_equal(e.state, TC_FAILED);
    assert_string_equal(b.p, "nonsense");
    tc_ledger_close(&l);
    rt_buf_free(&b);
}

static void the_key_tells_requests_apart(void **state)
{
    char   a[RT_SHA_HEX], b[RT_SHA_HEX];
    rt_buf body = {0};
    (void)state;
    assert_int_equal(rt_buf_str(&body, "{}"), RT_OK);
    assert_int_equal(tc_ledger_key(a, "vllm", "m", "/p", &body), RT_OK);
    assert_int_equal(tc_ledger_key(b, "vllm", "m", "/p", &body), RT_OK);
    assert_string_equal(a, b);
    assert_int_equal(tc_ledger_key(b, "vllmm", "", "/p", &body), RT_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(rt_buf_str(&body, " "), RT_OK);
    assert_int_equal(tc_ledger_key(b, "vllm", "m", "/p", &body), RT_OK);
    assert_string_not_equal(a, b);
    rt_buf_free(&body);
}

static void other_files_are_refused(void **state)
{
    tc_ledger *l = NULL;
    char       other[96];
    (void)state;
    snprintf(other, sizeof other, "%s/other", dir);
    static const char text[] = "this is a text of more than sixteen letters, no ledger at all";
    assert_int_equal(rt_file_write(other, text, sizeof text), RT_OK);
    assert_int_equal(tc_ledger_open(&l, other), RT_EFORMAT);
    assert_null(l);
    assert_non_null(strstr(rt_error_text(), other));
    snprintf(other, sizeof other, "%s/none/there", dir);
    assert_int_not_equal(tc_ledger_open(&l, other), RT_OK);
}

static void read_all(const char *name, rt_buf *b)
{
    rt_buf_clear(b);
    assert_int_equal(rt_file_read(b, name, 1 << 24), RT_OK);
}

/* Neither a look nor a pruning nor a run that is told the wrong name changes a byte of another program's file. */
static void other_files_are_left_as_they_are(void **state)
{
    static const char *const made[] = {NULL, "CREATE TABLE a(b)", "CREATE TABLE a(b); PRAGMA application_id=7",
                                       "CREATE TABLE request(key, state, answer)"};
    char                     other[96];
    rt_buf                   before = {0}, after = {0};
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        tc_ledger      *l  = NULL;
        sqlite3        *db = NULL;
        tc_ledger_stats s;
        snprintf(other, sizeof other, "%s/foreign%zu", dir, i);
        assert_int_equal(rt_file_write(other, "", 0), RT_OK);
        if (made[i]) {
            assert_int_equal(sqlite3_open(other, &db), SQLITE_OK);
            assert_int_equal(sqlite3_exec(db, made[i], NULL, NULL, NULL), SQLITE_OK);
            sqlite3_close(db);
        }
        read_all(other, &before);
        assert_int_equal(tc_ledger_look(other, &s), RT_EFORMAT);
        assert_non_null(strstr(rt_error_text(), "expected a ledger of retort"));
        assert_int_equal(tc_ledger_prune(other, NULL), RT_EFORMAT);
        if (made[i]) assert_int_equal(tc_ledger_open(&l, other), RT_EFORMAT);
        read_all(other, &after);
        assert_int_equal(after.len, before.len);
        if (before.len) assert_memory_equal(after.p, before.p, before.len);
        snprintf(other, sizeof other, "%s/foreign%zu-wal", dir, i);
        assert_false(rt_file_exists(other));
    }
    rt_buf_free(&before);
    rt_buf_free(&after);
}

/* A look leaves a ledger as it is: one that was closed, one of a process that was killed, and one that is in use. */
static void a_look_changes_nothing(void **state)
{
    char            name[96], log[104];
    tc_ledger      *l   = NULL;
    const tc_entry  put = entry(TC_DONE, "answer");
    tc_ledger_stats s;
    rt_buf          before = {0}, after = {0};
    (void)state;
    snprintf(name, sizeof name, "%s/100%%23 of?them#.ledger", dir);
    snprintf(log, sizeof log, "%s-wal", name);
    for (int killed = 0; killed < 2; killed++) {
        const pid_t child = fork();
        if (!child) {
            if (tc_ledger_open(&l, name) != RT_OK || tc_ledger_put(l, killed ? "k2" : "k1", &put) != RT_OK) _exit(1);
            if (!killed) tc_ledger_close(&l);
            _exit(0);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(rt_file_exists(log), killed);
        read_all(killed ? log : name, &before);
        assert_int_equal(tc_ledger_look(name, &s), RT_OK);
        assert_int_equal(s.done, killed + 1);
        assert_int_equal(rt_file_exists(log), killed);
        read_all(killed ? log : name, &after);
        assert_int_equal(after.len, before.len);
        assert_memory_equal(after.p, before.p, before.len);
    }
    assert_int_equal(tc_ledger_open(&l, name), RT_OK);
    assert_int_equal(tc_ledger_put(l, "k3", &put), RT_OK);
    assert_int_equal(tc_ledger_look(name, &s), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "another process"));
    tc_ledger_close(&l);
    rt_buf_free(&before);
    rt_buf_free(&after);
}

/* What a killed child has reported as committed is there. */
static void commits_survive_kill(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        int  to_parent[2];
        char key[32];
        int  last = -1, n = 0;

        assert_int_equal(pipe(to_parent), 0);
        const pid_t child = fork();
        if (!child) {
            tc_ledger *l = NULL;
            if (tc_ledger_open(&l, path) != RT_OK) _exit(1);
            for (int i = 0;; i++) {
                const tc_entry e = entry(TC_DONE, "answer");
                snprintf(key, sizeof key, "r%d-%d", round, i);
                if (tc_ledger_begin(l) || tc_ledger_put(l, key, &e) || tc_ledger_end(l, RT_OK)) _exit(1);
                if (write(to_parent[1], &i, sizeof i) != sizeof i) _exit(1);
            }
        }
        close(to_parent[1]);
        if (read(to_parent[0], &n, sizeof n) == sizeof n) last = n; /* however slow the disk is, one is in */
        rt_sleep(0.05 + 0.03 * round);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (read(to_parent[0], &n, sizeof n) == sizeof n) last = n;
        close(to_parent[0]);
        assert_true(last >= 0);
        tc_ledger *l = NULL;
        tc_entry   e;
        assert_int_equal(tc_ledger_open(&l, path), RT_OK);
        for (int i = 0; i <= last; i++) {
            snprintf(key, sizeof key, "r%d-%d", round, i);
            assert_int_equal(tc_ledger_find(l, key, &e, NULL), RT_OK);
            assert_int_equal(e.state, TC_DONE);
        }
        tc_ledger_close(&l);
    }
}

/* Good answers are kept small, bad ones as they came. */
static void answers_are_compressed(void **state)
{
    enum { N = 1 << 20 };
    char      *big = malloc(N + 1), other[96];
    tc_ledger *l   = NULL;
    tc_entry   e;
    rt_buf     b = {0};
    (void)state;
    assert_non_null(big);
    for (int i = 0; i < N; i++) big[i] = (char)('0' + i % 7);
    big[N] = '\0';
    for (int state_of = TC_BAD; state_of <= TC_DONE; state_of++) {
        const tc_entry put = entry((tc_state)state_of, big);
        snprintf(other, sizeof other, "%s/packed%d", dir, state_of);
        assert_int_equal(tc_ledger_open(&l, other), RT_OK);
        assert_int_equal(tc_ledger_put(l, "k", &put), RT_OK);
        assert_int_equal(tc_ledger_find(l, "k", &e, &b), RT_OK);
        assert_int_equal(b.len, N);
        assert_memory_equal(b.p, big, N + 1);
        tc_ledger_close(&l);
        assert_true(state_of == TC_DONE ? rt_file_size(other) < N / 4 : rt_file_size(other) > N);
    }
    rt_buf_free(&b);
    free(big);
}

/* A ledger of the first version: read as it is, continued, and made small by pruning. */
static void old_ledgers_are_read(void **state)
{
    static const char old[] = "CREATE TABLE request (key TEXT PRIMARY KEY, state INTEGER NOT NULL, attempts INTEGER NOT NULL,"
                              " status INTEGER, error TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL,"
                              " seconds REAL, time INTEGER, answer BLOB);"
                              "CREATE TABLE note (name TEXT PRIMARY KEY, text TEXT NOT NULL);"
                              "INSERT INTO request VALUES ('k1',3,1,200,NULL,7,8,0.5,1.5,0,CAST(printf('%.*c', 200000, 'x') AS BLOB));"
                              "INSERT INTO request VALUES ('k2',2,3,200,'no JSON',NULL,NULL,NULL,1,0,CAST('<html>' AS BLOB));"
                              "INSERT INTO note VALUES ('probe','{}');"
                              "PRAGMA application_id=1381256263; PRAGMA user_version=1;";
    char              other[96];
    sqlite3          *db = NULL;
    tc_ledger        *l  = NULL;
    tc_ledger_stats   s;
    tc_entry          e, put = entry(TC_DONE, "new");
    rt_buf            b = {0};
    (void)state;
    snprintf(other, sizeof other, "%s/old", dir);
    assert_int_equal(sqlite3_open(other, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(tc_ledger_look(other, &s), RT_OK); /* as it is, of version 1 */
    assert_int_equal(s.done, 1);
    assert_int_equal(tc_ledger_open(&l, other), RT_OK);
    assert_int_equal(tc_ledger_put(l, "k3", &put), RT_OK);
    tc_ledger_close(&l);
    for (int pruned = 0; pruned < 2; pruned++) {
        assert_int_equal(tc_ledger_look(other, &s), RT_OK);
        assert_int_equal(s.done, 2);
        assert_int_equal(s.bad, 1);
        assert_string_equal(s.reasons.name[0], "no JSON");
        assert_int_equal(s.responses, 200003 + (pruned ? 0 : 6));
        assert_true(pruned ? s.kept < 2000 : s.kept > 200000);
        assert_true(pruned ? s.file < 100000 : s.file > 200000);
        assert_int_equal(tc_ledger_open(&l, other), RT_OK);
        assert_int_equal(tc_ledger_find(l, "k1", &e, &b), RT_OK);
        assert_int_equal(b.len, 200000);
        assert_int_equal(b.p[199999], 'x');
        assert_int_equal(tc_ledger_find(l, "k2", &e, &b), RT_OK);
        assert_int_equal(e.attempts, 3);
        assert_int_equal(b.len, pruned ? 0 : 6);
        tc_ledger_close(&l);
        if (!pruned) assert_int_equal(tc_ledger_prune(other, NULL), RT_OK);
    }
    assert_int_equal(tc_ledger_look("/no/such/ledger", &s), RT_ENOENT);
    rt_buf_free(&b);
}

static void a_ledger_without_a_request_is_removed(void **state)
{
    char           other[96];
    tc_ledger     *l   = NULL;
    const tc_entry put = entry(TC_FAILED, NULL);
    (void)state;
    snprintf(other, sizeof other, "%s/empty", dir);
    assert_int_equal(tc_ledger_open(&l, other), RT_OK);
    assert_int_equal(tc_ledger_note(l, "probe", "{}"), RT_OK);
    tc_ledger_close_empty(&l);
    assert_null(l);
    assert_false(rt_file_exists(other));
    for (int again = 0; again < 2; again++) { /* one with a request stays, and so does one that was there */
        assert_int_equal(tc_ledger_open(&l, other), RT_OK);
        if (!again) assert_int_equal(tc_ledger_put(l, "k", &put), RT_OK);
        tc_ledger_close_empty(&l);
        assert_true(rt_file_exists(other));
    }
}

static void two_owners_are_refused(void **state)
{
    tc_ledger *l = NULL, *other = NULL;
    (void)state;
    assert_int_equal(tc_ledger_open(&l, path), RT_OK);
    assert_int_equal(tc_ledger_open(&other, path), RT_EINVAL);
    assert_null(other);
    assert_non_null(strstr(rt_error_text(), "another process"));
    tc_ledger_close(&l);
}

static void a_full_disk_is_named(void **state)
{
    tc_ledger *l = NULL;
    (void)state;
    const pid_t child = fork();
    if (!child) {
        const struct rlimit lim = {1 << 18, 1 << 18};
        char               *big = calloc(1, 1 << 16);
        rt_status           st  = RT_OK;
        signal(SIGXFSZ, SIG_IGN);
        if (!big || setrlimit(RLIMIT_FSIZE, &lim)) _exit(1);
        memset(big, 'x', (1 << 16) - 1);
        if (tc_ledger_open(&l, path) != RT_OK) _exit(2);
        for (int i = 0; st == RT_OK && i < 64; i++) {
            char           key[16];
            const tc_entry e = entry(TC_DONE, big);
            snprintf(key, sizeof key, "big%d", i);
            st = tc_ledger_put(l, key, &e);
        }
        tc_ledger_close(&l);
        free(big);
        _exit(st == RT_ENOSPC && strstr(rt_error_text(), "make room") ? 0 : 3);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    tc_entry e;
    assert_int_equal(tc_ledger_open(&l, path), RT_OK);
    assert_int_equal(tc_ledger_find(l, "k1", &e, NULL), RT_OK);
    assert_int_equal(e.state, TC_DONE);
    tc_ledger_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_kept),
        cmocka_unit_test(a_failure_keeps_the_answer),
        cmocka_unit_test(the_key_tells_requests_apart),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(other_files_are_left_as_they_are),
        cmocka_unit_test(a_look_changes_nothing),
        cmocka_unit_test(commits_survive_kill),
        cmocka_unit_test(answers_are_compressed),
        cmocka_unit_test(old_ledgers_are_read),
        cmocka_unit_test(a_ledger_without_a_request_is_removed),
        cmocka_unit_test(two_owners_are_refused),
        cmocka_unit_test(a_full_disk_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
