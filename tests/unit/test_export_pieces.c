/* test_export_pieces.c -- SentencePiece's BPE in a GGUF file: what is read back from it is the same tokenizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "model/export.h"
#include "model/gguf.h"
#include "model/import.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define M "\xe2\x96\x81"
enum { MORE = 12, V = 3 + 256 + MORE };
static char g_dir[] = "/tmp/retort-pieces-XXXXXX", g_from[64], g_back[64], g_file[64];

/* Gemma's form, or Llama 2's: <unk> 0, <s> 1, </s> 2, the bytes, then characters and what merges make of them. */
static void write_folder(const char *normalizer, const char *merges)
{
    static const char *const more[MORE] = {M, "a", "b", "c", "ab", M "a", M "ab", "bc", "abc", M M, M M M, M M M M};
    rt_buf                   b = {0}, path = {0};
    ok(rt_buf_fmt(&b, "{\"added_tokens\":["));
    const char *special[] = {"<unk>", "<s>", "</s>"};
    for (int i = 0; i < 3; i++)
        ok(rt_buf_fmt(&b, "%s{\"id\":%d,\"content\":\"%s\",\"special\":true,\"normalized\":false}", i ? "," : "", i, special[i]));
    ok(rt_buf_fmt(
        &b,
        "],\"normalizer\":%s,\"pre_tokenizer\":null,\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
        "{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\","
        "\"ids\":[1],\"tokens\":[\"<s>\"]}}},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"
        "{\"String\":\"" M "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]},\"model\":{\"type\":\"BPE\","
        "\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2",
        normalizer));
    for (int i = 0; i < 256; i++) ok(rt_buf_fmt(&b, ",\"<0x%02X>\":%d", (unsigned)i, 3 + i));
    for (int i = 0; i < MORE; i++) ok(rt_buf_fmt(&b, ",\"%s\":%d", more[i], 259 + i));
    ok(rt_buf_fmt(&b, "},\"merges\":[%s]}}", merges));
    ok(rt_dir_make(g_from));
    ok(rt_path(&path, g_from, "tokenizer.json"));
    ok(rt_file_write(path.p, b.p, b.len));
    rt_buf_free(&path), rt_buf_free(&b);
}

static rt_status export_folder(void)
{
    const md_config c = {.family   = MD_LLAMA,
                         .V        = V,
                         .C        = 32,
                         .L        = 1,
                         .H        = 2,
                         .KV       = 1,
                         .D        = 16,
                         .F        = 32,
                         .context  = 16,
                         .rope     = {.theta = 1e4},
                         .norm_eps = 1e-5,
                         .tied     = 1,
                         .bos      = 1,
                         .ends     = {{2}, 1}};
    md_model       *m = NULL;
    md_exported     r;
    ok(md_create(&m, &c, KN_REAL));
    ok(rt_strdup(&m->dir, g_from));
    const rt_status st = md_export_gguf(&r, m, g_file, "f32");
    md_destroy(&m);
    return st;
}

static const char gemma[]  = "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" M "\"}";
static const char llama2[] = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" M
                             "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" M "\"}]}";
static const char ordered[] =
    "[\"" M "\",\"a\"],[\"" M "a\",\"b\"],[\"" M "\",\"ab\"],[\"b\",\"c\"],[\"a\",\"b\"],[\"a\",\"bc\"],[\"ab\",\"c\"]";
/* Runs have one score in SentencePiece's files; their merges are in the order of the lengths of the halves, downwards. */
static const char runs[] = "[\"" M M M "\",\"" M "\"],[\"" M M "\",\"" M M "\"],[\"" M M "\",\"" M "\"],[\"" M "\",\"" M M M "\"],[\"" M
                           "\",\"" M M "\"],[\"" M "\",\"" M "\"]";

static void same_ids(const char *text)
{
    ds_tokenizer *t[2]   = {NULL, NULL};
    ds_ids        ids[2] = {{0}, {0}};
    ok(ds_tokenizer_load(&t[0], g_from));
    ok(ds_tokenizer_load(&t[1], g_back));
    for (int i = 0; i < 2; i++) ok(ds_encode(t[i], text, strlen(text), DS_PROMPT, &ids[i]));
    assert_int_equal(ids[0].n, ids[1].n);
    assert_memory_equal(ids[0].v, ids[1].v, (size_t)ids[0].n * sizeof *ids[0].v);
    for (int i = 0; i < 2; i++) free(ids[i].v), ds_tokenizer_destroy(&t[i]);
}

/* llama.cpp decodes entries of bytes by their type. */
static void check_types(void)
{
    md_gguf      *g = NULL;
    md_gguf_array types;
    ok(md_gguf_open(&g, g_file));
    ok(md_gguf_elements(g, "tokenizer.ggml.token_type", MD_GGUF_I32, &types));
    assert_int_equal(types.n, V);
    for (int i = 0; i < V; i++) assert_int_equal(md_gguf_take_i32(&types), i < 3 ? 3 : i < 259 ? 6 : 1); /* control, byte, normal */
    md_gguf_close(&g);
}

static void what_is_read_back_gives_the_same_ids(void **state)
{
    static const char *const forms[] = {gemma, llama2};
    rt_buf                   merges  = {0};
    (void)state;
    for (int i = 0; i < 4; i++) {
        rt_buf_clear(&merges);
        ok(rt_buf_fmt(&merges, "%s,%s", i > 1 ? runs : ordered, i > 1 ? ordered : runs));
        write_folder(forms[i % 2], merges.p);
        ok(export_folder());
        check_types();
        (void)rt_dir_remove(g_back);
        ok(rt_dir_make(g_back));
        ok(md_import_tokenizer(g_file, g_back));
        same_ids("abc ab  abcab a  b");
        same_ids("\xc3\xa9 <s>ab</s> abc\n");
        same_ids("    abc     c");
    }
    rt_buf_free(&merges);
}

static void an_order_that_scores_cannot_say_is_refused(void **state)
{
    (void)state;
    write_folder(gemma, "[\"a\",\"bc\"],[\"b\",\"c\"],[\"a\",\"b\"],[\"ab\",\"c\"]");
    assert_int_equal(export_folder(), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "the merges to \"abc\" do not stand together"));
    write_folder(gemma, ordered);
    assert_int_equal(export_folder(), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "has 0 merges, but it can be cut into two entries in 1 ways"));
    write_folder("null", ordered);
    assert_int_equal(export_folder(), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "in the form of Llama 2 or Gemma"));
}

static int pieces_remove(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_back_gives_the_same_ids),
        cmocka_unit_test(an_order_that_scores_cannot_say_is_refused),
    };
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    snprintf(g_from, sizeof g_from, "%s/from", g_dir), snprintf(g_back, sizeof g_back, "%s/back", g_dir);
    snprintf(g_file, sizeof g_file, "%s/model.gguf", g_dir);
    return cmocka_run_group_tests(tests, NULL, pieces_remove);
}
