/* codec_fit.c -- fitting the hidden-state codec: an encoder and a decoder of a few bytes per row.
 *
 * A distribution is softmax(W h), so it is sufficient to store h with the least costly errors.  An error e of h costs
 * e' G e / 2 nats, where G = E[W' (diag p - p p') W] is the averaged Fisher metric.  In the coordinates y = (h - mean) L
 * with G = L L' all directions cost the same.  Along the principal axes of y the coordinates are uncorrelated, and bits
 * are assigned one by one to the axis with the largest error (reverse water-filling: Cover & Thomas, 10.3.3).
 */
#include "distill/codec.h"
#include "model/score.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 128, /* rows of p or of W per block */ METRIC_ROWS = 2048, MAX_BITS = 8 };

typedef struct fit {
    const md_model  *m;
    const md_tensor *w;
    int64_t          V, C, n, used;             /* n: hidden states; used: those for which p is computed */
    real            *wide;                      /* weights of a quantised head, cast to real; else NULL */
    real            *h, *mean;                  /* [n, C], centred after p is computed; [C] */
    real            *mean_p, *q;                /* [V]; [used, C] p W of each row, later centred */
    real            *center;                    /* [C] mean_p W, subtracted from the rows of W: softmax is invariant to it */
    real            *block, *block2;            /* [BLOCK, max(C, V)] and [BLOCK, C] */
    real            *square, *to, *from, *axes; /* [C, C] (from: [C + 1, C]); rows sqrt(g) E, E / sqrt(g), principal axes */
    double          *matrix, *g, *lambda;       /* [C, C]; [C] eigenvalues; [C] variances of the axes, descending */
    uint8_t         *bits;                      /* [C] bits of each axis */
} fit;

static kn_mat plain(const real *p, int64_t ld, int trans) { return (kn_mat){p, KN_REAL, ld, trans}; }

static kn_mat codec_head(const fit *f, int trans)
{
    return f->wide ? plain(f->wide, f->C, trans) : (kn_mat){f->w->data, f->w->type, f->C, trans};
}

static rt_status codec_make(fit *f)
{
    const int64_t C = f->C, V = f->V;
    RT_TRY(RT_NEW(f->mean, C));
    RT_TRY(RT_NEW(f->mean_p, V));
    RT_TRY(RT_NEW(f->q, f->used * C));
    RT_TRY(RT_NEW(f->center, C));
    RT_TRY(RT_NEW(f->block, BLOCK * (C > V ? C : V)));
    RT_TRY(RT_NEW(f->block2, BLOCK * C));
    RT_TRY(RT_NEW(f->square, C * C));
    RT_TRY(RT_NEW(f->to, C * C));
    RT_TRY(RT_NEW(f->from, (C + 1) * C));
    RT_TRY(RT_NEW(f->axes, C * C));
    RT_TRY(RT_NEW(f->matrix, C * C));
    RT_TRY(RT_NEW(f->g, C));
    RT_TRY(RT_NEW(f->lambda, C));
    RT_TRY(RT_NEW(f->bits, C));
    return md_head_cast(&f->wide, f->m);
}

static void fit_free(fit *f)
{
    free(f->mean), free(f->mean_p), free(f->q), free(f->center), free(f->block), free(f->block2), free(f->square), free(f->to);
    free(f->from), free(f->axes), free(f->matrix), free(f->g), free(f->lambda), free(f->bits), free(f->wide);
}

/* ---- the metric ------------------------------------------------------------------------------------ */

static void softmax(int64_t i, int thread, void *ud)
{
    const fit *f = ud;
    real      *p = f->block + i * f->V;
    (void)thread;
    kn_get()->exp_sub(p, p, (real)md_lse(p, f->V), f->V);
}

/* Computes mean_p and q from `used` rows that are spread evenly over all. */
static void distributions(fit *f)
{
    const kn_table *k = kn_get();
    for (int64_t a = 0; a < f->used; a += BLOCK) {
        const int64_t n = f->used - a < BLOCK ? f->used - a : BLOCK;
        for (int64_t i = 0; i < n; i++) memcpy(f->block2 + i * f->C, f->h + (a + i) * f->n / f->used * f->C, (size_t)f->C * sizeof(real));
        kn_gemm(f->block, KN_REAL, f->V, plain(f->block2, f->C, 0), codec_head(f, 1), n, f->V, f->C, NULL);
        rt_parallel(n, softmax, f);
        for (int64_t i = 0; i < n; i++) k->axpy(f->mean_p, f->block + i * f->V, 1 / (real)f->used, f->V);
        kn_gemm(f->q + a * f->C, KN_REAL, f->C, plain(f->block, f->V, 0), codec_head(f, 0), n, f->C, f->V, NULL);
    }
}

/* Stores the mean of the n rows of x[n, C] in mean[C] and subtracts it from each row. */
static void center_rows(real *x, int64_t n, int64_t C, real *mean)
{
    const kn_table *k = kn_get();
    memset(mean, 0, (size_t)C * sizeof(real));
    for (int64_t i = 0; i < n; i++) k->axpy(mean, x + i * C, 1 / (real)n, C);
    for (int64_t i = 0; i < n; i++) k->axpy(x + i * C, mean, -1, C);
}

/* Stores up to BLOCK rows of the head from row a on, minus the center, in block.  Returns the number of rows. */
static int64_t head_rows(fit *f, int64_t a)
{
    const int64_t n = f->V - a < BLOCK ? f->V - a : BLOCK;
    for (int64_t i = 0; i < n; i++) {
        kn_row(f->block + i * f->C, f->w->data, f->w->type, a + i, f->C);
        kn_get()->axpy(f->block + i * f->C, f->center, -1, f->C);
    }
    return n;
}

/* Stores the eigenvalues of `square` in w, ascending, and its eigenvectors in the rows of `matrix`.  RT_ECHECK: the matrix
 * is zero or not finite. */
static rt_status eigen(fit *f, double *w)
{
    double trace = 0;
    for (int64_t i = 0; i < f->C * f->C; i++) f->matrix[i] = (double)f->square[i];
    for (int64_t i = 0; i < f->C; i++) trace += f->matrix[i * f->C + i];
    for (int64_t i = 0; i < f->C * f->C; i++) trace += 0 * f->matrix[i]; /* NaN if an element is not finite */
    RT_CHECK(isfinite(trace) && trace > 0, RT_ECHECK, "a codec cannot be fitted: the model's hidden states %s",
             trace <= 0 ? "do not vary; score more text" : "are not finite; its weights are damaged");
    return kn_eigen(f->matrix, w, f->C);
}

/* Computes the eigenvalues and eigenvectors of G = (sum over v of mean_p w w') - (mean of q q'), both relative to the center. */
static rt_status metric(fit *f)
{
    const int64_t C = f->C;
    center_rows(f->q, f->used, C, f->center);
    for (int64_t i = 0; i < f->used * C; i++) f->q[i] /= (real)sqrt((double)f->used);
    for (int64_t a = 0; a < f->V; a += BLOCK) {
        const int64_t n = head_rows(f, a);
        for (int64_t i = 0; i < n; i++) kn_get()->scale(f->block2 + i * C, f->block + i * C, f->mean_p[a + i], C);
        kn_gemm(f->square, KN_REAL, C, plain(f->block, C, 1), plain(f->block2, C, 0), C, C, n, f->square);
    }
    kn_gemm(f->axes, KN_REAL, C, plain(f->q, C, 1), plain(f->q, C, 0), C, C, f->used, NULL);
    kn_get()->axpy(f->square, f->axes, -1, C * C);
    return eigen(f, f->g);
}

/* Computes the maps between h and coordinates in which all directions cost the same.  Eigenvalues are at least 1e-6 of
 * their mean, so that the inverse map does not amplify directions of almost no cost. */
static void make_maps(fit *f)
{
    double sum = 0;
    for (int64_t i = 0; i < f->C; i++) sum += f->g[i];
    for (int64_t i = 0; i < f->C; i++) {
        const double root = sqrt(fmax(f->g[i], 1e-6 * sum / (double)f->C));
        for (int64_t c = 0; c < f->C; c++) {
            f->to[i * f->C + c]   = (real)(f->matrix[i * f->C + c] * root);
            f->from[i * f->C + c] = (real)(f->matrix[i * f->C + c] / root);
        }
    }
}

/* ---- axes and bits ----------------------------------------------------------------------------------- */

/* Computes the principal axes of (h - mean) L in order of decreasing variance.  y[n, C] is scratch memory. */
static rt_status principal_axes(fit *f, real *y)
{
    const int64_t C = f->C;
    kn_gemm(y, KN_REAL, C, plain(f->h, C, 0), plain(f->to, C, 1), f->n, C, C, NULL);
    for (int64_t i = 0; i < f->n * C; i++) y[i] /= (real)sqrt((double)f->n);
    kn_gemm(f->square, KN_REAL, C, plain(y, C, 1), plain(y, C, 0), C, C, f->n, NULL);
    RT_TRY(eigen(f, f->g));
    for (int64_t i = 0; i < C; i++) {
        f->lambda[i] = f->g[C - 1 - i];
        for (int64_t c = 0; c < C; c++) f->axes[i * C + c] = (real)f->matrix[(C - 1 - i) * C + c];
    }
    return RT_OK;
}

/* Assigns each bit to the axis with the largest error; a bit divides the error by 4.  On a tie the first axis is chosen, so
 * that the axes with bits come first.  Returns their number. */
static int64_t share_bits(fit *f, int64_t bits)
{
    int64_t r = 0;
    double *e = f->g;
    memcpy(e, f->lambda, (size_t)f->C * sizeof *e);
    for (int64_t b = 0; b < bits; b++) {
        int64_t best = 0;
        for (int64_t i = 1; i < f->C; i++)
            if (e[i] > e[best]) best = i;
        if (e[best] <= 0) break;
        f->bits[best]++;
        e[best] = f->bits[best] == MAX_BITS ? 0 : e[best] / 4;
        if (best >= r) r = best + 1;
    }
    return r;
}

/* ---- the encoder and the decoder ---------------------------------------------------------------------- */

/* Builds the encoder: coordinate i is axes_i . (to (h - mean)). */
static rt_status make_coder(ds_codec *s, fit *f)
{
    const int64_t C = f->C;
    RT_TRY(ds_codec_add_map(s, C));
    kn_gemm(f->square, KN_REAL, C, plain(f->axes, C, 0), plain(f->to, C, 0), s->r, C, C, NULL);
    for (int64_t i = 0; i < s->r; i++) {
        const real *from = f->square + i * C;
        float      *to   = s->map + i * (C + 1);
        for (int64_t c = 0; c < C; c++) to[c] = (float)from[c];
        to[C] = -(float)kn_get()->dot(from, f->mean, C);
    }
    return RT_OK;
}

/* Builds the decoder: logits are (W - center) . (mean + sum over i of y_i from_i), so the head has a column for each from_i and
 * a bias column for the mean. */
static void make_decoder(ds_codec *s, fit *f)
{
    const int64_t C = f->C, cols = s->r + 1;
    memcpy(s->bits, f->bits, (size_t)s->r);
    for (int64_t i = 0; i < s->r; i++) s->scale[i] = (float)sqrt(f->lambda[i]);
    kn_gemm(f->square, KN_REAL, C, plain(f->axes, C, 0), plain(f->from, C, 0), s->r, C, C, NULL);
    memcpy(f->from, f->square, (size_t)(s->r * C) * sizeof(real));
    memcpy(f->from + s->r * C, f->mean, (size_t)C * sizeof(real));
    for (int64_t a = 0; a < f->V; a += BLOCK) {
        const int64_t n = head_rows(f, a);
        kn_gemm(s->head + a * cols, KN_BF16, cols, plain(f->block, C, 0), plain(f->from, C, 1), n, cols, C, NULL);
    }
}

static rt_status fit_all(ds_codec **out, fit *f, int64_t bytes)
{
    real *y = NULL;
    RT_TRY(codec_make(f));
    distributions(f);
    RT_TRY(metric(f));
    make_maps(f);
    center_rows(f->h, f->n, f->C, f->mean);
    rt_status st = RT_NEW(y, f->n * f->C);
    if (st == RT_OK) st = principal_axes(f, y);
    free(y);
    RT_TRY(st);
    RT_TRY(ds_codec_create(out, share_bits(f, 8 * bytes), f->V, bytes));
    RT_TRY(make_coder(*out, f));
    make_decoder(*out, f);
    return RT_OK;
}

rt_status di_codec_fit(ds_codec **out, const md_model *m, real *h, int64_t n, int64_t bytes)
{
    RT_CHECK(
        m->config.logit_cap == 0, RT_EINVAL,
        "the hidden-state codec cannot store a model that caps its logits (final_logit_softcapping %g); store entries instead: --k and "
        "--m",
        m->config.logit_cap);
    fit f = {.m = m, .w = md_head(m), .V = m->config.V, .C = m->config.C, .n = n, .used = n < METRIC_ROWS ? n : METRIC_ROWS, .h = h};
    RT_CHECK(n >= 1, RT_ECHECK, "a codec cannot be fitted: the shards have no row to fit it to");
    *out               = NULL;
    const rt_status st = fit_all(out, &f, bytes);
    fit_free(&f);
    if (st != RT_OK) ds_codec_destroy(out);
    return st;
}
