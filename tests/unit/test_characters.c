/* test_characters.c -- tokenizers whose symbols are characters: SentencePiece's kind of BPE, Unigram, and the steps around them.
 *
 * The tokenizers are made here.  Expected ids, pieces and texts are those of Hugging Face's tokenizers 0.23.3 for the same files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/rng.h"
#include "data/tokenizer/parts.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define M       "\xe2\x96\x81"
#define REPLACE "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" M "\"}"
#define LLAMA2  "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" M "\"}," REPLACE "]}"
#define TO_SPACES \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" M "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"
#define GEMMA_END              "{\"type\":\"Sequence\",\"decoders\":[" TO_SPACES "]}"
#define LLAMA_END              "{\"type\":\"Sequence\",\"decoders\":[" TO_SPACES ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"
#define META_OF(scheme, split) "{\"type\":\"Metaspace\",\"replacement\":\"" M "\",\"prepend_scheme\":\"" scheme "\",\"split\":" split "}"
#define META_END               META_OF("always", "true")
#define PIECES(list)           "{\"type\":\"Sequence\",\"pretokenizers\":[" list "]}"
#define SPLIT_OF(kind, text, behavior, invert) \
    "{\"type\":\"Split\",\"pattern\":{\"" kind "\":\"" text "\"},\"behavior\":\"" behavior "\",\"invert\":" invert "}"
#define S_TOKENS                                                 \
    "{\"id\":1,\"content\":\"<s>\",\"special\":true},{\"id\":2," \
    "\"content\":\"</s>\",\"special\":true}"
#define FALLBACK "\"byte_fallback\":true,\"fuse_unk\":true,\"unk_token\":\"<unk>\","

static char g_dir[] = "/tmp/test_characters.XXXXXX";

typedef struct made { /* NULL: none */
    const char *normalizer, *pre, *decoder, *flags, *added;
    int         bytes;   /* 1: the vocabulary has an entry of each byte */
    int         unigram; /* 1: the model is Unigram */
} made;

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(g_dir));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    ok(rt_dir_remove(g_dir));
    return 0;
}

static const char *or_null(const char *s) { return s ? s : "null"; }

/* <unk> 0, <s> 1, </s> 2, the bytes if there are any, then these. */
static void put_bpe(rt_buf *b, int bytes)
{
    static const char *const more[] = {M,     "a",  "b",    "c",  ",",  "1",   "2",  "\xc3\xa9", M M,
                                       M "a", "ab", M "ab", "bc", "12", M "b", "xa", "12c"};
    int                      id     = 3;
    ok(rt_buf_str(b, "\"type\":\"BPE\",\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2"));
    for (int i = 0; bytes && i < 256; i++) ok(rt_buf_fmt(b, ",\"<0x%02X>\":%d", (unsigned)i, id++));
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) ok(rt_buf_fmt(b, ",\"%s\":%d", more[i], id++));
    ok(rt_buf_str(b, "},\"merges\":[\"" M " " M "\",\"" M " a\",\"a b\",\"" M " ab\",\"" M "a b\",\"b c\",\"1 2\",\"" M " b\",\"12 c\"]"));
}

static void put_unigram(rt_buf *b, int bytes)
{
    ok(rt_buf_str(b, "\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"<s>\",0],[\"</s>\",0],[\"" M
                     "\",-2],[\"a\",-3],[\"b\",-3],[\"c\",-4],[\"ab\",-5],[\"bc\",-5.5],[\"" M "a\",-4],[\"" M
                     "ab\",-5],[\"abc\",-9],[\"\xc3\xa9\",-4]"));
    for (int i = 0; bytes && i < 256; i++) ok(rt_buf_fmt(b, ",[\"<0x%02X>\",0]", (unsigned)i));
    ok(rt_buf_str(b, ",[\"ca\",-7],[\"d\",-6.640810401845028],[\"ef\",-6.487224102672019],[\"de\",-3.9502972215288334],"
                     "[\"f\",-9.177737282988213]]"));
}

static ds_tokenizer *make(const made *m, rt_status want)
{
    rt_buf        b = {0}, path = {0};
    ds_tokenizer *t = NULL;
    ok(rt_buf_fmt(&b, "{\"added_tokens\":[%s],\"normalizer\":%s,\"pre_tokenizer\":%s,\"decoder\":%s,\"model\":{%s",
                  m->added ? m->added : "", or_null(m->normalizer), or_null(m->pre), or_null(m->decoder), m->flags ? m->flags : ""));
    (m->unigram ? put_unigram : put_bpe)(&b, m->bytes);
    ok(rt_buf_str(&b, "}}"));
    ok(rt_path(&path, g_dir, "tokenizer.json"));
    ok(rt_file_write(path.p, b.p, b.len));
    const rt_status st = ds_tokenizer_load(&t, g_dir);
    if (st != want) fail_msg("status %s, wanted %s: %s", rt_status_name(st), rt_status_name(want), rt_error_text());
    rt_buf_free(&b);
    rt_buf_free(&path);
    return t;
}

static void refused(const made *m, const char *word)
{
    make(m, RT_EFORMAT);
    if (!strstr(rt_error_text(), word)) fail_msg("\"%s\" does not name \"%s\"", rt_error_text(), word);
}

/* One id at a time gives the same text, of which every part is whole characters. */
static void check_stream(const ds_tokenizer *t, const ds_ids *ids, const char *want)
{
    ds_decoder *d = NULL;
    rt_buf      b = {0};
    ok(ds_decoder_create(&d, t, 0));
    for (int round = 0; round < 2; round++) {
        rt_buf_clear(&b);
        ok(rt_buf_str(&b, ""));
        for (int64_t i = 0; i < ids->n; i++) {
            ok(ds_decoder_add(d, ids->v[i], &b));
            assert_true(rt_utf8_valid(b.p, b.len));
            assert_memory_equal(b.p, want, b.len);
        }
        ok(ds_decoder_end(d, &b));
        assert_string_equal(b.p, want);
    }
    ds_decoder_destroy(&d);
    rt_buf_free(&b);
}

static void check(const ds_tokenizer *t, const char *s, size_t n, const char *want_text, const int32_t *want, int64_t wants)
{
    ds_ids ids  = {0};
    rt_buf back = {0};
    ok(ds_encode(t, s, n, DS_ADDED, &ids));
    if (ids.n != wants || (wants && memcmp(ids.v, want, (size_t)wants * sizeof *want))) {
        for (int64_t i = 0; i < ids.n; i++) print_error("%d ", ids.v[i]);
        fail_msg("are not the ids of \"%s\"", s);
    }
    ok(ds_decode(t, ids.v, ids.n, 0, &back));
    assert_string_equal(back.p, want_text);
    check_stream(t, &ids, want_text);
    rt_buf_free(&back);
    free(ids.v);
}
#define CHECK(t, s, text, ...)                                                                  \
    do {                                                                                        \
        const int32_t want_[] = {__VA_ARGS__};                                                  \
        check((t), (s), sizeof(s) - 1, (text), want_, (int64_t)(sizeof want_ / sizeof *want_)); \
    } while (0)

/* ---- BPE of characters ------------------------------------------------------------------ */

static void llama2s_form(void **state)
{
    (void)state;
    ds_tokenizer *t = make(&(made){.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = FALLBACK, .added = S_TOKENS, .bytes = 1}, RT_OK);
    CHECK(t, "ab", "ab", 270);
    CHECK(t, "12c", "12c", 259, 275); /* no merge but 12 c joins 2 and c */
    CHECK(t, " ab", " ab", 267, 269);
    CHECK(t, "  a", "  a", 267, 268);
    CHECK(t, "a\xc3\xa9\xe4\xb8\xad\n", "a\xc3\xa9\xe4\xb8\xad\n", 268, 266, 231, 187, 176, 13);
    CHECK(t, "<s>ab</s> b<s><s>a", "<s> ab</s>  b<s><s> a", 1, 270, 2, 267, 261, 1, 1, 268);
    CHECK(t,
          "a \xf0\x9f\x98\x80"
          "b",
          "a \xf0\x9f\x98\x80"
          "b",
          268, 259, 243, 162, 155, 131, 261);
    check(t, "", 0, "", NULL, 0);
    ds_tokenizer_destroy(&t);
}

/* A token that is found in the normalised text is decoded as the normalizer makes it. */
static void normalised_tokens(void **state)
{
    (void)state;
    static const char added[] = "{\"id\":2,\"content\":\"</s>\",\"normalized\":true}";
    ds_tokenizer     *t = make(&(made){.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = FALLBACK, .added = added, .bytes = 1}, RT_OK);
    CHECK(t, "a </s>b", "a </s>b", 268, 2, 261);
    ds_tokenizer_destroy(&t);
}

static void gemmas_form(void **state)
{
    (void)state;
    const made    m = {.normalizer = REPLACE,
                       .pre        = SPLIT_OF("String", " ", "MergedWithPrevious", "false"),
                       .decoder    = GEMMA_END,
                       .flags      = FALLBACK,
                       .added      = S_TOKENS,
                       .bytes      = 1};
    ds_tokenizer *t = make(&m, RT_OK);
    CHECK(t, " ab", " ab", 270);
    CHECK(t, "  a", "  a", 267, 260);
    CHECK(t, "<s>ab</s> b<s><s>a", "<s>ab</s> b<s><s>a", 1, 269, 2, 273, 1, 1, 260);
    ds_tokenizer_destroy(&t);
}

static void mistrals_form(void **state)
{
    (void)state;
    made          m = {.pre = META_OF("first", "false"), .decoder = LLAMA_END, .flags = FALLBACK, .added = S_TOKENS, .bytes = 1};
    ds_tokenizer *t = make(&m, RT_OK);
    CHECK(t, "  a ab", " a ab", 267, 260, 270);
    CHECK(t, " a<s>a b</s>a", "a<s>a b</s>a", 268, 1, 260, 273, 2, 260);
    CHECK(t, "<s>a", "<s>a", 1, 260);
    ds_tokenizer_destroy(&t);
    m.pre = META_OF("always", "true");
    t     = make(&m, RT_OK);
    CHECK(t, "  a ab", " a ab", 259, 268, 270);
    CHECK(t, " a<s>a b</s>a", "a<s> a b</s> a", 268, 1, 268, 273, 2, 268);
    ds_tokenizer_destroy(&t);
}

static void characters_without_an_entry(void **state)
{
    (void)state;
    made          m = {.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = "\"unk_token\":\"<unk>\",\"fuse_unk\":true,"};
    ds_tokenizer *t = make(&m, RT_OK);
    CHECK(t, "axya", "a<unk>a", 12, 0, 4);
    CHECK(t, "xy\xc3\xa9z", "<unk>\xc3\xa9<unk>", 3, 0, 10, 0);
    ds_tokenizer_destroy(&t);
    m.flags = "\"unk_token\":\"<unk>\",";
    t       = make(&m, RT_OK);
    CHECK(t, "axya", "a<unk><unk>a", 12, 0, 0, 4);
    ds_tokenizer_destroy(&t);
    m.flags = NULL;
    t       = make(&m, RT_OK);
    CHECK(t, "axya", "aa", 12, 4);
    ds_tokenizer_destroy(&t);
}

/* Bytes that are not UTF-8 become U+FFFD, one for each maximal part; a NUL is a byte like others. */
static void bytes_that_are_no_text(void **state)
{
    (void)state;
    ds_tokenizer *t = make(&(made){.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = FALLBACK, .bytes = 1}, RT_OK);
    CHECK(t, "a\xe4\xb8\x61\xff",
          "a\xef\xbf\xbd"
          "a\xef\xbf\xbd",
          268, 242, 194, 192, 260, 242, 194, 192);
    CHECK(t, "\xf0\x9f\x98\xf0\x9f", "\xef\xbf\xbd\xef\xbf\xbd", 259, 242, 194, 192, 242, 194, 192);
    ds_ids        ids   = {0};
    rt_buf        b     = {0};
    const int32_t nul[] = {268, 3, 260}, cut[] = {3 + 0xe4, 3 + 0xb8, 260, 3 + 0xe4, 3 + 0xb8};
    ok(ds_encode(t, "a\0a", 3, 0, &ids));
    assert_int_equal(ids.n, 3);
    assert_memory_equal(ids.v, nul, sizeof nul);
    ok(ds_decode(t, cut, 5, 0, &b)); /* each byte of a run that is no text */
    assert_string_equal(b.p, "\xef\xbf\xbd\xef\xbf\xbd"
                             "a\xef\xbf\xbd\xef\xbf\xbd");
    rt_buf_free(&b);
    free(ids.v);
    ds_tokenizer_destroy(&t);
}

/* For itself a token keeps its space, and a byte is that byte. */
static void a_token_has_a_text_of_its_own(void **state)
{
    (void)state;
    ds_tokenizer *t = make(&(made){.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = FALLBACK, .bytes = 1}, RT_OK);
    rt_buf        b = {0};
    ok(ds_token_text(t, 268, &b));
    ok(ds_token_text(t, 3 + 0xe4, &b));
    assert_string_equal(b.p, " a\xe4");
    rt_buf_free(&b);
    ds_tokenizer_destroy(&t);
}

/* Cutting a piece into words and keeping their ids changes no id. */
static void check_words(const made *m)
{
    static const char *const signs[] = {
        M, " ", " ", "a", "a", "b", "c", ",", "1", "2", "12c", "x", "y", "\xc3\xa9", "\n", "\xe4\xb8\xad", "ab ab ab ab ab", "<s>"};
    ds_tokenizer *t = make(m, RT_OK);
    ds_encoder   *e = NULL;
    rt_rng        r = {3};
    ok(ds_encoder_create(&e, t));
    for (int round = 0; round < 2000; round++) {
        rt_buf b    = {0};
        ds_ids want = {0}, got = {0};
        for (uint64_t k = rt_rng_below(&r, 60); k; k--) ok(rt_buf_str(&b, signs[rt_rng_below(&r, sizeof signs / sizeof *signs)]));
        ok(ds_encode_plain(t, b.p, b.len, DS_ADDED, &want));
        ok(ds_encoder_add(e, b.p, b.len, DS_ADDED, &got));
        assert_int_equal(got.n, want.n);
        if (want.n) assert_memory_equal(got.v, want.v, (size_t)want.n * sizeof *want.v);
        free(want.v);
        free(got.v);
        rt_buf_free(&b);
    }
    ds_encoder_destroy(&e);
    ds_tokenizer_destroy(&t);
}

static void words_give_the_ids_of_whole_pieces(void **state)
{
    (void)state;
    static const char *const flags[] = {FALLBACK, "\"unk_token\":\"<unk>\",\"fuse_unk\":true,", "\"unk_token\":\"<unk>\",", NULL,
                                        "\"ignore_merges\":true,\"unk_token\":\"<unk>\","};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        for (int bytes = 0; bytes < 2; bytes++) {
            check_words(&(made){.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = flags[i], .added = S_TOKENS, .bytes = bytes});
            check_words(
                &(made){.pre = META_OF("first", "false"), .decoder = LLAMA_END, .flags = flags[i], .added = S_TOKENS, .bytes = bytes});
        }
    check_words(&(made){.pre = META_OF("always", "true"), .decoder = META_END, .added = S_TOKENS, .unigram = 1});
    check_words(&(made){.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = FALLBACK, .added = S_TOKENS, .unigram = 1, .bytes = 1});
}

/* Encodes and decodes runs of n bytes, which are one piece each, and returns the processor time in seconds. */
static double time_runs(const ds_tokenizer *t, size_t n)
{
    static const char *const units[] = {"a", " ", "ab", "\n", "\xe4\xb8\xad", "a b ", "\xff"};
    const double             began   = processor_seconds();
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        rt_buf b = {0}, back = {0};
        ds_ids ids = {0};
        while (b.len < n) ok(rt_buf_str(&b, units[i]));
        ok(ds_encode(t, b.p, b.len, 0, &ids));
        ok(ds_decode(t, ids.v, ids.n, 0, &back));
        if (i < 6) assert_string_equal(back.p, b.p);
        rt_buf_free(&b);
        rt_buf_free(&back);
        free(ids.v);
    }
    return processor_seconds() - began;
}

/* Ten times the text takes ten times the time; a quadratic merge would take a hundred times. */
static void long_runs_take_linear_time(void **state)
{
    (void)state;
    for (int unigram = 0; unigram < 2; unigram++) {
        const made    m = {.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = FALLBACK, .bytes = 1, .unigram = unigram};
        ds_tokenizer *t = make(&m, RT_OK);
        (void)time_runs(t, 30000);
        const double one = time_runs(t, 30000), ten = time_runs(t, 300000);
        if (!(ten < 40 * one)) fail_msg("30,000 bytes take %g s, 300,000 take %g s", one, ten);
        ds_tokenizer_destroy(&t);
    }
}

/* ---- Unigram ------------------------------------------------------------------------------ */

static void unigram_takes_the_highest_sum(void **state)
{
    (void)state;
    made          m = {.pre = META_OF("always", "true"), .decoder = META_END, .unigram = 1};
    ds_tokenizer *t = make(&m, RT_OK);
    CHECK(t, "ab abc", "ab abc", 10, 10, 6);
    CHECK(t, "abcab", "abcab", 10, 6, 7);
    CHECK(t, "a xy\xe4\xb8\xadz b", "a <unk> b", 9, 3, 0, 3, 5);
    CHECK(t, " a  a", "a  a", 9, 3, 9);
    CHECK(t, "ca", "ca", 3, 13);       /* of equal sums the one with the longer last entry */
    CHECK(t, "def", "def", 3, 16, 17); /* 14, 15 if scores were read without the second rounding */
    check(t, "", 0, "", NULL, 0);
    ds_tokenizer_destroy(&t);
    m = (made){.pre     = PIECES("{\"type\":\"WhitespaceSplit\"}," META_OF("always", "true")),
               .decoder = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"}," META_END "]}",
               .flags   = "\"byte_fallback\":true,",
               .bytes   = 1,
               .unigram = 1};
    t = make(&m, RT_OK);
    CHECK(t, "a xy\xe4\xb8\xadz b", "a xy\xe4\xb8\xadz b", 9, 3, 133, 134, 241, 197, 186, 135, 3, 5);
    CHECK(t, "a\n b", "a b", 9, 3, 5);
    ds_tokenizer_destroy(&t);
}

/* ---- the steps ------------------------------------------------------------------------------ */

static rt_status add_piece(void *ud, const char *s, size_t n)
{
    rt_buf *b = ud;
    RT_TRY(rt_buf_str(b, b->len ? "|" : ""));
    return rt_buf_add(b, s, n);
}

static void check_pieces(const char *pre, const char *text, const char *want)
{
    ds_tokenizer *t = make(&(made){.pre = pre, .decoder = GEMMA_END}, RT_OK);
    ds_pre_work   w = {0};
    rt_buf        b = {0};
    ok(ds_pre_run(&t->pre, &w, text, strlen(text), 1, add_piece, &b));
    assert_string_equal(b.p, want);
    rt_buf_free(&b);
    ds_pre_work_free(&w);
    ds_tokenizer_destroy(&t);
}

static void splits_cut_as_they_say(void **state)
{
    (void)state;
    static const char text[] = ",ab,1c12,,b1";
#define CUT(behavior, invert, want) check_pieces(SPLIT_OF("Regex", ",|1", behavior, invert), text, want)
    CUT("Isolated", "false", ",|ab|,|1|c|1|2|,|,|b|1");
    CUT("Isolated", "true", ",|ab|,|1|c|1|2|,|,|b|1");
    CUT("Removed", "false", "ab|c|2|b");
    CUT("Removed", "true", ",|,|1|1|,|,|1");
    CUT("MergedWithPrevious", "false", ",|ab,|1|c1|2,|,|b1");
    CUT("MergedWithPrevious", "true", ",ab|,|1c|12|,|,b|1");
    CUT("MergedWithNext", "false", ",ab|,|1c|12|,|,b|1");
    CUT("MergedWithNext", "true", ",|ab,|1|c1|2,|,|b1");
    CUT("Contiguous", "false", ",|ab|,1|c|1|2|,,|b|1");
    CUT("Contiguous", "true", ",|ab|,1|c|1|2|,,|b|1");
    check_pieces(SPLIT_OF("Regex", "c?", "Isolated", "false"), "abcc1c", "a|b|c|c|1|c"); /* empty matches cut */
    check_pieces(SPLIT_OF("Regex", "c?", "MergedWithPrevious", "false"), "abcc1c", "a|bc|c|1c");
    check_pieces(SPLIT_OF("String", ".", "MergedWithNext", "false"), "a.b..c", "a|.b|.|.c");
}

static void steps_follow_each_other(void **state)
{
    (void)state;
    check_pieces(META_OF("first", "false"), "a  b c", M "a" M M "b" M "c");
    check_pieces(META_OF("first", "true"), "a  b c", M "a|" M "|" M "b|" M "c");
    check_pieces(META_OF("never", "true"), "a  b", "a|" M "|" M "b");
    check_pieces(PIECES("{\"type\":\"WhitespaceSplit\"}," META_OF("always", "true") ",{\"type\":\"Digits\",\"individual_digits\":false}"),
                 " ab\xe3\x80\x80 c12d\n1 ", M "ab|" M "c|12|d|" M "|1");
    check_pieces(PIECES(SPLIT_OF("Regex", ",", "Isolated", "false") "," META_OF("first", "true")), "ab,c d", M "ab|,|c|" M "d");
    check_pieces("{\"type\":\"Digits\",\"individual_digits\":true}", "ab12", "ab|1|2");
}

static void normalizers_change_the_text(void **state)
{
    (void)state;
    const made m = {.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},"
                                  "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}|\\\\n\"},\"content\":\"b\"}]}",
                    .decoder    = GEMMA_END,
                    .flags      = FALLBACK,
                    .bytes      = 1};
    ds_tokenizer *t = make(&m, RT_OK);
    CHECK(t,
          " \xe3\x80\x80"
          "a  b\nc\t\xc2\xa0",
          "abbbc", 269, 261, 271);
    check(t, "   ", 3, "", NULL, 0);
    ds_tokenizer_destroy(&t);
    t = make(&(made){.normalizer = "{\"type\":\"NFKC\"}", .decoder = GEMMA_END}, RT_OK);
    CHECK(t, "\xef\xbd\x81\xe2\x91\xa0", "a1", 4, 8); /* a wide a, a 1 in a circle */
    ds_tokenizer_destroy(&t);
    /* a map without strings changes nothing */
    t = make(&(made){.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAAA=\"}", .decoder = GEMMA_END}, RT_OK);
    CHECK(t, "ab1", "ab1", 13, 8);
    ds_tokenizer_destroy(&t);
}

static void unknown_parts_are_refused_by_name(void **state)
{
    (void)state;
    refused(&(made){.normalizer = "{\"type\":\"BertNormalizer\"}", .decoder = GEMMA_END}, "BertNormalizer");
    refused(&(made){.normalizer = "{\"type\":\"BertNormalizer\"}", .decoder = GEMMA_END}, "Prepend, Replace");
    refused(&(made){.normalizer = "{\"type\":\"Replace\",\"content\":\"\"}", .decoder = GEMMA_END}, "Replace");
    refused(&(made){.normalizer = "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a*\"},\"content\":\"\"}", .decoder = GEMMA_END},
            "empty text");
    refused(&(made){.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAA\"}", .decoder = GEMMA_END}, "cut");
    refused(&(made){.normalizer = "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"B-AA\"}", .decoder = GEMMA_END}, "base64");
    refused(&(made){.pre = "{\"type\":\"BertPreTokenizer\"}", .decoder = GEMMA_END}, "BertPreTokenizer");
    refused(&(made){.pre = META_OF("often", "true"), .decoder = GEMMA_END}, "often");
    refused(&(made){.pre = SPLIT_OF("String", "a", "Halved", "false"), .decoder = GEMMA_END}, "Halved");
    refused(&(made){.decoder = "{\"type\":\"CTC\"}"}, "CTC");
    refused(&(made){.decoder = "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"}, "without Fuse");
    refused(&(made){.decoder = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"}," META_END "]}"}, "after Fuse");
    refused(&(made){.decoder = GEMMA_END, .flags = "\"unk_token\":\"<?>\","}, "<?>");
    refused(&(made){0}, "no decoder");
}

/* Every part that decides ids changes the identity; the decoder does not. */
static void identities_differ_where_ids_do(void **state)
{
    static const made kinds[] = {{.decoder = GEMMA_END},
                                 {.decoder = GEMMA_END, .bytes = 1},
                                 {.decoder = GEMMA_END, .flags = "\"byte_fallback\":true,"},
                                 {.decoder = GEMMA_END, .flags = "\"unk_token\":\"<unk>\","},
                                 {.decoder = GEMMA_END, .flags = "\"fuse_unk\":true,"},
                                 {.decoder = GEMMA_END, .added = S_TOKENS},
                                 {.decoder = GEMMA_END, .normalizer = REPLACE},
                                 {.decoder = GEMMA_END, .normalizer = LLAMA2},
                                 {.decoder = GEMMA_END, .normalizer = "{\"type\":\"NFC\"}"},
                                 {.decoder = GEMMA_END, .normalizer = "{\"type\":\"NFKC\"}"},
                                 {.decoder = GEMMA_END, .pre = META_OF("first", "true")},
                                 {.decoder = GEMMA_END, .pre = META_OF("always", "true")},
                                 {.decoder = GEMMA_END, .pre = META_OF("always", "false")},
                                 {.decoder = GEMMA_END, .unigram = 1},
                                 {.decoder = GEMMA_END, .unigram = 1, .bytes = 1}};
    enum { N = sizeof kinds / sizeof *kinds };
    char identity[N][RT_SHA_HEX];
    (void)state;
    for (int i = 0; i < N; i++) {
        ds_tokenizer *t = make(&kinds[i], RT_OK);
        memcpy(identity[i], ds_tokenizer_identity(t), RT_SHA_HEX);
        for (int k = 0; k < i; k++) assert_string_not_equal(identity[i], identity[k]);
        ds_tokenizer_destroy(&t);
    }
    ds_tokenizer *t = make(&(made){.decoder = LLAMA_END}, RT_OK);
    assert_string_equal(ds_tokenizer_identity(t), identity[0]);
    ds_tokenizer_destroy(&t);
}

static void copies_are_the_same_tokenizer(void **state)
{
    (void)state;
    char          to[64];
    ds_tokenizer *t = make(&(made){.normalizer = LLAMA2, .decoder = LLAMA_END, .flags = FALLBACK, .added = S_TOKENS, .bytes = 1}, RT_OK),
                 *u;
    snprintf(to, sizeof to, "%s/copy", g_dir);
    ok(rt_dir_make(to));
    ok(ds_tokenizer_copy(g_dir, to));
    ok(ds_tokenizer_load(&u, to));
    assert_string_equal(ds_tokenizer_identity(u), ds_tokenizer_identity(t));
    CHECK(u, "<s>ab", "<s> ab", 1, 270);
    ds_tokenizer_destroy(&t);
    ds_tokenizer_destroy(&u);
}

/* A thousand special tokens come first, as in Mistral's newer vocabularies; they stand side by side and inside words. */
static void a_thousand_special_tokens(void **state)
{
    (void)state;
    rt_buf added = {0};
    ok(rt_buf_str(&added, S_TOKENS));
    for (int i = 0; i < 1000; i++) ok(rt_buf_fmt(&added, ",{\"id\":%d,\"content\":\"<SPECIAL_%d>\",\"special\":true}", 1000 + i, i));
    ds_tokenizer *t = make(&(made){.normalizer = REPLACE, .decoder = GEMMA_END, .flags = FALLBACK, .added = added.p, .bytes = 1}, RT_OK);
    CHECK(t, "a<SPECIAL_7><SPECIAL_77><SPECIAL_777>b", "a<SPECIAL_7><SPECIAL_77><SPECIAL_777>b", 260, 1007, 1077, 1777, 261);
    CHECK(t, "<SPECIAL_999> <s><SPECIAL_0>", "<SPECIAL_999> <s><SPECIAL_0>", 1999, 259, 1, 1000);
    const double began = processor_seconds();
    rt_buf       text  = {0};
    ds_ids       ids   = {0};
    while (text.len < 1000000) ok(rt_buf_str(&text, "<<SPECIAL_5><"));
    ok(ds_encode(t, text.p, text.len, DS_ADDED, &ids));
    assert_true(processor_seconds() - began < 2);
    free(ids.v);
    rt_buf_free(&text);
    rt_buf_free(&added);
    ds_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama2s_form),
        cmocka_unit_test(normalised_tokens),
        cmocka_unit_test(gemmas_form),
        cmocka_unit_test(mistrals_form),
        cmocka_unit_test(characters_without_an_entry),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(a_token_has_a_text_of_its_own),
        cmocka_unit_test(words_give_the_ids_of_whole_pieces),
        cmocka_unit_test(long_runs_take_linear_time),
        cmocka_unit_test(unigram_takes_the_highest_sum),
        cmocka_unit_test(splits_cut_as_they_say),
        cmocka_unit_test(steps_follow_each_other),
        cmocka_unit_test(normalizers_change_the_text),
        cmocka_unit_test(unknown_parts_are_refused_by_name),
        cmocka_unit_test(identities_differ_where_ids_do),
        cmocka_unit_test(copies_are_the_same_tokenizer),
        cmocka_unit_test(a_thousand_special_tokens),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
