/* prune_depth.c -- dropping layers by the divergence that their absence costs. */
#include "core/clock.h"
#include "distill/prune.h"
#include "model/score.h"
#include <math.h>
#include <stdlib.h>

/* ---- the divergence of a model from the whole one ---------------------------------------------------- */

typedef struct comparison {
    const di_sample *s;
    int64_t          V;
    float           *logp; /* [n, V] log-probabilities of the whole model */
    double          *kl;   /* [n] */
} comparison;

static void compare_keep(void *ud, int64_t t, real *z, int thread)
{
    const comparison *c   = ud;
    const double      lse = md_lse(z, c->V);
    (void)thread;
    for (int64_t v = 0; v < c->V; v++) c->logp[t * c->V + v] = (float)((double)z[v] - lse);
}

static void compare_row(void *ud, int64_t t, real *z, int thread)
{
    const comparison *c    = ud;
    const float      *logp = c->logp + t * c->V;
    const double      lse  = md_lse(z, c->V);
    double            kl   = 0;
    (void)thread;
    for (int64_t v = 0; v < c->V; v++) kl += (double)expf(logp[v]) * ((double)logp[v] - ((double)z[v] - lse));
    c->kl[t] = kl;
}

static rt_status compare_pass(const comparison *c, const md_model *m, md_row_fn row)
{
    const md_packed b = {.ids = c->s->ids, .pos = c->s->pos, .doc_start = c->s->doc_start, .n = c->s->n};
    md_scorer      *s = NULL;
    RT_TRY(md_scorer_create(&s, m, b.n));
    const rt_status st = md_score_packed(s, &b, row, (void *)(uintptr_t)c);
    md_scorer_destroy(&s);
    return st;
}

static rt_status compare_with(const comparison *c, const md_model *other, double *kl)
{
    RT_TRY(compare_pass(c, other, compare_row));
    *kl = 0;
    for (int64_t t = 0; t < c->s->n; t++) *kl += c->kl[t] / (double)c->s->n;
    return RT_OK;
}

static rt_status compare_begin(comparison *c, const md_model *m, const di_sample *s)
{
    *c = (comparison){.s = s, .V = m->config.V};
    RT_TRY(RT_NEW(c->kl, s->n));
    RT_TRY(RT_NEW(c->logp, s->n * c->V));
    return compare_pass(c, m, compare_keep);
}

static void compare_end(comparison *c) { free(c->logp), free(c->kl); }

rt_status di_prune_divergence(const md_model *m, const md_model *other, const di_sample *s, double *kl)
{
    comparison c;
    RT_CHECK(m->config.V == other->config.V, RT_EMISMATCH, "the models have %lld and %lld ids", (long long)m->config.V,
             (long long)other->config.V);
    rt_status st = compare_begin(&c, m, s);
    if (st == RT_OK) st = compare_with(&c, other, kl);
    compare_end(&c);
    return st;
}

/* ---- dropping layers ------------------------------------------------------------------------------------- */

/* Copies layer[n] without element `at` to rest[n-1]. */
static void leave_out(const int32_t *layer, int64_t n, int64_t at, int32_t *rest)
{
    for (int64_t i = 0; i + 1 < n; i++) rest[i] = layer[i < at ? i : i + 1];
}

static rt_status divergence_without(const comparison *c, const md_model *m, const int32_t *layer, int64_t n, int64_t at, double *kl)
{
    int32_t   rest[MD_MAX_LAYERS];
    md_model *v = NULL;
    leave_out(layer, n, at, rest);
    RT_TRY(md_view_layers(&v, m, rest, n - 1));
    const rt_status st = compare_with(c, v, kl);
    md_view_destroy(&v);
    return st;
}

/* Drops the layer that costs least; *kl becomes the divergence without it. */
static rt_status drop_one(const comparison *c, const md_model *m, int32_t *layer, int64_t n, double *kl, rt_progress *p, int64_t *tried)
{
    int64_t best = 0;
    *kl          = INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double cost = 0;
        RT_CHECK(!rt_interrupted(), RT_EINTR, "interrupted; nothing was written");
        RT_TRY(divergence_without(c, m, layer, n, i, &cost));
        if (cost < *kl) *kl = cost, best = i;
        if (p) rt_progress_at(p, ++*tried, NULL);
    }
    leave_out(layer, n, best, layer);
    return RT_OK;
}

rt_status di_prune_layers(const md_model *m, const di_sample *s, int64_t keep, int32_t *layer, double *kl, rt_progress *p)
{
    const int64_t L = m->config.L;
    int32_t       now[MD_MAX_LAYERS];
    int64_t       tried = 0;
    comparison    c;
    RT_CHECK(keep >= 1 && keep <= L, RT_EINVAL, "expected 1 to %lld layers, those of the model, found %lld", (long long)L, (long long)keep);
    for (int64_t i = 0; i < L; i++) now[i] = (int32_t)i;
    *kl          = 0;
    rt_status st = compare_begin(&c, m, s);
    if (p) rt_progress_begin(p, "leaving out", "layers", (L + keep + 1) * (L - keep) / 2, 0);
    for (int64_t n = L; st == RT_OK && n > keep; n--) st = drop_one(&c, m, now, n, kl, p, &tried);
    if (p) rt_progress_end(p);
    compare_end(&c);
    for (int64_t i = 0; st == RT_OK && i < keep; i++) layer[i] = now[i];
    return st;
}
