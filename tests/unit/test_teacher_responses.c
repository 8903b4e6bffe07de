/* test_teacher_responses.c -- single responses: what is refused in a row of alternatives, and which replies are errors. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "core/json.h"
#include "teacher/dialect.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- rows ------------------------------------------------------------------------------------- */

/* Alternatives are 3 (0.5), 4 (0.2), 5 (0.1) and the actual token 6 (0.05, the fourth); three are asked for. */
static rt_status read_row(const char *row)
{
    enum { N = 2, K = 3 };
    int32_t     ids[N] = {1, 6}, top[N * K];
    uint8_t     valid[N];
    float       lp[N * K], actual[N], rest[N];
    tc_response x = {
        .n    = N,
        .ids  = ids,
        .rows = {.n = N, .k = K, .valid = valid, .topk_ids = top, .topk_logprob = lp, .actual_logprob = actual, .tail_mass = rest}};
    const tc_request a = {.k = K, .vocab = 10};
    cJSON           *o = cJSON_Parse(row);
    assert_non_null(o);
    const rt_status st = tc_row_read(&x, &a, 0, o, (double)NAN, "row", 0);
    if (st == RT_OK) assert_int_equal(top[0], 3);
    cJSON_Delete(o);
    return st;
}

#define FOUR(r3, r4, r5, r6)                                                                                                               \
    "{\"6\":{\"logprob\":-2.9957" r6 "},\"3\":{\"logprob\":-0.6931" r3 "},\"4\":{\"logprob\":-1.6094" r4 "},\"5\":{\"logprob\":-2.3026" r5 \
    "}}"
#define THREE(r3, r4, r6) "{\"6\":{\"logprob\":-2.9957" r6 "},\"3\":{\"logprob\":-0.6931" r3 "},\"4\":{\"logprob\":-1.6094" r4 "}}"
#define RANK(r)           ",\"rank\":" r

static void ranks_cannot_be_switched_off(void **state)
{
    static const struct {
        const char *row, *words;
    } bad[] = {
        {THREE(RANK("1"), RANK("2"), RANK("4")), "the top 3 are incomplete"},
        {THREE(RANK("1"), RANK("2"), ""), "2 of 3 alternatives have a rank"},
        {THREE(RANK("1"), RANK("2"), RANK("null")), "2 of 3 alternatives have a rank"},
        {THREE("", RANK("2"), RANK("4")), "2 of 3 alternatives have a rank"},
        {THREE(RANK("\"1\""), RANK("\"2\""), RANK("\"4\"")), "must be a positive integer"},
        {THREE(RANK("-1"), RANK("-2"), RANK("-4")), "must be a positive integer"},
        {THREE(RANK("1.5"), RANK("2.5"), RANK("4.5")), "must be a positive integer"},
        {THREE(RANK("0"), RANK("0"), RANK("0")), "must be a positive integer"},
        {THREE(RANK("1e300"), RANK("2"), RANK("4")), "must be a positive integer"},
        {THREE(RANK("[1]"), RANK("true"), RANK("{}")), "must be a positive integer"},
    };
    (void)state;
    assert_int_equal(read_row(FOUR(RANK("1"), RANK("2"), RANK("3"), RANK("4"))), RT_OK);
    assert_int_equal(read_row(FOUR("", "", "", "")), RT_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_row(bad[i].row) == RT_OK) fail_msg("taken: %s", bad[i].row);
        if (!strstr(rt_error_text(), bad[i].words)) fail_msg("%s", rt_error_text());
    }
}

/* ---- errors under a status of success ------------------------------------------------------------- */

static tc_class classify(const char *body, char *why, size_t n)
{
    tc_outcome out;
    tc_reply   r = {.status = 200};
    assert_int_equal(rt_buf_str(&r.body, body), RT_OK);
    tc_classify(&out, &r);
    rt_buf_free(&r.body);
    snprintf(why, n, "%s", out.text);
    return out.what;
}

static void errors_in_any_envelope_are_told(void **state)
{
    static const struct {
        const char *body, *words;
        tc_class    v;
    } bad[] = {
        {"{\"error\":{\"message\":\"out of order\",\"code\":429}}", "error: out of order, code 429", TC_SLOW_DOWN},
        {"{\"error\":\"out of order\",\"code\":401}", "error: out of order, code 401", TC_STOP},
        {"[{\"error\":{\"code\":401,\"message\":\"out of order\",\"status\":\"UNAUTHENTICATED\"}}]", "error: out of order, code 401",
         TC_STOP},
        {"{\"error\":true,\"message\":\"out of order\",\"choices\":[]}", "error: out of order", TC_RETRY},
        {"{\"error\":true,\"message\":\"out of order\",\"choices\":[{\"text\":\"a\"}]}", "error: out of order", TC_RETRY},
        {"{\"object\":\"error\",\"message\":\"out of order\",\"code\":429,\"choices\":[]}", "error: out of order, code 429", TC_SLOW_DOWN},
        {"{\"choices\":null,\"message\":\"out of order\",\"code\":503}", "error: out of order, code 503", TC_SLOW_DOWN},
        {"{\"choices\":[{}],\"detail\":[{\"msg\":\"out of order\",\"type\":\"missing\"}],\"code\":\"400\"}",
         "error: out of order, code 400", TC_REFUSED},
        {"{\"errors\":[{\"message\":\"out of order\",\"code\":429}]}", "error: out of order, code 429", TC_SLOW_DOWN},
        {"{\"success\":false,\"msg\":\"out of order\",\"code\":503,\"data\":{}}", "error: out of order, code 503", TC_SLOW_DOWN},
        {"{\"base_resp\":{\"status_code\":1002,\"status_msg\":\"out of order\"},\"choices\":null}", "error: out of order, code 1002",
         TC_RETRY},
        {"{\"error_code\":17,\"error_msg\":\"out of order\"}", "error: out of order, code 17", TC_RETRY},
        {"{\"choices\":[{\"error\":{\"message\":\"out of order\",\"code\":502}}]}", "error: out of order, code 502", TC_RETRY},
        {"{\"success\":false}", "without a message", TC_RETRY},
    };
    static const char *const good[] = {
        "{\"choices\":[{\"text\":\"a\"}],\"error\":null,\"errors\":[],\"message\":\"ok\"}",
        "{\"choices\":[{\"text\":\"a\"}],\"base_resp\":{\"status_code\":0,\"status_msg\":\"success\"},\"success\":true}",
        "{\"object\":\"list\",\"data\":[],\"message\":\"ok\"}",
        "{\"tokens\":[1,2]}",
    };
    char why[512];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const tc_class v = classify(bad[i].body, why, sizeof why);
        if (v != bad[i].v || !strstr(why, bad[i].words)) fail_msg("%s: %d, %s", bad[i].body, (int)v, v == TC_ACCEPT ? "taken" : why);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_int_equal(classify(good[i], why, sizeof why), TC_ACCEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_cannot_be_switched_off),
        cmocka_unit_test(errors_in_any_envelope_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
