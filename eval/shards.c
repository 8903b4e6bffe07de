/* shards.c -- cross-entropy, accuracy, calibration and divergences over shards.
 *
 * Each row leaves its numbers in a slot of its own; they are added in order afterwards, so
 * that results do not depend on threads. */
#include "eval/eval.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 15 };

typedef struct row { double ce, confidence, kl, kl_topk; uint8_t correct, agree; } row;

typedef struct scan {
    const ev_opts *o;
    md_scorer     *s, *teacher;
    int64_t        V, window, k;
    ds_doc         doc;
    int64_t        at; /* first token of the window */
    row           *rows;
    /* sums */
    double  ce, kl, kl_topk, agree, correct, bin_confidence[BINS], bin_correct[BINS];
    int64_t n, bin[BINS];
    int     soft;
} scan;

static int64_t argmax(const real *z, int64_t V)
{
    int64_t best = 0;
    for (int64_t v = 1; v < V; v++)
        if (z[v] > z[best]) best = v;
    return best;
}

/* KL over k + 1 outcomes: the stored ids, and all others together. */
static double kl_topk(const scan *c, int64_t i, const real *z, double lse)
{
    double kl = 0, P = 0, Q = 0;
    for (int64_t j = 0; j < c->k; j++) {
        const double lp = (double)c->doc.topk_logprob[i * c->k + j], lq = (double)z[c->doc.topk_ids[i * c->k + j]] - lse, p = exp(lp);
        if (p > 0) kl += p * (lp - lq);
        P += p;
        Q += exp(lq);
    }
    if (P < 1) kl += (1 - P) * log((1 - P) / fmax(1 - Q, 1e-12));
    return kl;
}

static double kl_full(const real *zt, double lse_t, const real *z, double lse, int64_t V)
{
    double kl = 0;
    for (int64_t v = 0; v < V; v++) {
        const double lp = (double)zt[v] - lse_t, p = exp(lp);
        kl += p * (lp - ((double)z[v] - lse));
    }
    return kl;
}

static int counts(const scan *c, int64_t i)
{
    const int64_t next = i + 1;
    return next < c->doc.n && (!c->doc.valid || c->doc.valid[i]) && !(c->doc.prompt_mask && c->doc.prompt_mask[next]);
}

static void measure(void *ud, int64_t t, real *z, real *zt, int thread)
{
    const scan   *c = ud;
    const int64_t i = c->at + t;
    row          *r = &c->rows[t];
    (void)thread;
    if (!counts(c, i)) return;
    const double  lse = md_lse(z, c->V);
    const int64_t top = argmax(z, c->V);
    r->ce             = lse - (double)z[c->doc.ids[i + 1]];
    r->correct        = top == c->doc.ids[i + 1];
    r->confidence     = exp((double)z[top] - lse);
    if (c->soft) r->kl_topk = kl_topk(c, i, z, lse);
    if (!zt) return;
    r->kl    = kl_full(zt, md_lse(zt, c->V), z, lse, c->V);
    r->agree = top == argmax(zt, c->V);
}

static void measure_alone(void *ud, int64_t t, real *z, int thread) { measure(ud, t, z, NULL, thread); }

static void add_rows(scan *c, int64_t n)
{
    for (int64_t t = 0; t < n; t++) {
        const row *r = &c->rows[t];
        if (!counts(c, c->at + t)) continue;
        const int b = r->confidence >= 1 ? BINS - 1 : (int)(r->confidence * BINS);
        c->ce += r->ce, c->kl += r->kl, c->kl_topk += r->kl_topk, c->agree += r->agree, c->correct += r->correct;
        c->bin_confidence[b] += r->confidence, c->bin_correct[b] += r->correct, c->bin[b]++;
        c->n++;
    }
}

static rt_status scan_doc(scan *c)
{
    for (c->at = 0; c->at + 1 < c->doc.n; c->at += c->window) {
        const int64_t n = c->doc.n - c->at < c->window ? c->doc.n - c->at : c->window;
        const int32_t *ids = c->doc.ids + c->at;
        RT_TRY(c->teacher ? md_score_pair(c->s, c->teacher, ids, n, measure, c) : md_score(c->s, ids, n, measure_alone, c));
        add_rows(c, n);
    }
    return RT_OK;
}

static rt_status scan_shard(scan *c, ds_shard *s, int64_t *done)
{
    const ds_info *info = ds_shard_info(s);
    RT_CHECK(info->vocab <= c->V, RT_EMISMATCH, "%s has a vocabulary of %lld entries, the model %lld", ds_shard_path(s), (long long)info->vocab,
             (long long)c->V);
    c->k    = info->k;
    c->soft = c->soft && info->soft;
    for (int64_t i = 0; i < ds_shard_docs(s); i++) {
        RT_TRY(ds_shard_doc(s, i, &c->doc));
        RT_TRY(scan_doc(c));
        *done += c->doc.n;
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
    return RT_OK;
}

static ev_result finish(const scan *c)
{
    const double n = c->n ? (double)c->n : NAN;
    ev_result    r = {.tokens = c->n, .ce = c->ce / n, .ppl = exp(c->ce / n), .acc = c->correct / n};
    for (int b = 0; b < BINS; b++) r.ece += fabs(c->bin_confidence[b] - c->bin_correct[b]) / n;
    r.kl      = c->teacher ? c->kl / n : NAN;
    r.agree   = c->teacher ? c->agree / n : NAN;
    r.kl_topk = c->soft ? c->kl_topk / n : NAN;
    return r;
}

rt_status ev_shards(ev_result *out, const md_model *m, const md_model *teacher, const ev_opts *o)
{
    scan c = {.o = o, .V = m->config.V, .window = o->window, .soft = 1};
    if (!c.window) c.window = m->config.context;
    if (teacher && teacher->config.context < c.window) c.window = teacher->config.context;
    rt_status st = RT_NEW(c.rows, c.window);
    if (st == RT_OK) st = md_scorer_create(&c.s, m, c.window);
    if (st == RT_OK && teacher) st = md_scorer_create(&c.teacher, teacher, c.window);
    if (st == RT_OK) st = scan_all(&c);
    if (st == RT_OK) *out = finish(&c);
    md_scorer_destroy(&c.s);
    md_scorer_destroy(&c.teacher);
    free(c.rows);
    return st;
}
