/* test_unicode.c -- what characters are, against numbers and digests that tokenizers 0.23.3 gave for all code points
 * (tests/peers/compare_tokens.py compares whole tokenizers with the package itself). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/hash.h"
#include "data/tokenizer/parts.h"
#include "tests/support/check.h"
#include <string.h>

static int64_t members(const char *property)
{
    ds_set  x = {0};
    int     known;
    int64_t n = 0;
    ok(ds_set_property(&x, property, strlen(property), &known));
    assert_true(known);
    for (int64_t i = 0; i < x.n; i++) n += x.range[i].to - x.range[i].from + 1;
    ds_set_free(&x);
    return n;
}

static void properties_hold_what_the_package_says(void **state)
{
    static const struct {
        const char *name;
        int64_t     n;
    } want[] = {{"L", 141028},
                {"Lu", 1858},
                {"Ll", 2258},
                {"Lt", 31},
                {"Lm", 404},
                {"Lo", 136477},
                {"LC", 4147},
                {"M", 2501},
                {"Mn", 2020},
                {"N", 1911},
                {"Nd", 760},
                {"No", 915},
                {"P", 855},
                {"Pc", 10},
                {"Po", 640},
                {"S", 8514},
                {"So", 7376},
                {"Sk", 125},
                {"Z", 19},
                {"Cc", 65},
                {"Cf", 170},
                {"Han", 99030},
                {"Any", DS_CODE_POINTS},
                {"hiragana", 381},
                {"Letter", 141028},
                {"Uppercase_Letter", 1858}};
    ds_set x = {0};
    int    known;
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        if (members(want[i].name) != want[i].n) fail_msg("\\p{%s} has %lld members", want[i].name, (long long)members(want[i].name));
    ok(ds_set_property(&x, "Nothing", 7, &known));
    assert_false(known);
    ds_set_free(&x);
}

static void words_and_spaces(void **state)
{
    int words = 0, spaces = 0;
    (void)state;
    for (uint32_t c = 0; c < DS_CODE_POINTS; c++) words += ds_is_word(c), spaces += ds_is_space(c);
    assert_int_equal(words, 144667);
    assert_int_equal(spaces, 25);
    assert_true(ds_is_word(0x200d) && !ds_is_word(0xb2) && ds_is_word(0x24b6) && !ds_is_space(0x180e));
}

/* Appends lines of `before`, each code point, `after` and, with `again`, the code point once more. */
static void put_lines(rt_buf *text, const char *before, const char *after, int again)
{
    char c[4];
    for (uint32_t v = 0; v < DS_CODE_POINTS; v++) {
        if (v >= 0xd800 && v < 0xe000) continue;
        const size_t n = ds_utf8_encode(v, c);
        ok(rt_buf_str(text, before));
        ok(rt_buf_add(text, c, n));
        ok(rt_buf_str(text, after));
        if (again) ok(rt_buf_add(text, c, n));
        ok(rt_buf_str(text, "\n"));
    }
}

static void check_form(int form, const char *before, const char *after, int again, const char *want)
{
    rt_buf text = {0}, made = {0};
    char   hex[RT_SHA_HEX];
    put_lines(&text, before, after, again);
    ok(ds_normal_form(form, text.p, text.len, &made));
    ok(rt_sha_bytes(made.p, made.len, hex));
    assert_string_equal(hex, want);
    rt_buf_free(&text), rt_buf_free(&made);
}

static void nfc_is_the_packages(void **state)
{
    (void)state;
    check_form(0, "", "", 0, "9cc65524a9d8082bf10840c616cd199bd2ac12ee49a3381bd6fb7957711f342b");
    check_form(0, "e", "\xcc\xa3\xcc\x81", 0, "d47a03118e358b428d6410459f978b89c1ee76433d8cfcfd4fbb0bdcd6f0664b"); /* dot below, acute */
    check_form(0, "\xe1\x84\x80", "\xe1\x86\xa8\xcd\x85", 1,
               "84e02103d7bd8dec3c2e50837c115f61a894bce2448e86d3007c914ea89a34b4"); /* Hangul G, final G, the last mark of all */
}

static void other_forms_are_the_packages(void **state)
{
    static const char after[] = "\xcc\xa3\xcc\x81"; /* dot below, acute */
    (void)state;
    check_form(DS_DECOMPOSED, "e", after, 0, "63e70d17e84be01ac692b43e1bd1b76268336be8b9271ae409d51a3254a300b0");
    check_form(DS_COMPATIBLE, "e", after, 0, "99f8caf645fd7d37c71f2f7491b38a16c259d0138a0b37d30f54d424b495be13");
    check_form(DS_COMPATIBLE | DS_DECOMPOSED, "e", after, 0, "701584dc36d9429ff79d92d52d09b4b0a8780e85d3c72787867472bcd3ce5d64");
}

static void put_u32(rt_buf *b, uint32_t v)
{
    const char bytes[] = {(char)v, (char)(v >> 8), (char)(v >> 16), (char)(v >> 24)};
    ok(rt_buf_add(b, bytes, 4));
}

/* A map of every byte but the newline and those before it to X: which characters it takes together tells where clusters end. */
static void clusters_are_the_packages(void **state)
{
    enum { UNITS = 1024 };
    uint32_t unit[UNITS] = {256 << 10};
    rt_buf   map = {0}, text = {0}, made = {0};
    char     hex[RT_SHA_HEX];
    (void)state;
    for (uint32_t byte = 11; byte < 256; byte++) {
        const uint32_t at = 256 ^ byte, leaf = 512 + byte;
        unit[at]   = byte | 1 << 8 | (at ^ leaf) << 10;
        unit[leaf] = 1u << 31;
    }
    put_u32(&map, 4 * UNITS);
    for (int i = 0; i < UNITS; i++) put_u32(&map, unit[i]);
    ok(rt_buf_add(&map, "X", 2));
    put_lines(&text, "b", "b\xcc\x81", 0);
    put_lines(&text, "", "\xcc\x81", 0);
    put_lines(&text, "\r", "", 0);
    ok(ds_charsmap_apply(&map, text.p, text.len, &made));
    ok(rt_sha_bytes(made.p, made.len, hex));
    assert_string_equal(hex, "0ea16bd5eb2aee5bad117c91d19d57b6cbe3a974632b6d7d8ca4ea45da7d08d1");
    rt_buf_free(&map), rt_buf_free(&text), rt_buf_free(&made);
}

/* Quadratic sorting would take minutes. */
static void many_marks_are_no_trap(void **state)
{
    rt_buf text = {0}, nfc = {0};
    (void)state;
    for (int i = 0; i < 200000; i++) ok(rt_buf_str(&text, i % 2 ? "\xcc\xa3" : "\xcc\x80"));
    ok(ds_normal_form(0, text.p, text.len, &nfc));
    assert_int_equal(nfc.len, text.len);
    assert_memory_equal(nfc.p, "\xcc\xa3\xcc\xa3", 4);
    assert_memory_equal(nfc.p + nfc.len - 4, "\xcc\x80\xcc\x80", 4);
    rt_buf_free(&text), rt_buf_free(&nfc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_hold_what_the_package_says),
        cmocka_unit_test(words_and_spaces),
        cmocka_unit_test(nfc_is_the_packages),
        cmocka_unit_test(other_forms_are_the_packages),
        cmocka_unit_test(clusters_are_the_packages),
        cmocka_unit_test(many_marks_are_no_trap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
