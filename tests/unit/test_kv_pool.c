/* test_kv_pool.c -- sequences in the slots of one KV pool do not see each other; slots are acquired and released. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "infer/infer.h"
#include "infer/kv_pool.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 61, C = 32, MAX = 16, R = 4, SLOTS = 3, A = 9, B = 7, CALLS = (A + B) / R, SEQUENCES = 2 };

/* The rows of CALLS forwards: two sequences of A and B tokens, mixed.  Some calls hold several rows of one sequence, one of them
 * in descending order. */
static const struct row {
    int     sequence;
    int32_t pos;
} rows[CALLS][R] = {
    {{0, 0}, {1, 0}, {0, 1}, {0, 2}}, {{0, 5}, {0, 4}, {1, 1}, {0, 3}}, {{1, 3}, {1, 4}, {0, 6}, {1, 2}}, {{0, 7}, {1, 6}, {1, 5}, {0, 8}}};

static const md_config shape = {.family     = MD_LLAMA,
                                .V          = V,
                                .C          = C,
                                .L          = 2,
                                .H          = 4,
                                .KV         = 2,
                                .D          = 16,
                                .F          = 48,
                                .context    = MAX,
                                .rope.theta = 10000,
                                .norm_eps   = 1e-5,
                                .tied       = 1,
                                .bos        = 1};

typedef struct decoder { /* a plan of R rows over a pool */
    const md_model *m;
    inf_kv_pool    *pool;
    md_graph        g;
    ag_plan        *plan;
    real           *rope;
    int32_t         ids[R], pos[R], slot[R];
} decoder;

static md_model *model(kn_type type)
{
    md_model *m = NULL;
    ok(md_create(&m, &shape, type));
    md_init(m, 7);
    return m;
}

static void open_decoder(decoder *d, const md_model *m)
{
    *d = (decoder){.m = m};
    ok(inf_kv_pool_create(&d->pool, m, SLOTS, MAX));
    ok(md_rope_tables(&d->rope, &m->config));
    ok(inf_kv_pool_plan(d->pool, R, &d->g, &d->plan));
    md_bind(d->plan, &d->g, &(md_leaves){.m = m, .ids = d->ids, .pos = d->pos, .slot = d->slot, .rope = d->rope});
}

static void close_decoder(decoder *d)
{
    ag_plan_destroy(&d->plan);
    md_graph_destroy(&d->g);
    inf_kv_pool_destroy(&d->pool);
    free(d->rope);
}

static void logits_of_row(decoder *d, int r, real *z)
{
    const md_tensor *w = md_head(d->m);
    void            *hidden;
    real             x[C];
    ag_plan_value(d->plan, d->g.value, &hidden);
    kn_matvec(z, w->data, w->type, kn_load(hidden, md_activations(d->m), r * C, C, x), V, C);
}

/* Decodes both sequences and sets z[s][p] to the logits after token p of sequence s.  ids[s] NULL: this sequence is absent, its
 * rows hold token 0 in a slot that no other has. */
static void decode(decoder *d, const int32_t *const ids[SEQUENCES], const int32_t slot[SEQUENCES], real z[SEQUENCES][MAX][V])
{
    for (int call = 0; call < CALLS; call++) {
        for (int r = 0; r < R; r++) {
            const struct row *w = &rows[call][r];
            d->ids[r]           = ids[w->sequence] ? ids[w->sequence][w->pos] : 0;
            d->pos[r]           = w->pos;
            d->slot[r]          = slot[w->sequence];
        }
        ag_forward(d->plan);
        for (int r = 0; r < R; r++) logits_of_row(d, r, z[rows[call][r].sequence][rows[call][r].pos]);
    }
}

static double worst(const real *a, const real *b, int64_t n)
{
    double w = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= w)) w = d;
    }
    return w;
}

static real g_both[SEQUENCES][MAX][V], g_alone[SEQUENCES][MAX][V];

/* A session that holds this sequence only is another plan, so its sums may be rounded otherwise. */
static void session_agrees(const md_model *m, const int32_t *ids, int n, real z[MAX][V], double tol)
{
    inf_session *s = NULL;
    const real  *last;
    ok(inf_session_create(&s, m, MAX));
    for (int i = 0; i < n; i++) {
        ok(inf_feed(s, ids + i, 1, &last));
        assert_true(worst(last, z[i], V) <= tol);
    }
    inf_session_destroy(&s);
}

static void mixed_is_alone(kn_type type, double tol)
{
    md_model            *m        = model(type);
    const int32_t        first[A] = {3, 14, 15, 9, 26, 53, 58, 9, 7}, second[B] = {3, 27, 18, 28, 18, 28, 45};
    const int32_t *const both[] = {first, second}, *const alone[][SEQUENCES] = {{first, NULL}, {NULL, second}};
    const int32_t length[] = {A, B}, slots[] = {2, 0}; /* not in the order of the sequences */
    decoder       d;
    open_decoder(&d, m);
    decode(&d, both, slots, g_both);
    for (int s = 0; s < SEQUENCES; s++) {
        int32_t at[] = {1, 1}; /* the absent sequence's */
        at[s]        = slots[s];
        decode(&d, alone[s], at, g_alone);
        assert_memory_equal(g_both[s], g_alone[s], (size_t)(length[s] * V) * sizeof(real));
        session_agrees(m, both[s], length[s], g_both[s], tol);
    }
    assert_true(worst(g_both[0][5], g_both[1][5], V) > 0.01); /* the sequences differ */
    close_decoder(&d);
    md_destroy(&m);
}

static void sequences_do_not_see_each_other(void **state)
{
    (void)state;
    mixed_is_alone(KN_REAL, 1e-4);
    mixed_is_alone(KN_BF16, 0.1);
}

static void slots_are_acquired_and_released(void **state)
{
    md_model    *m = model(KN_REAL);
    inf_kv_pool *p = NULL;
    int32_t      slot[SLOTS], other = -1;
    (void)state;
    ok(inf_kv_pool_create(&p, m, SLOTS, MAX));
    for (int i = 0; i < SLOTS; i++) {
        ok(inf_kv_pool_acquire(p, &slot[i]));
        for (int j = 0; j < i; j++) assert_int_not_equal(slot[i], slot[j]);
        assert_in_range(slot[i], 0, SLOTS - 1);
    }
    assert_int_equal(inf_kv_pool_acquire(p, &other), RT_ENOMEM);
    assert_non_null(strstr(rt_error_text(), "all 3 slots of the KV pool are in use, each for up to 16 tokens"));
    assert_int_equal(other, -1);
    inf_kv_pool_release(p, slot[1]);
    ok(inf_kv_pool_acquire(p, &other));
    assert_int_equal(other, slot[1]);
    inf_kv_pool_destroy(&p);
    md_destroy(&m);
}

/* The size is known before any of it is taken. */
static void a_pool_too_large_is_refused(void **state)
{
    md_model    *m = model(KN_REAL);
    inf_kv_pool *p = NULL;
    (void)state;
    assert_int_equal(inf_kv_pool_create(&p, m, 1, MAX + 1), RT_EINVAL);
    assert_int_equal(inf_kv_pool_create(&p, m, 0, MAX), RT_EINVAL);
    assert_int_equal(inf_kv_pool_create(&p, m, INT32_MAX, MAX), RT_ENOMEM);
    assert_non_null(strstr(rt_error_text(), "the KV cache: needs"));
    assert_null(p);
    md_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sequences_do_not_see_each_other), cmocka_unit_test(slots_are_acquired_and_released),
                                       cmocka_unit_test(a_pool_too_large_is_refused)};
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
