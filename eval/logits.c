/* logits.c -- the logits of given ids, for comparison with other programs. */
#include "eval/eval.h"
#include "model/safetensors.h"
#include "model/score.h"
#include <stdlib.h>

typedef struct sink {
    float  *z;
    int64_t V;
} sink;

static void logits_take(void *ud, int64_t t, real *z, int thread)
{
    const sink *s = ud;
    (void)thread;
    for (int64_t v = 0; v < s->V; v++) s->z[t * s->V + v] = (float)z[v];
}

static rt_status read_ids(const char *path, int64_t **ids, int64_t *B, int64_t *T)
{
    md_st *f = NULL;
    RT_TRY(md_st_open(&f, path));
    const md_st_tensor *t  = md_st_find(f, "ids");
    rt_status           st = RT_OK;
    RT_CHECK_OR(t && t->nd == 2, done, RT_EFORMAT, "%s: expected a tensor \"ids\" of shape [B,T]", path);
    *B = t->shape[0], *T = t->shape[1];
    RT_TRY_OR(RT_NEW(*ids, *B * *T), done);
    RT_TRY_OR(md_st_read_i64(f, t, *ids), done);
done:
    md_st_close(&f);
    return st;
}

static rt_status write_sequences(const md_model *m, md_st *f, const int64_t *ids, int64_t B, int64_t T)
{
    md_scorer *s   = NULL;
    int32_t   *row = NULL;
    sink       out = {.V = m->config.V};
    rt_status  st;
    RT_TRY_OR(md_scorer_create(&s, m, T), done);
    RT_TRY_OR(RT_NEW(row, T), done);
    RT_TRY_OR(RT_NEW(out.z, T * out.V), done);
    RT_TRY_OR(md_st_write(f, ids, B * T * 8), done);
    for (int64_t b = 0; b < B; b++) {
        for (int64_t t = 0; t < T; t++) row[t] = ids[b * T + t] < 0 || ids[b * T + t] > INT32_MAX ? -1 : (int32_t)ids[b * T + t];
        RT_TRY_OR(md_score(s, row, T, logits_take, &out), done);
        RT_TRY_OR(md_st_write(f, out.z, T * out.V * 4), done);
    }
done:
    md_scorer_destroy(&s);
    free(row), free(out.z);
    return st;
}

rt_status ev_logits(const md_model *m, const char *in, const char *path)
{
    int64_t  *ids = NULL, B = 0, T = 0;
    md_st    *f  = NULL;
    rt_status st = read_ids(in, &ids, &B, &T);
    if (st == RT_OK) {
        md_st_tensor list[] = {{.name = "ids", .dtype = "I64", .nd = 2, .shape = {B, T}},
                               {.name = "logits", .dtype = "F32", .nd = 3, .shape = {B, T, m->config.V}}};
        st                  = md_st_begin(&f, path, list, 2);
    }
    if (st == RT_OK) st = write_sequences(m, f, ids, B, T);
    if (st == RT_OK) st = md_st_end(&f);
    md_st_close(&f);
    free(ids);
    return st;
}
