/* ledger.c -- every request and its response, on disk (SQLite).
 *
 * WAL with synchronous=FULL: a commit is one fsync and is then durable.  The lock is
 * exclusive for the life of the handle: two collectors on one ledger would pay twice,
 * and without shared memory SQLite's WAL also works on network file systems.
 */
#include "core/file.h"
#include "teacher/ledger_db.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char schema[] = "CREATE TABLE request (key TEXT PRIMARY KEY, state INTEGER NOT NULL, attempts INTEGER NOT NULL,"
                             " status INTEGER, error TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL,"
                             " seconds REAL, time INTEGER, answer BLOB, size INTEGER);"
                             "CREATE TABLE note (name TEXT PRIMARY KEY, text TEXT NOT NULL);"
                             "PRAGMA application_id=1381256263; PRAGMA user_version=2;";
/* Version 1 stored responses uncompressed. */
static const char upgrade[] = "BEGIN; ALTER TABLE request ADD COLUMN size INTEGER; PRAGMA user_version=2; COMMIT;";

/* SQLite reports a full disk as such, but a quota or `ulimit -f` as a failed write. */
static rt_status ledger_status_of(sqlite3 *db)
{
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_FULL: return RT_ENOSPC;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return RT_EFORMAT;
    case SQLITE_BUSY: return RT_EINVAL;
    case SQLITE_NOMEM: return RT_ENOMEM;
    case SQLITE_IOERR: return sqlite3_extended_errcode(db) == SQLITE_IOERR_WRITE ? RT_ENOSPC : RT_EIO;
    default: return RT_EIO;
    }
}

rt_status tc_ledger_fail(const tc_ledger *l, const char *what)
{
    const rt_status st   = ledger_status_of(l->db);
    const char     *hint = st == RT_ENOSPC    ? "; make room (or raise the quota) and run the command again: the responses so far are safe"
                           : st == RT_EFORMAT ? "; expected a ledger of retort; choose another --ledger"
                           : st == RT_EINVAL  ? "; another process uses this ledger; wait for it or choose another --ledger"
                                              : "";
    RT_FAIL(st, "%s: the ledger cannot %s: %s%s", l->path, what, sqlite3_errmsg(l->db), hint);
}

rt_status tc_ledger_sql(tc_ledger *l, const char *sql, const char *what)
{
    return sqlite3_exec(l->db, sql, NULL, NULL, NULL) ? tc_ledger_fail(l, what) : RT_OK;
}

rt_status tc_ledger_prepare(tc_ledger *l, sqlite3_stmt **s, const char *sql)
{
    return sqlite3_prepare_v3(l->db, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL) ? tc_ledger_fail(l, "be read") : RT_OK;
}

static rt_status pragma(tc_ledger *l, const char *sql, int64_t *v)
{
    sqlite3_stmt *s = NULL;
    RT_TRY(tc_ledger_prepare(l, &s, sql));
    const int got = sqlite3_step(s);
    if (got == SQLITE_ROW) *v = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return got == SQLITE_ROW ? RT_OK : tc_ledger_fail(l, "be read");
}

rt_status tc_ledger_version(tc_ledger *l, int64_t *version)
{
    int64_t application = 0;
    RT_TRY(pragma(l, "PRAGMA application_id", &application));
    RT_CHECK(application == TC_LEDGER_APPLICATION, RT_EFORMAT,
             "%s: expected a ledger of retort, found another SQLite file; choose another --ledger", l->path);
    RT_TRY(pragma(l, "PRAGMA user_version", version));
    RT_CHECK(*version >= 1 && *version <= TC_LEDGER_VERSION, RT_EFORMAT, "%s: expected a ledger of version 1 to %d, found version %lld",
             l->path, (int)TC_LEDGER_VERSION, (long long)*version);
    return RT_OK;
}

static rt_status make_or_check(tc_ledger *l)
{
    int64_t application = 0, tables = 0;
    RT_TRY(pragma(l, "PRAGMA application_id", &application));
    RT_TRY(pragma(l, "SELECT count(*) FROM sqlite_master", &tables));
    if (!application && !tables) {
        RT_TRY(tc_ledger_sql(l, "BEGIN", "be made"));
        RT_TRY(tc_ledger_sql(l, schema, "be made"));
        return tc_ledger_sql(l, "COMMIT", "be made");
    }
    RT_TRY(tc_ledger_version(l, &l->version));
    return l->version == 1 ? tc_ledger_sql(l, upgrade, "be upgraded to version 2") : RT_OK;
}

static rt_status ledger_open_all(tc_ledger *l)
{
    if (sqlite3_open_v2(l->path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL)) return tc_ledger_fail(l, "be opened");
    sqlite3_busy_timeout(l->db, 2000);
    RT_TRY(tc_ledger_sql(l, "PRAGMA page_size=16384; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
                         "be opened"));
    RT_TRY(tc_ledger_sql(l, "BEGIN EXCLUSIVE; COMMIT", "be locked"));
    RT_TRY(make_or_check(l));
    RT_TRY(
        tc_ledger_prepare(l, &l->put,
                          "INSERT INTO request VALUES (?1,?2,1,?3,?4,?5,?6,?7,?8,unixepoch(),?9,?10) ON CONFLICT(key) DO UPDATE SET"
                          " state=?2, attempts=attempts+1, status=?3, error=?4, prompt_tokens=?5, completion_tokens=?6, cost=?7,"
                          " seconds=?8, time=unixepoch(), size=CASE WHEN ?9 IS NULL THEN size ELSE ?10 END, answer=coalesce(?9,answer)"));
    RT_TRY(tc_ledger_prepare(
        l, &l->find,
        "SELECT state, attempts, status, prompt_tokens, completion_tokens, cost, seconds, CASE WHEN ?2 THEN answer END, size"
        " FROM request WHERE key=?1"));
    RT_TRY(tc_ledger_prepare(l, &l->note, "INSERT OR REPLACE INTO note VALUES (?1,?2)"));
    RT_TRY(tc_ledger_prepare(l, &l->noted, "SELECT text FROM note WHERE name=?1"));
    return rt_file_sync_folder(l->path); /* the names of the ledger and of its WAL */
}

rt_status tc_ledger_open(tc_ledger **out, const char *path)
{
    tc_ledger *l = NULL;
    if (rt_file_exists(path)) RT_TRY(tc_ledger_identify(path, 1));
    RT_TRY(RT_NEW(l, 1));
    l->made      = !rt_file_exists(path);
    rt_status st = rt_strdup(&l->path, path);
    if (st == RT_OK) st = ledger_open_all(l);
    if (st != RT_OK) tc_ledger_close_empty(&l);
    else *out = l;
    return st;
}

void tc_ledger_close_empty(tc_ledger **l)
{
    int64_t requests = 0;
    rt_buf  path     = {0};
    if (*l && (*l)->made && (pragma(*l, "SELECT count(*) FROM request", &requests) != RT_OK || !requests))
        if (rt_buf_str(&path, (*l)->path) != RT_OK) rt_buf_free(&path);
    tc_ledger_close(l);
    if (path.p) unlink(path.p);
    rt_buf_free(&path);
}

void tc_ledger_close(tc_ledger **out)
{
    tc_ledger *l = *out;
    if (!l) return;
    sqlite3_finalize(l->put);
    sqlite3_finalize(l->find);
    sqlite3_finalize(l->note);
    sqlite3_finalize(l->noted);
    sqlite3_close(l->db);
    free(l->path);
    rt_buf_free(&l->packed);
    free(l);
    *out = NULL;
}

const char *tc_ledger_path(const tc_ledger *l) { return l->path; }

rt_status tc_ledger_key(char hex[RT_SHA_HEX], const char *dialect, const char *model, const char *path, const rt_buf *body)
{
    rt_sha *s = NULL;
    RT_TRY(rt_sha_begin(&s));
    rt_sha_add(s, dialect, strlen(dialect) + 1); /* the NULs keep the parts apart */
    rt_sha_add(s, model, strlen(model) + 1);
    rt_sha_add(s, path, strlen(path) + 1);
    rt_sha_add(s, body->p, body->len);
    rt_sha_end(&s, hex);
    return RT_OK;
}

rt_status tc_ledger_begin(tc_ledger *l) { return tc_ledger_sql(l, "BEGIN", "be written"); }

rt_status tc_ledger_end(tc_ledger *l, rt_status st)
{
    if (st == RT_OK) st = tc_ledger_sql(l, "COMMIT", "be written");
    if (st != RT_OK) sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

static void bind_count(sqlite3_stmt *s, int at, int64_t v)
{
    if (v >= 0) sqlite3_bind_int64(s, at, v);
}

static void bind_real(sqlite3_stmt *s, int at, double v)
{
    if (isfinite(v)) sqlite3_bind_double(s, at, v);
}

rt_status tc_ledger_step(tc_ledger *l, sqlite3_stmt *s)
{
    const rt_status st = sqlite3_step(s) == SQLITE_DONE ? RT_OK : tc_ledger_fail(l, "be written");
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return st;
}

/* Valid responses are stored compressed; bad ones, which are few and are read by people, as received. */
static rt_status bind_response(tc_ledger *l, sqlite3_stmt *s, const tc_entry *e)
{
    if (!e->response) return RT_OK;
    if (e->state != TC_DONE) {
        sqlite3_bind_blob64(s, 9, e->response, e->n, SQLITE_STATIC);
        return RT_OK;
    }
    RT_TRY(tc_ledger_pack(&l->packed, e->response, e->n));
    sqlite3_bind_blob64(s, 9, l->packed.p, l->packed.len, SQLITE_STATIC);
    sqlite3_bind_int64(s, 10, (int64_t)e->n);
    return RT_OK;
}

rt_status tc_ledger_put(tc_ledger *l, const char *key, const tc_entry *e)
{
    sqlite3_stmt *s = l->put;
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 2, (int)e->state);
    sqlite3_bind_int64(s, 3, e->status);
    if (e->error) sqlite3_bind_text(s, 4, e->error, -1, SQLITE_STATIC);
    bind_count(s, 5, e->prompt_tokens);
    bind_count(s, 6, e->completion_tokens);
    bind_real(s, 7, e->cost);
    bind_real(s, 8, e->seconds);
    RT_TRY(bind_response(l, s, e));
    return tc_ledger_step(l, s);
}

static int64_t column_count(sqlite3_stmt *s, int at)
{
    return sqlite3_column_type(s, at) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, at);
}

static double column_real(sqlite3_stmt *s, int at)
{
    return sqlite3_column_type(s, at) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(s, at);
}

static rt_status read_row(const tc_ledger *l, sqlite3_stmt *s, tc_entry *e, rt_buf *response)
{
    *e = (tc_entry){.state             = (tc_state)sqlite3_column_int(s, 0),
                    .attempts          = sqlite3_column_int64(s, 1),
                    .status            = (long)sqlite3_column_int64(s, 2),
                    .prompt_tokens     = column_count(s, 3),
                    .completion_tokens = column_count(s, 4),
                    .cost              = column_real(s, 5),
                    .seconds           = column_real(s, 6)};
    if (!response) return RT_OK;
    rt_buf_clear(response);
    const void   *p    = sqlite3_column_blob(s, 7);
    const size_t  n    = p ? (size_t)sqlite3_column_bytes(s, 7) : 0;
    const int64_t size = column_count(s, 8);
    return p && size >= 0 ? tc_ledger_unpack(response, p, n, size, l->path) : rt_buf_add(response, p, n);
}

rt_status tc_ledger_find(tc_ledger *l, const char *key, tc_entry *e, rt_buf *response)
{
    sqlite3_stmt *s = l->find;
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 2, response != NULL);
    const int got = sqlite3_step(s);
    rt_status st  = RT_OK;
    if (got == SQLITE_ROW) st = read_row(l, s, e, response);
    else if (got == SQLITE_DONE) *e = (tc_entry){.state = TC_ABSENT, .prompt_tokens = -1, .completion_tokens = -1};
    else st = tc_ledger_fail(l, "be read");
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return st;
}

rt_status tc_ledger_count(tc_ledger *l, int64_t *done) { return pragma(l, "SELECT count(*) FROM request WHERE state=3", done); }

rt_status tc_ledger_note(tc_ledger *l, const char *name, const char *text)
{
    sqlite3_bind_text(l->note, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(l->note, 2, text, -1, SQLITE_STATIC);
    return tc_ledger_step(l, l->note);
}

rt_status tc_ledger_noted(tc_ledger *l, const char *name, rt_buf *text)
{
    rt_buf_clear(text);
    sqlite3_bind_text(l->noted, 1, name, -1, SQLITE_STATIC);
    const int got = sqlite3_step(l->noted);
    rt_status st  = got == SQLITE_ROW    ? rt_buf_str(text, (const char *)sqlite3_column_text(l->noted, 0))
                    : got == SQLITE_DONE ? rt_buf_str(text, "")
                                         : tc_ledger_fail(l, "be read");
    sqlite3_reset(l->noted);
    return st;
}
