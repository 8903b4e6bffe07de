/* measure.c -- measuring the gemm rate and the memory bandwidth, each the best of several runs, and the decoding speed. */
#include "cli/measure.h"
#include "core/clock.h"
#include "infer/infer.h"
#include "kernels/kernels.h"
#include <stdlib.h>
#include <string.h>

rt_status cli_measure_gemm(double *gflops, kn_type t, int64_t n, double seconds)
{
    real *m = NULL, *work;
    RT_TRY(RT_NEW(m, 4 * n * n));
    real *a = m, *b = m + n * n, *c = b + n * n;
    work = c + n * n;
    for (int64_t i = 0; i < n * n; i++) work[i] = (real)(i % 7) - 3;
    kn_put(a, t, 0, work, n * n, 0);
    kn_put(b, t, 0, work, n * n, 0);
    double best = 0;
    for (const double end = rt_now() + seconds; rt_now() < end;) {
        const double began = rt_now();
        kn_gemm(c, KN_REAL, n, (kn_mat){a, t, n, 0}, (kn_mat){b, t, n, 0}, n, n, n, NULL);
        const double rate = 2e-9 * (double)n * (double)n * (double)n / (rt_now() - began);
        if (rate > best) best = rate;
    }
    free(m);
    *gflops = best;
    return RT_OK;
}

struct copy {
    char   *to, *from;
    int64_t bytes, block;
};

static void copy_block(int64_t item, int thread, void *ud)
{
    (void)thread;
    const struct copy *c  = ud;
    const int64_t      at = item * c->block, left = c->bytes - at;
    memcpy(c->to + at, c->from + at, (size_t)(left < c->block ? left : c->block));
}

rt_status cli_measure_copy(double *gb_s, int64_t bytes)
{
    char *m = NULL;
    RT_TRY(RT_NEW(m, 2 * bytes));
    struct copy c    = {m, m + bytes, bytes, bytes / rt_threads() + 1}; /* one memcpy per thread */
    double      best = 0;
    for (int i = 0; i < 3; i++) {
        const double began = rt_now();
        rt_parallel(rt_threads(), copy_block, &c);
        const double rate = 2e-9 * (double)bytes / (rt_now() - began);
        if (rate > best) best = rate;
    }
    free(m);
    *gb_s = best;
    return RT_OK;
}

rt_status cli_measure_decoding(double *tok_s, const md_model *m)
{
    enum { TOKENS = 32 };
    const int64_t most   = m->config.context < TOKENS ? m->config.context : TOKENS;
    const int32_t id     = 0;
    inf_session  *s      = NULL;
    const real   *logits = NULL;
    int64_t       n      = 0;
    rt_status     st     = inf_session_create(&s, m, most);
    if (st == RT_OK) st = inf_feed(s, &id, 1, &logits); /* warm-up */
    if (st == RT_OK) inf_session_reset(s);
    const double began = rt_now();
    while (st == RT_OK && n < most && rt_now() - began < 0.3) st = inf_feed(s, &id, 1, &logits), n++;
    if (st == RT_OK) *tok_s = (double)n / (rt_now() - began);
    inf_session_destroy(&s);
    return st;
}
