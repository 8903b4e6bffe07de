/* test_teacher_losses.c -- single requests that cannot be answered: the run goes on without them and says so;
 * texts that ended badly are kept out. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/clock.h"
#include "core/file.h"
#include "teacher/dialect.h"
#include "teacher/ledger.h"
#include "teacher/teacher.h"
#include "tests/support/collect.h"
#include "tests/support/replay.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DOCS = 24 };

/* Document d is the ids 200 + d, d, d + 1. */
static rt_status write_input(void)
{
    ds_writer *w = NULL;
    RT_TRY(ct_input(&w));
    for (int d = 0; d < DOCS; d++) {
        const int32_t ids[] = {200 + d, d, d + 1};
        const ds_doc  doc   = {.n = 3, .ids = ids, .cost = (double)NAN};
        RT_TRY(ds_writer_add(w, &doc));
    }
    return ds_writer_finish(&w);
}

static int set_up(void **state) { return ct_open(state) || ct_learn() || write_input() != RT_OK ? -1 : 0; }

static rt_status score(const char *name, const replay_options *server_is, const char *max_failed, tc_report *r)
{
    char out[96];
    ct_path(out, name);
    tc_options o = ct_options(out);
    o.max_failed = max_failed;
    replay_set(ct_server, server_is);
    return ct_score(&o, r);
}

static void expect_text(const char *words)
{
    if (!strstr(rt_error_text(), words)) print_message("%s\n", rt_error_text());
    assert_non_null(strstr(rt_error_text(), words));
}

static int64_t documents_of(const char *name)
{
    char      path[96];
    ds_shard *s = NULL;
    ct_path(path, name);
    assert_int_equal(ds_shard_open(&s, path), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    const int64_t n = ds_shard_docs(s);
    ds_shard_close(&s);
    return n;
}

/* ---- single requests -------------------------------------------------------------------------- */

static void one_bad_request_does_not_end_the_run(void **state)
{
    static const replay_fault faults[] = {REPLAY_400, REPLAY_500, REPLAY_CUT, REPLAY_GARBAGE, REPLAY_NAN, REPLAY_ERROR_200};
    static const char *const  why[]    = {
            "HTTP 400: no such thing",  "HTTP 500: the engine has died",     "transfer closed",
            "malformed response: body", "expected a finite log-probability", "HTTP 200 with an error: Rate limit reached"};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char                 name[32];
        tc_report            r;
        const replay_options o = {.fault = faults[i], .faults = -1, .only = "[207,7,8]"};
        snprintf(name, sizeof name, "one%zu.h5", i);
        const rt_status st = score(name, &o, NULL, &r);
        if (st != RT_OK) print_message("%zu: %s\n", i, rt_error_text());
        assert_int_equal(st, RT_OK);
        assert_int_equal(r.failed, 1);
        assert_int_equal(r.documents, DOCS - 1);
        assert_int_equal(r.failures.used, 1);
        if (!strstr(r.failures.name[0], why[i])) print_message("%s\n", r.failures.name[0]);
        assert_non_null(strstr(r.failures.name[0], why[i]));
        assert_int_equal(documents_of(name), DOCS - 1);
        /* a 400 is not asked again, the others are: twice */
        assert_int_equal(replay_requests(ct_server), DOCS + 1 + (faults[i] == REPLAY_400 ? 0 : 2));
        assert_int_equal(score(name, &o, NULL, &r), RT_OK);
        assert_true(r.already);
        assert_int_equal(r.failed, 1);
    }
}

/* Without its shard, the same command asks for what failed, and for nothing else. */
static void what_failed_is_asked_again(void **state)
{
    char                 path[96];
    tc_report            r;
    const replay_options fine = {0};
    (void)state;
    ct_path(path, "one1.h5");
    assert_int_equal(remove(path), 0);
    assert_int_equal(score("one1.h5", &fine, NULL, &r), RT_OK);
    assert_int_equal(r.known, DOCS - 1);
    assert_int_equal(r.received, 1);
    assert_int_equal(r.failed, 0);
    assert_int_equal(documents_of("one1.h5"), DOCS);
}

static void the_ledger_has_the_reason(void **state)
{
    char   path[96];
    rt_buf b     = {0};
    int    found = 0;
    (void)state;
    ct_path(path, "one0.h5.ledger");
    assert_int_equal(rt_file_read(&b, path, 1 << 24), RT_OK);
    for (size_t i = 0; i + 23 < b.len; i++) found |= !memcmp(b.p + i, "HTTP 400: no such thing", 23);
    assert_true(found);
    rt_buf_free(&b);
}

static void too_many_end_the_run(void **state)
{
    tc_report            r;
    const replay_options one = {.fault = REPLAY_400, .faults = -1, .only = "[207,7,8]"},
                         all = {.fault = REPLAY_400, .faults = -1, .only = "[2"}, some = {.fault = REPLAY_400, .faults = -1, .only = "[20"};
    (void)state;
    assert_int_equal(score("limit.h5", &one, "1%", &r), RT_ENET); /* 1% of 24 is none */
    expect_text("HTTP 400: no such thing; 1 requests failed, but at most 0 may fail (--max-failed)");
    assert_int_equal(score("limit.h5", &one, "5%", &r), RT_OK); /* 5% of 24 is one */
    assert_int_equal(score("few.h5", &some, NULL, &r), RT_OK);  /* the first ten */
    assert_int_equal(r.failed, 10);
    assert_int_equal(score("fewer.h5", &some, "9", &r), RT_ENET);
    expect_text("10 requests failed, but at most 9 may fail");
    assert_int_equal(score("none.h5", &all, "100%", &r), RT_ENET);
    expect_text("the last 16 requests have all failed");
    assert_int_equal(score("wrong.h5", &one, "1 %", &r), RT_EINVAL);
    assert_int_equal(score("wrong.h5", &one, "101%", &r), RT_EINVAL);
    assert_int_equal(score("wrong.h5", &one, "0.5", &r), RT_EINVAL);
}

/* What failed before is asked last: even a run of bad requests longer than what ends a run is got past. */
static void every_run_comes_further(void **state)
{
    const replay_options some = {.fault = REPLAY_400, .faults = -1, .only = "[2"};
    tc_report            r;
    (void)state;
    assert_int_equal(score("on.h5", &some, "100%", &r), RT_ENET);
    expect_text("the last 16 requests have all failed");
    const replay_options late = {.fault = REPLAY_400, .faults = -1, .only = "[20"};
    assert_int_equal(score("on.h5", &late, "9", &r), RT_ENET);
    assert_true(r.received >= DOCS - 16 - 4); /* four more were under way in the first run */
}

/* ---- texts ------------------------------------------------------------------------------------ */

static const char recipe[] =
    "{\"name\": \"g\", \"kind\": \"completion\", \"template\": \"{topic} (noun):\", \"topics\": [\"fire\", \"stone\"],"
    " \"sampling\": {\"max_tokens\": 12}}";
static const char chat[] = "{\"name\": \"c\", \"kind\": \"chat\", \"template\": \"Tell about {topic}.\", \"topics\": [\"fire\", \"stone\","
                           " \"wood\", \"ice\"]}";

static rt_status write_book(const char *name, const char *text, const replay_options *server_is, const char *finish, tc_report *r)
{
    tc_textbook_options t = {.count = 8, .min_tokens = 2, .text_only = text == chat};
    if (finish) t.finish = (rt_strings){{finish}, 1};
    return ct_book(name, text, t, server_is, r);
}

static void a_text_that_is_refused_is_counted(void **state)
{
    const replay_options null = {.plain = 1, .fault = REPLAY_NULL_TEXT, .faults = -1, .only = "about wood"},
                         mute = {.plain = 1, .fault = REPLAY_NULL_MUTE, .faults = -1, .only = "about wood"};
    tc_report r;
    (void)state;
    assert_int_equal(write_book("null.h5", chat, &null, NULL, &r), RT_OK);
    assert_int_equal(r.failed, 2);
    assert_string_equal(r.failures.name[0], "the response has no text; finish_reason \"content_filter\"");
    assert_int_equal(replay_requests(ct_server), 8); /* the server said why: once each */
    assert_int_equal(write_book("mute.h5", chat, &mute, NULL, &r), RT_OK);
    assert_int_equal(r.failed, 2);
    assert_int_equal(replay_requests(ct_server), 8 + 2 * 2);
}

static void texts_that_ended_badly_are_kept_out(void **state)
{
    static const char *const bad[]   = {"\"abort\"", "null", "\"content_filter\"", "\"error\""};
    static const char *const words[] = {"abort", "none", "content_filter", "error"};
    static const char *const good[]  = {"\"stop\"", "\"length\"", "\"eos_token\""};
    tc_report                r;
    char                     name[32];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const replay_options o = {.plain = 1, .finish = bad[i], .words = ct_words};
        snprintf(name, sizeof name, "bad%zu.h5", i);
        assert_int_equal(write_book(name, recipe, &o, NULL, &r), RT_EINVAL);
        expect_text("8 for their finish reason");
        expect_text(words[i]);
        assert_int_equal(write_book(name, recipe, &o, words[i], &r), RT_OK); /* asked for: kept, from the ledger */
        assert_int_equal(r.documents, 8);
        assert_int_equal(r.received, 0);
        snprintf(name, sizeof name, "badchat%zu.h5", i);
        assert_int_equal(write_book(name, chat, &o, NULL, &r), RT_EINVAL);
        expect_text(words[i]);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const replay_options o = {.plain = 1, .finish = good[i], .words = ct_words};
        snprintf(name, sizeof name, "good%zu.h5", i);
        assert_int_equal(write_book(name, recipe, &o, NULL, &r), RT_OK);
        assert_int_equal(r.documents, 8);
        assert_int_equal(r.ends.used, 0);
        snprintf(name, sizeof name, "filtered%zu.h5", i);
        assert_int_equal(write_book(name, recipe, &o, "abort", &r), RT_EINVAL);
    }
}

static void two_sources_that_differ_are_refused(void **state)
{
    static const struct {
        replay_fault f;
        const char  *words;
    } faults[] = {{REPLAY_NAMES, "but logprobs.tokens has"},
                  {REPLAY_DROP_K, "the server seems to put it in the place of token 5 of the top"},
                  {REPLAY_ENTROPY, "found an entropy of "},
                  {REPLAY_TWO, "found another choice"},
                  {REPLAY_TEXT, "are not the words of the ids"}};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const replay_options o    = {.fault = faults[i].f, .faults = -1, .only = "max_tokens\":12", .words = ct_words},
                             fine = {.words = ct_words};
        char      name[32];
        tc_report r;
        snprintf(name, sizeof name, "differ%zu.h5", i);
        assert_int_equal(write_book(name, recipe, &o, NULL, &r), RT_ENET);
        expect_text(faults[i].words);
        assert_int_equal(write_book(name, recipe, &fine, NULL, &r), RT_OK);
    }
}

/* Answers too short to tell by themselves are told apart together, before the shard is written. */
static void short_answers_are_looked_at_together(void **state)
{
    char                 brief[sizeof recipe];
    const replay_options o = {.fault = REPLAY_DROP_K, .faults = -1, .only = "max_tokens\":8", .plain = 1, .words = ct_words};
    tc_report            r;
    (void)state;
    snprintf(brief, sizeof brief, "%s", recipe);
    memcpy(strstr(brief, "12}}"), "8 }}", 4);
    const rt_status st = write_book("brief.h5", brief, &o, NULL, &r);
    if (st != RT_EFORMAT) print_message("%s\n", rt_error_text());
    assert_int_equal(st, RT_EFORMAT);
    expect_text("the server seems to put it in the place of token 5 of the top");
}

/* Rows whose written token is the last of k, as often as its probability says, and every time. */
static void ranks_are_counted(void **state)
{
    enum { ROWS = 60, K = 3 };
    int32_t     ids[ROWS + 1], top[ROWS * K];
    uint8_t     valid[ROWS + 1] = {0};
    float       lp[ROWS * K];
    tc_response x = {.n = ROWS + 1, .ids = ids, .rows = {.n = ROWS + 1, .k = K, .valid = valid, .topk_ids = top, .topk_logprob = lp}};
    (void)state;
    for (int every = 1; every <= 10; every += 9) {
        tc_ranks p = {0};
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < K; j++) top[i * K + j] = 10 + j, lp[i * K + j] = logf(j == 2 ? 0.1F : 0.4F);
            ids[i + 1] = i % every ? 10 : 12, valid[i] = 1;
        }
        tc_ranks_add(&p, &x);
        assert_int_equal(p.last, ROWS / every);
        assert_float_equal(p.expected, 6, 1e-4);
        assert_int_equal(tc_ranks_check(&p, K, 1), every == 1 ? RT_EFORMAT : RT_OK);
        assert_int_equal(tc_ranks_check(&p, K, 1.5), RT_OK);
        p.outside = 1;
        assert_int_equal(tc_ranks_check(&p, K, 1), RT_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_bad_request_does_not_end_the_run),
        cmocka_unit_test(what_failed_is_asked_again),
        cmocka_unit_test(the_ledger_has_the_reason),
        cmocka_unit_test(too_many_end_the_run),
        cmocka_unit_test(every_run_comes_further),
        cmocka_unit_test(a_text_that_is_refused_is_counted),
        cmocka_unit_test(texts_that_ended_badly_are_kept_out),
        cmocka_unit_test(two_sources_that_differ_are_refused),
        cmocka_unit_test(short_answers_are_looked_at_together),
        cmocka_unit_test(ranks_are_counted),
    };
    return cmocka_run_group_tests(tests, set_up, ct_close);
}
