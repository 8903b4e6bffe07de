/* export.c -- retort export: writing a model for other programs. */
#include "model/export.h"
#include "cli/cli.h"
#include "core/file.h"
#include "quant/quant.h"
#include <stdio.h>

typedef struct export_options {
    const char *gguf, *type, *mlx;
    int64_t     bits, threads;
    int         force, json;
} export_options;

static rt_status export_print_mlx(const export_options *o, const md_config *c, const md_exported *r)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    if (!o->json) {
        cli_print("%s: %lld bits in groups of %lld columns, %.2f MB\n", o->mlx, (long long)c->bits, (long long)c->group,
                  (double)r->bytes / 1e6);
        return RT_OK;
    }
    rt_put_object(&w, NULL);
    rt_put_text(&w, "folder", o->mlx);
    rt_put_int(&w, "bits", c->bits);
    rt_put_int(&w, "group", c->group);
    rt_put_int(&w, "bytes", r->bytes);
    rt_put_int(&w, "matrices", r->matrices);
    rt_put_end(&w);
    return cli_print_line(&w);
}

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
static rt_status export_to_gguf(const export_options *o, const char *model)
{
    md_model   *m = NULL;
    md_exported r;
    kn_type     type;
    RT_TRY(rt_output_check(o->gguf, o->force));
    RT_TRY(kn_init());
    RT_TRY(md_stored_type(&type, model));
    RT_TRY(md_load(&m, model, type));
    rt_status st = md_export_gguf(&r, m, o->gguf, o->type);
    if (st == RT_OK) st = export_print(o, &r);
    md_destroy(&m);
    return st;
}

/* Returns the columns of a group: 64, as in mlx-lm's own conversion, or 32 if some matrix is not a multiple of 64 wide. */
static int64_t mlx_group(const md_model *m)
{
    int64_t group = 64;
    for (int i = 0; i < m->n; i++)
        if (!m->t[i].is_vector && m->t[i].cols % group) group = 32;
    return group;
}

/* The folder is removed after an error, whose message is the one to show. */
static rt_status export_to_mlx(const export_options *o, const char *model)
{
    md_model   *m = NULL;
    md_exported r;
    RT_CHECK(o->bits == 4 || o->bits == 8, RT_EINVAL, "--bits must be 4 or 8, found %lld", (long long)o->bits);
    RT_TRY(rt_output_new(o->mlx));
    RT_TRY(kn_init());
    RT_TRY(md_load(&m, model, KN_REAL));
    rt_status st = m->config.bits ? RT_OK : qu_quantise(m, (int)o->bits, mlx_group(m));
    if (st == RT_OK) {
        st = md_export_mlx(&r, m, o->mlx);
        if (st != RT_OK) (void)rt_dir_remove(o->mlx);
    }
    if (st == RT_OK) st = export_print_mlx(o, &m->config, &r);
    md_destroy(&m);
    return st;
}

static rt_status export_run(const void *options, int argc, char **argv)
{
    const export_options *o = options;
    RT_CHECK(argc == 1 && !o->gguf != !o->mlx, RT_EINVAL,
             "export takes one model folder and requires --gguf FILE or --mlx DIR (see 'retort export --help')");
    if (o->threads > 0) rt_threads_set((int)o->threads);
    return o->gguf ? export_to_gguf(o, argv[0]) : export_to_mlx(o, argv[0]);
}

static const rt_option options[] = {{"gguf", RT_OPT_TEXT, offsetof(export_options, gguf), "FILE", "GGUF file to write"},
                                    {"type", RT_OPT_TEXT, offsetof(export_options, type), "TYPE",
                                     "--gguf: type of the matrices: f32, f16, bf16, q8_0, q4_0, q4_k or q6_k (default q8_0)"},
                                    {"mlx", RT_OPT_TEXT, offsetof(export_options, mlx), "DIR", "new folder to write, in the layout of MLX"},
                                    {"bits", RT_OPT_INT, offsetof(export_options, bits), "N",
                                     "--mlx: bits of a weight, 4 or 8 (default 4); a model that is quantised keeps its own"},
                                    {"threads", RT_OPT_INT, offsetof(export_options, threads), "N",
                                     "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
                                    {"force", RT_OPT_FLAG, offsetof(export_options, force), NULL, "--gguf: replace the file"},
                                    {"json", RT_OPT_FLAG, offsetof(export_options, json), NULL, "print the report as one JSON object"},
                                    {0}};

static const export_options defaults = {.type = "q8_0", .bits = 4};

const rt_command cli_export = {
    .name     = "export",
    .usage    = "MODEL --gguf FILE [--type q8_0] | MODEL --mlx DIR [--bits 4]",
    .summary  = "write a model for llama.cpp (GGUF) or for mlx-lm (MLX)",
    .text     = "Writes weights, configuration and tokenizer of a model folder as one GGUF file. llama.cpp and the\n"
                "programs built on it run such a file with the same tokens. Matrices are stored as TYPE, in blocks whose\n"
                "levels and scales are those of llama.cpp's own reference. A matrix whose columns do not fill whole\n"
                "blocks (of 256 columns for q4_k and q6_k, of 32 for q4_0 and q8_0) is stored as q8_0 or f16.\n"
                "A tokenizer that llama.cpp does not have by a name is refused.\n\n"
                "With --mlx it writes a folder that mlx-lm runs: matrices of 4 or 8 bits in groups of 64 columns (or 32), with a\n"
                "scale and a bias in f32 each. A model that 'retort quantize --group 64' made keeps its levels.\n\n"
                "  retort export @share/teacher --gguf teacher.gguf\n"
                "  retort export student/latest --gguf student.gguf --type q4_0    (after train with out=student)\n"
                "  retort export student/latest --mlx student-mlx --bits 8",
    .options  = options,
    .size     = sizeof(export_options),
    .defaults = &defaults,
    .run      = export_run,
};
