/* data_show.c -- retort data inspect|stats: what is in a shard, for people and as JSON. */
#include "cli/cli.h"
#include "cli/data.h"
#include "core/file.h"
#include "core/json.h"
#include "data/data.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- inspect: attributes ---------------------------------------------------------------- */

void data_show_text(const char *name, const char *text)
{
    char clean[4096];
    snprintf(clean, sizeof clean, "%s", text);
    rt_text_clean(clean); /* servers and other people's shards say what they like */
    if (*text) printf("  %-12s %s\n", name, clean);
}

static void show_info(const ds_shard *s, const ds_sketch *sketch)
{
    const ds_info *i     = ds_shard_info(s);
    const int64_t  bytes = rt_file_size(ds_shard_path(s)), n = ds_shard_tokens(s);
    const time_t   when = (time_t)i->time;
    struct tm      tm;
    char           date[32] = "unknown";
    if (gmtime_r(&when, &tm)) strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &tm);
    cli_print("%s: a %s shard\n", ds_shard_path(s), i->soft ? "soft" : "text");
    printf("  %-12s %lld\n  %-12s %lld\n", "documents", (long long)ds_shard_docs(s), "tokens", (long long)n);
    printf("  %-12s %lld (%.1f a token)\n", "bytes", (long long)bytes, n ? (double)bytes / (double)n : 0.0);
    printf("  %-12s %lld\n", "vocabulary", (long long)i->vocab);
    if (i->k)
        printf("  %-12s top %lld, %lld tail samples, entropy of the rest %s\n", "targets", (long long)i->k, (long long)i->m,
               ds_shard_has_entropy(s) ? "known" : "unknown");
    else if (i->m) printf("  %-12s %lld samples of the whole distribution\n", "targets", (long long)i->m);
    if (sketch) {
        printf("  %-12s %lld bytes a row, %lld coordinates", "sketches", (long long)i->sketch, (long long)i->rank);
        if (isnan(sketch->loss)) puts("");
        else printf("; %.4f nats a token lost\n", sketch->loss);
    }
    if (ds_shard_has_weight(s)) printf("  %-12s each row has its own\n", "weights");
    data_show_text("tokenizer", i->tokenizer);
    data_show_text("teacher", i->teacher);
    data_show_text("endpoint", i->endpoint);
    data_show_text("dialect", i->dialect);
    data_show_text("sampling", i->sampling);
    data_show_text("probe", i->probe);
    data_show_text("prices", i->prices);
    data_show_text("program", i->program);
    data_show_text("written", date);
}

static rt_status add_field(rt_buf *b, const char *key, const char *text)
{
    RT_TRY(rt_buf_fmt(b, ",\"%s\":", key));
    return rt_json_quote(b, text, strlen(text));
}

static rt_status info_json(rt_buf *b, const ds_shard *s, const ds_sketch *sketch)
{
    const ds_info *i = ds_shard_info(s);
    RT_TRY(rt_buf_str(b, "{\"path\":"));
    RT_TRY(rt_json_quote(b, ds_shard_path(s), strlen(ds_shard_path(s))));
    RT_TRY(add_field(b, "kind", i->soft ? "soft" : "text"));
    RT_TRY(rt_buf_fmt(b, ",\"documents\":%lld,\"tokens\":%lld,\"bytes\":%lld,\"vocab_size\":%lld", (long long)ds_shard_docs(s),
                      (long long)ds_shard_tokens(s), (long long)rt_file_size(ds_shard_path(s)), (long long)i->vocab));
    RT_TRY(rt_buf_fmt(b, ",\"k\":%lld,\"m\":%lld,\"sketch\":%lld,\"rest_entropy\":%s,\"weight\":%s", (long long)i->k, (long long)i->m,
                      (long long)i->sketch, ds_shard_has_entropy(s) ? "true" : "false", ds_shard_has_weight(s) ? "true" : "false"));
    if (sketch) RT_TRY(rt_buf_fmt(b, ",\"coordinates\":%lld", (long long)sketch->r));
    if (sketch && !isnan(sketch->loss)) RT_TRY(rt_buf_fmt(b, ",\"sketch_loss\":%.6f", sketch->loss));
    RT_TRY(add_field(b, "tokenizer_sha256", i->tokenizer));
    RT_TRY(add_field(b, "teacher", i->teacher));
    RT_TRY(add_field(b, "endpoint", i->endpoint));
    RT_TRY(add_field(b, "dialect", i->dialect));
    RT_TRY(add_field(b, "sampling", i->sampling));
    RT_TRY(add_field(b, "program", i->program));
    return rt_buf_fmt(b, ",\"time\":%lld}\n", (long long)i->time);
}

static rt_status inspect(const data_options *o, ds_shard *s, const ds_tokenizer *t)
{
    rt_buf           b = {0};
    const ds_sketch *sketch;
    RT_CHECK(!t || ds_tokenizer_is(t, ds_shard_info(s)->tokenizer), RT_EMISMATCH,
             "%s was made with the tokenizer %.12s..., %s has %.12s...; give the one that it was made with", ds_shard_path(s),
             ds_shard_info(s)->tokenizer, o->tokenizer, ds_tokenizer_identity(t));
    RT_TRY(ds_shard_sketch(s, &sketch));
    if (!o->json) {
        show_info(s, sketch);
        return o->doc >= 0 ? data_show_doc(s, o->doc, t, sketch) : RT_OK;
    }
    const rt_status st = info_json(&b, s, sketch);
    if (st == RT_OK) cli_print_json(&b);
    rt_buf_free(&b);
    return st;
}

rt_status data_inspect(const data_options *o, const char *path)
{
    ds_shard     *s;
    ds_tokenizer *t = NULL;
    RT_TRY(ds_shard_open(&s, path));
    rt_status st = o->tokenizer ? ds_tokenizer_load(&t, o->tokenizer) : RT_OK;
    if (st == RT_OK) st = inspect(o, s, t);
    ds_tokenizer_destroy(&t);
    ds_shard_close(&s);
    return st;
}

/* ---- stats ---------------------------------------------------------------------------------- */

enum { BINS = 27 };
typedef struct stats {
    int64_t lengths[BINS]; /* documents of 2^i .. 2^(i+1)-1 tokens */
    int64_t prompt, valid, known;
    double  covered, entropy, ce;
} stats;

static void add_row(stats *a, const ds_doc *d, int64_t i, int64_t k)
{
    const double rest = d->rest_entropy ? (double)d->rest_entropy[i] : (double)NAN;
    for (int64_t j = 0; j < k; j++) {
        const double lp = (double)d->topk_logprob[i * k + j], p = exp(lp);
        if (p > 0) a->entropy -= p * lp;
    }
    if (!isnan(rest)) a->entropy += rest;
    a->covered += 1 - (double)d->rest_mass[i];
    a->valid++;
    if (isnan(d->actual_logprob[i])) return;
    a->ce -= (double)d->actual_logprob[i];
    a->known++;
}

static rt_status gather(ds_shard *s, stats *a)
{
    ds_doc d;
    for (int64_t i = 0; i < ds_shard_docs(s); i++) {
        int bin = 0;
        RT_TRY(ds_shard_doc(s, i, &d));
        while (d.n >> (bin + 1)) bin++;
        a->lengths[bin]++;
        for (int64_t t = 0; t < d.n; t++) a->prompt += d.prompt_mask[t] != 0;
        for (int64_t t = 0; d.valid && t < d.n; t++)
            if (d.valid[t]) add_row(a, &d, t, ds_shard_info(s)->k);
    }
    return RT_OK;
}

static double ratio(double a, double b) { return b > 0 ? a / b : (double)NAN; }

static void show_stats(const ds_shard *s, const stats *a)
{
    const double  n = (double)ds_shard_tokens(s), docs = (double)ds_shard_docs(s), rows = (double)a->valid;
    const int64_t bytes = rt_file_size(ds_shard_path(s));
    cli_print("%s\n  %-20s %.0f\n  %-20s %.0f (%.0f of them prompt, %.1f a document)\n", ds_shard_path(s), "documents", docs, "tokens", n,
              (double)a->prompt, ratio(n, docs));
    printf("  %-20s %lld (%.1f a token)\n", "bytes", (long long)bytes, ratio((double)bytes, n));
    if (ds_shard_info(s)->soft) {
        printf("  %-20s %.0f\n", "rows with a target", rows);
        if (ds_shard_info(s)->k) printf("  %-20s %.4f\n", "mass in the top k", ratio(a->covered, rows));
        printf("  %-20s %.4f nats%s\n", "teacher's entropy", ratio(a->entropy, rows),
               ds_shard_has_entropy(s) ? "" : " (of the top k alone)");
        printf("  %-20s %.4f nats\n", "teacher's CE", ratio(a->ce, (double)a->known));
    }
    for (int i = 0; i < BINS; i++)
        if (a->lengths[i]) printf("  %8d+ tokens     %lld documents\n", 1 << i, (long long)a->lengths[i]);
}

static rt_status stats_json(rt_buf *b, const ds_shard *s, const stats *a)
{
    const double      values[] = {ratio(a->covered, (double)a->valid), ratio(a->entropy, (double)a->valid), ratio(a->ce, (double)a->known),
                                  ratio((double)rt_file_size(ds_shard_path(s)), (double)ds_shard_tokens(s))};
    const char *const keys[]   = {"covered", "entropy", "ce", "bytes_token"};
    const char       *comma    = "";
    RT_TRY(rt_buf_str(b, "{\"path\":"));
    RT_TRY(rt_json_quote(b, ds_shard_path(s), strlen(ds_shard_path(s))));
    RT_TRY(rt_buf_fmt(b, ",\"documents\":%lld,\"tokens\":%lld,\"prompt\":%lld,\"valid\":%lld", (long long)ds_shard_docs(s),
                      (long long)ds_shard_tokens(s), (long long)a->prompt, (long long)a->valid));
    for (int i = 0; i < 4; i++) {
        RT_TRY(rt_buf_fmt(b, ",\"%s\":", keys[i]));
        RT_TRY(rt_json_number(b, values[i], 6));
    }
    RT_TRY(rt_buf_fmt(b, ",\"rest_entropy\":%s,\"lengths\":{", ds_shard_has_entropy(s) ? "true" : "false"));
    for (int i = 0; i < BINS; i++) {
        if (!a->lengths[i]) continue;
        RT_TRY(rt_buf_fmt(b, "%s\"%d\":%lld", comma, 1 << i, (long long)a->lengths[i]));
        comma = ",";
    }
    return rt_buf_str(b, "}}\n");
}

rt_status data_stats(const data_options *o, const char *path)
{
    ds_shard *s;
    stats     a = {{0}, 0, 0, 0, 0, 0, 0};
    rt_buf    b = {0};
    RT_TRY(ds_shard_open(&s, path));
    rt_status st = gather(s, &a);
    if (st == RT_OK && o->json) st = stats_json(&b, s, &a);
    if (st == RT_OK && o->json) cli_print_json(&b);
    if (st == RT_OK && !o->json) show_stats(s, &a);
    rt_buf_free(&b);
    ds_shard_close(&s);
    return st;
}
