/* rope.c -- the rotary tables of a model.
 *
 * Pair i of a head turns by position times theta^(-2 i / dims), or by a frequency that a scaling has made of it, so that a model
 * trained on `original` positions works on more:
 *
 *   linear    f / factor (Chen et al. 2023, arXiv:2306.15595)
 *   llama3    f / factor below low / original turns per position, f above high / original, interpolated between
 *             (Llama 3.1; arXiv:2407.21783)
 *   yarn      f / factor for pairs that turn fewer than `low` times in `original` positions, f for those that turn more than
 *             `high` times, a ramp between (Peng et al. 2023, arXiv:2309.00071)
 *   longrope  f / divisor[i], with other divisors for texts longer than `original` (Ding et al. 2024, arXiv:2402.13753)
 *
 * yarn and longrope also multiply cosines and sines by a constant, `attention`.
 */
#include "model/rope.h"
#include "model/arch.h"
#include "model/graph.h"
#include <math.h>

static const double TURN = 6.283185307179586;

static int64_t rope_dims(const md_rope *r, int64_t D) { return r->dims ? r->dims : D; }

static double llama3(const md_rope *r, double f)
{
    const double turns = (double)r->original * f / TURN;
    if (turns < r->low) return f / r->factor;
    if (turns > r->high) return f;
    const double smooth = (turns - r->low) / (r->high - r->low);
    return (1 - smooth) * f / r->factor + smooth * f;
}

/* Returns the index of the pair that turns `turns` times in the original context. */
static double yarn_pair(const md_rope *r, double dims, double turns)
{
    return dims * log((double)r->original / (turns * TURN)) / (2 * log(r->theta));
}

static double yarn(const md_rope *r, double f, int64_t i, int64_t dims)
{
    double first = yarn_pair(r, (double)dims, r->high), last = yarn_pair(r, (double)dims, r->low);
    if (r->truncate) first = floor(first), last = ceil(last);
    first = fmax(first, 0), last = fmin(last, (double)dims - 1);
    if (first == last) last += 0.001;
    const double ramp = fmin(fmax(((double)i - first) / (last - first), 0), 1);
    return f / r->factor * ramp + f * (1 - ramp);
}

double md_rope_frequencies(double *f, const md_rope *r, int64_t D, int longer)
{
    const int64_t dims = rope_dims(r, D);
    for (int64_t i = 0; i < dims / 2; i++) {
        const double plain = pow(r->theta, -2.0 * (double)i / (double)dims);
        switch ((md_rope_kind)r->kind) {
        case MD_ROPE_DEFAULT: f[i] = plain; break;
        case MD_ROPE_LINEAR: f[i] = plain / r->factor; break;
        case MD_ROPE_LLAMA3: f[i] = llama3(r, plain); break;
        case MD_ROPE_YARN: f[i] = yarn(r, plain, i, dims); break;
        case MD_ROPE_LONGROPE: f[i] = plain / r->divisor[longer][i]; break;
        }
    }
    return r->kind == MD_ROPE_YARN || r->kind == MD_ROPE_LONGROPE ? r->attention : 1;
}

/* ---- tables: [0] of all layers, or [0] for short and [1] for long sequences; the last of local layers -------- */

static int64_t reals_of(const md_config *c, const md_rope *r) { return 2 * c->context * (rope_dims(r, c->D) / 2); }

void md_rope_shape(int64_t shape[3], const md_config *c, const md_rope *r)
{
    shape[0] = 2, shape[1] = c->context, shape[2] = rope_dims(r, c->D) / 2;
}

static void fill(real *table, const md_config *c, const md_rope *r, int longer)
{
    double       f[MD_MAX_PAIRS];
    const double factor = md_rope_frequencies(f, r, c->D, longer);
    ag_rope_table(table, c->context, rope_dims(r, c->D), f, factor);
}

rt_status md_rope_tables(real **out, const md_config *c)
{
    const int     both = c->rope.kind == MD_ROPE_LONGROPE, local = md_has(c, MD_LOCAL_ROPE);
    const int64_t n = reals_of(c, &c->rope);
    real         *t;
    RT_TRY(rt_alloc((void **)&t, n * (1 + both) + local * reals_of(c, &c->rope_local), sizeof(real), "the rotary tables"));
    fill(t, c, &c->rope, 0);
    if (both) fill(t + n, c, &c->rope, 1);
    if (local) fill(t + n * (1 + both), c, &c->rope_local, 0);
    *out = t;
    return RT_OK;
}

void md_bind_rope(ag_plan *p, const md_graph *g, const md_config *c, real *tables, int64_t tokens)
{
    const int     both = c->rope.kind == MD_ROPE_LONGROPE;
    const int64_t n    = reals_of(c, &c->rope);
    ag_plan_bind(p, g->rope, tables + (both && tokens > c->rope.original ? n : 0), NULL);
    if (g->rope_local >= 0) ag_plan_bind(p, g->rope_local, tables + n * (1 + both), NULL);
}
