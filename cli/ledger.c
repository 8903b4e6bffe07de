/* ledger.c -- retort ledger stats|prune: the size of a teacher's stored responses, and reducing it. */
#include "cli/cli.h"
#include "cli/collect.h"
#include "core/file.h"
#include "core/json.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct options {
    const char *shard;
    int         json;
} options;

static rt_status print_json(const char *path, const tc_ledger_stats *s)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "ledger", path);
    rt_put_int(&w, "done", s->done);
    rt_put_int(&w, "in_shard", s->in_shard);
    rt_put_int(&w, "bad", s->bad);
    rt_put_int(&w, "failed", s->failed);
    cli_put_tally(&w, "reasons", &s->reasons);
    rt_put_int(&w, "bytes", s->file);
    rt_put_int(&w, "bytes_answered", s->responses);
    rt_put_int(&w, "bytes_kept", s->kept);
    rt_put_int(&w, "prompt_tokens", s->prompt_tokens);
    rt_put_int(&w, "completion_tokens", s->completion_tokens);
    rt_put_fixed(&w, "cost", s->cost, 6);
    rt_put_fixed(&w, "seconds", s->seconds, 3);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status as_text(rt_buf *b, const char *path, const tc_ledger_stats *s)
{
    const int64_t held = s->done + s->in_shard;
    RT_TRY(rt_buf_fmt(b, "%s: %.1f MB\n  %-12s %lld requests; the answers to %lld of them were removed, a shard holds them\n", path,
                      (double)s->file * 1e-6, "answered", (long long)held, (long long)s->in_shard));
    RT_TRY(rt_buf_fmt(b, "  %-12s %.1f MB, kept in %.1f MB\n", "answers", (double)s->responses * 1e-6, (double)s->kept * 1e-6));
    RT_TRY(rt_buf_fmt(b, "  %-12s %lld prompt, %lld generated, as the server counted them\n", "tokens", (long long)s->prompt_tokens,
                      (long long)s->completion_tokens));
    if (s->cost > 0) RT_TRY(rt_buf_fmt(b, "  %-12s %.4f\n", "cost", s->cost));
    if (!s->bad && !s->failed) return RT_OK;
    RT_TRY(rt_buf_fmt(b, "  %-12s %lld without an answer, %lld with a bad one\n", "failed", (long long)s->failed, (long long)s->bad));
    for (int i = 0; i < s->reasons.used; i++) RT_TRY(rt_buf_fmt(b, "  %12lld %s\n", (long long)s->reasons.n[i], s->reasons.name[i]));
    return RT_OK;
}

static rt_status show(const options *o, const char *path)
{
    tc_ledger_stats s;
    rt_buf          b = {0};
    RT_TRY(tc_ledger_look(path, &s));
    if (o->json) return print_json(path, &s);
    const rt_status st = as_text(&b, path, &s);
    if (st == RT_OK) cli_print_text(&b);
    rt_buf_free(&b);
    return st;
}

static rt_status prune(const options *o, const char *path)
{
    const int64_t before = rt_file_size(path);
    RT_TRY(tc_ledger_prune(path, o->shard));
    const int64_t after = rt_file_size(path);
    if (o->json) return show(o, path);
    cli_print("%s: %.1f MB instead of %.1f MB\n", path, (double)after * 1e-6, (double)before * 1e-6);
    return RT_OK;
}

static rt_status run(const void *opt, int argc, char **argv)
{
    static const char *const names[] = {"stats", "prune"};
    const options           *o       = opt;
    RT_CHECK(argc == 2, RT_EINVAL, "ledger takes a word and a ledger: 'retort ledger stats OUT.h5.ledger' or 'prune' (found %d words)",
             argc);
    if (!strcmp(argv[0], "prune")) return prune(o, argv[1]);
    RT_CHECK(!strcmp(argv[0], "stats"), RT_EINVAL, "ledger does not know '%s'; the nearest is '%s' (see 'retort ledger --help')", argv[0],
             rt_nearest(argv[0], names, 2));
    RT_CHECK(!o->shard, RT_EINVAL, "--shard is for 'retort ledger prune'");
    return show(o, argv[1]);
}

static const rt_option table[] = {
    {"shard", RT_OPT_TEXT, offsetof(options, shard), "FILE", "prune: remove the answers that this shard, once verified, holds"},
    {"json", RT_OPT_FLAG, offsetof(options, json), NULL, "print one JSON object"},
    {0},
};

const rt_command cli_ledger = {
    .name    = "ledger",
    .usage   = "stats LEDGER | prune LEDGER [--shard OUT.h5]",
    .summary = "what the kept answers of a teacher take, and making them smaller",
    .text    = "stats counts the requests of a ledger (score and textbook write it beside their shard), their\n"
               "tokens, cost and bytes, and why some failed.  prune removes bad answers, compresses those\n"
               "that an older version kept as they came and, with --shard, removes the answers to the\n"
               "requests that the shard holds: it is verified first.  What was pruned is asked for again only\n"
               "where the shard is gone.\n\n"
               "  retort ledger stats soft.h5.ledger\n"
               "  retort ledger prune soft.h5.ledger --shard soft.h5",
    .options = table,
    .size    = sizeof(options),
    .run     = run,
};
