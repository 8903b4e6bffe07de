/* log.c -- metrics.jsonl of a resumed run: complete lines of steps up to the checkpoint are kept, all others are moved to a
 * separate file. */
#include "core/file.h"
#include "train/trainer.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char LOG[] = "metrics.jsonl", LOST[] = "metrics.lost.jsonl";

typedef struct sorted {
    rt_buf  kept, lost, last;         /* last: the line of the checkpoint's step */
    int64_t steps, later, unreadable; /* numbers of lines: steps up to the checkpoint, later steps, incomplete or invalid lines */
} sorted;

static void free_sorted(sorted *s) { rt_buf_free(&s->kept), rt_buf_free(&s->lost), rt_buf_free(&s->last); }

/* Returns the step in a line of n bytes; 0: the line has none; -1: the line is not valid JSON. */
static int64_t log_step_of(const char *line, size_t n)
{
    cJSON *o    = NULL;
    rt_buf copy = {0};
    if (memchr(line, '\0', n)) return -1;
    rt_status st = rt_buf_add(&copy, line, n);
    if (st == RT_OK) st = rt_json_parse(&o, copy.p, copy.len, 0, LOG);
    const cJSON  *v    = cJSON_GetObjectItemCaseSensitive(o, "step");
    const int64_t step = st != RT_OK ? -1 : cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1e15 ? (int64_t)v->valuedouble : 0;
    cJSON_Delete(o);
    rt_buf_free(&copy);
    return step;
}

/* Assigns one line to `kept` or `lost`.  An incomplete last line also gets a newline, so that later lines in the lost file are
 * separate. */
static rt_status sort_line(sorted *s, const char *line, size_t n, int whole, int64_t last)
{
    const int64_t step = whole ? log_step_of(line, n) : -1;
    const int     keep = step >= 0 && step <= last;
    s->steps += keep && step;
    s->later += step > last;
    s->unreadable += step < 0;
    if (step && step == last) {
        rt_buf_clear(&s->last);
        RT_TRY(rt_buf_add(&s->last, line, n));
    }
    RT_TRY(rt_buf_add(keep ? &s->kept : &s->lost, line, n));
    return rt_buf_str(keep ? &s->kept : &s->lost, "\n");
}

static rt_status sort_all(sorted *s, const rt_buf *all, int64_t last)
{
    for (size_t at = 0; at < all->len;) {
        const char  *end = memchr(all->p + at, '\n', all->len - at);
        const size_t n   = end ? (size_t)(end - all->p) - at : all->len - at;
        RT_TRY(sort_line(s, all->p + at, n, end != NULL, last));
        at += n + 1;
    }
    return RT_OK;
}

static rt_status log_append(const char *path, const rt_buf *text)
{
    FILE *to = fopen(path, "a");
    RT_CHECK(to, rt_status_of_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
    int bad = fwrite(text->p, 1, text->len, to) != text->len || fflush(to) || fsync(fileno(to));
    bad |= fclose(to) != 0;
    RT_CHECK(!bad, rt_status_of_errno(errno), "%s: cannot be written: %s", path, strerror(errno));
    return RT_OK;
}

static void log_say(const sorted *s, const char *path, int64_t last)
{
    if (s->later) rt_note("%s: the metrics of steps after %lld, which no checkpoint holds, are now in %s", path, (long long)last, LOST);
    if (s->unreadable) rt_note("%s: %lld lines that are truncated or not JSON are now in %s", path, (long long)s->unreadable, LOST);
    if (s->steps < last)
        rt_note("%s has lines of %lld of the %lld steps of the checkpoint: metrics of earlier steps are missing", path, (long long)s->steps,
                (long long)last);
}

/* Appends the lost lines durably to their file before they are removed from the log. */
static rt_status settle(const char *out, const char *path, const sorted *s)
{
    char lost[4096];
    if (!s->lost.len) return RT_OK;
    snprintf(lost, sizeof lost, "%s/%s", out, LOST);
    RT_TRY(log_append(lost, &s->lost));
    return rt_file_write(path, s->kept.len ? s->kept.p : "", s->kept.len);
}

static rt_status read_and_settle(rt_buf *line, const char *out, const char *path, int64_t last)
{
    rt_buf    all = {0};
    sorted    s   = {0};
    rt_status st  = rt_file_exists(path) ? rt_file_read(&all, path, (size_t)1 << 40) : RT_OK;
    if (st == RT_OK) st = sort_all(&s, &all, last);
    if (st == RT_OK) st = settle(out, path, &s);
    if (st == RT_OK) log_say(&s, path, last);
    if (st == RT_OK) *line = s.last, s.last = (rt_buf){0};
    free_sorted(&s), rt_buf_free(&all);
    return st;
}

static rt_status open_end(FILE **log, const char *path)
{
    *log = fopen(path, "a");
    RT_CHECK(*log, rt_status_of_errno(errno), "%s: cannot be opened: %s", path, strerror(errno));
    return RT_OK;
}

rt_status tr_log_open(FILE **log, rt_buf *line, const char *out, int64_t last)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", out, LOG);
    RT_TRY(read_and_settle(line, out, path, last));
    return open_end(log, path);
}

/* The log contains only complete lines of steps up to this one, so sorting it up to the previous step removes exactly this
 * step's line. */
rt_status tr_log_replace(FILE **log, const char *out, int64_t step, const rt_buf *line)
{
    char   path[4096];
    rt_buf all = {0};
    sorted s   = {0};
    snprintf(path, sizeof path, "%s/%s", out, LOG);
    rt_status st = rt_file_read(&all, path, (size_t)1 << 40);
    if (st == RT_OK) st = sort_all(&s, &all, step - 1);
    if (st == RT_OK) st = rt_buf_add(&s.kept, line->p, line->len);
    if (st == RT_OK) st = rt_file_write(path, s.kept.p, s.kept.len);
    free_sorted(&s), rt_buf_free(&all);
    RT_TRY(st);
    fclose(*log);
    return open_end(log, path);
}
