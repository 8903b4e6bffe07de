/* shards.c -- cross-entropy, accuracy, calibration and divergences over shards.
 *
 * Each row writes its results to a slot of its own; the slots are then added in order, so
 * that the result does not depend on the number of threads. */
#include "core/file.h"
#include "data/rows.h"
#include "data/shard.h"
#include "eval/eval.h"
#include "model/score.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 15, PACK = 1024 /* tokens per pass */, BLOCK = 512 };

typedef struct row {
    double  ce, confidence, kl, kl_topk, teacher_ce;
    uint8_t correct, agree;
} row;

typedef struct scan {
    const ev_opts *o;
    md_scorer     *s, *teacher;
    int64_t V, shared, window, n, max; /* shared: number of ids common to model and teacher; n, max: tokens in this pass and its capacity */
    int64_t longest;                   /* tokens of the longest document */
    int32_t *ids, *pos, *doc_start;    /* [max] */
    int32_t *target;                   /* [max], -1: the row does not count */
    ds_rows  stored;                   /* [max] topk_ids, topk_logprob, restricted to the model's ids; no columns: of text shards */
    row     *rows;                     /* [max] */
    /* sums over rows */
    double  ce, kl, kl_topk, teacher_ce, agree, correct, bin_confidence[BINS], bin_correct[BINS];
    int64_t counted, known, bin[BINS]; /* known: rows with a stored id in the model's vocabulary */
    int     soft, unknown, teacher_unknown;
} scan;

static int64_t argmax(const real *z, int64_t V)
{
    int64_t best = 0;
    for (int64_t v = 1; v < V; v++)
        if (z[v] > z[best]) best = v;
    return best;
}

/* Returns the KL divergence over k + 1 outcomes: the stored ids, and all others together.  NaN: the model has none of the stored ids. */
static double kl_topk(const scan *c, int64_t i, const real *z, double lse)
{
    const ds_rows stored = ds_rows_slice(&c->stored, i, 1);
    double        kl = 0, P = 0, Q = 0;
    if (stored.topk_ids[0] < 0) return NAN;
    for (int64_t j = 0; j < stored.k && stored.topk_ids[j] >= 0; j++) {
        const double lp = (double)stored.topk_logprob[j], lq = (double)z[stored.topk_ids[j]] - lse, p = exp(lp);
        if (p > 0) kl += p * (lp - lq);
        P += p;
        Q += exp(lq);
    }
    if (P < 1) kl += (1 - P) * log((1 - P) / fmax(1 - Q, 1e-12));
    return kl;
}

/* Returns KL(p || q) = sum p log(p/q) = sum p (zt - z) + lse - lse_t, computed in blocks. */
static double kl_full(const real *zt, double lse_t, const real *z, double lse, int64_t V)
{
    const kn_table *k = kn_get();
    real            p[BLOCK];
    double          kl = lse - lse_t;
    for (int64_t v = 0; v < V; v += BLOCK) {
        const int64_t n = V - v < BLOCK ? V - v : BLOCK;
        k->exp_sub(p, zt + v, (real)lse_t, n);
        for (int64_t i = 0; i < n; i++) kl += (double)(p[i] * (zt[v + i] - z[v + i]));
    }
    return kl;
}

static void shards_measure(void *ud, int64_t t, real *z, real *zt, int thread)
{
    const scan *c = ud;
    row        *r = &c->rows[t];
    (void)thread;
    if (c->target[t] < 0) return;
    const double  lse = md_lse(z, c->V);
    const int64_t top = argmax(z, c->V);
    r->ce             = lse - (double)z[c->target[t]];
    r->correct        = top == c->target[t];
    r->confidence     = exp((double)z[top] - lse);
    if (c->soft) r->kl_topk = kl_topk(c, t, z, lse);
    if (!zt) return;
    const double lse_t = md_lse(zt, c->shared);
    r->kl              = kl_full(zt, lse_t, z, lse, c->shared);
    r->agree           = top == argmax(zt, c->shared);
    r->teacher_ce      = c->target[t] < c->shared ? lse_t - (double)zt[c->target[t]] : NAN;
}

static void measure_alone(void *ud, int64_t t, real *z, int thread) { shards_measure(ud, t, z, NULL, thread); }

static int bin_of(double confidence) { return confidence < 1 ? (int)(confidence * BINS) : BINS - 1; } /* confidence >= 0 */

static void shards_add_rows(scan *c)
{
    for (int64_t t = 0; t < c->n; t++) {
        const row *r = &c->rows[t];
        if (c->target[t] < 0) continue;
        const int b = bin_of(r->confidence);
        c->ce += r->ce, c->kl += r->kl, c->teacher_ce += r->teacher_ce, c->agree += r->agree, c->correct += r->correct;
        if (c->soft && !isnan(r->kl_topk)) c->kl_topk += r->kl_topk, c->known++;
        c->bin_confidence[b] += r->confidence, c->bin_correct[b] += r->correct, c->bin[b]++;
        c->counted++;
    }
}

/* ---- filling a pass ------------------------------------------------------------------------- */

static rt_status shards_flush(scan *c)
{
    const md_packed b = {c->ids, c->pos, c->doc_start, c->n};
    if (!c->n) return RT_OK;
    RT_TRY(c->teacher ? md_score_pair(c->s, c->teacher, &b, shards_measure, c) : md_score_packed(c->s, &b, measure_alone, c));
    shards_add_rows(c);
    c->n = 0;
    return RT_OK;
}

/* Copies row i of the document to row `to` of the pass. */
static void shards_take_row(scan *c, const ds_doc *d, int64_t i, int64_t to)
{
    const int counts = i + 1 < d->n && (!d->rows.valid || d->rows.valid[i]) && !(d->prompt_mask && d->prompt_mask[i + 1]);
    c->ids[to]       = d->ids[i];
    c->target[to]    = counts ? d->ids[i + 1] : -1;
    if (c->soft) ds_rows_copy(&c->stored, to, &d->rows, i);
    if (c->soft && counts) ds_rows_restrict(&c->stored, to, c->V);
}

static rt_status scan_doc(scan *c, const ds_doc *d)
{
    for (int64_t at = 0; at < d->n; at += c->window) {
        const int64_t n = d->n - at < c->window ? d->n - at : c->window;
        if (c->n + n > c->max) RT_TRY(shards_flush(c));
        for (int64_t i = 0; i < n; i++) {
            c->pos[c->n + i]       = (int32_t)i;
            c->doc_start[c->n + i] = (int32_t)c->n;
            shards_take_row(c, d, at + i, c->n + i);
        }
        c->n += n;
    }
    return RT_OK;
}

static rt_status scan_shard(scan *c, ds_shard *s, int64_t *done)
{
    ds_doc d;
    for (int64_t i = 0; i < ds_shard_docs(s); i++) {
        RT_TRY(ds_shard_doc(s, i, &d));
        RT_TRY(ds_ids_check(s, i, 0, d.ids, d.n, c->shared));
        RT_TRY(scan_doc(c, &d));
        *done += d.n;
        if (c->o->progress) rt_progress_at(c->o->progress, *done, NULL);
    }
    return RT_OK;
}

static rt_status scan_all(scan *c)
{
    int64_t done = 0;
    for (int i = 0; i < c->o->shards->n; i++) {
        ds_shard *s = NULL;
        RT_TRY(ds_shard_open(&s, c->o->shards->v[i]));
        const rt_status st = scan_shard(c, s, &done);
        ds_shard_close(&s);
        RT_TRY(st);
    }
    return shards_flush(c);
}

static ev_result shards_finish(const scan *c)
{
    const double n = c->counted ? (double)c->counted : NAN;
    ev_result    r = {.tokens = c->counted, .ce = c->ce / n, .ppl = exp(c->ce / n), .acc = c->correct / n};
    r.unknown = c->unknown, r.teacher_unknown = c->teacher_unknown;
    for (int b = 0; b < BINS; b++) r.ece += fabs(c->bin_confidence[b] - c->bin_correct[b]) / n;
    r.kl         = c->teacher ? c->kl / n : NAN;
    r.teacher_ce = c->teacher ? c->teacher_ce / n : NAN;
    r.agree      = c->teacher ? c->agree / n : NAN;
    r.kl_topk    = c->known ? c->kl_topk / (double)c->known : NAN;
    r.kl_missing = c->soft ? c->counted - c->known : 0;
    return r;
}

/* Loads the model's tokenizer; *t = NULL if its folder has none. */
static rt_status tokenizer_of(ds_tokenizer **t, const md_model *m)
{
    rt_buf path = {0};
    *t          = NULL;
    if (!m->dir) return RT_OK;
    RT_TRY(rt_path(&path, m->dir, "tokenizer.json"));
    const int there = rt_file_exists(path.p);
    rt_buf_free(&path);
    return there ? ds_tokenizer_load(t, m->dir) : RT_OK;
}

static rt_status shards_check_tokenizer(const ds_shard *s, const md_model *m, const ds_tokenizer *t)
{
    const char *made = ds_shard_info(s)->tokenizer;
    RT_CHECK(!t || ds_tokenizer_is(t, made), RT_EMISMATCH,
             "%s was made with tokenizer %.12s..., but the model %s has tokenizer %.12s...; import the text again with --tokenizer %s",
             ds_shard_path(s), made, m->dir, ds_tokenizer_identity(t), m->dir);
    return RT_OK;
}

/* RT_EMISMATCH: model and teacher do not share a tokenizer, so their ids are not comparable.  Their matrices may be padded to
 * different sizes.  *unknown = 1 if the teacher's folder has no tokenizer. */
static rt_status check_teacher(const md_model *m, const ds_tokenizer *t, const md_model *teacher, int *unknown)
{
    ds_tokenizer *other;
    RT_TRY(tokenizer_of(&other, teacher));
    rt_status st = RT_OK;
    if (t && other && strcmp(ds_tokenizer_identity(t), ds_tokenizer_identity(other)) != 0)
        st = rt_fail(
            RT_EMISMATCH, __FILE__, __LINE__,
            "--teacher %s has tokenizer %.12s..., but the model %s has tokenizer %.12s...; token ids stand for different text; compare "
            "models with the same tokenizer",
            teacher->dir, ds_tokenizer_identity(other), m->dir, ds_tokenizer_identity(t));
    else if ((!t || !other) && teacher->config.V != m->config.V)
        st = rt_fail(
            RT_EMISMATCH, __FILE__, __LINE__,
            "the model has %lld token ids, the teacher has %lld, and one of their folders lacks tokenizer.json, so it is unknown whether "
            "they share a tokenizer; copy tokenizer.json into both folders",
            (long long)m->config.V, (long long)teacher->config.V);
    *unknown = !other;
    ds_tokenizer_destroy(&other);
    return st;
}

static int64_t longest_document(const ds_shard *s)
{
    const int64_t *starts = ds_shard_starts(s);
    int64_t        most   = 1;
    for (int64_t d = 0; d < ds_shard_docs(s); d++)
        if (starts[d + 1] - starts[d] > most) most = starts[d + 1] - starts[d];
    return most;
}

/* Checks each shard's tokenizer and sets c->stored.k, c->soft and c->longest.  The stored ids are used only if all shards have the same k > 0. */
static rt_status look_at_shards(scan *c, const md_model *m, const ds_tokenizer *t)
{
    c->soft = 1;
    for (int i = 0; i < c->o->shards->n; i++) {
        ds_shard *s = NULL;
        RT_TRY(ds_shard_open(&s, c->o->shards->v[i]));
        const ds_info *info = ds_shard_info(s);
        c->soft             = c->soft && info->k > 0 && (!i || info->k == c->stored.k);
        c->stored.k         = info->k;
        if (longest_document(s) > c->longest) c->longest = longest_document(s);
        const rt_status st = shards_check_tokenizer(s, m, t);
        ds_shard_close(&s);
        RT_TRY(st);
    }
    if (!c->soft) c->stored.k = 0;
    return RT_OK;
}

static rt_status shards_check_all(scan *c, const md_model *m, const md_model *teacher)
{
    ds_tokenizer *t;
    RT_TRY(tokenizer_of(&t, m));
    rt_status st = look_at_shards(c, m, t);
    c->unknown   = !t;
    if (st == RT_OK && teacher) st = check_teacher(m, t, teacher, &c->teacher_unknown);
    ds_tokenizer_destroy(&t);
    return st;
}

static rt_status shards_make(scan *c, const md_model *m, const md_model *teacher)
{
    RT_TRY(shards_check_all(c, m, teacher));
    c->shared = teacher && teacher->config.V < c->V ? teacher->config.V : c->V;
    c->window = c->o->window ? c->o->window : m->config.context;
    if (teacher && teacher->config.context < c->window) c->window = teacher->config.context;
    if (c->longest < c->window) c->window = c->longest;
    c->max = c->window > PACK ? c->window : PACK;
    RT_TRY(RT_NEW(c->rows, c->max));
    RT_TRY(RT_NEW(c->ids, c->max));
    RT_TRY(RT_NEW(c->pos, c->max));
    RT_TRY(RT_NEW(c->doc_start, c->max));
    RT_TRY(RT_NEW(c->target, c->max));
    c->stored.n = c->max;
    RT_TRY(ds_rows_alloc(&c->stored, DS_COLUMN(topk_ids) | DS_COLUMN(topk_logprob)));
    RT_TRY(md_scorer_create(&c->s, m, c->max));
    return teacher ? md_scorer_create(&c->teacher, teacher, c->max) : RT_OK;
}

rt_status ev_shards(ev_result *out, const md_model *m, const md_model *teacher, const ev_opts *o)
{
    scan      c  = {.o = o, .V = m->config.V};
    rt_status st = shards_make(&c, m, teacher);
    if (st == RT_OK) st = scan_all(&c);
    if (st == RT_OK) *out = shards_finish(&c);
    md_scorer_destroy(&c.s);
    md_scorer_destroy(&c.teacher);
    free(c.rows), free(c.ids), free(c.pos), free(c.doc_start), free(c.target);
    ds_rows_free(&c.stored);
    return st;
}
