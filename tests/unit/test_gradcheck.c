/* test_gradcheck.c -- finite differences for every operator; the cases come from the operator
 * list itself: adding an op to AG_OPS without a case_<op>() here does not compile.
 *
 * Operands live in the arena (a parameter plus a constant) and dead memory is poisoned with
 * NaN, so that a wrong `keeps` is seen.  Failures are counted as integers: a NaN cannot hide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "autograd/graph.h"
#include "core/rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LEAVES = 64, MAX_OPERANDS = 8, SAMPLED = 256, N = 6, V = 11, K = 3, M = 2, CT = 4 };

typedef struct net {
    ag_graph  *g;
    ag_id      loss;
    ag_targets t;
    ag_id      operand[MAX_OPERANDS]; /* the results of A() */
    int        operands;
} net;

static ag_id P(net *t, const char *n, int64_t r, int64_t c) { return ag_param(t->g, n, KN_REAL, 2, (int64_t[]){r, c}); }
static ag_id I(net *t, const char *n, int64_t r, int64_t c) { return ag_input(t->g, n, KN_REAL, 2, (int64_t[]){r, c}); }
static ag_id A(net *t, const char *n, int64_t r, int64_t c)
{
    assert_true(t->operands < MAX_OPERANDS);
    return t->operand[t->operands++] = ag_add(t->g, P(t, n, r, c), I(t, "c", r, c));
}
static ag_id ints(net *t, const char *n, int64_t c) { return ag_input(t->g, n, KN_I32, 1, (int64_t[]){c}); }
/* Reduce y to a scalar with random weights, so that every output matters. */
static void reduce(net *t, ag_id y, int64_t r, int64_t c) { t->loss = ag_sum(t->g, ag_mul(t->g, y, I(t, "r", r, c))); }

static void case_add(net *t) { reduce(t, ag_add(t->g, A(t, "a", 3, 5), A(t, "b", 3, 5)), 3, 5); }
static void case_mul(net *t)
{
    ag_id a = A(t, "a", 3, 5); /* a twice */
    reduce(t, ag_mul(t->g, ag_mul(t->g, a, a), A(t, "b", 3, 5)), 3, 5);
}
static void case_sum(net *t) { t->loss = ag_sum(t->g, A(t, "a", 4, 4)); }
static void case_embed(net *t) { reduce(t, ag_embed(t->g, ints(t, "ids", 7), A(t, "w", 5, 40)), 7, 40); }
static void case_linear(net *t)
{
    ag_id x = A(t, "x", 5, 19); /* a view shares its root's gradient */
    reduce(t, ag_linear(t->g, ag_view(t->g, ag_view(t->g, x, 1, (int64_t[]){95}), 2, (int64_t[]){5, 19}), A(t, "w", 3, 19)), 5, 3);
}
static void case_linear_add(net *t)
{
    ag_id x = A(t, "x", 5, 3); /* a residual: its gradient is handed through and added to */
    reduce(t, ag_linear_add(t->g, ag_mul(t->g, x, A(t, "y", 5, 3)), A(t, "w", 3, 3), x), 5, 3);
}
static void case_rmsnorm(net *t)
{
    ag_id w = ag_add(t->g, ag_param(t->g, "w", KN_REAL, 1, (int64_t[]){7}), ag_input(t->g, "c", KN_REAL, 1, (int64_t[]){7}));
    reduce(t, ag_rmsnorm(t->g, ag_rmsnorm(t->g, A(t, "x", 3, 7), w, 1e-5, 0), w, 1e-5, 1), 3, 7);
}
static void case_scale(net *t) { reduce(t, ag_scale(t->g, A(t, "x", 35, 33), -1.7), 35, 33); }
static void case_bias(net *t)
{
    ag_id b = ag_add(t->g, ag_param(t->g, "b", KN_REAL, 1, (int64_t[]){3}), ag_input(t->g, "c", KN_REAL, 1, (int64_t[]){3}));
    ag_id x = A(t, "x", 70, 3), y = ag_bias(t->g, x, b); /* more than a block of rows; x is read again, so that its gradient is added to */
    reduce(t, ag_mul(t->g, y, ag_linear_add(t->g, x, A(t, "w", 3, 3), y)), 70, 3);
}
static void case_swiglu(net *t) /* more than AG_BLOCK elements */
{
    reduce(t, ag_swiglu(t->g, A(t, "g", 35, 33), A(t, "u", 35, 33)), 35, 33);
}
static void case_geglu(net *t) { reduce(t, ag_geglu(t->g, A(t, "g", 35, 33), A(t, "u", 35, 33)), 35, 33); }
static void case_rope(net *t)
{
    const ag_id whole = ag_input(t->g, "table", KN_REAL, 3, (int64_t[]){2, 8, 2}),
                part  = ag_input(t->g, "table", KN_REAL, 3, (int64_t[]){2, 8, 1});
    const ag_id ids   = ints(t, "ids", 6);
    reduce(t, ag_rope(t->g, ag_rope(t->g, A(t, "x", 6, 12), ids, whole, 4), ids, part, 4), 6, 12);
}
static void attend(net *t, int64_t window, double scale, double cap)
{
    const ag_heads h = {2, 70, 4, 2, 2, window, scale, cap};
    reduce(t, ag_attention(t->g, A(t, "q", 140, 8), A(t, "k", 140, 4), A(t, "v", 140, 4), ints(t, "start", 140), &h), 140, 8);
}
static void               case_attention(net *t) { attend(t, 0, 0, 0); }
static void               attend_in_a_window(net *t) { attend(t, 9, 0, 0); }
static void               attend_capped(net *t) { attend(t, 0, 1.1, 0.8); }
static void               case_attention_cached(net *t) { case_sum(t); } /* forward only: checked in test_model.c and test_kv_pool.c */
static const ag_head_opts everything = {.teacher = CT, .work = 1};
static void case_head(net *t) { t->loss = ag_head(t->g, A(t, "x", N, 5), A(t, "w", V, 5), ag_opaque(t->g, "targets"), &everything); }
static void case_match_hidden(net *t) { t->loss = ag_match_hidden(t->g, A(t, "x", N, 5), A(t, "p", CT, 5), ag_opaque(t->g, "targets")); }
/* Both losses of one x; the head's counts twice.  ag_step computes the sums after backward. */
static void add_losses(net *t)
{
    const ag_id targets = ag_opaque(t->g, "targets"), x = A(t, "x", N, 5);
    const ag_id matched = ag_match_hidden(t->g, x, A(t, "p", CT, 5), targets);
    const ag_id head    = ag_head(t->g, x, A(t, "w", V, 5), targets, &everything);
    t->loss             = ag_add(t->g, ag_add(t->g, head, matched), head);
}
/* The backward of mul reads the losses, so ag_step computes them before backward. */
static void multiply_losses(net *t)
{
    add_losses(t);
    t->loss = ag_mul(t->g, t->loss, t->loss);
}

#define X(n) {#n, case_##n},
static const struct {
    const char *name;
    void (*build)(net *);
} cases[] = {AG_OPS(X)};
#undef X

/* ---- targets for the head -------------------------------------------------------------------- */

static int32_t g_target[N] = {1, 4, 10, 0, 7, 3}, g_topk[N * K], g_tail[N * M];
static uint8_t g_count[N]  = {1, 1, 0, 1, 1, 1};
static float   g_logp[N * K], g_entropy[N], g_weight[N] = {1, 0.5f, 1, 2, 1, 0.25f};
static real    g_hidden[N * CT], g_head[V * CT];

static void fill_arrays(void)
{
    rt_rng r = {11};
    for (int n = 0; n < N; n++) {
        for (int i = 0; i < K; i++) {
            g_topk[n * K + i] = (n + 3 * i) % V;
            g_logp[n * K + i] = (float)log(0.45 / (1 + i) - 0.01 * n);
        }
        for (int j = 0; j < M; j++) g_tail[n * M + j] = (n + 1 + 3 * j) % V;
        g_entropy[n] = 0.3f;
    }
    for (int i = 0; i < N * CT; i++) g_hidden[i] = (real)rt_rng_normal(&r);
    for (int i = 0; i < V * CT; i++) g_head[i] = (real)rt_rng_normal(&r);
}

/* The arrays are the same for all. */
static ag_targets targets_of(const ag_loss_settings *with, const float *weight)
{
    ag_targets t = {.settings = *with, .rows = {.scale = 0.2, .target = g_target, .loss_mask = g_count, .weight = weight}};
    t.settings.k = K, t.settings.m = M;
    t.settings.beta  = with->beta > 0 ? with->beta : 0.3;
    t.settings.alpha = 0.1;
    t.rows.topk_ids = g_topk, t.rows.topk_logprob = g_logp, t.rows.tail_ids = g_tail, t.rows.tail_entropy = g_entropy;
    t.rows.teacher = (ag_teacher){.hidden = g_hidden, .w = g_head, .hidden_type = KN_REAL, .w_type = KN_REAL, .C = CT};
    return t;
}

/* ---- the check -------------------------------------------------------------------------------- */

static real   *g_x[MAX_LEAVES], *g_g[MAX_LEAVES];
static int32_t g_ids[160];

static void bind_ints(ag_plan *p, const ag_value *v, ag_id id)
{
    const int64_t n = ag_len(&v->shape);
    for (int64_t i = 0; i < n; i++) g_ids[i] = strcmp(v->name, "start") ? (int32_t)(i % 5) : (int32_t)(i % 70 / 23 * 23);
    ag_plan_bind(p, id, g_ids, NULL);
}

static void bind_leaves(net *t, ag_plan *p, rt_rng *r)
{
    for (ag_id v = 0; v < t->g->nv; v++) {
        const ag_value *value = &t->g->v[v];
        const int64_t   n     = ag_len(&value->shape);
        if (value->role == AG_ACT || value->root != v) continue;
        if (value->type == KN_I32) bind_ints(p, value, v);
        else if (!strcmp(value->name, "targets")) ag_plan_bind(p, v, &t->t, NULL);
        else {
            g_x[v] = calloc((size_t)n, sizeof(real));
            g_g[v] = value->role == AG_PARAM ? calloc((size_t)n, sizeof(real)) : NULL;
            for (int64_t i = 0; i < n; i++) g_x[v][i] = (real)(2 * rt_rng_uniform(r) - 1);
            if (!strcmp(value->name, "table")) ag_rope_table(g_x[v], 8, 2 * value->shape.d[2], (const double[]){1, 0.1}, 1.2);
            ag_plan_bind(p, v, g_x[v], g_g[v]);
        }
    }
}

static int count_wrong(net *t, ag_plan *p)
{
    const double eps = sizeof(real) == 8 ? 1e-5 : 1e-2, tol = sizeof(real) == 8 ? 1e-7 : 2e-2;
    int          wrong = 0;
    const double step  = ag_step(p, 0); /* on poisoned memory, so that it cannot find a loss that was there */
    wrong += !(fabs(step - ag_forward(p)) <= tol * fabs(step));
    for (ag_id v = 0; v < t->g->nv; v++) {
        const int64_t n = ag_len(&t->g->v[v].shape), every = n > SAMPLED ? n / 61 : 1; /* some of the elements of a large operand */
        if (t->g->v[v].role != AG_PARAM || t->g->v[v].root != v) continue;
        for (int64_t i = 0; i < n; i += every) {
            const real x0     = g_x[v][i];
            g_x[v][i]         = x0 + (real)eps;
            const double up   = ag_forward(p);
            g_x[v][i]         = x0 - (real)eps;
            const double down = ag_forward(p), num = (up - down) / (2 * eps), ana = (double)g_g[v][i];
            g_x[v][i] = x0;
            wrong += !(fabs(num - ana) <= tol * fmax(1.0, fabs(num) + fabs(ana)));
        }
    }
    return wrong;
}

/* Reads each operand once more, so that the operator's backward must add to the gradients of its operands. */
static void read_again(net *t)
{
    for (int i = 0; i < t->operands; i++) t->loss = ag_add(t->g, t->loss, ag_sum(t->g, t->operand[i]));
}

static int check(void (*build)(net *), int again, const ag_loss_settings *with, const float *weight)
{
    net          t = {0};
    ag_plan     *p = NULL;
    rt_rng       r = {7};
    ag_plan_opts o = {.poison = 1};
    memset(g_x, 0, sizeof g_x), memset(g_g, 0, sizeof g_g);
    assert_int_equal(ag_graph_create(&t.g, KN_REAL), RT_OK);
    build(&t);
    if (again) read_again(&t);
    t.t = targets_of(with, weight);
    if (ag_plan_create(&p, t.g, t.loss, &o) != RT_OK) fail_msg("%s", rt_error_text());
    bind_leaves(&t, p, &r);
    const int wrong = count_wrong(&t, p);
    ag_plan_destroy(&p);
    ag_graph_destroy(&t.g);
    for (int v = 0; v < MAX_LEAVES; v++) free(g_x[v]), free(g_g[v]);
    return wrong;
}

/* Fails if a case does not use the operator whose name it has; attention_cached is forward only. */
static void check_name(size_t c)
{
    net t    = {0};
    int uses = !strcmp(cases[c].name, "attention_cached");
    assert_int_equal(ag_graph_create(&t.g, KN_REAL), RT_OK);
    cases[c].build(&t);
    for (int64_t i = 0; i < t.g->nn; i++) uses |= !strcmp(t.g->n[i].op->name, cases[c].name);
    ag_graph_destroy(&t.g);
    if (!uses) fail_msg("case_%s makes no node of %s", cases[c].name, cases[c].name);
}

static void every_op(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        check_name(c);
        for (int again = 0; again < 2; again++) {
            const int wrong = check(cases[c].build, again, &(ag_loss_settings){.match = AG_MATCH_MSE, .match_weight = 0.7}, NULL);
            if (wrong) fail_msg("%s%s: %d gradients are wrong", cases[c].name, again ? ", operands read again" : "", wrong);
        }
    }
}

static void attention_with_a_window_or_a_cap(void **state)
{
    const ag_loss_settings none = {0};
    (void)state;
    assert_int_equal(check(attend_in_a_window, 0, &none, NULL), 0);
    assert_int_equal(check(attend_capped, 1, &none, NULL), 0);
}

static void every_objective(void **state)
{
    static const ag_loss_settings settings[] = {
        {.ce_weight = 0},
        {.ce_weight = 0.5},
        {.temperature = 2},
        {.ce_weight = 0.3, .temperature = 1.5, .t2 = 1, .z_loss = 0.01},
        {.ce_weight = 0.3, .z_loss = 0.01, .bucket_share = 0.4},
    };
    (void)state;
    for (int o = AG_CE; o < AG_OBJECTIVES; o++)
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
            ag_loss_settings with = settings[i];
            with.objective        = (ag_objective)o;
            const int wrong       = check(case_head, 0, &with, with.bucket_share > 0 ? g_weight : NULL);
            if (wrong) fail_msg("objective %d, settings %zu: %d gradients are wrong", o, i, wrong);
        }
}

static void hidden_states_are_matched(void **state)
{
    (void)state;
    for (int m = AG_NO_MATCH; m <= AG_MATCH_COSINE; m++) {
        const ag_loss_settings with  = {.objective = AG_KL, .match = (ag_match)m, .match_weight = m ? 0.7 : 0};
        const int              wrong = check(add_losses, 0, &with, g_weight) + check(multiply_losses, 0, &with, g_weight);
        if (wrong) fail_msg("hidden-state term %d: %d gradients are wrong", m, wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op), cmocka_unit_test(attention_with_a_window_or_a_cap),
                                       cmocka_unit_test(every_objective), cmocka_unit_test(hidden_states_are_matched)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    fill_arrays();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
