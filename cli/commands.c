/* commands.c -- the table of commands. */
#include "cli/cli.h"
#include "core/json.h"
#include <string.h>

const rt_command *const cli_commands[] = {
#define X(name) &cli_##name,
    CLI_COMMANDS(X)
#undef X
        NULL};

rt_status cli_find(const rt_command **out, const char *name)
{
    const char *names[sizeof cli_commands / sizeof *cli_commands];
    int         n = 0;
    for (int i = 0; cli_commands[i]; i++) {
        names[n++] = cli_commands[i]->name;
        if (strcmp(cli_commands[i]->name, name)) continue;
        *out = cli_commands[i];
        return RT_OK;
    }
    RT_FAIL(RT_EINVAL, "there is no command '%s'; the nearest is '%s' (see 'retort --help')", name, rt_nearest(name, names, n));
}
