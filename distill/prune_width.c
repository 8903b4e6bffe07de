/* prune_width.c -- ranking heads, feed-forward units and channels by what they contribute. */
#include "distill/prune.h"
#include "model/observe.h"
#include <math.h>
#include <stdlib.h>

/* ---- the largest ------------------------------------------------------------------------------------------- */

/* Writes the indexes of the `keep` largest of value[n] in ascending order; of equal values the smaller index stays. */
static void keep_largest(const double *value, int64_t n, int64_t keep, int32_t *out)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t before = 0;
        for (int64_t j = 0; j < n; j++) before += value[j] > value[i] || (value[j] == value[i] && j < i);
        if (before < keep) out[kept++] = (int32_t)i;
    }
}

/* ---- heads, units, channels ------------------------------------------------------------------------------ */

/* Each key/value head keeps the same number of its heads. */
static void keep_heads(const md_config *c, double *column, int64_t H, int32_t *out)
{
    const int64_t group = c->H / c->KV, keep = H / c->KV;
    double       *value = column; /* of a head, in place of its columns */
    for (int64_t h = 0; h < c->H; h++) {
        double sum = 0;
        for (int64_t d = 0; d < c->D; d++) sum += column[h * c->D + d];
        value[h] = sum;
    }
    for (int64_t g = 0; g < c->KV; g++) {
        keep_largest(value + g * group, group, keep, out + g * keep);
        for (int64_t i = 0; i < keep; i++) out[g * keep + i] += (int32_t)(g * group);
    }
}

static rt_status narrow_layer(const md_model *m, const di_sample *s, int64_t layer, md_selection *keep, double *value, double *channels)
{
    const md_config *c = &m->config;
    const md_packed  b = {.ids = s->ids, .pos = s->pos, .doc_start = s->doc_start, .n = s->n};
    if (keep->H < c->H) {
        RT_TRY(md_contribution(m, &b, MD_PART_HEADS, layer, value));
        keep_heads(c, value, keep->H, keep->head + layer * keep->H);
    }
    if (keep->F < c->F) {
        RT_TRY(md_contribution(m, &b, MD_PART_UNITS, layer, value));
        keep_largest(value, c->F, keep->F, keep->unit + layer * keep->F);
    }
    if (keep->C < c->C) {
        RT_TRY(md_observe(m, &b, MD_PART_IN, layer, value)); /* several matrices read the channels, and all layers share them */
        for (int64_t j = 0; j < c->C; j++) channels[j] += value[j];
    }
    return RT_OK;
}

static rt_status narrow(const md_model *m, const di_sample *s, md_selection *keep, rt_progress *p)
{
    const md_config *c     = &m->config;
    const int64_t    heads = c->H * c->D, most = heads > c->F ? heads : c->F;
    double          *value = NULL, *channels = NULL;
    rt_status        st = RT_NEW(value, most > c->C ? most : c->C);
    if (st == RT_OK) st = RT_NEW(channels, c->C);
    for (int64_t l = 0; st == RT_OK && l < c->L; l++) {
        st = narrow_layer(m, s, l, keep, value, channels);
        if (p) rt_progress_at(p, l + 1, NULL);
    }
    if (st == RT_OK && keep->C < c->C) keep_largest(channels, c->C, keep->C, keep->channel);
    free(value), free(channels);
    return st;
}

rt_status di_prune_width(const md_model *m, const di_sample *s, int64_t H, int64_t F, int64_t C, md_selection *keep, rt_progress *p)
{
    const md_config *c = &m->config;
    RT_CHECK(H >= 1 && H <= c->H && H % c->KV == 0, RT_EINVAL,
             "expected up to %lld heads in multiples of %lld, the model's key/value heads, found %lld", (long long)c->H, (long long)c->KV,
             (long long)H);
    RT_CHECK(F >= 1 && F <= c->F, RT_EINVAL, "expected a feed-forward width of 1 to %lld, that of the model, found %lld", (long long)c->F,
             (long long)F);
    RT_CHECK(C >= 1 && C <= c->C, RT_EINVAL, "expected a width of 1 to %lld, that of the model, found %lld", (long long)c->C, (long long)C);
    keep->H = H, keep->F = F, keep->C = C;
    if (H == c->H && F == c->F && C == c->C) return RT_OK;
    if (p) rt_progress_begin(p, "measuring activations", "layers", c->L, 0);
    const rt_status st = narrow(m, s, keep, p);
    if (p) rt_progress_end(p);
    return st;
}
