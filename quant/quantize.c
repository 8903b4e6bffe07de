/* quantize.c -- quantisation of matrices to 8 or 4 bits: in each group of columns Q = round(S x + Z) with
 * S = (2^bits - 1) / (max - min), Z = -S min (Jacob et al. 2018, arXiv:1712.05877, eq. 1, with S
 * the inverse of their scale).  S and Z are finite for all finite weights. */
#include "quant/quant.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Upper bound of S: above it 1 / S, by which levels are multiplied, would be denormal, and twice this value is not finite in f32. */
static const double MOST = 0x1p126;

static void quantize_set(kn_quant *q, int64_t row, int64_t col, int v)
{
    uint8_t *to = q->q + row * q->cols * q->bits / 8;
    if (q->bits == 8) to[col] = (uint8_t)v;
    else to[col / 2] = (uint8_t)(to[col / 2] | v << (col % 2 * 4));
}

static void quantise_group(kn_quant *q, int64_t row, int64_t g, const real *x)
{
    const int levels = (1 << q->bits) - 1;
    double    lo = (double)x[0], hi = lo;
    for (int64_t i = 1; i < q->group; i++) lo = fmin(lo, (double)x[i]), hi = fmax(hi, (double)x[i]);
    const float S = hi > lo ? (float)fmin(levels / (hi - lo), MOST) : 1, Z = (float)(-(double)S * lo);
    q->scale[row * q->groups + g] = S;
    q->zero[row * q->groups + g]  = Z;
    for (int64_t i = 0; i < q->group; i++) {
        const long v = lround((double)S * (double)x[i] + (double)Z);
        quantize_set(q, row, g * q->group + i, (int)(v < 0 ? 0 : v > levels ? levels : v));
    }
}

static rt_status quantize_make(kn_quant *q)
{
    RT_TRY(rt_alloc((void **)&q->q, q->rows * q->cols * q->bits / 8, 1, "quantised weights"));
    RT_TRY(RT_NEW(q->scale, q->rows * q->groups));
    return RT_NEW(q->zero, q->rows * q->groups);
}

static rt_status quantise_tensor(md_tensor *t, int bits, int64_t group)
{
    kn_quant *q;
    real     *row;
    RT_CHECK(t->cols % group == 0, RT_EINVAL,
             "%s has %lld columns, which is not a multiple of the group of %lld columns; choose another --group", t->name,
             (long long)t->cols, (long long)group);
    RT_TRY(RT_NEW(row, t->cols));
    RT_TRY(RT_NEW(q, 1));
    *q                 = (kn_quant){.bits = bits, .rows = t->rows, .cols = t->cols, .group = group, .groups = t->cols / group};
    const rt_status st = quantize_make(q);
    for (int64_t i = 0; st == RT_OK && i < t->rows; i++) {
        kn_row(row, t->data, t->type, i, t->cols);
        for (int64_t g = 0; g < q->groups; g++) quantise_group(q, i, g, row + g * group);
    }
    free(row);
    free(t->data);
    t->data = q;
    t->type = kn_type_quantised(bits);
    return st;
}

rt_status qu_quantise(md_model *m, int bits, int64_t group)
{
    RT_CHECK((bits == 8 || bits == 4) && group >= 2 && group % 2 == 0, RT_EINVAL,
             "expected 8 or 4 bits and an even group size, found %d bits and a group of %lld", bits, (long long)group);
    RT_CHECK(!m->config.bits, RT_EINVAL, "%s is already quantised to %lld bits; quantise the model from which it was made",
             m->dir ? m->dir : "the model", (long long)m->config.bits);
    for (int i = 0; i < m->n; i++)
        if (!m->t[i].is_vector) RT_TRY(quantise_tensor(&m->t[i], bits, group));
    m->config.bits  = bits;
    m->config.group = group;
    return RT_OK;
}
