/* eval.c -- retort eval: the quality of a model on held-out text. */
#include "eval/eval.h"
#include "cli/cli.h"
#include "cli/dtype.h"
#include "core/file.h"
#include "data/shard.h"
#include "model/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct eval_options {
    rt_strings  shards;
    const char *teacher, *tokens, *logits, *dtype;
    int         json, force;
    int64_t     threads, window;
} eval_options;

static void warn_unknown(int unknown, const char *dir)
{
    if (unknown)
        rt_note("warning: %s has no tokenizer.json, so its token ids cannot be compared with the shards'; if they differ, the results are "
                "meaningless; copy the model's tokenizer files there",
                dir);
}

static rt_status print_figures(const ev_result *r, const char *model, int json)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    const struct {
        const char *name;
        double      v;
    } f[]       = {{"ce", r->ce}, {"ppl", r->ppl},     {"acc", r->acc},         {"ece", r->ece},
                   {"kl", r->kl}, {"agree", r->agree}, {"kl_topk", r->kl_topk}, {"teacher_ce", r->teacher_ce}};
    const int n = sizeof f / sizeof *f;
    if (!json) {
        cli_print("%s: %lld tokens\n", model, (long long)r->tokens);
        for (int i = 0; i < n; i++)
            if (!isnan(f[i].v)) printf("  %-8s %.4f\n", f[i].name, f[i].v);
        return RT_OK;
    }
    rt_put_object(&w, NULL);
    rt_put_int(&w, "tokens", r->tokens);
    for (int i = 0; i < n; i++) rt_put_real(&w, f[i].name, f[i].v, 9);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status eval_print(const ev_result *r, const char *model, int json)
{
    RT_TRY(print_figures(r, model, json));
    if (r->kl_missing * 10 >= r->tokens && r->tokens)
        rt_note("warning: in %lld of %lld rows the model's vocabulary has none of the stored ids; kl_topk excludes these rows",
                (long long)r->kl_missing, (long long)r->tokens);
    if (r->teacher_ce > r->ce)
        rt_note("warning: the teacher is the worse model of this text (cross-entropy %.3f, the model's %.3f); divergence from it does not "
                "measure quality here",
                r->teacher_ce, r->ce);
    return RT_OK;
}

static rt_status eval_count_tokens(const rt_strings *shards, int64_t *n)
{
    *n = 0;
    for (int i = 0; i < shards->n; i++) {
        ds_shard *s = NULL;
        RT_TRY(ds_shard_open(&s, shards->v[i]));
        *n += ds_shard_tokens(s);
        ds_shard_close(&s);
    }
    return RT_OK;
}

static rt_status eval_shards(const md_model *m, const eval_options *o, const char *name, kn_type type)
{
    md_model   *teacher = NULL;
    rt_progress p;
    ev_result   r;
    int64_t     tokens;
    RT_TRY(eval_count_tokens(&o->shards, &tokens));
    if (o->teacher) RT_TRY(md_load(&teacher, o->teacher, type));
    rt_progress_begin(&p, "evaluating", "tokens", tokens, 0);
    rt_status st = ev_shards(&r, m, teacher, &(ev_opts){.shards = &o->shards, .window = o->window, .progress = &p});
    rt_progress_end(&p);
    if (st == RT_OK) st = eval_print(&r, name, o->json);
    if (st == RT_OK) warn_unknown(r.unknown, name), warn_unknown(r.teacher_unknown, o->teacher);
    md_destroy(&teacher);
    return st;
}

/* Checks that --force replaces only a file of logits. */
static rt_status eval_check_logits(const eval_options *o)
{
    md_st *f = NULL;
    RT_TRY(rt_output_check(o->logits, o->force));
    if (!rt_file_exists(o->logits)) return RT_OK;
    const int logits = md_st_open(&f, o->logits) == RT_OK && md_st_find(f, "ids") && md_st_find(f, "logits");
    md_st_close(&f);
    RT_CHECK(logits, RT_EINVAL, "%s does not hold logits; --force replaces only a file with ids and logits; choose another --logits",
             o->logits);
    return RT_OK;
}

static rt_status eval_run(const void *options, int argc, char **argv)
{
    const eval_options *o = options;
    md_model           *m = NULL;
    kn_type             type;
    RT_CHECK(argc == 1, RT_EINVAL, "eval takes one model folder, found %d arguments (see 'retort eval --help')", argc);
    RT_TRY(cli_dtype(&type, o->dtype));
    RT_CHECK(!o->tokens == !o->logits && !o->tokens == !!o->shards.n, RT_EINVAL,
             "eval takes either --shards SHARD..., or --tokens IN and --logits OUT");
    RT_CHECK(o->window >= 0 && o->threads >= 0, RT_EINVAL, "--window and --threads must not be negative");
    if (o->tokens) RT_TRY(eval_check_logits(o));
    if (o->threads) rt_threads_set((int)o->threads);
    RT_TRY(kn_init_measured());
    RT_TRY(md_load(&m, argv[0], type));
    const rt_status st = o->tokens ? ev_logits(m, o->tokens, o->logits) : eval_shards(m, o, argv[0], type);
    md_destroy(&m);
    return st;
}

static const rt_option options[] = {
    {"shards", RT_OPT_LIST, offsetof(eval_options, shards), "SHARD...", "held-out text shards or soft shards"},
    {"teacher", RT_OPT_TEXT, offsetof(eval_options, teacher), "DIR",
     "model folder to compare with: report KL over the whole vocabulary and agreement"},
    {"tokens", RT_OPT_TEXT, offsetof(eval_options, tokens), "IN", "safetensors file with ids [B,T]: write all logits instead of measuring"},
    {"logits", RT_OPT_TEXT, offsetof(eval_options, logits), "OUT", "safetensors file to write, with ids [B,T] and logits [B,T,V]"},
    {"force", RT_OPT_FLAG, offsetof(eval_options, force), NULL, "replace the file that --logits names"},
    CLI_DTYPE_OPTION(eval_options, dtype, "f32"),
    {"window", RT_OPT_INT, offsetof(eval_options, window), "N",
     "longest sequence scored at once, in tokens (default: the model's context)"},
    {"threads", RT_OPT_INT, offsetof(eval_options, threads), "N",
     "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
    {"json", RT_OPT_FLAG, offsetof(eval_options, json), NULL, "print one JSON object: tokens ce ppl acc ece kl agree kl_topk teacher_ce"},
    {0}};

static const eval_options defaults = {.dtype = "f32"};

const rt_command cli_eval = {
    .name     = "eval",
    .usage    = "MODEL --shards SHARD... [--teacher DIR]",
    .summary  = "measure a model on held-out text",
    .text     = "Scores every document of the shards and prints cross-entropy (ce), perplexity (ppl), top-1\n"
                "accuracy (acc) and expected calibration error with 15 bins (ece). With --teacher it also prints\n"
                "the KL divergence from the teacher over the whole vocabulary (kl), how often both models prefer\n"
                "the same token (agree) and the teacher's own cross-entropy (teacher_ce). For soft shards it prints\n"
                "the KL divergence over the stored top k (kl_topk). Do not judge by agreement alone: a student can\n"
                "agree and still have wrong probabilities.\n\n"
                "  echo 'volcano (noun): a mountain that throws out ash' >my.txt\n"
                "  retort data import my.txt --tokenizer @share/teacher --out my.h5\n"
                "  retort eval @share/teacher --shards my.h5\n"
                "  retort eval student/latest --shards my.h5 --teacher @share/teacher    (after train with out=student)",
    .options  = options,
    .size     = sizeof(eval_options),
    .defaults = &defaults,
    .run      = eval_run,
};
