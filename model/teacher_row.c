/* teacher_row.c -- a teacher's row for one token: the top k, the tail, and samples of the tail.
 *
 * One pass over the vocabulary sums exp(z - max) of the tail in blocks.  A draw finds its
 * block from these sums and scans that block only, so m draws cost little.
 * The samples are drawn by systematic sampling: m points at equal distances along the tail's cumulative
 * mass, with one random offset.  The expected count of an id is m p / R, as with independent draws, but an id
 * with more than R / m of the mass is always drawn, and the counts of the others vary less.
 * All arithmetic is in f64.  The tail mass is a sum, not 1 minus the mass of the top k, so it is never negative.
 */
#include "model/teacher_row.h"
#include "core/rng.h"
#include <math.h>
#include <string.h>

enum { BLOCKS = 512 };

typedef struct tail {
    const real    *z;
    const int32_t *skip;          /* [k] the top k, in ascending id order */
    int64_t        V, k, size;    /* size: ids per block */
    double         top;           /* largest logit */
    double         block[BLOCKS]; /* sum of exp(z - top) over the tail ids of each block */
    double         mass, moment;  /* sums over the tail of e and of e (top - z), e = exp(z - top) */
} tail;

/* Returns 1 if a comes after b in the order "most likely first; on ties the smaller id first". */
static int comes_after(const real *z, int32_t a, int32_t b) { return z[a] < z[b] || (z[a] == z[b] && a > b); }

/* Restores the heap h[0 .. n-1], whose root comes last in the order, if only h[i] may be out of place. */
static void teacher_row_sift(const real *z, int32_t *h, int64_t n, int64_t i)
{
    for (int64_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && comes_after(z, h[c + 1], h[c])) c++;
        if (!comes_after(z, h[c], h[i])) return;
        const int32_t t = h[i];
        h[i]            = h[c];
        h[c]            = t;
    }
}

static void select_top(const real *z, int64_t V, int64_t k, int32_t *h)
{
    if (k == 0) return;
    for (int64_t i = 0; i < k; i++) h[i] = (int32_t)i;
    for (int64_t i = k / 2; i-- > 0;) teacher_row_sift(z, h, k, i);
    for (int64_t v = k; v < V; v++)
        if (z[v] > z[h[0]]) { /* on a tie the earlier, smaller id stays */
            h[0] = (int32_t)v;
            teacher_row_sift(z, h, k, 0);
        }
    for (int64_t n = k - 1; n > 0; n--) {
        const int32_t last = h[0];
        h[0]               = h[n];
        h[n]               = last;
        teacher_row_sift(z, h, n, 0);
    }
}

static void sort_ids(int32_t *a, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        const int32_t x = a[i];
        int64_t       j = i;
        for (; j > 0 && a[j - 1] > x; j--) a[j] = a[j - 1];
        a[j] = x;
    }
}

/* Returns exp(z - top) of id v, or 0 if v is in the top k.  *s is the current index in skip and is advanced. */
static double teacher_row_weight(const tail *r, int64_t v, int64_t *s)
{
    if (*s < r->k && r->skip[*s] == v) return (*s)++, 0;
    return exp((double)r->z[v] - r->top);
}

static void sum_tail(tail *r)
{
    int64_t s = 0;
    r->mass = r->moment = 0;
    for (int64_t b = 0; b * r->size < r->V; b++) {
        const int64_t end = (b + 1) * r->size < r->V ? (b + 1) * r->size : r->V;
        double        sum = 0, moment = 0;
        for (int64_t v = b * r->size; v < end; v++) {
            const double e = teacher_row_weight(r, v, &s);
            sum += e;
            if (e > 0) moment += e * (r->top - (double)r->z[v]);
        }
        r->block[b] = sum;
        r->mass += sum;
        r->moment += moment;
    }
}

/* Returns the id at which the cumulative sum over the tail first exceeds u * mass. */
static int32_t teacher_row_draw(const tail *r, double u)
{
    const double aim    = u * r->mass;
    double       before = 0;
    int64_t      b = 0, s = 0, found = 0;
    for (int64_t i = 0; i * r->size < r->V; i++) { /* if rounding exceeds the total, the last block with mass is used */
        if (r->block[i] <= 0) continue;
        b = i;
        if (before + r->block[i] > aim) break;
        if ((i + 1) * r->size < r->V) before += r->block[i];
    }
    while (s < r->k && r->skip[s] < b * r->size) s++;
    for (int64_t v = b * r->size; v < (b + 1) * r->size && v < r->V; v++) {
        const double e = teacher_row_weight(r, v, &s);
        if (e <= 0) continue;
        found = v;
        before += e;
        if (before > aim) break;
    }
    return (int32_t)found;
}

static double teacher_row_largest(const real *z, int64_t V)
{
    double top = (double)z[0];
    for (int64_t v = 1; v < V; v++)
        if ((double)z[v] > top) top = (double)z[v];
    return top;
}

static int64_t teacher_row_rank_of(const real *z, int64_t V, int32_t id)
{
    int64_t rank = 1;
    for (int64_t v = 0; v < V; v++) rank += z[v] > z[id] || (z[v] == z[id] && v < id);
    return rank;
}

/* Writes the scalars of the row into the columns that the block has. */
static void put_scalars(ds_rows *r, int64_t i, const md_teacher_row *x)
{
    if (r->valid) r->valid[i] = 1;
    if (r->tail_mass) r->tail_mass[i] = (float)x->tail_mass;
    if (r->tail_entropy) r->tail_entropy[i] = (float)x->tail_entropy;
    if (r->actual_logprob) r->actual_logprob[i] = (float)x->actual_logprob;
}

md_teacher_row md_teacher_fill(ds_rows *r, int64_t i, const real *z, int64_t V, int32_t actual, uint64_t seed)
{
    const int64_t k = r->k, m = r->tail_ids ? r->m : 0;
    int32_t       top[MD_TEACHER_MAX_K], skip[MD_TEACHER_MAX_K];
    tail          w   = {.z = z, .skip = skip, .V = V, .k = k, .size = (V + BLOCKS - 1) / BLOCKS, .top = teacher_row_largest(z, V)};
    rt_rng        rng = {seed};
    double        sum = 0, u = rt_rng_uniform(&rng);
    RT_ASSERT(i >= 0 && i < r->n && k >= 0 && k <= V && k <= MD_TEACHER_MAX_K && actual < V);
    select_top(z, V, k, top);
    memcpy(skip, top, (size_t)k * sizeof *top);
    sort_ids(skip, k);
    sum_tail(&w);
    for (int64_t j = 0; j < k; j++) sum += exp((double)z[top[j]] - w.top);
    sum += w.mass;
    const double   log_sum = log(sum);
    md_teacher_row x       = {.tail_mass = w.mass / sum, .tail_entropy = (w.moment + log_sum * w.mass) / sum};
    if (actual >= 0) x.actual_logprob = (double)z[actual] - w.top - log_sum, x.actual_rank = teacher_row_rank_of(z, V, actual);
    for (int64_t j = 0; j < k; j++) {
        r->topk_ids[i * k + j]     = top[j];
        r->topk_logprob[i * k + j] = (float)((double)z[top[j]] - w.top - log_sum);
    }
    for (int64_t j = 0; j < m; j++) r->tail_ids[i * m + j] = w.mass > 0 || !k ? teacher_row_draw(&w, ((double)j + u) / (double)m) : top[0];
    put_scalars(r, i, &x);
    return x;
}
