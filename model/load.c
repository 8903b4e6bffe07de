/* load.c -- weights from and to a model folder: model.safetensors, or several files that
 * model.safetensors.index.json lists.  A quantised matrix NAME stands as NAME.q (U8), NAME.scale
 * and NAME.zero (F32). */
#include "core/file.h"
#include "core/json.h"
#include "model/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 256 };

typedef struct folder {
    md_st      *file[MAX_FILES];
    int         n;
    const char *dir;
} folder;

static rt_status add_file(folder *f, const char *name)
{
    rt_buf path = {0};
    RT_CHECK(f->n < MAX_FILES, RT_EFORMAT, "%s: more than %d safetensors files", f->dir, MAX_FILES);
    RT_CHECK(!strchr(name, '/'), RT_EFORMAT, "%s: the index names \"%s\", expected a file of the same folder", f->dir, name);
    rt_status st = rt_path(&path, f->dir, name);
    if (st == RT_OK) st = md_st_open(&f->file[f->n], path.p);
    if (st == RT_OK) f->n++;
    rt_buf_free(&path);
    return st;
}

static int have(char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return 1;
    return 0;
}

static rt_status open_folder(folder *f, const char *dir)
{
    char    **names;
    int       n, found = 0;
    rt_status st = rt_dir_list(&names, &n, dir);
    *f           = (folder){.dir = dir};
    if (st != RT_OK) return st;
    const int one = have(names, n, "model.safetensors");
    for (int i = 0; st == RT_OK && i < n; i++) {
        const char *end = strstr(names[i], ".safetensors");
        if (!end || strcmp(end, ".safetensors") || (one ? strcmp(names[i], "model.safetensors") : strncmp(names[i], "model-", 6))) continue;
        st = add_file(f, names[i]);
        found++;
    }
    if (st == RT_OK && !found) st = rt_fail(RT_ENOENT, __FILE__, __LINE__, "%s: expected model.safetensors, there is none", dir);
    rt_names_free(&names, n);
    return st;
}

static void close_folder(folder *f)
{
    for (int i = 0; i < f->n; i++) md_st_close(&f->file[i]);
}

static const md_st_tensor *find(folder *f, const char *name, const char *suffix, md_st **file)
{
    char full[MD_NAME + 16];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    for (int i = 0; i < f->n; i++) {
        const md_st_tensor *t = md_st_find(f->file[i], full);
        *file                 = f->file[i];
        if (t) return t;
    }
    return NULL;
}

static rt_status check_shape(const folder *f, const md_tensor *w, const md_st_tensor *t)
{
    const int ok = w->is_vector ? t->nd == 1 && t->shape[0] == w->cols : t->nd == 2 && t->shape[0] == w->rows && t->shape[1] == w->cols;
    RT_CHECK(ok, RT_EFORMAT, "%s: %s is [%lld%s%lld], config.json asks for [%lld,%lld]", f->dir, w->name, (long long)t->shape[0],
             t->nd == 2 ? "," : " of dimensions ", (long long)(t->nd == 2 ? t->shape[1] : t->nd), (long long)w->rows, (long long)w->cols);
    return RT_OK;
}

static rt_status load_plain(folder *f, md_tensor *w, kn_type type)
{
    md_st              *file;
    const md_st_tensor *t = find(f, w->name, "", &file);
    const int64_t       n = w->rows * w->cols;
    real               *x;
    RT_CHECK(t, RT_EFORMAT, "%s: the tensor %s is missing", f->dir, w->name);
    RT_TRY(check_shape(f, w, t));
    RT_TRY(RT_NEW(x, n));
    w->type      = type;
    rt_status st = rt_alloc(&w->data, n, kn_size(type), w->name);
    if (st == RT_OK) st = md_st_read_real(file, t, x);
    if (st == RT_OK) kn_put(w->data, type, 0, x, n, 0);
    free(x);
    return st;
}

static rt_status read_part(folder *f, const md_tensor *w, const char *suffix, const char *dtype, int64_t rows, int64_t cols, void **out)
{
    md_st              *file;
    const md_st_tensor *t = find(f, w->name, suffix, &file);
    RT_CHECK(t && !strcmp(t->dtype, dtype) && t->nd == 2 && t->shape[0] == rows && t->shape[1] == cols, RT_EFORMAT,
             "%s: expected %s%s of type %s and shape [%lld,%lld]", f->dir, w->name, suffix, dtype, (long long)rows, (long long)cols);
    RT_TRY(rt_alloc(out, t->end - t->begin, 1, w->name));
    return md_st_read(file, t, *out);
}

static rt_status load_quantised(folder *f, md_tensor *w, const md_st_tensor *t)
{
    kn_quant *q;
    md_st    *file;
    RT_TRY(RT_NEW(q, 1));
    const md_st_tensor *s    = find(f, w->name, ".scale", &file);
    const int64_t       bits = t->nd == 2 && w->cols ? t->shape[1] * 8 / w->cols : 0;
    w->data                  = q;
    w->type                  = bits == 8 ? KN_Q8 : KN_Q4;
    RT_CHECK((bits == 8 || bits == 4) && s && s->nd == 2 && s->shape[1] > 0, RT_EFORMAT, "%s: %s is quantised in a form that is not ours",
             f->dir, w->name);
    *q       = (kn_quant){.bits = (int)bits, .rows = w->rows, .cols = w->cols, .groups = s->shape[1]};
    q->group = (w->cols + q->groups - 1) / q->groups;
    RT_TRY(read_part(f, w, ".q", "U8", w->rows, w->cols * bits / 8, (void **)&q->q));
    RT_TRY(read_part(f, w, ".scale", "F32", w->rows, q->groups, (void **)&q->scale));
    return read_part(f, w, ".zero", "F32", w->rows, q->groups, (void **)&q->zero);
}

static rt_status load_tensors(md_model *m, folder *f, kn_type type)
{
    md_st *file;
    for (int i = 0; i < m->n; i++) {
        const md_st_tensor *q = find(f, m->t[i].name, ".q", &file);
        RT_TRY(q ? load_quantised(f, &m->t[i], q) : load_plain(f, &m->t[i], type));
    }
    return RT_OK;
}

/* Every tensor of the files must be one that the model has. */
static rt_status find_unexpected(const md_model *m, const folder *f)
{
    for (int i = 0; i < f->n; i++)
        for (int64_t j = 0; md_st_at(f->file[i], j); j++) {
            const char *name = md_st_at(f->file[i], j)->name, *dot = strrchr(name, '.');
            char        base[MD_NAME + 16];
            const int   part = dot && (!strcmp(dot, ".q") || !strcmp(dot, ".scale") || !strcmp(dot, ".zero"));
            snprintf(base, sizeof base, "%.*s", part ? (int)(dot - name) : (int)strlen(name), name);
            const int ignored = strstr(name, "rotary_emb.inv_freq") || (m->config.tied && !strcmp(base, "lm_head.weight"));
            RT_CHECK(ignored || md_find(m, base), RT_EFORMAT, "%s: the tensor %s has no place in a %s model", f->dir, name,
                     m->config.family);
        }
    return RT_OK;
}

rt_status md_load(md_model **out, const char *dir, kn_type type)
{
    md_config c;
    md_model *m = NULL;
    folder    f = {0};
    RT_TRY(md_config_read(&c, dir));
    rt_status st = open_folder(&f, dir);
    if (st == RT_OK) st = md_skeleton(&m, &c);
    if (st == RT_OK) st = load_tensors(m, &f, type);
    if (st == RT_OK) st = find_unexpected(m, &f);
    if (st == RT_OK) st = rt_strdup(&m->dir, dir);
    close_folder(&f);
    if (st != RT_OK) md_destroy(&m);
    else *out = m;
    return st;
}

/* ---- saving ------------------------------------------------------------------------------------- */

static void describe(md_st_tensor *e, const char *name, const char *suffix, const char *dtype, int nd, int64_t a, int64_t b)
{
    *e = (md_st_tensor){.nd = nd, .shape = {a, b}};
    snprintf(e->name, sizeof e->name, "%s%s", name, suffix);
    snprintf(e->dtype, sizeof e->dtype, "%s", dtype);
}

static int64_t list(md_st_tensor *e, const md_model *m, kn_type type)
{
    int64_t n = 0;
    for (int i = 0; i < m->n; i++) {
        const md_tensor *t = &m->t[i];
        const kn_quant  *q = t->data;
        if (kn_size(t->type)) {
            const char *dtype = type == KN_BF16 ? "BF16" : sizeof(real) == 8 ? "F64" : "F32";
            describe(&e[n++], t->name, "", dtype, t->is_vector ? 1 : 2, t->is_vector ? t->cols : t->rows, t->cols);
            continue;
        }
        describe(&e[n++], t->name, ".q", "U8", 2, q->rows, q->cols * q->bits / 8);
        describe(&e[n++], t->name, ".scale", "F32", 2, q->rows, q->groups);
        describe(&e[n++], t->name, ".zero", "F32", 2, q->rows, q->groups);
    }
    return n;
}

static rt_status write_plain(md_st *f, const md_tensor *t, kn_type type)
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
    if (kn_size(t->type)) return write_plain(f, t, type);
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
    if (st == RT_OK) st = md_st_begin(&f, path.p, e, list(e, m, type));
    for (int i = 0; st == RT_OK && i < m->n; i++) st = write_tensor(f, &m->t[i], type);
    if (st == RT_OK) st = md_st_end(&f);
    if (st == RT_OK) st = md_config_write(m, dir, type);
    md_st_close(&f);
    free(e);
    rt_buf_free(&path);
    return st;
}
