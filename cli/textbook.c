/* textbook.c -- retort textbook: text that the teacher writes. */
#include "cli/collect.h"
#include <stddef.h>

typedef struct options {
    cli_collect         collect;
    tc_textbook_options t;
} options;

static const rt_option table[] = {
    CLI_COLLECT_OPTIONS(options, collect),
    {"model", RT_OPT_TEXT, offsetof(options, collect.model), "NAME", CLI_COLLECT_MODEL},
    {"count", RT_OPT_INT, offsetof(options, t.count), "N", "texts to ask for"},
    {"min-tokens", RT_OPT_INT, offsetof(options, t.min_tokens), "N", "drop texts with fewer generated tokens (default 8)"},
    {"max-tokens", RT_OPT_INT, offsetof(options, t.max_tokens), "N", "most tokens of a text (default: the recipe's)"},
    {"finish", RT_OPT_LIST, offsetof(options, t.finish), "WORD...",
     "finish reasons of the texts to keep, none: not told (default: stop, length and other servers' words for them)"},
    {"text-only", RT_OPT_FLAG, offsetof(options, t.text_only), NULL, "write a text shard without probabilities (chat recipes need it)"},
    {0}};

static rt_status run(const void *opt, int argc, char **argv)
{
    const options      *o = opt;
    rt_progress         p;
    tc_options          t;
    tc_report           r = {0};
    tc_textbook_options b = o->t;
    RT_CHECK(argc == 1, RT_EINVAL, "textbook takes one recipe, found %d (see configs/recipes)", argc);
    b.recipe = argv[0];
    RT_TRY(cli_collect_begin(&o->collect, &t, &p));
    RT_TRY(tc_textbook(&t, &b, &r));
    return cli_collect_end(&o->collect, "textbook", &r);
}

static const options defaults = {.collect = CLI_COLLECT_DEFAULTS, .t = {.min_tokens = 8}};

const rt_command cli_textbook = {
    .name     = "textbook",
    .usage    = "RECIPE.json --teacher URL --tokenizer DIR --out OUT.h5 --count N [options]",
    .summary  = "let a teacher write text, with its token probabilities",
    .text     = "Asks the server at URL to write about the recipe's topics, for its audiences, in its\n"
                "styles, and keeps the text with the probabilities of its tokens. Duplicates and\n"
                "very short texts are dropped, and texts that were broken off, filtered or ended without a\n"
                "reason are kept out (--finish). Every answer is in the ledger before it counts: the\n"
                "same command, run again, asks only for what is missing.\n\n"
                "  retort textbook @share/configs/recipes/glossary.json --teacher http://127.0.0.1:8000 \\\n"
                "      --tokenizer @share/teacher --count 1000 --out glossary.h5",
    .options  = table,
    .size     = sizeof(options),
    .defaults = &defaults,
    .run      = run,
};
