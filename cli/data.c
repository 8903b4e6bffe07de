/* data.c -- retort data import|inspect|verify|stats|export|remap. */
#include "cli/data.h"
#include "cli/cli.h"
#include "core/file.h"
#include "core/json.h"
#include "data/import.h"
#include "data/remap.h"
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
        rt_note("%lld documents had more bytes of metadata fields than a shard stores per document; these fields were omitted",
                (long long)left_out);
    ds_parts_free(parts, n);
    return st;
}

static rt_status data_import(const data_options *o, int argc, char **argv)
{
    const ds_input input = {
        .names = (const char *const *)argv, .n = argc, .document = o->document, .field = o->text_field, .format = o->format};
    ds_tokenizer *t;
    RT_CHECK(argc >= 1, RT_EINVAL, "data import: expected text files, folders, or - for standard input, found no argument");
    RT_CHECK(o->max_doc == 0 || o->max_doc >= 2, RT_EINVAL, "data import: --max-doc must be at least 2 tokens, found %lld",
             (long long)o->max_doc);
    RT_CHECK(o->tokenizer && o->out, RT_EINVAL, "data import requires --tokenizer DIR and --out PATH.h5");
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
    RT_CHECK(argc == 1, RT_EINVAL, "data export takes one shard, found %d", argc);
    RT_CHECK(o->tokenizer && o->out, RT_EINVAL, "data export requires --tokenizer DIR and --out FILE.jsonl");
    RT_TRY(ds_shard_open(&s, argv[0]));
    const ds_part part = {.path = (char *)(uintptr_t)o->out, .docs = ds_shard_docs(s), .tokens = ds_shard_tokens(s)};
    rt_status     st   = export_from(o, s);
    if (st == RT_OK) st = print_part(o, &part);
    ds_shard_close(&s);
    return st;
}

/* ---- remap -------------------------------------------------------------------------------------- */

static rt_status print_remapped(const data_options *o, const ds_remapped *r)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    if (!o->json) {
        cli_print("%s: %lld documents, %lld tokens\n", o->out, (long long)r->documents, (long long)r->tokens);
        if (r->rows) cli_print("mass of removed entries, moved to the tail: %.4f per row\n", r->moved);
        return RT_OK;
    }
    rt_put_object(&w, NULL);
    rt_put_text(&w, "path", o->out);
    rt_put_int(&w, "documents", r->documents);
    rt_put_int(&w, "tokens", r->tokens);
    rt_put_fixed(&w, "moved", r->moved, 6);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status remap_with(const data_options *o, ds_shard *s)
{
    ds_tokenizer *from = NULL, *to = NULL;
    ds_remapped   r = {0};
    rt_progress   p;
    rt_status     st = ds_tokenizer_load(&from, o->former);
    if (st == RT_OK) st = ds_tokenizer_load(&to, o->tokenizer);
    if (st == RT_OK) {
        rt_progress_begin(&p, "renumbering", "documents", ds_shard_docs(s), 0);
        st = ds_remap(s, from, to, o->out, &p, &r);
        rt_progress_end(&p);
    }
    if (st == RT_OK) st = print_remapped(o, &r);
    ds_tokenizer_destroy(&from);
    ds_tokenizer_destroy(&to);
    return st;
}

static rt_status data_remap(const data_options *o, int argc, char **argv)
{
    ds_shard *s;
    RT_CHECK(argc == 1, RT_EINVAL, "data remap takes one shard, found %d", argc);
    RT_CHECK(o->former && o->tokenizer && o->out, RT_EINVAL,
             "data remap requires --former DIR, the shard's tokenizer, --tokenizer DIR, the trimmed one, and --out PATH.h5");
    RT_TRY(ds_shard_open(&s, argv[0]));
    const rt_status st = remap_with(o, s);
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
        else cli_print("%s: valid, %lld documents, %lld tokens\n", path, (long long)ds_shard_docs(s), (long long)ds_shard_tokens(s));
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
    RT_CHECK(argc >= 1, RT_EINVAL, "data verify: expected one or more shards, found none");
    for (int i = 0; i < argc; i++) {
        const rt_status st = verify_one(o, argv[i]);
        if (st == RT_OK) continue;
        if (argc == 1) return st;
        rt_note("%s", rt_error_text());
        if (!bad++) first = st;
    }
    RT_CHECK(!bad, first, "%d of %d shards are invalid; create them again", bad, argc);
    return RT_OK;
}

/* ---- the command --------------------------------------------------------------------------------- */

static rt_status each(const data_options *o, int argc, char **argv, const char *word, rt_status (*show)(const data_options *, const char *))
{
    RT_CHECK(argc >= 1, RT_EINVAL, "data %s: expected a shard, found none", word);
    for (int i = 0; i < argc; i++) RT_TRY(show(o, argv[i]));
    return RT_OK;
}

static rt_status data_run(const void *options, int argc, char **argv)
{
    static const char *const words[] = {"import", "inspect", "verify", "stats", "export", "remap"};
    const data_options      *o       = options;
    RT_CHECK(argc >= 1, RT_EINVAL,
             "data: expected import, inspect, verify, stats, export or remap, found no argument (see 'retort data --help')");
    const char *word = argv[0];
    argc--, argv++;
    if (!strcmp(word, "import")) return data_import(o, argc, argv);
    if (!strcmp(word, "inspect")) return each(o, argc, argv, word, data_inspect);
    if (!strcmp(word, "verify")) return data_verify(o, argc, argv);
    if (!strcmp(word, "stats")) return each(o, argc, argv, word, data_stats);
    if (!strcmp(word, "export")) return data_export(o, argc, argv);
    if (!strcmp(word, "remap")) return data_remap(o, argc, argv);
    RT_FAIL(RT_EINVAL, "data has no sub-command '%s'; the nearest is '%s'", word, rt_nearest(word, words, 6));
}

#define AT(field) offsetof(data_options, field)
static const rt_option options[] = {
    {"tokenizer", RT_OPT_TEXT, AT(tokenizer), "DIR", "import, inspect, export, remap: folder that holds tokenizer.json"},
    {"former", RT_OPT_TEXT, AT(former), "DIR", "remap: folder of the tokenizer that the shard was made with"},
    {"out", RT_OPT_TEXT, AT(out), "PATH", "import, export, remap: the shard (.h5) or text file (.jsonl) to write, which must not exist"},
    {"split", RT_OPT_TEXT, AT(split), "LIST", "import: names and sizes of the parts, such as train=0.9,valid=0.1 (default: one part)"},
    {"max-tokens", RT_OPT_TEXT, AT(max_tokens), "LIST", "import: end a part after exactly N tokens; N for the only part, or NAME=N,..."},
    {"max-doc", RT_OPT_INT, AT(max_doc), "N",
     "import: divide documents of more than N tokens into several; use the context of the teacher that will score them"},
    {"document", RT_OPT_TEXT, AT(document), "WORD",
     "import: unit of plain text that makes a document: line, blank-line (paragraphs) or file (default line)"},
    {"text-field", RT_OPT_TEXT, AT(text_field), "NAME",
     "import: field of JSON lines, or column of a table, that holds the text (default text)"},
    {"format", RT_OPT_TEXT, AT(format), "WORD",
     "import: txt, jsonl or csv, for standard input and for other file names (default: from the file name)"},
    {"seed", RT_OPT_INT, AT(seed), "N", "import: seed of the shuffle before a split (default 0)"},
    {"doc", RT_OPT_INT, AT(doc), "I", "inspect: show the rows of document I, counted from 0"},
    {"digest", RT_OPT_FLAG, AT(digest), NULL, "verify: print the SHA-256 of the content without time stamps"},
    {"json", RT_OPT_FLAG, AT(json), NULL, "print JSON, one object per line"},
    {NULL, RT_OPT_FLAG, 0, NULL, NULL},
};
static const data_options defaults = {.doc = -1};

const rt_command cli_data = {
    .name     = "data",
    .usage    = "import|inspect|verify|stats|export|remap FILE... [options]",
    .summary  = "import text into shards; inspect, verify, count and export them",
    .text     = "Converts text to shards, the files that training reads, and shows what shards hold.\n\n"
                "  data import FILE|FOLDER|-... --tokenizer DIR --out PATH.h5 [--split LIST]\n"
                "      Encodes documents into a text shard. A document is a line of .txt and .md files (or a\n"
                "      paragraph, or a file: --document), an object of .jsonl and .ndjson (--text-field), or a\n"
                "      row of .csv and .tsv. Files may be compressed (.gz). A folder stands for all such files\n"
                "      in it, - for standard input. Text must be UTF-8. Other fields and columns become\n"
                "      metadata of the document.\n"
                "      --split train=0.9,valid=0.1 shuffles the documents with --seed and writes PATH-train.h5\n"
                "      and PATH-valid.h5. A size of 1 or more is a number of documents; one size may be 'rest'.\n"
                "      Parts without names are called 0, 1, ... With --max-tokens the last document of a part\n"
                "      is cut so that the part has exactly N tokens.\n"
                "      For Parquet and other formats the error message names a command that converts them.\n"
                "  data inspect SHARD... [--doc I] [--tokenizer DIR]\n"
                "      Shows attributes and sizes, and the tokens of document I with the teacher's most likely\n"
                "      next tokens.\n"
                "  data verify SHARD... [--digest]\n"
                "      Checks checksums, shapes, alignment and probabilities. Exits with 1 if a shard is\n"
                "      invalid.\n"
                "  data stats SHARD...\n"
                "      Shows document lengths, probability mass in the top k, entropy and bytes per token.\n"
                "  data export SHARD --tokenizer DIR --out FILE.jsonl\n"
                "      Writes the text and metadata of each document as one JSON object per line.\n"
                "  data remap SHARD --former DIR --tokenizer DIR --out PATH.h5\n"
                "      Gives the shard the ids of a tokenizer that 'retort tokenizer trim' made of its own. Teacher\n"
                "      entries that it lacks become part of the tail.\n\n"
                "  retort data import my.txt --tokenizer @share/teacher --split train=0.95,valid=0.05 --out my.h5\n"
                "  retort data inspect my-train.h5 --doc 0 --tokenizer @share/teacher",
    .options  = options,
    .size     = sizeof(data_options),
    .defaults = &defaults,
    .run      = data_run,
};
