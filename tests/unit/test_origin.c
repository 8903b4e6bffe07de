/* test_origin.c -- tokenizers in files of other forms: SentencePiece's messages and tiktoken's lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "data/tokenizer.h"
#include "data/vocabulary.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xe2\x96\x81"
static char g_dir[] = "/tmp/retort-origin-XXXXXX";

static void write_text(const char *name, const void *bytes, size_t n)
{
    rt_buf path = {0};
    ok(rt_path(&path, g_dir, name));
    ok(rt_file_write(path.p, bytes, n));
    rt_buf_free(&path);
}

/* ---- SentencePiece ---------------------------------------------------------------------------- */

enum { VARINT = 0, BYTES = 2, FIXED32 = 5 };

static void put_varint(rt_buf *b, uint64_t v)
{
    for (; v >= 128; v >>= 7) ok(rt_buf_add(b, &(char){(char)(v | 128)}, 1));
    ok(rt_buf_add(b, &(char){(char)v}, 1));
}

static void put_number(rt_buf *b, int field, uint64_t v)
{
    put_varint(b, (uint64_t)field << 3 | VARINT);
    put_varint(b, v);
}

static void put_bytes(rt_buf *b, int field, const char *bytes, size_t n)
{
    put_varint(b, (uint64_t)field << 3 | BYTES);
    put_varint(b, n);
    ok(rt_buf_add(b, bytes, n));
}

static void put_message(rt_buf *b, int field, rt_buf *m)
{
    put_bytes(b, field, m->p, m->len);
    rt_buf_free(m);
}

static void put_piece(rt_buf *b, const char *text, float score, int kind)
{
    rt_buf m = {0};
    put_bytes(&m, 1, text, strlen(text));
    put_varint(&m, 2 << 3 | FIXED32);
    ok(rt_buf_add(&m, &score, 4));
    if (kind != DS_NORMAL) put_number(&m, 3, (uint64_t)kind);
    put_message(b, 1, &m);
}

/* Writes a model whose pieces are <unk>, <s>, </s>, a byte, and these; `prefix`: a space is put before a text. */
static void write_model(int type, int prefix, int suffix)
{
    static const struct {
        const char *text;
        float       score;
    } more[] = {{SPACE, -3}, {"a", -4}, {"b", -5}, {"ab", -1}, {SPACE "ab", -0.5f}, {"\xc3\xa9", -6}, {"b\xc3\xa9", -0.25f}};
    rt_buf b = {0}, trainer = {0}, normalizer = {0};
    put_piece(&b, "<unk>", 0, DS_UNKNOWN);
    put_piece(&b, "<s>", 0, DS_CONTROL);
    put_piece(&b, "</s>", 0, DS_CONTROL);
    put_piece(&b, "<0x0A>", 0, DS_BYTE);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) put_piece(&b, more[i].text, more[i].score, DS_NORMAL);
    put_number(&trainer, 3, (uint64_t)type);
    put_number(&trainer, 24, (uint64_t)suffix);
    put_number(&trainer, 35, 1);
    put_number(&trainer, 43, (uint64_t)-1); /* a negative number of ten bytes */
    put_message(&b, 2, &trainer);
    put_number(&normalizer, 3, (uint64_t)prefix);
    put_number(&normalizer, 4, 0);
    put_message(&b, 3, &normalizer);
    write_text("tokenizer.model", b.p, b.len);
    rt_buf_free(&b);
}

static void encodes(const char *text, const int32_t *want, int n)
{
    ds_tokenizer *t   = NULL;
    ds_ids        ids = {0};
    rt_buf        b   = {0};
    ok(ds_tokenizer_load(&t, g_dir));
    ok(ds_encode(t, text, strlen(text), DS_PROMPT, &ids));
    if (ids.n != n || memcmp(ids.v, want, (size_t)n * sizeof *want) != 0) {
        for (int64_t i = 0; i < ids.n; i++) print_error("%d ", ids.v[i]);
        fail_msg("the ids of \"%s\"", text);
    }
    ok(ds_decode(t, ids.v, ids.n, 1, &b));
    assert_string_equal(b.p, text);
    free(ids.v), rt_buf_free(&b);
    ds_tokenizer_destroy(&t);
}

static void pieces_become_a_tokenizer(void **state)
{
    (void)state;
    write_model(2, 1, 0);
    encodes("ab ab", (const int32_t[]){1, 8, 8}, 3);
    encodes("ab\xc3\xa9\n", (const int32_t[]){1, 4, 5, 10, 3}, 5); /* the better score first: b with what follows it */
    write_model(2, 0, 0);
    encodes("ab ab", (const int32_t[]){1, 7, 8}, 3);
    write_model(1, 1, 0);
    encodes("ab ab", (const int32_t[]){8, 8}, 2);
}

static void a_copy_is_the_same_tokenizer(void **state)
{
    ds_tokenizer *a = NULL, *b = NULL;
    rt_buf        copy = {0};
    (void)state;
    write_model(2, 1, 0);
    ok(rt_path(&copy, g_dir, "copy"));
    ok(rt_dir_make(copy.p));
    ok(ds_tokenizer_copy(g_dir, copy.p));
    ok(ds_tokenizer_load(&a, g_dir));
    ok(ds_tokenizer_load(&b, copy.p));
    assert_string_equal(ds_tokenizer_identity(a), ds_tokenizer_identity(b));
    assert_int_equal(ds_tokenizer_bos(a), 1);
    assert_int_equal(ds_tokenizer_eos(a), 2);
    assert_int_equal(ds_tokenizer_bos(b), 1);
    assert_int_equal(ds_tokenizer_eos(b), 2);
    ds_tokenizer_destroy(&a), ds_tokenizer_destroy(&b);
    ok(rt_dir_remove(copy.p));
    rt_buf_free(&copy);
}

static void the_configuration_beside_it_counts(void **state)
{
    static const char config[] =
        "{\"legacy\": false, \"add_bos_token\": false, \"added_tokens_decoder\": {\"12\": {\"content\": \"<pad>\", \"special\": false}}}";
    (void)state;
    write_model(2, 1, 0);
    write_text("tokenizer_config.json", config, sizeof config - 1);
    encodes("ab ab", (const int32_t[]){8, 8}, 2);
    encodes("a<pad>a", (const int32_t[]){4, 5, 12, 5}, 4); /* no space before the part behind an added token */
    write_text("tokenizer_config.json", "{}", 2);
}

/* ---- what is refused ------------------------------------------------------------------------------- */

static void refused(const char *words)
{
    ds_tokenizer   *t  = NULL;
    const rt_status st = ds_tokenizer_load(&t, g_dir);
    if (st != RT_EFORMAT || !strstr(rt_error_text(), words)) fail_msg("expected \"%s\", status %d: %s", words, (int)st, rt_error_text());
}

static void other_models_are_refused(void **state)
{
    (void)state;
    write_model(3, 1, 0);
    refused("a SentencePiece model of words is not supported");
    write_model(1, 1, 1);
    refused("treat_whitespace_as_suffix");
    write_text("tokenizer.model", "\n\x7f", 2);
    refused("a field of 127 bytes of which 0 are left");
    write_text("tokenizer.model", "YQ== 0\nYg== 1\n", 14);
    refused("a tiktoken file of 2 entries is not known");
    rt_buf        path = {0};
    ds_tokenizer *t    = NULL;
    ok(rt_path(&path, g_dir, "tokenizer.model"));
    ok(rt_dir_remove(path.p));
    assert_int_equal(ds_tokenizer_load(&t, g_dir), RT_ENOENT);
    assert_non_null(strstr(rt_error_text(), "expected a folder with tokenizer.json, tokenizer.model or *.tiktoken"));
    rt_buf_free(&path);
}

/* ---- merges of ranks --------------------------------------------------------------------------------- */

static void ranks_have_merges(void **state)
{
    static const char *const texts[] = {"a", "b", "c", "ab", "bc", "abc", "cc"};
    ds_vocabulary            v       = {0};
    (void)state;
    for (int trained = 0; trained < 2; trained++) {
        ok(ds_vocabulary_create(&v, 7));
        for (int i = 0; i < 7; i++) v.p[i] = (ds_piece){.text = texts[i], .n = strlen(texts[i]), .kind = DS_NORMAL};
        ok(ds_vocabulary_ready(&v, "here"));
        ok(trained ? ds_vocabulary_join_trained(&v) : ds_vocabulary_join_ranks(&v));
        assert_int_equal(v.n_joins, trained ? 4 : 5);
        assert_string_equal(v.joins[2].left->text, trained ? "ab" : "a"); /* abc is a + bc and ab + c; ab has the lower rank */
        assert_int_equal(v.joins[trained ? 3 : 4].whole->id, 6);
        ds_vocabulary_free(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_become_a_tokenizer), cmocka_unit_test(a_copy_is_the_same_tokenizer),
                                       cmocka_unit_test(the_configuration_beside_it_counts), cmocka_unit_test(other_models_are_refused),
                                       cmocka_unit_test(ranks_have_merges)};
    if (!mkdtemp(g_dir)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL) + (rt_dir_remove(g_dir) != RT_OK);
}
