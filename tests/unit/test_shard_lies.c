/* test_shard_lies.c -- files that lie: written with the tables of a shard, but not by the rules of its writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/loader.h"
#include "data/shard/columns.h"
#include "tests/support/one_file.h"
#include <math.h>
#include <string.h>

typedef struct lie {
    int64_t k, starts[3], valid_rows, wide, vocab, docs_rows;
    int32_t about, id;
    /* of an encoded state and weights; 0: there are none */
    int64_t  codec, bits, scales, head, map;
    uint16_t number; /* one of the head's */
    float    weight, mapped;
    /* of the first row; 0: as it should be */
    int32_t twice, tail_of;               /* an id among its top k a second time; among its tail ids too */
    float   above, actual, entropy, sure; /* sure: of an id that is nearly certain */
    float   rest;
    uint8_t mask; /* of its prompt */
    /* of the last row of the first document, which has no target */
    float         number_left;
    int32_t       id_left, about_left;
    const char   *tokenizer, *seed, *sampling, *gemm, *extra;
    unsigned char topic; /* a byte of it */
    uint8_t       spare; /* bits of an encoded state that nothing uses */
    double        cost;
    int           older; /* 1: a shard of an earlier version, without the attributes that were added later */
} lie;
static const char g_sha[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const lie  honest  = {.k = 2, .starts = {0, 2, 5}, .valid_rows = 5, .wide = 2, .vocab = 9, .docs_rows = 2, .about = 4, .id = 3};

static void put(ds_h5 *f, ds_h5_spec spec, const void *v, int64_t n)
{
    ds_h5_set *s;
    spec.chunk = 64;
    assert_int_equal(ds_h5_set_create(&s, f, &spec), RT_OK);
    assert_int_equal(ds_h5_set_append(s, v, n), RT_OK);
    assert_int_equal(ds_h5_set_finish(&s), RT_OK);
}

static void put_tables(ds_h5 *f, const lie *l)
{
    const float   nan = NAN, half = logf(0.5f);
    const int32_t ids[] = {1, 2, l->id, 4, 5}, target[] = {2, l->about_left ? l->about_left : -1, l->about, 5, -1};
    const uint8_t valid[] = {1, 0, 1, 1, 0}, prompt[5] = {l->mask};
    int32_t       topk[32] = {1, 2, 0, l->id_left, 4, 2, 1, 5, 0, 0};
    float lp[32]   = {half, l->above != 0 ? l->above : half, l->number_left != 0 ? l->number_left : nan, nan, half, half, half, half, nan,
                      nan};
    float actual[] = {l->actual != 0 ? l->actual : half, nan, half, half, nan}, rest[] = {l->rest, nan, 0, 0, nan};
    const float  entropy[] = {l->entropy, nan, nan, 0, nan};
    const double cost[2]   = {l->cost, NAN};
    const char   topic[4]  = {(char)l->topic, 0, 't', 0};
    if (l->sure != 0) lp[0] = l->sure, lp[1] = actual[0] = -20;
    if (l->twice) topk[1] = topk[0];
    put(f, (ds_h5_spec){.name = "/ids", .type = DS_I32}, ids, 5);
    put(f, (ds_h5_spec){.name = "/prompt_mask", .type = DS_U8}, prompt, 5);
    put(f, (ds_h5_spec){.name = "/target_id", .type = DS_I32}, target, 5);
    put(f, (ds_h5_spec){.name = "/valid", .type = DS_U8}, valid, l->valid_rows);
    put(f, (ds_h5_spec){.name = "/topk_ids", .type = DS_I32, .width = l->wide}, topk, 5);
    put(f, (ds_h5_spec){.name = "/topk_logprob", .type = DS_F32, .width = 2}, lp, 5);
    put(f, (ds_h5_spec){.name = "/actual_logprob", .type = DS_F32}, actual, 5);
    put(f, (ds_h5_spec){.name = "/rest_mass", .type = DS_F32}, rest, 5);
    put(f, (ds_h5_spec){.name = "/rest_entropy", .type = DS_F32}, entropy, 5);
    put(f, (ds_h5_spec){.name = "/doc_start", .type = DS_I64}, l->starts, 3);
    put(f, (ds_h5_spec){.name = "/doc/cost", .type = DS_F64}, cost, l->docs_rows);
    if (l->extra) put(f, (ds_h5_spec){.name = l->extra, .type = DS_I32}, ids, 5);
    for (int t = 0; t < TEXT_META; t++)
        put(f, (ds_h5_spec){.name = ds_text_names[t], .text = t == TEXT_SEED ? 21 : 2},
            t == TEXT_SEED    ? l->seed ? l->seed : "0\0...................0\0..................."
            : t == TEXT_TOPIC ? topic
                              : "a\0b\0",
            2);
}

static void put_codec(ds_h5 *f, const lie *l)
{
    static const uint8_t bits[64]     = {5, 4, 4, 5, 5};
    const uint8_t        rows[5 * 64] = {0, l->spare};
    const float          scale[4] = {1, 2, 3, 4}, weight[5] = {1, 1, l->weight, 1, 1};
    uint16_t             head[64] = {0x3f80, l->number};
    put(f, (ds_h5_spec){.name = "/weight", .type = DS_F32}, weight, 5);
    put(f, (ds_h5_spec){.name = "/sketch", .type = DS_U8, .width = l->codec}, rows, 5);
    put(f, (ds_h5_spec){.name = "/sketch_bits", .type = DS_U8}, bits, l->bits);
    put(f, (ds_h5_spec){.name = "/sketch_scale", .type = DS_F32}, scale, l->scales);
    const float map[64] = {1, l->mapped};
    put(f, (ds_h5_spec){.name = "/sketch_head", .type = DS_U8}, head, l->head);
    if (l->map) put(f, (ds_h5_spec){.name = "/sketch_map", .type = DS_F32}, map, l->map);
}

static rt_status tell(lie l, ds_shard **s)
{
    ds_h5 *f;
    assert_int_equal(ds_h5_create(&f, g_path), RT_OK);
    ds_h5_put_int(f, "format", 1);
    ds_h5_put_text(f, "kind", "soft");
    ds_h5_put_text(f, "codec", "raw");
    ds_h5_put_int(f, "vocab_size", l.vocab);
    ds_h5_put_int(f, "k", l.k);
    ds_h5_put_int(f, "m", 0);
    ds_h5_put_int(f, "time", 0);
    for (int a = 0; a < DS_ATTRIBUTES; a++) {
        const char *name = ds_attributes[a].name, *text = "";
        if (l.older && ds_attributes[a].later) continue;
        if (!strcmp(name, "dtype")) text = "bf16";
        if (!strcmp(name, "gemm") && l.gemm) text = l.gemm;
        if (!strcmp(name, "tokenizer_sha256")) text = l.tokenizer ? l.tokenizer : g_sha;
        if (!strcmp(name, "sampling") && l.sampling) text = l.sampling;
        assert_int_equal(ds_h5_put_text(f, name, text), RT_OK);
    }
    put_tables(f, &l);
    if (l.codec) put_codec(f, &l);
    assert_int_equal(ds_h5_close(&f), RT_OK);
    return ds_shard_open(s, g_path);
}

#define REFUSED(base, ...)                                \
    do {                                                  \
        lie l = base;                                     \
        __VA_ARGS__;                                      \
        assert_int_equal(tell(l, &s), RT_EFORMAT);        \
        assert_non_null(strstr(rt_error_text(), g_path)); \
    } while (0)

static void lies_are_refused(void **state)
{
    (void)state;
    ds_shard *s;
    ds_doc    d;
    assert_int_equal(tell(honest, &s), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    ds_shard_close(&s);
    REFUSED(honest, l.starts[1] = 6);
    REFUSED(honest, l.starts[1] = -3);
    REFUSED(honest, l.starts[1] = INT64_MIN);
    REFUSED(honest, l.starts[0] = 1);
    REFUSED(honest, l.starts[2] = INT64_MAX);
    REFUSED(honest, l.starts[2] = 4);
    REFUSED(honest, l.starts[1] = 0);
    REFUSED(honest, l.valid_rows = 4);
    REFUSED(honest, l.k = 3);
    REFUSED(honest, l.k = INT64_MAX);
    REFUSED(honest, l.k = -1);
    REFUSED(honest, l.wide = 3);
    REFUSED(honest, l.vocab = (int64_t)1 << 40);
    REFUSED(honest, l.docs_rows = 1);
    lie l = honest;
    l.id  = 9;
    assert_int_equal(tell(l, &s), RT_OK);
    assert_int_equal(ds_shard_doc(s, 0, &d), RT_OK);
    assert_int_equal(ds_shard_doc(s, 1, &d), RT_EFORMAT);
    assert_int_equal(ds_shard_verify(s), RT_ECHECK);
    ds_shard_close(&s);
    l       = honest;
    l.about = 5;
    assert_int_equal(tell(l, &s), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_ECHECK);
    assert_non_null(strstr(rt_error_text(), "document 1, row 0"));
    ds_shard_close(&s);
}

#define FOUND_IN(base, ...)                              \
    do {                                                 \
        lie l = base;                                    \
        __VA_ARGS__;                                     \
        assert_int_equal(tell(l, &s), RT_OK);            \
        assert_int_equal(ds_shard_verify(s), RT_ECHECK); \
        ds_shard_close(&s);                              \
    } while (0)

/* What FORMAT.md promises, one lie for each promise. */
static void broken_promises_are_found(void **state)
{
    (void)state;
    ds_shard *s;
    FOUND_IN(honest, l.about_left = 3);
    FOUND_IN(honest, l.number_left = -1);
    FOUND_IN(honest, l.id_left = 1);
    FOUND_IN(honest, l.cost = -1);
    FOUND_IN(honest, l.cost = INFINITY);
    FOUND_IN(honest, l.topic = 0xff);
    FOUND_IN(honest, l.tokenizer = "");
    FOUND_IN(honest, l.tokenizer = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef");
    FOUND_IN(honest, l.sampling = "{\"seed\":");
    FOUND_IN(honest, l.gemm = "{\"backend\":");
    FOUND_IN(honest, l.extra = "/tail_ids");
    FOUND_IN(honest, l.extra = "/sketch_bits");
    FOUND_IN(honest, l.extra = "/notes");
    FOUND_IN(honest, l.extra = "/doc/notes");
    FOUND_IN(honest, l.extra = "/notes/doc");
    FOUND_IN(honest, l.seed = "01\0..................0\0...................");
    FOUND_IN(honest, l.seed = "-1\0..................0\0...................");
    FOUND_IN(honest, l.seed = " 1\0..................0\0...................");
    FOUND_IN(honest, l.seed = "18446744073709551616\0"
                              "0\0...................");
    FOUND_IN(honest, l.seed = "00000000000000000000000000000000000000000");
    lie l  = honest;
    l.sure = -1e-4f;
    l.seed = "18446744073709551615\0"
             "0\0...................";
    assert_int_equal(tell(l, &s), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    ds_shard_close(&s);
}

static void older_shards_are_read(void **state)
{
    (void)state;
    for (int older = 0; older < 2; older++) {
        lie       l = honest;
        ds_shard *s;
        l.older = older;
        assert_int_equal(tell(l, &s), RT_OK);
        assert_int_equal(ds_shard_verify(s), RT_OK);
        assert_string_equal(ds_shard_info(s)->dtype, older ? "" : "bf16");
        assert_string_equal(ds_shard_info(s)->gemm, "");
        ds_shard_close(&s);
    }
}

/* What says that a row is unsound says so to everyone who reads it: the check, readers of documents (evaluation among
 * them) and the loader of training. */
static void unsound(lie l)
{
    const rt_strings     one  = {{g_path}, 1};
    const ds_loader_opts opts = {.shards = &one, .T = 5, .rows = 2, .k = 2, .targets = 1, .ordered = 1};
    ds_shard            *s;
    ds_doc               d;
    ds_batch             b;
    ds_loader           *loader;
    assert_int_equal(tell(l, &s), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_ECHECK);
    assert_int_equal(ds_shard_doc(s, 0, &d), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "document 0, row 0: "));
    ds_shard_close(&s);
    if (l.actual != 0) return; /* which no objective reads */
    rt_status st = ds_loader_create(&loader, &opts);
    if (st == RT_OK) {
        st = ds_loader_read(loader, 0, 1, &b);
        ds_loader_destroy(&loader);
    }
    assert_int_equal(st, RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "document 0, row 0: "));
}

#define UNSOUND(...)    \
    do {                \
        lie l = honest; \
        l.__VA_ARGS__;  \
        unsound(l);     \
    } while (0)

static void unsound_rows_are_used_by_nobody(void **state)
{
    (void)state;
    UNSOUND(twice = 1);
    UNSOUND(mask = 2);
    UNSOUND(rest = NAN);
    UNSOUND(rest = -0.01f);
    UNSOUND(rest = 0.5f);
    UNSOUND(above = 1e-5f);
    UNSOUND(sure = 1e-4f);
    UNSOUND(above = NAN);
    UNSOUND(above = -0.5f);
    UNSOUND(above = -9);
    UNSOUND(actual = 1e-5f);
    UNSOUND(actual = -0.5f);
    UNSOUND(entropy = -0.1f);
    UNSOUND(entropy = INFINITY);
    UNSOUND(entropy = 2.3f); /* log 9 is 2.197 */
}

static const lie encoded = {.k          = 2,
                            .starts     = {0, 2, 5},
                            .valid_rows = 5,
                            .wide       = 2,
                            .vocab      = 9,
                            .docs_rows  = 2,
                            .about      = 4,
                            .id         = 3,
                            .codec      = 2,
                            .bits       = 3,
                            .scales     = 3,
                            .head       = 9 * 4 * 2,
                            .number     = 0x4000,
                            .weight     = 2};

#define FOUND(...) FOUND_IN(encoded, __VA_ARGS__)

static void lies_of_codecs_are_found(void **state)
{
    (void)state;
    ds_shard       *s;
    const ds_codec *x;
    assert_int_equal(tell(encoded, &s), RT_OK);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    ds_shard_close(&s);
    REFUSED(encoded, l.bits = 0);
    REFUSED(encoded, l.bits = 17);
    FOUND(l.bits = 4);
    FOUND(l.scales = 4);
    FOUND(l.head = 9 * 4 * 2 - 1);
    FOUND(l.number = 0x7f80);
    FOUND(l.map = 3);
    FOUND(l.map = 13);
    FOUND(l.map = 12, l.mapped = INFINITY);
    FOUND(l.weight = -1);
    FOUND(l.weight = NAN);
    FOUND(l.spare = 0x20);
    lie l    = encoded;
    l.number = 0xff81;
    assert_int_equal(tell(l, &s), RT_OK);
    assert_int_equal(ds_shard_codec(s, &x), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), g_path));
    ds_shard_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_are_refused),         cmocka_unit_test(broken_promises_are_found),
        cmocka_unit_test(older_shards_are_read),    cmocka_unit_test(unsound_rows_are_used_by_nobody),
        cmocka_unit_test(lies_of_codecs_are_found),
    };
    return cmocka_run_group_tests_name("shard_lies", tests, set_up, tear_down);
}
