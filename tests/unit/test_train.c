/* test_train.c -- a run: it learns, is interrupted, resumed, looked at; how it is cut is test_cut.c.
 *
 * Called as `test_train DTYPE FOLDER OUT batch.sequences=N` (by tests/cli/ranks.sh, under mpirun) it writes the first
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
#include "tests/support/distil.h"
#include "train/train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double train(const char *name, const char *const *more, int64_t steps, char digest[RT_SHA_HEX])
{
    double loss;
    ok(dt_train(name, more, steps, digest, &loss));
    return loss;
}

static void config(tr_config *c, const char *name, const char *const *more) { ok(dt_config(c, name, more)); }

/* ---- tests ---------------------------------------------------------------------------------------------- */

static void loss_goes_down(void **state)
{
    char hex[RT_SHA_HEX], teacher[96], kind[64], name[32];
    (void)state;
    snprintf(teacher, sizeof teacher, "teacher.model=%s/teacher", dt_dir);
    for (int i = 0; i < AG_OBJECTIVES; i++) {
        snprintf(kind, sizeof kind, "objective.kind=%s", ag_objectives[i].word);
        snprintf(name, sizeof name, "down%d", i);
        const char *const set[] = {kind, ag_objectives[i].needs == AG_WHOLE ? teacher : NULL, NULL};
        const double      first = train(name, set, 1, hex), last = train(name, set, DT_STEPS, hex);
        if (!(last < first * 0.995)) fail_msg("%s: loss %g after one step, %g after %d", kind, first, last, DT_STEPS);
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
    const double tokens = (double)(c.sequences * c.seq); /* the head works for rows that count alone */
    const double flops  = tr_flops(&tr_trainer_model(t)->config, tokens, (double)e.tokens, c.seq);
    assert_true((double)e.tokens < tokens / 2 && fabs(tr_trainer_flops(t, tokens) - flops) < 1e-9 * flops);
    tr_trainer_destroy(&t);
    tr_config_free(&c);
}

/* train 20 = train 10 + resume 10. */
static void resumed_is_uninterrupted(void **state)
{
    const char *const dtypes[] = {"dtype=f32", "dtype=bf16", "objective.hidden=mse"}; /* the last: its projection goes on too */
    char              teacher[96];
    (void)state;
    snprintf(teacher, sizeof teacher, "teacher.model=%s/teacher", dt_dir);
    for (int i = 0; i < 3; i++) {
        const char *const set[] = {dtypes[i], i == 2 ? teacher : NULL, NULL};
        char              whole[RT_SHA_HEX], parts[RT_SHA_HEX], path[160];
        tr_config         c;
        tr_metrics        m;
        tr_trainer       *t = NULL;
        tr_found          found;
        train("whole", set, DT_STEPS, whole);
        train("parts", set, DT_STEPS / 2, parts);
        config(&c, "parts", set);
        ok(tr_trainer_create(&t, &c, rt_comm_self()));
        ok(tr_checkpoint_find(c.out, &found));
        assert_int_equal(found.step, DT_STEPS / 2);
        ok(tr_checkpoint_read(t, found.dir.p));
        for (int64_t step = found.step; step < DT_STEPS; step++) ok(tr_trainer_step(t, step, &m));
        ok(tr_checkpoint_write(t, DT_STEPS));
        snprintf(path, sizeof path, "%s/latest/model.safetensors", c.out);
        ok(rt_sha_file(path, parts));
        assert_string_equal(whole, parts);
        tr_trainer_destroy(&t);
        tr_config_free(&c);
        tr_found_free(&found);
        snprintf(path, sizeof path, "%s/parts", dt_dir);
        ok(rt_dir_remove(path));
    }
}

static void run_to(const char *name, const char *steps)
{
    const char *const set[] = {steps, "checkpoint.every=3", "schedule.kind=constant", NULL};
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
    snprintf(path, sizeof path, "%s/metrics/step-00000005", dt_dir);
    ok(rt_dir_remove(path));
    run_to("metrics", "steps=7");
    snprintf(path, sizeof path, "%s/metrics/metrics.jsonl", dt_dir);
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

/* A damaged newest checkpoint is told from one that is not there: what is wrong is said, the one before it is found. */
static void damaged_checkpoint_is_named(void **state)
{
    char     hex[RT_SHA_HEX], path[160];
    tr_found found;
    (void)state;
    train("damaged", NULL, 2, hex);
    train("damaged", NULL, 4, hex);
    snprintf(path, sizeof path, "%s/damaged", dt_dir);
    ok(tr_checkpoint_find(path, &found));
    assert_true(found.step == 4 && !found.damaged && found.traces);
    tr_found_free(&found);
    snprintf(path, sizeof path, "%s/damaged/step-00000004/model.safetensors", dt_dir);
    assert_int_equal(truncate(path, 100), 0);
    snprintf(path, sizeof path, "%s/damaged", dt_dir);
    ok(tr_checkpoint_find(path, &found));
    assert_true(found.step == 2 && found.damaged == 4 && strstr(found.why.p, "step-00000004 is damaged: model.safetensors has SHA-256"));
    tr_found_free(&found);
    ok(tr_checkpoint_find("no such folder", &found));
    assert_true(!found.step && !found.damaged && !found.traces);
}

/* A text shard of `docs` documents of one token, which have no row that counts, and one of three. */
static void make_short_shard(const char *path, int docs, int with_long)
{
    const int32_t ids[] = {1, 2, 3};
    ds_shard     *s;
    ds_writer    *w;
    ok(ds_shard_open(&s, dt_shard));
    ds_info info = *ds_shard_info(s);
    ds_shard_close(&s);
    info.soft = 0, info.k = info.m = 0;
    ok(ds_writer_create(&w, path, &info));
    for (int i = 0; i < docs; i++) ok(ds_writer_add(w, &(ds_doc){.n = 1, .ids = ids}));
    if (with_long) ok(ds_writer_add(w, &(ds_doc){.n = 3, .ids = ids}));
    ok(ds_writer_finish(&w));
}

/* The mean of nothing is no number, in a step and in validation; such a step changes nothing, and the next is AdamW's first. */
static void mean_of_nothing(void **state)
{
    char        path[128], train_set[160], valid_set[160];
    tr_config   c;
    tr_metrics  m;
    tr_trainer *t = NULL;
    rt_buf      b = {0};
    (void)state;
    snprintf(path, sizeof path, "%s/short.h5", dt_dir);
    make_short_shard(path, 3, 1);
    snprintf(train_set, sizeof train_set, "data.train=[\"%s\"]", path);
    snprintf(path, sizeof path, "%s/none.h5", dt_dir);
    make_short_shard(path, 2, 0);
    snprintf(valid_set, sizeof valid_set, "data.valid=[\"%s\"]", path);
    const char *const set[] = {train_set, valid_set, "data.pack=false", "data.shuffle=false", "batch.sequences=1", "optim.weight_decay=0",
                               NULL};
    config(&c, "nothing", set);
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    const real *w     = tr_trainer_model(t)->t[0].data;
    const real  first = w[5];
    for (int64_t s = 0; s < 3; s++) {
        ok(tr_trainer_step(t, s, &m));
        assert_true(isnan(m.loss) && isnan(m.kl) && isnan(m.ce) && w[5] == first && m.empty == s + 1 && !m.skipped);
    }
    const md_tensor *norm   = &tr_trainer_model(t)->t[tr_trainer_model(t)->n - 1];
    const double     before = (double)((const real *)norm->data)[0];
    ok(tr_trainer_step(t, 3, &m));
    assert_true(isfinite(m.loss) && isfinite(m.ce) && m.empty == 3);
    const double step = fabs((double)((const real *)norm->data)[0] - before) / m.lr;
    assert_true(step > 0.9 && step < 1.1); /* as AdamW's first update, whose moments are corrected by the number of updates */
    rt_quiet(1);
    ok(tr_trainer_validate(t, &m));
    assert_true(m.validated && isnan(m.valid_ce) && isnan(m.valid_kl));
    ok(tr_metrics_json(&b, &m));
    assert_non_null(strstr(b.p, "\"valid_ce\":null,\"valid_kl\":null"));
    rt_buf_free(&b);
    tr_trainer_destroy(&t);
    tr_config_free(&c);
}

static void bad_configuration(void **state)
{
    const char *const wrong[] = {"steps=-1",  "optim.lrr=1",       "objective.k=9",     "dtype=f16",
                                 "model.H=3", "batch.sequences=0", "objective.kind=klx"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tr_config   c   = {0};
        tr_trainer *t   = NULL;
        rt_strings  set = {.v = {"data.train=[]", wrong[i]}, .n = 2};
        char        path[96], shard[128];
        snprintf(path, sizeof path, "%s/empty.json", dt_dir);
        snprintf(shard, sizeof shard, "data.train=[\"%s\"]", dt_shard);
        set.v[0]     = shard;
        rt_status st = tr_config_read(&c, path, &set);
        if (st == RT_OK) st = tr_trainer_create(&t, &c, rt_comm_self());
        if (rt_status_exit(st) != 2) fail_msg("%s: accepted, or exit code %d: %s", wrong[i], rt_status_exit(st), rt_error_text());
        tr_trainer_destroy(&t);
        tr_config_free(&c);
    }
}

/* Keys that take a word name the nearest one, and --print-config lists all. */
static void words_are_listed(void **state)
{
    const struct {
        const char *set, *nearest, *words;
    } all[] = {{"model.family=qwen", "\"qwen2\"", MD_FAMILY_NAMES},
               {"objective.kind=reverze", "\"reverse\"", "ce, sampled, "},
               {"objective.hidden=cosin", "\"cosine\"", "none, mse, cosine;"},
               {"schedule.kind=wd", "\"wsd\"", "cosine, wsd, constant;"},
               {"dtype=bf1", "\"bf16\"", "f32, bf16;"}};
    tr_config c;
    rt_buf    text = {0};
    (void)state;
    ok(tr_config_read(&c, NULL, &(rt_strings){.n = 0}));
    assert_true(c.objective.kind == DI_AUTO && c.dtype == KN_BF16 && c.shape.family == MD_LLAMA && !c.objective.hidden &&
                c.schedule.kind == OPT_COSINE);
    ok(tr_config_print(&text, &c));
    tr_config_free(&c);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(tr_config_read(&c, NULL, &(rt_strings){.v = {all[i].set}, .n = 1}), RT_EINVAL);
        if (!strstr(rt_error_text(), all[i].nearest)) fail_msg("--set %s: %s", all[i].set, rt_error_text());
        if (!strstr(text.p, all[i].words)) fail_msg("--print-config does not list %s", all[i].words);
    }
    rt_buf_free(&text);
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

static rt_status ranks(const char *dtype, const char *out, char **words)
{
    rt_comm    *comm;
    tr_config   c;
    tr_metrics  m;
    tr_trainer *t = NULL;
    FILE       *f = NULL;
    char        set[32];
    snprintf(set, sizeof set, "dtype=%s", dtype);
    const char *more[16] = {set};
    for (int i = 1; i < 15 && *words; i++) more[i] = *words++;
    RT_TRY(tr_comm_open(&comm));
    RT_TRY(rt_comm_agree(comm, comm->rank ? RT_OK : dt_make_shard(dt_shard)));
    config(&c, "ranks", more);
    RT_TRY(tr_trainer_create(&t, &c, comm));
    if (!comm->rank) f = fopen(out, "w");
    RT_TRY(tr_trainer_gradients(t, 0, &m));
    if (f) write_gradients(t, f);
    for (int64_t s = 0; s < DT_STEPS; s++) {
        RT_TRY(tr_trainer_step(t, s, &m));
        if (f) fprintf(f, "loss %.9g\n", m.loss);
    }
    if (f) fclose(f);
    tr_trainer_destroy(&t);
    tr_config_free(&c);
    return RT_OK;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loss_goes_down),
                                       cmocka_unit_test(loss_is_the_mean_over_rows),
                                       cmocka_unit_test(resumed_is_uninterrupted),
                                       cmocka_unit_test(metrics_go_on_from_the_checkpoint),
                                       cmocka_unit_test(damaged_checkpoint_is_named),
                                       cmocka_unit_test(mean_of_nothing),
                                       cmocka_unit_test(bad_configuration),
                                       cmocka_unit_test(words_are_listed)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    if (argc >= 5) { /* DTYPE FOLDER OUT KEY=VALUE...: one of several ranks */
        snprintf(dt_dir, sizeof dt_dir, "%s", argv[2]);
        snprintf(dt_shard, sizeof dt_shard, "%s/soft.h5", dt_dir);
        if (ranks(argv[1], argv[3], argv + 4) == RT_OK) return 0;
        return fprintf(stderr, "%s\n", rt_error_text()), 1;
    }
    if (!dt_open()) return 1;
    return cmocka_run_group_tests(tests, NULL, dt_close);
}
