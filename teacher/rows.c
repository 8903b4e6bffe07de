/* rows.c -- one row of a response: the alternatives for one token, checked.
 *
 * A server sends the k most likely plus the actual token, unsorted.  We sort by rank,
 * keep k, and remember the actual token's log-probability apart.
 */
#include "data/wire.h"
#include "teacher/dialect.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums of k probabilities that left a bf16 or f16 server may exceed 1 by this much. */
#define SUM_SLACK 1e-3
/* Servers compute entropies and masses separately. */
#define ENTROPY_SLACK 1e-3
/* Tail mass that nine digits cannot distinguish from 0. */
#define TAIL_ZERO 1e-6

enum { MAX_RANK = 1000000000 };

typedef struct entry {
    int32_t id;
    int64_t rank; /* 0: not said */
    double  logprob;
} entry;

rt_status tc_id_read(int32_t *id, const cJSON *x, int64_t vocab, const char *field, int64_t at)
{
    const double d = cJSON_IsNumber(x) ? x->valuedouble : -1.0;
    if (!(d >= 0) || d != floor(d)) TC_MALFORMED("%s[%lld]: expected a token id", field, (long long)at);
    if (d >= (double)vocab)
        TC_MALFORMED("%s[%lld]: token id %.0f, but the vocabulary has %lld entries", field, (long long)at, d, (long long)vocab);
    *id = (int32_t)d;
    return RT_OK;
}

/* Accepts decimal digits without a leading zero, so that each id has one name. */
static rt_status id_of_digits(int32_t *id, const char *s, int64_t vocab, const char *field, int64_t at)
{
    const size_t n = strspn(s, "0123456789");
    if (!n || s[n] || (n > 1 && s[0] == '0'))
        TC_MALFORMED("%s[%lld]: expected a token id as key, found \"%.40s\"", field, (long long)at, s);
    const int64_t v = n > 10 ? INT64_MAX : strtoll(s, NULL, 10);
    if (v >= vocab)
        TC_MALFORMED("%s[%lld]: token id %.24s, but the vocabulary has %lld entries", field, (long long)at, s, (long long)vocab);
    *id = (int32_t)v;
    return RT_OK;
}

rt_status tc_id_named(int32_t *id, const char *name, int64_t vocab, const char *field, int64_t at)
{
    static const char prefix[] = "token_id:";
    if (!name || strncmp(name, prefix, sizeof prefix - 1))
        TC_MALFORMED("%s[%lld]: expected \"token_id:N\", found \"%.40s\"", field, (long long)at, name ? name : "null");
    return id_of_digits(id, name + sizeof prefix - 1, vocab, field, at);
}

static rt_status check_logprob(double x, const char *field, int64_t at)
{
    if (!isfinite(x)) TC_MALFORMED("%s[%lld]: expected a finite log-probability, found none", field, (long long)at);
    if (x > 1e-6) TC_MALFORMED("%s[%lld]: expected a log-probability of at most 0, found %g", field, (long long)at, x);
    return RT_OK;
}

static rt_status rows_read_entry(entry *e, const cJSON *o, const tc_request *q, const char *field, int64_t at)
{
    const char *key = o->string ? o->string : "";
    if (strncmp(key, "token_id:", 9)) RT_TRY(id_of_digits(&e->id, key, q->vocab, field, at));
    else RT_TRY(tc_id_named(&e->id, key, q->vocab, field, at));
    const cJSON *lp = cJSON_IsObject(o) ? cJSON_GetObjectItemCaseSensitive(o, WIRE_LOGPROB) : o;
    const cJSON *rk = cJSON_IsObject(o) ? cJSON_GetObjectItemCaseSensitive(o, WIRE_RANK) : NULL;
    e->logprob      = cJSON_IsNumber(lp) && lp->valuedouble < 9e9 ? lp->valuedouble : (double)NAN; /* 9e9: how core/json reads NaN */
    e->rank         = 0;
    if (rk && !cJSON_IsNull(rk) && !rt_json_whole(rk, 1, MAX_RANK, &e->rank))
        TC_MALFORMED("%s[%lld]: the rank of token id %d must be a positive integer", field, (long long)at, e->id);
    RT_TRY(check_logprob(e->logprob, field, at));
    if (e->logprob > 0) e->logprob = 0;
    return RT_OK;
}

static int rows_by_rank(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    if (a->rank && b->rank && a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    if (a->logprob != b->logprob) return a->logprob > b->logprob ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* The ranks against the log-probabilities: a rank is at least one more than the number of better alternatives that are
 * listed, and the k entries that are kept have no better ones that are not.  (Equal ones may share a rank, or all have
 * the last of theirs.) */
static rt_status check_ranks(const entry *e, int64_t c, const tc_request *q, const char *field, int64_t at)
{
    for (int64_t i = 0; i < c; i++) {
        int64_t better = 0, as_good = 0;
        if (e[i].rank == i + 1) continue;
        for (int64_t j = 0; j < c; j++) {
            better += e[j].logprob > e[i].logprob + 1e-5;
            as_good += e[j].logprob >= e[i].logprob - 1e-6;
        }
        if (e[i].rank <= better)
            TC_MALFORMED("%s[%lld]: token id %d has rank %lld, but %lld others are more likely", field, (long long)at, e[i].id,
                         (long long)e[i].rank, (long long)better);
        if (i < q->k && e[i].rank > as_good)
            TC_MALFORMED(
                "%s[%lld]: token id %d has rank %lld but is number %lld of the alternatives by probability; the top %lld are incomplete",
                field, (long long)at, e[i].id, (long long)e[i].rank, (long long)i + 1, (long long)q->k);
    }
    return RT_OK;
}

/* Reads all alternatives of one row, most likely first; *n of at most k + 2. */
static rt_status rows_read_entries(entry *e, int64_t *n, const cJSON *o, const tc_request *q, const char *field, int64_t at)
{
    int64_t c = 0, ranked = 0;
    if (!cJSON_IsObject(o))
        TC_MALFORMED("%s[%lld]: expected an object of alternatives, found %s", field, (long long)at,
                     o && !cJSON_IsNull(o) ? "another type" : "null");
    for (const cJSON *x = o->child; x; x = x->next, c++) {
        if (c >= q->k + 2) TC_MALFORMED("%s[%lld]: more than the %lld requested alternatives", field, (long long)at, (long long)q->k + 1);
        RT_TRY(rows_read_entry(&e[c], x, q, field, at));
        ranked += e[c].rank > 0;
    }
    if (c < q->k)
        TC_MALFORMED("%s[%lld]: found %lld alternatives, but %lld were requested", field, (long long)at, (long long)c, (long long)q->k);
    if (ranked && ranked < c) /* the entry without a rank may have replaced another */
        TC_MALFORMED("%s[%lld]: %lld of %lld alternatives have a rank; expected all or none", field, (long long)at, (long long)ranked,
                     (long long)c);
    qsort(e, (size_t)c, sizeof *e, rows_by_rank);
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < i; j++)
            if (e[i].id == e[j].id) TC_MALFORMED("%s[%lld]: token id %d occurs twice", field, (long long)at, e[i].id);
    *n = c;
    return !ranked ? RT_OK : check_ranks(e, c, q, field, at);
}

/* Stores the k most likely entries; the remaining probability is the tail mass. */
static rt_status keep_top(tc_response *out, const tc_request *q, int64_t row, const entry *e, const char *field, int64_t at)
{
    double sum = 0;
    for (int64_t i = 0; i < q->k; i++) {
        if (i && e[i].logprob > e[i - 1].logprob + 1e-5)
            TC_MALFORMED("%s[%lld]: token id %d has a lower rank than %d but a higher probability", field, (long long)at, e[i].id,
                         e[i - 1].id);
        sum += exp(e[i].logprob);
        out->rows.topk_ids[row * q->k + i]     = e[i].id;
        out->rows.topk_logprob[row * q->k + i] = (float)e[i].logprob;
    }
    if (sum > 1 + SUM_SLACK)
        TC_MALFORMED("%s[%lld]: expected probabilities with a sum of at most 1, found %.6f", field, (long long)at, sum);
    out->rows.tail_mass[row] = sum < 1 ? (float)(1 - sum) : 0.0F;
    return RT_OK;
}

rt_status tc_row_read(tc_response *out, const tc_request *q, int64_t row, const cJSON *alternatives, double actual, const char *field,
                      int64_t at)
{
    entry         e[TC_MAX_K + 2];
    int64_t       n  = 0;
    const int32_t id = out->ids[row + 1];
    RT_TRY(rows_read_entries(e, &n, alternatives, q, field, at));
    RT_TRY(keep_top(out, q, row, e, field, at));
    for (int64_t i = 0; i < n; i++)
        if (e[i].id == id) {
            if (fabs(actual - e[i].logprob) > 1e-3)
                TC_MALFORMED("%s[%lld]: token id %d has two different log-probabilities, %g and %g", field, (long long)at, id, actual,
                             e[i].logprob);
            actual = e[i].logprob;
        }
    if (isnan(actual))
        TC_MALFORMED("%s[%lld]: the alternatives do not include token id %d, which is the token at this position", field, (long long)at,
                     id);
    RT_TRY(check_logprob(actual, field, at));
    int inside = 0;
    for (int64_t i = 0; i < q->k; i++) inside |= e[i].id == id;
    if (!inside && actual > e[q->k - 1].logprob + 1e-4)
        TC_MALFORMED("%s[%lld]: token id %d is not among the top %lld but is more likely than the last of them", field, (long long)at, id,
                     (long long)q->k);
    out->rows.actual_logprob[row] = actual < 0 ? (float)actual : 0.0F;
    out->rows.valid[row]          = 1;
    return RT_OK;
}

rt_status tc_row_tail(tc_response *out, const tc_request *q, int64_t row, const cJSON *ids, const char *field, int64_t at)
{
    int64_t n = 0;
    if (!cJSON_IsArray(ids)) TC_MALFORMED("%s[%lld]: expected a list of %lld token ids", field, (long long)at, (long long)q->m);
    for (const cJSON *x = ids->child; x; x = x->next, n++) {
        int32_t id = 0;
        if (n >= q->m) TC_MALFORMED("%s[%lld]: more than the %lld requested samples", field, (long long)at, (long long)q->m);
        RT_TRY(tc_id_read(&id, x, q->vocab, field, at));
        for (int64_t i = 0; i < q->k; i++) {
            if (out->rows.topk_ids[row * q->k + i] != id) continue;
            if (out->rows.tail_mass[row] > TAIL_ZERO)
                TC_MALFORMED("%s[%lld]: the tail sample %d is among the top %lld", field, (long long)at, id, (long long)q->k);
            out->rows.tail_mass[row] = 0; /* the tail is empty, so any id is stored with weight 0 */
        }
        out->rows.tail_ids[row * q->m + n] = id;
    }
    if (n < q->m)
        TC_MALFORMED("%s[%lld]: found %lld samples, but %lld were requested", field, (long long)at, (long long)n, (long long)q->m);
    return RT_OK;
}

rt_status tc_row_entropy(tc_response *out, const tc_request *q, int64_t row, const cJSON *x, const char *field, int64_t at)
{
    const double h = cJSON_IsNumber(x) ? x->valuedouble : (double)NAN;
    if (!(h >= -1e-6 && h <= log((double)q->vocab) + 1))
        TC_MALFORMED("%s[%lld]: expected an entropy between 0 and log(vocabulary)", field, (long long)at);
    /* n tokens that share the mass r have at most the entropy r log(n / r); none of them is likelier than the k-th. */
    const double r = (double)out->rows.tail_mass[row], last = (double)out->rows.topk_logprob[row * q->k + q->k - 1];
    const double most = r > 0 ? r * log((double)q->vocab / r) : 0;
    if (h > most + ENTROPY_SLACK || h < -r * last - ENTROPY_SLACK)
        TC_MALFORMED("%s[%lld]: found an entropy of %.6f, but a tail of mass %.6f after the top %lld has an entropy from %.6f to %.6f",
                     field, (long long)at, h, r, (long long)q->k, -r * last, most);
    out->rows.tail_entropy[row] = h > 0 ? (float)h : 0.0F;
    return RT_OK;
}
