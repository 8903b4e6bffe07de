/* test_cut.c -- one batch, however it is cut: micro-batches, tiles, packing, threads, recompute.  Ranks: tests/cli/ranks.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "data/loader.h"
#include "distill/score.h"
#include "tests/support/check.h"
#include "tests/support/distil.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double train(const char *name, const char *const *more, int64_t steps, char digest[RT_SHA_HEX])
{
    double loss;
    ok(dt_train(name, more, steps, digest, &loss));
    return loss;
}

/* Gradients of the first step, all tensors one after another: tensor i ends at end[i].  Then 20 losses. */
typedef struct course {
    real   *g;
    int64_t end[64];
    int     n;
    double  loss[DT_STEPS];
} course;

static void follow(course *o, const char *const *more)
{
    tr_config   c;
    tr_trainer *t = NULL;
    tr_metrics  m;
    int64_t     each, at = 0;
    ok(dt_config(&c, "course", more));
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    ok(tr_trainer_gradients(t, 0, &m));
    *o = (course){.n = tr_trainer_model(t)->n + (tr_trainer_projection(t) != NULL)};
    for (int i = 0; i < o->n; i++) {
        const real *g = tr_trainer_gradient(t, i, &each);
        o->g          = realloc(o->g, (size_t)(at + each) * sizeof(real));
        memcpy(o->g + at, g, (size_t)each * sizeof(real));
        o->end[i] = at += each;
    }
    for (int64_t s = 0; s < DT_STEPS; s++) {
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
    for (int s = 0; s < DT_STEPS; s++)
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

/* The teacher that made the shard is so sure that its samples weigh nothing; this one is not. */
static void make_unsure_teacher(char path[96])
{
    char      sure[96];
    md_model *m = NULL;
    snprintf(sure, sizeof sure, "%s/teacher", dt_dir);
    snprintf(path, 96, "%s/unsure", dt_dir);
    ok(md_load(&m, sure, KN_REAL));
    for (int64_t i = 0; i < m->t[0].rows * m->t[0].cols; i++) ((real *)m->t[0].data)[i] *= (real)0.1;
    ok(md_save(m, path, KN_REAL));
    ok(ds_tokenizer_copy(sure, path));
    md_destroy(&m);
}

/* A teacher beside the student: its whole distribution, its hidden states, entries drawn afresh in every pass. */
static void a_teacher_in_process_is_cut_too(void **state)
{
    const char *const words[][4] = {{"objective.kind=jsd", "objective.hidden=cosine", "objective.temperature=2", "objective.ce_weight=0.2"},
                                    {"objective.kind=sampled", "objective.k=3", "objective.m=5", "objective.ce_weight_end=0.5"}};
    char              teacher[128], path[96];
    (void)state;
    make_unsure_teacher(path);
    snprintf(teacher, sizeof teacher, "teacher.model=%s", path);
    for (int i = 0; i < 2; i++) {
        const char *const *w = words[i];
        course             whole, parts, blocks;
        follow(&whole, (const char *const[]){teacher, w[0], w[1], w[2], w[3], NULL});
        follow(&parts, (const char *const[]){teacher, w[0], w[1], w[2], w[3], "batch.micro=1", NULL});
        ag_head_block(5 * DT_V * (int64_t)sizeof(real));
        follow(&blocks, (const char *const[]){teacher, w[0], w[1], w[2], w[3], "batch.micro=3", NULL});
        ag_head_block((int64_t)64 << 20);
        compare_courses(&whole, &parts, 1e-5, 1e-5);
        compare_courses(&whole, &blocks, 1e-5, 1e-5);
        free(whole.g), free(parts.g), free(blocks.g);
    }
}

/* Encoded states with bits to spare stand for the teacher: gradients and losses are nearly those with it in process. */
static void codecs_stand_for_the_teacher(void **state)
{
    const rt_strings shards = {.v = {dt_shard}, .n = 1};
    char             path[96], train_on[128], teacher[96];
    course           encoded, whole;
    md_model        *m = NULL;
    di_scored        r;
    (void)state;
    snprintf(path, sizeof path, "%s/teacher", dt_dir);
    if (!kn_have_blas()) skip();
    ok(md_load(&m, path, KN_REAL));
    snprintf(path, sizeof path, "%s/sketch.h5", dt_dir);
    ok(di_score(m, &(di_score_opts){.shards = &shards, .out = path, .codec_bytes = 64, .program = "test"}, &r));
    md_destroy(&m);
    snprintf(train_on, sizeof train_on, "data.train=[\"%s\"]", path);
    snprintf(teacher, sizeof teacher, "teacher.model=%s/teacher", dt_dir);
    follow(&encoded, (const char *const[]){train_on, "objective.hidden=mse", NULL}); /* their coordinates are hidden states */
    assert_true(encoded.loss[DT_STEPS - 1] < 0.98 * encoded.loss[0]);
    free(encoded.g);
    follow(&encoded, (const char *const[]){train_on, NULL});
    follow(&whole, (const char *const[]){train_on, teacher, NULL});
    compare_courses(&whole, &encoded, 3e-2, 1e-2);
    free(encoded.g), free(whole.g);
}

static void threads_change_no_bit(void **state)
{
    char              a[RT_SHA_HEX], b[RT_SHA_HEX], teacher[96];
    const char *const sets[][3] = {{"dtype=f32"},
                                   {"dtype=bf16"},
                                   {"objective.kind=jsd", "objective.hidden=mse", "objective.temperature=2"},
                                   {"objective.kind=sampled"}};
    (void)state;
    snprintf(teacher, sizeof teacher, "teacher.model=%s/teacher", dt_dir);
    for (int i = 0; i < 4; i++) {
        const char *const *s     = sets[i];
        const char *const  set[] = {s[0], i < 2 ? NULL : teacher, s[1], s[2], NULL};
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

/* Logits in blocks of a few rows instead of all, and gemm by the other backend, whose tiles are others. */
static void tiles_change_rounding_alone(void **state)
{
    const char *const dtypes[] = {"dtype=f32", "dtype=bf16"};
    const char       *backend = kn_gemm_name(), *another = strcmp(backend, "own") ? "own" : "openblas";
    (void)state;
    for (int d = 0; d < 2; d++) {
        const char *const set[] = {dtypes[d], NULL};
        course            whole, blocks, other;
        follow(&whole, set);
        ag_head_block(5 * DT_V * (int64_t)sizeof(real));
        follow(&blocks, set);
        ag_head_block((int64_t)64 << 20);
        if (kn_have_blas()) ok(kn_gemm_use(another, "own"));
        follow(&other, set);
        ok(kn_gemm_use(backend, "own"));
        compare_courses(&whole, &blocks, d ? 2e-2 : 1e-5, d ? 1e-3 : 1e-5);
        if (kn_have_blas()) compare_courses(&whole, &other, d ? 2e-2 : 1e-5, d ? 1e-3 : 1e-5);
        else print_message("skipped: another gemm backend, there is no OpenBLAS\n");
        free(whole.g), free(blocks.g), free(other.g);
    }
}

/* All documents a step: several in a sequence, or each in one of its own. */
static void packing_changes_rounding_alone(void **state)
{
    const char *const dtypes[] = {"dtype=f32", "dtype=bf16"};
    const rt_strings  shards   = {.v = {dt_shard}, .n = 1};
    char              packed_rows[32], own_rows[32];
    ds_loader        *l = NULL;
    (void)state;
    ok(ds_loader_create(&l, &(ds_loader_opts){.shards = &shards, .T = 48, .pack = 1, .ordered = 1, .rows = 1}));
    snprintf(packed_rows, sizeof packed_rows, "batch.sequences=%lld", (long long)ds_loader_epoch(l));
    snprintf(own_rows, sizeof own_rows, "batch.sequences=%d", DT_DOCS);
    assert_true(ds_loader_epoch(l) < DT_DOCS);
    ds_loader_destroy(&l);
    for (int d = 0; d < 2; d++) {
        course packed, own;
        follow(&packed, (const char *const[]){dtypes[d], packed_rows, "data.shuffle=false", NULL});
        follow(&own, (const char *const[]){dtypes[d], own_rows, "data.pack=false", "data.shuffle=false", NULL});
        compare_courses(&packed, &own, d ? 2e-2 : 1e-5, d ? 1e-3 : 1e-5);
        free(packed.g), free(own.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(micro_batches_add_up),           cmocka_unit_test(tiles_change_rounding_alone),
                                       cmocka_unit_test(packing_changes_rounding_alone), cmocka_unit_test(a_teacher_in_process_is_cut_too),
                                       cmocka_unit_test(codecs_stand_for_the_teacher),   cmocka_unit_test(threads_change_no_bit),
                                       cmocka_unit_test(recompute_changes_no_bit)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    if (!dt_open()) return 1;
    return cmocka_run_group_tests(tests, NULL, dt_close);
}
