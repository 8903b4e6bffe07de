/* select.c -- copying the rows and columns of weights that a selection keeps. */
#include "model/select.h"
#include "model/arch.h"
#include <stdlib.h>
#include <string.h>

/* What the rows and the columns of a tensor are.  A vector has columns only. */
typedef enum axis { AXIS_ALL, AXIS_ID, AXIS_CHANNEL, AXIS_HEAD, AXIS_UNIT } axis;

static const struct {
    axis rows, cols;
} axes[MD_ROLES] = {
    [MD_EMBEDDING]       = {AXIS_ID, AXIS_CHANNEL},
    [MD_HEAD]            = {AXIS_ID, AXIS_CHANNEL},
    [MD_ATTENTION_NORM]  = {0, AXIS_CHANNEL},
    [MD_AFTER_ATTENTION] = {0, AXIS_CHANNEL},
    [MD_MLP_NORM]        = {0, AXIS_CHANNEL},
    [MD_BEFORE_MLP]      = {0, AXIS_CHANNEL},
    [MD_AFTER_MLP]       = {0, AXIS_CHANNEL},
    [MD_FINAL_NORM]      = {0, AXIS_CHANNEL},
    [MD_Q]               = {AXIS_HEAD, AXIS_CHANNEL},
    [MD_K]               = {AXIS_ALL, AXIS_CHANNEL},
    [MD_V]               = {AXIS_ALL, AXIS_CHANNEL},
    [MD_O]               = {AXIS_CHANNEL, AXIS_HEAD},
    [MD_Q_BIAS]          = {0, AXIS_HEAD},
    [MD_O_BIAS_VECTOR]   = {0, AXIS_CHANNEL},
    [MD_WIDE_Q_NORM]     = {0, AXIS_HEAD},
    [MD_GATE]            = {AXIS_UNIT, AXIS_CHANNEL},
    [MD_UP]              = {AXIS_UNIT, AXIS_CHANNEL},
    [MD_DOWN]            = {AXIS_CHANNEL, AXIS_UNIT},
    [MD_GATE_BIAS]       = {0, AXIS_UNIT},
    [MD_UP_BIAS]         = {0, AXIS_UNIT},
    [MD_DOWN_BIAS]       = {0, AXIS_CHANNEL},
};

/* ---- a selection ---------------------------------------------------------------------------------- */

static rt_status count_up(int32_t **list, int64_t rows, int64_t n)
{
    RT_TRY(RT_NEW(*list, rows * n));
    for (int64_t i = 0; i < rows * n; i++) (*list)[i] = (int32_t)(i % n);
    return RT_OK;
}

rt_status md_selection_all(md_selection *s, const md_config *c)
{
    *s = (md_selection){.L = c->L, .H = c->H, .F = c->F, .C = c->C, .V = c->V};
    RT_TRY(count_up(&s->layer, 1, c->L));
    RT_TRY(count_up(&s->head, c->L, c->H));
    RT_TRY(count_up(&s->unit, c->L, c->F));
    RT_TRY(count_up(&s->channel, 1, c->C));
    return count_up(&s->id, 1, c->V);
}

void md_selection_free(md_selection *s)
{
    free(s->layer), free(s->head), free(s->unit), free(s->channel), free(s->id);
    *s = (md_selection){0};
}

/* ---- configurations ---------------------------------------------------------------------------------- */

static void select_layers(md_config *to, const md_config *from, const int32_t *layer, int64_t L)
{
    *to   = *from;
    to->L = L;
    memset(to->layer, 0, sizeof to->layer);
    for (int64_t l = 0; l < L; l++) to->layer[l] = from->layer[layer[l]];
}

static int32_t new_id(const md_selection *s, int32_t former)
{
    for (int64_t v = 0; former >= 0 && v < s->V; v++)
        if (s->id[v] == former) return (int32_t)v;
    return -1;
}

static rt_status select_config(md_config *to, const md_config *from, const md_selection *s)
{
    select_layers(to, from, s->layer, s->L);
    to->H = s->H, to->F = s->F, to->C = s->C, to->V = s->V;
    to->bos  = new_id(s, from->bos);
    to->ends = (ds_ends){0};
    for (int i = 0; i < from->ends.n; i++) RT_TRY(ds_ends_add(&to->ends, new_id(s, from->ends.id[i])));
    return md_config_check(to);
}

/* ---- weights ------------------------------------------------------------------------------------------- */

/* Writes the former indexes along an axis of `now` elements to at[now]. */
static void select_axis(const md_selection *s, axis a, int64_t layer, int64_t D, int64_t now, int32_t *at)
{
    const int32_t *list = a == AXIS_ID ? s->id : a == AXIS_CHANNEL ? s->channel : a == AXIS_UNIT ? s->unit + layer * s->F : NULL;
    for (int64_t i = 0; i < now; i++)
        at[i] = a == AXIS_HEAD ? (int32_t)(s->head[layer * s->H + i / D] * D + i % D) : list ? list[i] : (int32_t)i;
}

static void select_copy(md_tensor *to, const md_tensor *from, const int32_t *row, const int32_t *col)
{
    const size_t size = kn_size(to->type);
    for (int64_t r = 0; r < to->rows; r++) {
        char       *out = (char *)to->data + (size_t)(r * to->cols) * size;
        const char *in  = (const char *)from->data + (size_t)(row[r] < 0 ? 0 : row[r] * from->cols) * size;
        if (row[r] < 0) memset(out, 0, (size_t)to->cols * size);
        for (int64_t c = 0; row[r] >= 0 && c < to->cols; c++) memcpy(out + (size_t)c * size, in + (size_t)col[c] * size, size);
    }
}

static rt_status select_tensor(md_tensor *to, const md_model *m, const md_selection *s)
{
    const int64_t    layer = md_per_layer((md_role)to->role) ? s->layer[to->layer] : 0;
    const md_tensor *from  = &m->t[md_place(m, (md_role)to->role, layer)];
    int32_t         *row = NULL, *col = NULL;
    RT_CHECK(kn_size(from->type), RT_EINVAL, "%s is quantised; start from the model that was quantised", from->name);
    rt_status st = RT_NEW(row, to->rows);
    if (st == RT_OK) st = RT_NEW(col, to->cols);
    if (st == RT_OK) {
        select_axis(s, to->is_vector ? AXIS_ALL : axes[to->role].rows, to->layer, m->config.D, to->rows, row);
        select_axis(s, axes[to->role].cols, to->layer, m->config.D, to->cols, col);
        select_copy(to, from, row, col);
    }
    free(row), free(col);
    return st;
}

rt_status md_select(md_model **out, const md_model *m, const md_selection *s)
{
    md_config c;
    md_model *n = NULL;
    RT_TRY(select_config(&c, &m->config, s));
    RT_TRY(md_create(&n, &c, md_activations(m)));
    rt_status st = RT_OK;
    for (int i = 0; st == RT_OK && i < n->n; i++) st = select_tensor(&n->t[i], m, s);
    if (st == RT_OK) *out = n;
    else md_destroy(&n);
    return st;
}

static rt_status mean_row(md_tensor *to, int32_t id, const md_tensor *from, const int32_t *ids, int64_t n)
{
    const int64_t C   = to->cols;
    real         *row = NULL, *sum = NULL;
    rt_status     st = RT_NEW(row, C);
    if (st == RT_OK) st = RT_NEW(sum, C);
    for (int64_t i = 0; st == RT_OK && i < n; i++) {
        const real *x = kn_load(from->data, from->type, ids[i] * C, C, row);
        for (int64_t c = 0; c < C; c++) sum[c] += x[c] / (real)n;
    }
    if (st == RT_OK) kn_put(to->data, to->type, id * C, sum, C, 0);
    free(row), free(sum);
    return st;
}

rt_status md_mean_rows(md_model *to, int32_t id, const md_model *from, const int32_t *ids, int64_t n)
{
    static const md_role roles[] = {MD_EMBEDDING, MD_HEAD};
    for (int i = 0; i < 2; i++) {
        const int at = md_place(to, roles[i], 0), was = md_place(from, roles[i], 0);
        if (at >= 0 && was >= 0) RT_TRY(mean_row(&to->t[at], id, &from->t[was], ids, n));
    }
    return RT_OK;
}

/* ---- views ------------------------------------------------------------------------------------------------ */

rt_status md_view_layers(md_model **out, const md_model *m, const int32_t *layer, int64_t L)
{
    md_config c;
    md_model *v;
    select_layers(&c, &m->config, layer, L);
    RT_TRY(md_meta(&v, &c));
    for (int i = 0; i < v->n; i++) {
        const md_role    role = (md_role)v->t[i].role;
        const md_tensor *from = &m->t[md_place(m, role, md_per_layer(role) ? layer[v->t[i].layer] : 0)];
        v->t[i].type = from->type, v->t[i].data = from->data;
    }
    *out = v;
    return RT_OK;
}

void md_view_destroy(md_model **v)
{
    for (int i = 0; *v && i < (*v)->n; i++) (*v)->t[i].data = NULL;
    md_destroy(v);
}
