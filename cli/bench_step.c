/* bench_step.c -- timing real training steps of a preset on random data (bench_data.c) against their own gemm calls.
 *
 * Each timed step is followed by its gemm calls alone, so that a change of the machine's speed meets both. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/clock.h"
#include "train/train.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_STEPS = 1000 };

typedef struct bench {
    const bench_options *o;
    bench_place          place;
    tr_config            c;
    tr_trainer          *t;
    bench_list           list;
    double               seconds[MAX_STEPS], alone[MAX_STEPS], share[MAX_STEPS], work[TR_WORKS], idle, best;
    int64_t              faults[MAX_STEPS], rss;
} bench;

/* ---- steps ------------------------------------------------------------------------------------------------------ */

static int64_t minor_faults(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt;
}

static rt_status bench_step_one_step(bench *b, int64_t s, double *seconds, int64_t *faults)
{
    tr_metrics    m;
    const int64_t before = minor_faults();
    const double  began  = rt_now();
    RT_TRY(tr_trainer_step(b->t, s, &m));
    *seconds = rt_now() - began;
    *faults  = minor_faults() - before;
    return RT_OK;
}

/* Runs the steps that are not timed, and one more, whose gemm calls are recorded. */
static rt_status bench_step_warm_up(bench *b)
{
    for (int64_t s = 0; s <= b->o->warmup; s++) {
        if (s == b->o->warmup) bench_watch(&b->list);
        RT_TRY(bench_step_one_step(b, s, &b->seconds[0], &b->faults[0]));
    }
    bench_watch(NULL);
    b->rss = rt_memory_peak();
    return b->list.st;
}

/* Times the step and then its gemm calls alone; adds the step's time in rt_parallel and in bodies to *wall and *busy. */
static rt_status bench_step_pair(bench *b, const bench_alone *alone, int64_t i, double *wall, double *busy)
{
    double wall0, busy0, wall1, busy1;
    rt_parallel_seconds(&wall0, &busy0);
    RT_TRY(bench_step_one_step(b, b->o->warmup + 1 + i, &b->seconds[i], &b->faults[i]));
    rt_parallel_seconds(&wall1, &busy1);
    *wall += wall1 - wall0;
    *busy += busy1 - busy0;
    b->alone[i] = bench_alone_seconds(alone);
    b->share[i] = b->alone[i] / b->seconds[i];
    return RT_OK;
}

static rt_status bench_step_time_steps(bench *b, const bench_alone *alone)
{
    double before[TR_WORKS], wall = 0, busy = 0, total = 0;
    tr_trainer_seconds(b->t, before);
    for (int64_t i = 0; i < b->o->steps; i++) {
        RT_TRY(bench_step_pair(b, alone, i, &wall, &busy));
        total += b->seconds[i];
    }
    tr_trainer_seconds(b->t, b->work);
    for (int i = 0; i < TR_WORKS; i++) b->work[i] = (b->work[i] - before[i]) / (double)b->o->steps;
    b->idle = 1 - (busy + total - wall) / (rt_threads() * total); /* outside rt_parallel only one thread is busy */
    return RT_OK;
}

static rt_status bench_step_run_steps(bench *b)
{
    bench_alone alone = {0};
    RT_TRY(bench_step_warm_up(b));
    rt_status st = bench_alone_create(&alone, &b->list);
    if (st == RT_OK) st = bench_step_time_steps(b, &alone);
    bench_alone_destroy(&alone);
    return st;
}

/* ---- result ------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

double bench_median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return x[n / 2];
}

static int by_count(const void *a, const void *b)
{
    return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static double flops(const bench *b) { return tr_trainer_flops(b->t, (double)(b->c.sequences * b->c.seq)); }

static const char *const work_names[TR_WORKS] = {"gemm",    "attention", "norms, rotary, residual", "head and loss",
                                                 "teacher", "optimiser", "communication",           "data"};
const char *const bench_work_keys[TR_WORKS]   = {"products", "attention", "rows", "head", "teacher", "optimiser", "communication", "data"};

static rt_status bench_step_print_json(const bench *b, double step, int64_t faults)
{
    rt_buf         text = {0};
    rt_json_writer w    = {.out = &text};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "preset", b->place.preset->name);
    rt_put_int(&w, "threads", rt_threads());
    rt_put_int(&w, "cores", rt_cores_allowed());
    rt_put_text(&w, "dtype", kn_type_name(b->c.dtype));
    rt_put_fixed(&w, "tok_s", (double)(b->c.sequences * b->c.seq) / step, 1);
    rt_put_fixed(&w, "ms", step * 1e3, 2);
    rt_put_fixed(&w, "gflops", flops(b) / step * 1e-9, 2);
    rt_put_fixed(&w, "sgemm_gflops", b->best, 2);
    rt_put_fixed(&w, "products_share", b->share[b->o->steps / 2], 4);
    rt_put_fixed(&w, "products_ms", b->alone[b->o->steps / 2] * 1e3, 2);
    rt_put_fixed(&w, "rss_mb", (double)b->rss / 1e6, 0);
    rt_put_int(&w, "minor_faults", faults);
    rt_put_text(&w, "kernel", kn_get()->isa);
    rt_put_text(&w, "engine", kn_gemm_name());
    rt_put_object(&w, "work_ms");
    for (int i = 0; i < TR_WORKS; i++) rt_put_fixed(&w, bench_work_keys[i], b->work[i] * 1e3, 2);
    rt_put_end(&w);
    rt_put_fixed(&w, "idle", b->idle, 4);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status bench_step_print_table(const bench *b, double step, int64_t faults)
{
    const double tokens = (double)(b->c.sequences * b->c.seq);
    printf("preset %s: %lld sequences of %lld tokens, %s, %d threads on %d cores, %s kernels, gemm: %s\n\n", b->place.preset->name,
           (long long)b->c.sequences, (long long)b->c.seq, kn_type_name(b->c.dtype), rt_threads(), rt_cores_allowed(), kn_get()->isa,
           kn_gemm_name());
    printf("  %-26s %9.1f    (%.1f ms per step, median of %lld)\n", "tokens/s", tokens / step, step * 1e3, (long long)b->o->steps);
    printf("  %-26s %9.1f    (best rate of a square gemm: %.1f)\n", "GFLOP/s of the model", flops(b) / step * 1e-9, b->best);
    printf("  %-26s %9.3f    (the step's matrix products alone, after each step, take %.1f ms)\n", "gemm / step", b->share[b->o->steps / 2],
           b->alone[b->o->steps / 2] * 1e3);
    printf("  %-26s %9.0f\n", "peak memory, MB", (double)b->rss / 1e6);
    printf("  %-26s %9lld\n\n", "minor page faults per step", (long long)faults);
    for (int i = 0; i < TR_WORKS; i++) printf("  %-26s %9.1f ms  %5.1f %%\n", work_names[i], b->work[i] * 1e3, 100 * b->work[i] / step);
    printf("  %-26s %22.1f %%  of the threads' time, spent waiting; included in the above\n", "idle", 100 * b->idle);
    return RT_OK;
}

static rt_status bench_step_measure(bench *b)
{
    RT_TRY(bench_configure(&b->c, &b->place, b->o, NULL));
    RT_TRY(tr_trainer_create(&b->t, &b->c, rt_comm_self()));
    RT_TRY(bench_step_run_steps(b));
    RT_TRY(cli_measure_gemm(&b->best, b->c.dtype, 1536, 0.5));
    const int64_t n = b->o->steps;
    bench_median(b->alone, n), bench_median(b->share, n); /* sorted: the median is in the middle */
    qsort(b->faults, (size_t)n, sizeof *b->faults, by_count);
    return (b->o->json ? bench_step_print_json : bench_step_print_table)(b, bench_median(b->seconds, n), b->faults[n / 2]);
}

rt_status bench_step(const bench_options *o)
{
    bench *b;
    RT_CHECK(o->steps <= MAX_STEPS, RT_EINVAL, "--steps must be at most %d", MAX_STEPS);
    RT_TRY(RT_NEW(b, 1));
    b->o         = o;
    rt_status st = bench_open(&b->place, o);
    if (st == RT_OK) {
        st = bench_step_measure(b);
        tr_trainer_destroy(&b->t);
        tr_config_free(&b->c);
        bench_close(&b->place);
    }
    free(b->list.p), free(b);
    return st;
}
