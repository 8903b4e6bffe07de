/* test_json.c -- JSON that strangers write (twin keys among many, other types at the top, numbers that no integer holds), and the
 * writer of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/json.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rt_status parse(cJSON **o, const char *text, int flags)
{
    rt_buf b = {0};
    ok(rt_buf_str(&b, text));
    const rt_status st = rt_json_parse(o, b.p, b.len, flags, "text");
    rt_buf_free(&b);
    return st;
}

static void refused(const char *text, int flags, const char *word)
{
    cJSON *o;
    assert_int_equal(parse(&o, text, flags), RT_EFORMAT);
    if (!strstr(rt_error_text(), word)) fail_msg("expected '%s' in: %s", word, rt_error_text());
}

static void twins_are_found(void **state)
{
    (void)state;
    cJSON *o;
    refused("{\"a\":1,\"b\":2,\"a\":3}", 0, "\"a\" occurs twice in the top-level object");
    refused("{\"x\":[{\"y\":{\"c\":1,\"b\":2,\"c\":3}}]}", 0, "\"c\" occurs twice in \"y\"");
    refused("{\"\":1,\"\":2}", 0, "occurs twice");
    ok(parse(&o, "{\"a\":1,\"A\":2,\"x\":{\"a\":3}}", 0));
    cJSON_Delete(o);
    ok(parse(&o, "{\"a\":1,\"a\":2}", RT_JSON_DUPLICATES));
    cJSON_Delete(o);
}

/* Compared each with each, so many keys would take minutes. */
static void many_keys_take_no_longer_than_sorting(void **state)
{
    (void)state;
    enum { KEYS = 150000 };
    cJSON *o;
    rt_buf b = {0};
    for (int i = 0; i < KEYS; i++) ok(rt_buf_fmt(&b, "%c\"a rather long name of a key %d\":0", i ? ',' : '{', i));
    ok(rt_buf_str(&b, "}"));
    const double begin = rt_now();
    ok(rt_json_parse(&o, b.p, b.len, 0, "text"));
    assert_true(rt_now() - begin < 20);
    cJSON_Delete(o);
    rt_buf_free(&b);
}

static void the_top_is_an_object(void **state)
{
    (void)state;
    cJSON *o;
    refused("[{\"a\":1}]", 0, "found an array");
    refused("\"a\"", 0, "found a string");
    refused("3", 0, "found a number");
    refused("null", 0, "found true, false or null");
    refused("", 0, "expected JSON");
    ok(parse(&o, "[1]", RT_JSON_ANY));
    cJSON_Delete(o);
}

static void numbers_fit_before_they_are_cast(void **state)
{
    (void)state;
    static const char *const bad[] = {"1e300", "-1e300", "1e999", "1.5", "9007199254740994", "\"3\"", "true", "[3]", "{}"};
    cJSON                   *o;
    char                     text[64];
    int64_t                  v = 7;
    double                   x = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "{\"n\":%s}", bad[i]);
        ok(parse(&o, text, 0));
        assert_int_equal(rt_json_int(o, "n", &v, "text"), RT_EFORMAT);
        assert_false(rt_json_whole(cJSON_GetObjectItemCaseSensitive(o, "n"), -((int64_t)1 << 53), (int64_t)1 << 53, &v));
        cJSON_Delete(o);
    }
    ok(parse(&o, "{\"n\":-9007199254740992,\"m\":100,\"x\":1e999,\"none\":null}", 0));
    ok(rt_json_int(o, "n", &v, "text"));
    assert_true(v == -9007199254740992);
    assert_true(rt_json_whole(cJSON_GetObjectItemCaseSensitive(o, "m"), 0, 100, &v) && v == 100);
    assert_false(rt_json_whole(cJSON_GetObjectItemCaseSensitive(o, "m"), 0, 99, &v));
    assert_false(rt_json_whole(cJSON_GetObjectItemCaseSensitive(o, "m"), 101, 200, &v));
    assert_false(rt_json_whole(NULL, 0, 1, &v));
    assert_true(v == 100);
    assert_int_equal(rt_json_real(o, "x", &x, "text"), RT_EFORMAT);
    ok(rt_json_real(o, "none", &x, "text"));
    assert_true(x == 7);
    cJSON_Delete(o);
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* What was written is `text`, and JSON. */
static void wrote(rt_json_writer *w, const char *text)
{
    cJSON *o;
    ok(w->st);
    assert_int_equal(w->depth, 0);
    assert_string_equal(w->out->p, text);
    ok(parse(&o, text, RT_JSON_ANY));
    cJSON_Delete(o);
    rt_buf_free(w->out);
}

static void commas_and_brackets_are_the_writers(void **state)
{
    (void)state;
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_array(&w, "none");
    rt_put_end(&w);
    rt_put_array(&w, "pairs");
    for (int i = 0; i < 2; i++) {
        rt_put_array(&w, NULL);
        rt_put_int(&w, NULL, i);
        rt_put_int(&w, NULL, INT64_MIN);
        rt_put_end(&w);
    }
    rt_put_end(&w);
    rt_put_object(&w, "in");
    rt_put_bool(&w, "yes", 2);
    rt_put_bool(&w, "no", 0);
    rt_put_end(&w);
    rt_put_null(&w, "last");
    rt_put_end(&w);
    wrote(&w,
          "{\"none\":[],\"pairs\":[[0,-9223372036854775808],[1,-9223372036854775808]],\"in\":{\"yes\":true,\"no\":false},\"last\":null}");
}

static void strings_and_keys_are_escaped(void **state)
{
    (void)state;
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "a \"key\"", "back\\ line\n tab\t del\x7f \xc3\xa4 bad\xff");
    rt_put_bytes(&w, "nul", "a\0b", 3);
    rt_put_text(&w, "none", NULL);
    rt_put_key(&w, "k\0\"", 3);
    rt_put_object(&w, NULL);
    rt_put_raw_key(&w, "\"raw\"", 5);
    rt_put_raw(&w, NULL, "[1, 2]", 6);
    rt_put_raw(&w, NULL, "\"x\":1,\"y\":2", 11);
    rt_put_end(&w);
    rt_put_format(&w, "seed", "%llu", 18446744073709551615ULL);
    rt_put_end(&w);
    wrote(&w, "{\"a \\\"key\\\"\":\"back\\\\ line\\n tab\\u0009 del\\u007f \xc3\xa4 bad\xef\xbf\xbd\",\"nul\":\"a\\u0000b\",\"none\":null,"
              "\"k\\u0000\\\"\":{\"raw\":[1, 2],\"x\":1,\"y\":2},\"seed\":\"18446744073709551615\"}");
}

static void numbers_are_numbers_or_null(void **state)
{
    (void)state;
    static const double x[] = {0.1, 1e300, -2.0 / 3, NAN, INFINITY, -INFINITY};
    rt_buf              b   = {0};
    rt_json_writer      w   = {.out = &b};
    rt_put_array(&w, NULL);
    for (int i = 0; i < 6; i++) rt_put_real(&w, NULL, x[i], 9);
    for (int i = 2; i < 6; i++) rt_put_fixed(&w, NULL, x[i], 3);
    rt_put_end(&w);
    wrote(&w, "[0.1,1e+300,-0.666666667,null,null,null,-0.667,null,null,null]");
}

static void outer_levels_stand_on_lines(void **state)
{
    (void)state;
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b, .lines = 1};
    rt_put_object(&w, NULL);
    rt_put_int(&w, "a", 1);
    rt_put_object(&w, "flat");
    rt_put_text(&w, "b", "c");
    rt_put_array(&w, "d");
    rt_put_int(&w, NULL, 1);
    rt_put_int(&w, NULL, 2);
    rt_put_end(&w);
    rt_put_end(&w);
    w.lines = 2;
    rt_put_array(&w, "lines");
    rt_put_int(&w, NULL, 3);
    rt_put_int(&w, NULL, 4);
    rt_put_end(&w);
    rt_put_end(&w);
    rt_put_line_end(&w);
    wrote(&w, "{\n  \"a\": 1,\n  \"flat\": {\"b\": \"c\", \"d\": [1, 2]},\n  \"lines\": [\n    3,\n    4\n  ]\n}\n");
}

/* `st` keeps the first failure, and the text ends where that happened. */
static void nothing_is_written_after_a_failure(void **state)
{
    (void)state;
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    for (int i = 0; i < RT_JSON_DEPTH; i++) rt_put_array(&w, NULL);
    ok(w.st);
    rt_put_array(&w, NULL);
    rt_put_text(&w, "key", "text");
    rt_put_int(&w, NULL, 1);
    rt_put_end(&w);
    assert_int_equal(w.st, RT_EINVAL);
    assert_string_equal(b.p, "[[[[[[[[[[[[[[[[");
    rt_buf_clear(&b);
    w = (rt_json_writer){.out = &b};
    rt_put_int(&w, NULL, 1);
    rt_put_end(&w);
    w.st = w.st == RT_EINVAL ? RT_ENOSPC : RT_OK; /* set by a caller */
    rt_put_format(&w, NULL, "%0200d", 0);
    assert_int_equal(w.st, RT_ENOSPC);
    assert_string_equal(b.p, "1");
    w = (rt_json_writer){.out = &b};
    rt_put_format(&w, NULL, "%0127d", 0);
    ok(w.st);
    rt_put_format(&w, NULL, "%0128d", 0);
    assert_int_equal(w.st, RT_EINVAL);
    rt_buf_free(&b);
}

static void a_detached_text_is_the_callers(void **state)
{
    (void)state;
    rt_buf b = {0};
    assert_null(rt_buf_detach(&b));
    ok(rt_buf_str(&b, "text"));
    char *text = rt_buf_detach(&b);
    assert_null(b.p);
    assert_true(b.len == 0 && b.cap == 0);
    ok(rt_buf_str(&b, "other"));
    assert_string_equal(text, "text");
    free(text);
    rt_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twins_are_found),
        cmocka_unit_test(many_keys_take_no_longer_than_sorting),
        cmocka_unit_test(the_top_is_an_object),
        cmocka_unit_test(numbers_fit_before_they_are_cast),
        cmocka_unit_test(commas_and_brackets_are_the_writers),
        cmocka_unit_test(strings_and_keys_are_escaped),
        cmocka_unit_test(numbers_are_numbers_or_null),
        cmocka_unit_test(outer_levels_stand_on_lines),
        cmocka_unit_test(nothing_is_written_after_a_failure),
        cmocka_unit_test(a_detached_text_is_the_callers),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
