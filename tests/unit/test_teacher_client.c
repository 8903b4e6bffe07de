/* test_teacher_client.c -- collecting from a server that misbehaves, dies, or lies. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/clock.h"
#include "core/file.h"
#include "core/rng.h"
#include "core/threads.h"
#include "teacher/ledger.h"
#include "teacher/teacher.h"
#include "tests/support/collect.h"
#include "tests/support/replay.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DOCS = 40 };
static const char key[] = "sk-a-key-that-must-not-be-seen";

static rt_status write_input(void)
{
    ds_writer *w   = NULL;
    rt_rng     rng = {5};
    RT_TRY(ct_input(&w));
    for (int d = 0; d < DOCS; d++) {
        int32_t ids[32];
        ds_doc  doc = {.n = 2 + d % 30, .ids = ids, .topic = "t", .cost = (double)NAN, .seed = (uint64_t)d};
        for (int i = 0; i < doc.n; i++) ids[i] = (int32_t)rt_rng_below(&rng, REPLAY_VOCAB);
        RT_TRY(ds_writer_add(w, &doc));
    }
    return ds_writer_finish(&w);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    setenv("RETORT_API_KEY", key, 1);
    return ct_open(state) || write_input() != RT_OK ? -1 : 0;
}

static void digest_of(const char *path, char hex[RT_SHA_HEX])
{
    ds_shard *s = NULL;
    assert_int_equal(ds_shard_open(&s, path), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    assert_int_equal(ds_shard_digest(s, hex), RT_OK);
    ds_shard_close(&s);
}

/* Collect under a name of its own; the digest must be that of an undisturbed run. */
static void expect_same_digest(const char *name, const replay_options *o, tc_report *r)
{
    char out[96], reference[96], a[RT_SHA_HEX], b[RT_SHA_HEX];
    ct_path(reference, "reference.h5");
    ct_path(out, name);
    const tc_options t = ct_options(out);
    replay_set(ct_server, o);
    const rt_status st = ct_score(&t, r);
    if (st != RT_OK) print_message("%s: %s\n", name, rt_error_text());
    assert_int_equal(st, RT_OK);
    digest_of(reference, a);
    digest_of(out, b);
    assert_string_equal(a, b);
}

/* ---- a good server ------------------------------------------------------------------------- */

static void scores_are_rows(void **state)
{
    char      out[96];
    ds_shard *s = NULL;
    ds_doc    d;
    tc_report r;
    (void)state;
    ct_path(out, "reference.h5");
    const tc_options     t = ct_options(out);
    const replay_options o = {0};
    replay_set(ct_server, &o);
    assert_int_equal(ct_score(&t, &r), RT_OK);
    assert_int_equal(r.received, DOCS);
    assert_int_equal(r.documents, DOCS);
    assert_true(replay_saw_key(ct_server, key));
    assert_int_equal(ds_shard_open(&s, out), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    assert_int_equal(ds_shard_info(s)->k, 5);
    assert_int_equal(ds_shard_info(s)->m, 4);
    assert_string_equal(ds_shard_info(s)->dialect, "retort");
    assert_non_null(strstr(ds_shard_info(s)->probe, "\"echoes_ids\":true,\"scores_prompts\":true"));
    assert_true(ds_shard_has_entropy(s));
    assert_int_equal(ds_shard_docs(s), DOCS);
    assert_int_equal(ds_shard_doc(s, 7, &d), RT_OK);
    assert_int_equal(d.n, 9);
    for (int64_t i = 0; i + 1 < d.n; i++) {
        /* the server's row is a function of the last token: row i must be that of token i, about token i + 1 */
        double sum = 0, z[REPLAY_VOCAB];
        for (int v = 0; v < REPLAY_VOCAB; v++) sum += exp(z[v] = 6 * ((double)(rt_mix2((uint64_t)d.ids[i], (uint64_t)v) >> 11) * 0x1p-53));
        assert_true(d.rows.valid[i]);
        assert_float_equal(d.rows.actual_logprob[i], (float)(z[d.ids[i + 1]] - log(sum)), 1e-5F);
        for (int j = 0; j < 5; j++)
            assert_float_equal(d.rows.topk_logprob[i * 5 + j], (float)(z[d.rows.topk_ids[i * 5 + j]] - log(sum)), 1e-5F);
    }
    assert_false(d.rows.valid[d.n - 1]);
    ds_shard_close(&s);
}

static void a_second_run_asks_nothing(void **state)
{
    char      out[96], a[RT_SHA_HEX], b[RT_SHA_HEX];
    tc_report r;
    (void)state;
    ct_path(out, "reference.h5");
    tc_options           t = ct_options(out);
    const replay_options o = {.fault = REPLAY_500, .faults = -1};
    replay_set(ct_server, &o);
    assert_int_equal(ct_score(&t, &r), RT_OK);
    assert_true(r.already);
    t.seed = 12;
    assert_int_equal(ct_score(&t, &r), RT_EINVAL);
    t.seed = 11;
    digest_of(out, a);
    assert_int_equal(unlink(out), 0);
    t.teacher = "http://127.0.0.1:1"; /* the ledger has everything: no server is needed */
    assert_int_equal(ct_score(&t, &r), RT_OK);
    assert_int_equal(r.known, DOCS);
    assert_int_equal(r.received, 0);
    digest_of(out, b);
    assert_string_equal(a, b);
    assert_int_equal(replay_requests(ct_server), 0);
}

static void in_flight_is_kept(void **state)
{
    tc_report r;
    (void)state;
    const replay_options o = {.delay = 0.03};
    expect_same_digest("slow.h5", &o, &r);
    assert_true(replay_peak(ct_server) > 1);
    assert_true(replay_peak(ct_server) <= 4);
}

/* ---- a bad one ----------------------------------------------------------------------------- */

/* A ledger for `name` that knows the server and nothing else, so that no probe meets the fault. */
static void begin_ledger(const char *name)
{
    char       path[96], ledger[112], from[96];
    tc_ledger *l = NULL;
    rt_buf     b = {0};
    ct_path(from, "reference.h5.ledger");
    ct_path(path, name);
    snprintf(ledger, sizeof ledger, "%s.ledger", path);
    assert_int_equal(tc_ledger_open(&l, from), RT_OK);
    assert_int_equal(tc_ledger_noted(l, "probe", &b), RT_OK);
    tc_ledger_close(&l);
    assert_int_equal(tc_ledger_open(&l, ledger), RT_OK);
    assert_int_equal(tc_ledger_note(l, "probe", b.p), RT_OK);
    tc_ledger_close(&l);
    rt_buf_free(&b);
}

static void passing_faults_are_survived(void **state)
{
    static const replay_fault faults[] = {REPLAY_LIMIT,    REPLAY_500,   REPLAY_503,      REPLAY_CUT,       REPLAY_GARBAGE,  REPLAY_NAN,
                                          REPLAY_POSITIVE, REPLAY_SHORT, REPLAY_HUGE_ID,  REPLAY_OTHER_IDS, REPLAY_TAIL_TOP, REPLAY_FEW,
                                          REPLAY_DROP_K,   REPLAY_RANKS, REPLAY_RANK_LOW, REPLAY_ENTROPY};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char                 name[32];
        tc_report            r;
        const replay_options o = {.fault = faults[i], .faults = 2};
        snprintf(name, sizeof name, "fault%zu.h5", i);
        begin_ledger(name);
        const double began = rt_now();
        expect_same_digest(name, &o, &r);
        assert_int_equal(replay_requests(ct_server), DOCS + 2);
        if (faults[i] == REPLAY_LIMIT) assert_true(rt_now() - began >= 0.9); /* Retry-After: 1 */
    }
}

static void expect_failure(const char *name, replay_fault f, const char *words)
{
    char                 out[96];
    tc_report            r;
    const replay_options o = {.fault = f, .faults = -1}, fine = {0};
    ct_path(out, name);
    const tc_options t = ct_options(out);
    begin_ledger(name);
    replay_set(ct_server, &o);
    const rt_status st = ct_score(&t, &r);
    if (st != RT_ENET || !strstr(rt_error_text(), words)) print_message("%s: %s\n", name, rt_error_text());
    assert_int_equal(st, RT_ENET);
    assert_non_null(strstr(rt_error_text(), words));
    assert_non_null(strstr(rt_error_text(), ct_url));
    assert_non_null(strstr(rt_error_text(), "run the same command again"));
    assert_null(strstr(rt_error_text(), key));
    assert_null(strchr(rt_error_text(), '\n'));
    assert_false(rt_file_exists(out));
    expect_same_digest(name, &fine, &r); /* once the server is well, the run ends as if nothing had been */
}

static void lasting_faults_are_told(void **state)
{
    (void)state;
    expect_failure("f500.h5", REPLAY_500, "HTTP 500: the engine has died");
    expect_failure("f401.h5", REPLAY_401, "HTTP 401: wrong key: ");
    expect_failure("f400.h5", REPLAY_400, "HTTP 400: no such thing");
    expect_failure("fquota.h5", REPLAY_QUOTA, "no money left");
    expect_failure("fcut.h5", REPLAY_CUT, "failed 3 times for document");
    expect_failure("fhtml.h5", REPLAY_GARBAGE, "malformed response: body");
    expect_failure("fnan.h5", REPLAY_NAN, "expected a finite log-probability, found none");
    expect_failure("fshort.h5", REPLAY_SHORT, "\"prompt_logprobs\" has");
    expect_failure("fid.h5", REPLAY_HUGE_ID, "token id 99999, but the vocabulary has 320 entries");
    expect_failure("fdrop.h5", REPLAY_DROP_K, "is number 5 of the alternatives by probability; the top 5 are incomplete");
    expect_failure("franks.h5", REPLAY_RANKS, "has rank 2 but is number 1 of the alternatives");
    expect_failure("flow.h5", REPLAY_RANK_LOW, "has rank 1, but 4 others are more likely");
    expect_failure("fentropy.h5", REPLAY_ENTROPY, "found an entropy of ");
    expect_failure("fecho.h5", REPLAY_OTHER_IDS, "the server changes the prompt");
}

/* A bad answer stays in the ledger for looking at. */
static void bad_answers_are_kept(void **state)
{
    char                 out[96], command[256];
    tc_report            r;
    const replay_options o = {.fault = REPLAY_GARBAGE, .faults = -1};
    (void)state;
    ct_path(out, "bad.h5");
    const tc_options t = ct_options(out);
    begin_ledger("bad.h5");
    replay_set(ct_server, &o);
    assert_int_equal(ct_score(&t, &r), RT_ENET);
    snprintf(command, sizeof command, "%s.ledger", out);
    rt_buf b = {0};
    assert_int_equal(rt_file_read(&b, command, 1 << 24), RT_OK);
    int found = 0;
    for (size_t i = 0; i + 9 < b.len; i++) found |= !memcmp(b.p + i, "It works!", 9);
    assert_true(found);
    rt_buf_free(&b);
}

static void a_refused_connection_is_told(void **state)
{
    char      out[96];
    tc_report r;
    (void)state;
    ct_path(out, "refused.h5");
    tc_options t = ct_options(out);
    t.teacher    = "http://127.0.0.1:1";
    assert_int_equal(ct_score(&t, &r), RT_ENET);
    assert_non_null(strstr(rt_error_text(), "http://127.0.0.1:1 cannot be reached"));
    assert_false(rt_file_exists(out));
    ct_path(out, "refused.h5.ledger");
    assert_false(rt_file_exists(out));
}

/* ---- wrong input ---------------------------------------------------------------------------- */

static void expect_refused(tc_options t, rt_status wanted, const char *words)
{
    char      out[96];
    tc_report r;
    ct_path(out, "wrong.h5");
    t.out              = out;
    const rt_status st = ct_score(&t, &r);
    if (st != wanted || !strstr(rt_error_text(), words)) print_message("%s\n", rt_error_text());
    assert_int_equal(st, wanted);
    assert_non_null(strstr(rt_error_text(), words));
    assert_null(strstr(rt_error_text(), key));
    ct_path(out, "wrong.h5.ledger");
    assert_false(rt_file_exists(out)); /* what failed at once leaves nothing */
}

static void wrong_input_is_refused(void **state)
{
    tc_options     t = ct_options(NULL);
    replay_options o = {.tokenizer = "00000000000000000000000000000000000000000000000000000000000000bb"};
    char           file[96];
    (void)state;
    replay_set(ct_server, &o);
    expect_refused(t, RT_EMISMATCH, "00bb");
    expect_refused(t, RT_EMISMATCH, replay_tokenizer);
    o = (replay_options){.max_len = 20};
    replay_set(ct_server, &o);
    expect_refused(t, RT_EINVAL, "document 19 of");
    o = (replay_options){.plain = 1};
    replay_set(ct_server, &o);
    expect_refused(t, RT_EINVAL, "use --m 0");
    o = (replay_options){0};
    replay_set(ct_server, &o);
    t.model = "other";
    expect_refused(t, RT_EINVAL, "no model 'other'");
    t.model = NULL, t.k = 40;
    expect_refused(t, RT_EINVAL, "at most 32 alternatives");
    t.k = 5, t.teacher = "http://example.invalid:80";
    expect_refused(t, RT_EINVAL, "in clear");
    t.teacher = "http://user:sk-a-key-that-must-not-be-seen@127.0.0.1";
    expect_refused(t, RT_EINVAL, "holds '@'");
    t.teacher = "ftp://127.0.0.1";
    expect_refused(t, RT_EINVAL, "expected http://");
    t = ct_options(NULL);
    ct_path(file, "key");
    assert_int_equal(rt_file_write(file, key, strlen(key)), RT_OK);
    t.key_file = file;
    chmod(file, 0644);
    expect_refused(t, RT_EINVAL, "chmod 600");
    t.key_file = NULL, t.key_env = "NO_SUCH_VARIABLE";
    expect_refused(t, RT_EINVAL, "NO_SUCH_VARIABLE");
}

/* ---- nothing lost ---------------------------------------------------------------------------- */

/* The collector is killed at random moments; the last run ends with the same digest. */
static void kills_lose_nothing(void **state)
{
    char                 out[96], reference[96], a[RT_SHA_HEX], b[RT_SHA_HEX];
    rt_rng               rng    = {(uint64_t)rt_unix_time()};
    const replay_options o      = {.delay = 0.01};
    int                  killed = 0, status = 0;
    (void)state;
    ct_path(out, "killed.h5");
    ct_path(reference, "reference.h5");
    replay_set(ct_server, &o);
    for (int round = 0; round < 20; round++) {
        const pid_t child = fork();
        if (!child) {
            const tc_options t = ct_options(out);
            tc_report        r;
            _exit(ct_score(&t, &r) == RT_OK ? 0 : 1);
        }
        rt_sleep(0.12 * rt_rng_uniform(&rng));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status);
        if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_true(killed > 0);
    const tc_options t = ct_options(out);
    tc_report        r;
    assert_int_equal(ct_score(&t, &r), RT_OK);
    digest_of(reference, a);
    digest_of(out, b);
    assert_string_equal(a, b);
    assert_true(replay_requests(ct_server) < 20 * DOCS / 2); /* most answers were not asked again */
}

/* The whole folder: shards, ledgers, all that was written. */
static void no_file_holds_the_key(void **state)
{
    char **names = NULL;
    int    n     = 0;
    rt_buf path = {0}, b = {0};
    (void)state;
    assert_int_equal(rt_dir_list(&names, &n, ct_dir), RT_OK);
    for (int i = 0; i < n; i++) {
        if (!strcmp(names[i], "key")) continue;
        assert_int_equal(rt_path(&path, ct_dir, names[i]), RT_OK);
        assert_int_equal(rt_file_read(&b, path.p, 1 << 26), RT_OK);
        for (size_t at = 0; at + sizeof key <= b.len; at++) assert_false(b.p[at] == key[0] && !memcmp(b.p + at, key, sizeof key - 1));
    }
    rt_names_free(&names, n);
    rt_buf_free(&path);
    rt_buf_free(&b);
}

int main(void)
{
    rt_threads_set(1); /* the tests fork: a child has no pool */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_rows),
        cmocka_unit_test(a_second_run_asks_nothing),
        cmocka_unit_test(in_flight_is_kept),
        cmocka_unit_test(passing_faults_are_survived),
        cmocka_unit_test(lasting_faults_are_told),
        cmocka_unit_test(bad_answers_are_kept),
        cmocka_unit_test(a_refused_connection_is_told),
        cmocka_unit_test(wrong_input_is_refused),
        cmocka_unit_test(kills_lose_nothing),
        cmocka_unit_test(no_file_holds_the_key),
    };
    return cmocka_run_group_tests(tests, set_up, ct_close);
}
