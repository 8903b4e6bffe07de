/* main.c -- find the command, parse its options, run it, print its error, exit with its status. */
#include "cli/cli.h"
#include "core/comm.h"
#include "core/share.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rt_status main_print(rt_status (*make)(rt_buf *out))
{
    rt_buf          b  = {0};
    const rt_status st = make(&b);
    if (st == RT_OK) fputs(b.p, stdout);
    rt_buf_free(&b);
    return st;
}

/* Returns 1 if --help or -h occurs before "--". */
static int wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return 1;
    return 0;
}

static rt_status print_help(const rt_command *c, char *name)
{
    char *words[] = {name, NULL};
    int   print   = 1;
    if (c->help) RT_TRY(c->help(&print));
    return print ? cli_help.run(NULL, 1, words) : RT_OK;
}

/* Replaces arguments that begin with @share/ by the paths of files installed with the program.  The new strings are never freed. */
static rt_status expand_share(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        rt_buf path = {0};
        if (*argv[i] != '@') continue;
        RT_TRY(rt_share_path(&path, argv[i]));
        argv[i] = rt_buf_detach(&path);
    }
    return RT_OK;
}

static rt_status run_command(const rt_command *c, int argc, char **argv)
{
    int   rest    = 0;
    void *options = NULL;
    RT_TRY(rt_alloc(&options, 1, c->size, "options"));
    if (c->defaults) memcpy(options, c->defaults, c->size);
    rt_status st = rt_options_parse(c, options, argc, argv, &rest);
    if (st == RT_OK) st = c->run(options, rest, argv);
    free(options);
    return st;
}

static rt_status dispatch(int argc, char **argv)
{
    const rt_command *c = NULL;
    RT_CHECK(argc > 0, RT_EINVAL, "expected a command, found no argument ('retort --help' lists the commands)");
    if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) return main_print(cli_overview);
    if (!strcmp(argv[0], "--version")) return main_print(cli_versions);
    RT_TRY(cli_find(&c, argv[0]));
    if (wants_help(argc - 1, argv + 1)) return print_help(c, argv[0]);
    RT_TRY(expand_share(argc - 1, argv + 1));
    return run_command(c, argc - 1, argv + 1);
}

/* Flushes standard output.  Output that could not be written, for example to a full disk, is an error. */
static rt_status close_output(rt_status st)
{
    const int bad = fflush(stdout) != 0 || ferror(stdout);
    if (st != RT_OK || !bad) return st;
    RT_FAIL(rt_status_of_errno(errno), "standard output cannot be written: %s", strerror(errno));
}

/* Returns 1 on ranks other than 0 for an error that all ranks share (Ctrl-C, another rank's failure): only rank 0 reports it. */
static int is_echo(rt_status st)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    return rank && strcmp(rank, "0") && (rt_comm_told() || st == RT_EINTR);
}

int main(int argc, char **argv)
{
    if (getenv("RETORT_API_KEY")) rt_memory_keep_secret();                /* for every command, because the environment is in its memory */
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL); /* a file size limit is reported as an error */
    const rt_status st = close_output(dispatch(argc - 1, argv + 1));
    if (st == RT_OK) return 0;
    const char *trace = getenv("RETORT_TRACE");
    if (is_echo(st)) return rt_comm_exit(st);
    fprintf(stderr, "retort: %s\n", rt_error_text());
    if (trace && !strcmp(trace, "1")) fputs(rt_error_trace(), stderr);
    return rt_comm_exit(st);
}
