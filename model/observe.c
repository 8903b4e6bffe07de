/* observe.c -- mean squares of activations: one graph that ends at the value. */
#include "model/observe.h"
#include "model/arch.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t md_part_width(const md_config *c, md_part part)
{
    return part == MD_PART_HEADS ? c->H * c->D : part == MD_PART_UNITS ? c->F : c->C;
}

typedef struct observation {
    md_graph g;
    ag_plan *p;
    int32_t *ids, *pos, *doc_start;
    real    *rope, *row;
} observation;

static rt_status observe_prepare(observation *o, const md_model *m, const md_packed *b, md_part part, int64_t layer)
{
    const md_graph_opts opts = {.use = MD_SCORE, .part = part, .layer = layer, .B = 1, .T = b->n, .activations = md_activations(m)};
    const size_t        size = (size_t)b->n * sizeof *o->ids;
    RT_TRY(RT_NEW(o->ids, b->n));
    RT_TRY(RT_NEW(o->pos, b->n));
    RT_TRY(RT_NEW(o->doc_start, b->n));
    RT_TRY(RT_NEW(o->row, md_part_width(&m->config, part)));
    memcpy(o->ids, b->ids, size), memcpy(o->pos, b->pos, size), memcpy(o->doc_start, b->doc_start, size);
    RT_TRY(md_rope_tables(&o->rope, &m->config));
    RT_TRY(md_graph_create(&o->g, m, &opts));
    RT_TRY(ag_plan_create(&o->p, o->g.g, o->g.value, &(ag_plan_opts){.forward_only = 1}));
    md_bind(o->p, &o->g, &(md_leaves){.m = m, .ids = o->ids, .pos = o->pos, .doc_start = o->doc_start, .rope = o->rope, .tokens = b->n});
    return RT_OK;
}

static rt_status observe_sum(observation *o, kn_type type, int64_t n, int64_t width, double *square)
{
    void *x;
    ag_plan_value(o->p, o->g.value, &x);
    memset(square, 0, (size_t)width * sizeof *square);
    for (int64_t i = 0; i < n; i++) {
        const real *row = kn_load(x, type, i * width, width, o->row);
        for (int64_t j = 0; j < width; j++) square[j] += (double)row[j] * (double)row[j] / (double)n;
    }
    for (int64_t j = 0; j < width; j++)
        RT_CHECK(isfinite(square[j]), RT_ECHECK, "column %lld of an activation is not finite", (long long)j);
    return RT_OK;
}

rt_status md_observe(const md_model *m, const md_packed *b, md_part part, int64_t layer, double *square)
{
    observation o  = {0};
    rt_status   st = observe_prepare(&o, m, b, part, layer);
    if (st == RT_OK) {
        ag_forward(o.p);
        st = observe_sum(&o, md_activations(m), b->n, md_part_width(&m->config, part), square);
    }
    ag_plan_destroy(&o.p);
    md_graph_destroy(&o.g);
    free(o.ids), free(o.pos), free(o.doc_start), free(o.rope), free(o.row);
    return st;
}

/* Multiplies square[cols] by the squared norms of the columns of the matrix that reads these activations. */
static rt_status weigh(const md_model *m, md_role reads, int64_t layer, double *square)
{
    const md_tensor *w    = &m->t[md_place(m, reads, layer)];
    double          *norm = NULL;
    real            *row  = NULL;
    rt_status        st   = RT_NEW(norm, w->cols);
    if (st == RT_OK) st = RT_NEW(row, w->cols);
    for (int64_t i = 0; st == RT_OK && i < w->rows; i++) {
        const real *x = kn_load(w->data, w->type, i * w->cols, w->cols, row);
        for (int64_t j = 0; j < w->cols; j++) norm[j] += (double)x[j] * (double)x[j];
    }
    for (int64_t j = 0; st == RT_OK && j < w->cols; j++) square[j] *= norm[j];
    free(norm), free(row);
    return st;
}

rt_status md_contribution(const md_model *m, const md_packed *b, md_part part, int64_t layer, double *square)
{
    RT_ASSERT(part == MD_PART_HEADS || part == MD_PART_UNITS);
    RT_TRY(md_observe(m, b, part, layer, square));
    return weigh(m, part == MD_PART_HEADS ? MD_O : MD_DOWN, layer, square);
}
