/* cpu.c -- reads the model of the first CPU in /proc/cpuinfo. */
#include "core/cpu.h"
#include "core/file.h"
#include <stdio.h>
#include <string.h>

/* The fields that name a model, in the order in which they are shown, and the word before each. */
static const struct {
    const char *field, *word;
} fields[] = {
    {"model name", ""}, {"cpu family", "family "}, {"model", "model "}, {"CPU implementer", "implementer "}, {"CPU part", "part "}};

/* Returns the value of a line "FIELD<tabs>: VALUE" and its length; NULL: there is none. */
static const char *cpu_value(const char *text, const char *field, int *n)
{
    const size_t length = strlen(field);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        const char *colon = line + length + strspn(line + strnlen(line, length), "\t ");
        if (strncmp(line, field, length) || *colon != ':') continue;
        colon += 1 + strspn(colon + 1, " ");
        return *n = (int)strcspn(colon, "\n"), colon;
    }
    return NULL;
}

rt_status rt_cpu_name(rt_buf *out)
{
    const size_t before = out->len;
    rt_buf       b      = {0};
    rt_status    st     = rt_file_read(&b, "/proc/cpuinfo", (size_t)16 << 20);
    for (size_t i = 0; st == RT_OK && i < sizeof fields / sizeof *fields; i++) {
        int         n;
        const char *value = cpu_value(b.p, fields[i].field, &n);
        if (value) st = rt_buf_fmt(out, "%s%s%.*s", out->len > before ? ", " : "", fields[i].word, n, value);
    }
    rt_buf_free(&b);
    return out->len > before ? st : rt_buf_str(out, "unknown CPU");
}
