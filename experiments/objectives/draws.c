/* draws.c -- retort-draws: other ways to draw what lies beyond a teacher's exact entries, to compare with the product's. Not a part of it.
 *
 * usage: retort-draws MODEL TEXT.h5 OUT.h5 WAY K N
 *
 * A row of OUT is a target of K + N weighted ids, written as top k entries (the logarithm of the weight, the largest first) and learnt
 * with objective.kind=truncated, whose loss is -sum w log q. K entries are exact; N draws share the rest's mass R:
 *
 *   replace     N independent draws, R/N each
 *   systematic  the product's: one uniform u, aims (j + u) R/N along the rest in the order of ids, R/N each
 *   likely      the same along the rest from the most likely id on
 *   without     N different ids: those of highest priority p/u, u uniform for each id; max(p, t) each, t the next priority (Duffield,
 *               Lund, Thorup 2007)
 *   tempered    N independent draws from sqrt(p), normalised: p over the probability to be drawn, each
 *
 * Weights of the last two add up to R in the mean alone: they are scaled to R, which biases them a little and keeps a target's mass at 1.
 * Draws that coincide add up. What is missing of K + N ids is filled with further ids of weight e^-50, which nothing feels.
 * Rows are seeded as `retort score --model` seeds them: `systematic` draws the very ids that it stores.
 */
#include "core/rng.h"
#include "core/threads.h"
#include "data/shard.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PACK = 1024 /* tokens in a pass */, NOTHING = -50 /* log-probability of an id that fills a row */ };

typedef enum way { REPLACE, SYSTEMATIC, LIKELY, WITHOUT, TEMPERED, WAYS } way;
static const char *const words[WAYS] = {"replace", "systematic", "likely", "without", "tempered"};

typedef struct entry {
    double  key;
    int32_t id;
} entry;

typedef struct scratch {   /* of a thread */
    double *p, *from, *w;  /* [V] the rest's probabilities, 0 for exact ids; what is drawn from; the row's weights */
    double *aim;           /* [N] ascending, in 0 .. 1 */
    entry  *order, *entry; /* [V] ids as aims walk along them; [V] */
} scratch;

typedef struct item { /* a document in the pass */
    int64_t doc, first;
} item;

typedef struct draws {
    md_model  *model;
    md_scorer *scorer;
    ds_shard  *text;
    ds_writer *writer;
    way        way;
    int64_t    K, N, V, n, max, items;
    item      *item;                  /* [max] */
    int32_t   *ids, *pos, *doc_start; /* [max] */
    uint64_t  *seed;                  /* [max] */
    ds_rows    rows;                  /* [max] of k = K + N; topk_logprob holds logarithms of weights, actual_logprob NaN: unknown */
    scratch   *scratch;               /* [threads] */
} draws;

/* ---- a row --------------------------------------------------------------------------------------------------- */

static int by_key_falling(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void set_aims(const draws *d, scratch *s, rt_rng *rng)
{
    const int    independent = d->way == REPLACE || d->way == TEMPERED;
    const double u           = independent ? 0 : rt_rng_uniform(rng);
    for (int64_t j = 0; j < d->N; j++) s->aim[j] = independent ? rt_rng_uniform(rng) : ((double)j + u) / (double)d->N;
    if (independent) qsort(s->aim, (size_t)d->N, sizeof *s->aim, by_size);
}

static void set_order(const draws *d, scratch *s)
{
    for (int64_t v = 0; v < d->V; v++) {
        s->order[v] = (entry){s->p[v], (int32_t)v};
        s->from[v]  = d->way == TEMPERED ? sqrt(s->p[v]) : s->p[v];
    }
    if (d->way == LIKELY) qsort(s->order, (size_t)d->V, sizeof *s->order, by_key_falling);
}

/* Each aim falls on the id where the running sum of `from` exceeds it; rounding past the end leaves it to the last with mass. */
static void draw_at_aims(const draws *d, scratch *s)
{
    double  sum = 0, before = 0;
    int64_t j = 0, last = -1;
    for (int64_t v = 0; v < d->V; v++) sum += s->from[v];
    for (int64_t i = 0; i < d->V; i++) {
        const int32_t v = s->order[i].id;
        if (s->from[v] <= 0) continue;
        last = v;
        before += s->from[v];
        for (; j < d->N && s->aim[j] * sum < before; j++) s->w[v] += s->p[v] * sum / s->from[v] / (double)d->N;
    }
    for (; j < d->N && last >= 0; j++) s->w[last] += s->p[last] * sum / s->from[last] / (double)d->N;
}

static void draw_priorities(const draws *d, scratch *s, rt_rng *rng)
{
    for (int64_t v = 0; v < d->V; v++) s->entry[v] = (entry){s->p[v] / (1 - rt_rng_uniform(rng)), (int32_t)v};
    qsort(s->entry, (size_t)d->V, sizeof *s->entry, by_key_falling);
    const double next = d->N < d->V ? s->entry[d->N].key : 0;
    for (int64_t i = 0; i < d->N && i < d->V && s->entry[i].key > 0; i++) {
        const int32_t v = s->entry[i].id;
        s->w[v]         = fmax(s->p[v], next);
    }
}

/* The rest's probabilities and their sum; `exact` is filled with the K most likely. */
static double take_rest(const draws *d, scratch *s, const real *z, ds_rows *exact)
{
    const double lse  = md_lse(z, d->V);
    double       mass = 0;
    md_teacher_fill(exact, 0, z, d->V, -1, 0);
    for (int64_t v = 0; v < d->V; v++) s->p[v] = exp((double)z[v] - lse);
    for (int64_t i = 0; i < d->K; i++) s->p[exact->topk_ids[i]] = 0;
    for (int64_t v = 0; v < d->V; v++) mass += s->p[v];
    return mass;
}

static void scale_to(const draws *d, scratch *s, double mass)
{
    double sum = 0;
    for (int64_t v = 0; v < d->V; v++) sum += s->w[v];
    for (int64_t v = 0; v < d->V && sum > 0; v++) s->w[v] *= mass / sum;
}

/* All ids with a weight, then others from id 0 on, until there are K + N; the largest first. */
static void write_row(const draws *d, scratch *s, int32_t *ids, float *log_weight)
{
    const int64_t width = d->K + d->N;
    int64_t       n     = 0;
    for (int64_t v = 0; v < d->V && n < width; v++)
        if (s->w[v] > 0) s->entry[n++] = (entry){log(s->w[v]), (int32_t)v};
    for (int64_t v = 0; v < d->V && n < width; v++)
        if (s->w[v] <= 0) s->entry[n++] = (entry){NOTHING, (int32_t)v};
    qsort(s->entry, (size_t)width, sizeof *s->entry, by_key_falling);
    for (int64_t i = 0; i < width; i++) ids[i] = s->entry[i].id, log_weight[i] = (float)s->entry[i].key;
}

static void draw_row(void *ud, int64_t t, real *z, int thread)
{
    draws   *d   = ud;
    scratch *s   = &d->scratch[thread];
    rt_rng   rng = {d->seed[t]};
    int32_t  top[MD_TEACHER_MAX_K];
    float    lp[MD_TEACHER_MAX_K];
    ds_rows  exact = {.n = 1, .k = d->K, .topk_ids = top, .topk_logprob = lp};
    if (!d->rows.valid[t]) return;
    const double mass = take_rest(d, s, z, &exact);
    memset(s->w, 0, (size_t)d->V * sizeof *s->w);
    if (d->way == WITHOUT) draw_priorities(d, s, &rng);
    else {
        set_aims(d, s, &rng);
        set_order(d, s);
        draw_at_aims(d, s);
    }
    scale_to(d, s, mass);
    for (int64_t i = 0; i < d->K; i++) s->w[top[i]] = exp((double)lp[i]);
    write_row(d, s, d->rows.topk_ids + t * d->rows.k, d->rows.topk_logprob + t * d->rows.k);
}

/* ---- passes: documents share them ------------------------------------------------------------------------------ */

static rt_status write_doc(draws *d, const item *x)
{
    ds_doc doc;
    RT_TRY(ds_shard_doc(d->text, x->doc, &doc));
    doc.target_id = NULL;
    doc.weight    = NULL;
    doc.rows      = ds_rows_slice(&d->rows, x->first, doc.n);
    return ds_writer_add(d->writer, &doc);
}

static rt_status flush(draws *d)
{
    const md_packed b = {d->ids, d->pos, d->doc_start, d->n};
    if (d->n) RT_TRY(md_score_packed(d->scorer, &b, draw_row, d));
    for (int64_t i = 0; i < d->items; i++) RT_TRY(write_doc(d, &d->item[i]));
    d->n = d->items = 0;
    return RT_OK;
}

static void add_doc(draws *d, int64_t number, const ds_doc *doc)
{
    const uint64_t seed = rt_mix2(0, (uint64_t)number);
    d->item[d->items++] = (item){number, d->n};
    const int64_t first = d->n;
    for (int64_t i = 0; i < doc->n; i++, d->n++) {
        d->ids[d->n]        = doc->ids[i];
        d->pos[d->n]        = (int32_t)i;
        d->doc_start[d->n]  = (int32_t)first;
        d->rows.valid[d->n] = i + 1 < doc->n;
        d->seed[d->n]       = rt_mix2(seed, (uint64_t)(i + 1));
    }
}

static rt_status walk(draws *d)
{
    ds_doc doc;
    for (int64_t i = 0; i < ds_shard_docs(d->text); i++) {
        const int64_t *starts = ds_shard_starts(d->text), n = starts[i + 1] - starts[i];
        RT_CHECK(n <= d->model->config.context, RT_EINVAL, "document %lld has %lld tokens, the model takes at most %lld", (long long)i,
                 (long long)n, (long long)d->model->config.context);
        if (d->n + n > d->max) RT_TRY(flush(d));
        RT_TRY(ds_shard_doc(d->text, i, &doc));
        add_doc(d, i, &doc);
    }
    return flush(d);
}

/* ---- the program ----------------------------------------------------------------------------------------------- */

static rt_status make_scratch(draws *d)
{
    RT_TRY(RT_NEW(d->scratch, rt_threads()));
    for (int i = 0; i < rt_threads(); i++) {
        scratch *s = &d->scratch[i];
        RT_TRY(RT_NEW(s->p, d->V));
        RT_TRY(RT_NEW(s->from, d->V));
        RT_TRY(RT_NEW(s->w, d->V));
        RT_TRY(RT_NEW(s->aim, d->N));
        RT_TRY(RT_NEW(s->order, d->V));
        RT_TRY(RT_NEW(s->entry, d->V));
    }
    return RT_OK;
}

static rt_status make(draws *d)
{
    d->V   = d->model->config.V;
    d->max = d->model->config.context > PACK ? d->model->config.context : PACK;
    RT_CHECK(d->K >= 0 && d->N > 0 && d->K + d->N <= MD_TEACHER_MAX_K && d->K + d->N <= d->V, RT_EINVAL,
             "K = %lld and N = %lld: expected 0 or more and 1 or more, at most %d together", (long long)d->K, (long long)d->N,
             (int)MD_TEACHER_MAX_K);
    RT_TRY(RT_NEW(d->item, d->max));
    RT_TRY(RT_NEW(d->ids, d->max));
    RT_TRY(RT_NEW(d->pos, d->max));
    RT_TRY(RT_NEW(d->doc_start, d->max));
    RT_TRY(RT_NEW(d->seed, d->max));
    d->rows = (ds_rows){.n = d->max, .k = d->K + d->N};
    RT_TRY(ds_rows_alloc(&d->rows, DS_ALL_COLUMNS & ~DS_COLUMN(tail_entropy)));
    for (int64_t i = 0; i < d->max; i++) d->rows.actual_logprob[i] = NAN;
    RT_TRY(make_scratch(d));
    return md_scorer_create(&d->scorer, d->model, d->max);
}

static void destroy(draws *d)
{
    ds_writer_abandon(&d->writer);
    ds_shard_close(&d->text);
    md_scorer_destroy(&d->scorer);
    md_destroy(&d->model);
    for (int i = 0; d->scratch && i < rt_threads(); i++) {
        scratch *s = &d->scratch[i];
        free(s->p), free(s->from), free(s->w), free(s->aim), free(s->order), free(s->entry);
    }
    free(d->item), free(d->ids), free(d->pos), free(d->doc_start), free(d->seed), free(d->scratch);
    ds_rows_free(&d->rows);
}

static rt_status choose_way(draws *d, const char *word)
{
    for (int i = 0; i < WAYS; i++)
        if (!strcmp(word, words[i])) return d->way = (way)i, RT_OK;
    RT_FAIL(RT_EINVAL, "there is no way '%s': expected replace, systematic, likely, without or tempered", word);
}

static rt_status run(draws *d, char **word)
{
    ds_info info = {.soft = 1, .dialect = "draws", .program = "retort-draws"};
    RT_TRY(choose_way(d, word[4]));
    d->K = atoll(word[5]), d->N = atoll(word[6]);
    RT_TRY(kn_init());
    RT_TRY(md_load(&d->model, word[1], KN_REAL));
    RT_TRY(make(d));
    RT_TRY(ds_shard_open(&d->text, word[2]));
    RT_CHECK(ds_shard_info(d->text)->vocab == d->V, RT_EMISMATCH, "%s and %s differ in their vocabularies", word[1], word[2]);
    info.vocab = d->V;
    info.k     = d->K + d->N;
    memcpy(info.tokenizer, ds_shard_info(d->text)->tokenizer, sizeof info.tokenizer);
    snprintf(info.sampling, sizeof info.sampling, "{\"way\":\"%s\",\"k\":%lld,\"n\":%lld}", words[d->way], (long long)d->K,
             (long long)d->N);
    RT_TRY(ds_writer_create(&d->writer, word[3], &info));
    RT_TRY(walk(d));
    return ds_writer_finish(&d->writer);
}

int main(int argc, char **argv)
{
    draws d = {0};
    if (argc != 7) return fputs("usage: retort-draws MODEL TEXT.h5 OUT.h5 WAY K N\n", stderr), 2;
    const rt_status st = run(&d, argv);
    if (st != RT_OK) fprintf(stderr, "retort-draws: %s\n", rt_error_text());
    destroy(&d);
    return rt_status_exit(st);
}
