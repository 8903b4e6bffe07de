/* report.c -- retort report: the metrics of a run as a table for other programs. */
#include "cli/cli.h"
#include "core/file.h"
#include "core/json.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const columns[] = {"step", "loss", "kl", "ce", "grad_norm", "lr", "tok_s", "skipped", "valid_ce", "valid_kl"};
enum { COLUMNS = sizeof columns / sizeof *columns, LARGEST = 1 << 30 };

/* Appends a row; a value that the step did not measure is an empty field. */
static rt_status report_add_row(rt_buf *out, const cJSON *o)
{
    for (int i = 0; i < COLUMNS; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, columns[i]);
        RT_TRY(rt_buf_str(out, i ? "," : ""));
        if (cJSON_IsNumber(v)) RT_TRY(rt_json_number(out, v->valuedouble, 9));
    }
    return rt_buf_str(out, "\n");
}

static rt_status report_add_line(rt_buf *out, char *line, size_t n, const char *path, int64_t number)
{
    cJSON *o = NULL;
    char   where[4200];
    snprintf(where, sizeof where, "%s:%lld", path, (long long)number);
    RT_CHECK(!memchr(line, '\0', n), RT_EFORMAT, "%s: expected a JSON object, found a NUL byte; restore the file, or remove this line",
             where);
    line[n] = '\0';
    RT_TRY(rt_json_parse(&o, line, n, 0, where));
    const rt_status st =
        cJSON_IsObject(o) ? report_add_row(out, o) : rt_fail(RT_EFORMAT, __FILE__, __LINE__, "%s: expected a JSON object", where);
    cJSON_Delete(o);
    return st;
}

/* Appends the header and all complete lines.  The last line of an active run may be incomplete; it is skipped. */
static rt_status report_add_all(rt_buf *out, rt_buf *text, const char *path)
{
    int64_t number = 0;
    for (int i = 0; i < COLUMNS; i++) RT_TRY(rt_buf_fmt(out, "%s%s", i ? "," : "", columns[i]));
    RT_TRY(rt_buf_str(out, "\n"));
    for (char *line = text->p, *end; (end = memchr(line, '\n', text->len - (size_t)(line - text->p))); line = end + 1)
        RT_TRY(report_add_line(out, line, (size_t)(end - line), path, ++number));
    return RT_OK;
}

static rt_status report_run(const void *options, int argc, char **argv)
{
    rt_buf      text = {0}, out = {0};
    char        path[4096];
    struct stat s;
    (void)options;
    RT_CHECK(argc == 1, RT_EINVAL, "report takes one RUN, found %d arguments (see 'retort report --help')", argc);
    const int folder = !stat(argv[0], &s) && S_ISDIR(s.st_mode);
    snprintf(path, sizeof path, "%s%s", argv[0], folder ? "/metrics.jsonl" : "");
    rt_status st = rt_file_read(&text, path, LARGEST);
    if (st == RT_OK) st = report_add_all(&out, &text, path);
    if (st == RT_OK) fwrite(out.p, 1, out.len, stdout);
    rt_buf_free(&text);
    rt_buf_free(&out);
    return st;
}

const rt_command cli_report = {
    .name    = "report",
    .usage   = "RUN",
    .summary = "print the metrics of a run as CSV",
    .text    = "Prints the metrics.jsonl of a run folder (or such a file) as CSV to standard output: one line per\n"
               "step, with an empty field for a value that was not measured in that step.\n\n"
               "  retort report out > metrics.csv",
    .run     = report_run,
};
