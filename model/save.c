/* save.c -- writes a model folder: model.safetensors and the configuration files.
 *
 * A quantised matrix NAME is stored as NAME.q (U8), NAME.scale and NAME.zero (F32).  In such a file a norm is stored as a matrix
 * of one row: a program that ignores missing matrices then fails at the norm's shape (experiments/decisions/0013). */
#include "core/file.h"
#include "model/files.h"
#include "model/fused.h"
#include "model/safetensors.h"
#include <stdio.h>
#include <stdlib.h>

static void save_describe(md_st_tensor *e, const char *name, const char *suffix, const char *dtype, int nd, int64_t a, int64_t b)
{
    *e = (md_st_tensor){.nd = nd, .shape = {a, b}};
    snprintf(e->name, sizeof e->name, "%s%s", name, suffix);
    snprintf(e->dtype, sizeof e->dtype, "%s", dtype);
}

static int64_t save_list(md_st_tensor *e, const md_model *m, kn_type type)
{
    int64_t n = 0;
    for (int i = 0; i < m->n; i++) {
        const md_tensor *t = &m->t[i];
        const kn_quant  *q = t->data;
        if (kn_size(t->type)) {
            const char *dtype = type == KN_BF16 ? "BF16" : sizeof(real) == 8 ? "F64" : "F32";
            const int   flat  = t->is_vector && !m->config.bits;
            md_fusion   f;
            if (!m->config.bits && md_fused(&f, m, t)) { /* the parts follow one another, as do their bytes */
                if (f.first) save_describe(&e[n++], f.name, "", dtype, 2, f.rows, t->cols);
                continue;
            }
            save_describe(&e[n++], t->name, "", dtype, flat ? 1 : 2, flat ? t->cols : t->rows, t->cols);
            continue;
        }
        save_describe(&e[n++], t->name, ".q", "U8", 2, q->rows, q->cols * q->bits / 8);
        save_describe(&e[n++], t->name, ".scale", "F32", 2, q->rows, q->groups);
        save_describe(&e[n++], t->name, ".zero", "F32", 2, q->rows, q->groups);
    }
    return n;
}

static rt_status save_write_plain(md_st *f, const md_tensor *t, kn_type type)
{
    const int64_t n = t->rows * t->cols;
    real         *wide;
    char         *raw;
    if (t->type == type) return md_st_write(f, t->data, n * (int64_t)kn_size(type));
    RT_TRY(RT_NEW(wide, n));
    rt_status st = rt_alloc((void **)&raw, n, kn_size(type), t->name);
    if (st == RT_OK) {
        kn_put(raw, type, 0, kn_load(t->data, t->type, 0, n, wide), n, 0);
        st = md_st_write(f, raw, n * (int64_t)kn_size(type));
        free(raw);
    }
    free(wide);
    return st;
}

static rt_status write_tensor(md_st *f, const md_tensor *t, kn_type type)
{
    const kn_quant *q = t->data;
    if (kn_size(t->type)) return save_write_plain(f, t, type);
    RT_TRY(md_st_write(f, q->q, q->rows * q->cols * q->bits / 8));
    RT_TRY(md_st_write(f, q->scale, q->rows * q->groups * 4));
    return md_st_write(f, q->zero, q->rows * q->groups * 4);
}

rt_status md_save(const md_model *m, const char *dir, kn_type type)
{
    md_st_tensor *e    = NULL;
    md_st        *f    = NULL;
    rt_buf        path = {0};
    rt_status     st   = rt_dir_make(dir);
    if (st == RT_OK) st = RT_NEW(e, 3 * m->n);
    if (st == RT_OK) st = rt_path(&path, dir, "model.safetensors");
    if (st == RT_OK) st = md_st_begin(&f, path.p, e, save_list(e, m, type));
    for (int i = 0; st == RT_OK && i < m->n; i++) st = write_tensor(f, &m->t[i], type);
    if (st == RT_OK) st = md_st_end(&f);
    if (st == RT_OK) st = md_config_write(m, dir, type);
    md_st_close(&f);
    free(e);
    rt_buf_free(&path);
    return st;
}
