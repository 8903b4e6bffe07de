/* quantize.c -- retort quantize: a model in 8 or 4 bits, and what that costs. */
#include "cli/cli.h"
#include "core/file.h"
#include "eval/eval.h"
#include <stdio.h>
#include <string.h>

typedef struct quantize_options {
    int64_t     bits, group, threads;
    const char *out;
    rt_texts    shards;
    int         json;
} quantize_options;

static rt_status loss(const md_model *m, const rt_texts *shards, double *ce)
{
    ev_result r = {0};
    if (!shards->n) return RT_OK;
    RT_TRY(ev_shards(&r, m, NULL, &(ev_opts){.shards = shards}));
    *ce = r.ce;
    return RT_OK;
}

static void report(const quantize_options *o, int64_t before, int64_t after, double ce, double ce_q)
{
    if (o->json) {
        printf("{\"bits\":%lld,\"group\":%lld,\"bytes_bf16\":%lld,\"bytes\":%lld", (long long)o->bits, (long long)o->group,
               (long long)before, (long long)after);
        if (o->shards.n) printf(",\"ce_before\":%.6f,\"ce\":%.6f", ce, ce_q);
        printf("}\n");
        return;
    }
    printf("%s: int%lld in groups of %lld, %.2f MB instead of %.2f MB (%.2f x smaller than bf16)\n", o->out, (long long)o->bits,
           (long long)o->group, (double)after / 1e6, (double)before / 1e6, (double)before / (double)after);
    if (o->shards.n) printf("  cross-entropy %.4f before, %.4f after (%+.4f)\n", ce, ce_q, ce_q - ce);
}

static rt_status convert(md_model *m, const char *dir, const quantize_options *o)
{
    double        ce = 0, ce_q = 0;
    const int64_t before = md_bytes(m);
    RT_TRY(loss(m, &o->shards, &ce));
    RT_TRY(inf_quantise(m, (int)o->bits, o->group));
    RT_TRY(loss(m, &o->shards, &ce_q));
    RT_TRY(md_save(m, o->out, KN_BF16));
    RT_TRY(ds_tokenizer_copy(dir, o->out));
    report(o, before, md_bytes(m), ce, ce_q);
    return RT_OK;
}

static rt_status run(const void *options, int argc, char **argv)
{
    const quantize_options *o = options;
    md_model               *m = NULL;
    RT_CHECK(argc == 1 && o->out, RT_EINVAL, "quantize takes one model folder and --out DIR (see 'retort quantize --help')");
    RT_CHECK(!rt_file_exists(o->out), RT_EINVAL, "%s exists already; give another --out", o->out);
    if (o->threads > 0) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    RT_TRY(md_load(&m, argv[0], KN_BF16));
    const rt_status st = convert(m, argv[0], o);
    md_destroy(&m);
    return st;
}

static const rt_option options[] = {
    {"bits", RT_OPT_INT, offsetof(quantize_options, bits), "N", "8 or 4 (default 4)"},
    {"group", RT_OPT_INT, offsetof(quantize_options, group), "N",
     "columns that share a scale (default 32); must divide every matrix's width"},
    {"out", RT_OPT_TEXT, offsetof(quantize_options, out), "DIR", "folder of the quantised model"},
    {"shards", RT_OPT_LIST, offsetof(quantize_options, shards), "SHARD...", "measure the change of the loss on these"},
    {"threads", RT_OPT_INT, offsetof(quantize_options, threads), "N", "threads (default: the cores that it may use)"},
    {"json", RT_OPT_FLAG, offsetof(quantize_options, json), NULL, "the report as one JSON object"},
    {0}};

static const quantize_options defaults = {.bits = 4, .group = 32};

const rt_command cli_quantize = {
    .name     = "quantize",
    .usage    = "MODEL --out DIR [--bits 4]",
    .summary  = "a model in 8 or 4 bits",
    .text     = "Rounds every matrix to 8 or 4 bits, affinely in groups of columns: Q = round(S x + Z). Norms stay as\n"
                "they are. Reports the size and, with --shards, the change of the loss. generate, eval and serve\n"
                "read the result like any model.\n\n"
                "  retort quantize out/latest --bits 4 --out student-int4 --shards valid.h5",
    .options  = options,
    .size     = sizeof(quantize_options),
    .defaults = &defaults,
    .run      = run,
};
