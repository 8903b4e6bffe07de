/* export.c -- retort export: writing a model for other programs. */
#include "model/export.h"
#include "cli/cli.h"
#include "core/file.h"
#include <stdio.h>

typedef struct export_options {
    const char *gguf, *type;
    int64_t     threads;
    int         force, json;
} export_options;

static rt_status export_print(const export_options *o, const md_exported *r)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    if (!o->json) {
        cli_print("%s: %s, %.2f MB; weights differ by %.2g of their root mean square\n", o->gguf, o->type, (double)r->bytes / 1e6,
                  r->error);
        if (r->others)
            cli_print("  %d of %d matrices are stored with more bits, because their columns do not fill whole blocks of %s\n", r->others,
                      r->matrices, o->type);
        return RT_OK;
    }
    rt_put_object(&w, NULL);
    rt_put_text(&w, "file", o->gguf);
    rt_put_text(&w, "type", o->type);
    rt_put_int(&w, "bytes", r->bytes);
    rt_put_int(&w, "matrices", r->matrices);
    rt_put_int(&w, "matrices_of_other_type", r->others);
    rt_put_real(&w, "relative_error", r->error, 9);
    rt_put_end(&w);
    return cli_print_line(&w);
}

/* Weights are read in their stored type, so that they are rounded only once. */
static rt_status export_run(const void *options, int argc, char **argv)
{
    const export_options *o = options;
    md_model             *m = NULL;
    md_exported           r;
    kn_type               type;
    RT_CHECK(argc == 1 && o->gguf, RT_EINVAL, "export takes one model folder and requires --gguf FILE (see 'retort export --help')");
    RT_TRY(rt_output_check(o->gguf, o->force));
    if (o->threads > 0) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    RT_TRY(md_stored_type(&type, argv[0]));
    RT_TRY(md_load(&m, argv[0], type));
    rt_status st = md_export_gguf(&r, m, o->gguf, o->type);
    if (st == RT_OK) st = export_print(o, &r);
    md_destroy(&m);
    return st;
}

static const rt_option options[] = {{"gguf", RT_OPT_TEXT, offsetof(export_options, gguf), "FILE", "GGUF file to write"},
                                    {"type", RT_OPT_TEXT, offsetof(export_options, type), "TYPE",
                                     "type of the matrices: f32, f16, bf16, q8_0, q4_0, q4_k or q6_k (default q8_0)"},
                                    {"threads", RT_OPT_INT, offsetof(export_options, threads), "N",
                                     "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
                                    {"force", RT_OPT_FLAG, offsetof(export_options, force), NULL, "replace the file"},
                                    {"json", RT_OPT_FLAG, offsetof(export_options, json), NULL, "print the report as one JSON object"},
                                    {0}};

static const export_options defaults = {.type = "q8_0"};

const rt_command cli_export = {
    .name     = "export",
    .usage    = "MODEL --gguf FILE [--type q8_0]",
    .summary  = "write a model as a GGUF file, which llama.cpp runs",
    .text     = "Writes weights, configuration and tokenizer of a model folder as one GGUF file. llama.cpp and the\n"
                "programs built on it run such a file with the same tokens. Matrices are stored as TYPE, in blocks whose\n"
                "levels and scales are those of llama.cpp's own reference. A matrix whose columns do not fill whole\n"
                "blocks (of 256 columns for q4_k and q6_k, of 32 for q4_0 and q8_0) is stored as q8_0 or f16.\n"
                "A tokenizer that llama.cpp does not have by a name is refused.\n\n"
                "  retort export @share/teacher --gguf teacher.gguf\n"
                "  retort export student/latest --gguf student.gguf --type q4_0    (after train with out=student)",
    .options  = options,
    .size     = sizeof(export_options),
    .defaults = &defaults,
    .run      = export_run,
};
