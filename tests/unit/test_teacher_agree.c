/* test_teacher_agree.c -- texts that say what the token ids beside them say, and texts that do not. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "data/text.h"
#include "teacher/agree.h"
#include "tests/support/check.h"
#include "tests/support/one_file.h"
#include <string.h>

#define MARK "\xef\xbf\xbd" /* U+FFFD */

static ds_tokenizer *t;
static ds_ids        ids;

/* Its entries: <ü>, which ends texts, the 256 bytes, and "a" with the first byte of "é". */
static int open_all(void **state)
{
    static const char words[] = "aé\naè\naê\naë\n";
    const char *const names[] = {g_path};
    rt_progress       p       = {0};
    rt_quiet(1);
    if (set_up(state)) return -1;
    if (rt_file_write(g_path, words, strlen(words)) != RT_OK) return -1;
    if (ds_tokenizer_train(&(ds_input){.names = names, .n = 1, .format = "txt"}, 258, "<ü>", g_dir, &p) != RT_OK) return -1;
    return ds_tokenizer_load(&t, g_dir) == RT_OK ? 0 : -1;
}

static int close_all(void **state)
{
    ds_tokenizer_destroy(&t);
    free(ids.v);
    return tear_down(state);
}

static void encode(const char *bytes, size_t n)
{
    ids.n = 0;
    ok(ds_encode(t, bytes, n, DS_ADDED, &ids));
}

/* Do they agree, where `stop` (two strings or fewer) would have ended the text? */
static rt_status agree(const char *text, size_t n, const char *const *stop)
{
    const rt_buf b = {(char *)text, n, 0};
    return tc_agree(t, ids.v, ids.n, &b, stop, (stop[0] != NULL) + (stop[1] != NULL));
}

static const char *const none[2];

typedef const char *const pair[4]; /* a text, what its ids stand for, two stop strings */

static void expect(rt_status wanted, pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        encode(p[i][1], strlen(p[i][1]));
        const rt_status st = agree(p[i][0], strlen(p[i][0]), p[i] + 2);
        if (st != wanted) fail_msg("\"%s\" beside \"%s\": %s", p[i][0], p[i][1], st == RT_OK ? "taken" : rt_error_text());
    }
}

#define EXPECT(wanted, ...)                                  \
    do {                                                     \
        static pair pairs[] = {__VA_ARGS__};                 \
        expect(wanted, pairs, sizeof pairs / sizeof *pairs); \
    } while (0)
#define SAME(...)   EXPECT(RT_OK, __VA_ARGS__)
#define DIFFER(...) EXPECT(RT_EFORMAT, __VA_ARGS__)

/* ---- characters --------------------------------------------------------------------------------- */

static void white_space_alone_may_differ(void **state)
{
    (void)state;
    SAME({"Water boils.", "Water boils."}, {"Water boils.", " Water  boils ."}, {"\nWater boils. ", "Water boils."}, {"", ""}, {"", " \n"},
         {"Вода кипит.", "Вода кипит."}, {"水在一百度沸腾。", " 水在一百度沸腾。"}, {"👍🏽", "👍🏽"});
    DIFFER({"Water boils!", "Water boils."}, {"water boils.", "Water boils."}, {"Камень твёрд", "Вода кипит"}, {"石头是硬的", "水在沸腾"},
           {"Вода кипит, да", "Вода кипит"}, {"Вода", "Water"}, {"👎", "👍"}, {"é", "e\xcc\x81"});
}

static void a_whole_text_is_wanted(void **state)
{
    (void)state;
    DIFFER({"", "Water boils."}, {"", "水"}, {" ", "."}, {"Water", "Water boils."}, {"Water boils", "Water boils."}, {"水", "水在"},
           {"Water boils.", ""});
}

/* Bytes that are no character are one U+FFFD, or several, or left out; nothing else is U+FFFD. */
static void marks_stand_for_broken_characters(void **state)
{
    (void)state;
    SAME({"a" MARK "z", "a\xe2\x82z"}, {"a" MARK MARK "z", "a\xe2\x82z"}, {"az", "a\xe2\x82z"}, {"a " MARK "z", "a" MARK "z"},
         {"ab" MARK, "ab\xe6\xb0"}, {"ab", "ab\xe6\xb0"}, {MARK MARK, "\xff \xfe"});
    DIFFER({"a" MARK MARK MARK "z", "a\xe2\x82z"}, {MARK MARK MARK MARK, "вода"}, {MARK, "水"}, {"a" MARK "z", "az"}, {"a" MARK, "a"},
           {"a" MARK "z", "abz"}, {"a" MARK "y", "a\xe2\x82z"});
}

static void a_nul_is_a_character(void **state)
{
    (void)state;
    encode("a\0b", 3);
    ok(agree("a\0b", 3, none));
    ok(agree("a" MARK "b", 5, none)); /* as retort serve shows it */
    assert_int_equal(agree("a\0c", 3, none), RT_EFORMAT);
    assert_int_equal(agree("a", 1, none), RT_EFORMAT);
}

/* ---- where a text ends ---------------------------------------------------------------------------- */

/* The ids of `bytes` but the last one, which ends a character. */
static rt_status agree_cut(const char *text, const char *bytes)
{
    encode(bytes, strlen(bytes));
    ids.n--;
    return agree(text, strlen(text), none);
}

/* A server waits for the rest of a character and leaves out the tokens that wait, but no others. */
static void tokens_that_wait_may_be_missing(void **state)
{
    (void)state;
    ok(agree_cut("x", "xaé"));
    assert_int_equal(ids.n, 2); /* "x", and "a" with half of "é" */
    ok(agree_cut("xa", "xaé"));
    ok(agree_cut("xa" MARK, "xaé"));
    ok(agree_cut("", "aé"));
    ok(agree_cut("é", "éaé"));
    assert_int_equal(agree_cut("x", "xyaé"), RT_EFORMAT);
    assert_int_equal(agree_cut("", "xaé"), RT_EFORMAT);
    assert_int_equal(agree_cut("xb", "xaé"), RT_EFORMAT);
    DIFFER({"x", "xaé"}, {"xa", "xaé"}, {"", "aé"});
}

static void stop_strings_explain_a_short_text(void **state)
{
    (void)state;
    SAME({"One.", "One.\n\nTwo", "\n\n"}, {"One.\n\n", "One.\n\nTwo", "\n\n"}, {"", "\nOne", "\n"}, {"the act", "the act of", " of"},
         {"the act", "the act off it", " of"}, {"the act of", "the act off", " of"}, {"One", "One Two", "x", " Two"},
         {"вода", "вода, лёд", ", "}, {"One", "One ###\n4", "###\n"}, {"One ###\n", "One ###\n4", "###\n"});
    DIFFER({"the", "the act of", " of"}, {"One", "One.\n\nTwo", "\n\n"}, {"One", "One Two Three", "Three", "Tw0"},
           {"the act", "the act o", " of"}, {"One!", "One.\n\nTwo", "\n\n"}, {"", "One\n", "\n"});
}

static void special_tokens_are_shown_or_not(void **state)
{
    (void)state;
    SAME({"ab<ü>cd<ü>", "ab<ü>cd<ü>"}, {"ab<ü>cd", "ab<ü>cd<ü>"}, {"abcd", "ab<ü>cd<ü>"}, {"", "<ü>"}, {"ab<" MARK ">cd", "ab<ü>cd"});
    DIFFER({"ab<ü>", "ab<ü>cd"}, {"ab", "ab<ü>cd"}, {"ab<ü>cd", "abcd"}, {"ab", "abcd<ü>"});
}

/* A model's matrix may have more rows than its tokenizer has entries. */
static void padding_says_nothing(void **state)
{
    (void)state;
    encode("ab", 2);
    ids.v[0] = 300;
    ok(agree("b", 1, none));
    assert_int_equal(agree("c", 1, none), RT_EFORMAT);
    assert_int_equal(agree("", 0, none), RT_EFORMAT);
}

/* ---- the message ---------------------------------------------------------------------------------- */

static void the_place_is_told(void **state)
{
    static pair              pairs[] = {{"The fire is hot.", "The fire is cold."},
                                        {"The fire", "The fire is hot."},
                                        {"The fire is", "The fire"},
                                        {"a<ü>b", "a<ü>c"},
                                        {"ab", "a<ü>c"}};
    static const char *const words[] = {"continues with \"hot.\" after 12 bytes, but the text of its token ids continues with \"cold.\"",
                                        "ends after 8 bytes, but the text of its token ids continues with \"is hot.\"",
                                        "continues with \"is\" after 9 bytes, but the text of its token ids ends",
                                        "continues with \"b\" after 5 bytes, but the text of its token ids continues with \"c\"",
                                        "continues with \"b\" after 1 bytes, but the text of its token ids continues with \"<ü>c\""};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        expect(RT_EFORMAT, &pairs[i], 1);
        if (!strstr(rt_error_text(), words[i])) fail_msg("%s", rt_error_text());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_alone_may_differ),
        cmocka_unit_test(a_whole_text_is_wanted),
        cmocka_unit_test(marks_stand_for_broken_characters),
        cmocka_unit_test(a_nul_is_a_character),
        cmocka_unit_test(tokens_that_wait_may_be_missing),
        cmocka_unit_test(stop_strings_explain_a_short_text),
        cmocka_unit_test(special_tokens_are_shown_or_not),
        cmocka_unit_test(padding_says_nothing),
        cmocka_unit_test(the_place_is_told),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
