/* test_json.c -- JSON that strangers write: twin keys among many, other types at the top, numbers that no integer holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/json.h"
#include "tests/support/check.h"
#include <stdio.h>
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
    refused("{\"a\":1,\"b\":2,\"a\":3}", 0, "\"a\" stands twice in the top object");
    refused("{\"x\":[{\"y\":{\"c\":1,\"b\":2,\"c\":3}}]}", 0, "\"c\" stands twice in \"y\"");
    refused("{\"\":1,\"\":2}", 0, "stands twice");
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
    refused("null", 0, "found a word");
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
        assert_false(rt_json_whole(cJSON_GetObjectItemCaseSensitive(o, "n"), INT64_MIN, (int64_t)1 << 53, &v));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twins_are_found),
        cmocka_unit_test(many_keys_take_no_longer_than_sorting),
        cmocka_unit_test(the_top_is_an_object),
        cmocka_unit_test(numbers_fit_before_they_are_cast),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
