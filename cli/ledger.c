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

static rt_status ledger_print_json(const char *path, const tc_ledger_stats *s)
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

static rt_status ledger_as_text(rt_buf *b, const char *path, const tc_ledger_stats *s)
{
    const int64_t held = s->done + s->in_shard;
    RT_TRY(rt_buf_fmt(b, "%s: %.1f MB\n  %-12s %lld requests; the responses to %lld of them were removed because a shard holds them\n",
                      path, (double)s->file * 1e-6, "answered", (long long)held, (long long)s->in_shard));
    RT_TRY(rt_buf_fmt(b, "  %-12s %.1f MB, stored in %.1f MB\n", "responses", (double)s->responses * 1e-6, (double)s->kept * 1e-6));
    RT_TRY(rt_buf_fmt(b, "  %-12s %lld prompt, %lld generated, as counted by the server\n", "tokens", (long long)s->prompt_tokens,
                      (long long)s->completion_tokens));
    if (s->cost > 0) RT_TRY(rt_buf_fmt(b, "  %-12s %.4f\n", "cost", s->cost));
    if (!s->bad && !s->failed) return RT_OK;
    RT_TRY(rt_buf_fmt(b, "  %-12s %lld without a response, %lld with a bad one\n", "failed", (long long)s->failed, (long long)s->bad));
    for (int i = 0; i < s->reasons.used; i++) RT_TRY(rt_buf_fmt(b, "  %12lld %s\n", (long long)s->reasons.n[i], s->reasons.name[i]));
    return RT_OK;
}

static rt_status ledger_show(const options *o, const char *path)
{
    tc_ledger_stats s;
    rt_buf          b = {0};
    RT_TRY(tc_ledger_look(path, &s));
    if (o->json) return ledger_print_json(path, &s);
    const rt_status st = ledger_as_text(&b, path, &s);
    if (st == RT_OK) cli_print_text(&b);
    rt_buf_free(&b);
    return st;
}

static rt_status ledger_prune(const options *o, const char *path)
{
    const int64_t before = rt_file_size(path);
    RT_TRY(tc_ledger_prune(path, o->shard));
    const int64_t after = rt_file_size(path);
    if (o->json) return ledger_show(o, path);
    cli_print("%s: %.1f MB, before %.1f MB\n", path, (double)after * 1e-6, (double)before * 1e-6);
    return RT_OK;
}

static rt_status ledger_run(const void *opt, int argc, char **argv)
{
    static const char *const names[] = {"stats", "prune"};
    const options           *o       = opt;
    RT_CHECK(argc == 2, RT_EINVAL,
             "ledger takes stats or prune and a ledger file, as in 'retort ledger stats OUT.h5.ledger'; found %d arguments", argc);
    if (!strcmp(argv[0], "prune")) return ledger_prune(o, argv[1]);
    RT_CHECK(!strcmp(argv[0], "stats"), RT_EINVAL, "ledger has no sub-command '%s'; the nearest is '%s' (see 'retort ledger --help')",
             argv[0], rt_nearest(argv[0], names, 2));
    RT_CHECK(!o->shard, RT_EINVAL, "--shard belongs to 'retort ledger prune'");
    return ledger_show(o, argv[1]);
}

static const rt_option table[] = {
    {"shard", RT_OPT_TEXT, offsetof(options, shard), "FILE", "prune: verify this shard, then remove the responses that it holds"},
    {"json", RT_OPT_FLAG, offsetof(options, json), NULL, "print one JSON object"},
    {0},
};

const rt_command cli_ledger = {
    .name    = "ledger",
    .usage   = "stats LEDGER | prune LEDGER [--shard OUT.h5]",
    .summary = "show the size of a ledger of stored teacher responses, and shrink it",
    .text    = "score and textbook store every response of a server in a ledger beside their shard.\n\n"
               "stats       counts the requests of a ledger, their tokens, cost and bytes, and the reasons of\n"
               "            failed requests.\n"
               "prune       removes bad responses and compresses those that an older version stored uncompressed.\n"
               "            With --shard it first verifies the shard and then removes the responses that the shard\n"
               "            holds. They are requested again only if the shard is deleted.\n\n"
               "  retort ledger stats soft.h5.ledger\n"
               "  retort ledger prune soft.h5.ledger --shard soft.h5",
    .options = table,
    .size    = sizeof(options),
    .run     = ledger_run,
};
