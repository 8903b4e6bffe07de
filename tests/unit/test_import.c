/* test_import.c -- the vocabulary of a GGUF file as a tokenizer: pieces with scores, whose merges are made, and byte-level BPE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "data/tokenizer.h"
#include "data/vocabulary.h"
#include "model/gguf_model.h"
#include "model/import.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char g_dir[] = "/tmp/retort-import-XXXXXX", g_file[64];

typedef struct entry {
    const char *text;
    int32_t     kind;
    float       score;
} entry;

static void put_tokens(md_gguf_keys *k, const entry *e, int n, int scores)
{
    md_gguf_put_array(k, "tokenizer.ggml.tokens", MD_GGUF_TEXT, n);
    for (int i = 0; i < n; i++) md_gguf_add_text(k, e[i].text, strlen(e[i].text));
    md_gguf_put_array(k, "tokenizer.ggml.token_type", MD_GGUF_I32, n);
    for (int i = 0; i < n; i++) md_gguf_add_int(k, e[i].kind);
    if (scores) md_gguf_put_array(k, "tokenizer.ggml.scores", MD_GGUF_F32, n);
    for (int i = 0; i < n && scores; i++) {
        int32_t bits;
        memcpy(&bits, &e[i].score, sizeof bits);
        md_gguf_add_int(k, bits);
    }
}

static void write_file(md_gguf_keys *k)
{
    md_gguf_out   *f = NULL;
    md_gguf_tensor t = {.type = md_gguf_type_named("F32"), .nd = 1, .shape = {1}};
    const float    x = 0;
    strcpy(t.name, "t");
    ok(k->st);
    ok(md_gguf_begin(&f, g_file, k, &t, 1));
    ok(md_gguf_write(f, &x, sizeof x));
    ok(md_gguf_align(f));
    ok(md_gguf_end(&f));
    rt_buf_free(&k->b);
}

/* The ids of `text`, and the text of these. */
static void encodes(const char *text, const int32_t *want, int n)
{
    ds_tokenizer *t   = NULL;
    ds_ids        ids = {0};
    rt_buf        b   = {0};
    ok(md_import_tokenizer(g_file, g_dir));
    ok(ds_tokenizer_load(&t, g_dir));
    ok(ds_encode(t, text, strlen(text), DS_SPECIAL | DS_ADDED, &ids));
    if (ids.n != n || memcmp(ids.v, want, (size_t)n * sizeof *want) != 0) {
        for (int64_t i = 0; i < ids.n; i++) print_error("%d ", ids.v[i]);
        fail_msg("the ids of \"%s\"", text);
    }
    ok(ds_decode(t, ids.v, ids.n, 1, &b));
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.p, text, b.len);
    free(ids.v), rt_buf_free(&b);
    ds_tokenizer_destroy(&t);
}

#define SPACE "\xe2\x96\x81"
enum { BOS = 1, PLAIN = 1 };

/* Pieces, two of which users defined: the file has these with spaces and a score of -1000. */
static void put_pieces(md_gguf_keys *k, int prefix)
{
    static const entry all[] = {{"<unk>", DS_CONTROL, 0},   {"<s>", DS_CONTROL, 0},     {"<0x0A>", DS_BYTE, 0},
                                {SPACE, PLAIN, -3},         {"a", PLAIN, -4},           {"b", PLAIN, -5},
                                {"ab", PLAIN, -1},          {SPACE "ab", PLAIN, -0.5f}, {"  ", DS_USER, -1000},
                                {"<turn>", DS_USER, -1000}, {"\xc3\xa9", PLAIN, -6},    {"b\xc3\xa9", PLAIN, -0.25f}};
    md_gguf_put_text(k, "tokenizer.ggml.model", "llama");
    put_tokens(k, all, sizeof all / sizeof *all, 1);
    md_gguf_put_int(k, "tokenizer.ggml.bos_token_id", BOS);
    md_gguf_put_bool(k, "tokenizer.ggml.add_space_prefix", prefix);
    md_gguf_put_bool(k, "tokenizer.ggml.add_bos_token", 1);
    write_file(k);
}

static void merges_are_made_from_scores(void **state)
{
    md_gguf_keys k = {.n = 0};
    (void)state;
    put_pieces(&k, 1);
    encodes("ab  ab", (const int32_t[]){BOS, 7, 8, 6}, 4);
    encodes("ab\xc3\xa9\n", (const int32_t[]){BOS, 3, 4, 11, 2}, 5); /* the better score first: b with what follows it */
    md_gguf_keys no = {.n = 0};
    put_pieces(&no, 0);
    encodes("ab<turn>ab ab", (const int32_t[]){BOS, 6, 9, 6, 7}, 5);
}

static void byte_level_keeps_its_merges(void **state)
{
    enum { N = 259 };
    entry        e[N] = {{"<|end|>", DS_CONTROL, 0}};
    char         text[256][3];
    md_gguf_keys k = {.n = 0};
    (void)state;
    for (int b = 0; b < 256; b++) { /* printable characters stand for themselves, other bytes for those from U+0100 on */
        const int      plain = (b > 32 && b < 127) || (b > 160 && b != 173), c = plain ? b : 0x100 + (b < 33 ? b : b < 161 ? b - 94 : 67);
        const unsigned u = (unsigned)c;
        text[b][0] = (char)(u < 0x80 ? u : 0xc0 | u >> 6), text[b][1] = (char)(u < 0x80 ? 0 : 0x80 | (u & 63)), text[b][2] = 0;
        e[1 + b] = (entry){text[b], PLAIN, 0};
    }
    e[257] = (entry){"ab", PLAIN, 0}, e[258] = (entry){"\xc4\xa0"
                                                       "ab",
                                                       PLAIN, 0};
    md_gguf_put_text(&k, "tokenizer.ggml.model", "gpt2");
    md_gguf_put_text(&k, "tokenizer.ggml.pre", "gpt-2");
    put_tokens(&k, e, N, 0);
    md_gguf_put_array(&k, "tokenizer.ggml.merges", MD_GGUF_TEXT, 2);
    md_gguf_add_text(&k, "a b", 3);
    md_gguf_add_text(&k, "\xc4\xa0 ab", 5);
    write_file(&k);
    encodes("ab ab", (const int32_t[]){257, 258}, 2);
}

static void refused(md_gguf_keys *k, const char *words)
{
    write_file(k);
    const rt_status st = md_import_tokenizer(g_file, g_dir);
    if (st != RT_EFORMAT || !strstr(rt_error_text(), words)) fail_msg("expected \"%s\", status %d: %s", words, (int)st, rt_error_text());
}

static void other_vocabularies_are_refused(void **state)
{
    static const entry one  = {"a", PLAIN, 0};
    md_gguf_keys       k[5] = {{.n = 0}};
    (void)state;
    refused(&k[0], "the tokenizer \"none\"");
    md_gguf_put_text(&k[1], "tokenizer.ggml.model", "bert");
    refused(&k[1], "the tokenizer \"bert\"");
    md_gguf_put_text(&k[2], "tokenizer.ggml.model", "llama");
    refused(&k[2], "expected as many elements");
    md_gguf_put_text(&k[3], "tokenizer.ggml.model", "gpt2");
    md_gguf_put_text(&k[3], "tokenizer.ggml.pre", "viking");
    put_tokens(&k[3], &one, 1, 0);
    refused(&k[3], "the pre-tokenizer \"viking\"");
    md_gguf_put_text(&k[4], "tokenizer.ggml.model", "gpt2");
    md_gguf_put_text(&k[4], "tokenizer.ggml.pre", "gpt-2");
    put_tokens(&k[4], &one, 1, 0);
    md_gguf_put_array(&k[4], "tokenizer.ggml.merges", MD_GGUF_TEXT, 1);
    md_gguf_add_text(&k[4], "ab", 2);
    refused(&k[4], "a merge \"ab\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(merges_are_made_from_scores), cmocka_unit_test(byte_level_keeps_its_merges),
                                       cmocka_unit_test(other_vocabularies_are_refused)};
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    snprintf(g_file, sizeof g_file, "%s/one.gguf", g_dir);
    return cmocka_run_group_tests(tests, NULL, NULL) + (rt_dir_remove(g_dir) != RT_OK);
}
