/* test_teacher_textbook.c -- recipes, and the shards that a writing teacher fills. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "teacher/recipe.h"
#include "teacher/teacher.h"
#include "tests/support/collect.h"
#include "tests/support/replay.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int set_up(void **state) { return ct_open(state) || ct_learn() ? -1 : 0; }

static const char completion[] =
    "{\"name\": \"g\", \"kind\": \"completion\", \"template\": \"{topic} (noun):\", \"topics\": [\"fire\", \"stone\", \"wood\"],"
    " \"sampling\": {\"max_tokens\": 12}}";
static const char chat[] =
    "{\"name\": \"c\", \"kind\": \"chat\", \"system\": \"Be brief.\", \"template\": \"Tell {audience} about {topic}, {style}.\","
    " \"topics\": [\"fire\", \"stone\"], \"audiences\": [\"a child\"], \"styles\": [\"plainly\", \"in rhyme\"]}";

static rt_status write_book(const char *recipe, const char *out, int64_t count, int text_only, const replay_options *o, tc_report *r)
{
    const tc_textbook_options t  = {.count = count, .min_tokens = 2, .text_only = text_only};
    const rt_status           st = ct_book(out, recipe, t, o, r);
    if (st != RT_OK) print_message("%s: %s\n", out, rt_error_text());
    return st;
}

static void open_book(const char *name, ds_shard **s)
{
    char path[96];
    ct_path(path, name);
    assert_int_equal(ds_shard_open(s, path), RT_OK);
    assert_int_equal(ds_shard_verify(*s), RT_OK);
}

/* ---- shards --------------------------------------------------------------------------------- */

static void completions_fill_a_soft_shard(void **state)
{
    const replay_options o = {.words = ct_words};
    tc_report            r;
    ds_shard            *s = NULL;
    ds_doc               d;
    rt_buf               text = {0};
    (void)state;
    assert_int_equal(write_book(completion, "soft.h5", 10, 0, &o, &r), RT_OK);
    assert_int_equal(r.documents, 10);
    open_book("soft.h5", &s);
    assert_true(ds_shard_info(s)->soft);
    assert_int_equal(ds_shard_info(s)->m, 8);
    assert_int_equal(ds_shard_doc(s, 4, &d), RT_OK);
    assert_string_equal(d.recipe, "g");
    assert_string_equal(d.finish, "length");
    assert_int_equal(d.ids[0], ds_tokenizer_bos(ct_words));
    int64_t prompt = 0;
    while (d.prompt_mask[prompt]) prompt++;
    assert_int_equal(d.n, prompt + 12);
    assert_int_not_equal(d.ids[prompt - 1], ds_tokenizer_eos(ct_words)); /* a prompt is no whole document */
    assert_int_equal(ds_decode(ct_words, d.ids, prompt, 1, &text), RT_OK);
    assert_non_null(strstr(text.p, d.topic));
    assert_non_null(strstr(text.p, " (noun):"));
    for (int64_t i = 0; i < d.n; i++) assert_int_equal(d.rows.valid[i], i >= prompt - 1 && i < d.n - 1);
    ds_shard_close(&s);
    rt_buf_free(&text);
}

/* vLLM's shape: no samples, no entropy, nothing said about tokenizer and vocabulary. */
static void a_plain_server_will_do(void **state)
{
    const replay_options o = {.plain = 1, .words = ct_words};
    tc_report            r;
    (void)state;
    assert_int_equal(write_book(completion, "plain.h5", 4, 0, &o, &r), RT_OK);
    ds_shard *s = NULL;
    open_book("plain.h5", &s);
    assert_string_equal(ds_shard_info(s)->dialect, "vllm");
    assert_int_equal(ds_shard_info(s)->m, 0);
    assert_false(ds_shard_has_entropy(s));
    ds_shard_close(&s);
}

/* A base model may be asked for text alone: its own ids, no targets. */
static void completions_fill_a_text_shard(void **state)
{
    const replay_options o = {.words = ct_words};
    tc_report            r;
    ds_shard            *s = NULL;
    ds_doc               d;
    (void)state;
    assert_int_equal(write_book(completion, "ids.h5", 6, 1, &o, &r), RT_OK);
    assert_int_equal(r.documents, 6);
    open_book("ids.h5", &s);
    assert_false(ds_shard_info(s)->soft);
    assert_int_equal(ds_shard_doc(s, 2, &d), RT_OK);
    int64_t prompt = 0;
    while (d.prompt_mask[prompt]) prompt++;
    assert_int_equal(d.n, prompt + 12);
    ds_shard_close(&s);
}

static void duplicates_are_dropped(void **state)
{
    const replay_options o = {.words = ct_words, .one_text = 1};
    tc_report            r;
    (void)state;
    assert_int_equal(write_book(completion, "dup.h5", 9, 0, &o, &r), RT_OK);
    assert_int_equal(r.documents, 1);
    assert_int_equal(r.duplicates, 8);
}

static void chat_gives_text(void **state)
{
    const replay_options o = {.plain = 1}, brief = {.plain = 1, .text = ""};
    tc_report            r;
    ds_shard            *s = NULL;
    ds_doc               d;
    rt_buf               text = {0};
    (void)state;
    assert_int_equal(write_book(chat, "no.h5", 4, 0, &o, &r), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "--text-only"));
    assert_int_equal(write_book(chat, "chat.h5", 4, 1, &o, &r), RT_OK);
    assert_int_equal(r.documents, 4);
    open_book("chat.h5", &s);
    assert_false(ds_shard_info(s)->soft);
    assert_int_equal(ds_shard_doc(s, 0, &d), RT_OK);
    assert_int_equal(ds_decode(ct_words, d.ids, d.n, 1, &text), RT_OK);
    assert_int_equal(d.ids[0], ds_tokenizer_bos(ct_words));
    assert_int_equal(d.ids[d.n - 1], ds_tokenizer_eos(ct_words));
    assert_int_equal(strncmp(text.p, "Water boils at ", 15), 0);
    ds_shard_close(&s);
    rt_buf_free(&text);
    assert_int_equal(write_book(chat, "short.h5", 4, 1, &brief, &r), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "4 were too short"));
}

/* The tokenizer's chat template writes the prompt, which is sent as ids: the shard has the answer's probabilities. */
static void a_template_gives_a_chat_probabilities(void **state)
{
    static const char template[] =
        "{{ bos_token }}{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}{{ 'a:' if add_generation_prompt }}";
    const replay_options      o = {.words = ct_words};
    const tc_textbook_options t = {.count = 4, .min_tokens = 2, .max_tokens = 12};
    tc_report                 r;
    ds_shard                 *s = NULL;
    ds_doc                    d;
    rt_buf                    text = {0};
    int64_t                   n    = 0;
    char                      path[96];
    (void)state;
    ct_path(path, "tok/chat_template.jinja");
    ct_write("tok/chat_template.jinja", template);
    assert_int_equal(ct_book("chatsoft.h5", chat, t, &o, &r), RT_OK);
    open_book("chatsoft.h5", &s);
    assert_true(ds_shard_info(s)->soft);
    assert_int_equal(ds_shard_doc(s, 0, &d), RT_OK);
    while (d.prompt_mask[n]) n++;
    assert_true(n > 0 && n < d.n);
    assert_int_equal(d.ids[0], ds_tokenizer_bos(ct_words));
    assert_int_not_equal(d.ids[1], ds_tokenizer_bos(ct_words)); /* the template's token, and no other */
    assert_int_equal(ds_decode(ct_words, d.ids, n, 1, &text), RT_OK);
    assert_int_equal(strncmp(text.p, "system=Be brief.;user=Tell a child about ", 41), 0);
    assert_string_equal(text.p + text.len - 3, ";a:");
    for (int64_t i = 0; i < d.n; i++) assert_int_equal(d.rows.valid[i], i >= n - 1 && i < d.n - 1);
    ds_shard_close(&s);
    rt_buf_free(&text);
    ct_write("tok/chat_template.jinja", "{{ raise_exception('no') }}");
    assert_int_equal(ct_book("chatno.h5", chat, t, &o, &r), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "the template refuses this chat: no"));
    assert_int_equal(remove(path), 0);
}

/* What follows a NUL is text too: kept, and no duplicate of another text that begins alike. */
static void a_nul_is_a_letter(void **state)
{
    static const char    half[] = "The first half.\0And the second.", other[] = "The first half.\0And another end.";
    const replay_options o = {.plain = 1, .text = half, .text_n = sizeof half - 1};
    const replay_options p = {.plain = 1, .text = other, .text_n = sizeof other - 1};
    tc_report            r;
    ds_shard            *s = NULL;
    ds_doc               d;
    rt_buf               text = {0};
    char                 path[96];
    (void)state;
    assert_int_equal(write_book(chat, "nul.h5", 3, 1, &o, &r), RT_OK);
    assert_int_equal(r.documents, 1);
    assert_int_equal(r.duplicates, 2);
    open_book("nul.h5", &s);
    assert_int_equal(ds_shard_doc(s, 0, &d), RT_OK);
    assert_int_equal(ds_decode(ct_words, d.ids, d.n, 1, &text), RT_OK);
    assert_int_equal(text.len, sizeof half - 1);
    assert_memory_equal(text.p, half, sizeof half - 1);
    ds_shard_close(&s);
    rt_buf_free(&text);
    ct_path(path, "nul.h5");
    assert_int_equal(remove(path), 0); /* the ledger has three; a fourth, of another end, is no duplicate */
    assert_int_equal(write_book(chat, "nul.h5", 4, 1, &p, &r), RT_OK);
    assert_int_equal(r.documents, 2);
}

static void another_tokenizer_is_refused(void **state)
{
    const replay_options o = {0};
    tc_report            r;
    (void)state;
    assert_int_equal(write_book(completion, "tok.h5", 1, 0, &o, &r), RT_EMISMATCH);
    assert_non_null(strstr(rt_error_text(), ds_tokenizer_identity(ct_words)));
    assert_non_null(strstr(rt_error_text(), replay_tokenizer));
}

/* Whether or not the server says its tokenizer, and with or without probabilities. */
static void an_empty_text_beside_ids_is_refused(void **state)
{
    const replay_options own = {.tokenizer = ds_tokenizer_identity(ct_words)}, plain = {.plain = 1};
    tc_report            r;
    (void)state;
    assert_int_equal(write_book(completion, "empty.h5", 3, 0, &own, &r), RT_ENET);
    assert_non_null(strstr(rt_error_text(), "the text ends after 0 bytes"));
    assert_int_equal(write_book(completion, "void.h5", 3, 1, &plain, &r), RT_ENET);
    assert_non_null(strstr(rt_error_text(), "the text ends after 0 bytes"));
}

/* ---- recipes ---------------------------------------------------------------------------------- */

static void every_combination_has_its_prompt(void **state)
{
    tc_recipe *r = NULL;
    rt_buf     b = {0};
    (void)state;
    assert_int_equal(tc_recipe_read(&r, ct_write("recipe.json", chat)), RT_OK);
    assert_int_equal(tc_recipe_combinations(r), 4);
    assert_int_equal(tc_recipe_prompt(r, 0, &b), RT_OK);
    assert_string_equal(b.p, "Tell a child about fire, plainly.");
    rt_buf_clear(&b);
    assert_int_equal(tc_recipe_prompt(r, 3, &b), RT_OK);
    assert_string_equal(b.p, "Tell a child about stone, in rhyme.");
    rt_buf_free(&b);
    tc_recipe_destroy(&r);
}

static void bad_recipes_are_named(void **state)
{
    static const char *const bad[][2] = {
        {"{\"name\": \"x\", \"kind\": \"completion\", \"template\": \"{topic}\", \"topic\": [\"a\"]}", "nearest is \"topics\""},
        {"{\"name\": \"x\", \"kind\": \"poem\", \"template\": \"{topic}\", \"topics\": [\"a\"]}", "\"completion\" or \"chat\""},
        {"{\"name\": \"x\", \"kind\": \"chat\", \"template\": \"{headword}\", \"topics\": [\"a\"]}", "has the placeholder {headword}"},
        {"{\"name\": \"x\", \"kind\": \"chat\", \"template\": \"{topic} {style}\", \"topics\": [\"a\"]}", "\"styles\" is missing"},
        {"{\"name\": \"x\", \"kind\": \"chat\", \"template\": \"{topic}\"}", "\"topics\" or \"topics_file\""},
        {"{\"name\": \"x\", \"kind\": \"chat\", \"template\": \"{topic}\", \"topics\": [\"a\"], \"sampling\": {\"temperature\": 3}}",
         "0 to 2"},
        {"{\"name\": \"x\", \"kind\": \"chat\", \"template\": \"{topic}\", \"topics\": []}", "at least one string"},
        {"{\"name\": \"x\", \"name\": \"y\"}", "occurs twice"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tc_recipe *r = NULL;
        assert_int_equal(tc_recipe_read(&r, ct_write("bad.json", bad[i][0])), RT_EFORMAT);
        assert_null(r);
        if (!strstr(rt_error_text(), bad[i][1])) print_message("%s\n", rt_error_text());
        assert_non_null(strstr(rt_error_text(), bad[i][1]));
        assert_non_null(strstr(rt_error_text(), "bad.json"));
    }
}

static void shipped_recipes_are_sound(void **state)
{
    static const char *const names[] = {"glossary", "textbook-chapter", "exercises", "dialogue"};
    const char              *source  = getenv("SOURCE_DIR");
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char       path[512];
        tc_recipe *r = NULL;
        rt_buf     b = {0};
        snprintf(path, sizeof path, "%s/configs/recipes/%s.json", source ? source : ".", names[i]);
        if (tc_recipe_read(&r, path) != RT_OK) fail_msg("%s", rt_error_text());
        assert_string_equal(r->name, names[i]);
        assert_true(tc_recipe_combinations(r) >= 300);
        assert_int_equal(tc_recipe_prompt(r, tc_recipe_combinations(r) - 1, &b), RT_OK);
        assert_null(strchr(b.p, '{'));
        rt_buf_free(&b);
        tc_recipe_destroy(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completions_fill_a_soft_shard),
        cmocka_unit_test(a_plain_server_will_do),
        cmocka_unit_test(completions_fill_a_text_shard),
        cmocka_unit_test(duplicates_are_dropped),
        cmocka_unit_test(chat_gives_text),
        cmocka_unit_test(a_template_gives_a_chat_probabilities),
        cmocka_unit_test(a_nul_is_a_letter),
        cmocka_unit_test(another_tokenizer_is_refused),
        cmocka_unit_test(an_empty_text_beside_ids_is_refused),
        cmocka_unit_test(every_combination_has_its_prompt),
        cmocka_unit_test(bad_recipes_are_named),
        cmocka_unit_test(shipped_recipes_are_sound),
    };
    return cmocka_run_group_tests(tests, set_up, ct_close);
}
