/* test_trim.c -- trimmed tokenizers: the corpus keeps its entries; rows and shards under the remaining ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "data/remap.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_dir[] = "/tmp/retort-trim-XXXXXX", g_from[64], g_to[64], g_at[2][64];

/* Characters with byte fallback, as SentencePiece's kind: 0 to 3 special, 4 to 259 bytes, then characters and their merges.  "abc" is merged as
 * a + bc, because "b c" has the lower rank; "ab" is then not on its way. */
static void write_pieces(const char *dir)
{
    static const char *const more[] = {"a",
                                       "b",
                                       "c",
                                       "d",
                                       "\xe2\x96\x81",
                                       "bc",
                                       "ab",
                                       "abc",
                                       ("\xe2\x96\x81"
                                        "a"),
                                       "dd"};
    rt_buf                   b      = {0};
    ok(rt_buf_str(&b, "{\"added_tokens\":["));
    for (int i = 0; i < 4; i++)
        ok(rt_buf_fmt(&b, "%s{\"id\":%d,\"content\":\"<%d>\",\"special\":true,\"normalized\":false}", i ? "," : "", i, i));
    ok(rt_buf_str(
        &b, ",{\"id\":270,\"content\":\"<note>\",\"special\":false,\"normalized\":false}],\"normalizer\":{\"type\":\"Replace\","
            "\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"},\"padding\":{\"pad_id\":2,\"pad_token\":\"<2>\"},"
            "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<1>\",\"type_id\":0}},"
            "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_tokens\":{\"<1>\":{\"id\":\"<1>\",\"ids\":[1],\"tokens\":[\"<1>\"]}}},"
            "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]},"
            "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"<3>\",\"vocab\":{"));
    for (int i = 0; i < 4; i++) ok(rt_buf_fmt(&b, "\"<%d>\":%d,", i, i));
    for (int i = 0; i < 256; i++) ok(rt_buf_fmt(&b, "\"<0x%02X>\":%d,", (unsigned)i, i + 4));
    for (int i = 0; i < 10; i++) ok(rt_buf_fmt(&b, "\"%s\":%d%s", more[i], i + 260, i < 9 ? "," : ""));
    ok(rt_buf_str(&b, "},\"merges\":[\"b c\",\"a b\",\"a bc\",\"ab c\",\"\xe2\x96\x81 a\",\"d d\"]}}"));
    rt_buf path = {0};
    ok(rt_dir_make(dir));
    ok(rt_path(&path, dir, "tokenizer.json"));
    ok(rt_file_write(path.p, b.p, b.len));
    ok(rt_path(&path, dir, "tokenizer_config.json"));
    static const char config[] =
        "{\"bos_token\":\"<1>\",\"added_tokens_decoder\":{\"270\":{\"content\":\"<note>\"},\"3\":{\"content\":\"<3>\"}}}";
    ok(rt_file_write(path.p, config, sizeof config - 1));
    rt_buf_free(&path);
    rt_buf_free(&b);
}

static void encode(const ds_tokenizer *t, const char *text, ds_ids *ids)
{
    ids->n = 0;
    ok(ds_encode(t, text, strlen(text), DS_DOCUMENT, ids));
}

/* Trims the tokenizer of `from` to the ids of a text; a new folder each time. */
static void trim_to(const char *from, const char *text, const char *to)
{
    ds_tokenizer *t   = NULL;
    ds_ids        ids = {0};
    ok(ds_tokenizer_load(&t, from));
    uint8_t *used = calloc((size_t)ds_tokenizer_size(t), 1);
    encode(t, text, &ids);
    for (int64_t i = 0; i < ids.n; i++) used[ids.v[i]] = 1;
    ok(ds_tokenizer_trim(from, used, to));
    free(used), free(ids.v);
    ds_tokenizer_destroy(&t);
}

/* Checks that both tokenizers give a text the same entries. */
static void same_entries(const ds_tokenizer *from, const ds_tokenizer *to, const char *text)
{
    ds_ids   a = {0}, b = {0};
    int32_t *map = calloc((size_t)ds_tokenizer_size(from), sizeof *map);
    ok(ds_tokenizer_map(from, to, map));
    encode(from, text, &a);
    encode(to, text, &b);
    assert_int_equal(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++) assert_int_equal(map[a.v[i]], b.v[i]);
    free(a.v), free(b.v), free(map);
}

static void the_corpus_keeps_its_entries(void **state)
{
    static const char text[] = "abcab abc d";
    ds_tokenizer     *from = NULL, *to = NULL;
    rt_buf            b   = {0};
    ds_ids            ids = {0};
    (void)state;
    trim_to(g_from, text, g_to);
    ok(ds_tokenizer_load(&from, g_from));
    ok(ds_tokenizer_load(&to, g_to));
    same_entries(from, to, text);
    assert_int_equal(ds_tokenizer_id(to, "dd"), -1);
    assert_int_equal(ds_tokenizer_id(to, "<note>"), -1);
    assert_int_equal(ds_tokenizer_entries(to), 4 + 256 + 8); /* all but "dd", "<note>" and a space with "a" */
    assert_string_not_equal(ds_tokenizer_identity(from), ds_tokenizer_identity(to));
    encode(to, "dd\xc3\xa9", &ids); /* two entries instead of one, and two bytes */
    assert_int_equal(ids.n, 1 + 2 + 2);
    ok(ds_decode(to, ids.v, ids.n, 1, &b));
    assert_memory_equal(b.p, "dd\xc3\xa9", 4);
    rt_buf_free(&b), free(ids.v);
    ds_tokenizer_destroy(&from), ds_tokenizer_destroy(&to);
}

/* "abc" needs "bc", but not "ab", although a merge makes it of "ab" and "c". */
static void entries_off_the_way_are_dropped(void **state)
{
    ds_tokenizer *to = NULL;
    rt_buf        b  = {0};
    cJSON        *config;
    (void)state;
    trim_to(g_from, "abc<note>", g_at[0]);
    ok(ds_tokenizer_load(&to, g_at[0]));
    assert_true(ds_tokenizer_id(to, "bc") > 0);
    assert_int_equal(ds_tokenizer_id(to, "ab"), -1);
    assert_int_equal(ds_tokenizer_id(to, "d"), -1);
    assert_int_equal(ds_tokenizer_id(to, "<note>"), ds_tokenizer_entries(to) - 1);
    ok(rt_path(&b, g_at[0], "tokenizer_config.json"));
    ok(rt_json_read(&config, b.p, 0));
    const cJSON *decoder = cJSON_GetObjectItemCaseSensitive(config, "added_tokens_decoder");
    char         name[16];
    snprintf(name, sizeof name, "%d", ds_tokenizer_id(to, "<note>"));
    assert_non_null(cJSON_GetObjectItemCaseSensitive(decoder, name));
    assert_null(cJSON_GetObjectItemCaseSensitive(decoder, "270"));
    cJSON_Delete(config);
    rt_buf_free(&b);
    ds_tokenizer_destroy(&to);
}

static void byte_level_tokenizers_are_trimmed(void **state)
{
    static const char text[] = "The teacher sees a word; the student, another word.\n";
    char              share[512];
    ds_tokenizer     *from = NULL, *to = NULL;
    (void)state;
    snprintf(share, sizeof share, "%s/experiments/teacher/model", getenv("SOURCE_DIR"));
    trim_to(share, text, g_at[1]);
    ok(ds_tokenizer_load(&from, share));
    ok(ds_tokenizer_load(&to, g_at[1]));
    assert_true(ds_tokenizer_entries(to) >= 257 && ds_tokenizer_entries(to) < 400);
    same_entries(from, to, text);
    ds_tokenizer_destroy(&from), ds_tokenizer_destroy(&to);
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static void removed_entries_become_tail(void **state)
{
    static const int32_t map[] = {0, -1, 1, 2, -1, 3};
    uint8_t              valid = 1;
    int32_t              ids[] = {4, 2, 1}, tail[] = {0, 1, 5};
    float                lp[] = {logf(0.5F), logf(0.25F), logf(0.125F)}, mass = 0.125F, h = 0.3F;
    ds_rows              r = {.n            = 1,
                              .k            = 3,
                              .m            = 3,
                              .valid        = &valid,
                              .topk_ids     = ids,
                              .topk_logprob = lp,
                              .tail_mass    = &mass,
                              .tail_ids     = tail,
                              .tail_entropy = &h};
    (void)state;
    assert_true(fabs(ds_rows_map(&r, 0, map) - 0.625) < 1e-6);
    assert_true(ids[0] == 1 && ids[1] == -1 && ids[2] == -1 && lp[0] == logf(0.25F));
    assert_true(tail[0] == 0 && tail[1] == 3 && tail[2] == -1);
    assert_true(fabs((double)mass - 0.75) < 1e-6);
    assert_true(fabs((double)h - (0.3 + 0.5 * log(2) + 0.125 * log(8))) < 1e-6);
}

/* ---- shards -------------------------------------------------------------------------------------- */

static void write_shard(const char *path, const ds_tokenizer *t, const ds_ids *ids)
{
    ds_info    info = {.soft = 1, .vocab = ds_tokenizer_size(t), .k = 2};
    ds_writer *w    = NULL;
    ds_doc     d    = {.n = ids->n, .ids = ids->v, .rows = {.n = ids->n, .k = 2}};
    snprintf(info.tokenizer, sizeof info.tokenizer, "%s", ds_tokenizer_identity(t));
    ok(ds_rows_alloc(&d.rows, (unsigned)DS_ALL_COLUMNS));
    for (int64_t i = 0; i + 1 < d.n; i++) {
        d.rows.valid[i]            = 1;
        d.rows.topk_ids[2 * i]     = 269; /* "dd", which is dropped */
        d.rows.topk_ids[2 * i + 1] = 262; /* "c" */
        d.rows.topk_logprob[2 * i] = logf(0.5F), d.rows.topk_logprob[2 * i + 1] = logf(0.25F);
        d.rows.tail_mass[i]      = 0.25F;
        d.rows.tail_entropy[i]   = 0.5F;
        d.rows.actual_logprob[i] = NAN;
    }
    ok(ds_writer_create(&w, path, &info));
    ok(ds_writer_add(w, &d));
    ok(ds_writer_finish(&w));
    ds_rows_free(&d.rows);
}

static void check_shard(const char *path, const ds_tokenizer *to, const ds_ids *want)
{
    ds_shard *s = NULL;
    ds_doc    d;
    ok(ds_shard_open(&s, path));
    ok(ds_shard_verify(s));
    assert_true(ds_tokenizer_is(to, ds_shard_info(s)->tokenizer));
    assert_int_equal(ds_shard_info(s)->vocab, ds_tokenizer_size(to));
    ok(ds_shard_doc(s, 0, &d));
    assert_int_equal(d.n, want->n);
    assert_memory_equal(d.ids, want->v, (size_t)d.n * sizeof *d.ids);
    assert_int_equal(d.rows.topk_ids[0], ds_tokenizer_id(to, "c"));
    assert_int_equal(d.rows.topk_ids[1], -1);
    assert_true(fabs((double)d.rows.tail_mass[0] - 0.75) < 1e-6);
    ds_shard_close(&s);
}

static void a_shard_gets_the_remaining_ids(void **state)
{
    static const char text[] = "abcab abc d";
    char              path[96], out[96], other[96];
    ds_tokenizer     *from = NULL, *to = NULL;
    ds_shard         *s   = NULL;
    ds_ids            ids = {0}, more = {0}, want = {0};
    ds_remapped       r = {0};
    (void)state;
    snprintf(path, sizeof path, "%s/soft.h5", g_dir), snprintf(out, sizeof out, "%s/out.h5", g_dir);
    snprintf(other, sizeof other, "%s/other.h5", g_dir);
    ok(ds_tokenizer_load(&from, g_from));
    ok(ds_tokenizer_load(&to, g_to));
    encode(from, text, &ids), encode(from, "dd", &more), encode(to, text, &want);
    write_shard(path, from, &ids);
    write_shard(other, from, &more);
    ok(ds_shard_open(&s, path));
    ok(ds_remap(s, from, to, out, NULL, &r));
    assert_true(r.documents == 1 && r.tokens == ids.n && r.rows == ids.n - 1 && fabs(r.moved - 0.5) < 1e-6);
    check_shard(out, to, &want);
    assert_int_equal(ds_remap(s, to, to, other, NULL, &r), RT_EMISMATCH); /* not the shard's tokenizer */
    ds_shard_close(&s);
    ok(ds_shard_open(&s, other));
    unlink(out);
    assert_int_equal(ds_remap(s, from, to, out, NULL, &r), RT_EMISMATCH);
    assert_non_null(strstr(rt_error_text(), "document 0, token 1 has the id 269"));
    assert_false(rt_file_exists(out));
    ds_shard_close(&s);
    free(ids.v), free(more.v), free(want.v);
    ds_tokenizer_destroy(&from), ds_tokenizer_destroy(&to);
}

static int trim_setup(void **state)
{
    (void)state;
    if (!mkdtemp(g_dir)) return 1;
    snprintf(g_from, sizeof g_from, "%s/from", g_dir), snprintf(g_to, sizeof g_to, "%s/to", g_dir);
    for (int i = 0; i < 2; i++) snprintf(g_at[i], sizeof g_at[i], "%s/at%d", g_dir, i);
    write_pieces(g_from);
    return 0;
}

static int trim_teardown(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_keeps_its_entries),      cmocka_unit_test(entries_off_the_way_are_dropped),
        cmocka_unit_test(byte_level_tokenizers_are_trimmed), cmocka_unit_test(removed_entries_become_tail),
        cmocka_unit_test(a_shard_gets_the_remaining_ids),
    };
    return cmocka_run_group_tests(tests, trim_setup, trim_teardown);
}
