/* completions.c -- `retort completions SHELL`: shell completions from the tables of the commands. */
#include "cli/cli.h"
#include "train/train.h"
#include <stdio.h>
#include <string.h>

static rt_status add_names(rt_buf *out)
{
    for (int i = 0; cli_commands[i]; i++) RT_TRY(rt_buf_fmt(out, "%s%s", i ? " " : "", cli_commands[i]->name));
    return RT_OK;
}

static rt_status completions_add_options(rt_buf *out, const rt_command *c)
{
    for (const rt_option *o = c->options; o && o->name; o++)
        if (o->help) RT_TRY(rt_buf_fmt(out, "--%s ", o->name));
    return rt_buf_str(out, "--help");
}

/* Appends the keys of a configuration, each followed by "=". */
static rt_status add_keys(rt_buf *out)
{
    for (int i = 0; tr_config_key(i); i++) RT_TRY(rt_buf_fmt(out, "%s%s=", i ? " " : "", tr_config_key(i)));
    return RT_OK;
}

static int takes_keys(const rt_option *o) { return !strcmp(o->name, "set"); }

/* Appends s, escaped for use inside single quotes of a shell. */
static rt_status add_quoted(rt_buf *out, const char *s)
{
    for (; *s; s++) RT_TRY(*s == '\'' ? rt_buf_str(out, "'\\''") : rt_buf_add(out, s, 1));
    return RT_OK;
}

static rt_status make_bash(rt_buf *out)
{
    RT_TRY(rt_buf_str(out, "# bash completion of retort\n_retort() {\n    local words= commands='"));
    RT_TRY(add_names(out));
    RT_TRY(rt_buf_str(out, "' keys='"));
    RT_TRY(add_keys(out));
    RT_TRY(rt_buf_str(out, "'\n    case \"${COMP_WORDS[1]}\" in\n    help) words=$commands ;;\n"));
    for (int i = 0; cli_commands[i]; i++) {
        if (cli_commands[i] == &cli_help) continue;
        RT_TRY(rt_buf_fmt(out, "    %s) words='", cli_commands[i]->name));
        RT_TRY(completions_add_options(out, cli_commands[i]));
        RT_TRY(rt_buf_str(out, "' ;;\n"));
    }
    return rt_buf_str(out, "    esac\n    [ \"$COMP_CWORD\" != 1 ] || words=\"$commands --help --version\"\n"
                           "    local at=$COMP_CWORD word=${COMP_WORDS[COMP_CWORD]}\n"
                           "    while [ \"$at\" -gt 1 ] && [[ ${COMP_WORDS[at - 1]} != --* ]]; do at=$((at - 1)); done\n"
                           "    if [[ ${COMP_WORDS[at - 1]} == --set && $word != -* ]]; then\n"
                           "        [[ $word != *=* && ${COMP_WORDS[COMP_CWORD - 1]} != = ]] || return 0 # a value: a file\n"
                           "        words=$keys\n"
                           "        compopt -o nospace 2>/dev/null\n"
                           "    fi\n"
                           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n}\n"
                           "complete -o default -o bashdefault -F _retort retort\n");
}

static rt_status make_zsh(rt_buf *out)
{
    RT_TRY(rt_buf_str(out, "#compdef retort\n_retort() {\n    local -a commands=(\n"));
    for (int i = 0; cli_commands[i]; i++) {
        RT_TRY(rt_buf_fmt(out, "        '%s:", cli_commands[i]->name));
        RT_TRY(add_quoted(out, cli_commands[i]->summary));
        RT_TRY(rt_buf_str(out, "'\n"));
    }
    RT_TRY(rt_buf_str(out, "    )\n    local -a keys=("));
    RT_TRY(add_keys(out));
    RT_TRY(rt_buf_str(out, ")\n    local -i at=CURRENT\n"
                           "    if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
                           "    while (( at > 2 )) && [[ $words[at-1] != --* ]]; do (( at-- )); done\n"
                           "    if [[ $words[at-1] == --set && $words[CURRENT] != -* ]]; then\n"
                           "        [[ $words[CURRENT] == *=* ]] && { compset -P '*='; _files; return; }\n"
                           "        compadd -S '' -a keys\n"
                           "        return\n"
                           "    fi\n"
                           "    case $words[2] in\n"));
    for (int i = 0; cli_commands[i]; i++) {
        RT_TRY(rt_buf_fmt(out, "    %s) compadd -- ", cli_commands[i]->name));
        RT_TRY(completions_add_options(out, cli_commands[i]));
        RT_TRY(rt_buf_str(out, " ;;\n"));
    }
    return rt_buf_str(out, "    esac\n    _files\n}\n_retort \"$@\"\n");
}

static rt_status make_fish(rt_buf *out)
{
    RT_TRY(rt_buf_str(out, "# fish completion of retort\n"));
    for (int i = 0; cli_commands[i]; i++) {
        const rt_command *c = cli_commands[i];
        RT_TRY(rt_buf_fmt(out, "complete -c retort -n __fish_use_subcommand -f -a %s -d '", c->name));
        RT_TRY(add_quoted(out, c->summary));
        RT_TRY(rt_buf_str(out, "'\n"));
        for (const rt_option *o = c->options; o && o->name; o++) {
            if (!o->help) continue;
            RT_TRY(
                rt_buf_fmt(out, "complete -c retort -n '__fish_seen_subcommand_from %s' -l %s%s", c->name, o->name, o->arg ? " -r" : ""));
            if (takes_keys(o)) {
                RT_TRY(rt_buf_str(out, " -f -a '"));
                RT_TRY(add_keys(out));
                RT_TRY(rt_buf_str(out, "'"));
            }
            RT_TRY(rt_buf_str(out, " -d '"));
            RT_TRY(add_quoted(out, o->help));
            RT_TRY(rt_buf_str(out, "'\n"));
        }
    }
    return RT_OK;
}

static const struct shell {
    const char *name;
    rt_status (*make)(rt_buf *out);
} shells[] = {{"bash", make_bash}, {"zsh", make_zsh}, {"fish", make_fish}};

static rt_status completions_run(const void *options, int argc, char **argv)
{
    (void)options;
    rt_buf b = {0};
    RT_CHECK(argc == 1, RT_EINVAL, "completions takes one shell, bash, zsh or fish; found %d words", argc);
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(argv[0], shells[i].name)) continue;
        const rt_status st = shells[i].make(&b);
        if (st == RT_OK) fputs(b.p, stdout);
        rt_buf_free(&b);
        return st;
    }
    RT_FAIL(RT_EINVAL, "completions exist for bash, zsh and fish, not for '%s'", argv[0]);
}

const rt_command cli_completions = {
    .name    = "completions",
    .usage   = "bash|zsh|fish",
    .summary = "print a shell completion script",
    .text    = "Writes a completion script for the shell to standard output. An installed retort has its\n"
               "scripts in place. To try one without installing:\n\n"
               "  source <(retort completions bash)",
    .run     = completions_run,
};
