/* test_text.c -- documents out of files: encodings, kinds, what a document is, fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "data/text.h"
#include "tests/support/check.h"
#include "tests/support/one_file.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char   g_name[64];
static rt_buf g_got;

static void put_bytes(const char *name, const char *bytes, size_t n)
{
    snprintf(g_name, sizeof g_name, "%s/%s", g_dir, name);
    FILE *f = fopen(g_name, "wb");
    assert_true(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

static void put_gzip(const char *name, const char *bytes)
{
    snprintf(g_name, sizeof g_name, "%s/%s", g_dir, name);
    gzFile f = gzopen(g_name, "wb");
    assert_true(f && gzwrite(f, bytes, (unsigned)strlen(bytes)) == (int)strlen(bytes) && gzclose(f) == Z_OK);
}

static rt_status collect(void *ud, const ds_text *t)
{
    const ds_doc *a = &t->about;
    (void)ud;
    ok(rt_buf_add(&g_got, t->text, t->n));
    if (a->topic) ok(rt_buf_fmt(&g_got, "(topic %s)", a->topic));
    if (a->seed) ok(rt_buf_fmt(&g_got, "(seed %llu)", (unsigned long long)a->seed));
    if (!isnan(a->cost)) ok(rt_buf_fmt(&g_got, "(cost %g)", a->cost));
    if (a->meta) ok(rt_buf_str(&g_got, a->meta));
    if (t->left_out) ok(rt_buf_fmt(&g_got, "(%d left out)", t->left_out));
    return rt_buf_str(&g_got, "|");
}

static rt_status read_as(const ds_input *how, const char *name)
{
    ds_input in = *how;
    in.names    = &name;
    in.n        = 1;
    rt_buf_clear(&g_got);
    ok(rt_buf_str(&g_got, ""));
    return ds_text_read(&in, NULL, collect, NULL);
}

static void gives(const ds_input *how, const char *want)
{
    ok(read_as(how, g_name));
    assert_string_equal(g_got.p, want);
}

static void refused(const ds_input *how, rt_status code, const char *word)
{
    assert_int_equal(read_as(how, g_name), code);
    if (!strstr(rt_error_text(), word)) fail_msg("expected '%s' in: %s", word, rt_error_text());
    assert_null(strchr(rt_error_text(), '\n'));
}

static const ds_input plain = {0};
#define PUT(name, text) put_bytes(name, text, sizeof(text) - 1)

static void marks_and_line_ends_are_no_text(void **state)
{
    (void)state;
    PUT("a.txt", "\xef\xbb\xbfone\r\n\r\n \t \ntwo\rstill two\r\r\n\xe2\x80\xa8three\x0b\nlast\r");
    gives(&plain, "one|two\rstill two\r|\xe2\x80\xa8three\x0b|last\r|");
    PUT("a.jsonl", "\xef\xbb\xbf{\"text\":\"x\"}\r\n  \n{\"text\":\"\"}\n{\"text\":null}\n{\"text\":\" \"}");
    gives(&plain, "x| |");
    PUT("a.txt", "\xef\xbb\xbf");
    gives(&plain, "");
    PUT("a.txt", "");
    gives(&plain, "");
}

static void other_encodings_are_named(void **state)
{
    (void)state;
    PUT("a.txt", "\xff\xfe"
                 "a\0b\0\n\0");
    refused(&plain, RT_EFORMAT, "is UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8");
    PUT("a.txt", "\xfe\xff\0a\0b");
    refused(&plain, RT_EFORMAT, "iconv -f UTF-16 ");
    PUT("a.jsonl", "{\0\"\0t\0e\0x\0t\0\"\0:\0\"\0x\0\"\0}\0\n\0");
    refused(&plain, RT_EFORMAT, "iconv -f UTF-16LE ");
    PUT("a.txt", "\0T\0e\0x\0t\0\n");
    refused(&plain, RT_EFORMAT, "iconv -f UTF-16BE ");
    PUT("a.txt", "\xff\xfe\0\0a\0\0\0");
    refused(&plain, RT_EFORMAT, "iconv -f UTF-32 ");
    PUT("a.txt", "a\0\0\0\n\0\0\0");
    refused(&plain, RT_EFORMAT, "is UTF-32LE, expected UTF-8; convert it: iconv -f UTF-32LE -t UTF-8");
    PUT("a.txt", "\0\x01\xf6\0\0\0\0\n");
    refused(&plain, RT_EFORMAT, "iconv -f UTF-32BE ");
    PUT("a.txt", "a\0\n\0");
    refused(&plain, RT_EFORMAT, "iconv -f UTF-16LE ");
    PUT("a.txt", "good\ncaf\xe9 noir\n");
    refused(&plain, RT_EFORMAT, "line 2: byte 0xe9 is not UTF-8; if the file is LATIN1, convert it: iconv -f LATIN1 -t UTF-8");
    PUT("a.txt", "it\x92s\n");
    refused(&plain, RT_EFORMAT, "iconv -f WINDOWS-1252 ");
    PUT("a.jsonl", "{\"text\":\"caf\xe9\"}\n");
    refused(&plain, RT_EFORMAT, "line 1: byte 0xe9");
    PUT("a.csv", "text\ncaf\xe9\n");
    refused(&plain, RT_EFORMAT, "line 2: byte 0xe9");
    PUT("a.txt", "one zero \0 is text\n");
    ok(read_as(&plain, g_name));
    assert_int_equal(g_got.len, 19);
}

static void paragraphs_and_files(void **state)
{
    (void)state;
    static const ds_input file = {.document = "file"}, paragraph = {.document = "blank-line"}, odd = {.document = "page"};
    PUT("a.md", "\n\none\r\ntwo\n\n \nthree\n\n");
    gives(&plain, "one|two|three|");
    gives(&paragraph, "one\ntwo|three|");
    gives(&file, "one\ntwo\n\n \nthree|");
    refused(&odd, RT_EINVAL, "--document must be line, file or blank-line");
    PUT("a.txt", " \n\n");
    gives(&file, "");
    gives(&paragraph, "");
    PUT("a.jsonl", "{\"text\":\"a\"}\n\n{\"text\":\"b\"}\n");
    gives(&file, "a|b|");
}

static void fields_are_kept(void **state)
{
    (void)state;
    static const ds_input body = {.field = "body"};
    char                  line[9000];
    PUT("a.jsonl",
        "{\"id\":7,\"text\":\"x\",\"tokens\":3,\"topic\":\"t\",\"seed\":\"12\",\"cost\":0.5,\"tags\":[\"a\",{\"b\":null}],\"no\":null}\n{\"text\":\"y\"}\n");
    gives(&plain, "x(topic t)(seed 12)(cost 0.5){\"id\":7,\"tags\":[\"a\",{\"b\":null}]}|y|");
    PUT("a.ndjson", "{\"body\":\"x\",\"text\":\"other\",\"seed\":5,\"cost\":\"much\",\"topic\":[]}\n");
    gives(&body, "x{\"text\":\"other\",\"seed\":5,\"cost\":\"much\",\"topic\":[]}|");
    PUT("a.jsonl", "{\"content\":\"x\",\"id\":1}\n");
    refused(&plain, RT_EFORMAT,
            "the field \"text\" is missing; name the field that holds the text with --text-field; the fields are: content, id");
    PUT("a.jsonl", "{\"text\":5}\n");
    refused(&plain, RT_EFORMAT, "\"text\" must be a string");
    PUT("a.jsonl", "[1]\n");
    refused(&plain, RT_EFORMAT, "expected a JSON object, found an array");
    snprintf(line, sizeof line, "{\"text\":\"x\",\"long\":\"%05000d\",\"short\":1}\n", 0);
    put_bytes("a.jsonl", line, strlen(line));
    gives(&plain, "x{\"short\":1}(1 left out)|");
}

/* Numbers keep their digits and texts their U+0000; what a shard cannot keep is refused by name. */
static void fields_are_kept_exactly(void **state)
{
    (void)state;
    PUT("a.jsonl", "{\"text\":\"x\",\"id\":12345678901234567,\"f\":[1e999,{\"g\":1.50}],\"s\":\"-1\\\"2\",\"z\\u0000\":\"x\\u0000y\"}\n");
    gives(&plain, "x{\"id\":12345678901234567,\"f\":[1e999,{\"g\":1.50}],\"s\":\"-1\\\"2\",\"z\\u0000\":\"x\\u0000y\"}|");
    PUT("a.jsonl", "{\"text\":\"x\",\"cost\":0.25,\"a\":-0.10,\"b\":01}\n");
    gives(&plain, "x(cost 0.25){\"a\":-0.10,\"b\":1}|");
    PUT("a.jsonl", "{\"text\":\"x\",\"m\":NaN}\n");
    refused(&plain, RT_EFORMAT, "found \"NaN}\"; JSON has no such number: write null");
    PUT("a.jsonl", "{\"text\":\"x\",\"m\":-Infinity}\n");
    refused(&plain, RT_EFORMAT, "JSON has no such number");
    PUT("a.jsonl", "{\"text\":\"x\",\"topic\":\"a\\u0000b\"}\n");
    refused(&plain, RT_EFORMAT, "the field \"topic\" holds U+0000");
    PUT("a.jsonl", "{\"text\":\"x\\ud800\",\"s\":\"\\ud800\"}\n");
    gives(&plain, "x\xef\xbf\xbd{\"s\":\"\xef\xbf\xbd\"}|");
}

static void tables(void **state)
{
    (void)state;
    static const ds_input body = {.field = "body"};
    PUT("a.csv", "\xef\xbb\xbfid,text\r\n1,plain\r\n2,\"with, \"\"quotes\"\"\r\nand lines\"\r\n\r\n3,\r\n4,last");
    gives(&plain, "plain{\"id\":\"1\"}|with, \"quotes\"\nand lines{\"id\":\"2\"}|last{\"id\":\"4\"}|");
    PUT("a.tsv", "body\tid\na, b\t1\n");
    gives(&body, "a, b{\"id\":\"1\"}|");
    PUT("a.csv", "body;x\na, b;1\n");
    gives(&body, "a, b{\"x\":\"1\"}|");
    PUT("a.csv", "text\nonly, one column\n");
    refused(&plain, RT_EFORMAT, "line 2: the row has more cells than the first");
    PUT("a.csv", "id,content\n1,x\n");
    refused(&plain, RT_EFORMAT,
            "there is no column \"text\"; name the column that holds the text with --text-field; the columns are: id, content");
    PUT("a.csv", "text,text\n1,x\n");
    refused(&plain, RT_EFORMAT, "\"text\" occurs twice");
    PUT("a.csv", "text\n\"open\n");
    refused(&plain, RT_EFORMAT, "inside a quoted cell");
    PUT("a.csv", "text\n\"a\"b\n");
    refused(&plain, RT_EFORMAT, "text follows a quoted cell");
}

static void gzip_and_kinds(void **state)
{
    (void)state;
    static const ds_input lines = {.format = "txt"}, odd = {.format = "xml"};
    put_gzip("a.jsonl.gz", "{\"text\":\"x\"}\n{\"text\":\"y\"}\n");
    gives(&plain, "x|y|");
    put_gzip("a.TXT", "\xef\xbb\xbfone\ntwo\n"); /* whatever its name */
    gives(&plain, "one|two|");
    put_gzip("a.txt.gz", "one\ntwo\nthree and more\n");
    assert_int_equal(truncate(g_name, rt_file_size(g_name) - 9), 0);
    refused(&plain, RT_EFORMAT, "gzip file is truncated");
    put_gzip("a.txt.gz", "one\ntwo\n");
    FILE *junk = fopen(g_name, "ab");
    fputs("junk", junk), fclose(junk);
    refused(&plain, RT_EFORMAT, "bytes follow the end of the gzip data");
    PUT("a.log", "one\n");
    refused(&plain, RT_EINVAL, "for other names pass --format");
    gives(&lines, "one|");
    refused(&odd, RT_EINVAL, "--format must be txt, jsonl or csv");
    PUT("a.parquet", "PAR1");
    refused(&plain, RT_EINVAL, "read_parquet");
    PUT("a.json", "[]");
    refused(&plain, RT_EINVAL, "jq -c");
    PUT("a.jsonl.zst", "");
    refused(&plain, RT_EINVAL, "zstd -dc");
    snprintf(g_name, sizeof g_name, "%s/none.txt", g_dir);
    refused(&plain, RT_ENOENT, "none.txt");
}

static void folders(void **state)
{
    (void)state;
    char sub[64];
    snprintf(sub, sizeof sub, "%s/d", g_dir);
    ok(rt_dir_make(sub));
    snprintf(g_name, sizeof g_name, "%s", sub);
    refused(&plain, RT_EINVAL, "holds no file whose name ends with");
    for (int i = 0; i < 300; i++) {
        char name[32], text[32];
        snprintf(name, sizeof name, "d/%03d.txt", i);
        snprintf(text, sizeof text, "%d\n", i);
        put_bytes(name, text, strlen(text));
    }
    snprintf(sub, sizeof sub, "%s/d/000a", g_dir);
    ok(rt_dir_make(sub));
    PUT("d/000a/x.jsonl", "{\"text\":\"inner\"}\n");
    PUT("d/skipped.bin", "no");
    PUT("d/.hidden.txt", "no\n");
    snprintf(g_name, sizeof g_name, "%s/d", g_dir);
    ok(read_as(&plain, g_name));
    assert_memory_equal(g_got.p, "0|inner|1|2|", 12);
    assert_non_null(strstr(g_got.p, "|299|"));
    assert_null(strstr(g_got.p, "no|"));
    snprintf(sub, sizeof sub, "%s/d/000a/up", g_dir);
    assert_int_equal(symlink("..", sub), 0);
    refused(&plain, RT_EINVAL, "d/000a/up: this link leads back to a folder that contains it");
    assert_int_equal(unlink(sub), 0);
}

static int end(void **state)
{
    rt_buf_free(&g_got);
    return tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_and_line_ends_are_no_text),
        cmocka_unit_test(other_encodings_are_named),
        cmocka_unit_test(paragraphs_and_files),
        cmocka_unit_test(fields_are_kept),
        cmocka_unit_test(fields_are_kept_exactly),
        cmocka_unit_test(tables),
        cmocka_unit_test(gzip_and_kinds),
        cmocka_unit_test(folders),
    };
    return cmocka_run_group_tests_name("text", tests, set_up, end);
}
