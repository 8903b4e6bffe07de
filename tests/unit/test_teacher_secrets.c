/* test_teacher_secrets.c -- where a key may go, and what a server's words may do on a terminal. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/file.h"
#include "core/json.h"
#include "core/threads.h"
#include "teacher/endpoint.h"
#include "tests/support/collect.h"
#include "tests/support/replay.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char key[] = "sk-Zq7/Ab9/XYZ&\"secret\\%KEY42";

/* ---- where the key may go ---------------------------------------------------------------------- */

static rt_status endpoint(const char *address)
{
    tc_endpoint e;
    tc_options  o = tc_options_default();
    o.teacher     = address;
    return tc_endpoint_make(&e, &o);
}

static void loopback_is_an_address(void **state)
{
    static const char *const here[]  = {"http://127.0.0.1:8000", "http://127.0.0.1",   "http://127.8.9.1:1/v1", "http://[::1]:8000",
                                        "http://localhost",      "http://localhost:1", "https://example.org"};
    static const char *const there[] = {"http://127.evil.example:8000",
                                        "http://127.0.0.1.evil.example",
                                        "http://127.0.0.1x:80",
                                        "http://127.1:80",
                                        "http://localhost.evil.example",
                                        "http://localhostx",
                                        "http://[::1].evil.example.:80",
                                        "http://[::2]:80",
                                        "http://[::1x]:80",
                                        "http://128.0.0.1",
                                        "http://10.0.0.1"};
    (void)state;
    setenv("RETORT_API_KEY", key, 1);
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) assert_int_equal(endpoint(here[i]), RT_OK);
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        if (endpoint(there[i]) == RT_OK) print_message("%s\n", there[i]);
        assert_int_equal(endpoint(there[i]), RT_EINVAL);
        assert_non_null(strstr(rt_error_text(), "in clear"));
    }
}

/* ---- what comes back ------------------------------------------------------------------------- */

/* The key with each letter written as `letter` does it. */
static void write_key(rt_buf *b, void (*letter)(rt_buf *b, char c))
{
    rt_buf_clear(b);
    rt_buf_str(b, "before ");
    for (const char *p = key; *p; p++) letter(b, *p);
    rt_buf_str(b, " after");
}

static void plain(rt_buf *b, char c) { rt_buf_fmt(b, "%c", c); }
static void json(rt_buf *b, char c) { rt_buf_fmt(b, strchr("/\"\\", c) ? "\\%c" : "%c", c); }
static void json_twice(rt_buf *b, char c) { rt_buf_fmt(b, c == '"' ? "\\\\\\%c" : c == '\\' ? "\\\\\\%c" : "%c", c); }
static void unicode(rt_buf *b, char c) { rt_buf_fmt(b, "\\u%04X", (unsigned char)c); }
static void unicode_twice(rt_buf *b, char c) { rt_buf_fmt(b, "\\\\u%04x", (unsigned char)c); }
static void hex(rt_buf *b, char c) { rt_buf_fmt(b, "\\x%02x", (unsigned char)c); }
static void percent(rt_buf *b, char c) { rt_buf_fmt(b, strchr("/&\"\\%", c) ? "%%%02X" : "%c", (unsigned char)c); }
static void html(rt_buf *b, char c) { rt_buf_fmt(b, c == '&' ? "&amp;" : c == '"' ? "&quot;" : c == '/' ? "&#x2F;" : "%c", c); }
static void html_numbers(rt_buf *b, char c) { rt_buf_fmt(b, "&#%d;", (unsigned char)c); }
static void wide(rt_buf *b, char c)
{
    const char two[2] = {0, c};
    rt_buf_add(b, two, 2);
}

static void no_form_of_the_key_is_left(void **state)
{
    static void (*const forms[])(rt_buf *, char) = {plain, json,         json_twice, unicode, unicode_twice,
                                                    hex,   html_numbers, percent,    html,    wide};
    tc_endpoint e                                = {.key = ""};
    rt_buf      b                                = {0};
    (void)state;
    snprintf(e.key, sizeof e.key, "%s", key);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        write_key(&b, forms[i]);
        tc_endpoint_scrub(&e, b.p, b.len);
        for (size_t at = 7; at + 6 < b.len; at++) assert_true(b.p[at] == '*' || !b.p[at]);
        assert_memory_equal(b.p, "before ", 7);
        assert_memory_equal(b.p + b.len - 6, " after", 6);
    }
    static const char other[] = "sk-Zq7 \\u0073k-Zq7\\/Ab9 &amp; %2F \\\\ sk-";
    char              text[sizeof other];
    memcpy(text, other, sizeof other);
    tc_endpoint_scrub(&e, text, sizeof text - 1);
    assert_string_equal(text, other);
    rt_buf_free(&b);
}

/* Forms of one key, written out. */
static void no_coding_of_the_key_is_left(void **state)
{
    static const char *const forms[] = {"sk-Zq7/Ab\n9+XYZsecretKEY42",
                                        "sk-Zq7/Ab9\x01+XYZsecret\xe2\x80\x8bKEY42",
                                        "sk-Zq7/Ab9&plus;XYZsecretKEY42",
                                        "sk-Zq7&#00000000047;Ab9+XYZsecretKEY42",
                                        "sk-Zq7%252FAb9+XYZsecretKEY42",
                                        "sk-Zq7&amp;#47;Ab9+XYZsecretKEY42",
                                        "sk-Zq7\\057Ab9+XYZsecretKEY42",
                                        "sk-Zq7\\u{2f}Ab9+XYZsecretKEY42",
                                        "sk-Zq7\\U0000002fAb9+XYZsecretKEY42",
                                        "&#115 &#107 -Zq7/Ab9+XYZsecretKEY42",
                                        "SK-ZQ7/AB9+XYZSECRETKEY42",
                                        "sk-Zq7/Ab9+XYZ=\r\nsecretKEY42",
                                        "c2stWnE3L0FiOStYWVpzZWNyZXRLRVk0Mg==",
                                        "QmVhcmVyIHNrLVpxNy9BYjkrWFlac2VjcmV0S0VZNDI=",
                                        "736b2d5a71372f4162392b58595a7365637265744b45593432",
                                        "24YEKtercesZYX+9bA/7qZ-ks"};
    tc_endpoint              e       = {.key = "sk-Zq7/Ab9+XYZsecretKEY42"};
    char                     text[128];
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        snprintf(text, sizeof text, "before %s after", forms[i]);
        tc_endpoint_scrub(&e, text, strlen(text));
        const size_t stars = strspn(text + 7, "*");
        if (stars < 20 || strspn(text + 7 + stars, "=") + 7 + stars + 6 != strlen(text)) fail_msg("%s: %s", forms[i], text);
    }
}

static rt_status score(const char *name, const replay_options *o)
{
    char          out[96];
    tc_report     r;
    ds_writer    *w     = NULL;
    const int32_t ids[] = {5, 6, 7};
    const ds_doc  doc   = {.n = 3, .ids = ids, .cost = (double)NAN};
    ct_path(out, name);
    if (!rt_file_exists(ct_in)) {
        assert_int_equal(ct_input(&w), RT_OK);
        assert_int_equal(ds_writer_add(w, &doc), RT_OK);
        assert_int_equal(ds_writer_finish(&w), RT_OK);
    }
    tc_options x = ct_options(out);
    x.retries    = 0;
    replay_set(ct_server, o);
    return ct_score(&x, &r);
}

static void an_escaped_key_is_not_told(void **state)
{
    const replay_options o     = {.fault = REPLAY_401_ESC, .faults = -1};
    char               **names = NULL;
    int                  n     = 0;
    rt_buf               path = {0}, b = {0};
    (void)state;
    assert_int_equal(score("key.h5", &o), RT_ENET);
    assert_non_null(strstr(rt_error_text(), "wrong key: ***"));
    assert_null(strstr(rt_error_text(), "XYZ"));
    assert_int_equal(rt_dir_list(&names, &n, ct_dir), RT_OK);
    for (int i = 0; i < n; i++) {
        assert_int_equal(rt_path(&path, ct_dir, names[i]), RT_OK);
        assert_int_equal(rt_file_read(&b, path.p, 1 << 26), RT_OK);
        for (size_t at = 0; at + 3 <= b.len; at++) assert_false(!memcmp(b.p + at, "XYZ", 3));
    }
    rt_names_free(&names, n);
    rt_buf_free(&path);
    rt_buf_free(&b);
}

/* From a run with a key on, a crash leaves no core file. */
static void no_core_dump_holds_the_key(void **state)
{
    (void)state;
    for (int with_key = 0; with_key < 2; with_key++) {
        const pid_t child = fork();
        if (!child) {
            const replay_options o = {0};
            if (chdir(ct_dir)) _exit(2);
            prctl(PR_SET_DUMPABLE, 1);
            if (!with_key) unsetenv("RETORT_API_KEY");
            score(with_key ? "with.h5" : "without.h5", &o);
            _exit(prctl(PR_GET_DUMPABLE));
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), with_key ? 0 : 1);
    }
}

/* ---- terminals --------------------------------------------------------------------------------- */

static void expect_clean(const char *text)
{
    for (const char *p = text; *p; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    assert_null(strstr(text, "\xc2\x9b"));
    assert_null(strstr(text, "\xe2\x80\xae"));
}

static void no_answer_commands_a_terminal(void **state)
{
    const replay_options o      = {.fault = REPLAY_CONTROL, .faults = -1};
    char                 text[] = "a\x1b[31m\nb\tc\x7f\xc2\x9b"
                                  "d\xe2\x80\xae"
                                  "e\xff"
                                  "f\xc3\xa9\xe2\x80\x94";
    (void)state;
    assert_int_equal(score("esc.h5", &o), RT_EFORMAT); /* already the probe meets it */
    expect_clean(rt_error_text());
    rt_text_clean(text);
    assert_string_equal(text, "a?[31m b c???d???e?f\xc3\xa9\xe2\x80\x94");
    rt_fail(RT_EINVAL, "f", 1, "found \"%s\"", "x\x1b]0;title\x07");
    assert_string_equal(rt_error_text(), "found \"x?]0;title?\"");
}

/* ---- texts with a NUL -------------------------------------------------------------------------- */

static void a_string_may_hold_nul(void **state)
{
    char json_text[] = "{\"a\\u0000b\":\"x\\u0000y\\\\u0000z\",\"c\":\"\\u0000\"}", raw[] = "{\"a\":\"x\0y\"}", padded[] = "{\"a\":1}\0\0";
    cJSON *o = NULL;
    rt_buf b = {0};
    (void)state;
    assert_int_equal(rt_json_parse(&o, json_text, sizeof json_text - 1, 0, "t"), RT_OK);
    assert_int_equal(rt_json_bytes(&b, o->child->valuestring), RT_OK);
    assert_int_equal(b.len, 10);
    assert_memory_equal(b.p, "x\0y\\u0000z", 11);
    rt_buf_clear(&b);
    assert_int_equal(rt_json_bytes(&b, o->child->next->valuestring), RT_OK);
    assert_int_equal(b.len, 1);
    cJSON_Delete(o);
    assert_int_equal(rt_json_parse(&o, raw, sizeof raw - 1, RT_JSON_LENIENT, "t"), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "a NUL byte"));
    assert_int_equal(rt_json_parse(&o, padded, sizeof padded - 1, 0, "t"), RT_OK);
    cJSON_Delete(o);
    assert_int_equal(rt_json_parse(&o, NULL, 0, RT_JSON_LENIENT, "t"), RT_EFORMAT);
    rt_buf_free(&b);
}

int main(void)
{
    rt_threads_set(1); /* the tests fork: a child has no pool */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_an_address),       cmocka_unit_test(no_form_of_the_key_is_left),
        cmocka_unit_test(no_coding_of_the_key_is_left), cmocka_unit_test(an_escaped_key_is_not_told),
        cmocka_unit_test(no_core_dump_holds_the_key),   cmocka_unit_test(no_answer_commands_a_terminal),
        cmocka_unit_test(a_string_may_hold_nul),
    };
    return cmocka_run_group_tests(tests, ct_open, ct_close);
}
