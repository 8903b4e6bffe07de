/* test_tokenizer.c -- byte-level BPE: ids and bytes, special tokens, NFC, long runs, training, broken files.
 *
 * The expected ids follow from small vocabularies that are written or trained here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/options.h"
#include "core/rng.h"
#include "data/text.h"
#include "data/tokenizer/parts.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END = 0, FIRST_BYTE = 1, FIRST_MERGE = 257 };

static char g_dir[] = "/tmp/test_tokenizer.XXXXXX";
static char g_corpus[64], g_trained[64], g_made[64];

static const char *const lines[] = {"the vessel of the distiller: a retort, the still", "a retort is the answer of the other",
                                    "it's 12,345  times   over", "the theme of the thesis", "caf\xc3\xa9 na\xc3\xafve"};

static void write_text(const char *dir, const char *name, const char *text)
{
    rt_buf path = {0};
    ok(rt_dir_make(dir));
    ok(rt_path(&path, dir, name));
    ok(rt_file_write(path.p, text, strlen(text)));
    rt_buf_free(&path);
}

static char *read_text(const char *dir, const char *name)
{
    rt_buf path = {0}, text = {0};
    ok(rt_path(&path, dir, name));
    ok(rt_file_read(&text, path.p, 1 << 24));
    rt_buf_free(&path);
    return text.p;
}

static int set_up(void **state)
{
    (void)state;
    rt_buf text = {0};
    assert_non_null(mkdtemp(g_dir));
    snprintf(g_corpus, sizeof g_corpus, "%s/corpus.txt", g_dir);
    snprintf(g_trained, sizeof g_trained, "%s/trained", g_dir);
    snprintf(g_made, sizeof g_made, "%s/made", g_dir);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) ok(rt_buf_fmt(&text, "%s\n\n", lines[i]));
    ok(rt_file_write(g_corpus, text.p, text.len));
    rt_buf_free(&text);
    const rt_strings files = {.v = {g_corpus}, .n = 1};
    ok(ds_tokenizer_train(&(ds_input){.names = files.v, .n = files.n}, 300, "<|end|>", g_trained, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ok(rt_dir_remove(g_dir));
    return 0;
}

static ds_tokenizer *load(const char *dir)
{
    ds_tokenizer *t = NULL;
    ok(ds_tokenizer_load(&t, dir));
    return t;
}

static void check_bytes(const ds_tokenizer *t, const char *s, size_t n)
{
    ds_ids ids  = {0};
    rt_buf back = {0};
    ok(ds_encode(t, s, n, 0, &ids));
    ok(ds_decode(t, ids.v, ids.n, 0, &back));
    assert_int_equal(back.len, n);
    assert_memory_equal(back.p, s, n);
    free(ids.v);
    rt_buf_free(&back);
}

static void check_ids(const ds_tokenizer *t, const char *s, int flags, const int32_t *want, int64_t n)
{
    ds_ids ids = {0};
    ok(ds_encode(t, s, strlen(s), flags, &ids));
    if (ids.n != n || memcmp(ids.v, want, (size_t)n * sizeof *want)) {
        for (int64_t i = 0; i < ids.n; i++) print_error("%d ", ids.v[i]);
        fail_msg("are not the ids of \"%s\"", s);
    }
    free(ids.v);
}
#define IDS(t, s, flags, ...)                                                         \
    do {                                                                              \
        const int32_t want_[] = {__VA_ARGS__};                                        \
        check_ids((t), (s), (flags), want_, (int64_t)(sizeof want_ / sizeof *want_)); \
    } while (0)

/* ---- training ----------------------------------------------------------------------- */

static void trained_entries_have_the_agreed_order(void **state)
{
    (void)state;
    ds_tokenizer *t = load(g_trained);
    assert_int_equal(ds_tokenizer_size(t), 300);
    assert_int_equal(ds_tokenizer_bos(t), END);
    assert_int_equal(ds_tokenizer_eos(t), END);
    assert_int_equal(ds_tokenizer_id(t, "!"), FIRST_BYTE);
    assert_int_equal(ds_tokenizer_id(t, "\xc4\x80"), FIRST_BYTE + 188); /* byte 0 */
    assert_int_equal(ds_tokenizer_id(t, "nowhere"), -1);
    assert_int_equal(ds_tokenizer_id(t, "he"), FIRST_MERGE);
    assert_int_equal(ds_tokenizer_id(t, "the"), FIRST_MERGE + 1);
    assert_int_equal(strlen(ds_tokenizer_identity(t)), 64);
    ds_tokenizer_destroy(&t);
    assert_null(t);
    ds_tokenizer_destroy(&t);
}

/* (a,b) and (c,d) are as frequent: the smaller left id is first; (a,b), (a,c): the smaller right id. */
static void ties_go_to_the_smaller_ids(void **state)
{
    (void)state;
    char dir[64], path[80];
    snprintf(dir, sizeof dir, "%s/ties", g_dir);
    write_text(dir, "t.txt", "cd\nac\nab\ncd\nab\nac\n");
    snprintf(path, sizeof path, "%s/t.txt", dir);
    const rt_strings files = {.v = {path}, .n = 1};
    ok(ds_tokenizer_train(&(ds_input){.names = files.v, .n = files.n}, 260, "<|end|>", dir, NULL));
    ds_tokenizer *t = load(dir);
    assert_int_equal(ds_tokenizer_id(t, "ab"), 257);
    assert_int_equal(ds_tokenizer_id(t, "ac"), 258);
    assert_int_equal(ds_tokenizer_id(t, "cd"), 259);
    ds_tokenizer_destroy(&t);
}

static void training_refuses_what_it_cannot_do(void **state)
{
    (void)state;
    const rt_strings files = {.v = {g_corpus}, .n = 1}, none = {.v = {"/nowhere/x.txt"}, .n = 1}, odd = {.v = {"corpus.pdf"}, .n = 1};
    assert_int_equal(ds_tokenizer_train(&(ds_input){.names = files.v, .n = files.n}, 256, "<|end|>", g_trained, NULL), RT_EINVAL);
    assert_int_equal(ds_tokenizer_train(&(ds_input){.names = files.v, .n = files.n}, 300, "", g_trained, NULL), RT_EINVAL);
    assert_int_equal(ds_tokenizer_train(&(ds_input){.names = files.v, .n = files.n}, 300, "\xff", g_trained, NULL), RT_EINVAL);
    assert_int_equal(ds_tokenizer_train(&(ds_input){.names = none.v, .n = none.n}, 300, "<|end|>", g_trained, NULL), RT_ENOENT);
    assert_int_equal(ds_tokenizer_train(&(ds_input){.names = odd.v, .n = odd.n}, 300, "<|end|>", g_trained, NULL), RT_EINVAL);
}

/* ---- encoding and decoding ------------------------------------------------------------- */

static void text_comes_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "the",
                                        "  \n\t the  other\r\n",
                                        "caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x9a\x80!",
                                        "it's we'LL 123",
                                        "\xe3\x80\x80\xc2\xa0\xe1\xa0\x8e x"};
    ds_tokenizer            *t       = load(g_trained);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_bytes(t, texts[i], strlen(texts[i]));
    IDS(t, "the", 0, FIRST_MERGE + 1);
    ds_tokenizer_destroy(&t);
}

static void bytes_that_are_no_text_come_back(void **state)
{
    (void)state;
    rt_rng        r = {7};
    char          s[64];
    ds_tokenizer *t = load(g_trained);
    for (int i = 0; i < 2000; i++) {
        const size_t n = (size_t)rt_rng_below(&r, sizeof s);
        for (size_t k = 0; k < n; k++) s[k] = (char)(rt_rng_below(&r, 3) ? rt_rng_below(&r, 256) : 't');
        check_bytes(t, s, n);
    }
    IDS(t, "the\xffthe", 0, FIRST_MERGE + 1, ds_tokenizer_id(t, "\xc3\xbf"), FIRST_MERGE + 1);
    ds_tokenizer_destroy(&t);
}

static void special_tokens_are_seen_only_when_asked(void **state)
{
    (void)state;
    ds_tokenizer *t    = load(g_trained);
    rt_buf        back = {0};
    const int32_t the  = FIRST_MERGE + 1;
    IDS(t, "the<|end|>the", DS_ADDED, the, END, the);
    IDS(t, "the", DS_SPECIAL, END, the);
    IDS(t, "", DS_SPECIAL, END);
    IDS(t, "the", DS_PROMPT, END, the);
    IDS(t, "the", DS_DOCUMENT, END, the, END);
    IDS(t, "<|end|>", DS_DOCUMENT, END, END, END);
    ds_ids ids = {0};
    ok(ds_encode(t, "<|end|>", 7, 0, &ids));
    assert_true(ids.n > 1);
    for (int64_t i = 0; i < ids.n; i++) assert_int_not_equal(ids.v[i], END);
    const int32_t three[] = {END, the, END};
    ok(ds_decode(t, three, 3, 0, &back));
    assert_string_equal(back.p, "<|end|>the<|end|>");
    rt_buf_clear(&back);
    ok(ds_decode(t, three, 3, 1, &back));
    assert_string_equal(back.p, "the");
    rt_buf_free(&back);
    free(ids.v);
    ds_tokenizer_destroy(&t);
}

/* A quadratic merge would take minutes. */
static void long_runs_are_fast(void **state)
{
    (void)state;
    enum { N = 100000 };
    static const char *const units[] = {"a", "the", " ", "\n", "7", "-", "\xc3\xa9", "\xff"};
    ds_tokenizer            *t       = load(g_trained);
    rt_buf                   b       = {0};
    const double             began   = processor_seconds();
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        rt_buf_clear(&b);
        while (b.len < N) ok(rt_buf_str(&b, units[i]));
        check_bytes(t, b.p, b.len);
    }
    assert_true(processor_seconds() - began < 5);
    rt_buf_free(&b);
    ds_tokenizer_destroy(&t);
}

/* The two ways of merging agree: a long piece is the short ones one after another
 * where no merge crosses. */
static void long_pieces_merge_like_short_ones(void **state)
{
    (void)state;
    ds_merges   m = {0};
    ds_bpe_work w = {0};
    rt_rng      r = {3};
    int32_t     one[30], many[300];
    int64_t     left, n, total;
    ok(ds_merges_reserve(&m, 8));
    for (int32_t i = 0; i < 3; i++) ds_merges_put(&m, i, (i + 1) % 3, 5 - i, 10 + i);
    ds_merges_put(&m, 10, 11, 1, 20);
    ds_merges_put(&m, 10, 10, 2, 21);
    for (int round = 0; round < 200; round++) {
        int32_t want[300];
        for (total = n = 0; n < 300; n += 30) {
            for (int i = 0; i < 29; i++) one[i] = many[n + i] = (int32_t)rt_rng_below(&r, 3);
            one[29] = many[n + 29] = 7; /* merges with nothing */
            ok(ds_bpe_merge(&m, &w, one, 30, &left));
            memcpy(want + total, one, (size_t)left * sizeof *one);
            total += left;
        }
        ok(ds_bpe_merge(&m, &w, many, 300, &left));
        assert_int_equal(left, total);
        assert_memory_equal(many, want, (size_t)total * sizeof *many);
    }
    ds_bpe_work_free(&w);
    free(m.slot);
}

/* ---- other programs' files ------------------------------------------------------------------ */

#define BYTE_LEVEL             "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}"
#define SPLIT(regex, behavior) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"" behavior "\",\"invert\":false}"
#define LLAMA3                                                                                                                                             \
    SPLIT(                                                                                                                                                 \
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|" \
        "\\\\s+(?!\\\\S)|\\\\s+",                                                                                                                          \
        "Isolated")

typedef struct made { /* NULL: the default */
    const char *normalizer, *pre, *post, *decoder, *added, *merges, *model, *more_vocab;
} made;

static const char * or (const char *s, const char *other) { return s ? s : other; }

/* A tokenizer.json: bytes 0..255 by value, then "th" 256, "the" 257, "Ġthe" 258, "ab" 259. */
static ds_tokenizer *make(const made *m, rt_status want)
{
    rt_buf b = {0};
    ok(rt_buf_fmt(
        &b, "{\"added_tokens\":[%s],\"normalizer\":%s,\"pre_tokenizer\":%s,\"post_processor\":%s,\"decoder\":%s,\"model\":{%s\"vocab\":{",
        or (m->added, ""), or (m->normalizer, "null"), or (m->pre, "{\"type\":\"Sequence\",\"pretokenizers\":[" LLAMA3 "," BYTE_LEVEL "]}"),
        or (m->post, "null"), or (m->decoder, BYTE_LEVEL), or (m->model, "\"type\":\"BPE\",")));
    for (int i = 0; i < 256; i++) {
        char         c[2];
        const size_t n = ds_alphabet_put((unsigned char)i, c);
        ok(rt_json_quote(&b, c, n));
        ok(rt_buf_fmt(&b, ":%d,", i));
    }
    ok(rt_buf_fmt(&b, "\"th\":256,\"the\":257,\"\xc4\xa0the\":258,\"ab\":259%s},\"merges\":[%s]}}", or (m->more_vocab, ""),
                  or (m->merges, "\"t h\",[\"th\",\"e\"],\"\xc4\xa0 the\"")));
    write_text(g_made, "tokenizer.json", b.p);
    rt_buf_free(&b);
    ds_tokenizer   *t  = NULL;
    const rt_status st = ds_tokenizer_load(&t, g_made);
    if (st != want) fail_msg("status %s, wanted %s: %s", rt_status_name(st), rt_status_name(want), rt_error_text());
    if (st != RT_OK) assert_null(t);
    return t;
}

static void refused(const made *m, const char *word)
{
    make(m, RT_EFORMAT);
    if (!strstr(rt_error_text(), word)) fail_msg("\"%s\" does not name \"%s\"", rt_error_text(), word);
    assert_non_null(strstr(rt_error_text(), g_made));
}

static void llama3_regex_cuts_digits_by_three(void **state)
{
    (void)state;
    ds_tokenizer *t = make(&(made){0}, RT_OK);
    IDS(t, "the the", 0, 257, 258);
    IDS(t, "1234", 0, '1', '2', '3', '4');
    IDS(t, "ab", 0, 'a', 'b'); /* an entry that no merge reaches */
    assert_int_equal(ds_tokenizer_bos(t), -1);
    ds_tokenizer_destroy(&t);
}

static void ignore_merges_takes_whole_entries(void **state)
{
    (void)state;
    ds_tokenizer *t = make(&(made){.model = "\"type\":\"BPE\",\"ignore_merges\":true,"}, RT_OK);
    IDS(t, "ab the", 0, 259, 258);
    ds_tokenizer_destroy(&t);
}

static void nfc_composes_only_where_asked(void **state)
{
    (void)state;
    ds_tokenizer *t = make(&(made){.normalizer = "{\"type\":\"NFC\"}"}, RT_OK);
    IDS(t, "e\xcc\x81", 0, 0xc3, 0xa9);
    IDS(t,
        "\xff"
        "e\xcc\x81\xff",
        0, 0xff, 0xc3, 0xa9, 0xff);
    ds_tokenizer_destroy(&t);
    t = make(&(made){0}, RT_OK);
    IDS(t, "e\xcc\x81", 0, 'e', 0xcc, 0x81);
    ds_tokenizer_destroy(&t);
}

/* U+180E is no white space: PCRE2's own \s says otherwise. */
static void white_space_is_unicodes(void **state)
{
    (void)state;
    const made    m = {.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("\\\\s", "Removed") "," BYTE_LEVEL "]}"};
    ds_tokenizer *t = make(&m, RT_OK);
    IDS(t, "a \xe1\xa0\x8e\xc2\x85\xe3\x80\x80t", 0, 'a', 0xe1, 0xa0, 0x8e, 't');
    ds_tokenizer_destroy(&t);
}

/* Symbols of Unicode 15 and 16 and letters of 16 and 17, whatever the machine's libraries know. */
static void classes_are_the_tables(void **state)
{
    (void)state;
    const made    m = {.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("[\\\\p{S}x]|\\\\s", "Removed") "," BYTE_LEVEL "]}"};
    ds_tokenizer *t = make(&m, RT_OK);
    IDS(t, "a\xf0\x9f\xa9\xb7\xf0\x9f\xab\xa8x\xf0\x9c\xb0\x80", 0, 'a'); /* U+1FA77, U+1FAE8, U+1CC00 */
    ds_tokenizer_destroy(&t);
    t = make(&(made){.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("\\\\P{L}|(?i:k)", "Removed") "," BYTE_LEVEL "]}"}, RT_OK);
    IDS(t, "a1\xe1\xb2\x89\xe2\x84\xaaKk\xcd\x85t", 0, 'a', 0xe1, 0xb2, 0x89, 't'); /* U+1C89; the Kelvin sign is a k */
    ds_tokenizer_destroy(&t);
}

/* What a class string cannot tell, or Ruby and PCRE2 read differently. */
static void regexes_are_refused_by_what_they_hold(void **state)
{
    static const char *const wrong[][2] = {{"(a)\\\\1", "escape"},
                                           {"\\\\p{Nothing}", "Nothing"},
                                           {"(?<n>a)", "group"},
                                           {"(?m:a)", "group"},
                                           {"a)", "without"},
                                           {"(a", "without"},
                                           {"[a", "class without an end"},
                                           {"[b-a]", "range"},
                                           {"\\\\pL", "braces"},
                                           {"(?i:\xc3\xa9)", "ASCII"},
                                           {"(?i:ss)", "ligature"},
                                           {"(?i:[\\\\p{Lu}])", "letters"},
                                           {"\\\\xe4", "character"},
                                           {"\\\\R", "escape"},
                                           {"[[:alpha:]]", "POSIX"},
                                           {"*a", "is invalid"}};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char pre[256];
        snprintf(
            pre, sizeof pre,
            "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"}," BYTE_LEVEL
            "]}",
            wrong[i][0]);
        refused(&(made){.pre = pre}, wrong[i][1]);
    }
}

static void added_tokens_obey_their_flags(void **state)
{
    (void)state;
#define ADDED(id, text, flag) "{\"id\":" #id ",\"content\":\"" text "\",\"normalized\":false," flag "}"
    const made    m = {.added = ADDED(300, "<a>", "\"lstrip\":true") "," ADDED(301, "<b>", "\"rstrip\":true") "," ADDED(
                           302, "word", "\"single_word\":true") "," ADDED(303, "<a>b", "\"special\":true")};
    ds_tokenizer *t = make(&m, RT_OK);
    assert_int_equal(ds_tokenizer_size(t), 304);
    IDS(t, "x  <a> y", DS_ADDED, 'x', 300, ' ', 'y');
    IDS(t, "x <b>  y", DS_ADDED, 'x', ' ', 301, 'y');
    IDS(t, "<a>b<a>", DS_ADDED, 303, 300); /* the longest */
    IDS(t, "word,", DS_ADDED, 302, ',');
    IDS(t, "words", DS_ADDED, 'w', 'o', 'r', 'd', 's');
    IDS(t, "<a>", 0, '<', 'a', '>');
    rt_buf        b     = {0};
    const int32_t ids[] = {300, 299, 303, 304, -1};
    ok(ds_decode(t, ids, 5, 1, &b)); /* 299 is a hole, 304 and -1 no ids */
    assert_string_equal(b.p, "<a>");
    rt_buf_free(&b);
    ds_tokenizer_destroy(&t);
}

static void broken_files_are_refused_by_name(void **state)
{
    (void)state;
    refused(&(made){.model = "\"type\":\"WordPiece\","}, "WordPiece");
    refused(&(made){.model = "\"type\":\"Unigram\","}, "Unigram");
    refused(&(made){.model = "\"dropout\":0.1,"}, "dropout");
    refused(&(made){.model = "\"end_of_word_suffix\":\"</w>\","}, "end_of_word_suffix");
    refused(&(made){.merges = "\"t q\",\"t zz\""}, "tq");
    refused(&(made){.merges = "\"t zz\""}, "zz");
    refused(&(made){.merges = "\"a b c\""}, "merge 0");
    refused(&(made){.merges = "5"}, "merge 0");
    refused(&(made){.normalizer = "{\"type\":\"Lowercase\"}"}, "Lowercase");
    refused(&(made){.pre = "null"}, "ByteLevel");
    refused(&(made){.pre = "{\"type\":\"Metaspace\"}"}, "ByteLevel");
    refused(&(made){.decoder = "null"}, "decoder");
    refused(&(made){.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("(a", "Isolated") "," BYTE_LEVEL "]}"}, "(a");
    refused(&(made){.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("(?i:[a&&b])", "Isolated") "," BYTE_LEVEL "]}"}, "&&");
    refused(&(made){.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT("a{1,3}+", "Isolated") "," BYTE_LEVEL "]}"}, "counted");
    refused(&(made){.post = "{\"type\":\"BertProcessing\"}"}, "BertProcessing");
    refused(&(made){.post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],\"special_tokens\":{}}"},
            "<s>");
    refused(&(made){.decoder = "{\"type\":\"WordPiece\"}"}, "WordPiece");
    refused(&(made){.added = "{\"id\":5,\"content\":\"<x>\"}"}, "<x>");
    refused(&(made){.more_vocab = ",\"th\":270"}, "two ids");
    refused(&(made){.more_vocab = ",\"tt\":-1"}, "tt");
    refused(&(made){.more_vocab = ",\"tt\":1e12"}, "tt");
}

static void missing_and_cut_files_are_errors(void **state)
{
    (void)state;
    ds_tokenizer *t    = NULL;
    char         *text = read_text(g_trained, "tokenizer.json");
    assert_int_equal(ds_tokenizer_load(&t, "/nowhere"), RT_ENOENT);
    for (size_t n = strlen(text) - 3; n > 100; n = n * 3 / 4) {
        text[n] = '\0';
        write_text(g_made, "tokenizer.json", text);
        assert_int_equal(ds_tokenizer_load(&t, g_made), RT_EFORMAT);
    }
    write_text(g_made, "tokenizer.json", "{}");
    assert_int_equal(ds_tokenizer_load(&t, g_made), RT_EFORMAT);
    assert_null(t);
    free(text);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void copies_carry_bos_and_eos(void **state)
{
    (void)state;
    char from[64], to[64], path[96];
    snprintf(from, sizeof from, "%s/from", g_dir);
    snprintf(to, sizeof to, "%s/to", g_dir);
    char *text = read_text(g_trained, "tokenizer.json");
    write_text(from, "tokenizer.json", text);
    write_text(from, "special_tokens_map.json", "{\"eos_token\": {\"content\": \"<|end|>\"}}");
    ok(rt_dir_make(to));
    ok(ds_tokenizer_copy(from, to));
    ds_tokenizer *t = load(to), *u = load(g_trained);
    assert_int_equal(ds_tokenizer_eos(t), END);
    assert_int_equal(ds_tokenizer_bos(t), -1);
    assert_string_equal(ds_tokenizer_identity(t), ds_tokenizer_identity(u));
    snprintf(path, sizeof path, "%s/tokenizer_config.json", to);
    cJSON *o = NULL;
    ok(rt_json_read(&o, path, 0));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "tokenizer_class")), "PreTrainedTokenizerFast");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(o, "eos_token")), "<|end|>");
    cJSON_Delete(o);
    write_text(to, "tokenizer_config.json", "{\"eos_token\": \"<nowhere>\"}");
    ds_tokenizer_destroy(&t);
    assert_int_equal(ds_tokenizer_load(&t, to), RT_EFORMAT);
    assert_int_equal(ds_tokenizer_copy("/nowhere", to), RT_ENOENT);
    ds_tokenizer_destroy(&u);
    free(text);
}

/* ---- text files ---------------------------------------------------------------------------------- */

static rt_status collect(void *ud, const ds_text *t)
{
    rt_buf *b = ud;
    RT_TRY(rt_buf_add(b, t->text, t->n));
    return rt_buf_str(b, "|");
}

static void text_files_give_documents(void **state)
{
    (void)state;
    char   path[80];
    rt_buf b = {0};
    write_text(g_dir, "a.txt", "one\r\n\ntwo  \nlast");
    snprintf(path, sizeof path, "%s/a.txt", g_dir);
    ok(ds_text_read(&(ds_input){.names = (const char *[]){path}, .n = 1}, NULL, collect, &b));
    assert_string_equal(b.p, "one|two  |last|");
    rt_buf_clear(&b);
    write_text(g_dir, "a.jsonl", "{\"text\": \"a\\nb\"}\n\n{\"id\": 1, \"text\": \"\"}\n{\"text\": \"n\\u0000l\\\\u0000\"}\n");
    snprintf(path, sizeof path, "%s/a.jsonl", g_dir);
    ok(ds_text_read(&(ds_input){.names = (const char *[]){path}, .n = 1}, NULL, collect, &b));
    assert_int_equal(b.len, 4 + 10);
    assert_memory_equal(b.p, "a\nb|n\0l\\u0000|", b.len);
    write_text(g_dir, "a.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n");
    assert_int_equal(ds_text_read(&(ds_input){.names = (const char *[]){path}, .n = 1}, NULL, collect, &b), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "line 2"));
    write_text(g_dir, "a.jsonl", "[1]\n");
    assert_int_equal(ds_text_read(&(ds_input){.names = (const char *[]){path}, .n = 1}, NULL, collect, &b), RT_EFORMAT);
    assert_int_equal(ds_text_read(&(ds_input){.names = (const char *[]){"/nowhere/a.txt"}, .n = 1}, NULL, collect, &b), RT_ENOENT);
    rt_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trained_entries_have_the_agreed_order),
        cmocka_unit_test(ties_go_to_the_smaller_ids),
        cmocka_unit_test(training_refuses_what_it_cannot_do),
        cmocka_unit_test(text_comes_back),
        cmocka_unit_test(bytes_that_are_no_text_come_back),
        cmocka_unit_test(special_tokens_are_seen_only_when_asked),
        cmocka_unit_test(long_runs_are_fast),
        cmocka_unit_test(long_pieces_merge_like_short_ones),
        cmocka_unit_test(llama3_regex_cuts_digits_by_three),
        cmocka_unit_test(ignore_merges_takes_whole_entries),
        cmocka_unit_test(nfc_composes_only_where_asked),
        cmocka_unit_test(white_space_is_unicodes),
        cmocka_unit_test(classes_are_the_tables),
        cmocka_unit_test(regexes_are_refused_by_what_they_hold),
        cmocka_unit_test(added_tokens_obey_their_flags),
        cmocka_unit_test(broken_files_are_refused_by_name),
        cmocka_unit_test(missing_and_cut_files_are_errors),
        cmocka_unit_test(copies_carry_bos_and_eos),
        cmocka_unit_test(text_files_give_documents),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
