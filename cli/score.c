/* score.c -- retort score: a teacher's probabilities for given text, from a server or from a model in this process. */
#include "distill/score.h"
#include "cli/cli.h"
#include "cli/collect.h"
#include "cli/dtype.h"
#include "core/clock.h"
#include "core/file.h"
#include "data/shard.h"
#include "model/teacher_row.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct options {
    cli_collect collect;
    rt_strings  shards;
    int64_t     codec;
    const char *codec_from, *dtype;
} options;

static const rt_option table[] = {
    CLI_COLLECT_OPTIONS(options, collect),
    {"model", RT_OPT_TEXT, offsetof(options, collect.model), "DIR",
     "model folder to score with in this process; with --teacher: " CLI_COLLECT_MODEL},
    {"shards", RT_OPT_LIST, offsetof(options, shards), "SHARD...", "text shards to score, in order"},
    {"codec", RT_OPT_INT, offsetof(options, codec), "BYTES",
     "bytes per position of the encoded hidden state, which approximates the whole distribution: 32, 48, 64, ..., or 0 for none; "
     "only with --model DIR (default 64 if neither --k nor --m is given, else 0)"},
    {"codec-from", RT_OPT_TEXT, offsetof(options, codec_from), "SHARD",
     "take k, m and the codec from this shard of the same model, so that a student can be trained on both shards"},
    CLI_DTYPE_OPTION(options, dtype, "f32"),
    {0}};

static const rt_option_renamed renamed[] = {{"sketch", "codec"}, {"like", "codec-from"}, {0}};

/* ---- a server ---------------------------------------------------------------------------------- */

static const char *const folder_options[] = {"codec-from", "dtype", NULL};

static rt_status ask_server(const options *o)
{
    const char *const of_folders = o->codec > 0 ? "codec" : rt_option_changed(&cli_score, folder_options, o);
    rt_progress       p;
    tc_options        t;
    tc_report         r = {0};
    RT_CHECK(o->collect.k != 0, RT_EINVAL,
             "--k 0 (only samples of all tokens) needs the model itself: give its folder with --model instead of --teacher");
    RT_CHECK(!of_folders, RT_EINVAL, "--%s needs the model itself: give its folder with --model instead of --teacher", of_folders);
    RT_TRY(cli_collect_begin(&o->collect, &t, &p));
    RT_TRY(tc_score(&t, &o->shards, &r));
    return cli_collect_end(&o->collect, "score", &r);
}

/* ---- a model in this process ------------------------------------------------------------------- */

static rt_status score_count_tokens(const rt_strings *shards, int64_t *n)
{
    *n = 0;
    for (int i = 0; i < shards->n; i++) {
        ds_shard *s;
        RT_TRY(ds_shard_open(&s, shards->v[i]));
        *n += ds_shard_tokens(s);
        ds_shard_close(&s);
    }
    return RT_OK;
}

static rt_status score_print_json(const cli_collect *c, const di_scored *r, double seconds)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "out", c->out);
    rt_put_int(&w, "documents", r->documents);
    rt_put_int(&w, "tokens", r->tokens);
    rt_put_int(&w, "bytes", rt_file_size(c->out));
    rt_put_fixed(&w, "seconds", seconds, 3);
    rt_put_fixed(&w, "sketch_loss", r->codec_loss, 6);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static void print_text(const cli_collect *c, const di_scored *r, double seconds)
{
    cli_print("score: %lld documents, %lld tokens; %s: %.1f MB; %.1f s, %.0f tokens/s", (long long)r->documents, (long long)r->tokens,
              c->out, (double)rt_file_size(c->out) / 1e6, seconds, (double)r->tokens / seconds);
    if (!isnan(r->codec_loss)) printf("; codec loss %.4f nats per token", r->codec_loss);
    puts("");
}

static rt_status score_print(const cli_collect *c, const di_scored *r, double seconds)
{
    if (c->json) return score_print_json(c, r, seconds);
    print_text(c, r, seconds);
    return RT_OK;
}

enum { CODEC = 64, ENTRIES = 8 };

/* Chooses what is stored per row: encoded states alone, the best record (docs/objectives.md), unless entries are requested. */
static void choose_record(di_score_opts *x, const options *o)
{
    const cli_collect *c       = &o->collect;
    const int64_t      entries = o->codec > 0 || (o->codec < 0 && c->k < 0 && c->m < 0) ? 0 : ENTRIES;
    x->k                       = c->k < 0 ? entries : c->k;
    x->m                       = c->m < 0 ? entries : c->m;
    x->codec_bytes             = o->codec >= 0 ? o->codec : entries || c->k >= 0 || c->m >= 0 ? 0 : CODEC;
}

static rt_status score_offline(const options *o, const md_model *m)
{
    const cli_collect *c = &o->collect;
    rt_progress        p;
    di_scored          r = {0};
    int64_t            tokens;
    const double       began = rt_now();
    RT_TRY(score_count_tokens(&o->shards, &tokens));
    rt_progress_begin(&p, "scoring", "tokens", tokens, 0);
    di_score_opts x = {.shards     = &o->shards,
                       .out        = c->out,
                       .codec_from = o->codec_from,
                       .seed       = (uint64_t)c->seed,
                       .program    = cli_program(),
                       .progress   = &p};
    choose_record(&x, o);
    const rt_status st = di_score(m, &x, &r);
    rt_progress_end(&p);
    return st == RT_OK ? score_print(c, &r, rt_now() - began) : st;
}

static const char *const server_options[] = {"tokenizer", "dialect", "vocab",    "ledger",       "in-flight", "retries",   "max-failed",
                                             "timeout",   "key-env", "key-file", "key-in-clear", "price-in",  "price-out", NULL};

static rt_status read_model(const options *o)
{
    const cli_collect *c = &o->collect;
    md_model          *m;
    kn_type            type;
    RT_CHECK(c->k >= -1 && c->m >= -1 && o->codec >= -1, RT_EINVAL, "--k, --m and --codec must not be negative");
    RT_CHECK(c->k || c->m || o->codec > 0, RT_EINVAL,
             "--k 0 --m 0 stores nothing of the teacher: request entries (--k), samples (--m) or encoded hidden states (--codec 64)");
    RT_CHECK(c->k <= MD_TEACHER_MAX_K, RT_EINVAL, "--k must be from 0 to %d entries, found %lld", (int)MD_TEACHER_MAX_K, (long long)c->k);
    RT_CHECK(!o->codec_from || (c->k < 0 && c->m < 0 && o->codec < 0), RT_EINVAL,
             "--codec-from takes k, m and the codec from %s; omit --k, --m and --codec", o->codec_from);
    RT_CHECK(c->out, RT_EINVAL, "score requires --out FILE, the shard to write");
    RT_CHECK(rt_file_exists(c->model), RT_ENOENT, "--model %s: no such folder; expected a model folder, or --teacher URL for a server",
             c->model);
    const char *const of_servers = rt_option_changed(&cli_score, server_options, o);
    RT_CHECK(!of_servers, RT_EINVAL, "--%s applies to a server (--teacher URL), not to a model folder (--model DIR); omit it", of_servers);
    RT_TRY(cli_dtype(&type, o->dtype));
    rt_quiet(c->quiet);
    rt_interrupt_catch();
    RT_TRY(kn_init_measured());
    RT_TRY(md_load(&m, c->model, type));
    const rt_status st = score_offline(o, m);
    md_destroy(&m);
    return st;
}

/* ---- the teacher's cross-entropy ---------------------------------------------------------------- */

/* Computes the teacher's mean cross-entropy in nats per token over the *n rows of a soft shard that count. */
static rt_status cross_entropy(const char *path, double *ce, int64_t *n)
{
    ds_shard *s;
    ds_doc    d;
    double    sum = 0;
    *n            = 0;
    RT_TRY(ds_shard_open(&s, path));
    rt_status st = RT_OK;
    for (int64_t i = 0; st == RT_OK && i < ds_shard_docs(s); i++) {
        st = ds_shard_doc(s, i, &d);
        for (int64_t t = 0; st == RT_OK && t + 1 < d.n; t++)
            if (d.rows.valid[t] && !d.prompt_mask[t + 1] && !isnan(d.rows.actual_logprob[t])) sum -= (double)d.rows.actual_logprob[t], ++*n;
    }
    ds_shard_close(&s);
    *ce = *n ? sum / (double)*n : NAN;
    return st;
}

/* Reports the teacher's cross-entropy: text that the teacher predicts badly is better learned without it. */
static rt_status score_report_entropy(const char *path)
{
    double  ce;
    int64_t n;
    RT_TRY(cross_entropy(path, &ce, &n));
    if (n)
        rt_note("the teacher's own cross-entropy on this text is %.3f nats per token (%lld tokens); if a student trained without it does "
                "better, "
                "use another teacher",
                ce, (long long)n);
    return RT_OK;
}

static rt_status score_run(const void *opt, int argc, char **argv)
{
    const options *o = opt;
    RT_CHECK(argc == 0, RT_EINVAL, "score takes no arguments, found '%s'; name shards with --shards", argv[0]);
    RT_CHECK(o->collect.teacher || o->collect.model, RT_EINVAL,
             "score requires a teacher: --teacher URL for a server or --model DIR for a model folder");
    RT_TRY(o->collect.teacher ? ask_server(o) : read_model(o));
    return score_report_entropy(o->collect.out);
}

static const options defaults = {.collect = CLI_COLLECT_DEFAULTS, .codec = -1, .dtype = "f32"};

const rt_command cli_score = {
    .name     = "score",
    .usage    = "(--teacher URL | --model DIR) --shards SHARD... --out OUT.h5 [options]",
    .summary  = "collect a teacher's token probabilities for given text",
    .text     = "Collects a teacher's probabilities for every token of text shards and writes a soft shard.\n\n"
                "--teacher URL requests them from a server: the k most likely tokens, the token of the text and, if\n"
                "the server supports it, m samples of the tail. Each response is stored in a ledger beside the shard\n"
                "before it is used. After Ctrl-C, a crash or a server failure, the same command requests only what is\n"
                "missing and writes the same shard.\n\n"
                "--model DIR scores with a model in this process. This is much faster and needs neither a server nor\n"
                "a ledger; an interrupted run leaves no shard. Only --model can store encoded hidden states (--codec),\n"
                "which approximate the whole distribution in a few bytes per position, or only samples of the whole\n"
                "distribution (--k 0). To score a large text on several machines, divide it into shards, score the\n"
                "first one by itself and the others with --codec-from the first.\n\n"
                "  retort data import my.txt --tokenizer @share/teacher --out my.h5         (my.txt: one document per line)\n"
                "  retort serve @share/teacher --port 8000 &\n"
                "  retort score --teacher http://127.0.0.1:8000 --shards my.h5 --out soft.h5\n"
                "  retort score --model @share/teacher --shards my.h5 --out coded.h5        (64 bytes per position)\n"
                "  retort score --model @share/teacher --shards my.h5 --out rows.h5 --k 8 --m 8\n"
                "  retort score --model @share/teacher --shards more.h5 --out more-coded.h5 --codec-from coded.h5",
    .options  = table,
    .renamed  = renamed,
    .size     = sizeof(options),
    .defaults = &defaults,
    .run      = score_run,
};
