/* rows.c -- blocks of rows: memory, copies, and rows restricted to a model with fewer ids.
 *
 * A teacher's matrix may be padded with rows that no text contains, and these rows may get probability.  Ids that the student
 * lacks are removed and the remaining distribution is renormalised: the student's target is the teacher's distribution given that
 * the id is one of the student's.  The removed mass is exact for the k entries; for the tail it is estimated by the share of the
 * tail samples that are removed.
 */
#include "data/rows.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- columns ----------------------------------------------------------------------------------- */

enum { PER_one, PER_k, PER_m, PER_bytes };
static const struct {
    const char *name;
    size_t      at, size; /* offset of the pointer in ds_rows, bytes per value */
    int         per;
} columns[DS_ROW_WIDTH] = {
#define X(type, name, per) {#name, offsetof(ds_rows, name), sizeof(type), PER_##per},
    DS_ROW_COLUMNS(X)
#undef X
};

static void *rows_get(const ds_rows *r, int c)
{
    void *p;
    memcpy(&p, (const char *)r + columns[c].at, sizeof p);
    return p;
}

static void rows_set(ds_rows *r, int c, void *p) { memcpy((char *)r + columns[c].at, &p, sizeof p); }

/* Returns the values per row of column c. */
static int64_t rows_width(const ds_rows *r, int c) { return (const int64_t[]){1, r->k, r->m, r->bytes}[columns[c].per]; }

static size_t row_bytes(const ds_rows *r, int c) { return (size_t)rows_width(r, c) * columns[c].size; }

rt_status ds_rows_alloc(ds_rows *r, unsigned wanted)
{
    for (int c = 0; c < DS_ROW_WIDTH; c++) {
        void *p = NULL;
        if (wanted & 1u << c && rows_width(r, c)) RT_TRY(rt_alloc(&p, r->n * rows_width(r, c), columns[c].size, columns[c].name));
        rows_set(r, c, p);
    }
    return RT_OK;
}

void ds_rows_free(ds_rows *r)
{
    for (int c = 0; c < DS_ROW_WIDTH; c++) free(rows_get(r, c));
    *r = (ds_rows){0};
}

void ds_rows_clear(ds_rows *r, int64_t n)
{
    for (int c = 0; c < DS_ROW_WIDTH; c++)
        if (rows_get(r, c)) memset(rows_get(r, c), 0, (size_t)n * row_bytes(r, c));
}

ds_rows ds_rows_slice(const ds_rows *r, int64_t first, int64_t n)
{
    RT_ASSERT(first >= 0 && n >= 0 && first + n <= r->n);
    ds_rows s = *r;
    s.n       = n;
    for (int c = 0; c < DS_ROW_WIDTH; c++)
        if (rows_get(r, c)) rows_set(&s, c, (char *)rows_get(r, c) + (size_t)first * row_bytes(r, c));
    return s;
}

/* Returns the entropy of row i outside its first k entries: that of the tail and of the entries from k on. */
static double entropy_beyond(const ds_rows *r, int64_t i, int64_t k)
{
    double h = r->tail_entropy ? (double)r->tail_entropy[i] : (double)NAN;
    for (int64_t j = k; j < r->k; j++) {
        const double lp = (double)r->topk_logprob[i * r->k + j], p = exp(lp);
        if (p > 0) h -= p * lp;
    }
    return h;
}

void ds_rows_copy(ds_rows *to, int64_t at, const ds_rows *from, int64_t i)
{
    RT_ASSERT(at >= 0 && at < to->n && i >= 0 && i < from->n && to->k <= from->k);
    RT_ASSERT((!to->m || to->m == from->m) && (!to->bytes || to->bytes == from->bytes));
    for (int c = 0; c < DS_ROW_WIDTH; c++) {
        const size_t row = row_bytes(to, c);
        if (rows_get(to, c) && rows_get(from, c))
            memcpy((char *)rows_get(to, c) + (size_t)at * row, (char *)rows_get(from, c) + (size_t)i * row_bytes(from, c), row);
    }
    if (to->tail_entropy) to->tail_entropy[at] = (float)entropy_beyond(from, i, to->k);
}

/* ---- rows of a model with fewer ids ------------------------------------------------------------------ */

/* Moves the ids below V to the front, sets the others to -1 and returns how many remain.  `x` (may be NULL) moves with them. */
static int64_t rows_keep(int64_t V, int64_t n, int32_t *ids, float *x)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= V) continue;
        ids[kept] = ids[i];
        if (x) x[kept] = x[i];
        kept++;
    }
    for (int64_t i = kept; i < n; i++) ids[i] = -1;
    return kept;
}

static int64_t outside(int64_t V, int64_t n, const int32_t *ids)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += ids[i] >= V;
    return count;
}

void ds_rows_restrict(ds_rows *r, int64_t i, int64_t V)
{
    const ds_rows row = ds_rows_slice(r, i, 1);
    const int64_t k = row.topk_ids ? row.k : 0, m = row.tail_ids ? row.m : 0, tail_out = outside(V, m, row.tail_ids);
    double        sum = 0, out = 0;
    if (!tail_out && !outside(V, k, row.topk_ids)) return;
    for (int64_t j = 0; j < k; j++) {
        const double p = exp((double)row.topk_logprob[j]);
        sum += p;
        out += row.topk_ids[j] >= V ? p : 0;
    }
    const double  tail = fmax(0, 1 - sum), share = m ? (double)(m - tail_out) / (double)m : 1;
    const double  log_all = log(fmax(1 - out - tail * (1 - share), 1e-30));
    const int64_t kept    = rows_keep(V, k, row.topk_ids, row.topk_logprob);
    for (int64_t j = 0; j < kept; j++) row.topk_logprob[j] = (float)fmin((double)row.topk_logprob[j] - log_all, 0);
    rows_keep(V, m, row.tail_ids, NULL);
    /* -sum p/Z log(p/Z) over the remaining tail, whose share of the tail entropy is its share of the samples */
    if (row.tail_entropy) *row.tail_entropy = (float)((share * (double)*row.tail_entropy + share * tail * log_all) / exp(log_all));
}
