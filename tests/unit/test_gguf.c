/* test_gguf.c -- models in GGUF files: a file that the test lays out itself is read as the model that it holds, wherever it lies; one that is damaged,
 * or whose metadata mean something else, is refused by name. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "model/gguf.h"
#include "model/gguf_model.h"
#include "tests/support/check.h"
#include "tests/support/tensor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_dir[] = "/tmp/retort-gguf-XXXXXX";

static char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", g_dir, name);
    return path;
}

/* ---- a file --------------------------------------------------------------------------------------- */

static void put(rt_buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) ok(rt_buf_add(b, &(char){(char)(i < 8 ? v >> 8 * i : 0)}, 1));
}

static void put_text(rt_buf *b, const char *text)
{
    put(b, strlen(text), 8);
    ok(rt_buf_str(b, text));
}

typedef struct metadata { /* counts the keys */
    rt_buf b;
    int    n;
} metadata;

static void put_key(metadata *m, const char *key, md_gguf_kind kind)
{
    put_text(&m->b, key);
    put(&m->b, kind, 4);
    m->n++;
}

static void put_int(metadata *m, const char *key, int64_t v)
{
    put_key(m, key, MD_GGUF_U32);
    put(&m->b, (uint64_t)v, 4);
}

static void put_float(metadata *m, const char *key, double v)
{
    const float f = (float)v;
    put_key(m, key, MD_GGUF_F32);
    ok(rt_buf_add(&m->b, &f, 4));
}

static void put_word(metadata *m, const char *key, const char *v)
{
    put_key(m, key, MD_GGUF_TEXT);
    put_text(&m->b, v);
}

/* Values of the other types, which a reader of this model must pass. */
static void put_others(metadata *m)
{
    static const md_gguf_kind kinds[] = {MD_GGUF_U8,   MD_GGUF_I8,  MD_GGUF_U16, MD_GGUF_I16, MD_GGUF_I32,
                                         MD_GGUF_BOOL, MD_GGUF_U64, MD_GGUF_I64, MD_GGUF_F64};
    static const int          bytes[] = {1, 1, 2, 2, 4, 1, 8, 8, 8};
    char                      key[32];
    for (int i = 0; i < 9; i++) {
        snprintf(key, sizeof key, "test.other.%d", i);
        put_key(m, key, kinds[i]);
        put(&m->b, i == 5 ? 1 : (uint64_t)-2, bytes[i]);
    }
    put_key(m, "test.words", MD_GGUF_ARRAY);
    put(&m->b, MD_GGUF_TEXT, 4);
    put(&m->b, 2, 8);
    put_text(&m->b, "one"), put_text(&m->b, "two");
    put_key(m, "test.numbers", MD_GGUF_ARRAY);
    put(&m->b, MD_GGUF_I16, 4);
    put(&m->b, 3, 8);
    put(&m->b, 0x000100020003, 6);
}

static void put_config(metadata *m, const md_config *c)
{
    const char *const word = md_family_word((int)c->family);
    char              key[96];
#define KEY(name) (snprintf(key, sizeof key, "%s.%s", word, name), key)
    put_word(m, "general.architecture", word);
    put_int(m, KEY("block_count"), c->L);
    put_int(m, KEY("context_length"), c->context);
    put_int(m, KEY("embedding_length"), c->C);
    put_int(m, KEY("feed_forward_length"), c->F);
    put_int(m, KEY("attention.head_count"), c->H);
    put_int(m, KEY("attention.head_count_kv"), c->KV);
    put_int(m, KEY("attention.key_length"), c->D);
    put_float(m, KEY("rope.freq_base"), c->rope.theta);
    put_float(m, KEY("attention.layer_norm_rms_epsilon"), c->norm_eps);
    put_int(m, KEY("attention.sliding_window"), c->context);
    put_int(m, KEY("rope.dimension_count"), c->D);
    put_int(m, KEY("attention.value_length"), c->D);
    put_int(m, KEY("expert_count"), 0);
    put_int(m, "split.count", 1);
    put_word(m, KEY("rope.scaling.type"), "none");
    put_int(m, "tokenizer.ggml.bos_token_id", 1);
    put_int(m, "tokenizer.ggml.eos_token_id", 2);
    put_int(m, "tokenizer.ggml.eot_token_id", 3);
    put_int(m, "general.alignment", 16);
#undef KEY
}

static void pad(rt_buf *b) { put(b, 0, (int)(-b->len & 15)); }

/* The row of the model's matrix that is row r of the file's: the halves of a head of q and k alternate in a Llama's file. */
static int64_t row_of(const md_config *c, const md_tensor *t, int64_t r)
{
    if (c->family != MD_LLAMA || (t->role != MD_Q && t->role != MD_K)) return r;
    const int64_t head = r / c->D, i = r % c->D;
    return head * c->D + i / 2 + i % 2 * (c->D / 2);
}

static void put_data(rt_buf *b, const md_config *c, const md_tensor *t)
{
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t j = 0; j < t->cols; j++) {
            const float x = (float)((const real *)t->data)[row_of(c, t, r) * t->cols + j];
            ok(rt_buf_add(b, &x, 4));
        }
}

/* Appends the file of a model, all weights in F32. */
static void lay_out(rt_buf *b, const md_model *m)
{
    metadata k     = {0};
    rt_buf   table = {0}, data = {0};
    put_config(&k, &m->config), put_others(&k);
    for (int i = 0; i < m->n; i++) {
        const md_tensor *t = &m->t[i];
        char             name[MD_GGUF_NAME];
        ok(md_gguf_tensor_name(name, t));
        put_text(&table, name);
        put(&table, t->is_vector ? 1 : 2, 4);
        put(&table, (uint64_t)t->cols, 8);
        if (!t->is_vector) put(&table, (uint64_t)t->rows, 8);
        put(&table, 0, 4);
        put(&table, data.len, 8);
        put_data(&data, &m->config, t);
        pad(&data);
    }
    put(b, 0x46554747, 4), put(b, 3, 4), put(b, (uint64_t)m->n, 8), put(b, (uint64_t)k.n, 8);
    ok(rt_buf_add(b, k.b.p, k.b.len));
    ok(rt_buf_add(b, table.p, table.len));
    pad(b);
    ok(rt_buf_add(b, data.p, data.len));
    rt_buf_free(&k.b), rt_buf_free(&table), rt_buf_free(&data);
}

static md_model *model(md_family family, int tied)
{
    const md_config c = {.family     = family,
                         .V          = 24,
                         .C          = 16,
                         .L          = 2,
                         .H          = 4,
                         .KV         = 2,
                         .D          = 8,
                         .F          = 32,
                         .context    = 32,
                         .rope.theta = 5e5,
                         .norm_eps   = 1e-5,
                         .tied       = tied,
                         .bos        = 1,
                         .ends       = {{2, 3}, 2}};
    md_model       *m = NULL;
    ok(md_create(&m, &c, KN_REAL));
    md_init(m, 1);
    return m;
}

static void write_file(const char *name, const rt_buf *b) { ok(rt_file_write(in_dir(name), b->p, b->len)); }

/* ---- reading ------------------------------------------------------------------------------------------ */

static void expect(const char *path, const md_model *m)
{
    md_model *back = NULL;
    md_config c;
    ok(md_config_read(&c, path));
    ok(md_load(&back, path, KN_REAL));
    assert_int_equal(c.family, m->config.family);
    assert_true(c.V == m->config.V && c.D == 8 && c.F == 32 && c.context == 32 && c.tied == m->config.tied);
    assert_true(c.rope.theta == 5e5 && c.norm_eps == 1e-5 && c.bos == 1 && c.ends.n == 2 && c.ends.id[1] == 3);
    assert_int_equal(back->n, m->n);
    for (int i = 0; i < m->n; i++)
        for (int64_t j = 0; j < m->t[i].rows * m->t[i].cols; j++)
            if ((float)((real *)back->t[i].data)[j] != (float)((real *)m->t[i].data)[j]) fail_msg("%s differs", m->t[i].name);
    md_destroy(&back);
}

static void files_hold_models(void **state)
{
    static const md_family families[] = {MD_LLAMA, MD_QWEN2, MD_QWEN3};
    (void)state;
    for (int i = 0; i < 6; i++) {
        md_model *m = model(families[i / 2], i % 2);
        rt_buf    b = {0};
        lay_out(&b, m);
        write_file("one.gguf", &b);
        expect(in_dir("one.gguf"), m);
        md_destroy(&m);
        rt_buf_free(&b);
    }
}

static void refused(const char *path, rt_status code, const char *words)
{
    md_model       *m  = NULL;
    const rt_status st = md_load(&m, path, KN_REAL);
    if (st != code || !strstr(rt_error_text(), words)) fail_msg("expected \"%s\", status %d: %s", words, (int)st, rt_error_text());
}

static void a_folder_holds_one_file(void **state)
{
    md_model *m = model(MD_LLAMA, 1);
    rt_buf    b = {0};
    (void)state;
    lay_out(&b, m);
    ok(rt_dir_make(in_dir("folder")));
    write_file("folder/a.gguf", &b);
    write_file("folder/config.json", &(rt_buf){.p = "{", .len = 1}); /* not read */
    expect(in_dir("folder"), m);
    write_file("folder/b.gguf", &b);
    refused(in_dir("folder"), RT_EFORMAT, "holds a.gguf and b.gguf; name one of the files");
    refused(in_dir("folder/c.gguf"), RT_ENOENT, "c.gguf: cannot be opened");
    ok(md_save(m, in_dir("folder"), KN_REAL)); /* safetensors come first */
    ok(rt_file_write(in_dir("folder/a.gguf"), "x", 1));
    md_model *back = NULL;
    ok(md_load(&back, in_dir("folder"), KN_REAL));
    md_destroy(&m), md_destroy(&back);
    rt_buf_free(&b);
}

/* ---- damage ------------------------------------------------------------------------------------------- */

/* At `skip` bytes after the end of the text `after` (NULL: of the file's beginning), these bytes. */
typedef struct damage {
    const char *after;
    int         skip, n;
    const char *bytes, *refused;
} damage;

#define ALL "\xff\xff\xff\xff\xff\xff\xff\xff"
static const damage damages[] = {
    {NULL, 0, 4, "GGML", "expected a GGUF file"},
    {NULL, 4, 4, "\1\0\0\0", "of GGUF version 1;"},
    {NULL, 4, 4, "\0\0\0\3", "of GGUF version 50331648;"},
    {NULL, 8, 8, ALL, "the header promises"},
    {NULL, 16, 8, ALL, "the header promises"},
    {NULL, 16, 8, "\0\0\1\0\0\0\0\0", "the header promises"},
    {NULL, 24, 8, ALL, "a key at byte 32 needs 18446744073709551615 bytes"},
    {NULL, 31, 1, "\x7f", "a key at byte 32 needs"},
    {"general.architecture", 0, 4, "\xd\0\0\0", "has a value of type 13"},
    {"general.architecture", 4, 8, ALL, "a text at byte"},
    {"general.architecture", 12, 5, "gemma", "general.architecture \"gemma\" is not supported"},
    {"general.architecture", 0, 4, "\4\0\0\0", "damaged"},
    {"llama.block_count", -1, 1, "x", "the key llama.block_count is missing"},
    {"llama.block_count", 4, 4, "\xe8\x03\0\0", "block_count is 1000, but the file holds fewer tensors"},
    {"llama.block_count", 4, 4, "\1\0\0\0", "the tensor blk.1.attn_k.weight does not belong"},
    {"llama.block_count", 4, 4, "\3\0\0\0", "model.layers.2.input_layernorm.weight is missing"},
    {"llama.block_count", 0, 4, "\6\0\0\0", "expected an integer as the value of llama.block_count"},
    {"llama.rope.freq_base", 0, 4, "\5\0\0\0", "expected a floating-point number as the value of llama.rope.freq_base"},
    {"llama.feed_forward_length", 4, 4, "\x40\0\0\0", "mlp.gate_proj.weight is [32,16], but the configuration requires [64,16]"},
    {"llama.rope.dimension_count", 4, 1, "\4", "llama.rope.dimension_count 4 is not supported"},
    {"llama.attention.value_length", 4, 1, "\4", "llama.attention.value_length 4 is not supported"},
    {"llama.expert_count", 4, 1, "\2", "llama.expert_count 2 is not supported"},
    {"split.count", 4, 1, "\2", "the file is one of 2 parts"},
    {"test.other.1", -1, 1, "0", "the key test.other.0 occurs twice"},
    {"llama.rope.scaling.type", 12, 4, "yarn", "llama.rope.scaling.type \"yarn\""},
    {"llama.rope.scaling.type", -23, 23, "llama.rope.scaling.typE", NULL},
    {"attention.sliding_window", 4, 1, "\x10", "attention.sliding_window 16 is not supported"},
    {"general.alignment", 4, 1, "\x18", "general.alignment is 24"},
    {"general.alignment", 4, 1, "\4", "general.alignment is 4"},
    {"test.other.5", 4, 1, "\2", "has the truth value 2"},
    {"test.words", 4, 4, "\x9\0\0\0", "elements of type 9"},
    {"test.words", 8, 8, ALL, "the array that ends at byte"},
    {"test.words", 8, 8, "\0\0\0\0\0\1\0\0", "an array at byte"},
    {"test.numbers", 8, 8, "\0\0\0\0\1\0\0\0", "an array at byte"},
    {"token_embd.weight", 0, 4, "\0\0\0\0", "has 0 dimensions"},
    {"token_embd.weight", 0, 4, "\5\0\0\0", "has 5 dimensions"},
    {"token_embd.weight", 4, 8, "\0\0\0\0\0\0\0\0", "is empty or too large"},
    {"token_embd.weight", 4, 8, ALL, "is empty or too large"},
    {"token_embd.weight", 4, 8, "\0\0\0\0\0\0\1\0", "is empty or too large"},
    {"token_embd.weight", 4, 8, "\0\0\0\0\1\0\0\0", "ends after the end of the file"},
    {"token_embd.weight", 4, 8, "\x11\0\0\0\0\0\0\0", "overlap"},
    {"token_embd.weight", 20, 4, "\x4\0\0\0", "is of GGUF's type 4, which is not supported"},
    {"token_embd.weight", 20, 4, "\x2\0\0\0", "has rows of 16 elements; Q4_0 requires a multiple of 32"},
    {"token_embd.weight", 24, 8, "\1\0\0\0\0\0\0\0", "begins at byte 1 of the data"},
    {"token_embd.weight", 24, 8, "\xf0" ALL, "ends after the end of the file"},
    {"token_embd.weight", -25, 1, "@", "a tensor's name has"},
    {"blk.1.ffn_down.weight", -17, 1, "0", "the tensor blk.0.ffn_down.weight occurs twice"},
    {"blk.1.ffn_down.weight", -1, 1, "\0", "or a NUL"},
};

static size_t position(const rt_buf *b, const damage *d)
{
    const char *at = d->after ? memmem(b->p, b->len, d->after, strlen(d->after)) : b->p;
    if (!at) fail_msg("no %s", d->after ? d->after : "file");
    return (size_t)(at - b->p) + (d->after ? strlen(d->after) : 0) + (size_t)d->skip;
}

static void damage_is_named(void **state)
{
    md_model *m    = model(MD_LLAMA, 1);
    rt_buf    good = {0}, bad = {0};
    (void)state;
    lay_out(&good, m);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const damage *d = &damages[i];
        rt_buf_clear(&bad);
        ok(rt_buf_add(&bad, good.p, good.len));
        memcpy(bad.p + position(&good, d), d->bytes, (size_t)d->n);
        write_file("bad.gguf", &bad);
        if (d->refused) refused(in_dir("bad.gguf"), RT_EFORMAT, d->refused);
        else expect(in_dir("bad.gguf"), m);
    }
    rt_buf_free(&good), rt_buf_free(&bad);
    md_destroy(&m);
}

static void every_truncation_is_refused(void **state)
{
    md_model *m = model(MD_LLAMA, 1);
    rt_buf    b = {0};
    (void)state;
    lay_out(&b, m);
    write_file("short.gguf", &b);
    for (size_t n = b.len - 1; n<b.len; n -= n> 5000 ? 997 : 1) { /* to 0 */
        md_gguf *g = NULL;
        assert_int_equal(truncate(in_dir("short.gguf"), (off_t)n), 0);
        assert_int_equal(md_gguf_open(&g, in_dir("short.gguf")), RT_EFORMAT);
    }
    rt_buf_free(&b);
    md_destroy(&m);
}

static int remove_dir(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_hold_models), cmocka_unit_test(a_folder_holds_one_file),
                                       cmocka_unit_test(damage_is_named), cmocka_unit_test(every_truncation_is_refused)};
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, remove_dir);
}
