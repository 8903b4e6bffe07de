/* cli.h -- the list of commands.  One file per command: cli/NAME.c defines
 * `const rt_command cli_NAME`; the list below makes the dispatcher, the man page
 * and the completions.  A command with sub-commands looks at argv[0] itself. */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "core/json_write.h"
#include "core/options.h"

/* One command a line, by alphabet. */
#define CLI_COMMANDS(X) \
    X(bench)            \
    X(completions)      \
    X(data)             \
    X(doctor)           \
    X(eval)             \
    X(generate)         \
    X(help)             \
    X(ledger)           \
    X(man)              \
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

extern const rt_command *const cli_commands[];                                     /* ends with NULL */
rt_status                      cli_find(const rt_command **out, const char *name); /* RT_EINVAL names the nearest */

/* The page that `retort --help` shows. */
rt_status cli_overview(rt_buf *out);
/* "retort 0.1.0". */
const char *cli_program(void);
/* The same with the commit. */
const char *cli_build(void);
/* What `retort --version` shows: "NAME VERSION" lines of program, commit, kernel and libraries. */
rt_status cli_versions(rt_buf *out);

/* Results on standard output, where names and texts of others must not command a terminal (print.c).  Of text, control characters and
 * bytes that are no UTF-8 become '?'; JSON loses nothing: the control characters that rt_json_quote leaves become escapes. */
void cli_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_print_text(rt_buf *b);
void cli_print_json(const rt_buf *b);
/* What w has written, as a line of JSON; its buffer is freed, and its status is the result. */
rt_status cli_print_line(rt_json_writer *w);
#endif
