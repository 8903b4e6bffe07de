/* size.c -- trying every width, each with the depth that gives the wanted number of parameters. */
#include "model/size.h"
#include <math.h>

enum { STEP = 32, GROUP = 64, LAST = 8192, SHALLOW = 2, NARROW = 256, RATIO = 24, NARROWEST = 6 /* width per layer */ };

/* Sets the sizes of a width: heads of 64 (32 in narrow models), a key/value head for two to four of them, and a feed-forward part of 8/3 of the
 * width, in multiples of 64, as in Llama, so that it can be quantised in groups of 64.  Returns 0 if the width has no such heads. */
static int size_width(md_config *c, int64_t C)
{
    c->C  = C;
    c->D  = C < NARROW ? 32 : 64;
    c->H  = C / c->D;
    c->KV = 0;
    for (int64_t group = 2; group <= 4; group++)
        if (c->H % group == 0) c->KV = c->H / group;
    c->F = (8 * C / 3 + GROUP - 1) / GROUP * GROUP;
    return c->KV && C % c->D == 0;
}

/* Sets the depth that comes nearest to the wanted number; returns 0 if that is too shallow or too far off. */
static int size_depth(md_config *c, int64_t parameters)
{
    c->L                = 1;
    const int64_t one   = md_config_parameters(c);
    c->L                = 2;
    const int64_t layer = md_config_parameters(c) - one, rest = one - layer;
    c->L = (parameters - rest + layer / 2) / layer;
    if (c->L < SHALLOW || c->L * NARROWEST > c->C || 10 * rest > 7 * parameters) return 0;
    const double off = (double)md_config_parameters(c) / (double)parameters;
    return off > 0.9 && off < 1.05;
}

rt_status md_config_size(md_config *c, int64_t parameters)
{
    md_config best = {0}, at = *c;
    double    least = INFINITY;
    for (int64_t C = STEP; C <= LAST; C += STEP) {
        if (!size_width(&at, C) || !size_depth(&at, parameters)) continue;
        const double off = fabs(log((double)at.C / (double)at.L / RATIO));
        if (off < least) least = off, best = at;
    }
    RT_CHECK(
        isfinite(least), RT_EINVAL,
        "no sensible model of %lld parameters has %lld ids: the embedding alone has %lld of them at a width of %d; trim the tokenizer or ask for "
        "more parameters",
        (long long)parameters, (long long)c->V, (long long)(c->V * 2 * STEP), 2 * STEP);
    *c = best;
    return RT_OK;
}
