/* bench_optimiser.c -- the memory throughput of AdamW's pass compared with that of copying. */
#include "cli/bench.h"
#include "cli/measure.h"
#include "core/clock.h"
#include "optim/optim.h"
#include <stdio.h>
#include <stdlib.h>

enum { PARAMETERS = 100 << 20, RUNS = 5, BYTES = 30 }; /* BYTES per parameter: 16 read (master, moments, gradient), 12 + 2 written */

static rt_status best_of(double *seconds, const opt_param *p)
{
    const opt_adamw o = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1};
    opt_state      *s = NULL;
    RT_TRY(opt_create(&s, p, 1, 0, opt_blocks(p, 1)));
    for (int t = 1; t <= RUNS; t++) {
        const double began = rt_now();
        opt_step(s, &o, o.lr, 1, t);
        const double took = rt_now() - began;
        if (t == 1 || took < *seconds) *seconds = took;
    }
    opt_destroy(&s);
    return RT_OK;
}

rt_status bench_optimiser(const bench_options *o)
{
    double    copy, seconds = 0;
    kn_bf16  *w  = NULL;
    real     *g  = NULL;
    rt_status st = cli_measure_copy(&copy, (int64_t)1 << 30);
    if (st == RT_OK) st = RT_NEW(w, PARAMETERS);
    if (st == RT_OK) st = RT_NEW(g, PARAMETERS);
    for (int64_t i = 0; st == RT_OK && i < PARAMETERS; i++) g[i] = (real)(i % 7 - 3) / 100;
    if (st == RT_OK) st = best_of(&seconds, &(opt_param){.weight = w, .type = KN_BF16, .grad = g, .n = PARAMETERS, .decay = 1});
    free(w), free(g);
    RT_TRY(st);
    const double rate = 1e-9 * PARAMETERS * BYTES / seconds;
    if (o->json)
        printf("{\"optimiser_gb_s\":%.2f,\"copy_gb_s\":%.2f,\"share\":%.3f,\"threads\":%d}\n", rate, copy, rate / copy, rt_threads());
    else
        printf("AdamW, %d million bf16 parameters, %d threads: %.1f GB/s at %d bytes per parameter\n"
               "memcpy of 1 GB: %.1f GB/s, reads and writes counted; ratio %.2f\n",
               PARAMETERS >> 20, rt_threads(), rate, BYTES, copy, rate / copy);
    return RT_OK;
}
