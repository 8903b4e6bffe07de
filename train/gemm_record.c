/* gemm_record.c -- a run that continues computes with the gemm backend that its checkpoint records, or says that it does not. */
#include "core/progress.h"
#include "train/trainer.h"
#include <stdio.h>
#include <string.h>

/* The members of a record (kn_gemm_put). */
static const char *const members[] = {"backend", "of_reals", "kernel", "instruction", "tile", "openblas"};
enum { BACKEND, OF_REALS, MEMBERS = sizeof members / sizeof *members };
typedef struct record { /* all zero: there is none.  Compared and sent as bytes */
    char v[MEMBERS][48];
} record;

static int record_is(const record *a, const record *b) { return !memcmp(a, b, sizeof *a); }

static void record_take(record *r, const cJSON *object)
{
    memset(r, 0, sizeof *r);
    for (int i = 0; i < MEMBERS; i++) {
        const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, members[i]));
        if (word) snprintf(r->v[i], sizeof r->v[i], "%s", word);
    }
}

/* The backends in use. */
static rt_status record_now(record *r)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    cJSON         *o = NULL;
    kn_gemm_put(&w, NULL);
    if (w.st == RT_OK) w.st = rt_json_parse(&o, b.p, b.len, 0, "kn_gemm_put");
    if (w.st == RT_OK) record_take(r, o);
    cJSON_Delete(o);
    rt_buf_free(&b);
    return w.st;
}

/* Those in the manifest of the checkpoint folder; none if an earlier version wrote it. */
static rt_status record_read(record *r, const char *dir)
{
    char   path[4096];
    cJSON *manifest;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    RT_TRY(rt_json_read(&manifest, path, 0));
    record_take(r, cJSON_GetObjectItemCaseSensitive(manifest, TR_GEMM_RECORD));
    cJSON_Delete(manifest);
    return RT_OK;
}

/* ---- the difference -------------------------------------------------------------------------------------------- */

/* Appends the members of a that differ from those of b: "backend openblas, kernel avx512". */
static rt_status add_differences(rt_buf *out, const record *a, const record *b)
{
    const char *comma = "";
    for (int i = 0; i < MEMBERS; i++) {
        if (!strcmp(a->v[i], b->v[i])) continue;
        RT_TRY(rt_buf_fmt(out, "%s%s %s", comma, members[i], *a->v[i] ? a->v[i] : "none"));
        comma = ", ";
    }
    return RT_OK;
}

static rt_status say_difference(const record *was, const record *is, int64_t step)
{
    rt_buf    b  = {0};
    rt_status st = rt_buf_str(&b, "bits will differ from those of an uninterrupted run: gemm had ");
    if (st == RT_OK) st = add_differences(&b, was, is);
    if (st == RT_OK) st = rt_buf_fmt(&b, " until step %lld, and now has ", (long long)step);
    if (st == RT_OK) st = add_differences(&b, is, was);
    if (st == RT_OK) rt_note("%s (%s)", b.p, kn_gemm_why());
    rt_buf_free(&b);
    return st;
}

/* ---- taking it ------------------------------------------------------------------------------------------------- */

/* Takes the recorded backends.  *other = 1 if this rank still computes in another way, or with another library than rank 0; collective. */
static rt_status try_record(rt_comm *comm, const record *was, int64_t *other)
{
    record    is;
    char      first[512];
    const int taken = kn_gemm_take(was->v[BACKEND], was->v[OF_REALS], "as in the checkpoint") == RT_OK;
    snprintf(first, sizeof first, "%s", kn_gemm_describe());
    RT_TRY(rt_comm_agree(comm, record_now(&is)));
    RT_TRY(comm->broadcast(comm, first, sizeof first));
    *other = !taken || !record_is(was, &is) || strcmp(first, kn_gemm_describe()) != 0;
    return comm->max_i64(comm, other, 1);
}

/* Takes the recorded backends on all ranks or, if one rank cannot compute as the record says, on none; collective. */
static rt_status take_record(rt_comm *comm, const record *was)
{
    const char *backend = kn_gemm_name(), *of_reals = kn_gemm_name_of_reals();
    char        why[256];
    int64_t     other;
    snprintf(why, sizeof why, "%s", kn_gemm_why());
    RT_TRY(try_record(comm, was, &other));
    return other ? kn_gemm_take(backend, of_reals, why) : RT_OK;
}

rt_status tr_gemm_resume(rt_comm *comm, const char *dir, int64_t step)
{
    record  was, is, none = {0};
    int64_t requested = kn_gemm_requested();
    RT_TRY(rt_comm_agree(comm, comm->rank ? RT_OK : record_read(&was, dir)));
    RT_TRY(comm->broadcast(comm, &was, sizeof was));
    RT_TRY(comm->max_i64(comm, &requested, 1));
    if (record_is(&was, &none)) return RT_OK;
    if (!requested) RT_TRY(take_record(comm, &was));
    rt_status st = record_now(&is);
    if (st == RT_OK && !comm->rank && !record_is(&was, &is)) st = say_difference(&was, &is, step);
    return rt_comm_agree(comm, st);
}
