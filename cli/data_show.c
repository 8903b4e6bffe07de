/* data_show.c -- retort data inspect|stats: the contents of a shard as text and as JSON. */
#include "cli/cli.h"
#include "cli/data.h"
#include "core/file.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- inspect: attributes ---------------------------------------------------------------- */

static void show_info(const ds_shard *s, const ds_codec *codec)
{
    const ds_info *i     = ds_shard_info(s);
    const int64_t  bytes = rt_file_size(ds_shard_path(s)), n = ds_shard_tokens(s);
    const time_t   when = (time_t)i->time;
    struct tm      tm;
    char           date[32] = "unknown";
    if (gmtime_r(&when, &tm)) strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &tm);
    cli_print("%s: a %s shard\n", ds_shard_path(s), i->soft ? "soft" : "text");
    printf("  %-12s %lld\n  %-12s %lld\n", "documents", (long long)ds_shard_docs(s), "tokens", (long long)n);
    printf("  %-12s %lld (%.1f per token)\n", "bytes", (long long)bytes, n ? (double)bytes / (double)n : 0.0);
    printf("  %-12s %lld\n", "vocabulary", (long long)i->vocab);
    if (i->k)
        printf("  %-12s top %lld, %lld tail samples, entropy of the tail %s\n", "targets", (long long)i->k, (long long)i->m,
               ds_shard_has_entropy(s) ? "known" : "unknown");
    else if (i->m) printf("  %-12s %lld samples from the whole distribution\n", "targets", (long long)i->m);
    if (codec) {
        printf("  %-12s %lld bytes per row, %lld coordinates", "codec", (long long)i->codec_bytes, (long long)i->rank);
        if (isnan(codec->loss)) puts("");
        else printf("; loss %.4f nats per token\n", codec->loss);
    }
    if (ds_shard_has_weight(s)) printf("  %-12s one per row\n", "weights");
    cli_print_field("tokenizer", i->tokenizer);
    cli_print_field("teacher", i->teacher);
    cli_print_field("endpoint", i->endpoint);
    cli_print_field("dialect", i->dialect);
    cli_print_field("dtype", i->dtype);
    cli_print_field("gemm", i->gemm);
    cli_print_field("sampling", i->sampling);
    cli_print_field("probe", i->probe);
    cli_print_field("prices", i->prices);
    cli_print_field("program", i->program);
    cli_print_field("written", date);
}

static rt_status print_info(const ds_shard *s, const ds_codec *codec)
{
    const ds_info *i = ds_shard_info(s);
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "path", ds_shard_path(s));
    rt_put_text(&w, "kind", i->soft ? "soft" : "text");
    rt_put_int(&w, "documents", ds_shard_docs(s));
    rt_put_int(&w, "tokens", ds_shard_tokens(s));
    rt_put_int(&w, "bytes", rt_file_size(ds_shard_path(s)));
    rt_put_int(&w, "vocab_size", i->vocab);
    rt_put_int(&w, "k", i->k);
    rt_put_int(&w, "m", i->m);
    rt_put_int(&w, "sketch", i->codec_bytes);
    rt_put_bool(&w, "rest_entropy", ds_shard_has_entropy(s));
    rt_put_bool(&w, "weight", ds_shard_has_weight(s));
    if (codec) rt_put_int(&w, "coordinates", codec->r);
    if (codec && !isnan(codec->loss)) rt_put_fixed(&w, "sketch_loss", codec->loss, 6);
    rt_put_text(&w, "tokenizer_sha256", i->tokenizer);
    rt_put_text(&w, "teacher", i->teacher);
    rt_put_text(&w, "endpoint", i->endpoint);
    rt_put_text(&w, "dialect", i->dialect);
    rt_put_text(&w, "dtype", i->dtype);
    rt_put_text(&w, "gemm", i->gemm);
    rt_put_text(&w, "sampling", i->sampling);
    rt_put_text(&w, "program", i->program);
    rt_put_int(&w, "time", i->time);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status inspect(const data_options *o, ds_shard *s, const ds_tokenizer *t)
{
    const ds_codec *codec;
    RT_CHECK(!t || ds_tokenizer_is(t, ds_shard_info(s)->tokenizer), RT_EMISMATCH,
             "%s was made with the tokenizer %.12s..., but %s has the tokenizer %.12s...; pass the one that it was made with",
             ds_shard_path(s), ds_shard_info(s)->tokenizer, o->tokenizer, ds_tokenizer_identity(t));
    RT_TRY(ds_shard_codec(s, &codec));
    if (o->json) return print_info(s, codec);
    show_info(s, codec);
    return o->doc >= 0 ? data_show_doc(s, o->doc, t, codec) : RT_OK;
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

static void data_show_add_row(stats *a, const ds_doc *d, int64_t i, int64_t k)
{
    const double tail = d->rows.tail_entropy ? (double)d->rows.tail_entropy[i] : (double)NAN;
    for (int64_t j = 0; j < k; j++) {
        const double lp = (double)d->rows.topk_logprob[i * k + j], p = exp(lp);
        if (p > 0) a->entropy -= p * lp;
    }
    if (!isnan(tail)) a->entropy += tail;
    a->covered += 1 - (double)d->rows.tail_mass[i];
    a->valid++;
    if (isnan(d->rows.actual_logprob[i])) return;
    a->ce -= (double)d->rows.actual_logprob[i];
    a->known++;
}

static rt_status data_show_gather(ds_shard *s, stats *a)
{
    ds_doc d;
    for (int64_t i = 0; i < ds_shard_docs(s); i++) {
        int bin = 0;
        RT_TRY(ds_shard_doc(s, i, &d));
        while (d.n >> (bin + 1)) bin++;
        a->lengths[bin]++;
        for (int64_t t = 0; t < d.n; t++) a->prompt += d.prompt_mask[t] != 0;
        for (int64_t t = 0; d.rows.valid && t < d.n; t++)
            if (d.rows.valid[t]) data_show_add_row(a, &d, t, ds_shard_info(s)->k);
    }
    return RT_OK;
}

static double data_show_ratio(double a, double b) { return b > 0 ? a / b : (double)NAN; }

static void show_stats(const ds_shard *s, const stats *a)
{
    const double  n = (double)ds_shard_tokens(s), docs = (double)ds_shard_docs(s), rows = (double)a->valid;
    const int64_t bytes = rt_file_size(ds_shard_path(s));
    cli_print("%s\n  %-20s %.0f\n  %-20s %.0f (%.0f of them prompt, %.1f per document)\n", ds_shard_path(s), "documents", docs, "tokens", n,
              (double)a->prompt, data_show_ratio(n, docs));
    printf("  %-20s %lld (%.1f per token)\n", "bytes", (long long)bytes, data_show_ratio((double)bytes, n));
    if (ds_shard_info(s)->soft) {
        printf("  %-20s %.0f\n", "rows with a target", rows);
        if (ds_shard_info(s)->k) printf("  %-20s %.4f\n", "mass in the top k", data_show_ratio(a->covered, rows));
        printf("  %-20s %.4f nats%s\n", "teacher's entropy", data_show_ratio(a->entropy, rows),
               ds_shard_has_entropy(s) ? "" : " (of the top k only)");
        printf("  %-20s %.4f nats\n", "teacher's CE", data_show_ratio(a->ce, (double)a->known));
    }
    for (int i = 0; i < BINS; i++)
        if (a->lengths[i]) printf("  %8d+ tokens     %lld documents\n", 1 << i, (long long)a->lengths[i]);
}

static rt_status print_stats(const ds_shard *s, const stats *a)
{
    const double   rows = (double)a->valid, tokens = (double)ds_shard_tokens(s);
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    char           key[16];
    rt_put_object(&w, NULL);
    rt_put_text(&w, "path", ds_shard_path(s));
    rt_put_int(&w, "documents", ds_shard_docs(s));
    rt_put_int(&w, "tokens", ds_shard_tokens(s));
    rt_put_int(&w, "prompt", a->prompt);
    rt_put_int(&w, "valid", a->valid);
    rt_put_real(&w, "covered", data_show_ratio(a->covered, rows), 6);
    rt_put_real(&w, "entropy", data_show_ratio(a->entropy, rows), 6);
    rt_put_real(&w, "ce", data_show_ratio(a->ce, (double)a->known), 6);
    rt_put_real(&w, "bytes_token", data_show_ratio((double)rt_file_size(ds_shard_path(s)), tokens), 6);
    rt_put_bool(&w, "rest_entropy", ds_shard_has_entropy(s));
    rt_put_object(&w, "lengths");
    for (int i = 0; i < BINS; i++) {
        snprintf(key, sizeof key, "%d", 1 << i);
        if (a->lengths[i]) rt_put_int(&w, key, a->lengths[i]);
    }
    rt_put_end(&w);
    rt_put_end(&w);
    return cli_print_line(&w);
}

rt_status data_stats(const data_options *o, const char *path)
{
    ds_shard *s;
    stats     a = {{0}, 0, 0, 0, 0, 0, 0};
    RT_TRY(ds_shard_open(&s, path));
    rt_status st = data_show_gather(s, &a);
    if (st == RT_OK && o->json) st = print_stats(s, &a);
    else if (st == RT_OK) show_stats(s, &a);
    ds_shard_close(&s);
    return st;
}
