/* ledger_db.h -- what the files behind a ledger share: its handle, and SQL with errors that say what to do. */
#ifndef TC_LEDGER_DB_H
#define TC_LEDGER_DB_H
#include "teacher/ledger.h"
#include <sqlite3.h>

enum { TC_LEDGER_APPLICATION = 0x52544c47 /* "RTLG" */, TC_LEDGER_VERSION = 2 };

struct tc_ledger {
    sqlite3      *db;
    char         *path;
    int           made; /* by this handle: the file was not there before */
    int64_t       version;
    rt_buf        packed;
    sqlite3_stmt *put, *find, *note, *noted;
};

/* The error of the last call: "PATH: the ledger cannot WHAT: ..." */
rt_status tc_ledger_fail(const tc_ledger *l, const char *what);
rt_status tc_ledger_sql(tc_ledger *l, const char *sql, const char *what);
rt_status tc_ledger_prepare(tc_ledger *l, sqlite3_stmt **s, const char *sql);
/* Run a prepared statement that gives no rows, and make it ready for the next call. */
rt_status tc_ledger_step(tc_ledger *l, sqlite3_stmt *s);

/* The version of an open ledger.  RT_EFORMAT: another program's file, or a version that this one does not know. */
rt_status tc_ledger_version(tc_ledger *l, int64_t *version);

/* ledger_file.c: RT_EFORMAT where an existing file is no ledger; nothing is written.  may_be_new: an empty file and an
 * empty database, of which tc_ledger_open makes one, will do. */
rt_status tc_ledger_identify(const char *path, int may_be_new);
/* Opens a ledger of any version read-only: no byte of it changes.  tc_ledger_close. */
rt_status tc_ledger_open_read(tc_ledger **out, const char *path);

/* ledger_pack.c: a response as it is kept (zstd), and as it came (`size` bytes).  *out is replaced. */
rt_status tc_ledger_pack(rt_buf *out, const void *response, size_t n);
rt_status tc_ledger_unpack(rt_buf *out, const void *packed, size_t n, int64_t size, const char *where);
#endif
