/* test_steady.c -- the steady step: replay and optimiser allocate nothing; a step whose gradients are not finite changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/progress.h"
#include "tests/support/check.h"
#include "tests/support/distil.h"
#include "tests/support/tensor.h"
#include "train/trainer.h"
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- every allocation of the program is counted -------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
enum { COUNTS = 0 }; /* the sanitizer has an allocator of its own */
static atomic_long g_allocations;
#else
enum { COUNTS = 1 };
static atomic_long g_allocations;
extern void       *__libc_malloc(size_t n), *__libc_calloc(size_t n, size_t size), *__libc_realloc(void *p, size_t n),
    *__libc_memalign(size_t a, size_t n);

void *malloc(size_t n) { return atomic_fetch_add(&g_allocations, 1), __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return atomic_fetch_add(&g_allocations, 1), __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return atomic_fetch_add(&g_allocations, 1), __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { return atomic_fetch_add(&g_allocations, 1), __libc_memalign(a, n); }
#endif

static void steady_steps_allocate_nothing(void **state)
{
    const char *const dtypes[] = {"dtype=f32", "dtype=bf16"};
    const char *const kinds[]  = {"recompute=false", "recompute=true", "objective.kind=jsd",
                                  "objective.kind=sampled"}; /* the last two with a teacher */
    char              teacher[96];
    (void)state;
    if (!COUNTS) skip();
    snprintf(teacher, sizeof teacher, "teacher.model=%s/teacher", dt_dir);
    for (int d = 0; d < 8; d++) {
        const char *const set[] = {dtypes[d % 2], kinds[d / 2], d < 4 ? NULL : teacher, d < 4 ? NULL : "objective.hidden=cosine", NULL};
        tr_config         c;
        tr_metrics        m;
        tr_trainer       *t = NULL;
        ok(dt_config(&c, "steady", set));
        ok(tr_trainer_create(&t, &c, rt_comm_self()));
        ok(tr_trainer_step(t, 0, &m));
        const long before = atomic_load(&g_allocations);
        for (int64_t s = 1; s < 4; s++) {
            tr_pass_teach(&t->train);
            ag_step(t->train.p, 0);
            opt_step(t->opt, &c.adamw, 1e-3, opt_grad_norm(t->opt), s + 1);
        }
        assert_int_equal(atomic_load(&g_allocations) - before, 0);
        assert_true(before > 0);
        tr_trainer_destroy(&t);
        tr_config_free(&c);
    }
}

/* ---- gradients that are not finite ------------------------------------------------------------------ */

static void weights_of(const tr_trainer *t, real *to, int64_t n)
{
    const md_tensor *w = &t->model->t[1];
    assert_true(w->type == KN_REAL && n == w->rows * w->cols);
    memcpy(to, w->data, (size_t)n * sizeof(real));
}

/* A poisoned weight: the step is skipped and counted; too many in a row name the operator; a mended weight goes on. */
static void steps_without_finite_gradients_are_skipped(void **state)
{
    const char *const set[] = {"optim.max_skips=2", NULL};
    tr_config         c;
    tr_metrics        m;
    tr_trainer       *t = NULL;
    real              before[32], after[32];
    (void)state;
    rt_quiet(1);
    ok(dt_config(&c, "skips", set));
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    ok(tr_trainer_step(t, 0, &m));
    assert_int_equal(m.skipped, 0);
    md_tensor *w = find_tensor(t->model, "model.layers.1.mlp.up_proj.weight");
    real      *x = w->data, mended = x[5];
    x[5] = (real)NAN;
    weights_of(t, before, 32);
    for (int64_t s = 1; s < 3; s++) {
        ok(tr_trainer_step(t, s, &m));
        assert_int_equal(m.skipped, s);
        assert_true(!isfinite(m.grad_norm));
    }
    weights_of(t, after, 32);
    assert_memory_equal(before, after, sizeof before);
    x[5] = mended;
    ok(tr_trainer_step(t, 3, &m));
    weights_of(t, after, 32);
    assert_true(m.skipped == 2 && isfinite(m.grad_norm) && memcmp(before, after, sizeof before));
    x[5] = (real)NAN;
    for (int64_t s = 4; s < 6; s++) ok(tr_trainer_step(t, s, &m));
    assert_int_equal(tr_trainer_step(t, 6, &m), RT_ECHECK);
    if (!strstr(rt_error_text(), "'linear' (model.layers.1.mlp.up_proj.weight), forward")) fail_msg("%s", rt_error_text());
    tr_trainer_destroy(&t);
    tr_config_free(&c);
}

static void fill(md_tensor *w, double x)
{
    for (int64_t i = 0; i < w->rows * w->cols; i++) ((real *)w->data)[i] = (real)x;
}

/* Gradients that are finite, but whose squares are not: that is what is said. */
static void gradients_that_are_too_large_are_named(void **state)
{
    const char *const set[] = {"optim.max_skips=0", "objective.kind=ce", "model.tied=false", NULL};
    tr_config         c;
    tr_metrics        m;
    tr_trainer       *t = NULL;
    (void)state;
    ok(dt_config(&c, "large", set));
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    const md_tensor *w = md_head(t->model);
    for (int64_t i = 0; i < w->rows * w->cols; i++) ((real *)w->data)[i] *= (real)(sizeof(real) == 8 ? 1e170 : 1e25);
    assert_int_equal(tr_trainer_step(t, 0, &m), RT_ECHECK);
    assert_true(kn_not_finite(t->grads, KN_REAL, t->n_grads) < 0);
    if (!strstr(rt_error_text(), "step 1: the gradients are finite, but the sum of their squares is not")) fail_msg("%s", rt_error_text());
    tr_trainer_destroy(&t);
    tr_config_free(&c);
}

/* ---- a teacher without finite numbers ------------------------------------------------------------------ */

/* Weights that are finite, and yet too large: of its logits, or of its hidden states already. */
static void spoil(md_model *teacher, int hidden)
{
    const double most = sizeof(real) == 8 ? DBL_MAX : FLT_MAX;
    fill(find_tensor(teacher, "model.norm.weight"), hidden ? most : most / 8);
    for (int64_t i = 0; i < DT_V * 16; i++) ((real *)teacher->t[0].data)[i] *= 1000;
}

/* Whatever reads the teacher, the first step ends the run and names the teacher; no step is skipped on its account. */
static void a_teacher_without_numbers_is_named(void **state)
{
    static const char *const readers[][3] = {{"objective.kind=kl", "objective.hidden=none", "the logits after token "},
                                             {"objective.kind=jsd", "objective.temperature=2", "the logits after token "},
                                             {"objective.kind=sampled", "objective.hidden=none", "the logits after token "},
                                             {"objective.kind=tail-token", "objective.hidden=none", "the logits after token "},
                                             {"objective.kind=ce", "objective.hidden=mse", "the hidden states after token "},
                                             {"objective.kind=kl", "objective.hidden=cosine", "the hidden states after token "}};
    char                     teacher[96], valid[128], words[128];
    (void)state;
    snprintf(teacher, sizeof teacher, "teacher.model=%s/teacher", dt_dir);
    snprintf(valid, sizeof valid, "data.valid=[\"%s\"]", dt_shard);
    snprintf(words, sizeof words, "teacher.model %s/teacher: the ", dt_dir);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        const char *const set[] = {teacher, valid, readers[i][0], readers[i][1], "dtype=f32", NULL};
        tr_config         c;
        tr_metrics        m;
        tr_trainer       *t = NULL;
        ok(dt_config(&c, "spoilt", set));
        ok(tr_trainer_create(&t, &c, rt_comm_self()));
        ok(tr_trainer_step(t, 0, &m));
        ok(tr_trainer_validate(t, &m));
        spoil(t->teacher.model, strstr(readers[i][2], "hidden") != NULL);
        for (int valid_too = 0; valid_too < (i < 4 ? 2 : 1); valid_too++) {
            assert_int_equal(valid_too ? tr_trainer_validate(t, &m) : tr_trainer_step(t, 1, &m), RT_ECHECK);
            if (!strstr(rt_error_text(), words) || !strstr(rt_error_text(), readers[i][2]))
                fail_msg("%s: %s", readers[i][0], rt_error_text());
        }
        assert_int_equal(t->skipped, 0);
        tr_trainer_destroy(&t);
        tr_config_free(&c);
    }
}

/* ---- a run without an update ----------------------------------------------------------------------------- */

/* A student that no step changed is no result: no checkpoint is made of it at the end, and one that is there is none either. */
static void a_run_that_learned_nothing_fails(void **state)
{
    const char *const set[]  = {"steps=3", "optim.max_skips=5", "objective.kind=ce", NULL};
    const char *const init[] = {"steps=3", "optim.max_skips=5", "objective.kind=ce", "checkpoint.every=1", "", NULL};
    const char       *from[6];
    char              dir[96], key[112];
    tr_config         c;
    tr_trainer       *t = NULL;
    tr_found          found;
    (void)state;
    snprintf(dir, sizeof dir, "%s/over", dt_dir);
    ok(dt_config(&c, "start", set));
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    fill(find_tensor(t->model, "model.norm.weight"), sizeof(real) == 8 ? DBL_MAX : FLT_MAX);
    ok(md_save(t->model, dir, KN_REAL));
    snprintf(key, sizeof key, "%s/teacher", dt_dir);
    ok(ds_tokenizer_copy(key, dir));
    snprintf(key, sizeof key, "model.init=%s", dir);
    tr_trainer_destroy(&t);
    tr_config_free(&c);
    for (int i = 0; i < 6; i++) from[i] = init[i];
    from[4] = key;
    for (int again = 0; again < 2; again++) { /* the second time it goes on from the checkpoint after two steps */
        ok(dt_config(&c, "nothing", from));
        const rt_status st = tr_run(&c, rt_comm_self(), &(tr_run_opts){.resume = again});
        if (st != RT_ECHECK || !strstr(rt_error_text(), "was not finite in any of 3 steps")) fail_msg("%s", rt_error_text());
        ok(tr_checkpoint_find(c.out, &found));
        assert_int_equal(found.step, 2);
        tr_found_free(&found);
        tr_config_free(&c);
    }
}

/* Skipped steps do not count in the moments' correction, and a checkpoint knows how many there were. */
static void skips_survive_a_checkpoint(void **state)
{
    tr_config   c;
    tr_metrics  m;
    tr_trainer *t = NULL;
    tr_found    found;
    (void)state;
    ok(dt_config(&c, "kept", NULL));
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    real *x = t->model->t[2].data, mended = x[0];
    x[0] = INFINITY;
    ok(tr_trainer_step(t, 0, &m));
    x[0] = mended;
    ok(tr_checkpoint_write(t, 1));
    tr_trainer_destroy(&t);
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    ok(tr_checkpoint_find(c.out, &found));
    ok(tr_checkpoint_read(t, found.dir.p));
    ok(tr_trainer_step(t, 1, &m));
    assert_int_equal(m.skipped, 1);
    tr_found_free(&found);
    tr_trainer_destroy(&t);
    tr_config_free(&c);
}

/* The moments' correction counts updates, not steps: after a skipped step the next is AdamW's first. */
static void a_skipped_step_is_no_update(void **state)
{
    tr_config   c;
    tr_metrics  m;
    tr_trainer *t = NULL, *u = NULL;
    real        a[32], b[32];
    (void)state;
    ok(dt_config(&c, "first", NULL));
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    ok(tr_trainer_create(&u, &c, rt_comm_self()));
    real *x = t->model->t[2].data, mended = x[0];
    x[0] = INFINITY;
    ok(tr_trainer_step(t, 0, &m));
    x[0] = mended;
    ok(tr_trainer_step(t, 1, &m));
    ok(tr_trainer_gradients(u, 1, &m));
    opt_step(u->opt, &c.adamw, opt_rate(&c.schedule, 1), m.grad_norm, 1);
    weights_of(t, a, 32), weights_of(u, b, 32);
    assert_memory_equal(a, b, sizeof a);
    tr_trainer_destroy(&t), tr_trainer_destroy(&u);
    tr_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steady_steps_allocate_nothing),
                                       cmocka_unit_test(steps_without_finite_gradients_are_skipped),
                                       cmocka_unit_test(skips_survive_a_checkpoint),
                                       cmocka_unit_test(a_skipped_step_is_no_update),
                                       cmocka_unit_test(gradients_that_are_too_large_are_named),
                                       cmocka_unit_test(a_teacher_without_numbers_is_named),
                                       cmocka_unit_test(a_run_that_learned_nothing_fails)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    if (!dt_open()) return 1;
    return cmocka_run_group_tests(tests, NULL, dt_close);
}
