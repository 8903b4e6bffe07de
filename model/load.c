/* load.c -- reads the weights of a model folder and checks them: shapes must match the configuration and every weight must be finite.
 * A quantised matrix NAME is stored as NAME.q (U8), NAME.scale and NAME.zero (F32). */
#include "core/file.h"
#include "model/arch.h"
#include "model/files.h"
#include "model/fused.h"
#include "model/source.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rt_status check_shape(const md_source *s, const md_tensor *w, const md_stored *t)
{
    const int row = t->nd == 2 && t->shape[0] == 1 && t->shape[1] == w->cols; /* a norm of a quantised model: see save.c */
    const int ok =
        w->is_vector ? row || (t->nd == 1 && t->shape[0] == w->cols) : t->nd == 2 && t->shape[0] == w->rows && t->shape[1] == w->cols;
    RT_CHECK(ok, RT_EFORMAT, "%s: %s is [%lld%s%lld], but the configuration requires [%lld,%lld]", s->path, w->name, (long long)t->shape[0],
             t->nd == 2 ? "," : " of dimensions ", (long long)(t->nd == 2 ? t->shape[1] : t->nd), (long long)w->rows, (long long)w->cols);
    return RT_OK;
}

/* ---- plain weights ------------------------------------------------------------------------------- */

/* Refuses a weight that is NaN or infinite, because it makes all results that depend on it NaN or infinite. */
static rt_status check_finite(const md_source *s, const md_tensor *w, const real *x)
{
    const int64_t at = kn_not_finite(w->data, w->type, w->rows * w->cols);
    if (at < 0) return RT_OK;
    RT_CHECK(!isfinite(x[at]), RT_EFORMAT, "%s: %s[%lld,%lld] is %g, which exceeds the range of bf16; use f32", s->path, w->name,
             (long long)(at / w->cols), (long long)(at % w->cols), (double)x[at]);
    RT_FAIL(RT_EFORMAT,
            "%s: %s[%lld,%lld] is %g, expected only finite numbers; the file is damaged or training diverged; use an earlier checkpoint",
            s->path, w->name, (long long)(at / w->cols), (long long)(at % w->cols), (double)x[at]);
}

/* Returns the stored tensor of w.  The shared matrix of a tied model may be stored under the head's name only. */
static const md_stored *find_plain(const md_source *s, const md_model *m, const md_tensor *w)
{
    const md_stored *t = md_source_find(s, w->name, "");
    return !t && m->config.tied && w->role == MD_EMBEDDING ? md_source_find(s, md_role_name(MD_HEAD), "") : t;
}

/* Reads a tensor, or its rows of the matrix that holds it.  *x is freed by the caller, also after an error. */
static rt_status read_plain(const md_source *s, const md_model *m, const md_tensor *w, real **x)
{
    const md_stored *t     = find_plain(s, m, w);
    md_tensor        whole = *w;
    md_fusion        f     = {0};
    if (!t && md_fused(&f, m, w)) {
        t          = md_source_find(s, f.name, "");
        whole.rows = f.rows;
        memcpy(whole.name, f.name, sizeof f.name);
    }
    RT_CHECK(t, RT_EFORMAT, "%s: the tensor %s is missing", s->path, whole.name);
    RT_TRY(check_shape(s, &whole, t));
    RT_TRY(RT_NEW(*x, whole.rows * w->cols));
    RT_TRY(md_source_read_real(s, t, *x));
    memmove(*x, *x + f.row * w->cols, (size_t)(w->rows * w->cols) * sizeof **x);
    return RT_OK;
}

static rt_status load_plain(const md_source *s, const md_model *m, md_tensor *w, kn_type type)
{
    const int64_t n = w->rows * w->cols;
    real         *x = NULL;
    w->type         = type;
    rt_status st    = read_plain(s, m, w, &x);
    if (st == RT_OK) st = rt_alloc(&w->data, n, kn_size(type), w->name);
    if (st == RT_OK) kn_put(w->data, type, 0, x, n, 0);
    if (st == RT_OK) st = check_finite(s, w, x);
    free(x);
    return st;
}

/* ---- quantised weights ---------------------------------------------------------------------------- */

static rt_status load_read_part(const md_source *s, const md_tensor *w, const char *suffix, const char *dtype, int64_t rows, int64_t cols,
                                void **out)
{
    const md_stored *t = md_source_find(s, w->name, suffix);
    RT_CHECK(t && !strcmp(t->dtype, dtype) && t->nd == 2 && t->shape[0] == rows && t->shape[1] == cols, RT_EFORMAT,
             "%s: expected %s%s of type %s and shape [%lld,%lld]", s->path, w->name, suffix, dtype, (long long)rows, (long long)cols);
    RT_TRY(rt_alloc(out, t->bytes, 1, w->name));
    return md_source_read(s, t, *out);
}

/* Returns 1 if all weights (level - zero) / scale of a group are finite; the lowest and the highest level bound them. */
static int group_is_finite(const kn_quant *q, int64_t i)
{
    const float scale = q->scale[i], zero = q->zero[i], most = (float)((1 << q->bits) - 1);
    return isnormal(scale) && scale > 0 && isfinite(1 / scale) && isfinite(-zero / scale) && isfinite((most - zero) / scale);
}

static rt_status check_levels(const md_source *s, const md_tensor *w, const kn_quant *q)
{
    for (int64_t i = 0; i < q->rows * q->groups; i++)
        RT_CHECK(group_is_finite(q, i), RT_EFORMAT,
                 "%s: row %lld, group %lld of %s has the scale %g and the zero point %g, expected a positive scale and finite weights "
                 "(level - zero point) / scale; quantise the model again",
                 s->path, (long long)(i / q->groups), (long long)(i % q->groups), w->name, (double)q->scale[i], (double)q->zero[i]);
    return RT_OK;
}

/* Checks that the stored levels have the bits and the group size of config.json. */
static rt_status check_form(const md_source *s, const md_config *c, const md_tensor *w, const md_stored *t)
{
    RT_CHECK(c->bits, RT_EFORMAT, "%s: %s is quantised, but config.json has no quantization_config of retort", s->path, w->name);
    RT_CHECK(w->cols % c->group == 0 && t->nd == 2 && t->shape[1] * 8 == w->cols * c->bits, RT_EFORMAT,
             "%s: %s does not hold %lld columns in groups of %lld with %lld bits each, as config.json requires", s->path, t->name,
             (long long)w->cols, (long long)c->group, (long long)c->bits);
    return RT_OK;
}

static rt_status load_quantised(const md_source *s, const md_config *c, md_tensor *w, const md_stored *t)
{
    kn_quant *q;
    RT_TRY(check_form(s, c, w, t));
    RT_TRY(RT_NEW(q, 1));
    w->data = q;
    w->type = kn_type_quantised((int)c->bits);
    *q      = (kn_quant){.bits = (int)c->bits, .rows = w->rows, .cols = w->cols, .group = c->group, .groups = w->cols / c->group};
    RT_TRY(load_read_part(s, w, ".q", "U8", w->rows, w->cols * q->bits / 8, (void **)&q->q));
    RT_TRY(load_read_part(s, w, ".scale", "F32", w->rows, q->groups, (void **)&q->scale));
    RT_TRY(load_read_part(s, w, ".zero", "F32", w->rows, q->groups, (void **)&q->zero));
    return check_levels(s, w, q);
}

/* ---- the set of tensors ---------------------------------------------------------------------- */

static int same_bytes(const md_source *s, const md_stored *x, const md_stored *y, rt_status *st)
{
    const int64_t n = x->bytes;
    char         *p = NULL, *q = NULL;
    if (strcmp(x->dtype, y->dtype) != 0 || n != y->bytes) return 0;
    *st = rt_alloc((void **)&p, n, 1, x->name);
    if (*st == RT_OK) *st = rt_alloc((void **)&q, n, 1, x->name);
    if (*st == RT_OK) *st = md_source_read(s, x, p);
    if (*st == RT_OK) *st = md_source_read(s, y, q);
    const int same = *st == RT_OK && !memcmp(p, q, (size_t)n);
    free(p), free(q);
    return same;
}

/* Clears c->tied if the files hold a head that differs from the embedding, as after untied fine-tuning.  transformers 5 does the same. */
static rt_status look_at_head(const md_source *s, md_config *c)
{
    const md_stored *h = md_source_find(s, md_role_name(MD_HEAD), ""), *e = md_source_find(s, md_role_name(MD_EMBEDDING), "");
    rt_status        st = RT_OK;
    if (!c->tied) return RT_OK;
    if (h && e) c->tied = same_bytes(s, h, e, &st);
    else c->tied = !md_source_find(s, md_role_name(MD_HEAD), ".q");
    return st;
}

static int load_by_name(const void *a, const void *b)
{
    return strcmp((*(const md_tensor *const *)a)->name, (*(const md_tensor *const *)b)->name);
}

/* Refuses a tensor that would be ignored silently: a quantised part of a plain tensor, or a plain matrix beside its quantised parts. */
static rt_status check_part(const md_source *s, const md_tensor *w, const char *name, int part)
{
    const int levels = md_source_find(s, w->name, ".q") != NULL;
    RT_CHECK(part ? levels && !w->is_vector : !levels, RT_EFORMAT, "%s: the tensor %s is unexpected %s", s->path, name,
             !part          ? "beside the quantised one"
             : w->is_vector ? "in a model, because it belongs to a vector, which is never quantised"
                            : "beside a matrix that is not quantised");
    return RT_OK;
}

static rt_status check_name(const md_source *s, const md_model *m, const md_tensor *const *known, const char *name)
{
    md_tensor   want, *key = &want, **found;
    const char *dot  = strrchr(name, '.');
    const int   part = dot && (!strcmp(dot, ".q") || !strcmp(dot, ".scale") || !strcmp(dot, ".zero"));
    const int   n    = part ? (int)(dot - name) : (int)strlen(name);
    snprintf(want.name, sizeof want.name, "%.*s", n, name);
    for (int i = 0; i < m->n; i++) {
        md_fusion f;
        if (md_fused(&f, m, &m->t[i]) && !strcmp(f.name, name)) return RT_OK;
    }
    if (strstr(name, "rotary_emb.inv_freq") || (m->config.tied && !strcmp(want.name, md_role_name(MD_HEAD)))) return RT_OK;
    found = n < MD_NAME ? bsearch(&key, known, (size_t)m->n, sizeof key, load_by_name) : NULL;
    RT_CHECK(found, RT_EFORMAT, "%s: the tensor %s does not belong to a %s model", s->path, name, md_family_word((int)m->config.family));
    return check_part(s, *found, name, part);
}

/* Checks that every tensor in the files is one of the model's. */
static rt_status find_unexpected(const md_model *m, const md_source *s)
{
    const md_tensor **known;
    RT_TRY(RT_NEW(known, m->n));
    for (int i = 0; i < m->n; i++) known[i] = &m->t[i];
    qsort(known, (size_t)m->n, sizeof *known, load_by_name);
    rt_status st = RT_OK;
    for (int64_t i = 0; st == RT_OK && i < s->n; i++) st = check_name(s, m, known, s->t[i].name);
    free(known);
    return st;
}

/* ---- the folder ----------------------------------------------------------------------------------- */

static rt_status load_tensors(md_model **m, md_config *c, const md_source *s, kn_type type)
{
    RT_CHECK(c->L < s->n, RT_EFORMAT, "%s: the configuration requires %lld layers, but the files hold only %lld tensors", s->path,
             (long long)c->L, (long long)s->n);
    RT_TRY(look_at_head(s, c));
    RT_TRY(md_meta(m, c));
    RT_TRY(find_unexpected(*m, s));
    for (int i = 0; i < (*m)->n; i++) {
        md_tensor       *w = &(*m)->t[i];
        const md_stored *q = md_source_find(s, w->name, ".q");
        RT_TRY(q ? load_quantised(s, c, w, q) : load_plain(s, *m, w, type));
    }
    return rt_strdup(&(*m)->dir, s->path);
}

rt_status md_load(md_model **out, const char *dir, kn_type type)
{
    md_model  *m = NULL;
    md_source *s = NULL;
    md_config  c;
    RT_TRY(md_config_read(&c, dir));
    rt_status st = md_source_open(&s, dir);
    if (st == RT_OK) st = load_tensors(&m, &c, s, type);
    md_source_close(&s);
    if (st != RT_OK) md_destroy(&m);
    else *out = m;
    return st;
}

rt_status md_stored_type(kn_type *out, const char *dir)
{
    md_source *s;
    md_config  c;
    kn_type    type = KN_BF16;
    RT_TRY(md_config_read(&c, dir));
    RT_TRY(md_source_open(&s, dir));
    for (int64_t i = 0; i < s->n; i++)
        if (strcmp(s->t[i].dtype, "BF16") != 0) type = KN_REAL;
    md_source_close(&s);
    *out = type;
    return RT_OK;
}
