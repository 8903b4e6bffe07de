/* bench_step.c -- real training steps of a preset on random data, timed and compared with their own products.
 *
 * The data are a soft shard in a temporary folder: random tokens, and for each 16 random ids that hold 0.95 of a teacher's
 * mass.  Everything else is what retort train does.
 */
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/rng.h"
#include "train/train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { K = 16, BATCHES = 2, MAX_STEPS = 1000 };

typedef struct preset {
    const char *name;
    int64_t     C, L, H, KV, D, F, V, B, T;
} preset;
static const preset presets[] = {
    {"XS", 64, 2, 4, 2, 16, 192, 512, 4, 64}, {"S", 384, 6, 6, 2, 64, 1024, 8192, 8, 512}, {"M", 768, 12, 12, 4, 64, 2048, 32000, 4, 512}};

typedef struct bench {
    const bench_options *o;
    const preset        *p;
    char                 dir[64], shard[80];
    rt_buf               words; /* configuration words, each ended by a NUL */
    tr_config            c;
    tr_trainer          *t;
    bench_list           list;
    double               seconds[MAX_STEPS], work[TR_WORKS], idle, alone, sgemm;
    int64_t              faults[MAX_STEPS], rss;
} bench;

/* ---- data ------------------------------------------------------------------------------------------------- */

static rt_status find_preset(const preset **out, const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(presets[i].name, name)) return *out = &presets[i], RT_OK;
    RT_FAIL(RT_EINVAL, "--preset %s: expected XS, S or M", name);
}

/* Row i: K ids, one of each K-th part of the vocabulary, with softmax(2 normal) x 0.95 as their masses. */
static void random_row(rt_rng *r, int64_t V, int32_t *ids, float *logp, float *rest)
{
    double e[K], sum = 0, mass = 0;
    for (int i = 0; i < K; i++) {
        ids[i]      = (int32_t)((int64_t)rt_rng_below(r, (uint32_t)(V / K)) * K + i);
        sum += e[i] = exp(2 * rt_rng_normal(r));
    }
    for (int i = 0; i < K; i++) {
        logp[i] = (float)log(0.95 * e[i] / sum);
        mass += exp((double)logp[i]);
    }
    for (int i = 1; i < K; i++) /* most likely first */
        for (int j = i; j > 0 && logp[j] > logp[j - 1]; j--) {
            const float   l  = logp[j];
            const int32_t id = ids[j];
            logp[j] = logp[j - 1], ids[j] = ids[j - 1], logp[j - 1] = l, ids[j - 1] = id;
        }
    *rest = (float)fmax(0, 1 - mass);
}

typedef struct document {
    int32_t *ids, *topk_ids;
    float   *topk_logprob, *actual, *rest;
    uint8_t *valid;
} document;

static rt_status make_document(document *d, int64_t T)
{
    RT_TRY(RT_NEW(d->ids, T));
    RT_TRY(RT_NEW(d->topk_ids, T * K));
    RT_TRY(RT_NEW(d->topk_logprob, T * K));
    RT_TRY(RT_NEW(d->actual, T));
    RT_TRY(RT_NEW(d->rest, T));
    return RT_NEW(d->valid, T);
}

static rt_status add_document(ds_writer *w, const document *d, rt_rng *r, int64_t T, int64_t V)
{
    for (int64_t i = 0; i < T; i++) {
        d->ids[i]    = (int32_t)rt_rng_below(r, (uint32_t)V);
        d->valid[i]  = i + 1 < T;
        d->actual[i] = -10;
        random_row(r, V, d->topk_ids + i * K, d->topk_logprob + i * K, d->rest + i);
    }
    for (int64_t i = 0; i + 1 < T; i++)
        for (int k = 0; k < K; k++)
            if (d->topk_ids[i * K + k] == d->ids[i + 1]) d->actual[i] = d->topk_logprob[i * K + k];
    const ds_doc doc = {.n              = T,
                        .ids            = d->ids,
                        .valid          = d->valid,
                        .topk_ids       = d->topk_ids,
                        .topk_logprob   = d->topk_logprob,
                        .actual_logprob = d->actual,
                        .rest_mass      = d->rest};
    return ds_writer_add(w, &doc);
}

static rt_status write_shard(const bench *b, int64_t sequences, int64_t T, int64_t V)
{
    const ds_info info = {.soft = 1, .vocab = V, .k = K, .tokenizer = "none"};
    document      d    = {0};
    ds_writer    *w    = NULL;
    rt_rng        r    = {1};
    rt_status     st   = make_document(&d, T);
    if (st == RT_OK) st = ds_writer_create(&w, b->shard, &info);
    for (int64_t i = 0; st == RT_OK && i < BATCHES * sequences; i++) st = add_document(w, &d, &r, T, V);
    if (st == RT_OK) st = ds_writer_finish(&w);
    free(d.ids), free(d.topk_ids), free(d.topk_logprob), free(d.actual), free(d.rest), free(d.valid);
    return st;
}

/* ---- configuration -------------------------------------------------------------------------------------------- */

static rt_status configure(bench *b)
{
    const preset *p    = b->p;
    rt_buf        text = {0};
    rt_texts      set  = b->o->set;
    char          path[80];
    snprintf(path, sizeof path, "%s/config.json", b->dir);
    rt_status st = rt_buf_fmt(&text,
                              "{\"model\":{\"C\":%lld,\"L\":%lld,\"H\":%lld,\"KV\":%lld,\"D\":%lld,\"F\":%lld,\"V\":%lld,\"context\":%lld},"
                              "\"data\":{\"train\":[\"%s\"],\"seq\":%lld,\"pack\":false},\"batch\":{\"sequences\":%lld},"
                              "\"objective\":{\"kind\":\"tail\"},\"schedule\":{\"kind\":\"constant\"},\"out\":\"%s/out\"}",
                              (long long)p->C, (long long)p->L, (long long)p->H, (long long)p->KV, (long long)p->D, (long long)p->F,
                              (long long)p->V, (long long)1 << 14, b->shard, (long long)p->T, (long long)p->B, b->dir);
    if (st == RT_OK) st = rt_file_write(path, text.p, text.len);
    if (st == RT_OK) st = tr_config_read(&b->c, path, &set);
    rt_buf_free(&text);
    return st;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

static int64_t minor_faults(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt;
}

static rt_status one_step(bench *b, int64_t s, double *seconds, int64_t *faults)
{
    tr_metrics    m;
    const int64_t before = minor_faults();
    const double  began  = rt_now();
    RT_TRY(tr_trainer_step(b->t, s, &m));
    *seconds = rt_now() - began;
    *faults  = minor_faults() - before;
    return RT_OK;
}

static rt_status run_steps(bench *b)
{
    const int threads = rt_threads();
    double    before[TR_WORKS], wall0, busy0, wall1, busy1, total = 0;
    for (int64_t s = 0; s < b->o->warmup; s++) RT_TRY(one_step(b, s, &b->seconds[0], &b->faults[0]));
    tr_trainer_seconds(b->t, before);
    rt_parallel_seconds(&wall0, &busy0);
    for (int64_t s = 0; s < b->o->steps; s++) {
        if (s == b->o->steps - 1) bench_watch(&b->list);
        RT_TRY(one_step(b, b->o->warmup + s, &b->seconds[s], &b->faults[s]));
        total += b->seconds[s];
    }
    bench_watch(NULL);
    rt_parallel_seconds(&wall1, &busy1);
    b->rss = rt_memory_peak();
    tr_trainer_seconds(b->t, b->work);
    for (int i = 0; i < TR_WORKS; i++) b->work[i] = (b->work[i] - before[i]) / (double)b->o->steps;
    b->idle = 1 - (busy1 - busy0 + total - (wall1 - wall0)) / (threads * total); /* outside rt_parallel one thread works */
    return b->list.st;
}

/* ---- result ------------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}
static int by_count(const void *a, const void *b)
{
    return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static double flops(const bench *b) { return tr_flops(&tr_trainer_model(b->t)->config, (double)(b->c.sequences * b->c.seq), b->c.seq); }

static const char *const work_names[TR_WORKS] = {"products", "attention", "norms, rotary, residual", "head and loss",
                                                 "teacher",  "optimiser", "communication",           "data"};
static const char *const work_keys[TR_WORKS]  = {"products", "attention", "rows", "head", "teacher", "optimiser", "communication", "data"};

static void print_json(const bench *b, double step, int64_t faults)
{
    const double tokens = (double)(b->c.sequences * b->c.seq);
    printf(
        "{\"preset\":\"%s\",\"threads\":%d,\"cores\":%d,\"dtype\":\"%s\",\"tok_s\":%.1f,\"ms\":%.2f,\"gflops\":%.2f,\"sgemm_gflops\":%.2f,"
        "\"products_share\":%.4f,\"products_ms\":%.2f,\"rss_mb\":%.0f,\"minor_faults\":%lld,\"kernel\":\"%s\",\"engine\":\"%s\",\"work_ms\":{",
        b->p->name, rt_threads(), rt_cores_allowed(), b->c.dtype, tokens / step, step * 1e3, flops(b) / step * 1e-9, b->sgemm,
        b->alone / step, b->alone * 1e3, (double)b->rss / 1e6, (long long)faults, kn_get()->isa, kn_product_is_blas() ? "openblas" : "own");
    for (int i = 0; i < TR_WORKS; i++) printf("%s\"%s\":%.2f", i ? "," : "", work_keys[i], b->work[i] * 1e3);
    printf("},\"idle\":%.4f}\n", b->idle);
}

static void print_table(const bench *b, double step, int64_t faults)
{
    const double tokens = (double)(b->c.sequences * b->c.seq);
    printf("preset %s: %lld sequences of %lld tokens, %s, %d threads on %d cores, %s kernels, products by %s\n\n", b->p->name,
           (long long)b->c.sequences, (long long)b->c.seq, b->c.dtype, rt_threads(), rt_cores_allowed(), kn_get()->isa,
           kn_product_is_blas() ? "OpenBLAS" : "our own kernel");
    printf("  %-26s %9.1f    (%.1f ms a step, median of %lld)\n", "tokens/s", tokens / step, step * 1e3, (long long)b->o->steps);
    printf("  %-26s %9.1f    (best square product: %.1f)\n", "GF/s of the model", flops(b) / step * 1e-9, b->sgemm);
    printf("  %-26s %9.3f    (alone they take %.1f ms)\n", "products / step", b->alone / step, b->alone * 1e3);
    printf("  %-26s %9.0f\n", "peak memory, MB", (double)b->rss / 1e6);
    printf("  %-26s %9lld\n\n", "minor page faults a step", (long long)faults);
    for (int i = 0; i < TR_WORKS; i++) printf("  %-26s %9.1f ms  %5.1f %%\n", work_names[i], b->work[i] * 1e3, 100 * b->work[i] / step);
    printf("  %-26s %22.1f %%  of the threads' time, waiting, inside the above\n", "idle", 100 * b->idle);
}

static rt_status measure(bench *b)
{
    RT_TRY(configure(b));
    RT_TRY(write_shard(b, b->c.sequences, b->c.seq, b->c.shape.V));
    RT_TRY(tr_trainer_create(&b->t, &b->c, rt_comm_self()));
    RT_TRY(run_steps(b));
    RT_TRY(bench_alone(&b->list, &b->alone));
    RT_TRY(cli_measure_products(&b->sgemm, 1536, 0.5));
    const size_t n = (size_t)b->o->steps;
    qsort(b->seconds, n, sizeof *b->seconds, by_value);
    qsort(b->faults, n, sizeof *b->faults, by_count);
    (b->o->json ? print_json : print_table)(b, b->seconds[n / 2], b->faults[n / 2]);
    return RT_OK;
}

rt_status bench_step(const bench_options *o)
{
    bench *b;
    RT_CHECK(o->steps <= MAX_STEPS, RT_EINVAL, "--steps must be at most %d", MAX_STEPS);
    RT_TRY(RT_NEW(b, 1));
    b->o         = o;
    rt_status st = find_preset(&b->p, o->preset);
    snprintf(b->dir, sizeof b->dir, "/tmp/retort-bench-XXXXXX");
    if (st == RT_OK && !mkdtemp(b->dir)) st = rt_fail(RT_EIO, __FILE__, __LINE__, "%s: no temporary folder can be made", b->dir);
    snprintf(b->shard, sizeof b->shard, "%s/random.h5", b->dir);
    if (st == RT_OK) {
        st = measure(b);
        tr_trainer_destroy(&b->t);
        tr_config_free(&b->c);
        rt_dir_remove(b->dir);
    }
    free(b->list.p), free(b);
    return st;
}
