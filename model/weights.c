/* weights.c -- a model in memory: creates, initialises, finds and frees its tensors. */
#include "core/rng.h"
#include "model/arch.h"
#include "model/files.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

rt_status md_config_check(const md_config *c)
{
    const struct {
        const char *name;
        int64_t     v;
    } sizes[] = {{"V", c->V}, {"C", c->C}, {"L", c->L}, {"H", c->H}, {"KV", c->KV}, {"D", c->D}, {"F", c->F}, {"context", c->context}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        RT_CHECK(sizes[i].v >= 1 && sizes[i].v <= (int64_t)1 << 24, RT_EINVAL, "model.%s must be between 1 and 2^24, found %lld",
                 sizes[i].name, (long long)sizes[i].v);
    RT_CHECK(c->H % c->KV == 0, RT_EINVAL, "model.H (%lld) must be a multiple of model.KV (%lld)", (long long)c->H, (long long)c->KV);
    RT_CHECK(c->D % 2 == 0, RT_EINVAL, "model.D (%lld) must be even, because rotary embedding pairs its halves", (long long)c->D);
    RT_CHECK(c->L <= MD_MAX_LAYERS && c->D <= 2 * MD_MAX_PAIRS, RT_EINVAL,
             "model.L (%lld) must be at most %d, and model.D (%lld) at most %d", (long long)c->L, MD_MAX_LAYERS, (long long)c->D,
             2 * MD_MAX_PAIRS);
    RT_CHECK(c->norm_eps > 0 && isfinite(c->norm_eps), RT_EINVAL, "model: norm eps (%g) must be a positive number", c->norm_eps);
    return RT_OK;
}

rt_status md_meta(md_model **out, const md_config *c)
{
    md_model *m;
    RT_TRY(md_config_check(c));
    RT_CHECK(c->rope.theta > 0 && isfinite(c->rope.theta), RT_EINVAL, "model: rope theta (%g) must be a positive number", c->rope.theta);
    RT_TRY(RT_NEW(m, 1));
    m->config = *c;
    if (md_has(c, MD_LOCAL_ROPE) && !(c->rope_local.theta > 0)) m->config.rope_local.theta = 10000;
    const rt_status st = md_tensors(&m->t, &m->n, c);
    if (st != RT_OK) md_destroy(&m);
    else *out = m;
    return st;
}

rt_status md_create(md_model **out, const md_config *c, kn_type type)
{
    md_model *m;
    RT_TRY(md_meta(&m, c));
    for (int i = 0; i < m->n; i++) {
        m->t[i].type       = type;
        const rt_status st = rt_alloc(&m->t[i].data, m->t[i].rows * m->t[i].cols, kn_size(type), m->t[i].name);
        if (st != RT_OK) {
            md_destroy(&m);
            return st;
        }
    }
    *out = m;
    return RT_OK;
}

/* Returns the standard deviation of the initial values.  The usual 0.02 is too small for narrow models: with 0.5 / sqrt(C), which
 * is 0.02 for C = 625, the loss of the demo's student is 0.085 nats lower (experiments/decisions/0004). */
static double deviation(const md_config *c, md_first first)
{
    return 0.5 / sqrt((double)c->C) * (first == OUTPUT ? 1 / sqrt(2.0 * (double)c->L) : 1);
}

static void init_tensor(md_tensor *t, const md_config *c, uint64_t seed)
{
    const md_first first = md_first_value((md_role)t->role);
    const double   sd    = deviation(c, first);
    const real     one   = md_has(c, MD_GEMMA) ? 0 : 1; /* Gemma's norms add 1 */
    rt_rng         r     = {seed};
    for (int64_t j = 0; j < t->rows * t->cols; j++) {
        const real x = first == ONES ? one : first == ZEROS ? 0 : (real)(sd * rt_rng_normal(&r));
        kn_put(t->data, t->type, j, &x, 1, 0);
    }
}

void md_init(md_model *m, uint64_t seed)
{
    for (int i = 0; i < m->n; i++) init_tensor(&m->t[i], &m->config, rt_mix2(seed, (uint64_t)i));
}

static void free_tensor(md_tensor *t)
{
    if (t->data && kn_type_of(t->type)->quantised) {
        kn_quant *q = t->data;
        free(q->q), free(q->scale), free(q->zero);
    }
    free(t->data);
}

void md_destroy(md_model **mp)
{
    md_model *m = *mp;
    if (!m) return;
    for (int i = 0; i < m->n; i++) free_tensor(&m->t[i]);
    free(m->t), free(m->dir), free(m);
    *mp = NULL;
}

int64_t md_tensor_bytes(const md_tensor *t)
{
    const kn_type_info *type  = kn_type_of(t->type);
    const kn_quant     *q     = t->data;
    const int64_t       bytes = t->rows * t->cols / (int64_t)type->block * (int64_t)type->bytes;
    return type->quantised ? bytes + q->rows * q->groups * (int64_t)(sizeof *q->scale + sizeof *q->zero) : bytes;
}

int64_t md_bytes(const md_model *m)
{
    int64_t n = 0;
    for (int i = 0; i < m->n; i++) n += md_tensor_bytes(&m->t[i]);
    return n;
}

kn_type md_activations(const md_model *m) { return m->t[md_place(m, MD_FINAL_NORM, 0)].type; }

const md_tensor *md_head(const md_model *m) { return &m->t[md_place(m, m->config.tied ? MD_EMBEDDING : MD_HEAD, 0)]; }

rt_status md_head_cast(real **out, const md_model *m)
{
    const md_tensor *w = md_head(m);
    real            *x;
    if (kn_size(w->type)) return RT_OK;
    RT_TRY(RT_NEW(x, w->rows * w->cols));
    for (int64_t i = 0; i < w->rows; i++) kn_row(x + i * w->cols, w->data, w->type, i, w->cols);
    *out = x;
    return RT_OK;
}
