/* export_gguf.c -- writes a model as a GGUF file (export.h). */
#include "core/file.h"
#include "core/threads.h"
#include "model/export.h"
#include "model/gguf_model.h"
#include "model/licence.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char md_export_types[] = "f32, f16, bf16, q8_0, q4_0, q4_k or q6_k";

/* Rows that are converted at a time: enough for all threads, and few bytes. */
enum { CHUNK = 256 };

/* Rows first .. first + n-1 of a tensor, in the file's order. */
typedef struct rows {
    const md_tensor    *t;
    const md_gguf_type *type;
    int64_t             cols, heads, head, first; /* heads with rows in another order, rows of one */
    real                added;                    /* md_gguf_added */
    uint8_t            *blocks;                   /* [CHUNK] rows of type */
    real               *x, *back;                 /* [CHUNK, cols]: weights, values of the blocks */
    double              error[CHUNK], square[CHUNK];
} rows;

/* Returns the model's row that the file has as row r (md_gguf_turned_heads). */
static int64_t row_in_model(const rows *w, int64_t r)
{
    const int64_t i = r % w->head;
    return w->heads ? r - i + i / 2 + i % 2 * (w->head / 2) : r;
}

static void convert_row(int64_t i, int thread, void *ud)
{
    rows         *w = ud;
    const int64_t n = w->cols / w->type->block;
    real         *x = w->x + i * w->cols, *back = w->back + i * w->cols;
    uint8_t      *b = w->blocks + i * n * w->type->bytes;
    (void)thread;
    kn_row(x, w->t->data, w->t->type, row_in_model(w, w->first + i), w->cols);
    for (int64_t j = 0; w->added != 0 && j < w->cols; j++) x[j] += w->added;
    w->type->from_real(b, x, n);
    w->type->to_real(back, b, n);
    w->error[i] = w->square[i] = 0;
    for (int64_t j = 0; j < w->cols; j++) {
        w->error[i] += ((double)back[j] - (double)x[j]) * ((double)back[j] - (double)x[j]);
        w->square[i] += (double)x[j] * (double)x[j];
    }
}

static rt_status write_rows(md_gguf_out *f, rows *w, double *error, double *square)
{
    const int64_t bytes = w->cols / w->type->block * w->type->bytes;
    for (w->first = 0; w->first < w->t->rows; w->first += CHUNK) {
        const int64_t n = w->t->rows - w->first < CHUNK ? w->t->rows - w->first : CHUNK;
        rt_parallel(n, convert_row, w);
        for (int64_t i = 0; i < n; i++) {
            RT_CHECK(isfinite(w->error[i]), RT_EINVAL, "%s: a weight of row %lld exceeds the range of %s; choose another type", w->t->name,
                     (long long)row_in_model(w, w->first + i), w->type->name);
            *error += w->error[i], *square += w->square[i];
        }
        RT_TRY(md_gguf_write(f, w->blocks, n * bytes));
    }
    return md_gguf_align(f);
}

static rt_status export_tensor(md_gguf_out *f, const md_config *c, const md_tensor *t, const md_gguf_tensor *e, double *error,
                               double *square)
{
    md_tensor flat = *t; /* a vector is a column, because its elements may have another order in the file */
    if (t->is_vector) flat.rows = t->cols, flat.cols = 1;
    rows w = {
        .t = &flat, .type = e->type, .cols = flat.cols, .heads = md_gguf_turned_heads(c, t), .head = c->D, .added = md_gguf_added(c, t)};
    double    ignored[2] = {0};
    rt_status st         = rt_alloc((void **)&w.blocks, CHUNK * (flat.cols / e->type->block), (size_t)e->type->bytes, t->name);
    if (st == RT_OK) st = RT_NEW(w.x, CHUNK * flat.cols);
    if (st == RT_OK) st = RT_NEW(w.back, CHUNK * flat.cols);
    if (st == RT_OK) st = write_rows(f, &w, t->is_vector ? &ignored[0] : error, t->is_vector ? &ignored[1] : square);
    free(w.blocks), free(w.x), free(w.back);
    return st;
}

/* ---- the file --------------------------------------------------------------------------------------- */

/* Returns the type in which a tensor is stored: `type`, or one whose blocks its columns fill. */
static const md_gguf_type *type_for(const md_tensor *t, const md_gguf_type *type)
{
    const md_gguf_type *q8 = md_gguf_type_named("Q8_0");
    if (t->is_vector) return md_gguf_type_named("F32");
    if (t->cols % type->block == 0) return type;
    return t->cols % q8->block == 0 ? q8 : md_gguf_type_named("F16");
}

static rt_status describe_tensors(md_gguf_tensor *e, md_exported *r, const md_model *m, const md_gguf_type *type)
{
    for (int i = 0; i < m->n; i++) {
        const md_tensor *t = &m->t[i];
        e[i]               = (md_gguf_tensor){.type = type_for(t, type), .nd = t->is_vector ? 1 : 2, .shape = {t->rows, t->cols}};
        if (t->is_vector) e[i].shape[0] = t->cols;
        else r->matrices++, r->others += e[i].type != type;
        RT_TRY(md_gguf_tensor_name(e[i].name, t));
    }
    return RT_OK;
}

/* Describes the tensor of divisors and returns 1; 0: the model has none. */
static int describe_divisors(md_gguf_tensor *e, float *x, const md_config *c)
{
    if (!md_gguf_divisors(x, c)) return 0;
    *e = (md_gguf_tensor){.name = MD_GGUF_DIVISORS, .type = md_gguf_type_named("F32"), .nd = 1, .shape = {c->D / 2}};
    return 1;
}

static rt_status put_licence(md_gguf_keys *k, const char *dir)
{
    rt_buf          licence = {0};
    const rt_status st      = md_licence(&licence, dir);
    if (st == RT_OK && licence.len) md_gguf_put_text(k, "general.license", licence.p);
    rt_buf_free(&licence);
    return st;
}

static rt_status put_metadata(md_gguf_keys *k, const md_model *m)
{
    RT_TRY(md_gguf_put_config(k, &m->config));
    RT_TRY(put_licence(k, m->dir));
    md_gguf_put_int(k, "general.quantization_version", 2); /* of the layouts of blocks */
    return md_gguf_put_tokenizer(k, &m->config, m->dir);
}

static rt_status export_file(md_exported *r, const md_model *m, const char *path, const md_gguf_type *type, md_gguf_keys *k,
                             md_gguf_tensor *e)
{
    md_gguf_out *f     = NULL;
    double       error = 0, square = 0;
    float        divisors[MD_MAX_PAIRS];
    RT_TRY(put_metadata(k, m));
    RT_TRY(describe_tensors(e, r, m, type));
    const int more = describe_divisors(&e[m->n], divisors, &m->config);
    rt_status st   = md_gguf_begin(&f, path, k, e, m->n + more);
    for (int i = 0; st == RT_OK && i < m->n; i++) st = export_tensor(f, &m->config, &m->t[i], &e[i], &error, &square);
    if (st == RT_OK && more) st = md_gguf_write(f, divisors, e[m->n].bytes);
    if (st == RT_OK) st = md_gguf_end(&f);
    md_gguf_abandon(&f);
    r->bytes = rt_file_size(path);
    r->error = square > 0 ? sqrt(error / square) : 0;
    return st;
}

rt_status md_export_gguf(md_exported *out, const md_model *m, const char *path, const char *type)
{
    const md_gguf_type *t = md_gguf_type_named(type);
    md_gguf_keys        k = {.n = 0};
    md_gguf_tensor     *e;
    md_exported         r = {0};
    RT_CHECK(t && t->from_real, RT_EINVAL, "expected the type %s, found \"%s\"", md_export_types, type);
    RT_CHECK(!m->config.bits, RT_EINVAL, "%s is quantised to %lld bits already; export the model from which it was made", m->dir,
             (long long)m->config.bits);
    RT_TRY(RT_NEW(e, m->n + 1));
    const rt_status st = export_file(&r, m, path, t, &k, e);
    rt_buf_free(&k.b);
    free(e);
    if (st == RT_OK) *out = r;
    return st;
}
