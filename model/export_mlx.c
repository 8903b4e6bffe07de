/* export_mlx.c -- a quantised model in the layout of Apple's MLX, which mlx-lm runs.
 *
 * A matrix X.weight [rows, cols] is stored as X.weight, U32 [rows, cols bits / 32] with the first level in the lowest bits, X.scales and X.biases, F32 [rows,
 * cols / group]; a weight is scale level + bias (the documentation of mlx.core.quantize).  Our levels lie in the same order, and our weight is
 * (level - zero) / scale, so the levels are copied and scale and bias are 1 / scale and -zero / scale.  Vectors are F32. */
#include "core/file.h"
#include "core/json.h"
#include "model/export.h"
#include "model/files.h"
#include "model/fused.h"
#include "model/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stored matrix or vector: one tensor of the model, or those that its family fuses, which follow one another. */
typedef struct mlx_item {
    const md_tensor *t;
    int              parts;
    int64_t          rows;
    char             base[MD_NAME]; /* its name without ".weight" */
    const char      *tail;          /* ".weight" or ".bias" */
} mlx_item;

static const char *const mlx_suffix[] = {".weight", ".scales", ".biases"};

static void take_item(mlx_item *x, const md_model *m, int at)
{
    md_fusion f;
    *x               = (mlx_item){.t = &m->t[at], .parts = 1, .rows = m->t[at].rows};
    const char *name = m->t[at].name;
    if (md_fused(&f, m, x->t)) {
        name = f.name, x->rows = f.rows;
        for (int64_t rows = x->t->rows; rows < f.rows; x->parts++) rows += x->t[x->parts].rows;
    }
    const char *dot = strrchr(name, '.');
    x->tail         = !strcmp(dot, ".bias") ? ".bias" : mlx_suffix[0];
    snprintf(x->base, sizeof x->base, "%.*s", (int)(dot - name), name);
}

static void mlx_describe(md_st_tensor *e, const mlx_item *x, const char *suffix, const char *dtype, int nd, int64_t a, int64_t b)
{
    *e = (md_st_tensor){.nd = nd, .shape = {a, b}};
    snprintf(e->name, sizeof e->name, "%s%s", x->base, suffix);
    snprintf(e->dtype, sizeof e->dtype, "%s", dtype);
}

/* Lists the item's stored tensors; returns their number. */
static int64_t list_item(md_st_tensor *e, const mlx_item *x)
{
    const kn_quant *q = x->t->data;
    if (kn_size(x->t->type)) {
        mlx_describe(e, x, x->tail, "F32", 1, x->t->cols, 0);
        return 1;
    }
    mlx_describe(e, x, mlx_suffix[0], "U32", 2, x->rows, q->cols * q->bits / 32);
    for (int i = 1; i < 3; i++) mlx_describe(e + i, x, mlx_suffix[i], "F32", 2, x->rows, q->groups);
    return 3;
}

static rt_status write_vector(md_st *f, const md_tensor *t)
{
    float *x;
    real  *row = NULL;
    RT_TRY(RT_NEW(x, t->cols));
    rt_status st = RT_NEW(row, t->cols);
    if (st == RT_OK) {
        const real *v = kn_load(t->data, t->type, 0, t->cols, row);
        for (int64_t i = 0; i < t->cols; i++) x[i] = (float)v[i];
        st = md_st_write(f, x, t->cols * (int64_t)sizeof *x);
    }
    free(x), free(row);
    return st;
}

/* Writes the scales (bias 0) or the biases (1) of a matrix. */
static rt_status write_affine(md_st *f, const kn_quant *q, int bias)
{
    const int64_t n = q->rows * q->groups;
    float        *x;
    RT_TRY(RT_NEW(x, n));
    for (int64_t i = 0; i < n; i++) x[i] = bias ? -q->zero[i] / q->scale[i] : 1 / q->scale[i];
    const rt_status st = md_st_write(f, x, n * (int64_t)sizeof *x);
    free(x);
    return st;
}

static rt_status write_item(md_st *f, const mlx_item *x)
{
    if (kn_size(x->t->type)) return write_vector(f, x->t);
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < x->parts; i++) {
            const kn_quant *q = x->t[i].data;
            RT_TRY(s ? write_affine(f, q, s == 2) : md_st_write(f, q->q, q->rows * q->cols * q->bits / 8));
        }
    return RT_OK;
}

static rt_status mlx_weights(const md_model *m, const char *path)
{
    md_st_tensor *e = NULL;
    md_st        *f = NULL;
    int64_t       n = 0;
    mlx_item      x;
    RT_TRY(RT_NEW(e, 3 * m->n));
    for (int i = 0; i < m->n; i += x.parts) take_item(&x, m, i), n += list_item(e + n, &x);
    rt_status st = md_st_begin(&f, path, e, n);
    for (int i = 0; st == RT_OK && i < m->n; i += x.parts) take_item(&x, m, i), st = write_item(f, &x);
    if (st == RT_OK) st = md_st_end(&f);
    md_st_close(&f);
    free(e);
    return st;
}

/* Adds what mlx-lm reads to config.json. */
static rt_status mlx_config_add(const md_config *c, const char *path)
{
    cJSON *o = NULL;
    rt_buf b = {0};
    RT_TRY(rt_json_read(&o, path, RT_JSON_EXACT));
    cJSON    *q    = cJSON_AddObjectToObject(o, "quantization");
    const int done = cJSON_AddNumberToObject(q, "group_size", (double)c->group) && cJSON_AddNumberToObject(q, "bits", (double)c->bits);
    rt_status st   = done ? rt_json_print(&b, o) : rt_fail(RT_ENOMEM, __FILE__, __LINE__, "no memory for %s", path);
    if (st == RT_OK) st = rt_buf_str(&b, "\n");
    if (st == RT_OK) st = rt_file_write(path, b.p, b.len);
    cJSON_Delete(o);
    rt_buf_free(&b);
    return st;
}

/* The configuration is that of the plain model. */
static rt_status mlx_config(const md_model *m, const char *dir, rt_buf *path)
{
    md_model plain    = *m;
    plain.config.bits = 0;
    RT_TRY(md_config_write(&plain, dir, KN_REAL));
    RT_TRY(rt_path(path, dir, "config.json"));
    return mlx_config_add(&m->config, path->p);
}

rt_status md_export_mlx(md_exported *out, const md_model *m, const char *dir)
{
    const md_config *c    = &m->config;
    rt_buf           path = {0};
    RT_CHECK(c->bits, RT_EINVAL, "the MLX layout holds quantised models; quantise the model first");
    RT_CHECK(c->group == 32 || c->group == 64 || c->group == 128, RT_EINVAL,
             "MLX has groups of 32, 64 or 128 columns, but the model has groups of %lld; quantise it again with --group 64",
             (long long)c->group);
    rt_status st = rt_dir_make(dir);
    if (st == RT_OK) st = rt_path(&path, dir, "model.safetensors");
    if (st == RT_OK) st = mlx_weights(m, path.p);
    if (st == RT_OK) *out = (md_exported){.bytes = rt_file_size(path.p)};
    if (st == RT_OK) st = mlx_config(m, dir, &path);
    if (st == RT_OK && m->dir) st = ds_tokenizer_copy(m->dir, dir);
    for (int i = 0; i < m->n; i++) out->matrices += !kn_size(m->t[i].type);
    rt_buf_free(&path);
    return st;
}
