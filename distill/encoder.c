/* encoder.c -- encoding of hidden states, and the divergence that it causes. */
#include "distill/codec.h"
#include "model/score.h"
#include <math.h>
#include <stdlib.h>

enum { BLOCK = 64 /* rows of logits per block */ };

struct di_encoder {
    const ds_codec *s;
    real           *map; /* [r, C + 1] s->map in reals */
    float          *y;   /* [threads, r + 1] */
};

static rt_status encoder_make(di_encoder *o)
{
    const int64_t n = o->s->r * (o->s->C + 1);
    RT_TRY(RT_NEW(o->map, n));
    for (int64_t i = 0; i < n; i++) o->map[i] = (real)o->s->map[i];
    return RT_NEW(o->y, rt_threads() * (o->s->r + 1));
}

rt_status di_encoder_create(di_encoder **out, const ds_codec *s)
{
    di_encoder *o;
    RT_TRY(RT_NEW(o, 1));
    o->s               = s;
    const rt_status st = encoder_make(o);
    if (st != RT_OK) di_encoder_destroy(&o);
    else *out = o;
    return st;
}

void di_encoder_destroy(di_encoder **encoder)
{
    di_encoder *o = *encoder;
    if (!o) return;
    free(o->map), free(o->y), free(o);
    *encoder = NULL;
}

void di_encoder_row(const di_encoder *o, const real *h, uint8_t *row, int thread)
{
    const int64_t r = o->s->r, C = o->s->C;
    float        *y = o->y + thread * (r + 1);
    RT_ASSERT(thread >= 0 && thread < rt_threads());
    for (int64_t i = 0; i < r; i++) {
        const real *map = o->map + i * (C + 1);
        y[i]            = (float)(kn_get()->dot(map, h, C) + map[C]);
    }
    ds_codec_encode(o->s, y, row);
}

/* ---- the loss of a codec ---------------------------------------------------------------------------------- */

typedef struct check {
    const di_encoder *o;
    const real       *h; /* the block's hidden states [n, C] */
    int64_t           C, V;
    uint8_t          *row;    /* [threads, bytes] */
    real             *y;      /* [BLOCK, r + 1] decoded states */
    real             *z, *zs; /* [BLOCK, V] logits of the teacher and of the decoded states */
    real             *wide;   /* weights of a quantised head, cast to real; else NULL */
    double            lost[BLOCK];
} check;

static void code_and_decode(int64_t i, int thread, void *ud)
{
    check        *c   = ud;
    const int64_t r   = c->o->s->r;
    float        *y   = c->o->y + thread * (r + 1);
    uint8_t      *row = c->row + thread * c->o->s->bytes;
    di_encoder_row(c->o, c->h + i * c->C, row, thread);
    ds_codec_decode(c->o->s, row, y);
    for (int64_t j = 0; j <= r; j++) c->y[i * (r + 1) + j] = (real)y[j];
}

static void diverge(int64_t i, int thread, void *ud)
{
    check       *c = ud;
    const real  *z = c->z + i * c->V, *zs = c->zs + i * c->V;
    const double lp = md_lse(z, c->V), lq = md_lse(zs, c->V);
    double       kl = 0;
    (void)thread;
    for (int64_t v = 0; v < c->V; v++) kl += exp((double)z[v] - lp) * ((double)z[v] - lp - ((double)zs[v] - lq));
    c->lost[i] = kl;
}

static double encoder_measure(check *c, const md_model *m, const real *h, int64_t n)
{
    const ds_codec  *s   = c->o->s;
    const md_tensor *w   = md_head(m);
    const kn_mat     own = c->wide ? (kn_mat){c->wide, KN_REAL, c->C, 1} : (kn_mat){w->data, w->type, c->C, 1};
    double           sum = 0;
    for (int64_t a = 0; a < n; a += BLOCK) {
        const int64_t rows = n - a < BLOCK ? n - a : BLOCK;
        c->h               = h + a * c->C;
        rt_parallel(rows, code_and_decode, c);
        kn_gemm(c->z, KN_REAL, c->V, (kn_mat){c->h, KN_REAL, c->C, 0}, own, rows, c->V, c->C, NULL);
        kn_gemm(c->zs, KN_REAL, c->V, (kn_mat){c->y, KN_REAL, s->r + 1, 0}, (kn_mat){s->head, KN_BF16, s->r + 1, 1}, rows, c->V, s->r + 1,
                NULL);
        rt_parallel(rows, diverge, c);
        for (int64_t i = 0; i < rows; i++) sum += c->lost[i];
    }
    return sum / (double)n;
}

static rt_status make_check(check *c, const md_model *m)
{
    const ds_codec *s = c->o->s;
    RT_TRY(RT_NEW(c->row, rt_threads() * s->bytes));
    RT_TRY(RT_NEW(c->y, BLOCK * (s->r + 1)));
    RT_TRY(RT_NEW(c->z, BLOCK * c->V));
    RT_TRY(RT_NEW(c->zs, BLOCK * c->V));
    return md_head_cast(&c->wide, m);
}

rt_status di_encoder_loss(double *nats, const di_encoder *o, const md_model *m, const real *h, int64_t n)
{
    check           c  = {.o = o, .C = m->config.C, .V = m->config.V};
    const rt_status st = make_check(&c, m);
    if (st == RT_OK) *nats = encoder_measure(&c, m, h, n);
    free(c.row), free(c.y), free(c.z), free(c.zs), free(c.wide);
    return st;
}
