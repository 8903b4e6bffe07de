/* cli.h -- the list of commands.  One file per command: cli/NAME.c defines
 * `const rt_command cli_NAME`; the list below makes the dispatcher, the man page
 * and the completions.  A command with sub-commands looks at argv[0] itself. */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "core/options.h"

#define CLI_COMMANDS(X)

#define X(name) extern const rt_command cli_##name;
CLI_COMMANDS(X)
#undef X
#endif
