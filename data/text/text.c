/* text.c -- reading documents from text files: lines, paragraphs or whole files of plain text, lines of JSON, rows of tables. */
#include "data/shard/columns.h"
#include "data/text/stream.h"
#include "data/tokenizer/parts.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1 << 28 };

/* ---- lines of JSON ------------------------------------------------------------------ */

rt_status ds_line_parse(cJSON **out, char *line, size_t n, const char *where) { return rt_json_parse(out, line, n, RT_JSON_EXACT, where); }

rt_status ds_line_text(const cJSON *o, const char *key, rt_buf *out, const char *where)
{
    const char *s = NULL;
    RT_TRY(rt_json_text(o, key, &s, where));
    RT_CHECK(s, RT_EFORMAT, "%s: the field \"%s\" is missing", where, key);
    rt_buf_clear(out);
    return rt_json_bytes(out, s);
}

/* ---- lines of standard input ---------------------------------------------------------------------------- */

rt_status ds_line_read(FILE *f, rt_buf *line, int *got, const char *where)
{
    char   block[4096];
    size_t n = 0;
    int    c;
    rt_buf_clear(line);
    do {
        c = getc_unlocked(f);
        if (c != EOF) block[n++] = (char)c;
        if (n < sizeof block && c != EOF && c != '\n') continue;
        RT_TRY(rt_buf_add(line, block, n));
        RT_CHECK(line->len <= MAX_LINE, RT_EFORMAT, "%s: a line is longer than %d bytes", where, MAX_LINE);
        n = 0;
    } while (c != EOF && c != '\n');
    RT_CHECK(!ferror(f), RT_EIO, "%s: reading failed: %s", where, strerror(errno));
    *got = line->len > 0;
    if (line->len && line->p[line->len - 1] == '\n') line->p[--line->len] = '\0';
    if (line->len && c == '\n' && line->p[line->len - 1] == '\r') line->p[--line->len] = '\0';
    return RT_OK;
}

/* ---- documents -------------------------------------------------------------------------- */

typedef struct reader {
    const ds_input *in;
    ds_stream      *s;
    rt_buf          line, text, meta;
    ds_text         t;
    int             is_table;
    int64_t         before; /* bytes of the files read before this one */
    rt_status (*doc)(void *ud, const ds_text *t);
    void *ud;
} reader;

static rt_status give(reader *r, const char *text, size_t n)
{
    if (!n) return RT_OK;
    r->t.text = text;
    r->t.n    = n;
    r->t.read = r->before + ds_stream_offset(r->s);
    return r->doc(r->ud, &r->t);
}

/* ---- plain text: a document is a line, a paragraph or the file ---- */

static rt_status read_lines(reader *r)
{
    for (int got = 1; got;) {
        RT_TRY(ds_stream_line(r->s, &r->line, &got));
        if (got && !ds_is_blank(r->line.p, r->line.len)) RT_TRY(give(r, r->line.p, r->line.len));
    }
    return RT_OK;
}

/* Joins lines by \n.  Blank lines end a paragraph; in a whole file they are kept, except at its start and end. */
static rt_status read_blocks(reader *r, int whole)
{
    size_t end = 0; /* end of the last line that is not blank */
    rt_buf_clear(&r->text);
    for (int got = 1; got;) {
        RT_TRY(ds_stream_line(r->s, &r->line, &got));
        const int blank = !got || ds_is_blank(r->line.p, r->line.len);
        if (blank && !whole) {
            RT_TRY(give(r, r->text.p, end));
            rt_buf_clear(&r->text);
            end = 0;
        } else if (got && (end || !blank)) {
            if (end) RT_TRY(rt_buf_add(&r->text, "\n", 1));
            RT_TRY(rt_buf_add(&r->text, r->line.p, r->line.len));
            if (!blank) end = r->text.len;
        }
    }
    return give(r, r->text.p, end);
}

/* ---- objects: their text and their other fields ---- */

enum { MAX_META = DS_H5_MAX_TEXT - 1 };

static const struct {
    const char *key;
    size_t      at;
} places[] = {{"request", offsetof(ds_doc, request)},
              {"recipe", offsetof(ds_doc, recipe)},
              {"topic", offsetof(ds_doc, topic)},
              {"finish", offsetof(ds_doc, finish)}};

/* Rejects U+0000 in fields that have a column in the shard, whose texts end at the first NUL. */
static rt_status check_known(const cJSON *f, const char *where)
{
    const char *text = cJSON_GetStringValue(f);
    for (size_t i = 0; text && i < sizeof places / sizeof *places; i++)
        RT_CHECK(strcmp(f->string, places[i].key) || !strstr(text, "\xc0\x80"), RT_EFORMAT,
                 "%s: the field \"%s\" holds U+0000, which a shard cannot store; remove it", where, f->string);
    return RT_OK;
}

/* Takes a field that has a place in ds_doc; returns 0 if it has none. */
static int take_known(ds_doc *d, const cJSON *f)
{
    const char *text = cJSON_GetStringValue(f);
    char       *end;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strcmp(f->string, places[i].key) || !text || strlen(text) > MAX_META) continue;
        *(const char **)(void *)((char *)d + places[i].at) = text;
        return 1;
    }
    if (!strcmp(f->string, "seed") && text) {
        errno               = 0;
        const uint64_t seed = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno) return 0;
        d->seed = seed;
        return 1;
    }
    const int cost = !strcmp(f->string, "cost") && cJSON_IsNumber(f) && cJSON_GetNumberValue(f) >= 0 && isfinite(cJSON_GetNumberValue(f));
    if (cost) d->cost = cJSON_GetNumberValue(f);
    return cost || !strcmp(f->string, "tokens"); /* ignored: data export counts the tokens */
}

/* Appends ,"key":value to r->meta; if the result would be longer than a shard allows, counts the field in left_out instead. */
static rt_status text_add_other(reader *r, const cJSON *f)
{
    const size_t before = r->meta.len;
    rt_buf       key    = {0};
    rt_status    st     = rt_buf_str(&r->meta, before > 1 ? "," : "");
    if (st == RT_OK) st = rt_json_bytes(&key, f->string);
    if (st == RT_OK) st = rt_json_quote(&r->meta, key.p, key.len);
    if (st == RT_OK) st = rt_buf_str(&r->meta, ":");
    if (st == RT_OK) st = rt_json_print(&r->meta, f);
    rt_buf_free(&key);
    if (st != RT_OK || r->meta.len < MAX_META) return st;
    r->meta.len       = before;
    r->meta.p[before] = '\0';
    r->t.left_out++;
    return RT_OK;
}

static rt_status take_others(reader *r, const cJSON *o, const char *text_field)
{
    const cJSON *f;
    r->t.about    = (ds_doc){.cost = NAN};
    r->t.left_out = 0;
    rt_buf_clear(&r->meta);
    RT_TRY(rt_buf_str(&r->meta, "{"));
    cJSON_ArrayForEach(f, o)
    {
        if (strcmp(f->string, text_field)) RT_TRY(check_known(f, ds_stream_where(r->s)));
        if (strcmp(f->string, text_field) && !cJSON_IsNull(f) && !take_known(&r->t.about, f)) RT_TRY(text_add_other(r, f));
    }
    if (r->meta.len > 1) {
        RT_TRY(rt_buf_str(&r->meta, "}"));
        r->t.about.meta = r->meta.p;
    }
    return RT_OK;
}

static rt_status no_field(reader *r, const cJSON *o, const char *field)
{
    char         names[256] = "";
    const cJSON *f;
    cJSON_ArrayForEach(f, o)
    {
        const size_t n = strlen(names);
        if (n < 200) snprintf(names + n, sizeof names - n, "%s%.40s", n ? ", " : "", f->string);
    }
    RT_FAIL(RT_EFORMAT, "%s: the field \"%s\" is missing; name the field that holds the text with --text-field; the fields are: %s",
            ds_stream_where(r->s), field, *names ? names : "none");
}

static rt_status take_object(void *ud, const cJSON *o)
{
    reader      *r     = ud;
    const char  *field = r->in->field ? r->in->field : "text";
    const cJSON *text  = cJSON_GetObjectItemCaseSensitive(o, field);
    if (!text && !r->is_table) return no_field(r, o, field);
    if (!text || cJSON_IsNull(text)) return RT_OK; /* an empty cell is not a document */
    RT_TRY(ds_line_text(o, field, &r->text, ds_stream_where(r->s)));
    RT_TRY(take_others(r, o, field));
    return give(r, r->text.p, r->text.len);
}

static rt_status read_objects(reader *r)
{
    for (int got = 1; got;) {
        cJSON *o;
        RT_TRY(ds_stream_line(r->s, &r->line, &got));
        if (!got || ds_is_blank(r->line.p, r->line.len)) continue;
        RT_TRY(ds_line_parse(&o, r->line.p, r->line.len, ds_stream_where(r->s)));
        const rt_status st = take_object(r, o);
        cJSON_Delete(o);
        RT_TRY(st);
    }
    return RT_OK;
}

/* ---- files ---- */

static rt_status text_read_file(reader *r, const ds_file *f)
{
    const char *how = r->in->document ? r->in->document : "line";
    RT_TRY(ds_stream_open(&r->s, f->path));
    r->t         = (ds_text){.about = {.cost = NAN}};
    r->is_table  = f->format == DS_CSV;
    rt_status st = f->format == DS_JSONL  ? read_objects(r)
                   : f->format == DS_CSV  ? ds_csv_read(r->s, r->in->field ? r->in->field : "text", take_object, r)
                   : !strcmp(how, "line") ? read_lines(r)
                                          : read_blocks(r, !strcmp(how, "file"));
    ds_stream_close(&r->s);
    r->before += f->bytes;
    return st;
}

rt_status ds_text_read(const ds_input *in, int64_t *bytes, rt_status (*doc)(void *ud, const ds_text *t), void *ud)
{
    reader      r = {.in = in, .doc = doc, .ud = ud};
    ds_files    files;
    const char *how = in->document ? in->document : "line";
    RT_CHECK(!strcmp(how, "line") || !strcmp(how, "file") || !strcmp(how, "blank-line"), RT_EINVAL,
             "--document must be line, file or blank-line, found '%s'", how);
    RT_TRY(ds_files_find(&files, in));
    if (bytes) *bytes = files.bytes;
    rt_status st = RT_OK;
    for (int64_t i = 0; st == RT_OK && i < files.n; i++) st = text_read_file(&r, &files.v[i]);
    ds_files_free(&files);
    rt_buf_free(&r.line);
    rt_buf_free(&r.text);
    rt_buf_free(&r.meta);
    return st;
}
