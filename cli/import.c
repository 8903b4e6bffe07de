/* import.c -- retort import: a model of another program as a model folder. */
#include "model/import.h"
#include "cli/cli.h"
#include "core/file.h"
#include <stdio.h>
#include <string.h>

typedef struct import_options {
    const char *out, *type;
    int64_t     threads;
    int         json;
} import_options;

static rt_status import_print(const import_options *o, const md_model *m)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    const int64_t  n = md_config_parameters(&m->config);
    if (!o->json) {
        cli_print("%s: %s, %.1f million parameters, %lld layers, a context of %lld tokens\n", o->out, md_family_word((int)m->config.family),
                  (double)n / 1e6, (long long)m->config.L, (long long)m->config.context);
        return RT_OK;
    }
    rt_put_object(&w, NULL);
    rt_put_text(&w, "folder", o->out);
    rt_put_text(&w, "family", md_family_word((int)m->config.family));
    rt_put_int(&w, "parameters", n);
    rt_put_end(&w);
    return cli_print_line(&w);
}

/* The folder is removed after an error, whose message is the one to show. */
static rt_status import_write_folder(const import_options *o, const md_model *m, const char *from, kn_type type)
{
    rt_status st = md_save(m, o->out, type);
    if (st == RT_OK) st = md_import_tokenizer(from, o->out);
    if (st != RT_OK) (void)rt_dir_remove(o->out);
    return st == RT_OK ? import_print(o, m) : st;
}

/* A file that is only a vocabulary becomes a folder that is only a tokenizer. */
static rt_status import_vocabulary(const import_options *o, const char *from)
{
    ds_tokenizer *t = NULL;
    RT_CHECK(!o->type && !o->json, RT_EINVAL, "%s holds a tokenizer only; leave out --type and --json", from);
    rt_status st = rt_dir_make(o->out);
    if (st == RT_OK) st = md_import_tokenizer(from, o->out);
    if (st == RT_OK) st = ds_tokenizer_load(&t, o->out);
    if (st == RT_OK) cli_print("%s: a tokenizer of %lld entries\n", o->out, (long long)ds_tokenizer_size(t));
    else (void)rt_dir_remove(o->out);
    ds_tokenizer_destroy(&t);
    return st;
}

static rt_status import_command_run(const void *options, int argc, char **argv)
{
    const import_options *o    = options;
    md_model             *m    = NULL;
    kn_type               type = KN_BF16;
    RT_CHECK(argc == 1 && o->out, RT_EINVAL, "import takes one model and requires --out DIR (see 'retort import --help')");
    RT_CHECK(!o->type || !strcmp(o->type, "f32") || !strcmp(o->type, "bf16"), RT_EINVAL, "--type must be f32 or bf16, found \"%s\"",
             o->type);
    RT_TRY(rt_output_new(o->out));
    if (ds_tokenizer_is_file(argv[0])) return import_vocabulary(o, argv[0]);
    if (o->threads > 0) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    if (o->type) type = strcmp(o->type, "f32") ? KN_BF16 : KN_REAL;
    else RT_TRY(md_stored_type(&type, argv[0]));
    RT_TRY(md_load(&m, argv[0], type));
    const rt_status st = import_write_folder(o, m, argv[0], type);
    md_destroy(&m);
    return st;
}

static const rt_option options[] = {{"out", RT_OPT_TEXT, offsetof(import_options, out), "DIR", "new folder to write"},
                                    {"type", RT_OPT_TEXT, offsetof(import_options, type), "TYPE",
                                     "type of the weights: f32 or bf16 (default: bf16 if all weights of MODEL are bf16, else f32)"},
                                    {"threads", RT_OPT_INT, offsetof(import_options, threads), "N",
                                     "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
                                    {"json", RT_OPT_FLAG, offsetof(import_options, json), NULL, "print the report as one JSON object"},
                                    {0}};

const rt_command cli_import = {
    .name    = "import",
    .usage   = "MODEL --out DIR [--type bf16]",
    .summary = "turn a GGUF file into a model folder",
    .text    = "Writes weights, configuration and tokenizer of MODEL, a GGUF file of llama.cpp or a model folder, as a\n"
               "model folder in Hugging Face's layout, which every command reads and training can start from.\n"
               "Quantised weights of a GGUF file become plain ones: a file of 4 bits per weight grows fourfold in bf16.\n"
               "Its vocabulary becomes a tokenizer.json: byte-level BPE, or SentencePiece's, whose merges are made from\n"
               "the scores of its pieces. A folder whose tokenizer is SentencePiece's tokenizer.model or a tiktoken file gets a\n"
               "tokenizer.json too, and MODEL may be such a file, of which a folder with the tokenizer alone is made.\n\n"
               "  retort import gemma-3-270m-q4_k_m.gguf --out gemma\n"
               "  retort generate gemma --prompt 'Water boils at'",
    .options = options,
    .size    = sizeof(import_options),
    .run     = import_command_run,
};
