/* options.h -- command lines as tables.
 *
 * A command is one const struct: its options, its texts, its function.  Parsing,
 * --help, the man page and the shell completions all read the same table.
 */
#ifndef RT_CORE_OPTIONS_H
#define RT_CORE_OPTIONS_H
#include "core/memory.h"

typedef enum rt_opt_kind {
    RT_OPT_FLAG, /* int: set to 1 */
    RT_OPT_INT,  /* int64_t */
    RT_OPT_REAL, /* double */
    RT_OPT_TEXT, /* const char *, borrowed from argv */
    RT_OPT_LIST  /* rt_strings: may be given again, and takes several words up to the next option */
} rt_opt_kind;

enum { RT_MAX_STRINGS = 256 };
typedef struct rt_strings {
    const char *v[RT_MAX_STRINGS];
    int         n;
} rt_strings;

typedef struct rt_option {
    const char *name; /* "max-tokens"; an option without help text is not shown */
    rt_opt_kind kind;
    size_t      at;   /* offsetof the field in the command's options struct */
    const char *arg;  /* "N", "DIR"; NULL for a flag */
    const char *help; /* one sentence; with the default and unit */
} rt_option;

/* An option's older name, which is read with a line on standard error. */
typedef struct rt_option_renamed {
    const char *was, *is;
} rt_option_renamed;

typedef struct rt_command {
    const char              *name;                                /* "train" */
    const char              *usage;                               /* "CONFIG.json [--set KEY=VALUE]..." */
    const char              *summary;                             /* half a line */
    const char              *text;                                /* paragraphs: what it does, examples */
    const rt_option         *options;                             /* ends with name = NULL; may be NULL */
    const rt_option_renamed *renamed;                             /* ends with was = NULL; may be NULL */
    size_t                   size;                                /* of the options struct */
    const void              *defaults;                            /* an options struct; NULL: zeros */
    rt_status (*run)(const void *options, int argc, char **argv); /* argv: the words that are no options */
    rt_status (*help)(int *print);                                /* ranks agree to show --help; *print: this one does; or NULL */
} rt_command;

/* Fill `into` (already holding defaults) from argv[0..argc); *rest gets the
 * other words in order (argv is reordered).  An unknown option is RT_EINVAL
 * that names the nearest.  "--" ends options. */
rt_status rt_options_parse(const rt_command *c, void *into, int argc, char **argv, int *rest);
/* The first of `names` (ends with NULL) whose value in `options` is not that of
 * c->defaults, or that is no option; NULL if none. */
const char *rt_option_changed(const rt_command *c, const char *const *names, const void *options);
/* The --help text of one command. */
rt_status rt_options_help(rt_buf *out, const char *program, const rt_command *c);
#endif
