/* csv.c -- reading comma-separated values (RFC 4180): the first row has the column names; cells that contain the separator,
 * quotes or line ends are quoted.  The separator is the most frequent of comma, semicolon and tab in the first row. */
#include "data/text/stream.h"
#include <stdlib.h>
#include <string.h>

typedef struct table {
    ds_stream  *s;
    const char *needed;
    char        separator;
    rt_buf      record, line, cell;
    char      **name;
    int         names;
} table;

static int csv_count(const rt_buf *b, char c)
{
    int n = 0;
    for (size_t i = 0; i < b->len; i++) n += b->p[i] == c;
    return n;
}

/* Reads a row; lines are appended while a quote is open. */
static rt_status next_record(table *t, int *got)
{
    int more;
    RT_TRY(ds_stream_line(t->s, &t->record, got));
    while (*got && csv_count(&t->record, '"') % 2) {
        RT_TRY(ds_stream_line(t->s, &t->line, &more));
        RT_CHECK(more, RT_EFORMAT, "%s: the file ends inside a quoted cell", ds_stream_where(t->s));
        RT_TRY(rt_buf_add(&t->record, "\n", 1));
        RT_TRY(rt_buf_add(&t->record, t->line.p, t->line.len));
        RT_CHECK(t->record.len < (size_t)1 << 28, RT_EFORMAT, "%s: a quoted cell does not end", ds_stream_where(t->s));
    }
    return RT_OK;
}

/* Reads the cell at *at and moves *at to the next cell; *last = 1 at the end of the row. */
static rt_status next_cell(table *t, size_t *at, int *last)
{
    const char  *p = t->record.p;
    size_t       i = *at;
    const size_t n = t->record.len;
    rt_buf_clear(&t->cell);
    RT_TRY(rt_buf_str(&t->cell, ""));
    if (i < n && p[i] == '"') {
        for (i++; i < n && (p[i] != '"' || (i + 1 < n && p[i + 1] == '"')); i++) {
            if (p[i] == '"') i++;
            RT_TRY(rt_buf_add(&t->cell, p + i, 1));
        }
        i++; /* the closing quote, which exists because the number of quotes is even */
    } else {
        while (i < n && p[i] != t->separator) i++;
        RT_TRY(rt_buf_add(&t->cell, p + *at, i - *at));
    }
    *last = i >= n;
    RT_CHECK(*last || p[i] == t->separator, RT_EFORMAT, "%s: text follows a quoted cell", ds_stream_where(t->s));
    *at = i + 1;
    return RT_OK;
}

static rt_status read_names(table *t, int *got)
{
    size_t at   = 0;
    int    last = 0;
    RT_TRY(next_record(t, got));
    if (!*got) return RT_OK;
    const int commas = csv_count(&t->record, ','), semicolons = csv_count(&t->record, ';'), tabs = csv_count(&t->record, '\t');
    t->separator = tabs > commas && tabs > semicolons ? '\t' : semicolons > commas ? ';' : ',';
    RT_TRY(RT_NEW(t->name, commas + semicolons + tabs + 1));
    while (!last) {
        RT_TRY(next_cell(t, &at, &last));
        for (int i = 0; i < t->names; i++)
            RT_CHECK(strcmp(t->name[i], t->cell.p), RT_EFORMAT, "%s: the column \"%s\" occurs twice", ds_stream_where(t->s), t->cell.p);
        RT_TRY(rt_strdup(&t->name[t->names], t->cell.p));
        t->names++;
    }
    return RT_OK;
}

static rt_status fill_object(table *t, cJSON *o)
{
    size_t at   = 0;
    int    last = 0;
    for (int i = 0; !last; i++) {
        RT_TRY(next_cell(t, &at, &last));
        RT_CHECK(i < t->names, RT_EFORMAT, "%s: the row has more cells than the first, which has %d", ds_stream_where(t->s), t->names);
        RT_CHECK(!memchr(t->cell.p, 0, t->cell.len), RT_EFORMAT, "%s: a cell holds a NUL byte", ds_stream_where(t->s));
        RT_CHECK(!t->cell.len || cJSON_AddStringToObject(o, t->name[i], t->cell.p), RT_ENOMEM, "no memory for a row of the table");
    }
    return RT_OK;
}

static rt_status csv_check_names(const table *t)
{
    rt_buf b = {0};
    for (int i = 0; i < t->names; i++)
        if (!strcmp(t->name[i], t->needed)) return RT_OK;
    for (int i = 0; i < t->names && b.len < 200; i++) RT_TRY(rt_buf_fmt(&b, "%s%.40s", i ? ", " : "", t->name[i]));
    const rt_status st =
        rt_fail(RT_EFORMAT, __FILE__, __LINE__,
                "%s: there is no column \"%s\"; name the column that holds the text with --text-field; the columns are: %s",
                ds_stream_where(t->s), t->needed, b.p ? b.p : "none");
    rt_buf_free(&b);
    return st;
}

static rt_status read_rows(table *t, rt_status (*row)(void *ud, const cJSON *o), void *ud)
{
    int got;
    RT_TRY(read_names(t, &got));
    if (got) RT_TRY(csv_check_names(t));
    while (got) {
        RT_TRY(next_record(t, &got));
        if (!got || ds_is_blank(t->record.p, t->record.len)) continue;
        cJSON    *o  = cJSON_CreateObject();
        rt_status st = o ? fill_object(t, o) : rt_fail(RT_ENOMEM, __FILE__, __LINE__, "no memory for a row of the table");
        if (st == RT_OK) st = row(ud, o);
        cJSON_Delete(o);
        RT_TRY(st);
    }
    return RT_OK;
}

rt_status ds_csv_read(ds_stream *s, const char *needed, rt_status (*row)(void *ud, const cJSON *o), void *ud)
{
    table           t  = {.s = s, .needed = needed};
    const rt_status st = read_rows(&t, row, ud);
    for (int i = 0; i < t.names; i++) free(t.name[i]);
    free(t.name);
    rt_buf_free(&t.record);
    rt_buf_free(&t.line);
    rt_buf_free(&t.cell);
    return st;
}
