/* test_optim.c -- schedules by their first, middle and last values; AdamW against a plain loop in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "optim/optim.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static void close_to(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(fabs(want), 1e-3))) fail_msg("%s is %.12g, not %.12g", what, got, want);
}

/* ---- schedules -------------------------------------------------------------------------------------------- */

static double rate(opt_schedule_kind kind, int64_t steps, int64_t warmup, int64_t decay, int64_t s)
{
    const opt_schedule o = {kind, steps, warmup, decay, 2e-3, 0.1};
    return opt_rate(&o, s);
}

static void warmup_is_linear(void **state)
{
    (void)state;
    for (int kind = OPT_COSINE; kind <= OPT_CONSTANT; kind++) {
        const opt_schedule_kind k = (opt_schedule_kind)kind;
        close_to("first", rate(k, 100, 10, 20, 0), 2e-4, 1e-12);
        close_to("middle", rate(k, 100, 10, 20, 4), 1e-3, 1e-12);
        close_to("last of the warm-up", rate(k, 100, 10, 20, 9), 2e-3, 1e-12);
        close_to("after it", rate(k, 100, 10, 20, 10), 2e-3, 1e-12);
        close_to("without", rate(k, 100, 0, 20, 0), 2e-3, 1e-12);
    }
}

static void cosine_falls_to_the_minimum(void **state)
{
    (void)state;
    close_to("half-way", rate(OPT_COSINE, 110, 10, 0, 60), 2e-3 * 0.55, 1e-12);
    close_to("a quarter", rate(OPT_COSINE, 110, 10, 0, 35), 2e-3 * (0.1 + 0.9 * (1 + sqrt(0.5)) / 2), 1e-12);
    close_to("last", rate(OPT_COSINE, 110, 10, 0, 109), 2e-3 * (0.1 + 0.9 * (1 + cos(3.14159265358979323846 * 0.99)) / 2), 1e-12);
    close_to("end", rate(OPT_COSINE, 110, 10, 0, 110), 2e-4, 1e-12);
    assert_true(isfinite(rate(OPT_COSINE, 10, 10, 0, 10)));
    for (int64_t s = 10; s < 110; s++) assert_true(rate(OPT_COSINE, 110, 10, 0, s + 1) < rate(OPT_COSINE, 110, 10, 0, s));
}

static void wsd_stays_then_falls_linearly(void **state)
{
    const double step = 2e-3 * 0.9 / 21;
    (void)state;
    close_to("stable", rate(OPT_WSD, 100, 10, 20, 79), 2e-3, 1e-12);
    for (int64_t s = 80; s < 100; s++) close_to("decay", rate(OPT_WSD, 100, 10, 20, s), 2e-3 - step * (double)(s - 79), 1e-12);
    close_to("one step beyond", rate(OPT_WSD, 100, 10, 20, 100), 2e-4, 1e-12);
    close_to("no decay", rate(OPT_WSD, 100, 10, 0, 99), 2e-3, 1e-12);
    close_to("constant", rate(OPT_CONSTANT, 100, 10, 20, 99), 2e-3, 1e-12);
}

/* ---- AdamW: a matrix longer than a block, and a vector that does not decay -------------------------------------- */

enum { N0 = (1 << 14) + 37, N1 = 19, STEPS = 6 };

typedef struct plain {
    double w[N0], m[N0], v[N0];
} plain;

static real            g_weight[2][N0], g_grad[2][N0];
static kn_bf16         g_half[2][N0];
static plain           g_plain[2];
static const int64_t   g_n[2] = {N0, N1};
static const opt_adamw how    = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1};

/* Begin with weights that bf16 holds exactly, so that both kinds of master begin alike. */
static opt_state *begin(kn_type type)
{
    opt_param  p[2];
    opt_state *s = NULL;
    rt_rng     r = {3};
    for (int i = 0; i < 2; i++) {
        for (int64_t j = 0; j < g_n[i]; j++) {
            g_weight[i][j]  = (real)((double)rt_rng_below(&r, 255) - 127) / 64;
            g_plain[i].w[j] = (double)g_weight[i][j];
            g_plain[i].m[j] = g_plain[i].v[j] = 0;
        }
        kn_get()->to_bf16(g_half[i], g_weight[i], g_n[i]);
        p[i] = (opt_param){type == KN_REAL ? (void *)g_weight[i] : (void *)g_half[i], type, g_grad[i], g_n[i], !i};
    }
    assert_int_equal(opt_bytes(type, N0 + N1), (N0 + N1) * (int64_t)sizeof(real) * (type == KN_REAL ? 2 : 3));
    if (opt_create(&s, p, 2, 0, opt_blocks(p, 2)) != RT_OK) fail_msg("%s", rt_error_text());
    return s;
}

/* Gradients of step t: large ones, which are clipped, then ones far below the clip. */
static double draw_gradients(int t)
{
    rt_rng r   = {(uint64_t)t};
    double sum = 0;
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < g_n[i]; j++) {
            g_grad[i][j] = (real)((t <= 3 ? 0.5 : 1e-3) * rt_rng_normal(&r));
            sum += (double)g_grad[i][j] * (double)g_grad[i][j];
        }
    return sqrt(sum);
}

static void plain_step(plain *x, const real *grad, int64_t n, int decay, double lr, double scale, int t)
{
    for (int64_t j = 0; j < n; j++) {
        const double g = scale * (double)grad[j];
        x->m[j]        = how.beta1 * x->m[j] + (1 - how.beta1) * g;
        x->v[j]        = how.beta2 * x->v[j] + (1 - how.beta2) * g * g;
        const double m = x->m[j] / (1 - pow(how.beta1, t)), v = x->v[j] / (1 - pow(how.beta2, t));
        x->w[j] -= lr * (m / (sqrt(v) + how.eps) + (decay ? how.weight_decay * x->w[j] : 0));
    }
}

static void check_masters(opt_state *s, double tolerance)
{
    for (int i = 0; i < 2; i++) {
        const opt_view v = opt_at(s, i);
        assert_int_equal(v.n, g_n[i]);
        for (int64_t j = 0; j < v.n; j++) {
            close_to("first moment", (double)v.m[j], g_plain[i].m[j], 10 * tolerance);
            close_to("second moment", (double)v.v[j], g_plain[i].v[j], 10 * tolerance);
            if (!(fabs((double)v.master[j] - g_plain[i].w[j]) <= tolerance))
                fail_msg("parameter %d [%lld] is %.9g, not %.9g", i, (long long)j, (double)v.master[j], g_plain[i].w[j]);
        }
    }
}

static void check_halves(opt_state *s)
{
    kn_bf16 want;
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < g_n[i]; j++) {
            kn_at(0)->to_bf16(&want, opt_at(s, i).master + j, 1);
            assert_int_equal(g_half[i][j], want);
        }
}

static void steps_agree_with_a_plain_loop(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        opt_state *s = begin(bf16 ? KN_BF16 : KN_REAL);
        for (int t = 1; t <= STEPS; t++) {
            const double want = draw_gradients(t), norm = opt_grad_norm(s), lr = 1e-2 / t;
            close_to("norm", norm, want, sizeof(real) == 8 ? 1e-13 : 1e-6);
            assert_true(t <= 3 ? norm > 10 : norm < 1);
            opt_step(s, &how, lr, norm, t);
            for (int i = 0; i < 2; i++) plain_step(&g_plain[i], g_grad[i], g_n[i], !i, lr, t <= 3 ? 1 / (want + 1e-6) : 1, t);
            check_masters(s, sizeof(real) == 8 ? 1e-13 : 4e-6);
            if (bf16) check_halves(s);
        }
        if (!bf16) assert_ptr_equal(opt_at(s, 0).master, g_weight[0]);
        opt_destroy(&s);
        assert_null(s);
        opt_destroy(&s);
    }
}

static void no_gradient_means_decay_alone(void **state)
{
    opt_state *s = begin(KN_REAL);
    (void)state;
    memset(g_grad, 0, sizeof g_grad);
    assert_true(opt_grad_norm(s) == 0);
    opt_step(s, &how, 0.01, 0, 1);
    for (int64_t j = 0; j < N0; j++) g_plain[0].w[j] *= 1 - 0.01 * how.weight_decay;
    check_masters(s, sizeof(real) == 8 ? 1e-15 : 3e-7);
    opt_destroy(&s);
}

static void clip_0_is_off(void **state)
{
    opt_adamw  o = how;
    opt_state *s = begin(KN_REAL);
    (void)state;
    o.clip = 0;
    opt_step(s, &o, 0.01, draw_gradients(1), 1);
    close_to("the moment", (double)opt_at(s, 0).m[5], 0.1 * (double)g_grad[0][5], 1e-6);
    opt_destroy(&s);
}

static void masters_from_outside_reach_the_weights(void **state)
{
    opt_state *s = begin(KN_BF16);
    (void)state;
    for (int i = 0; i < 2; i++)
        for (int64_t j = 0; j < g_n[i]; j++) opt_at(s, i).master[j] = (real)(1.0 / (double)(j + 3));
    opt_sync_weights(s);
    check_halves(s);
    opt_destroy(&s);
}

static void threads_do_not_change_norms_and_steps(void **state)
{
    static real first[N0];
    double      norm[2];
    (void)state;
    for (int t = 0; t < 2; t++) {
        rt_threads_set(t + 1);
        assert_int_equal(kn_init(), RT_OK);
        opt_state *s = begin(KN_REAL);
        draw_gradients(1);
        norm[t] = opt_grad_norm(s);
        opt_step(s, &how, 0.01, norm[t], 1);
        if (t) assert_memory_equal(first, g_weight[0], sizeof first);
        memcpy(first, g_weight[0], sizeof first);
        opt_destroy(&s);
    }
    assert_true(norm[0] == norm[1]);
}

/* Any cut of the blocks into ranges, each with a state of its own, steps to the same bits. */
static void ranges_step_as_the_whole(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (int parts = 1; parts <= 4; parts++) {
            static real  whole[2][N0];
            opt_state   *s    = begin(bf16 ? KN_BF16 : KN_REAL), *part[4];
            const double norm = draw_gradients(1);
            opt_step(s, &how, 0.01, norm, 1), opt_step(s, &how, 0.01, norm, 2);
            for (int i = 0; i < 2; i++) memcpy(whole[i], opt_at(s, i).master, (size_t)g_n[i] * sizeof(real));
            opt_destroy(&s);
            opt_destroy(&(opt_state *){begin(bf16 ? KN_BF16 : KN_REAL)}); /* the weights as they began */
            opt_param p[2];
            for (int i = 0; i < 2; i++)
                p[i] = (opt_param){bf16 ? (void *)g_half[i] : (void *)g_weight[i], bf16 ? KN_BF16 : KN_REAL, g_grad[i], g_n[i], !i};
            const int64_t blocks = opt_blocks(p, 2);
            int64_t       seen   = 0;
            for (int k = 0; k < parts; k++)
                assert_int_equal(opt_create(&part[k], p, 2, blocks * k / parts, blocks * (k + 1) / parts), RT_OK);
            for (int k = 0; k < parts; k++) {
                assert_true(opt_grad_norm(part[k]) == opt_grad_norm(part[0]));
                opt_step(part[k], &how, 0.01, norm, 1), opt_step(part[k], &how, 0.01, norm, 2);
            }
            for (int k = 0; k < parts; k++)
                for (int i = 0; i < 2; i++) {
                    const opt_view v = opt_at(part[k], i);
                    if (v.n) assert_memory_equal(v.master, whole[i] + v.at, (size_t)v.n * sizeof(real));
                    seen += v.n;
                }
            assert_int_equal(seen, N0 + N1);
            for (int k = 0; k < parts; k++) opt_destroy(&part[k]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_is_linear),
        cmocka_unit_test(cosine_falls_to_the_minimum),
        cmocka_unit_test(wsd_stays_then_falls_linearly),
        cmocka_unit_test(steps_agree_with_a_plain_loop),
        cmocka_unit_test(no_gradient_means_decay_alone),
        cmocka_unit_test(clip_0_is_off),
        cmocka_unit_test(masters_from_outside_reach_the_weights),
        cmocka_unit_test(threads_do_not_change_norms_and_steps),
        cmocka_unit_test(ranges_step_as_the_whole),
    };
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
