/* tokenizer.c -- retort tokenizer train|trim|encode|decode|chat. */
#include "data/tokenizer.h"
#include "cli/cli.h"
#include "cli/tokenizer.h"
#include "core/file.h"
#include "core/utf8.h"
#include "data/chat.h"
#include "data/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    int64_t     vocab;
    const char *end, *out, *document, *text_field, *format;
    int         special, ids, force;
} options;

/* ---- lines ------------------------------------------------------------------------ */

typedef struct job {
    ds_tokenizer  *t;       /* NULL: chat without --ids */
    ds_encoder    *encoder; /* of t */
    ds_chat       *chat;    /* NULL: encode, decode */
    int            special;
    rt_buf         line, text, out;
    rt_json_writer w; /* writes to `out` */
    ds_ids         ids;
} job;

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char       *p        = c ? strchr(digits, c | 0x20) : NULL;
    return p ? (int)(p - digits) : -1;
}

static rt_status from_hex(rt_buf *text, const char *where)
{
    const size_t n = text->len / 2;
    for (size_t i = 0; i < n; i++) {
        const int high = hex_digit(text->p[2 * i]), low = hex_digit(text->p[2 * i + 1]);
        RT_CHECK(high >= 0 && low >= 0, RT_EFORMAT, "%s: \"hex\" must be pairs of hexadecimal digits, found \"%.2s\"", where,
                 text->p + 2 * i);
        text->p[i] = (char)(high << 4 | low);
    }
    RT_CHECK(text->len == 2 * n, RT_EFORMAT, "%s: \"hex\" has an odd number of digits", where);
    text->len = n;
    return RT_OK;
}

static rt_status put_hex(rt_json_writer *w, const rt_buf *text)
{
    rt_buf hex = {0};
    for (size_t i = 0; w->st == RT_OK && i < text->len; i++) w->st = rt_buf_fmt(&hex, "%02x", (unsigned)(unsigned char)text->p[i]);
    rt_put_bytes(w, "hex", hex.p, hex.len);
    rt_buf_free(&hex);
    return w->st;
}

/* Writes the name of a line, which is any JSON value; it is omitted if the line has none. */
static rt_status put_name(rt_json_writer *w, const cJSON *o)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(o, "name");
    if (!name) return RT_OK;
    char *text = cJSON_PrintUnformatted(name);
    RT_CHECK(text, RT_ENOMEM, "no memory for the \"name\" of an input line");
    rt_put_raw(w, "name", text, strlen(text));
    free(text);
    return w->st;
}

/* Writes the ids of j->text. */
static rt_status put_ids(job *j)
{
    j->ids.n = 0;
    RT_TRY(ds_encoder_add(j->encoder, j->text.p, j->text.len, DS_ADDED | (j->special ? DS_SPECIAL : 0), &j->ids));
    rt_put_array(&j->w, "ids");
    for (int64_t i = 0; i < j->ids.n; i++) rt_put_int(&j->w, NULL, j->ids.v[i]);
    rt_put_end(&j->w);
    return j->w.st;
}

static rt_status encode_line(job *j, const cJSON *o, const char *where)
{
    const int hex = cJSON_GetObjectItemCaseSensitive(o, "hex") != NULL;
    RT_TRY(ds_line_text(o, hex ? "hex" : "text", &j->text, where));
    if (hex) RT_TRY(from_hex(&j->text, where));
    return put_ids(j);
}

static rt_status decode_line(job *j, const cJSON *o, const char *where)
{
    const cJSON  *ids  = cJSON_GetObjectItemCaseSensitive(o, "ids"), *e;
    const int64_t size = ds_tokenizer_size(j->t);
    RT_CHECK(cJSON_IsArray(ids), RT_EFORMAT, "%s: expected the field \"ids\", an array of numbers", where);
    j->ids.n = 0;
    cJSON_ArrayForEach(e, ids)
    {
        int64_t id = 0;
        RT_CHECK(rt_json_whole(e, 0, size - 1, &id), RT_EINVAL,
                 "%s: id %lld of \"ids\" must be a whole number below %lld, the vocabulary size", where, (long long)j->ids.n,
                 (long long)size);
        RT_TRY(ds_ids_add(&j->ids, (int32_t)id));
    }
    rt_buf_clear(&j->text);
    RT_TRY(ds_decode(j->t, j->ids.v, j->ids.n, !j->special, &j->text));
    if (!rt_utf8_valid(j->text.p, j->text.len)) return put_hex(&j->w, &j->text);
    rt_put_bytes(&j->w, "text", j->text.p, j->text.len);
    return j->w.st;
}

static rt_status chat_line(job *j, const cJSON *o, const char *where)
{
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(o, "messages"),
                *values   = cJSON_GetObjectItemCaseSensitive(o, "chat_template_kwargs");
    int prompt            = 1;
    RT_TRY(rt_json_bool(o, "add_generation_prompt", &prompt, where));
    RT_CHECK(cJSON_IsArray(messages), RT_EFORMAT, "%s: expected the field \"messages\", an array of objects", where);
    RT_CHECK(!values || cJSON_IsObject(values), RT_EFORMAT, "%s: \"chat_template_kwargs\" must be an object", where);
    rt_buf_clear(&j->text);
    RT_TRY(ds_chat_render(j->chat, messages, values, prompt, &j->text));
    if (j->t) return put_ids(j);
    rt_put_bytes(&j->w, "text", j->text.p, j->text.len);
    return j->w.st;
}

typedef rt_status (*line_fn)(job *j, const cJSON *o, const char *where);

/* Writes the response to a line: {"name": ..., followed by the output of `line`. */
static rt_status tokenizer_respond(job *j, line_fn line, const cJSON *o, const char *where)
{
    rt_buf_clear(&j->out);
    j->w = (rt_json_writer){.out = &j->out};
    rt_put_object(&j->w, NULL);
    RT_TRY(put_name(&j->w, o));
    RT_TRY(line(j, o, where));
    rt_put_end(&j->w);
    rt_put_line_end(&j->w);
    return j->w.st;
}

static rt_status do_line(job *j, line_fn line, int64_t number)
{
    char   where[64];
    cJSON *o = NULL;
    if (!j->line.len) return RT_OK;
    snprintf(where, sizeof where, "standard input, line %lld", (long long)number);
    RT_TRY(ds_line_parse(&o, j->line.p, j->line.len, where));
    const rt_status st = tokenizer_respond(j, line, o, where);
    cJSON_Delete(o);
    if (st != RT_OK) return st;
    RT_CHECK(fwrite(j->out.p, 1, j->out.len, stdout) == j->out.len, rt_status_of_errno(errno), "standard output: %s", strerror(errno));
    return RT_OK;
}

static rt_status do_lines(job *j, line_fn line)
{
    int got = 1;
    for (int64_t number = 1; got; number++) {
        RT_TRY(ds_line_read(stdin, &j->line, &got, "standard input"));
        if (got) RT_TRY(do_line(j, line, number));
    }
    RT_CHECK(!fflush(stdout), rt_status_of_errno(errno), "standard output: %s", strerror(errno));
    return RT_OK;
}

static rt_status open_tokenizer(job *j, const char *dir)
{
    RT_TRY(ds_tokenizer_load(&j->t, dir));
    return ds_encoder_create(&j->encoder, j->t);
}

static rt_status open_job(job *j, const options *o, const char *dir, line_fn line)
{
    if (line != chat_line) return open_tokenizer(j, dir);
    RT_TRY(ds_chat_load(&j->chat, dir));
    RT_CHECK(j->chat, RT_EINVAL, "%s has no chat template: expected chat_template.jinja or \"chat_template\" in tokenizer_config.json",
             dir);
    return o->ids ? open_tokenizer(j, dir) : RT_OK;
}

static rt_status run_lines(const options *o, int argc, char **argv, line_fn line)
{
    RT_CHECK(argc == 2, RT_EINVAL, "tokenizer %s takes one folder with a tokenizer.json, found %d arguments", argv[0], argc - 1);
    job       j  = {.special = o->special};
    rt_status st = open_job(&j, o, argv[1], line);
    if (st == RT_OK) st = do_lines(&j, line);
    rt_buf_free(&j.line);
    rt_buf_free(&j.text);
    rt_buf_free(&j.out);
    free(j.ids.v);
    ds_chat_destroy(&j.chat);
    ds_encoder_destroy(&j.encoder);
    ds_tokenizer_destroy(&j.t);
    return st;
}

/* ---- the command ---------------------------------------------------------------------- */

/* Checks that --force replaces only a tokenizer in a folder of its own: a tokenizer next to a model defines the model's ids. */
static rt_status tokenizer_check_replaced(const char *out)
{
    static const char *const own[] = {"tokenizer.json", "tokenizer_config.json"};
    char                   **names;
    int                      n, strange = -1;
    ds_tokenizer            *t = NULL;
    RT_TRY(rt_dir_list(&names, &n, out));
    for (int i = 0; strange < 0 && i < n; i++)
        if (strcmp(names[i], own[0]) && strcmp(names[i], own[1]) && !strstr(names[i], ".tmp.")) strange = i;
    rt_status st =
        strange < 0
            ? ds_tokenizer_load(&t, out)
            : rt_fail(RT_EINVAL, __FILE__, __LINE__,
                      "%s holds %s beside the tokenizer; --force replaces only a folder with nothing but a tokenizer; choose another --out",
                      out, names[strange]);
    ds_tokenizer_destroy(&t);
    rt_names_free(&names, n);
    return st;
}

/* Checks that an existing tokenizer is replaced only with --force, because shards and models made with it depend on its ids. */
static rt_status tokenizer_check_out(const options *o)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    rt_buf                   path    = {0};
    rt_status                st      = RT_OK;
    int                      there   = 0;
    for (int i = 0; st == RT_OK && i < 2; i++) {
        if ((st = rt_path(&path, o->out, names[i])) == RT_OK) st = rt_output_check(path.p, o->force);
        there |= st == RT_OK && rt_file_exists(path.p);
    }
    rt_buf_free(&path);
    return st == RT_OK && there ? tokenizer_check_replaced(o->out) : st;
}

static rt_status run_train(const options *o, int argc, char **argv)
{
    const ds_input input = {
        .names = (const char *const *)argv + 1, .n = argc - 1, .document = o->document, .field = o->text_field, .format = o->format};
    rt_progress p;
    RT_CHECK(argc > 1, RT_EINVAL, "tokenizer train requires text files: retort tokenizer train FILE.txt... --out DIR");
    RT_CHECK(o->out, RT_EINVAL, "tokenizer train requires --out DIR, the folder to write");
    RT_TRY(tokenizer_check_out(o));
    return ds_tokenizer_train(&input, o->vocab, o->end, o->out, &p);
}

static rt_status run_trim(const options *o, int argc, char **argv)
{
    const ds_input input = {.document = o->document, .field = o->text_field, .format = o->format};
    RT_CHECK(argc > 2, RT_EINVAL, "tokenizer trim requires a tokenizer and a corpus: retort tokenizer trim TOKENIZER FILE... --out DIR");
    RT_CHECK(o->out, RT_EINVAL, "tokenizer trim requires --out DIR, the folder to write");
    RT_TRY(tokenizer_check_out(o));
    return cli_tokenizer_trim(argv[1], (const char *const *)argv + 2, argc - 2, &input, o->out);
}

static rt_status tokenizer_run(const void *opts, int argc, char **argv)
{
    static const char *const names[] = {"train", "trim", "encode", "decode", "chat"};
    const options           *o       = opts;
    RT_CHECK(argc > 0, RT_EINVAL,
             "tokenizer: expected train, trim, encode, decode or chat, found no argument (see 'retort tokenizer --help')");
    if (!strcmp(argv[0], "train")) return run_train(o, argc, argv);
    if (!strcmp(argv[0], "trim")) return run_trim(o, argc, argv);
    if (!strcmp(argv[0], "encode")) return run_lines(o, argc, argv, encode_line);
    if (!strcmp(argv[0], "decode")) return run_lines(o, argc, argv, decode_line);
    if (!strcmp(argv[0], "chat")) return run_lines(o, argc, argv, chat_line);
    RT_FAIL(RT_EINVAL, "tokenizer has no sub-command '%s'; the nearest is '%s' (see 'retort tokenizer --help')", argv[0],
            rt_nearest(argv[0], names, 5));
}

static const options   defaults = {.vocab = 4096, .end = "<|end|>"};
static const rt_option table[]  = {
     {"vocab", RT_OPT_INT, offsetof(options, vocab), "N", "train: size of the vocabulary in tokens (default 4096)"},
     {"end", RT_OPT_TEXT, offsetof(options, end), "TEXT", "train: token that ends a document, which gets id 0 (default <|end|>)"},
     {"out", RT_OPT_TEXT, offsetof(options, out), "DIR", "train, trim: folder to write tokenizer.json and tokenizer_config.json into"},
     {"force", RT_OPT_FLAG, offsetof(options, force), NULL, "train, trim: replace the tokenizer in --out"},
     {"document", RT_OPT_TEXT, offsetof(options, document), "WORD",
      "train, trim: unit of plain text that makes a document, as in data import (default line)"},
     {"text-field", RT_OPT_TEXT, offsetof(options, text_field), "NAME", "train, trim: field or column that holds the text (default text)"},
     {"format", RT_OPT_TEXT, offsetof(options, format), "WORD",
      "train, trim: txt, jsonl or csv, for standard input and for other file names (default: from the file name)"},
     {"special", RT_OPT_FLAG, offsetof(options, special), NULL,
      "encode: add the tokens that the tokenizer puts around a text; decode: also print special tokens"},
     {"ids", RT_OPT_FLAG, offsetof(options, ids), NULL, "chat: print token ids instead of the text"},
     {0},
};

const rt_command cli_tokenizer = {
    .name     = "tokenizer",
    .usage    = "train FILE... --out DIR | trim DIR FILE... --out DIR | encode DIR | decode DIR | chat DIR",
    .summary  = "train or trim a tokenizer, or turn text and chats into token ids and back",
    .text     = "train       trains a byte-level BPE tokenizer on text files, which are read as in data import\n"
                "            (.txt: one document per line; .jsonl: the field \"text\"; tables, folders, gzip), and\n"
                "            writes tokenizer.json in Hugging Face's format.\n"
                "trim        keeps the entries that a corpus uses, those from which they are merged, all bytes and all\n"
                "            special tokens. The files are shards (.h5) or texts. The corpus gets the same entries as\n"
                "            before; other text is encoded in smaller parts. 'retort data remap' gives shards the new\n"
                "            ids, 'retort init --tokenizer' a model.\n"
                "encode      reads JSON lines {\"name\": ..., \"text\": ...} from standard input and writes\n"
                "            {\"name\": ..., \"ids\": [...]}.\n"
                "decode      does the reverse.\n"
                "chat        reads JSON lines {\"name\": ..., \"messages\": [{\"role\": \"user\", \"content\": ...}, ...]} and writes\n"
                "            {\"name\": ..., \"text\": ...}: what the model reads, by the folder's chat template. A line may have\n"
                "            \"add_generation_prompt\" (default true: the text ends where the answer begins) and\n"
                "            \"chat_template_kwargs\", an object of further variables (\"enable_thinking\": false).\n\n"
                "Bytes that are not UTF-8 are given as hexadecimal digits in \"hex\" instead of \"text\". Byte-level BPE\n"
                "encodes them as they are. Any other tokenizer (SentencePiece's kind, Unigram) gets U+FFFD for each\n"
                "maximal part that is not UTF-8, as Python's errors=\"replace\" does.\n\n"
                "  retort tokenizer train corpus.txt --vocab 4096 --out tok\n"
                "  retort tokenizer trim teacher corpus.h5 --out small\n"
                "  echo '{\"name\": 1, \"text\": \"a vessel\"}' | retort tokenizer encode tok --special",
    .options  = table,
    .size     = sizeof(options),
    .defaults = &defaults,
    .run      = tokenizer_run,
};
