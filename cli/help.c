/* help.c -- the overview, and `retort help COMMAND`. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

/* Groups in the order of a distillation's stages; a command in no group is listed last. */
static const struct group {
    const char *title, *names[8];
} groups[] = {
    {"text and tokens", {"tokenizer", "data"}},
    {"the teacher", {"serve", "textbook", "score"}},
    {"the student", {"init", "train", "plan", "report"}},
    {"evaluation and use", {"eval", "quantize", "generate", "chat", "import", "export", "model"}},
    {"this machine", {"doctor", "bench"}},
};
enum { GROUPS = sizeof groups / sizeof *groups };

static const char head[] = "retort distils a large language model into a small one, on CPUs.\n"
                           "\n"
                           "A teacher reads or writes text and returns, for every token, the probabilities of the\n"
                           "most likely next tokens. retort stores both in shards. A small student is then trained\n"
                           "on the teacher's probabilities, which carry more information than the text alone, on\n"
                           "one machine or on several under mpirun. The same program evaluates, quantises, runs and\n"
                           "serves the student.\n"
                           "\n"
                           "usage: retort COMMAND [options]      retort COMMAND --help      retort --version\n";

static const char foot[] = "\na distillation in five commands:\n"
                           "  retort serve TEACHER --port 8000 &                     # a model folder in Hugging Face layout\n"
                           "  retort data import my.txt --tokenizer TEACHER --split train=0.95,valid=0.05 --out my.h5\n"
                           "  retort score --teacher http://127.0.0.1:8000 --shards my-train.h5 --out soft.h5\n"
                           "  mpirun -n 2 retort train student.json --set data.train=soft.h5 model.tokenizer=TEACHER\n"
                           "  retort eval out/latest --shards my-valid.h5 --teacher TEACHER\n"
                           "\n"
                           "Exit codes: 0 success, 1 a check failed, 2 wrong usage or input, 3 a server or file system\n"
                           "failed, 4 not enough resources, 130 interrupted after writing a checkpoint.\n";

static const rt_command *in_group(const struct group *g, int i)
{
    for (int j = 0; cli_commands[j]; j++)
        if (!strcmp(cli_commands[j]->name, g->names[i])) return cli_commands[j];
    return NULL;
}

static int grouped(const rt_command *c)
{
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; groups[g].names[i]; i++)
            if (!strcmp(groups[g].names[i], c->name)) return 1;
    return 0;
}

static rt_status help_add_line(rt_buf *out, const rt_command *c, const char *title, int first)
{
    if (first) RT_TRY(rt_buf_fmt(out, "\n%s:\n", title));
    return rt_buf_fmt(out, "  %-12s %s\n", c->name, c->summary);
}

rt_status cli_overview(rt_buf *out)
{
    RT_TRY(rt_buf_str(out, head));
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0, first = 1; groups[g].names[i]; i++) {
            const rt_command *c = in_group(&groups[g], i);
            if (!c) continue;
            RT_TRY(help_add_line(out, c, groups[g].title, first));
            first = 0;
        }
    for (int i = 0, first = 1; cli_commands[i]; i++) {
        if (grouped(cli_commands[i])) continue;
        RT_TRY(help_add_line(out, cli_commands[i], "more", first));
        first = 0;
    }
    return rt_buf_str(out, foot);
}

static rt_status help_run(const void *options, int argc, char **argv)
{
    (void)options;
    const rt_command *c = NULL;
    rt_buf            b = {0};
    RT_CHECK(argc <= 1, RT_EINVAL, "help takes one command, found %d arguments (see 'retort --help')", argc);
    if (argc) RT_TRY(cli_find(&c, argv[0]));
    const rt_status st = c ? rt_options_help(&b, "retort", c) : cli_overview(&b);
    if (st == RT_OK) fputs(b.p, stdout);
    rt_buf_free(&b);
    return st;
}

const rt_command cli_help = {
    .name    = "help",
    .usage   = "[COMMAND]",
    .summary = "explain a command, or list all commands",
    .text    = "Prints the text of 'retort COMMAND --help'; without COMMAND, the list of commands.",
    .run     = help_run,
};
