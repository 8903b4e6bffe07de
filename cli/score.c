/* score.c -- retort score: the teacher's probabilities of given text. */
#include "cli/collect.h"
#include <stddef.h>

typedef struct options {
    cli_collect collect;
    rt_texts    shards;
} options;

static const rt_option table[] = {CLI_COLLECT_OPTIONS(options, collect),
                                  {"shards", RT_OPT_LIST, offsetof(options, shards), "SHARD...", "text shards to score, in this order"},
                                  {0}};

static rt_status run(const void *opt, int argc, char **argv)
{
    const options *o = opt;
    rt_progress    p;
    tc_options     t;
    tc_report      r = {0};
    RT_CHECK(argc == 0, RT_EINVAL, "score takes no word like '%s'; name shards with --shards", argv[0]);
    RT_TRY(cli_collect_begin(&o->collect, &t, &p));
    RT_TRY(tc_score(&t, &o->shards, &r));
    return cli_collect_end(&o->collect, "score", &r);
}

static const options defaults = {.collect = CLI_COLLECT_DEFAULTS};

const rt_command cli_score = {
    .name     = "score",
    .usage    = "--teacher URL --shards SHARD... --out OUT.h5 [options]",
    .summary  = "collect a teacher's token probabilities for given text",
    .text     = "Asks the server at URL for its probabilities of every token of the shards: the k most\n"
                "likely, the token that stands there, and, where the teacher can, m samples of the\n"
                "rest. Every answer is in the ledger before it counts: after Ctrl-C, a crash or a\n"
                "failure of the server, the same command asks only for what is missing and ends\n"
                "with the same shard.\n\n"
                "  retort serve MODEL --port 8000 &\n"
                "  retort score --teacher http://127.0.0.1:8000 --shards train.h5 --out soft.h5",
    .options  = table,
    .size     = sizeof(options),
    .defaults = &defaults,
    .run      = run,
};
