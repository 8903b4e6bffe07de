/* test_export.c -- models written as GGUF files: they are read back as they were, name the tokenizer that they hold, and what such a file cannot hold is
 * refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "model/export.h"
#include "model/gguf_model.h"
#include "model/rope.h"
#include "quant/quant.h"
#include "tests/support/check.h"
#include "tests/support/tensor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 4096 };
static char g_dir[] = "/tmp/retort-export-XXXXXX", g_file[64];

/* A model in g_dir, which gets the bundled teacher's tokenizer. */
static md_model *model(md_family family, int tied, int64_t F)
{
    const md_config c = {.family   = family,
                         .V        = V,
                         .C        = 32,
                         .L        = 2,
                         .H        = 4,
                         .KV       = 2,
                         .D        = 8,
                         .F        = F,
                         .context  = 32,
                         .rope     = {.theta = 5e5},
                         .norm_eps = 1e-5,
                         .tied     = tied,
                         .bos      = 0,
                         .ends     = {{0}, 1}};
    char            from[512];
    md_model       *m = NULL;
    snprintf(from, sizeof from, "%s/experiments/teacher/model", getenv("SOURCE_DIR"));
    ok(md_create(&m, &c, KN_REAL));
    md_init(m, 1);
    for (int i = 0; i < m->n; i++)
        for (int64_t j = 0; j < m->t[i].rows * m->t[i].cols; j++) ((real *)m->t[i].data)[j] = (real)(float)((real *)m->t[i].data)[j];
    ok(rt_dir_remove(g_dir));
    ok(rt_dir_make(g_dir));
    ok(ds_tokenizer_copy(from, g_dir));
    ok(rt_strdup(&m->dir, g_dir));
    return m;
}

/* The largest distance of two models' weights, relative to the largest weight of each tensor.  *rms: root mean square over all matrices, relative to the
 * weights'. */
static double distance(const md_model *a, const md_model *b, double *rms)
{
    double worst = 0, error = 0, square = 0;
    assert_int_equal(a->n, b->n);
    for (int i = 0; i < a->n; i++) {
        const int64_t n    = a->t[i].rows * a->t[i].cols;
        double        most = 0, apart = 0;
        for (int64_t j = 0; j < n; j++) {
            const double x = (double)((real *)a->t[i].data)[j], d = (double)((real *)b->t[i].data)[j] - x;
            if (!a->t[i].is_vector) error += d * d, square += x * x;
            most  = fmax(most, fabs(x));
            apart = fmax(apart, fabs(d));
        }
        worst = fmax(worst, most > 0 ? apart / most : apart);
    }
    *rms = sqrt(error / square);
    return worst;
}

static void files_are_read_back(void **state)
{
    static const struct {
        const char *type;
        double      apart; /* at most */
        int         others;
    } all[]                           = {{"f32", 0, 0},       {"F16", 0x1p-11, 0},   {"bf16", 0x1p-8, 0},  {"q8_0", 1 / 250., 0},
                                         {"q4_0", 1 / 7., 0}, {"q4_k", 1 / 10., 13}, {"q6_k", 1 / 50., 13}};
    static const md_family families[] = {MD_LLAMA, MD_QWEN2, MD_QWEN3};
    (void)state;
    for (int i = 0; i < 11; i++) { /* all types of a Llama, f32 and q8_0 of the others */
        const int   type = i < 7 ? i : (i - 7) % 2 * 3, family = i < 7 ? 0 : 1 + (i - 7) / 2, tied = i % 2;
        md_model   *m = model(families[family], tied, 256), *back = NULL;
        md_exported r;
        double      rms;
        ok(md_export_gguf(&r, m, g_file, all[type].type));
        assert_int_equal(r.bytes, rt_file_size(g_file));
        assert_int_equal(r.matrices, 2 * 7 + 2 - tied);
        assert_int_equal(r.others, all[type].others ? r.matrices - 2 : 0); /* down has 256 columns, the others 32 */
        ok(md_load(&back, g_file, KN_REAL));
        const double apart = distance(m, back, &rms);
        if (apart > all[type].apart) fail_msg("%s: %g apart", all[type].type, apart);
        assert_true(fabs(r.error - rms) <= 1e-9 && (r.error > 0) == (type > 0));
        assert_true(back->config.bos == 0 && back->config.ends.n == 1 && back->config.D == 8 && back->config.rope.theta == 5e5);
        md_destroy(&m), md_destroy(&back);
    }
}

/* Files of llama.cpp have biases of a Llama only, one name for Llama and Mistral, and no word on which layers of a SmolLM3 have no rotary embedding. */
static void families_with_more_are_read_back(void **state)
{
    static const struct {
        md_family family, back;
        unsigned  biases;
        int64_t   window;
    } all[] = {{MD_LLAMA, MD_LLAMA, MD_QKV_BIAS | MD_O_BIAS | MD_MLP_BIAS, 0},
               {MD_LLAMA, MD_LLAMA, MD_MLP_BIAS, 0},
               {MD_MISTRAL, MD_LLAMA, 0, 32},
               {MD_SMOLLM3, MD_SMOLLM3, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        md_model   *m = model(all[i].family, 1, 256), *back = NULL, *more = NULL;
        md_config   c = m->config;
        md_exported r;
        double      rms;
        c.L = 5, c.biases = all[i].biases, c.window = all[i].window;
        if (all[i].family == MD_SMOLLM3) c.layer[3] = MD_LAYER_NO_ROPE;
        ok(md_create(&more, &c, KN_REAL));
        ok(rt_strdup(&more->dir, g_dir));
        for (int t = 0; t < more->n; t++)
            for (int64_t j = 0; j < more->t[t].rows * more->t[t].cols; j++) ((real *)more->t[t].data)[j] = (real)((t + j) % 251);
        ok(md_export_gguf(&r, more, g_file, "f32"));
        ok(md_load(&back, g_file, KN_REAL));
        assert_true(back->config.family == all[i].back && back->config.biases == all[i].biases && back->config.window == 0);
        assert_memory_equal(back->config.layer, c.layer, 5);
        assert_true(distance(more, back, &rms) == 0);
        md_destroy(&m), md_destroy(&more), md_destroy(&back);
    }
}

static void columns_that_fill_no_block(void **state)
{
    md_model   *m = model(MD_LLAMA, 1, 40), *back = NULL;
    md_exported r;
    (void)state;
    ok(md_export_gguf(&r, m, g_file, "q4_0"));
    assert_int_equal(r.others, 2); /* of two layers, down: 40 columns */
    ok(md_load(&back, g_file, KN_REAL));
    md_destroy(&m), md_destroy(&back);
}

/* ---- the tokenizer ------------------------------------------------------------------------------- */

static char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", g_dir, name);
    return path;
}

/* In tokenizer.json, what stands from `from` to the end of `to` becomes `text`. */
static void edit(const char *from, const char *to, const char *text)
{
    rt_buf b = {0}, out = {0};
    ok(rt_file_read(&b, in_dir("tokenizer.json"), 1 << 20));
    char *at = strstr(b.p, from), *end = at ? strstr(at, to) : NULL;
    if (!end) fail_msg("no %s...%s", from, to);
    ok(rt_buf_add(&out, b.p, (size_t)(at - b.p)));
    ok(rt_buf_str(&out, text));
    ok(rt_buf_str(&out, end + strlen(to)));
    ok(rt_file_write(in_dir("tokenizer.json"), out.p, out.len));
    rt_buf_free(&b), rt_buf_free(&out);
}

#define BYTES        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}"
#define GPT2         "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}"
#define SPLIT(regex) "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" regex "\"}, \"behavior\": \"Isolated\"}"
#define CHAIN(list)  "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [" list "]}, \"decoder\""
#define LLAMA(digits)                                                                            \
    SPLIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}" digits \
          "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+")

static void pre_tokenizers_have_names(void **state)
{
    static const struct {
        const char *pre, *name; /* NULL: refused */
        int         whole;
    } all[] = {{CHAIN(GPT2), "gpt-2", 0},
               {CHAIN("{\"type\": \"Digits\", \"individual_digits\": true}, " GPT2), "smollm", 0},
               {CHAIN(LLAMA("{1,3}") ", " BYTES), "llama-bpe", 1},
               {CHAIN(LLAMA("{1,3}") ", " BYTES), "smaug-bpe", 0},
               {CHAIN(LLAMA("") ", " BYTES), "qwen2", 0},
               {CHAIN(LLAMA("") ", " BYTES), NULL, 1},
               {CHAIN(LLAMA("{1,2}") ", " BYTES), NULL, 0},
               {CHAIN(GPT2), NULL, 1},
               {CHAIN(BYTES), NULL, 0},
               {CHAIN(SPLIT("\\\\p{N}") ", " SPLIT("a") ", " GPT2), NULL, 0},
               {CHAIN("{\"type\": \"Digits\", \"individual_digits\": false}, " GPT2), NULL, 0},
               {CHAIN("{\"type\": \"ByteLevel\", \"add_prefix_space\": true}"), NULL, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        md_model   *m = model(MD_LLAMA, 1, 32);
        md_exported r;
        md_gguf    *g;
        char        name[MD_GGUF_WORD] = "";
        edit("\"post_processor\"", "\"decoder\"", all[i].pre);
        edit("\"pre_tokenizer\"", "},", "");
        edit("\"ignore_merges\"", ",", all[i].whole ? "\"ignore_merges\": true," : "\"ignore_merges\": false,");
        const rt_status st = md_export_gguf(&r, m, g_file, "f32");
        if (!all[i].name) {
            if (st != RT_EINVAL || !strstr(rt_error_text(), "llama.cpp has no name for this pre-tokenizer"))
                fail_msg("%zu: status %d: %s", i, (int)st, rt_error_text());
        } else {
            ok(st);
            ok(md_gguf_open(&g, g_file));
            ok(md_gguf_word(g, "tokenizer.ggml.pre", name));
            assert_string_equal(name, all[i].name);
            md_gguf_close(&g);
        }
        md_destroy(&m);
    }
}

static void other_tokenizers_are_refused(void **state)
{
    static const char *const normalizers[] = {"{\"type\": \"NFC\"}", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}]}",
                                              "{\"type\": \"Prepend\", \"prepend\": \"_\"}"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        md_model   *m = model(MD_LLAMA, 1, 32);
        md_exported r;
        char        text[128];
        snprintf(text, sizeof text, "\"normalizer\": %s,", normalizers[i]);
        edit("\"normalizer\"", ",", text);
        const rt_status st = md_export_gguf(&r, m, g_file, "f32");
        if (i < 2) ok(st);
        else if (st != RT_EINVAL || !strstr(rt_error_text(), "expected byte-level BPE"))
            fail_msg("status %d: %s", (int)st, rt_error_text());
        md_destroy(&m);
    }
}

/* The bytes of the file from `key` on. */
static const char *value_of(const rt_buf *file, const char *key)
{
    for (size_t i = 0; i + strlen(key) < file->len; i++)
        if (!memcmp(file->p + i, key, strlen(key))) return file->p + i + strlen(key);
    fail_msg("no %s", key);
    return NULL;
}

static void entries_and_tokens_are_stored(void **state)
{
    md_model   *m = model(MD_LLAMA, 1, 32);
    md_exported r;
    rt_buf      file = {0};
    (void)state;
    ok(rt_file_write(in_dir("chat_template.jinja"), "{{ messages }}", 14));
    ok(md_export_gguf(&r, m, g_file, "f32"));
    ok(rt_file_read(&file, g_file, 1 << 24));
    assert_memory_equal(value_of(&file, "tokenizer.ggml.tokens"),
                        "\x9\0\0\0\x8\0\0\0\0\x10\0\0\0\0\0\0\7\0\0\0\0\0\0\0<|end|>\1\0\0\0\0\0\0\0!", 40);
    assert_memory_equal(value_of(&file, "tokenizer.ggml.token_type"), "\x9\0\0\0\x5\0\0\0\0\x10\0\0\0\0\0\0\3\0\0\0\1\0\0\0", 24);
    assert_memory_equal(value_of(&file, "tokenizer.ggml.merges"), "\x9\0\0\0\x8\0\0\0\xff\xe\0\0\0\0\0\0", 16);
    assert_memory_equal(value_of(&file, "tokenizer.ggml.add_bos_token"), "\7\0\0\0\1", 5);
    assert_memory_equal(value_of(&file, "tokenizer.ggml.bos_token_id"), "\4\0\0\0\0\0\0\0", 8);
    assert_memory_equal(value_of(&file, "tokenizer.ggml.model"), "\x8\0\0\0\4\0\0\0\0\0\0\0gpt2", 16);
    assert_memory_equal(value_of(&file, "tokenizer.chat_template"), "\x8\0\0\0\xe\0\0\0\0\0\0\0{{ messages }}", 26);
    rt_buf_free(&file);
    md_destroy(&m);
}

/* The frequencies are those of the model, whatever their scaling is called in the file. */
static void scaled_rotary_embeddings_are_stored(void **state)
{
    static const md_rope ropes[] = {
        {.kind = MD_ROPE_LINEAR, .theta = 1e4, .factor = 4},
        {.kind = MD_ROPE_LLAMA3, .theta = 1e4, .factor = 8, .low = 1, .high = 4, .original = 64},
        {.kind = MD_ROPE_LONGROPE, .theta = 1e4, .factor = 1, .original = 32, .attention = 1, .divisor = {{1, 2, 3, 4}, {1, 2, 3, 4}}}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        md_model   *m = model(MD_LLAMA, 1, 32), *back = NULL;
        md_exported r;
        double      f[4], g[4];
        m->config.rope = ropes[i];
        ok(md_export_gguf(&r, m, g_file, "f32"));
        ok(md_load(&back, g_file, KN_REAL));
        assert_true(md_rope_frequencies(f, &m->config.rope, 8, 0) == md_rope_frequencies(g, &back->config.rope, 8, 0));
        for (int j = 0; j < 4; j++)
            if (!(fabs(f[j] / g[j] - 1) < 1e-7)) fail_msg("scaling %d: frequency %d is %g, expected %g", i, j, g[j], f[j]);
        free(back->dir), back->dir = NULL; /* the file has no tokenizer.json */
        ok(rt_strdup(&back->dir, g_dir));
        ok(md_export_gguf(&r, back, g_file, "f32")); /* what was read is written */
        md_destroy(&m), md_destroy(&back);
    }
}

/* A pruned Gemma has windows in other layers than its family's rule says. */
static void windows_are_those_of_the_model(void **state)
{
    static const uint8_t windows[][2] = {{0, MD_LAYER_WINDOW}, {MD_LAYER_WINDOW, 0}, {MD_LAYER_WINDOW, MD_LAYER_WINDOW}, {0, 0}};
    (void)state;
    for (int i = 0; i < 8; i++) {
        md_model   *m = model(i % 2 ? MD_GEMMA3 : MD_GEMMA2, 1, 32);
        md_config   back;
        md_exported r;
        m->config.window = 7, m->config.rope_local.theta = 1e4;
        memcpy(m->config.layer, windows[i / 2], 2);
        ok(md_export_gguf(&r, m, g_file, "f32"));
        ok(md_config_read(&back, g_file));
        assert_memory_equal(back.layer, m->config.layer, 2);
        md_destroy(&m);
    }
}

/* ---- refusals -------------------------------------------------------------------------------------- */

static void refused(const md_model *m, const char *type, const char *words)
{
    md_exported     r;
    const rt_status st = md_export_gguf(&r, m, g_file, type);
    if (st != RT_EINVAL || !strstr(rt_error_text(), words)) fail_msg("expected \"%s\", status %d: %s", words, (int)st, rt_error_text());
    assert_false(rt_file_exists(g_file));
}

static void what_a_file_cannot_hold_is_refused(void **state)
{
    md_model *m = model(MD_LLAMA, 1, 32);
    (void)state;
    (void)remove(g_file);
    refused(m, "q5_0", "expected the type f32, f16, bf16");
    refused(m, "q9", "found \"q9\"");
    ((real *)m->t[1].data)[3] = (real)65520; /* a vector, which is stored as F32 */
    md_exported r;
    ok(md_export_gguf(&r, m, g_file, "f16"));
    (void)remove(g_file);
    ((real *)find_tensor(m, "model.layers.0.mlp.up_proj.weight")->data)[5 * 32] = (real)65520;
    refused(m, "f16", "model.layers.0.mlp.up_proj.weight: a weight of row 5 exceeds the range of F16");
    m->config.rope.kind = MD_ROPE_YARN;
    refused(m, "f32", "of llama models hold no rotary embedding with this scaling");
    m->config.rope.kind = MD_ROPE_LLAMA3, m->config.family = MD_QWEN2;
    refused(m, "f32", "of qwen2 models hold no rotary embedding with this scaling");
    m->config.family = MD_LLAMA, m->config.rope.kind = MD_ROPE_LONGROPE, m->config.rope.attention = 1, m->config.rope.divisor[1][3] = 2;
    refused(m, "f32", "of llama models hold no rotary embedding with this scaling");
    m->config.rope.kind = MD_ROPE_DEFAULT, m->config.rope.dims = 4;
    refused(m, "f32", "a partial rotary embedding or a sliding window");
    m->config.rope.dims = 0, m->config.window = 8;
    refused(m, "f32", "a partial rotary embedding or a sliding window");
    m->config.window = 0, m->config.family = MD_GEMMA2;
    refused(m, "f32", "nor that no layer has a window");
    m->config.family = MD_PHI3;
    refused(m, "f32", "a phi3 model cannot be written");
    m->config.family = MD_GRANITE, m->config.biases = MD_O_BIAS;
    refused(m, "f32", "a granite model with biases cannot be written");
    m->config.biases = 0, m->config.family = MD_SMOLLM3;
    m->config.layer[0] = MD_LAYER_NO_ROPE;
    refused(m, "f32", "llama.cpp expects every fourth one");
    m->config.layer[0] = 0, m->config.family = MD_LLAMA, m->config.V = 300;
    refused(m, "f32", "but the model has 300 entries");
    m->config.V = V;
    edit("\"single\": [", "[", "\"single\": [{\"SpecialToken\": {\"id\": \"<|end|>\", \"type_id\": 0}}, ");
    refused(m, "f32", "puts 2 tokens before a text");
    ok(qu_quantise(m, 4, 4));
    refused(m, "f32", "is quantised to 4 bits already");
    md_destroy(&m);
}

static int remove_all(void **state)
{
    (void)state;
    (void)remove(g_file);
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_are_read_back),
                                       cmocka_unit_test(columns_that_fill_no_block),
                                       cmocka_unit_test(families_with_more_are_read_back),
                                       cmocka_unit_test(pre_tokenizers_have_names),
                                       cmocka_unit_test(other_tokenizers_are_refused),
                                       cmocka_unit_test(entries_and_tokens_are_stored),
                                       cmocka_unit_test(scaled_rotary_embeddings_are_stored),
                                       cmocka_unit_test(windows_are_those_of_the_model),
                                       cmocka_unit_test(what_a_file_cannot_hold_is_refused)};
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    snprintf(g_file, sizeof g_file, "%s.gguf", g_dir);
    return cmocka_run_group_tests(tests, NULL, remove_all);
}
