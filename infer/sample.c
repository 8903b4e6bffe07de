/* sample.c -- sampling the next id from logits: greedy, temperature, top-k, top-p.
 *
 * The filters pop ids from a heap in order of decreasing probability until k ids or mass p are reached, so that a row
 * is never sorted completely.  NaN logits have no mass; if no id has mass, the greedy id is returned.
 */
#include "infer/infer.h"
#include <math.h>
#include <stdlib.h>

struct inf_sampler {
    int64_t  V;
    int32_t *ids; /* [V] a heap, followed by the popped ids, the most likely last */
    double  *w;   /* [V] exp((z - max) / temperature), by id */
};

rt_status inf_sampler_create(inf_sampler **out, int64_t V)
{
    inf_sampler *s = NULL;
    rt_status    st;
    RT_CHECK(V >= 1, RT_EINVAL, "a sampler needs a vocabulary of at least 1 token, found %lld", (long long)V);
    RT_TRY(RT_NEW(s, 1));
    s->V = V;
    RT_TRY_OR(RT_NEW(s->ids, V), fail);
    RT_TRY_OR(RT_NEW(s->w, V), fail);
    *out = s;
    return RT_OK;
fail:
    inf_sampler_destroy(&s);
    return st;
}

void inf_sampler_destroy(inf_sampler **s)
{
    if (!*s) return;
    free((*s)->ids);
    free((*s)->w);
    free(*s);
    *s = NULL;
}

static int32_t greedy(const real *z, int64_t V)
{
    int64_t best = 0;
    for (int64_t v = 1; v < V; v++)
        if (z[v] > z[best] || isnan(z[best])) best = v;
    return (int32_t)best;
}

static int likelier(const double *w, int32_t a, int32_t b) { return w[a] > w[b] || (w[a] == w[b] && a < b); }

static void sample_sift(const inf_sampler *s, int64_t n, int64_t i)
{
    int32_t *h = s->ids;
    for (int64_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && likelier(s->w, h[c + 1], h[c])) c++;
        if (!likelier(s->w, h[c], h[i])) return;
        const int32_t t = h[i];
        h[i]            = h[c];
        h[c]            = t;
    }
}

static double fill_weights(inf_sampler *s, const real *z, double top, double temperature)
{
    double sum = 0;
    for (int64_t v = 0; v < s->V; v++) {
        s->w[v] = isnan(z[v]) ? 0 : exp(((double)z[v] - top) / temperature);
        sum += s->w[v];
    }
    return sum;
}

/* Moves up to `count` of the most likely ids to the end of s->ids (the most likely last), and stops
 * when the sum of their weights reaches `mass`.  Sets *kept to the sum and returns the number of ids. */
static int64_t sample_pop(inf_sampler *s, int64_t count, double mass, double *kept)
{
    int64_t n = 0;
    *kept     = 0;
    for (int64_t v = 0; v < s->V; v++) s->ids[v] = (int32_t)v;
    for (int64_t i = s->V / 2; i-- > 0;) sample_sift(s, s->V, i);
    while (n < count && (n == 0 || *kept < mass)) {
        const int64_t last  = s->V - 1 - n++;
        const int32_t first = s->ids[0];
        s->ids[0]           = s->ids[last];
        s->ids[last]        = first;
        sample_sift(s, last, 0);
        *kept += s->w[first];
    }
    return n;
}

/* Returns how many of the n popped ids are needed for the fraction p of their mass *kept; sets *kept to the sum of these. */
static int64_t nucleus(const inf_sampler *s, int64_t n, double p, double *kept)
{
    const double mass = p * *kept;
    int64_t      used = 0;
    *kept             = 0;
    while (used < n && (used == 0 || *kept < mass)) *kept += s->w[s->ids[s->V - 1 - used++]];
    return used;
}

static int32_t draw_filtered(inf_sampler *s, const inf_sampling *o, double sum, double u)
{
    const int few = o->top_k > 0 && o->top_k < s->V;
    double    kept, run = 0;
    int64_t   n = few ? sample_pop(s, o->top_k, INFINITY, &kept) : sample_pop(s, s->V, o->top_p * sum, &kept);
    if (few && o->top_p < 1) n = nucleus(s, n, o->top_p, &kept);
    for (int64_t i = 0; i < n; i++) {
        const int32_t id = s->ids[s->V - 1 - i];
        run += s->w[id];
        if (run > u * kept) return id;
    }
    return s->ids[s->V - 1];
}

static int32_t draw_any(const inf_sampler *s, double sum, double u)
{
    double  run  = 0;
    int64_t last = 0;
    for (int64_t v = 0; v < s->V; v++) {
        if (s->w[v] <= 0) continue;
        last = v;
        run += s->w[v];
        if (run > u * sum) break;
    }
    return (int32_t)last;
}

int32_t inf_sample(inf_sampler *s, const real *logits, const inf_sampling *o, double u)
{
    RT_ASSERT(u >= 0 && u < 1);
    const int32_t best = greedy(logits, s->V);
    if (o->temperature <= 0 || !isfinite(logits[best])) return best;
    const double sum = fill_weights(s, logits, (double)logits[best], o->temperature);
    if ((o->top_k > 0 && o->top_k < s->V) || o->top_p < 1) return draw_filtered(s, o, sum, u);
    return draw_any(s, sum, u);
}
