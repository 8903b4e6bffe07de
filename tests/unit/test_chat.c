/* test_chat.c -- chat templates: what Jinja makes of several hundred templates, errors, limits, where a folder has its template. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/chat.h"
#include "tests/support/check.h"
#include "tests/support/one_file.h"
#include <string.h>

static cJSON *g_golden;

static const cJSON *golden(const char *key)
{
    if (!g_golden) {
        rt_buf path = {0}, text = {0};
        ok(rt_path(&path, getenv("SOURCE_DIR"), "tests/golden/chat.json"));
        ok(rt_file_read(&text, path.p, 16 << 20));
        ok(rt_json_parse(&g_golden, text.p, text.len, RT_JSON_EXACT, path.p));
        rt_buf_free(&path), rt_buf_free(&text);
    }
    return cJSON_GetObjectItemCaseSensitive(g_golden, key);
}

static rt_status rendered(const char *template, size_t n, const cJSON *messages, const cJSON *values, rt_buf *out)
{
    ds_chat  *c  = NULL;
    rt_status st = ds_chat_parse(&c, template, n, "t");
    if (st == RT_OK) st = ds_chat_render(c, messages, values, 1, out);
    ds_chat_destroy(&c);
    return st;
}

/* Compares the result of case [template, text or null] with the text. */
static int case_holds(const cJSON *e, const cJSON *messages, const cJSON *values)
{
    rt_buf template = {0}, want = {0}, got = {0};
    const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(e, 1));
    ok(rt_json_bytes(&template, e->child->valuestring));
    if (text) ok(rt_json_bytes(&want, text));
    const rt_status st = rendered(template.len ? template.p : "", template.len, messages, values, &got);
    const int       good =
        text ? st == RT_OK && got.len == want.len && (!got.len || !memcmp(got.p, want.p, got.len)) : st == RT_EINVAL || st == RT_EFORMAT;
    if (!good)
        print_error("%s\n  want %s\n  got  %s (%s)\n", e->child->valuestring, text ? text : "an error", got.p ? got.p : "",
                    rt_error_text());
    rt_buf_free(&template), rt_buf_free(&want), rt_buf_free(&got);
    return good;
}

static void texts_are_jinjas(void **state)
{
    const cJSON *messages = golden("messages"), *values = golden("values"), *e;
    int          wrong = 0, n = 0;
    (void)state;
    cJSON_ArrayForEach(e, golden("cases")) wrong += !case_holds(e, messages, values), n++;
    assert_true(n > 800);
    assert_int_equal(wrong, 0);
}

static void whole_templates_are_jinjas(void **state)
{
    const cJSON *e;
    int          n = 0;
    (void)state;
    cJSON_ArrayForEach(e, golden("chats"))
    {
        assert_true(cJSON_IsString(cJSON_GetArrayItem(e, 1)));
        assert_true(case_holds(e, golden("chat"), golden("tokens")));
        n++;
    }
    assert_true(n >= 8);
}

/* ---- errors ---------------------------------------------------------------------------------------------- */

static rt_status render_text(const char *template, const char *messages, const char *values, rt_buf *out)
{
    cJSON          *m = cJSON_Parse(messages), *v = cJSON_Parse(values);
    const rt_status st = rendered(template, strlen(template), m, v, out);
    cJSON_Delete(m), cJSON_Delete(v);
    return st;
}

#define HELLO "[{\"role\":\"user\",\"content\":\"hello\"}]"

static void errors_name_the_line(void **state)
{
    static const struct {
        const char *template;
        rt_status   st;
        const char *text;
    } cases[] = {
        {"a\n{{ x | wordwrap }}", RT_EFORMAT, "t, line 2: the filter 'wordwrap' is not supported"},
        {"{{ x is nothing }}", RT_EFORMAT, "t, line 1: the test 'nothing' is not supported"},
        {"\n\n{% include 'x' %}", RT_EFORMAT, "t, line 3: the statement 'include' is not supported"},
        {"{% if true %}\n{{ 1 | wordwrap }}{% endif %}", RT_EINVAL, "t, line 2: the filter 'wordwrap' is not supported"},
        {"{{ 'a'.format(1) }}", RT_EINVAL, "'format' of a str is not supported"},
        {"{% for x in y recursive %}{% endfor %}", RT_EFORMAT, "recursive"},
        {"{{ f(*a) }}", RT_EFORMAT, "*list"},
        {"\n{{ messages[0].nope.more }}", RT_EINVAL, "t, line 2: a dict has no item or attribute 'nope'"},
        {"{{ x.y }}", RT_EINVAL, "'x' is undefined"},
        {"{{ raise_exception('only one turn') }}", RT_EINVAL, "the template refuses this chat: only one turn"},
        {"{{ 1", RT_EFORMAT, "a tag that begins with '{{' does not end"},
        {"{{ 'a }}", RT_EFORMAT, "a string does not end"},
        {"{% if x %}", RT_EFORMAT, "ends before 'elif else endif'"},
        {"{{ (1] }}", RT_EFORMAT, "expected ')', found ']'"},
        {"{{ \xc3\xa4 }}", RT_EFORMAT, "unexpected character 0xc3"},
        {"\xff", RT_EFORMAT, "not valid UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_buf out = {0};
        assert_int_equal(render_text(cases[i].template, HELLO, "{}", &out), cases[i].st);
        if (!strstr(rt_error_text(), cases[i].text)) fail_msg("%s: %s", cases[i].template, rt_error_text());
        assert_int_equal(out.len, 0);
        rt_buf_free(&out);
    }
}

static void messages_must_be_objects(void **state)
{
    rt_buf out = {0};
    (void)state;
    assert_int_equal(render_text("x", "[]", "{}", &out), RT_EINVAL);
    assert_int_equal(render_text("x", "{}", "{}", &out), RT_EINVAL);
    assert_int_equal(render_text("x", "[1]", "{}", &out), RT_EINVAL);
    rt_buf_free(&out);
}

/* ---- limits ----------------------------------------------------------------------------------------------- */

static void strangers_are_limited(void **state)
{
    static const struct {
        const char *template, *text;
    } cases[] = {
        {"{% set x = 'aaaaaaaaaaaaaaaaaaaaaaaa' * 2000000 %}{% for a in range(99) %}{{ 'b' in x }}{% endfor %}", "steps"},
        {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "memory"},
        {"{% set ns = namespace(x='aaaaaaaa') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "MB"},
        {"{% set ns = namespace(x=[1]) %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "memory"},
        {"{{ 'aaaaaaaaaaaaaaaaaaaaaaaa' * 9999999999 }}", "longer than 64 MB"},
        {"{{ 'x' | indent(9999999999, true) }}", "steps"},
        {"{{ [1] * 9999999999 }}", "memory"},
        {"{{ range(100001) }}", "100000 elements"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper"},
        {"{% set ns = namespace(x=[]) %}{% for a in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "nested deeper"},
        {"{% set ns = namespace(x=[]) %}{% for a in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}", "nested deeper"},
        {"{% set ns = namespace(x=[]) %}{% for a in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x == [ns.x] }}",
         "nested deeper"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_buf out = {0};
        assert_true(render_text(cases[i].template, HELLO, "{}", &out) != RT_OK);
        if (!strstr(rt_error_text(), cases[i].text)) fail_msg("case %zu: %s", i, rt_error_text());
        rt_buf_free(&out);
    }
}

/* Each part many times inside one template. */
static void nesting_is_limited(void **state)
{
    static const struct {
        const char *before, *part, *between, *close, *after;
    } cases[] = {{"{{ ", "(", "1", ")", " }}"},           {"{{ ", "not ", "1", "", " }}"},       {"{{ ", "- ", "1", "", " }}"},
                 {"{{ 1 ", "if 1 else 1 ", "", "", "}}"}, {"{{ 1 ", "+ 1 ", "", "", "}}"},       {"{{ 1 ", "| abs ", "", "", "}}"},
                 {"", "{% if 1 %}", "", "", ""},          {"{% set ", "(", "a", ")", " = 1 %}"}, {"{{ ", "[", "1", "]", " }}"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_buf t = {0}, out = {0};
        ok(rt_buf_str(&t, cases[i].before));
        for (int k = 0; k < 2000; k++) ok(rt_buf_str(&t, cases[i].part));
        ok(rt_buf_str(&t, cases[i].between));
        for (int k = 0; k < 2000; k++) ok(rt_buf_str(&t, cases[i].close));
        ok(rt_buf_str(&t, cases[i].after));
        assert_true(render_text(t.p, HELLO, "{}", &out) != RT_OK);
        if (!strstr(rt_error_text(), "nested deeper")) fail_msg("case %zu: %s", i, rt_error_text());
        rt_buf_free(&t), rt_buf_free(&out);
    }
}

/* ---- folders ---------------------------------------------------------------------------------------------- */

static void put(const char *name, const char *text)
{
    rt_buf path = {0};
    ok(rt_path(&path, g_dir, name));
    ok(rt_file_write(path.p, text, strlen(text)));
    rt_buf_free(&path);
}

/* The text that the folder's template writes for HELLO; NULL: it has none. */
static void folder_writes(const char *want)
{
    ds_chat *c   = NULL;
    cJSON   *m   = cJSON_Parse(HELLO);
    rt_buf   out = {0};
    ok(ds_chat_load(&c, g_dir));
    assert_true((c != NULL) == (want != NULL));
    if (c) ok(ds_chat_render(c, m, NULL, 0, &out));
    if (want) assert_string_equal(out.p, want);
    ds_chat_destroy(&c);
    cJSON_Delete(m);
    rt_buf_free(&out);
}

static void folders_have_templates(void **state)
{
    rt_buf source = {0};
    int    there;
    (void)state;
    folder_writes(NULL);
    put("tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
    folder_writes(NULL);
    put("tokenizer_config.json",
        "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\"},\"add_bos_token\":true,\"pad_token\":null,"
        "\"chat_template\":\"{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}{{ add_generation_prompt }}\"}");
    folder_writes("<s></s>FalseFalse");
    put("special_tokens_map.json", "{\"bos_token\":\"<b>\",\"pad_token\":{\"content\":\"<pad>\"}}");
    folder_writes("<s></s>TrueFalse");
    put("tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"t\"},{\"name\":\"default\",\"template\":\"d{{ bos_token }}\"}]}");
    folder_writes("d<b>");
    ok(ds_chat_source(&source, g_dir, &there));
    assert_true(there);
    assert_string_equal(source.p, "d{{ bos_token }}");
    rt_buf_free(&source);
    put("tokenizer_config.json", "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"t\"}]}");
    folder_writes(NULL);
    put("tokenizer_config.json", "{\"chat_template\":\"config\"}");
    put("chat_template.jinja", "file {{ messages[0].content }}\n");
    folder_writes("file hello");
}

/* Keys that are null are left out, and reasoning goes by all its names, as in transformers. */
static void messages_are_completed(void **state)
{
    rt_buf out = {0};
    (void)state;
    ok(render_text("{{ messages }}", "[{\"role\":\"a\",\"content\":null,\"thinking\":\"t\"},{\"role\":\"b\",\"reasoning\":\"r\"}]", "{}",
                   &out));
    assert_string_equal(out.p,
                        "[{'thinking': 't', 'role': 'a', 'reasoning_content': 't'}, {'thinking': 'r', 'role': 'b', 'reasoning': 'r', "
                        "'reasoning_content': 'r'}]");
    rt_buf_free(&out);
}

/* U+0000 stays one character of a text. */
static void nul_is_a_character(void **state)
{
    rt_buf out = {0};
    cJSON *m;
    char   text[]         = "[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]";
    const char template[] = "{{ messages[0].content | length }}{{ messages[0].content }}";
    (void)state;
    ok(rt_json_parse(&m, text, strlen(text), RT_JSON_ANY, "m"));
    ok(rendered(template, strlen(template), m, NULL, &out));
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.p, "3a\0b", 4);
    cJSON_Delete(m);
    rt_buf_free(&out);
}

static int finish(void **state)
{
    cJSON_Delete(g_golden);
    return tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_jinjas),         cmocka_unit_test(whole_templates_are_jinjas), cmocka_unit_test(errors_name_the_line),
        cmocka_unit_test(messages_must_be_objects), cmocka_unit_test(strangers_are_limited),      cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(folders_have_templates),   cmocka_unit_test(messages_are_completed),     cmocka_unit_test(nul_is_a_character),
    };
    return cmocka_run_group_tests(tests, set_up, finish);
}
