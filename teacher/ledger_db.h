/* ledger_db.h -- what the files behind a ledger share: its handle, and SQL with errors that say what to do. */
#ifndef TC_LEDGER_DB_H
#define TC_LEDGER_DB_H
#include "teacher/ledger.h"
#include <sqlite3.h>

struct tc_ledger {
    sqlite3      *db;
    char         *path;
    int           made; /* by this handle: the file was not there before */
    rt_buf        packed;
    sqlite3_stmt *put, *find, *note, *noted;
};

/* The error of the last call: "PATH: the ledger cannot WHAT: ..." */
rt_status tc_ledger_fail(const tc_ledger *l, const char *what);
rt_status tc_ledger_sql(tc_ledger *l, const char *sql, const char *what);
rt_status tc_ledger_prepare(tc_ledger *l, sqlite3_stmt **s, const char *sql);
/* Run a prepared statement that gives no rows, and make it ready for the next call. */
rt_status tc_ledger_step(tc_ledger *l, sqlite3_stmt *s);

/* ledger_pack.c: an answer as it is kept (zstd), and as it came (`size` bytes).  *out is replaced. */
rt_status tc_ledger_pack(rt_buf *out, const void *answer, size_t n);
rt_status tc_ledger_unpack(rt_buf *out, const void *packed, size_t n, int64_t size, const char *where);
#endif
