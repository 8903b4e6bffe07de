/* man.c -- `retort man`: the manual page, in roff, from the tables that --help shows. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

/* Appends one line of text; backslashes, hyphens and a leading control character are escaped. */
static rt_status man_add_text(rt_buf *out, const char *s, size_t n)
{
    if (n && (*s == '.' || *s == '\'')) RT_TRY(rt_buf_str(out, "\\&"));
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\') RT_TRY(rt_buf_str(out, "\\e"));
        else if (s[i] == '-') RT_TRY(rt_buf_str(out, "\\-"));
        else RT_TRY(rt_buf_add(out, s + i, 1));
    }
    return RT_OK;
}

static rt_status add_string(rt_buf *out, const char *s) { return man_add_text(out, s, strlen(s)); }

/* Returns the length of the paragraph at s, up to a blank line or the end. */
static size_t paragraph_length(const char *s)
{
    const char *end = strstr(s, "\n\n");
    return end ? (size_t)(end - s) + 1 : strlen(s);
}

/* Returns 1 if the paragraph is a table or an example, which is set verbatim: it is indented, or spaces separate columns. */
static int is_table(const char *s, size_t n)
{
    if (n && *s == ' ') return 1;
    for (size_t i = 0; i + 1 < n; i++)
        if (s[i + 1] == ' ' && (s[i] == '\n' || (s[i] == ' ' && i && s[i - 1] != '.'))) return 1;
    return 0;
}

static rt_status add_lines(rt_buf *out, const char *s, size_t n)
{
    for (const char *end = s + n; s < end;) {
        const size_t line = strcspn(s, "\n");
        RT_TRY(man_add_text(out, s, line));
        RT_TRY(rt_buf_str(out, "\n"));
        s += line + 1;
    }
    return RT_OK;
}

static rt_status add_paragraphs(rt_buf *out, const char *s)
{
    for (size_t n; *s; s += n + (s[n] == '\n')) {
        n               = paragraph_length(s);
        const int table = is_table(s, n);
        RT_TRY(rt_buf_str(out, table ? ".PP\n.nf\n" : ".PP\n"));
        RT_TRY(add_lines(out, s, n));
        if (table) RT_TRY(rt_buf_str(out, ".fi\n"));
    }
    return RT_OK;
}

static rt_status man_add_options(rt_buf *out, const rt_command *c)
{
    for (const rt_option *o = c->options; o && o->name; o++) {
        if (!o->help) continue;
        RT_TRY(rt_buf_str(out, ".TP\n.B \\-\\-"));
        RT_TRY(add_string(out, o->name));
        if (o->arg) {
            RT_TRY(rt_buf_str(out, " \\fI"));
            RT_TRY(add_string(out, o->arg));
            RT_TRY(rt_buf_str(out, "\\fR"));
        }
        RT_TRY(rt_buf_str(out, "\n"));
        RT_TRY(add_string(out, o->help));
        RT_TRY(rt_buf_str(out, "\n"));
    }
    return RT_OK;
}

static rt_status add_command(rt_buf *out, const rt_command *c)
{
    RT_TRY(rt_buf_str(out, ".SS retort "));
    RT_TRY(add_string(out, c->name));
    RT_TRY(rt_buf_str(out, " "));
    RT_TRY(add_string(out, c->usage));
    RT_TRY(rt_buf_str(out, "\n"));
    RT_TRY(add_paragraphs(out, c->text));
    return man_add_options(out, c);
}

static const char head[] = ".TH RETORT 1 \"\" \"%s\"\n"
                           ".SH NAME\nretort \\- distil large language models into small ones, on CPUs\n"
                           ".SH SYNOPSIS\n.B retort\n.I COMMAND\n[options]\n"
                           ".SH DESCRIPTION\n.nf\n";
static const char foot[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B RETORT_CPU\nThe kernels to use (ref, avx2, avx512, neon) instead of the fastest that this CPU supports.\n"
    ".TP\n.B RETORT_GEMM\nThe gemm backend to use (own, bf16, openblas), or auto: the fastest on this CPU. It is measured once and the result\n"
    "stored in retort/gemm.txt below XDG_CACHE_HOME (default: .cache in the home folder).\n"
    ".TP\n.B RETORT_SHARE\nThe folder that holds teacher/ and configs/ (default: share/retort beside the program's folder).\n"
    ".TP\n.B RETORT_TRACE\n1: print the call path of an error after its message, as file:line.\n"
    ".TP\n.B OMP_NUM_THREADS\nThe number of threads of a process (default: one per core that the process may use).\n"
    ".TP\n.B OPENBLAS_CORETYPE\nThe OpenBLAS kernel to use instead of the one that retort chooses for this CPU.\n"
    ".SH EXIT STATUS\n"
    "0 success; 1 a check failed; 2 wrong usage or input; 3 a server or file system failed;\n"
    "4 not enough resources; 130 interrupted after writing a checkpoint.\n";

static rt_status make_page(rt_buf *out)
{
    rt_buf overview = {0};
    RT_TRY(rt_buf_fmt(out, head, cli_program()));
    rt_status st = cli_overview(&overview);
    for (char *line = overview.p; st == RT_OK && line && *line;) {
        const size_t n = strcspn(line, "\n");
        st             = man_add_text(out, line, n);
        if (st == RT_OK) st = rt_buf_str(out, "\n");
        line += n + (line[n] == '\n');
    }
    rt_buf_free(&overview);
    RT_TRY(st);
    RT_TRY(rt_buf_str(out, ".fi\n.SH COMMANDS\n"));
    for (int i = 0; cli_commands[i]; i++) RT_TRY(add_command(out, cli_commands[i]));
    return rt_buf_str(out, foot);
}

static rt_status man_run(const void *options, int argc, char **argv)
{
    (void)options;
    rt_buf b = {0};
    RT_CHECK(argc == 0, RT_EINVAL, "man takes no arguments, found '%s'", argv[0]);
    const rt_status st = make_page(&b);
    if (st == RT_OK) fputs(b.p, stdout);
    rt_buf_free(&b);
    return st;
}

const rt_command cli_man = {
    .name    = "man",
    .usage   = "> retort.1",
    .summary = "print the manual page",
    .text    = "Writes the manual page retort(1) in roff to standard output; the build uses it to make retort.1.\n\n"
               "  retort man | man -l -",
    .run     = man_run,
};
