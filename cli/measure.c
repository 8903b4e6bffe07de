/* measure.c -- product rate and memory bandwidth, each the best of several runs. */
#include "cli/measure.h"
#include "core/clock.h"
#include "kernels/kernels.h"
#include <stdlib.h>
#include <string.h>

static void multiply(cli_engine e, real *c, const real *a, const real *b, real *panels, int64_t n)
{
    const kn_mat ma = {a, KN_REAL, n, 0}, mb = {b, KN_REAL, n, 0};
    if (e == CLI_THREADS) kn_gemm(c, KN_REAL, n, ma, mb, n, n, n, NULL);
    if (e == CLI_OPENBLAS) kn_blas(c, n, a, n, 0, b, n, 0, n, n, n, 0);
    if (e != CLI_OWN) return;
    enum { ROWS = 96, DEEP = 512 };
    kn_pack(panels, mb, n, n);
    for (int64_t i = 0; i < n; i += ROWS)
        for (int64_t k = 0; k < n; k += DEEP)
            kn_gemm_packed(c + i * n, n, a + i * n + k, n, 1, panels + k * kn_get()->nr, n, n - i < ROWS ? n - i : ROWS, n,
                           n - k < DEEP ? n - k : DEEP, k > 0);
}

rt_status cli_measure_products(double *gflops, int64_t n, cli_engine e, double seconds)
{
    real *m = NULL;
    RT_TRY(RT_NEW(m, 3 * n * n + kn_panels(n, n)));
    real *a = m, *b = m + n * n, *c = b + n * n, *panels = c + n * n;
    for (int64_t i = 0; i < 2 * n * n; i++) m[i] = (real)(i % 7) - 3;
    double best = 0;
    for (const double end = rt_now() + seconds; rt_now() < end;) {
        const double began = rt_now();
        multiply(e, c, a, b, panels, n);
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
    struct copy c    = {m, m + bytes, bytes, bytes / rt_threads() + 1}; /* one memcpy a thread: it knows how to be fast */
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
