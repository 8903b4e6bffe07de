/* ledger.c -- retort ledger stats|prune: what the answers of a teacher take, and making them smaller. */
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

static rt_status as_json(rt_buf *b, const char *path, const tc_ledger_stats *s)
{
    RT_TRY(rt_buf_str(b, "{\"ledger\":"));
    RT_TRY(rt_json_quote(b, path, strlen(path)));
    RT_TRY(rt_buf_fmt(b, ",\"done\":%lld,\"in_shard\":%lld,\"bad\":%lld,\"failed\":%lld", (long long)s->done, (long long)s->in_shard,
                      (long long)s->bad, (long long)s->failed));
    RT_TRY(cli_tally_json(b, "reasons", &s->reasons));
    RT_TRY(rt_buf_fmt(b, ",\"bytes\":%lld,\"bytes_answered\":%lld,\"bytes_kept\":%lld,\"prompt_tokens\":%lld,\"completion_tokens\":%lld",
                      (long long)s->file, (long long)s->responses, (long long)s->kept, (long long)s->prompt_tokens,
                      (long long)s->completion_tokens));
    return rt_buf_fmt(b, ",\"cost\":%.6f,\"seconds\":%.3f}\n", s->cost, s->seconds);
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
    const rt_status st = o->json ? as_json(&b, path, &s) : as_text(&b, path, &s);
    if (st == RT_OK && o->json) cli_print_json(&b);
    else if (st == RT_OK) cli_print_text(&b);
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
