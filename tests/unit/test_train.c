/* test_train.c -- one run, however it is cut: micro-batches, threads, an interruption, ranks.
 *
 * Called as `test_train DTYPE FOLDER OUT` (by tests/cli/ranks.sh, under mpirun) it writes the first
 * step's gradients and the losses of 20 steps instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "core/rng.h"
#include "eval/eval.h"
#include "tests/support/check.h"
#include "train/train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { V = 64, K = 4, M = 3, DOCS = 60, LONGEST = 40, STEPS = 20 };

static char g_dir[64] = "/tmp/retort-train-XXXXXX";

/* ---- a soft shard from a random teacher ---------------------------------------------------------- */

typedef struct rows {
    int32_t ids[LONGEST], topk_ids[LONGEST * K], tail_ids[LONGEST * M];
    float   topk_logprob[LONGEST * K], actual[LONGEST], rest[LONGEST], entropy[LONGEST];
    uint8_t valid[LONGEST];
    int64_t n;
} rows;

static void take(void *ud, int64_t t, real *z, int thread)
{
    rows *r = ud;
    (void)thread;
    if (t + 1 >= r->n) return;
    md_teacher_row out = {r->topk_ids + t * K, r->topk_logprob + t * K, r->tail_ids + t * M, 0, 0, 0, 0};
    md_teacher_fill(&out, z, V, K, M, r->ids[t + 1], (uint64_t)t);
    r->actual[t]  = (float)out.actual_logprob;
    r->rest[t]    = (float)out.rest_mass;
    r->entropy[t] = (float)out.rest_entropy;
    r->valid[t]   = 1;
}

static rt_status add_doc(ds_writer *w, md_scorer *s, rt_rng *rng)
{
    rows r = {.n = 2 + (int64_t)rt_rng_below(rng, LONGEST - 1)};
    for (int64_t i = 0; i < r.n; i++) r.ids[i] = (int32_t)rt_rng_below(rng, V);
    RT_TRY(md_score(s, r.ids, r.n, take, &r));
    const ds_doc d = {.n              = r.n,
                      .ids            = r.ids,
                      .valid          = r.valid,
                      .topk_ids       = r.topk_ids,
                      .topk_logprob   = r.topk_logprob,
                      .actual_logprob = r.actual,
                      .rest_mass      = r.rest,
                      .tail_ids       = r.tail_ids,
                      .rest_entropy   = r.entropy};
    return ds_writer_add(w, &d);
}

static rt_status make_shard(const char *path)
{
    const md_config c    = {.family     = "llama",
                            .V          = V,
                            .C          = 16,
                            .L          = 1,
                            .H          = 2,
                            .KV         = 1,
                            .D          = 8,
                            .F          = 32,
                            .context    = LONGEST,
                            .rope_theta = 10000,
                            .norm_eps   = 1e-5,
                            .tied       = 1,
                            .bos        = -1,
                            .eos        = -1};
    const ds_info   info = {.soft = 1, .vocab = V, .k = K, .m = M, .tokenizer = "none"};
    md_model       *m    = NULL;
    md_scorer      *s    = NULL;
    ds_writer      *w    = NULL;
    rt_rng          r    = {5};
    RT_TRY(md_create(&m, &c, KN_REAL));
    md_init(m, 3);
    for (int64_t i = 0; i < V * 16; i++) ((real *)m->t[0].data)[i] *= 30; /* sharp */
    RT_TRY(md_scorer_create(&s, m, LONGEST));
    RT_TRY(ds_writer_create(&w, path, &info));
    for (int i = 0; i < DOCS; i++) RT_TRY(add_doc(w, s, &r));
    md_scorer_destroy(&s);
    md_destroy(&m);
    return ds_writer_finish(&w);
}

/* ---- runs --------------------------------------------------------------------------------------------- */

static char g_shard[96];

static void config(tr_config *c, const char *name, const char *const *more)
{
    static char text[8][160];
    rt_texts    set = {.n = 0};
    char        path[96];
    snprintf(path, sizeof path, "%s/empty.json", g_dir);
    ok(rt_file_write(path, "{}", 2));
    snprintf(text[0], sizeof text[0], "data.train=[\"%s\"]", g_shard);
    snprintf(text[1], sizeof text[1], "out=%s/%s", g_dir, name);
    const char *const base[] = {text[0],      text[1],    "data.seq=48",       "model.context=48", "model.C=32",        "model.D=8",
                                "model.F=40", "steps=20", "batch.sequences=4", "optim.lr=0.01",    "schedule.warmup=3", "dtype=f32"};
    for (size_t i = 0; i < sizeof base / sizeof *base; i++) set.v[set.n++] = base[i];
    for (; more && *more; more++) set.v[set.n++] = *more;
    ok(tr_config_read(c, path, &set));
}

static double train(const char *name, const char *const *more, int64_t steps, char digest[RT_SHA_HEX])
{
    tr_config   c;
    tr_metrics  m = {0};
    tr_trainer *t = NULL;
    char        path[128];
    (void)name;
    config(&c, name, more);
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    for (int64_t s = 0; s < steps; s++) ok(tr_trainer_step(t, s, &m));
    snprintf(path, sizeof path, "%s/%s", g_dir, name);
    ok(rt_dir_make(path));
    ok(tr_checkpoint_write(t, steps, 0));
    snprintf(path, sizeof path, "%s/%s/latest/model.safetensors", g_dir, name);
    ok(rt_sha_file(path, digest));
    tr_trainer_destroy(&t);
    tr_config_free(&c);
    return m.loss;
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

static void loss_goes_down(void **state)
{
    char hex[RT_SHA_HEX];
    (void)state;
    const char *const kinds[] = {"objective.kind=ce", "objective.kind=sampled", "objective.kind=tail", "objective.kind=renorm"};
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "down%d", i);
        const char *const set[] = {kinds[i], NULL};
        const double      first = train(name, set, 1, hex), last = train(name, set, STEPS, hex);
        if (!(last < first - 0.02)) fail_msg("%s: loss %g after one step, %g after %d", kinds[i], first, last, STEPS);
    }
}

/* What a batch loses is the mean over its rows that count: another walk over the same shard says the same. */
static void loss_is_the_mean_over_rows(void **state)
{
    const char *const set[] = {"objective.kind=ce", "data.pack=false", "batch.sequences=60", NULL}; /* all documents at once */
    tr_config         c;
    tr_trainer       *t = NULL;
    tr_metrics        m;
    ev_result         e;
    (void)state;
    config(&c, "mean", set);
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    ok(tr_trainer_gradients(t, 0, &m));
    ok(ev_shards(&e, tr_trainer_model(t), NULL, &(ev_opts){.shards = &c.train}));
    assert_true(fabs(m.ce - e.ce) < 1e-5 && m.loss == m.ce && isnan(m.kl));
    tr_trainer_destroy(&t);
    tr_config_free(&c);
}

/* Gradients of the first step, all tensors one after another: tensor i ends at end[i].  Then 20 losses. */
typedef struct course {
    real   *g;
    int64_t end[64];
    int     n;
    double  loss[STEPS];
} course;

static void follow(course *o, const char *const *more)
{
    tr_config   c;
    tr_trainer *t = NULL;
    tr_metrics  m;
    int64_t     each, at = 0;
    config(&c, "course", more);
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    ok(tr_trainer_gradients(t, 0, &m));
    *o = (course){.n = tr_trainer_model(t)->n};
    for (int i = 0; i < o->n; i++) {
        const real *g = tr_trainer_gradient(t, i, &each);
        o->g          = realloc(o->g, (size_t)(at + each) * sizeof(real));
        memcpy(o->g + at, g, (size_t)each * sizeof(real));
        o->end[i] = at += each;
    }
    for (int64_t s = 0; s < STEPS; s++) {
        ok(tr_trainer_step(t, s, &m));
        o->loss[s] = m.loss;
    }
    tr_trainer_destroy(&t);
    tr_config_free(&c);
}

static void compare_courses(const course *a, const course *b, double gradient, double loss)
{
    for (int i = 0; i < a->n; i++) {
        double norm = 0, apart = 0;
        for (int64_t j = i ? a->end[i - 1] : 0; j < a->end[i]; j++) {
            norm += pow((double)a->g[j], 2);
            apart += pow((double)a->g[j] - (double)b->g[j], 2);
        }
        if (!(norm > 0 && sqrt(apart / norm) < gradient)) fail_msg("tensor %d: norm %g, relative %g", i, sqrt(norm), sqrt(apart / norm));
    }
    for (int s = 0; s < STEPS; s++)
        if (!(fabs(a->loss[s] - b->loss[s]) < loss * fabs(a->loss[s]))) fail_msg("step %d: %.9g and %.9g", s, a->loss[s], b->loss[s]);
}

static void micro_batches_add_up(void **state)
{
    const char *const dtypes[] = {"dtype=f32", "dtype=bf16"}, *const micro[] = {"batch.micro=1", "batch.micro=2", "batch.micro=3"};
    (void)state;
    for (int d = 0; d < 2; d++) {
        course whole, parts;
        follow(&whole, (const char *const[]){dtypes[d], NULL});
        for (int i = 0; i < 3; i++) {
            follow(&parts, (const char *const[]){dtypes[d], micro[i], NULL});
            compare_courses(&whole, &parts, d ? 2e-2 : 1e-5, d ? 1e-3 : 1e-5);
            free(parts.g);
        }
        free(whole.g);
    }
}

static void threads_change_no_bit(void **state)
{
    char              a[RT_SHA_HEX], b[RT_SHA_HEX];
    const char *const dtypes[] = {"dtype=f32", "dtype=bf16"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *const set[] = {dtypes[i], NULL};
        rt_threads_set(1);
        const double one = train("one", set, 5, a);
        rt_threads_set(2);
        ok(kn_init());
        const double two = train("two", set, 5, b);
        assert_true(one == two);
        assert_string_equal(a, b);
    }
}

static void recompute_changes_no_bit(void **state)
{
    char              a[RT_SHA_HEX], b[RT_SHA_HEX];
    const char *const set[] = {"recompute=true", NULL};
    (void)state;
    train("kept", NULL, 5, a);
    train("recomputed", set, 5, b);
    assert_string_equal(a, b);
}

/* train 20 = train 10 + resume 10. */
static void resumed_is_uninterrupted(void **state)
{
    const char *const dtypes[] = {"dtype=f32", "dtype=bf16"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *const set[] = {dtypes[i], NULL};
        char              whole[RT_SHA_HEX], parts[RT_SHA_HEX], path[160];
        tr_config         c;
        tr_metrics        m;
        tr_trainer       *t   = NULL;
        rt_buf            dir = {0};
        int64_t           step, bytes;
        train("whole", set, STEPS, whole);
        train("parts", set, STEPS / 2, parts);
        config(&c, "parts", set);
        ok(tr_trainer_create(&t, &c, rt_comm_self()));
        ok(tr_checkpoint_find(c.out, &step, &dir));
        assert_int_equal(step, STEPS / 2);
        ok(tr_checkpoint_read(t, dir.p, &bytes));
        for (; step < STEPS; step++) ok(tr_trainer_step(t, step, &m));
        ok(tr_checkpoint_write(t, STEPS, 0));
        snprintf(path, sizeof path, "%s/latest/model.safetensors", c.out);
        ok(rt_sha_file(path, parts));
        assert_string_equal(whole, parts);
        tr_trainer_destroy(&t);
        tr_config_free(&c);
        rt_buf_free(&dir);
        snprintf(path, sizeof path, "%s/parts", g_dir);
        ok(rt_dir_remove(path));
    }
}

static void run_to(const char *name, const char *steps)
{
    const char *const set[] = {steps, "checkpoint.every=3", NULL};
    tr_config         c;
    config(&c, name, set);
    ok(tr_run(&c, rt_comm_self(), &(tr_run_opts){.resume = 1}));
    tr_config_free(&c);
}

/* A run that lost what came after its checkpoint writes each step's line once. */
static void metrics_go_on_from_the_checkpoint(void **state)
{
    char   path[160];
    rt_buf b = {0};
    (void)state;
    rt_quiet(1);
    run_to("metrics", "steps=5");
    snprintf(path, sizeof path, "%s/metrics/step-00000005", g_dir);
    ok(rt_dir_remove(path));
    run_to("metrics", "steps=7");
    snprintf(path, sizeof path, "%s/metrics/metrics.jsonl", g_dir);
    ok(rt_file_read(&b, path, 1 << 20));
    int   step = 0;
    char *line = strtok(b.p, "\n");
    for (; line; line = strtok(NULL, "\n")) {
        cJSON  *o     = NULL;
        int64_t value = 0;
        ok(rt_json_parse(&o, line, strlen(line), 0, "metrics"));
        ok(rt_json_int(o, "step", &value, "metrics"));
        assert_int_equal(value, ++step);
        cJSON_Delete(o);
    }
    assert_int_equal(step, 7);
    rt_buf_free(&b);
}

/* A damaged newest checkpoint is passed over for the one before it. */
static void damaged_checkpoint_is_passed_over(void **state)
{
    char    hex[RT_SHA_HEX], path[160];
    rt_buf  dir = {0};
    int64_t step;
    (void)state;
    train("damaged", NULL, 2, hex);
    train("damaged", NULL, 4, hex);
    snprintf(path, sizeof path, "%s/damaged", g_dir);
    ok(tr_checkpoint_find(path, &step, &dir));
    assert_int_equal(step, 4);
    snprintf(path, sizeof path, "%s/damaged/step-00000004/model.safetensors", g_dir);
    assert_int_equal(truncate(path, 100), 0);
    snprintf(path, sizeof path, "%s/damaged", g_dir);
    ok(tr_checkpoint_find(path, &step, &dir));
    assert_int_equal(step, 2);
    rt_buf_free(&dir);
}

static void bad_configuration(void **state)
{
    const char *const wrong[] = {"steps=-1",  "optim.lrr=1",       "objective.k=9",     "dtype=f16",
                                 "model.H=3", "batch.sequences=0", "objective.kind=klx"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tr_config   c   = {0};
        tr_trainer *t   = NULL;
        rt_texts    set = {.v = {"data.train=[]", wrong[i]}, .n = 2};
        char        path[96], shard[128];
        snprintf(path, sizeof path, "%s/empty.json", g_dir);
        snprintf(shard, sizeof shard, "data.train=[\"%s\"]", g_shard);
        set.v[0]     = shard;
        rt_status st = tr_config_read(&c, path, &set);
        if (st == RT_OK) st = tr_trainer_create(&t, &c, rt_comm_self());
        if (rt_status_exit(st) != 2) fail_msg("%s: accepted, or exit code %d: %s", wrong[i], rt_status_exit(st), rt_error_text());
        tr_trainer_destroy(&t);
        tr_config_free(&c);
    }
}

/* ---- under mpirun ------------------------------------------------------------------------------------------ */

static rt_status write_gradients(tr_trainer *t, FILE *f)
{
    for (int i = 0; i < tr_trainer_model(t)->n; i++) {
        int64_t     n;
        const real *g = tr_trainer_gradient(t, i, &n);
        for (int64_t j = 0; j < n; j++) fprintf(f, "%d %.9g\n", i, (double)g[j]);
    }
    return RT_OK;
}

static rt_status ranks(const char *dtype, const char *out)
{
    rt_comm    *comm;
    tr_config   c;
    tr_metrics  m;
    tr_trainer *t = NULL;
    FILE       *f = NULL;
    char        set[32];
    snprintf(set, sizeof set, "dtype=%s", dtype);
    const char *const more[] = {set, NULL};
    RT_TRY(tr_comm_open(&comm));
    if (!comm->rank) RT_TRY(make_shard(g_shard));
    RT_TRY(comm->barrier(comm));
    config(&c, "ranks", more);
    RT_TRY(tr_trainer_create(&t, &c, comm));
    if (!comm->rank) f = fopen(out, "w");
    RT_TRY(tr_trainer_gradients(t, 0, &m));
    if (f) write_gradients(t, f);
    for (int64_t s = 0; s < STEPS; s++) {
        RT_TRY(tr_trainer_step(t, s, &m));
        if (f) fprintf(f, "loss %.9g\n", m.loss);
    }
    if (f) fclose(f);
    tr_trainer_destroy(&t);
    tr_config_free(&c);
    tr_comm_close();
    return RT_OK;
}

static int finish(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loss_goes_down),
                                       cmocka_unit_test(loss_is_the_mean_over_rows),
                                       cmocka_unit_test(micro_batches_add_up),
                                       cmocka_unit_test(threads_change_no_bit),
                                       cmocka_unit_test(recompute_changes_no_bit),
                                       cmocka_unit_test(resumed_is_uninterrupted),
                                       cmocka_unit_test(metrics_go_on_from_the_checkpoint),
                                       cmocka_unit_test(damaged_checkpoint_is_passed_over),
                                       cmocka_unit_test(bad_configuration)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    if (argc == 4) { /* DTYPE FOLDER OUT: one of several ranks */
        snprintf(g_dir, sizeof g_dir, "%s", argv[2]);
        snprintf(g_shard, sizeof g_shard, "%s/soft.h5", g_dir);
        if (ranks(argv[1], argv[3]) == RT_OK) return 0;
        return fprintf(stderr, "%s\n", rt_error_text()), 1;
    }
    if (!mkdtemp(g_dir)) return 1;
    snprintf(g_shard, sizeof g_shard, "%s/soft.h5", g_dir);
    if (make_shard(g_shard) != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, finish);
}
