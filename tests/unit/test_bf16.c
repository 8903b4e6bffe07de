/* test_bf16.c -- attention and the head with the gemm backend bf16 against the backend own, on shapes with odd ends: an odd number of
 * tokens, several tiles and blocks of keys, head sizes whose root is no power of two, more than one block of a row of logits.
 * Dead memory is poisoned with NaN, so what a product reads beyond its operands shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "autograd/autograd.h"
#include "core/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef RT_REAL_F64
enum { H = 4, KV = 2, MOST_T = 700, MOST_D = 33, V = 1101, PARAMS = 4 };

typedef struct shape {
    int64_t T, D;
} shape;

typedef struct tensor {
    kn_bf16 *x;
    real    *grad;
    int64_t  rows, cols;
} tensor;

static int32_t g_start[MOST_T], g_target[MOST_T];
static uint8_t g_mask[MOST_T];

static void tensor_make(tensor *t, int64_t rows, int64_t cols, rt_rng *r)
{
    *t           = (tensor){.rows = rows, .cols = cols};
    real *values = NULL;
    if (RT_NEW(t->x, rows * cols) != RT_OK || RT_NEW(t->grad, rows * cols) != RT_OK || RT_NEW(values, rows * cols) != RT_OK)
        fail_msg("%s", rt_error_text());
    for (int64_t i = 0; i < rows * cols; i++) values[i] = (real)rt_rng_normal(r);
    kn_get()->to_bf16(t->x, values, rows * cols);
    free(values);
}

/* q, k, v -> attention -> head; p: q, k, v and the head's weights.  Three documents, of which the second begins at an odd place. */
static double gradients(const shape *s, tensor p[PARAMS], const char *backend)
{
    static const char *const names[PARAMS] = {"q", "k", "v", "w"};
    const ag_plan_opts       opts          = {.poison = 1};
    ag_targets               t             = {.settings = {.objective = AG_CE}, .rows = {.scale = 1.0 / MOST_T}};
    ag_graph                *g             = NULL;
    ag_plan                 *plan          = NULL;
    ag_id                    id[PARAMS];
    t.rows.target = g_target, t.rows.loss_mask = g_mask;
    assert_int_equal(kn_gemm_use(backend, "own"), RT_OK);
    assert_int_equal(ag_graph_create(&g, KN_BF16), RT_OK);
    for (int i = 0; i < PARAMS; i++) id[i] = ag_param(g, names[i], KN_BF16, 2, (int64_t[]){p[i].rows, p[i].cols});
    const ag_id start = ag_input(g, "doc_start", KN_I32, 1, (int64_t[]){s->T}), targets = ag_opaque(g, "targets");
    const ag_id o = ag_attention(g, id[0], id[1], id[2], start, &(ag_heads){.B = 1, .T = s->T, .H = H, .KV = KV, .D = s->D});
    if (ag_plan_create(&plan, g, ag_head(g, o, id[3], targets, &(ag_head_opts){0}), &opts) != RT_OK) fail_msg("%s", rt_error_text());
    for (int i = 0; i < PARAMS; i++) ag_plan_bind(plan, id[i], p[i].x, p[i].grad);
    ag_plan_bind(plan, start, g_start, NULL), ag_plan_bind(plan, targets, &t, NULL);
    ag_step(plan, 0); /* the second step begins on poisoned memory */
    const double loss = ag_step(plan, 0);
    ag_plan_destroy(&plan), ag_graph_destroy(&g);
    return loss;
}

static double apart(const real *a, const real *b, int64_t n)
{
    double d = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) d += pow((double)a[i] - (double)b[i], 2), norm += pow((double)b[i], 2);
    return sqrt(d / norm);
}

static void check_shape(const shape *s)
{
    rt_rng r = {7};
    tensor p[PARAMS], own[PARAMS];
    tensor_make(&p[0], s->T, H * s->D, &r), tensor_make(&p[1], s->T, KV * s->D, &r), tensor_make(&p[2], s->T, KV * s->D, &r);
    tensor_make(&p[3], V, H * s->D, &r);
    for (int64_t i = 0; i < s->T; i++) {
        g_start[i]  = (int32_t)(i < 31 ? 0 : i < 45 ? 31 : 45);
        g_target[i] = (int32_t)(i * 17 % V), g_mask[i] = i % 5 != 1;
    }
    for (int i = 0; i < PARAMS; i++) {
        own[i] = p[i];
        if (RT_NEW(own[i].grad, p[i].rows * p[i].cols) != RT_OK) fail_msg("%s", rt_error_text());
    }
    const double want = gradients(s, own, "own"), loss = gradients(s, p, "bf16");
    if (!(fabs(loss - want) < 0.003 * want)) fail_msg("T %lld, D %lld: loss %g, not %g", (long long)s->T, (long long)s->D, loss, want);
    for (int i = 0; i < PARAMS; i++) {
        const double far = apart(p[i].grad, own[i].grad, p[i].rows * p[i].cols);
        if (!(far > 0 && far < 0.012))
            fail_msg("T %lld, D %lld: gradient of %c: %g apart", (long long)s->T, (long long)s->D, "qkvw"[i], far);
        free(p[i].x), free(p[i].grad), free(own[i].grad);
    }
}

static void bf16_products_give_the_gradients_of_own(void **state)
{
    static const shape shapes[] = {{161, 10}, {97, MOST_D}, {MOST_T - 1, 7}, {50, 16}, {3, 8}};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_shape(&shapes[i]);
}
#else
static void bf16_products_give_the_gradients_of_own(void **state) { (void)state; } /* this build has no kernel of bf16 */
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bf16_products_give_the_gradients_of_own)};
    return kn_init() == RT_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
