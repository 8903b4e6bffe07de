/* quantize.c -- retort quantize: quantising a model to 8 or 4 bits, and the loss in quality. */
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/file.h"
#include "eval/eval.h"
#include "model/safetensors.h"
#include "quant/quant.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct quantize_options {
    int64_t     bits, group, threads;
    const char *out;
    rt_strings  shards;
    int         force, json;
} quantize_options;

typedef struct quality { /* measured before and after quantisation */
    int64_t bytes;
    double  ce, tok_s;
} quality;

static rt_status quantize_measure(quality *q, const md_model *m, const rt_strings *shards)
{
    ev_result r = {0};
    if (shards->n) RT_TRY(ev_shards(&r, m, NULL, &(ev_opts){.shards = shards}));
    q->bytes = md_bytes(m);
    q->ce    = r.ce;
    return cli_measure_decoding(&q->tok_s, m);
}

static rt_status quantize_print_json(const quantize_options *o, const quality *before, const quality *after)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_int(&w, "bits", o->bits);
    rt_put_int(&w, "group", o->group);
    rt_put_int(&w, "bytes_bf16", before->bytes);
    rt_put_int(&w, "bytes", after->bytes);
    rt_put_real(&w, "tok_s_before", before->tok_s, 9);
    rt_put_real(&w, "tok_s", after->tok_s, 9);
    if (o->shards.n) rt_put_real(&w, "ce_before", before->ce, 9);
    if (o->shards.n) rt_put_real(&w, "ce", after->ce, 9);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status report_text(rt_buf *b, const quantize_options *o, const quality *before, const quality *after)
{
    RT_TRY(rt_buf_fmt(b, "%s: int%lld in groups of %lld columns, %.2f MB, before %.2f MB (%.2f times as large)\n", o->out,
                      (long long)o->bits, (long long)o->group, (double)after->bytes / 1e6, (double)before->bytes / 1e6,
                      (double)before->bytes / (double)after->bytes));
    RT_TRY(rt_buf_fmt(b, "  decodes %.0f tokens/s, %.0f before%s\n", after->tok_s, before->tok_s,
                      after->tok_s < before->tok_s
                          ? "; it is slower because converting the weights takes more time than reading fewer bytes saves"
                          : ""));
    if (!o->shards.n) return RT_OK;
    if (isnan(after->ce)) return rt_buf_str(b, "  the shards have no token that counts, so the loss is unknown\n");
    return rt_buf_fmt(b, "  cross-entropy %.4f before, %.4f after (%+.4f)\n", before->ce, after->ce, after->ce - before->ce);
}

static rt_status report(const quantize_options *o, const quality *before, const quality *after)
{
    rt_buf b = {0};
    if (o->json) return quantize_print_json(o, before, after);
    const rt_status st = report_text(&b, o, before, after);
    if (st == RT_OK) cli_print_text(&b);
    rt_buf_free(&b);
    return st;
}

/* Adds the tokenizer's end tokens to the model's configuration, which may lack them. */
static rt_status quantize_take_ends(md_model *m, const char *dir)
{
    ds_tokenizer *t = NULL;
    RT_TRY(ds_tokenizer_load(&t, dir));
    const rt_status st = ds_ends_join(&m->config.ends, ds_tokenizer_ends(t));
    ds_tokenizer_destroy(&t);
    return st;
}

/* ---- the folder ------------------------------------------------------------------------------------ */

/* Returns 1 if this command writes a file of this name, or a killed one left it as NAME.tmp.PID. */
static int is_ours(const char *name)
{
    static const char *const model[] = {"model.safetensors", "config.json", "generation_config.json"};
    const char              *tmp     = strstr(name, ".tmp.");
    const size_t             n       = tmp ? (size_t)(tmp - name) : strlen(name);
    for (int i = 0; i < 3; i++)
        if (strlen(model[i]) == n && !strncmp(name, model[i], n)) return 1;
    for (int i = 0; ds_tokenizer_part(i); i++)
        if (strlen(ds_tokenizer_part(i)) == n && !strncmp(name, ds_tokenizer_part(i), n)) return 1;
    return 0;
}

static int holds_levels(const char *path)
{
    md_st *f   = NULL;
    int    yes = 0;
    if (md_st_open(&f, path) != RT_OK) return 0;
    for (int64_t i = 0; !yes && md_st_at(f, i); i++) {
        const char *dot = strrchr(md_st_at(f, i)->name, '.');
        yes             = dot && !strcmp(dot, ".q");
    }
    md_st_close(&f);
    return yes;
}

/* Returns the reason why the file `name` is not part of a quantised model; NULL: none.  *known = 1 if it identifies one. */
static const char *quantize_look_at(const char *dir, const char *name, int *known)
{
    md_config   c;
    const char *why  = NULL;
    rt_buf      path = {0};
    if (!is_ours(name)) return "which does not belong to a quantised model";
    if (rt_path(&path, dir, name) != RT_OK) return "whose path is too long";
    if (!strcmp(name, "config.json")) {
        if (md_config_read(&c, dir) != RT_OK || !c.bits) why = "a model that is not quantised";
        else *known = 1;
    } else if (!strcmp(name, "model.safetensors")) {
        if (!holds_levels(path.p)) why = "whose weights are not quantised";
        else *known = 1;
    } else if (strstr(name, ".tmp.")) *known = 1;
    rt_buf_free(&path);
    return why;
}

static rt_status quantize_refuse(const char *out, const char *name, const char *why)
{
    const int whole = !strcmp(name, "config.json"); /* the reason then concerns the whole folder */
    RT_FAIL(RT_EINVAL, "%s holds %s%s%s; --force replaces only a quantised model; choose another --out", out, whole ? "" : name,
            whole ? "" : ", ", why);
}

/* RT_EINVAL: `out` is not a quantised model or the remains of one, so that --force must not replace it. */
static rt_status quantize_check_replaced(const char *out)
{
    char      **names;
    int         n, known = 0;
    const char *why = NULL, *name = NULL;
    RT_TRY(rt_dir_make(out)); /* it exists: fails if it is not a folder */
    RT_TRY(rt_dir_list(&names, &n, out));
    for (int i = 0; !why && i < n; i++) why = quantize_look_at(out, name = names[i], &known);
    if (!why && n && !known) why = "but no quantised model";
    const rt_status st = why ? quantize_refuse(out, name, why) : RT_OK;
    rt_names_free(&names, n);
    return st;
}

static rt_status quantize_check_out(const quantize_options *o)
{
    RT_TRY(rt_output_check(o->out, o->force));
    return rt_file_exists(o->out) ? quantize_check_replaced(o->out) : RT_OK;
}

/* Removes the tokenizer of the replaced model, which may have more files than the new one. */
static rt_status remove_tokenizer(const char *out)
{
    rt_buf    path = {0};
    rt_status st   = RT_OK;
    for (int i = 0; st == RT_OK && ds_tokenizer_part(i); i++)
        if ((st = rt_path(&path, out, ds_tokenizer_part(i))) == RT_OK) unlink(path.p);
    rt_buf_free(&path);
    return st;
}

static rt_status write_folder(const md_model *m, const char *from, const char *out, kn_type type)
{
    const int fresh = !rt_file_exists(out);
    rt_status st    = md_save(m, out, type);
    if (st == RT_OK) st = remove_tokenizer(out);
    if (st == RT_OK) st = ds_tokenizer_copy(from, out);
    if (st != RT_OK && fresh) (void)rt_dir_remove(out); /* the first error is the one to report */
    return st;
}

static rt_status quantize_convert(md_model *m, const char *dir, const quantize_options *o, kn_type type)
{
    quality before, after;
    RT_TRY(quantize_measure(&before, m, &o->shards));
    before.bytes = 2 * md_config_parameters(&m->config); /* size in bf16, also if the model is in f32 */
    RT_TRY(qu_quantise(m, (int)o->bits, o->group));
    RT_TRY(quantize_measure(&after, m, &o->shards));
    RT_TRY(quantize_take_ends(m, dir));
    RT_TRY(write_folder(m, dir, o->out, type));
    return report(o, &before, &after);
}

/* Quantises from the stored type, so that weights are rounded only once. */
static rt_status quantize_run(const void *options, int argc, char **argv)
{
    const quantize_options *o = options;
    md_model               *m = NULL;
    kn_type                 type;
    RT_CHECK(argc == 1 && o->out, RT_EINVAL, "quantize takes one model folder and requires --out DIR (see 'retort quantize --help')");
    RT_CHECK(o->bits == 8 || o->bits == 4, RT_EINVAL, "--bits must be 8 or 4, found %lld", (long long)o->bits);
    RT_TRY(quantize_check_out(o));
    if (o->threads > 0) rt_threads_set((int)o->threads);
    RT_TRY(kn_init_measured());
    RT_TRY(md_stored_type(&type, argv[0]));
    RT_TRY(md_load(&m, argv[0], type));
    const rt_status st = quantize_convert(m, argv[0], o, type);
    md_destroy(&m);
    return st;
}

static const rt_option options[] = {
    {"bits", RT_OPT_INT, offsetof(quantize_options, bits), "N", "bits per weight, 8 or 4 (default 4)"},
    {"group", RT_OPT_INT, offsetof(quantize_options, group), "N",
     "number of columns that share a scale; must divide the width of every matrix (default 32)"},
    {"out", RT_OPT_TEXT, offsetof(quantize_options, out), "DIR", "folder to write the quantised model into"},
    {"shards", RT_OPT_LIST, offsetof(quantize_options, shards), "SHARD...", "measure the change of the loss on these shards"},
    {"threads", RT_OPT_INT, offsetof(quantize_options, threads), "N",
     "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
    {"force", RT_OPT_FLAG, offsetof(quantize_options, force), NULL, "replace the quantised model in --out"},
    {"json", RT_OPT_FLAG, offsetof(quantize_options, json), NULL, "print the report as one JSON object"},
    {0}};

static const quantize_options defaults = {.bits = 4, .group = 32};

const rt_command cli_quantize = {
    .name     = "quantize",
    .usage    = "MODEL --out DIR [--bits 4]",
    .summary  = "quantise a model to 8 or 4 bits",
    .text     = "Quantises every matrix of a model to 8 or 4 bits, affinely in groups of columns:\n"
                "Q = round(S x + Z). Norms are not quantised. Writes a model folder that generate, eval and serve\n"
                "read like any other; other programs refuse it. Reports the size, the decoding speed and, with\n"
                "--shards, the change of the loss. Fewer bits save space but not always time: a small model may\n"
                "become slower, because its weights are converted before use.\n\n"
                "  retort quantize @share/teacher --bits 4 --out teacher-int4\n"
                "  retort quantize student/latest --bits 4 --out student-int4 --shards my.h5    (after train with out=student)",
    .options  = options,
    .size     = sizeof(quantize_options),
    .defaults = &defaults,
    .run      = quantize_run,
};
