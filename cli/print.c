/* print.c -- results on standard output, without control sequences from foreign names and texts. */
#include "cli/cli.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CLI_PATH = 4096 };

void cli_print_text(rt_buf *b)
{
    rt_text_clean_lines(b->p, b->len);
    fwrite(b->p, 1, b->len, stdout);
}

void cli_print(const char *fmt, ...)
{
    char    text[3 * CLI_PATH];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cli_print_text(&(rt_buf){.p = text, .len = strlen(text)});
}

void cli_print_field(const char *name, const char *text)
{
    char clean[CLI_PATH];
    snprintf(clean, sizeof clean, "%s", text);
    rt_text_clean(clean);
    if (*text) printf("  %-12s %s\n", name, clean);
}

/* rt_json_quote escapes only what JSON requires, so that stored text is not changed.  C1 controls (U+0080 to U+009F) and DEL
 * occur only in strings, so they can be replaced by escapes here. */
void cli_print_json(const rt_buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        const unsigned char c = (unsigned char)b->p[i], next = i + 1 < b->len ? (unsigned char)b->p[i + 1] : 0;
        if (c == 0xc2 && next >= 0x80 && next < 0xa0) printf("\\u%04x", next), i++;
        else if (c == 0x7f) fputs("\\u007f", stdout);
        else putchar(c);
    }
}

rt_status cli_print_line(rt_json_writer *w)
{
    rt_put_line_end(w);
    if (w->st == RT_OK) cli_print_json(w->out);
    rt_buf_free(w->out);
    return w->st;
}
