/* data.c -- retort data import|inspect|verify|stats|export. */
#include "cli/data.h"
#include "cli/cli.h"
#include "core/file.h"
#include "core/json.h"
#include "data/import.h"
#include <stdio.h>
#include <string.h>

/* ---- import and export ----------------------------------------------------------------------- */

static rt_status print_part(const data_options *o, const ds_part *p)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    if (!o->json) {
        cli_print("%s: %lld documents, %lld tokens\n", p->path, (long long)p->docs, (long long)p->tokens);
        return RT_OK;
    }
    rt_put_object(&w, NULL);
    rt_put_text(&w, "path", p->path);
    rt_put_int(&w, "documents", p->docs);
    rt_put_int(&w, "tokens", p->tokens);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status import_with(const data_options *o, const ds_input *input, const ds_tokenizer *t)
{
    rt_progress          p;
    ds_part              parts[DS_MAX_PARTS];
    int64_t              left_out = 0;
    int                  n        = 0;
    const ds_import_opts import   = {.input      = input,
                                     .tokenizer  = t,
                                     .out        = o->out,
                                     .split      = o->split,
                                     .max_tokens = o->max_tokens,
                                     .max_doc    = o->max_doc,
                                     .seed       = (uint64_t)o->seed,
                                     .program    = cli_program()};
    rt_status            st       = ds_import(&import, parts, &n, &left_out, &p);
    for (int i = 0; st == RT_OK && i < n; i++) st = print_part(o, &parts[i]);
    if (st == RT_OK && left_out)
        rt_note("%lld documents came with fields of more bytes than a shard keeps of a document; these were left out", (long long)left_out);
    ds_parts_free(parts, n);
    return st;
}

static rt_status data_import(const data_options *o, int argc, char **argv)
{
    const ds_input input = {
        .names = (const char *const *)argv, .n = argc, .document = o->document, .field = o->text_field, .format = o->format};
    ds_tokenizer *t;
    RT_CHECK(argc >= 1, RT_EINVAL, "data import: expected text files, folders, or - for standard input, found none");
    RT_CHECK(o->max_doc == 0 || o->max_doc >= 2, RT_EINVAL, "data import: --max-doc must be 2 or more tokens, found %lld",
             (long long)o->max_doc);
    RT_CHECK(o->tokenizer && o->out, RT_EINVAL, "data import: needs --tokenizer DIR and --out PATH.h5");
    RT_TRY(ds_tokenizer_load(&t, o->tokenizer));
    const rt_status st = import_with(o, &input, t);
    ds_tokenizer_destroy(&t);
    return st;
}

static rt_status export_from(const data_options *o, ds_shard *s)
{
    rt_progress   p;
    ds_tokenizer *t;
    RT_TRY(ds_tokenizer_load(&t, o->tokenizer));
    rt_progress_begin(&p, "exporting", "documents", ds_shard_docs(s), 0);
    const rt_status st = ds_export(s, t, o->out, &p);
    rt_progress_end(&p);
    ds_tokenizer_destroy(&t);
    return st;
}

static rt_status data_export(const data_options *o, int argc, char **argv)
{
    ds_shard *s;
    RT_CHECK(argc == 1, RT_EINVAL, "data export: expected one shard, found %d", argc);
    RT_CHECK(o->tokenizer && o->out, RT_EINVAL, "data export: needs --tokenizer DIR and --out FILE.jsonl");
    RT_TRY(ds_shard_open(&s, argv[0]));
    const ds_part part = {.path = (char *)(uintptr_t)o->out, .docs = ds_shard_docs(s), .tokens = ds_shard_tokens(s)};
    rt_status     st   = export_from(o, s);
    if (st == RT_OK) st = print_part(o, &part);
    ds_shard_close(&s);
    return st;
}

/* ---- verify ------------------------------------------------------------------------------------ */

static rt_status print_sound(const data_options *o, const ds_shard *s, const char *hex)
{
    rt_buf         b    = {0};
    rt_json_writer w    = {.out = &b};
    const char    *path = ds_shard_path(s);
    if (!o->json) {
        if (o->digest) cli_print("%s  %s\n", hex, path);
        else cli_print("%s: sound, %lld documents, %lld tokens\n", path, (long long)ds_shard_docs(s), (long long)ds_shard_tokens(s));
        return RT_OK;
    }
    rt_put_object(&w, NULL);
    rt_put_text(&w, "path", path);
    rt_put_bool(&w, "ok", 1);
    rt_put_int(&w, "documents", ds_shard_docs(s));
    rt_put_int(&w, "tokens", ds_shard_tokens(s));
    if (o->digest) rt_put_text(&w, "digest", hex);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status verify_one(const data_options *o, const char *path)
{
    ds_shard *s;
    char      hex[RT_SHA_HEX] = "";
    RT_TRY(ds_shard_open(&s, path));
    rt_status st = ds_shard_verify(s);
    if (st == RT_OK && o->digest) st = ds_shard_digest(s, hex);
    if (st == RT_OK) st = print_sound(o, s, hex);
    ds_shard_close(&s);
    return st;
}

/* Verifies all shards and names each damaged one. */
static rt_status data_verify(const data_options *o, int argc, char **argv)
{
    rt_status first = RT_OK;
    int       bad   = 0;
    RT_CHECK(argc >= 1, RT_EINVAL, "data verify: expected shards, found none");
    for (int i = 0; i < argc; i++) {
        const rt_status st = verify_one(o, argv[i]);
        if (st == RT_OK) continue;
        if (argc == 1) return st;
        rt_note("%s", rt_error_text());
        if (!bad++) first = st;
    }
    RT_CHECK(!bad, first, "%d of %d shards are not sound; make them again", bad, argc);
    return RT_OK;
}

/* ---- the command --------------------------------------------------------------------------------- */

static rt_status each(const data_options *o, int argc, char **argv, const char *word, rt_status (*show)(const data_options *, const char *))
{
    RT_CHECK(argc >= 1, RT_EINVAL, "data %s: expected a shard, found none", word);
    for (int i = 0; i < argc; i++) RT_TRY(show(o, argv[i]));
    return RT_OK;
}

static rt_status run(const void *options, int argc, char **argv)
{
    static const char *const words[] = {"import", "inspect", "verify", "stats", "export"};
    const data_options      *o       = options;
    RT_CHECK(argc >= 1, RT_EINVAL, "data: expected import, inspect, verify, stats or export (see 'retort data --help')");
    const char *word = argv[0];
    argc--, argv++;
    if (!strcmp(word, "import")) return data_import(o, argc, argv);
    if (!strcmp(word, "inspect")) return each(o, argc, argv, word, data_inspect);
    if (!strcmp(word, "verify")) return data_verify(o, argc, argv);
    if (!strcmp(word, "stats")) return each(o, argc, argv, word, data_stats);
    if (!strcmp(word, "export")) return data_export(o, argc, argv);
    RT_FAIL(RT_EINVAL, "data: no sub-command '%s'; the nearest is '%s'", word, rt_nearest(word, words, 5));
}

#define AT(field) offsetof(data_options, field)
static const rt_option options[] = {
    {"tokenizer", RT_OPT_TEXT, AT(tokenizer), "DIR", "Folder with tokenizer.json."},
    {"out", RT_OPT_TEXT, AT(out), "PATH", "The shard (.h5) or text file (.jsonl) to write; it must not exist."},
    {"split", RT_OPT_TEXT, AT(split), "LIST", "Parts, for example train=0.9,valid=0.1; see above."},
    {"max-tokens", RT_OPT_TEXT, AT(max_tokens), "LIST", "N, or NAME=N,...: a part ends after exactly N tokens."},
    {"max-doc", RT_OPT_INT, AT(max_doc), "N",
     "Split documents of more than N tokens into several; nothing is lost. N = the context of the teacher that will score them."},
    {"document", RT_OPT_TEXT, AT(document), "WORD", "What a document of plain text is: line (default), blank-line (paragraphs) or file."},
    {"text-field", RT_OPT_TEXT, AT(text_field), "NAME",
     "The field of JSON lines, or column of a table, that holds the text (default text)."},
    {"format", RT_OPT_TEXT, AT(format), "WORD", "txt, jsonl or csv: for standard input and for names that do not tell (default by name)."},
    {"seed", RT_OPT_INT, AT(seed), "N", "Order of documents before a split (default 0)."},
    {"doc", RT_OPT_INT, AT(doc), "I", "inspect: show the rows of document I, counted from 0."},
    {"digest", RT_OPT_FLAG, AT(digest), NULL, "verify: print the SHA-256 of the content, times left out."},
    {"json", RT_OPT_FLAG, AT(json), NULL, "One JSON object a line."},
    {NULL, RT_OPT_FLAG, 0, NULL, NULL},
};
static const data_options defaults = {.doc = -1};

const rt_command cli_data = {
    .name     = "data",
    .usage    = "import|inspect|verify|stats|export FILE... [options]",
    .summary  = "import text into shards; inspect, check and export shards",
    .text     = "  data import FILE|FOLDER|-... --tokenizer DIR --out PATH.h5 [--split LIST]\n"
                "      Encodes documents into a text shard: lines of .txt and .md (or paragraphs, or whole\n"
                "      files: --document), a field of .jsonl and .ndjson, a column of .csv and .tsv\n"
                "      (--text-field), each perhaps .gz; folders with all such files in them; - is standard\n"
                "      input.  Text is UTF-8.  Other fields and columns are kept with the document.  With\n"
                "      --split train=0.9,valid=0.1 documents are shuffled by --seed and shared out into\n"
                "      PATH-train.h5 and PATH-valid.h5; a value from 1 on is a number of documents, one\n"
                "      may be 'rest'; without names the parts are called 0, 1, ...  With --max-tokens the\n"
                "      last document of a part is cut so that exactly N tokens are in it.  Parquet and\n"
                "      other kinds: the message says what converts them.\n"
                "  data inspect SHARD... [--doc I] [--tokenizer DIR]\n"
                "      Attributes and sizes; the tokens of a document with the teacher's most likely ones.\n"
                "  data verify SHARD... [--digest]\n"
                "      Checks checksums, shapes, alignment and probabilities; status 1 when one is not sound.\n"
                "  data stats SHARD...\n"
                "      Lengths, covered mass, entropy, bytes a token.\n"
                "  data export SHARD --tokenizer DIR --out FILE.jsonl\n"
                "      Text and metadata, a JSON object for each document.\n",
    .options  = options,
    .size     = sizeof(data_options),
    .defaults = &defaults,
    .run      = run,
};
