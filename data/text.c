/* text.c -- documents out of text files: a line each, plain or JSON. */
#include "data/data.h"
#include "data/tokenizer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LINE = 1 << 28 };

int ds_utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0, len; i < n; i += len)
        if (!(len = rt_utf8_length(s + i, n - i))) return 0;
    return 1;
}

/* ---- lines of JSON ------------------------------------------------------------------ */

rt_status ds_line_parse(cJSON **out, char *line, size_t n, const char *where)
{
    return rt_json_parse(out, line, n, RT_JSON_LENIENT, where);
}

rt_status ds_line_text(const cJSON *o, const char *key, rt_buf *out, const char *where)
{
    const char *s = NULL;
    RT_TRY(rt_json_text(o, key, &s, where));
    RT_CHECK(s, RT_EFORMAT, "%s: the field \"%s\" is missing", where, key);
    rt_buf_clear(out);
    return rt_json_bytes(out, s);
}

/* ---- files ---------------------------------------------------------------------------- */

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
    while (line->len && (line->p[line->len - 1] == '\n' || line->p[line->len - 1] == '\r')) line->p[--line->len] = '\0';
    return RT_OK;
}

typedef struct reader {
    const char *path;
    int64_t     line;
    int         json;
    rt_buf      text;
    rt_status (*doc)(void *ud, const char *text, size_t n);
    void *ud;
} reader;

static rt_status json_document(reader *r, char *line, size_t n)
{
    char   where[4200];
    cJSON *o = NULL;
    snprintf(where, sizeof where, "%s, line %lld", r->path, (long long)r->line);
    RT_TRY(ds_line_parse(&o, line, n, where));
    const rt_status st = ds_line_text(o, "text", &r->text, where);
    cJSON_Delete(o);
    if (st != RT_OK) return st;
    return r->text.len ? r->doc(r->ud, r->text.p, r->text.len) : RT_OK;
}

static rt_status take_line(reader *r, rt_buf *line)
{
    r->line++;
    if (!line->len) return RT_OK;
    return r->json ? json_document(r, line->p, line->len) : r->doc(r->ud, line->p, line->len);
}

static int ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

rt_status ds_text_read(const char *path, rt_status (*doc)(void *ud, const char *text, size_t n), void *ud)
{
    reader    r    = {.path = path, .json = ends_with(path, ".jsonl"), .doc = doc, .ud = ud};
    rt_buf    line = {0};
    int       got  = 1;
    rt_status st   = RT_OK;
    RT_CHECK(r.json || ends_with(path, ".txt"), RT_EINVAL,
             "%s: expected a name that ends with .txt (a document a line) or .jsonl ({\"text\": ...} a line)", path);
    FILE *f = fopen(path, "rb");
    RT_CHECK(f, rt_status_of_errno(errno), "%s: cannot be opened for reading: %s", path, strerror(errno));
    while (st == RT_OK && got) {
        st = ds_line_read(f, &line, &got, path);
        if (st == RT_OK && got) st = take_line(&r, &line);
    }
    fclose(f);
    rt_buf_free(&line);
    rt_buf_free(&r.text);
    return st;
}
