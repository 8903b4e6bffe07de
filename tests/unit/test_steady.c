/* test_steady.c -- the steady step: replay and optimiser allocate nothing; a step whose gradients are not finite changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/progress.h"
#include "tests/support/check.h"
#include "tests/support/distil.h"
#include "train/trainer.h"
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
    md_tensor *w = md_find(t->model, "model.layers.1.mlp.up_proj.weight");
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

/* Skipped steps do not count in the moments' correction, and a checkpoint knows how many there were. */
static void skips_survive_a_checkpoint(void **state)
{
    tr_config   c;
    tr_metrics  m;
    tr_trainer *t = NULL;
    tr_found    found;
    int64_t     bytes;
    (void)state;
    ok(dt_config(&c, "kept", NULL));
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    real *x = t->model->t[2].data, mended = x[0];
    x[0] = INFINITY;
    ok(tr_trainer_step(t, 0, &m));
    x[0] = mended;
    ok(tr_checkpoint_write(t, 1, 0));
    tr_trainer_destroy(&t);
    ok(tr_trainer_create(&t, &c, rt_comm_self()));
    ok(tr_checkpoint_find(c.out, &found));
    ok(tr_checkpoint_read(t, found.dir.p, &bytes));
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
                                       cmocka_unit_test(skips_survive_a_checkpoint), cmocka_unit_test(a_skipped_step_is_no_update)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    if (!dt_open()) return 1;
    return cmocka_run_group_tests(tests, NULL, dt_close);
}
