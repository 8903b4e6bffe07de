/* options.h -- tables that describe commands and their options.
 *
 * A command is one const struct with its options, texts and function.  Parsing,
 * --help, the man page and the shell completions read the same table.
 */
#ifndef RT_CORE_OPTIONS_H
#define RT_CORE_OPTIONS_H
#include "core/memory.h"

typedef enum rt_opt_kind {
    RT_OPT_FLAG, /* int: set to 1 */
    RT_OPT_INT,  /* int64_t */
    RT_OPT_REAL, /* double */
    RT_OPT_TEXT, /* const char *, borrowed from argv */
    RT_OPT_LIST  /* rt_strings: takes all words up to the next option; may be repeated */
} rt_opt_kind;

enum { RT_MAX_STRINGS = 256 };
typedef struct rt_strings {
    const char *v[RT_MAX_STRINGS];
    int         n;
} rt_strings;

typedef struct rt_option {
    const char *name; /* "max-tokens" */
    rt_opt_kind kind;
    size_t      at;   /* offset of the field in the command's options struct */
    const char *arg;  /* "N", "DIR"; NULL for a flag */
    const char *help; /* one sentence with default and unit; NULL: the option is not shown */
} rt_option;

/* An older name of an option; using it prints a line on standard error. */
typedef struct rt_option_renamed {
    const char *was, *is;
} rt_option_renamed;

typedef struct rt_command {
    const char              *name;                                /* "train" */
    const char              *usage;                               /* "CONFIG.json [--set KEY=VALUE]..." */
    const char              *summary;                             /* one phrase for the list of commands */
    const char              *text;                                /* paragraphs: what it does, examples */
    const rt_option         *options;                             /* ends with name = NULL; may be NULL */
    const rt_option_renamed *renamed;                             /* ends with was = NULL; may be NULL */
    size_t                   size;                                /* bytes of the options struct */
    const void              *defaults;                            /* an options struct; NULL: zeros */
    rt_status (*run)(const void *options, int argc, char **argv); /* argv: the words that are not options */
    rt_status (*help)(int *print);                                /* collective: *print = 1 on the rank that prints --help; or NULL */
} rt_command;

/* Fills `into`, which already holds the defaults, from argv[0 .. argc-1].  Moves the other words to the start of argv,
 * in order, and sets *rest to their number.  "--" ends the options.  RT_EINVAL: an unknown option, for which the message
 * names the nearest one, or a wrong value. */
rt_status rt_options_parse(const rt_command *c, void *into, int argc, char **argv, int *rest);
/* Returns the first of `names` (ends with NULL) whose value in `options` differs from
 * c->defaults or that is not an option; NULL if there is none. */
const char *rt_option_changed(const rt_command *c, const char *const *names, const void *options);
/* Appends the --help text of a command. */
rt_status rt_options_help(rt_buf *out, const char *program, const rt_command *c);
#endif
