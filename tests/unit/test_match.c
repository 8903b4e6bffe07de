/* test_match.c -- matchers written by hand cut texts where PCRE2 does, and encoding with them and with the cache of words gives the ids of plain merging.
 *
 * The patterns are those of well-known tokenizers, as their tokenizer.json has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/rng.h"
#include "core/threads.h"
#include "data/text.h"
#include "data/tokenizer/parts.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kind {
    const char *name, *pattern[3];
} kinds[] = {
    {"gpt2", {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}},
    {"llama3",
     {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"qwen2",
     {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"qwen35",
     {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"deepseek",
     {"\\p{N}{1,3}", "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|"
      "\\s+"}}};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Characters that some regex tells from others, several of each kind, more of those that are frequent; and bytes that are no text. */
static const char *const signs[] = {"a",
                                    "e",
                                    "the",
                                    "s",
                                    "S",
                                    "t",
                                    "re",
                                    "VE",
                                    "ll",
                                    "d",
                                    "m",
                                    "'",
                                    "'",
                                    " ",
                                    " ",
                                    " ",
                                    "  ",
                                    "\n",
                                    "\r\n",
                                    "\t",
                                    "1",
                                    "23",
                                    "4567",
                                    ".",
                                    ",",
                                    "-",
                                    "\"",
                                    "<",
                                    "_",
                                    "\\",
                                    "\xc5\xbf",
                                    "\xc3\xa9",
                                    "\xcc\x81",
                                    "\xd0\xb6",
                                    "\xd9\xa1",
                                    "\xe4\xb8\xad",
                                    "\xe3\x82\xa2",
                                    "\xe3\x81\x80",
                                    "\xe3\x83\xbb",
                                    "\xe3\x82\x9a",
                                    "\xe9\xbe\xa6",
                                    "\xc2\xa0",
                                    "\xe3\x80\x80",
                                    "\xe2\x80\x8b",
                                    "\xe2\x82\xac",
                                    "\xe2\x80\x9c",
                                    "\xc2\xb2",
                                    "\xe2\x85\xa7",
                                    "\xf0\x9f\x98\x80",
                                    "\xf0\x90\x90\x80",
                                    "\x01",
                                    "",
                                    "\x7f",
                                    "\xee\x80\x80",
                                    "\xcd\xb8",
                                    "\xff",
                                    "\xe4\xb8",
                                    "\xe2\x84\xaa",
                                    "abcdefghijklmnopqrstuvwxyz",
                                    "!!!!!!!!!!!!!!!!!!!!"};

static size_t random_text(rt_rng *r, char *s, size_t most)
{
    size_t n = 0;
    for (int i = (int)rt_rng_below(r, 40); i > 0; i--) {
        const char  *c   = signs[rt_rng_below(r, sizeof signs / sizeof *signs)];
        const size_t len = *c ? strlen(c) : 1; /* "" is a NUL */
        for (uint64_t k = rt_rng_below(r, 4) ? 1 : rt_rng_below(r, 9); k && n + len < most; k--) memcpy(s + n, c, len), n += len;
    }
    return n;
}

/* ---- cuts ------------------------------------------------------------------------------------- */

enum { MOST = 1024 };

typedef struct cuts {
    const char *text;
    uint32_t    end[MOST];
    int         n;
} cuts;

static rt_status add_cut(void *ud, const char *s, size_t n)
{
    cuts *c        = ud;
    c->end[c->n++] = (uint32_t)((size_t)(s - c->text) + n);
    return RT_OK;
}

/* `few`: how many pieces are asked for at once. */
static void matcher_cuts(const ds_matcher *m, const char *s, size_t n, int few, cuts *c)
{
    for (size_t i = 0; i < n;) {
        const size_t valid = rt_utf8_prefix(s + i, n - i);
        for (size_t at = 0; at < valid;) {
            const int got = m->match(m->kind, s + i, valid, &at, c->end + c->n, few);
            assert_in_range(got, 1, few);
            for (int k = 0; k < got; k++) c->end[c->n++] += (uint32_t)i;
        }
        i += valid;
        if (i < n) c->end[c->n++] = (uint32_t)++i;
    }
}

static void splitter_of(ds_splitter *s, const struct kind *k)
{
    for (int i = 0; i < 3 && k->pattern[i]; i++) ok(ds_splitter_add(s, k->pattern[i], 0, DS_KEEP_BOTH, k->name));
    ok(ds_splitter_ready(s, k->name));
}

static void matchers_cut_as_the_regexes(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        ds_splitter   s = {0};
        ds_split_work w = {0};
        rt_rng        r = {5};
        splitter_of(&s, &kinds[i]);
        assert_non_null(s.matcher.match);
        for (int round = 0; round < 10000; round++) {
            char         text[MOST];
            const size_t n    = random_text(&r, text, sizeof text);
            cuts         want = {.text = text}, got = {.text = text};
            ok(ds_split(&s, &w, text, n, add_cut, &want));
            matcher_cuts(&s.matcher, text, n, 1 + round % 5, &got);
            if (want.n != got.n || memcmp(want.end, got.end, (size_t)want.n * sizeof *want.end)) {
                for (int k = 0; k < want.n; k++) print_error("%u ", want.end[k]);
                print_error("by PCRE2, ");
                for (int k = 0; k < got.n; k++) print_error("%u ", got.end[k]);
                print_error("by the matcher; the text in hexadecimal: ");
                for (size_t k = 0; k < n; k++) print_error("%02x", (unsigned)(unsigned char)text[k]);
                fail_msg("%s", kinds[i].name);
            }
        }
        ds_splitter_free(&s);
        ds_split_work_free(&w);
    }
}

/* The next code point to try: beyond U+32000, where whole planes have no characters, every 61st. */
static uint32_t next_character(uint32_t c) { return c == 0xd7ff ? 0xe000 : c < 0x32000 ? c + 1 : c + 61; }

/* Every character is of the kind that the regex takes it for. */
static void every_character_is_cut_alike(void **state)
{
    (void)state;
    for (int i = 0; i < KINDS; i++) {
        ds_splitter   s = {0};
        ds_split_work w = {0};
        splitter_of(&s, &kinds[i]);
        for (uint32_t c = 1; c < DS_CODE_POINTS; c = next_character(c)) {
            char   text[32] = "a";
            size_t n        = 1;
            cuts   want = {.text = text}, got = {.text = text};
            n += ds_utf8_encode(c, text + n);
            text[n++] = '1';
            n += ds_utf8_encode(c, text + n);
            text[n++] = '.';
            n += ds_utf8_encode(c, text + n);
            text[n++] = ' ';
            n += ds_utf8_encode(c, text + n);
            ok(ds_split(&s, &w, text, n, add_cut, &want));
            matcher_cuts(&s.matcher, text, n, 8, &got);
            if (want.n != got.n || memcmp(want.end, got.end, (size_t)want.n * sizeof *want.end)) fail_msg("%s: U+%04X", kinds[i].name, c);
        }
        ds_splitter_free(&s);
        ds_split_work_free(&w);
    }
}

static void other_patterns_are_left_to_pcre2(void **state)
{
    (void)state;
    static const struct kind near[] = {
        {"one more space", {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+ "}},
        {"the first of three", {"\\p{N}{1,3}"}}};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        ds_splitter s = {0};
        splitter_of(&s, &near[i]);
        assert_null(s.matcher.match);
        ds_splitter_free(&s);
    }
    ds_splitter s = {0};
    ok(ds_splitter_add(&s, kinds[0].pattern[0], 0, DS_KEEP_GAPS, "removed"));
    ok(ds_splitter_ready(&s, "removed"));
    assert_null(s.matcher.match);
    ds_splitter_free(&s);
}

/* ---- ids -------------------------------------------------------------------------------------- */

static char g_dir[] = "/tmp/test_match.XXXXXX";

/* A tokenizer of 600 entries, trained on random texts. */
static int train_tokenizer(void **state)
{
    (void)state;
    char   path[64], text[MOST];
    rt_buf b = {0};
    rt_rng r = {6};
    if (!mkdtemp(g_dir)) return -1;
    while (b.len < 60000) {
        const size_t n = random_text(&r, text, sizeof text);
        for (size_t i = 0; i < n; i++)
            if (text[i] && !((unsigned char)text[i] & 0x80)) ok(rt_buf_add(&b, text + i, 1));
    }
    snprintf(path, sizeof path, "%s/text.txt", g_dir);
    ok(rt_file_write(path, b.p, b.len));
    rt_buf_free(&b);
    ok(ds_tokenizer_train(&(ds_input){.names = (const char *[]){path}, .n = 1}, 600, "<|end|>", g_dir, NULL));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) == RT_OK ? 0 : -1;
}

static cJSON *splits_of(const struct kind *k)
{
    cJSON *list = cJSON_CreateArray(), *level = cJSON_CreateObject(), *sequence = cJSON_CreateObject();
    for (int i = 0; i < 3 && k->pattern[i]; i++) {
        cJSON *s = cJSON_CreateObject();
        cJSON_AddStringToObject(s, "type", "Split");
        cJSON_AddStringToObject(cJSON_AddObjectToObject(s, "pattern"), "Regex", k->pattern[i]);
        cJSON_AddStringToObject(s, "behavior", "Isolated");
        cJSON_AddItemToArray(list, s);
    }
    cJSON_AddStringToObject(level, "type", "ByteLevel");
    cJSON_AddBoolToObject(level, "add_prefix_space", 0);
    cJSON_AddBoolToObject(level, "use_regex", 0);
    cJSON_AddItemToArray(list, level);
    cJSON_AddStringToObject(sequence, "type", "Sequence");
    cJSON_AddItemToObject(sequence, "pretokenizers", list);
    return sequence;
}

static ds_tokenizer *tokenizer_of(const struct kind *k, int ignore_merges)
{
    char          path[64];
    cJSON        *o = NULL;
    ds_tokenizer *t = NULL;
    snprintf(path, sizeof path, "%s/tokenizer.json", g_dir);
    ok(rt_json_read(&o, path, RT_JSON_DUPLICATES));
    cJSON_ReplaceItemInObject(o, "pre_tokenizer", splits_of(k));
    cJSON_ReplaceItemInObject(cJSON_GetObjectItem(o, "model"), "ignore_merges", cJSON_CreateBool(ignore_merges));
    char *text = cJSON_PrintUnformatted(o);
    ok(rt_file_write(path, text, strlen(text)));
    free(text);
    cJSON_Delete(o);
    ok(ds_tokenizer_load(&t, g_dir));
    return t;
}

static void check_ids(ds_encoder *e, const ds_tokenizer *t, const char *s, size_t n)
{
    ds_ids want = {0}, got = {0};
    ok(ds_encode_plain(t, s, n, DS_DOCUMENT, &want));
    ok(ds_encoder_add(e, s, n, DS_DOCUMENT, &got));
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.v, want.v, (size_t)want.n * sizeof *want.v);
    free(want.v);
    free(got.v);
}

static void an_encoder_gives_the_ids_of_plain_merging(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * KINDS; i++) {
        ds_tokenizer *t = tokenizer_of(&kinds[i / 2], i % 2);
        ds_encoder   *e = NULL;
        rt_rng        r = {7};
        char          text[MOST];
        assert_non_null(t->pre.step[0].splitter.matcher.match);
        ok(ds_encoder_create(&e, t));
        for (int round = 0; round < 4000; round++) check_ids(e, t, text, random_text(&r, text, sizeof text));
        ds_encoder_destroy(&e);
        ds_tokenizer_destroy(&t);
    }
}

/* Words of 14 to 18 and of 254 to 257 bytes, of one id and of many, at the end of a text and before it. */
static void words_of_every_length(void **state)
{
    (void)state;
    ds_tokenizer *t = tokenizer_of(&kinds[0], 0);
    ds_encoder   *e = NULL;
    char          text[MOST];
    ok(ds_encoder_create(&e, t));
    for (int round = 0; round < 2; round++)
        for (size_t n = 1; n < 300; n++)
            for (int tail = 0; tail < 2; tail++) {
                memset(text, round ? '!' : 'a', sizeof text);
                text[n / 2] = round ? '?' : 'z';
                memset(text + n, ' ', 20);
                check_ids(e, t, text, tail ? n + 20 : n);
            }
    ds_encoder_destroy(&e);
    ds_tokenizer_destroy(&t);
}

typedef struct in_order { /* what take_in_order expects */
    const ds_tokenizer *t;
    rt_rng              r;
    int                 seen;
} in_order;

static rt_status take_in_order(void *ud, const ds_ids *ids)
{
    in_order    *o = ud;
    char         text[MOST];
    const size_t n    = random_text(&o->r, text, sizeof text);
    ds_ids       want = {0};
    RT_TRY(ds_encode(o->t, text, n, DS_ADDED, &want));
    assert_int_equal(ids->n, want.n);
    if (want.n) assert_memory_equal(ids->v, want.v, (size_t)want.n * sizeof *want.v);
    free(want.v);
    return o->seen++ < 80000 ? RT_OK : RT_EIO;
}

/* Texts come back in order, several megabytes on three threads; an error of take() ends the work. */
static void a_queue_keeps_the_order(void **state)
{
    (void)state;
    ds_tokenizer *t = tokenizer_of(&kinds[0], 0);
    in_order      o = {.t = t, .r = {9}};
    rt_rng        r = {9};
    ds_queue     *q = NULL;
    char          text[MOST];
    rt_threads_set(3);
    ok(ds_queue_create(&q, t, DS_ADDED, take_in_order, &o));
    for (int i = 0; i < 80000; i++) ok(ds_queue_add(q, text, random_text(&r, text, sizeof text)));
    assert_in_range(o.seen, 1, 79999);
    ok(ds_queue_end(q));
    assert_int_equal(o.seen, 80000);
    ok(ds_queue_end(q));
    o.seen = 80001;
    ok(ds_queue_add(q, text, random_text(&r, text, sizeof text)));
    assert_int_equal(ds_queue_end(q), RT_EIO);
    ds_queue_destroy(&q);
    ds_tokenizer_destroy(&t);
}

/* Long words whose hashes are equal are told apart by their bytes. */
static void words_of_one_key(void **state)
{
    (void)state;
    static const char a[] = "a word of some length", b[] = "a word of same length";
    const int32_t     one = 1, two = 2;
    const ds_key      key = ds_key_of(a, sizeof a - 1, sizeof a - 1);
    ds_cache          c   = {0};
    ok(ds_cache_ready(&c));
    ok(ds_cache_put(&c, key, a, sizeof a - 1, &one, 1));
    assert_null(ds_cache_find(&c, key, ds_key_hash(key), b, sizeof b - 1));
    ok(ds_cache_put(&c, key, b, sizeof b - 1, &two, 1));
    assert_int_equal(*ds_cache_ids(&c, ds_cache_find(&c, key, ds_key_hash(key), a, sizeof a - 1), sizeof a - 1), 1);
    assert_int_equal(*ds_cache_ids(&c, ds_cache_find(&c, key, ds_key_hash(key), b, sizeof b - 1), sizeof b - 1), 2);
    ds_cache_free(&c);
}

/* A full cache is emptied, and its words come again. */
static void a_full_cache_is_emptied(void **state)
{
    (void)state;
    ds_cache c    = {0};
    uint64_t most = 0;
    ok(ds_cache_ready(&c));
    for (int32_t i = 0; i < 1200000; i++) {
        char          s[40];
        const size_t  n     = (size_t)snprintf(s, sizeof s, i % 2 ? "%d" : "a word that is long %d", i);
        const ds_key  key   = ds_key_of(s, n, n);
        const int32_t ids[] = {i, 1, 2, 3}, count = 1 + i % 4;
        assert_null(ds_cache_find(&c, key, ds_key_hash(key), s, n));
        ok(ds_cache_put(&c, key, s, n, ids, count));
        const ds_word *w = ds_cache_find(&c, key, ds_key_hash(key), s, n);
        assert_non_null(w);
        assert_int_equal(w->n, count);
        assert_memory_equal(ds_cache_ids(&c, w, n), ids, (size_t)count * sizeof *ids);
        most = c.slots > most ? c.slots : most;
    }
    assert_true(most <= 1 << 20 && c.used < 1000000);
    ds_cache_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(matchers_cut_as_the_regexes),
                                       cmocka_unit_test(every_character_is_cut_alike),
                                       cmocka_unit_test(other_patterns_are_left_to_pcre2),
                                       cmocka_unit_test(an_encoder_gives_the_ids_of_plain_merging),
                                       cmocka_unit_test(words_of_every_length),
                                       cmocka_unit_test(a_queue_keeps_the_order),
                                       cmocka_unit_test(words_of_one_key),
                                       cmocka_unit_test(a_full_cache_is_emptied)};
    return cmocka_run_group_tests(tests, train_tokenizer, remove_folder);
}
