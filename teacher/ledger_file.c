/* ledger_file.c -- is a file a ledger?  Told from its first bytes, before SQLite may change any; and opened to be read alone. */
#include "core/file.h"
#include "teacher/ledger_db.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* SQLite's file header: its name, the pages at 28, the application at 68. */
enum { HEADER = 100, PAGES = 28, APPLICATION = 68 };

static uint32_t number_at(const unsigned char *h, int at)
{
    return (uint32_t)h[at] << 24 | (uint32_t)h[at + 1] << 16 | (uint32_t)h[at + 2] << 8 | h[at + 3];
}

/* A log of SQLite with something in it, beside the file: what it holds is not yet, or no longer, in the file. */
static int has_log(const char *path)
{
    static const char *const ends[] = {"-wal", "-journal"};
    struct stat              s;
    int                      found = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        rt_buf log = {0};
        if (rt_buf_fmt(&log, "%s%s", path, ends[i]) == RT_OK) found |= !stat(log.p, &s) && s.st_size > 0;
        rt_buf_free(&log);
    }
    return found;
}

rt_status tc_ledger_identify(const char *path, int may_be_new)
{
    unsigned char h[HEADER] = {0};
    struct stat   s;
    RT_CHECK(!stat(path, &s), RT_ENOENT, "%s: no such ledger", path);
    RT_CHECK(S_ISREG(s.st_mode), RT_EFORMAT,
             "%s: expected a ledger of retort, found something other than a regular file; choose another --ledger", path);
    FILE *f = fopen(path, "rb");
    RT_CHECK(f, RT_EIO, "%s: the ledger cannot be read: %s", path, strerror(errno));
    const size_t n = fread(h, 1, sizeof h, f);
    fclose(f);
    if (!n && may_be_new) return RT_OK;
    RT_CHECK(n == sizeof h && !memcmp(h, "SQLite format 3", 16), RT_EFORMAT,
             "%s: expected a ledger of retort, found %s; choose another --ledger", path, n ? "another kind of file" : "an empty file");
    if (number_at(h, APPLICATION) == TC_LEDGER_APPLICATION) return RT_OK;
    /* a process that was killed while it made the ledger left one page, or all in the log */
    if (!number_at(h, APPLICATION) && (has_log(path) || (may_be_new && number_at(h, PAGES) <= 1))) return RT_OK;
    RT_FAIL(RT_EFORMAT, "%s: expected a ledger of retort, found another SQLite file; choose another --ledger", path);
}

/* "file:PATH?immutable=1": without a log no process writes, and SQLite makes no file beside it. */
static rt_status add_uri(rt_buf *uri, const char *path)
{
    RT_TRY(rt_buf_str(uri, "file:"));
    for (const char *p = path; *p; p++)
        RT_TRY(rt_buf_fmt(uri, isalnum((unsigned char)*p) || strchr("/._-", *p) ? "%c" : "%%%02X", (unsigned char)*p));
    return rt_buf_str(uri, has_log(path) ? "?mode=ro" : "?immutable=1");
}

rt_status tc_ledger_open_read(tc_ledger **out, const char *path)
{
    tc_ledger *l   = NULL;
    rt_buf     uri = {0};
    RT_TRY(tc_ledger_identify(path, 0));
    RT_TRY(RT_NEW(l, 1));
    rt_status st = rt_strdup(&l->path, path);
    if (st == RT_OK) st = add_uri(&uri, path);
    if (st == RT_OK && sqlite3_open_v2(uri.p, &l->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL)) st = tc_ledger_fail(l, "be opened");
    if (st == RT_OK) st = tc_ledger_version(l, &l->version);
    rt_buf_free(&uri);
    if (st != RT_OK) tc_ledger_close(&l);
    else *out = l;
    return st;
}
