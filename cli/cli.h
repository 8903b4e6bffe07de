/* cli.h -- the list of commands.  One file per command: cli/NAME.c defines
 * `const rt_command cli_NAME`; the dispatcher, the man page and the completions
 * are derived from the list below.  A command with sub-commands interprets argv[0] itself. */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "core/json_write.h"
#include "core/options.h"

/* One command per line, in alphabetical order. */
#define CLI_COMMANDS(X) \
    X(bench)            \
    X(completions)      \
    X(data)             \
    X(doctor)           \
    X(eval)             \
    X(export)           \
    X(generate)         \
    X(help)             \
    X(import)           \
    X(init)             \
    X(ledger)           \
    X(man)              \
    X(model)            \
    X(plan)             \
    X(quantize)         \
    X(report)           \
    X(score)            \
    X(serve)            \
    X(textbook)         \
    X(tokenizer)        \
    X(train)            \
    /* end of the list */

#define X(name) extern const rt_command cli_##name;
CLI_COMMANDS(X)
#undef X

extern const rt_command *const cli_commands[];                                     /* NULL-terminated */
rt_status                      cli_find(const rt_command **out, const char *name); /* RT_EINVAL: unknown; the message names the nearest */

/* Appends the page that `retort --help` shows. */
rt_status cli_overview(rt_buf *out);
/* Returns the program's name and version, such as "retort 0.2.0". */
const char *cli_program(void);
/* Returns the same followed by the commit. */
const char *cli_build(void);
/* Appends the output of `retort --version`: "NAME VERSION" lines of program, commit, kernel and libraries. */
rt_status cli_versions(rt_buf *out);

/* Print results on standard output without sending control sequences of foreign names and texts to a terminal (print.c).  In
 * text, control characters and bytes that are not UTF-8 become '?'.  In JSON, the control characters that rt_json_quote leaves
 * become escapes, so that no information is lost. */
void cli_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_print_text(rt_buf *b);
void cli_print_field(const char *name, const char *text); /* an indented line of a list; none if the text is empty */
void cli_print_json(const rt_buf *b);
/* Prints the output of w as a line of JSON, frees its buffer and returns its status. */
rt_status cli_print_line(rt_json_writer *w);
#endif
