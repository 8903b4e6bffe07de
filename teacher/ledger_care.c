/* ledger_care.c -- statistics of a ledger, and pruning. */
#include "core/file.h"
#include "data/shard.h"
#include "teacher/ledger_db.h"
#include <string.h>

/* ---- stats --------------------------------------------------------------------------------------- */

static void add_state(tc_ledger_stats *s, sqlite3_stmt *row)
{
    int64_t *const states[] = {NULL, &s->failed, &s->bad, &s->done, &s->in_shard};
    const int      state    = sqlite3_column_int(row, 0);
    if (state >= 1 && state <= TC_IN_SHARD) *states[state] += sqlite3_column_int64(row, 1);
    s->responses += sqlite3_column_int64(row, 2);
    s->kept += sqlite3_column_int64(row, 3);
    s->prompt_tokens += sqlite3_column_int64(row, 4);
    s->completion_tokens += sqlite3_column_int64(row, 5);
    s->cost += sqlite3_column_double(row, 6);
    s->seconds += sqlite3_column_double(row, 7);
}

/* Every row of a query, to add(). */
static rt_status each_row(tc_ledger *l, const char *sql, void (*add)(tc_ledger_stats *, sqlite3_stmt *), tc_ledger_stats *s)
{
    sqlite3_stmt *row = NULL;
    int           got;
    RT_TRY(tc_ledger_prepare(l, &row, sql));
    while ((got = sqlite3_step(row)) == SQLITE_ROW) add(s, row);
    sqlite3_finalize(row);
    return got == SQLITE_DONE ? RT_OK : tc_ledger_fail(l, "be read");
}

static void add_reason(tc_ledger_stats *s, sqlite3_stmt *row)
{
    tc_tally_add(&s->reasons, (const char *)sqlite3_column_text(row, 0), sqlite3_column_int64(row, 1));
}

/* `size`: an expression for the bytes of a response as it came (version 1 has no column for it). */
#define BY_STATE(size)                                                                                                                \
    "SELECT state, count(*), sum(" size "), sum(length(answer)), sum(prompt_tokens), sum(completion_tokens), sum(cost), sum(seconds)" \
    " FROM request GROUP BY state"

rt_status tc_ledger_look(const char *path, tc_ledger_stats *out)
{
    tc_ledger      *l = NULL;
    tc_ledger_stats s = {0};
    RT_TRY(tc_ledger_open_read(&l, path));
    rt_status st = each_row(l, l->version == 1 ? BY_STATE("length(answer)") : BY_STATE("coalesce(size, length(answer))"), add_state, &s);
    if (st == RT_OK)
        st = each_row(l, "SELECT coalesce(error, ''), count(*) FROM request WHERE state < 3 GROUP BY error ORDER BY count(*) DESC",
                      add_reason, &s);
    tc_ledger_close(&l);
    s.file = rt_file_size(path);
    if (st == RT_OK) *out = s;
    return st;
}

/* ---- pruning ------------------------------------------------------------------------------------- */

/* Compresses the responses that version 1 stored uncompressed. */
static rt_status pack_old(tc_ledger *l)
{
    sqlite3_stmt *from = NULL, *to = NULL;
    rt_status st = tc_ledger_prepare(l, &from, "SELECT rowid, answer FROM request WHERE state = 3 AND size IS NULL AND answer NOT NULL");
    if (st == RT_OK) st = tc_ledger_prepare(l, &to, "UPDATE request SET answer=?2, size=?3 WHERE rowid=?1");
    while (st == RT_OK && sqlite3_step(from) == SQLITE_ROW) {
        const int64_t n = sqlite3_column_bytes(from, 1);
        if ((st = tc_ledger_pack(&l->packed, sqlite3_column_blob(from, 1), (size_t)n)) != RT_OK) break;
        sqlite3_bind_int64(to, 1, sqlite3_column_int64(from, 0));
        sqlite3_bind_blob64(to, 2, l->packed.p, l->packed.len, SQLITE_STATIC);
        sqlite3_bind_int64(to, 3, n);
        st = tc_ledger_step(l, to);
    }
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    return st;
}

static rt_status drop_held(tc_ledger *l, ds_shard *s)
{
    sqlite3_stmt *drop = NULL;
    ds_doc        d;
    rt_status     st = tc_ledger_prepare(l, &drop, "UPDATE request SET state=4, answer=NULL, size=NULL WHERE key=?1 AND state=3");
    for (int64_t i = 0; st == RT_OK && i < ds_shard_docs(s); i++) {
        if ((st = ds_shard_doc(s, i, &d)) != RT_OK) break;
        sqlite3_bind_text(drop, 1, d.request, -1, SQLITE_STATIC);
        st = tc_ledger_step(l, drop);
    }
    sqlite3_finalize(drop);
    return st;
}

static rt_status drop_responses(tc_ledger *l, const char *shard)
{
    ds_shard *s = NULL;
    if (!shard) return RT_OK;
    RT_TRY(ds_shard_open(&s, shard));
    rt_status st = ds_shard_verify(s);
    if (st == RT_OK) st = drop_held(l, s);
    ds_shard_close(&s);
    return st;
}

static rt_status ledger_care_prune(tc_ledger *l, const char *shard)
{
    RT_TRY(tc_ledger_begin(l));
    rt_status st = drop_responses(l, shard);
    if (st == RT_OK) st = tc_ledger_sql(l, "UPDATE request SET answer=NULL, size=NULL WHERE state < 3", "be pruned");
    if (st == RT_OK) st = pack_old(l);
    RT_TRY(tc_ledger_end(l, st));
    return tc_ledger_sql(l, "VACUUM", "be compacted");
}

rt_status tc_ledger_prune(const char *path, const char *shard)
{
    tc_ledger *l = NULL;
    RT_TRY(tc_ledger_identify(path, 0));
    RT_TRY(tc_ledger_open(&l, path));
    const rt_status st = ledger_care_prune(l, shard);
    tc_ledger_close(&l);
    return st;
}
