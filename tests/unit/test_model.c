/* test_model.c -- a model saved is the model loaded; decoding, scoring and quantised weights say
 * the same as the plain forward pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "infer/infer.h"
#include "model/arch.h"
#include "model/rope.h"
#include "model/score.h"
#include "quant/quant.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 61, T = 75 };

static md_config shape = {.family     = MD_LLAMA,
                          .V          = V,
                          .C          = 32,
                          .L          = 2,
                          .H          = 4,
                          .KV         = 2,
                          .D          = 16,
                          .F          = 48,
                          .context    = 96,
                          .rope.theta = 10000,
                          .norm_eps   = 1e-5,
                          .tied       = 0,
                          .bos        = 1,
                          .ends       = {{2, 5}, 2}};
static int32_t   g_ids[T];
static char      g_dir[] = "/tmp/retort-model-XXXXXX";

/* Settings that a family may have, so that its tests cover them. */
static void take_family(md_family f)
{
    const md_rope plain = {.theta = 10000};
    shape.family = f, shape.window = 0, shape.biases = 0, shape.rope = shape.rope_local = plain;
    shape.embedding_scale = shape.residual_scale = shape.logit_scale = shape.attention_scale = shape.attention_cap = shape.logit_cap = 0;
    memset(shape.layer, 0, sizeof shape.layer);
    if (f == MD_MISTRAL) shape.window = 11, shape.layer[0] = shape.layer[1] = MD_LAYER_WINDOW;
    if (f == MD_PHI3) {
        shape.rope = (md_rope){.kind = MD_ROPE_LONGROPE, .theta = 10000, .dims = 12, .factor = 3, .attention = 1.25, .original = 1};
        for (int i = 0; i < 6; i++) shape.rope.divisor[0][i] = 1 + i / 4.0, shape.rope.divisor[1][i] = 1.5 + i;
    }
    if (f == MD_QWEN3)
        shape.rope = (md_rope){
            .kind = MD_ROPE_YARN, .theta = 10000, .factor = 4, .low = 1, .high = 32, .attention = 1.25, .truncate = 1, .original = 24};
    if (f == MD_GEMMA2)
        shape.attention_scale = 0.5, shape.attention_cap = 2, shape.logit_cap = 3, shape.window = 11, shape.layer[0] = MD_LAYER_WINDOW;
    if (f == MD_GEMMA3) {
        shape.window = 11, shape.layer[1] = MD_LAYER_WINDOW, shape.rope_local.theta = 100;
        shape.rope = (md_rope){.kind = MD_ROPE_LINEAR, .theta = 10000, .factor = 8, .original = 96};
    }
    if (f == MD_SMOLLM3) shape.layer[1] = MD_LAYER_NO_ROPE;
    if (f == MD_OLMO2) shape.rope = (md_rope){.kind = MD_ROPE_LLAMA3, .theta = 10000, .factor = 8, .low = 1, .high = 4, .original = 24};
    if (f == MD_GRANITE) {
        shape.embedding_scale = 4, shape.residual_scale = 0.25, shape.logit_scale = 0.5, shape.attention_scale = 0.125;
        shape.biases = MD_QKV_BIAS | MD_O_BIAS | MD_MLP_BIAS;
    }
}

/* What begins at 0 would hide where it is not used. */
static void fill_biases(md_model *m)
{
    for (int i = 0; i < m->n; i++)
        for (int64_t j = 0; strstr(m->t[i].name, ".bias") && j < m->t[i].cols; j++) {
            const real x = (real)(j % 7 - 3) / 4;
            kn_put(m->t[i].data, m->t[i].type, j, &x, 1, 0);
        }
}

static md_model *model(kn_type type, int scale)
{
    md_model *m = NULL;
    ok(md_create(&m, &shape, type));
    md_init(m, 7);
    fill_biases(m);
    for (int i = 0; i < m->n; i++) /* sharper than at birth, so that differences show */
        for (int64_t j = 0; !m->t[i].is_vector && j < m->t[i].rows * m->t[i].cols; j++) {
            real x;
            x = (real)scale * *kn_load(m->t[i].data, type, j, 1, &x);
            kn_put(m->t[i].data, type, j, &x, 1, 0);
        }
    return m;
}

static void keep(void *ud, int64_t t, real *z, int thread)
{
    (void)thread;
    memcpy((real *)ud + t * V, z, V * sizeof(real));
}

static real *logits(const md_model *m, const int32_t *ids, int64_t n)
{
    md_scorer *s = NULL;
    real      *z = calloc((size_t)(n * V), sizeof(real));
    ok(md_scorer_create(&s, m, shape.context));
    ok(md_score(s, ids, n, keep, z));
    md_scorer_destroy(&s);
    return z;
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

static void same_settings(const md_config *a, const md_config *b)
{
    assert_memory_equal(&a->rope, &b->rope, sizeof a->rope);
    assert_memory_equal(&a->rope_local, &b->rope_local, sizeof a->rope_local);
    assert_memory_equal(a->layer, b->layer, sizeof a->layer);
    assert_true(a->window == b->window && a->biases == b->biases && a->attention_cap == b->attention_cap && a->logit_cap == b->logit_cap);
    const double x[] = {a->embedding_scale, a->residual_scale, a->logit_scale, a->attention_scale};
    const double y[] = {b->embedding_scale, b->residual_scale, b->logit_scale, b->attention_scale};
    for (int i = 0; i < 3; i++) assert_true((x[i] > 0 ? x[i] : 1) == (y[i] > 0 ? y[i] : 1));
    assert_true((x[3] > 0 ? x[3] : 0.25) == (y[3] > 0 ? y[3] : 0.25)); /* 1 / sqrt(D) */
}

static void saved_is_loaded(void **state)
{
    md_model *m = model(KN_REAL, 1), *back = NULL;
    (void)state;
    ok(md_save(m, g_dir, KN_REAL));
    ok(md_load(&back, g_dir, KN_REAL));
    int64_t parameters = 0;
    assert_int_equal(m->n, back->n);
    for (int i = 0; i < m->n; i++) parameters += m->t[i].rows * m->t[i].cols;
    assert_int_equal(parameters, md_config_parameters(&back->config));
    for (int i = 0; i < m->n; i++) assert_memory_equal(m->t[i].data, back->t[i].data, (size_t)(m->t[i].rows * m->t[i].cols) * sizeof(real));
    same_settings(&m->config, &back->config);
    assert_int_equal(back->config.ends.n, 2);
    assert_true(ds_ends_have(&back->config.ends, 2) && ds_ends_have(&back->config.ends, 5));
    md_destroy(&m), md_destroy(&back);
}

/* Tokens that follow must not change what stands before; lengths fall into different plans. */
static void scoring_is_causal(void **state)
{
    md_model *m   = model(KN_REAL, 1);
    real     *all = logits(m, g_ids, T), *some = logits(m, g_ids, 20);
    (void)state;
    assert_true(worst(all, some, 20 * V) < 1e-4);
    assert_true(worst(all, all + V, V) > 0.1);
    free(all), free(some), md_destroy(&m);
}

/* Three documents in one pass, borders inside a tile and across two: each scores as it does alone,
 * and changing one changes no bit of the others. */
static void packed_documents_do_not_see_each_other(void **state)
{
    enum { A = 20, B = 9, C = 70, ALL = A + B + C };
    md_model       *m = model(KN_REAL, 1);
    md_scorer      *s = NULL;
    int32_t         ids[ALL], pos[ALL], start[ALL];
    const int       from[] = {0, A, A + B, ALL};
    real           *z = calloc(ALL * V, sizeof *z), *changed = calloc(ALL * V, sizeof *z);
    const md_packed b = {ids, pos, start, ALL};
    (void)state;
    for (int d = 0; d < 3; d++)
        for (int i = from[d]; i < from[d + 1]; i++) ids[i] = (i * 11 + 5) % V, pos[i] = i - from[d], start[i] = from[d];
    ok(md_scorer_create(&s, m, ALL));
    ok(md_score_packed(s, &b, keep, z));
    for (int d = 0; d < 3; d++) {
        real *alone = logits(m, ids + from[d], from[d + 1] - from[d]);
        assert_true(worst(z + from[d] * V, alone, (from[d + 1] - from[d]) * V) < 1e-4);
        free(alone);
    }
    for (int i = A; i < A + B; i++) ids[i] = (ids[i] + 7) % V;
    ok(md_score_packed(s, &b, keep, changed));
    assert_memory_equal(z, changed, A * V * sizeof *z);
    assert_memory_equal(z + (A + B) * V, changed + (A + B) * V, C * V * sizeof *z);
    assert_true(worst(z + A * V, changed + A * V, B * V) > 0.01);
    md_scorer_destroy(&s);
    free(z), free(changed), md_destroy(&m);
}

static void decode_matches(kn_type type, double tol)
{
    md_model    *m    = model(type, 1);
    real        *z    = logits(m, g_ids, T);
    inf_session *s    = NULL;
    const real  *last = NULL;
    ok(inf_session_create(&s, m, shape.context));
    ok(inf_feed(s, g_ids, 40, &last));
    assert_true(worst(last, z + 39 * V, V) < tol);
    for (int i = 40; i < T; i++) {
        ok(inf_feed(s, g_ids + i, 1, &last));
        assert_true(worst(last, z + i * V, V) < tol);
    }
    inf_session_reset(s);
    ok(inf_feed(s, g_ids, 3, &last));
    assert_true(worst(last, z + 2 * V, V) < tol);
    assert_int_equal(inf_feed(s, g_ids, T, &last) == RT_OK, 1);
    assert_int_equal(inf_feed(s, g_ids, T, &last), RT_EINVAL);
    inf_session_destroy(&s);
    free(z), md_destroy(&m);
}

static void decoding_matches_scoring(void **state)
{
    (void)state;
    decode_matches(KN_REAL, 1e-4);
    decode_matches(KN_BF16, 0.15);
}

/* Each weight is within half a level of its own: `plain` holds what q's levels say, the first values are made again. */
static void rounded_to_nearest(const md_model *q, const md_model *plain, int bits)
{
    md_model *first = model(KN_REAL, 1);
    for (int i = 0; i < q->n; i++) {
        const kn_quant *k = q->t[i].data;
        if (q->t[i].is_vector) continue;
        assert_int_equal(k->bits, bits);
        for (int64_t j = 0; j < k->rows * k->cols; j++) {
            const double half = 0.5 / (double)k->scale[j / k->cols * k->groups + j % k->cols / k->group];
            assert_true(fabs((double)((real *)plain->t[i].data)[j] - (double)((real *)first->t[i].data)[j]) <= half * (1 + 1e-3));
        }
    }
    md_destroy(&first);
}

/* What the quantised model computes is the plain forward pass of its dequantised weights. */
static void quantised(int bits, double *apart)
{
    md_model *m = model(KN_REAL, 1), *q = NULL, *plain = model(KN_REAL, 1);
    real     *z = logits(m, g_ids, T);
    ok(qu_quantise(m, bits, 16));
    ok(md_save(m, g_dir, KN_REAL));
    ok(md_load(&q, g_dir, KN_REAL));
    for (int i = 0; i < plain->n; i++)
        for (int64_t r = 0; r < plain->t[i].rows; r++)
            kn_row((real *)plain->t[i].data + r * plain->t[i].cols, q->t[i].data, q->t[i].type, r, q->t[i].cols);
    real *zq = logits(q, g_ids, T), *zp = logits(plain, g_ids, T), *few = logits(q, g_ids, 3);
    assert_true(worst(zq, zp, T * V) < 1e-4);
    assert_true(worst(few, zp, 3 * V) < 1e-4);
    rounded_to_nearest(q, plain, bits);
    *apart = worst(zq, z, T * V);
    free(z), free(zq), free(zp), free(few);
    md_destroy(&m), md_destroy(&q), md_destroy(&plain);
}

static void quantised_weights(void **state)
{
    double a8 = 0, a4 = 0;
    (void)state;
    quantised(8, &a8);
    quantised(4, &a4);
    assert_true(a8 > 0 && a8 < 0.3 && a4 > a8 && a4 < 4);
}

static void bad_folders(void **state)
{
    md_model *m = model(KN_REAL, 1), *back = NULL;
    char      path[64];
    (void)state;
    ok(md_save(m, g_dir, KN_REAL));
    snprintf(path, sizeof path, "%s/model.safetensors", g_dir);
    const int64_t size = rt_file_size(path);
    rt_buf        b    = {0};
    ok(rt_file_read(&b, path, (size_t)size));
    for (int64_t cut = 0; cut < size; cut += size / 16 + 1) { /* truncated anywhere: an error, never a crash */
        ok(rt_file_write(path, b.p, (size_t)cut));
        assert_int_equal(md_load(&back, g_dir, KN_REAL), RT_EFORMAT);
    }
    assert_int_equal(md_load(&back, "/tmp/retort-no-such-folder", KN_REAL), RT_ENOENT);
    rt_buf_free(&b);
    md_destroy(&m);
}

/* Sets every element x of a tensor to scale x + shift. */
/* Not the same for all elements, because a norm removes a common factor. */
static void change(md_tensor *t, double scale, double shift)
{
    for (int64_t j = 0; j < t->rows * t->cols; j++) {
        real x;
        x = (real)(scale * (double)*kn_load(t->data, t->type, j, 1, &x) + shift * (double)(1 + j % 3));
        kn_put(t->data, t->type, j, &x, 1, 0);
    }
}

/* No weight is stored and then not used. */
static void every_tensor_changes_the_logits(void **state)
{
    md_model *m = model(KN_REAL, 4);
    real     *z = logits(m, g_ids, T);
    (void)state;
    for (int i = 0; i < m->n; i++) {
        change(&m->t[i], 2, 0.5);
        real *now = logits(m, g_ids, T);
        if (!(worst(z, now, T * V) > 1e-3)) fail_msg("%s does not change the logits", m->t[i].name);
        change(&m->t[i], 0.5, -0.25);
        free(now);
    }
    free(z);
    md_destroy(&m);
}

/* Two families of the same sizes and seed compute different logits; else one of them lacks what distinguishes it. */
static void families_differ(void **state)
{
    real *z[16] = {0};
    int   n     = 0;
    (void)state;
    for (; md_family_word(n); n++) {
        take_family((md_family)n);
        md_model *m = model(KN_REAL, 1);
        z[n]        = logits(m, g_ids, T);
        for (int i = 0; i < n; i++)
            if (!(worst(z[i], z[n], T * V) > 1e-3)) fail_msg("%s computes what %s computes", md_family_word(n), md_family_word(i));
        md_destroy(&m);
    }
    while (n) free(z[--n]);
}

int main(void)
{
    const struct CMUnitTest all[]   = {cmocka_unit_test(families_differ)};
    const struct CMUnitTest tests[] = {cmocka_unit_test(saved_is_loaded),
                                       cmocka_unit_test(every_tensor_changes_the_logits),
                                       cmocka_unit_test(scoring_is_causal),
                                       cmocka_unit_test(packed_documents_do_not_see_each_other),
                                       cmocka_unit_test(decoding_matches_scoring),
                                       cmocka_unit_test(quantised_weights),
                                       cmocka_unit_test(bad_folders)};
    for (int i = 0; i < T; i++) g_ids[i] = (i * 7 + i * i) % V;
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    int failed = cmocka_run_group_tests(all, NULL, NULL);
    for (int f = 0; md_family_word(f); f++) { /* every family that there is */
        take_family((md_family)f);
        printf("# %s\n", md_family_word(f));
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed + (rt_dir_remove(g_dir) != RT_OK);
}
