/* test_first.c -- a student's first weights: selections of models of every family, what pruning drops, ids of another tokenizer, sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "data/shard.h"
#include "distill/first.h"
#include "model/arch.h"
#include "model/observe.h"
#include "model/score.h"
#include "model/size.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 40, N = 24, L = 3, H = 4, D = 8, F = 24, C = 32 };

static int32_t   g_ids[N], g_pos[N], g_start[N];
static di_sample g_sample = {g_ids, g_pos, g_start, N};
static char      g_dir[]  = "/tmp/retort-first-XXXXXX";

static md_model *model_of(md_family family, int tied)
{
    md_config c = {.family = family, .V = V, .C = C, .L = L, .H = H, .KV = 2, .D = D, .F = F, .context = 64, .norm_eps = 1e-5, .bos = 1};
    c.tied = tied, c.rope.theta = c.rope_local.theta = 10000, c.ends = (ds_ends){{2, 5}, 2};
    if (md_has(&c, MD_BIAS_KEYS)) c.biases = MD_QKV_BIAS | MD_O_BIAS | (md_has(&c, MD_GEMMA) ? 0 : MD_MLP_BIAS);
    c.layer[1]  = md_has(&c, MD_NO_ROPE) ? MD_LAYER_NO_ROPE : 0;
    md_model *m = NULL;
    ok(md_create(&m, &c, KN_REAL));
    md_init(m, 3);
    for (int i = 0; i < m->n; i++)
        for (int64_t j = 0; !m->t[i].is_vector && j < m->t[i].rows * m->t[i].cols; j++) ((real *)m->t[i].data)[j] *= 6;
    return m;
}

static real *weights_of(const md_model *m, md_role r, int64_t layer)
{
    const int at = md_place(m, r, layer);
    return at < 0 ? NULL : m->t[at].data;
}

/* Clears rows or columns of a matrix, or elements of a vector. */
static void clear(const md_model *m, md_role r, int64_t layer, int64_t row, int64_t col)
{
    const int at = md_place(m, r, layer);
    if (at < 0) return;
    const md_tensor *t = &m->t[at];
    for (int64_t i = 0; i < t->rows; i++)
        for (int64_t j = 0; j < t->cols; j++)
            if ((row < 0 || i == row) && (col < 0 || j == col)) ((real *)t->data)[i * t->cols + j] = 0;
}

static double divergence(const md_model *a, const md_model *b)
{
    double kl = NAN;
    ok(di_prune_divergence(a, b, &g_sample, &kl));
    return kl;
}

/* ---- selections ------------------------------------------------------------------------------------------ */

static void everything_selected_is_the_model(void **state)
{
    (void)state;
    for (int f = 0; md_family_word(f); f++) {
        md_model    *m = model_of((md_family)f, f % 2), *n = NULL;
        md_selection s;
        ok(md_selection_all(&s, &m->config));
        ok(md_select(&n, m, &s));
        assert_int_equal(m->n, n->n);
        for (int i = 0; i < m->n; i++)
            assert_memory_equal(m->t[i].data, n->t[i].data, (size_t)(m->t[i].rows * m->t[i].cols) * sizeof(real));
        md_selection_free(&s);
        md_destroy(&m), md_destroy(&n);
    }
}

/* Reordered heads within a group, units and channels compute the same. */
static void a_permutation_computes_the_same(void **state)
{
    static const int32_t other[H] = {1, 0, 3, 2};
    (void)state;
    for (int f = 0; md_family_word(f); f++) {
        md_model    *m = model_of((md_family)f, 0), *n = NULL;
        md_selection s;
        ok(md_selection_all(&s, &m->config));
        for (int i = 0; i < L * H; i++) s.head[i] = other[i % H];
        for (int i = 0; i < L * F; i++) s.unit[i] = F - 1 - i % F;
        for (int i = 0; i < C; i++) s.channel[i] = C - 1 - i;
        ok(md_select(&n, m, &s));
        const double kl = divergence(m, n);
        if (!(fabs(kl) < 1e-5)) fail_msg("%s: KL %g", md_family_word(f), kl);
        md_selection_free(&s);
        md_destroy(&m), md_destroy(&n);
    }
}

static void layers_keep_their_kind_and_ids_their_meaning(void **state)
{
    md_model    *m = model_of(MD_SMOLLM3, 1), *n = NULL, *v = NULL;
    md_selection s;
    (void)state;
    ok(md_selection_all(&s, &m->config));
    s.L = 2, s.layer[0] = 1, s.layer[1] = 2, s.V = 4;
    s.id[0] = 5, s.id[1] = -1, s.id[2] = 1, s.id[3] = 9;
    ok(md_select(&n, m, &s));
    assert_true(n->config.L == 2 && n->config.layer[0] == MD_LAYER_NO_ROPE && n->config.layer[1] == 0 && n->config.V == 4);
    assert_true(n->config.bos == 2 && n->config.ends.n == 1 && n->config.ends.id[0] == 0);
    const real *now = weights_of(n, MD_EMBEDDING, 0), *was = weights_of(m, MD_EMBEDDING, 0);
    assert_memory_equal(now, was + 5 * C, C * sizeof(real));
    for (int c = 0; c < C; c++) assert_true(now[C + c] == 0);
    assert_memory_equal(weights_of(n, MD_Q, 0), weights_of(m, MD_Q, 1), C * H * D * sizeof(real));
    ok(md_view_layers(&v, m, s.layer, 2));
    assert_ptr_equal(weights_of(v, MD_DOWN, 1), weights_of(m, MD_DOWN, 2));
    assert_ptr_equal(weights_of(v, MD_EMBEDDING, 0), was);
    md_view_destroy(&v);
    md_selection_free(&s);
    md_destroy(&m), md_destroy(&n);
}

/* ---- observations ----------------------------------------------------------------------------------------- */

static void the_input_of_the_first_layer_is_the_normed_embedding(void **state)
{
    md_model       *m      = model_of(MD_LLAMA, 1);
    const md_packed b      = {.ids = g_ids, .pos = g_pos, .doc_start = g_start, .n = N};
    double          got[C] = {0}, want[C] = {0};
    (void)state;
    ok(md_observe(m, &b, MD_PART_IN, 0, got));
    for (int t = 0; t < N; t++) {
        const real *e    = weights_of(m, MD_EMBEDDING, 0) + g_ids[t] * C;
        double      mean = 0;
        for (int c = 0; c < C; c++) mean += (double)e[c] * (double)e[c] / C;
        for (int c = 0; c < C; c++) want[c] += (double)e[c] * (double)e[c] / (mean + 1e-5) / N;
    }
    for (int c = 0; c < C; c++) assert_true(fabs(got[c] - want[c]) < 1e-4 * want[c]);
    ok(md_observe(m, &b, MD_PART_IN, 2, want)); /* another layer reads other values */
    for (int c = 0; c < C; c++) assert_true(fabs(got[c] - want[c]) > 1e-6 * want[c]);
    md_destroy(&m);
}

/* ---- what is dropped --------------------------------------------------------------------------------------- */

/* A layer that adds nothing is dropped first. */
static void an_idle_layer_is_dropped(void **state)
{
    (void)state;
    for (int f = 0; md_family_word(f); f++) {
        md_model     *m = model_of((md_family)f, 1);
        int32_t       layer[L];
        double        kl    = NAN;
        const md_role out[] = {MD_O, MD_O_BIAS_VECTOR, MD_DOWN, MD_DOWN_BIAS};
        for (int i = 0; i < 4; i++) clear(m, out[i], 1, -1, -1);
        ok(di_prune_layers(m, &g_sample, 2, layer, &kl, NULL));
        if (layer[0] != 0 || layer[1] != 2 || !(fabs(kl) < 1e-6))
            fail_msg("%s: layers %d and %d stay, KL %g", md_family_word(f), layer[0], layer[1], kl);
        md_destroy(&m);
    }
}

/* Heads and units that add nothing are dropped, and the model stays what it is. */
static void idle_heads_and_units_are_dropped(void **state)
{
    (void)state;
    for (int f = 0; md_family_word(f); f++) {
        md_model    *m = model_of((md_family)f, 1), *n = NULL;
        md_selection s;
        for (int64_t l = 0; l < L; l++) {
            for (int d = 0; d < D; d++) clear(m, MD_O, l, -1, D + d), clear(m, MD_O, l, -1, 2 * D + d); /* heads 1 and 2 */
            for (int u = 0; u < 6; u++) clear(m, MD_DOWN, l, -1, 3 * u + l);
        }
        ok(md_selection_all(&s, &m->config));
        ok(di_prune_width(m, &g_sample, 2, F - 6, C, &s, NULL));
        for (int l = 0; l < L; l++) assert_true(s.head[2 * l] == 0 && s.head[2 * l + 1] == 3);
        ok(md_select(&n, m, &s));
        const double kl = divergence(m, n);
        if (!md_has(&m->config, MD_WIDE_QK_NORM) && !(fabs(kl) < 1e-5)) fail_msg("%s: KL %g", md_family_word(f), kl);
        md_selection_free(&s);
        md_destroy(&m), md_destroy(&n);
    }
}

static void idle_channels_are_dropped(void **state)
{
    const int32_t idle[] = {3, 17};
    (void)state;
    for (int f = 0; md_family_word(f); f++) {
        md_model    *m = model_of((md_family)f, 1), *n = NULL;
        md_selection s;
        for (int i = 0; i < 2; i++) {
            clear(m, MD_EMBEDDING, 0, -1, idle[i]);
            for (int64_t l = 0; l < L; l++) {
                clear(m, MD_O, l, idle[i], -1), clear(m, MD_DOWN, l, idle[i], -1);
                clear(m, MD_O_BIAS_VECTOR, l, -1, idle[i]), clear(m, MD_DOWN_BIAS, l, -1, idle[i]);
            }
        }
        ok(md_selection_all(&s, &m->config));
        ok(di_prune_width(m, &g_sample, H, F, C - 2, &s, NULL));
        for (int i = 0; i < C - 2; i++) assert_int_equal(s.channel[i], i + (i >= 3) + (i >= 16));
        ok(md_select(&n, m, &s));
        assert_int_equal(n->config.C, C - 2);
        assert_true(isfinite(divergence(m, n)));
        md_selection_free(&s);
        md_destroy(&m), md_destroy(&n);
    }
}

/* ---- ids of another tokenizer ------------------------------------------------------------------------------- */

static void make_trimmed(const char *from, char to[96])
{
    static const char text[] = "a vessel for wine, of glass or clay";
    ds_tokenizer     *t      = NULL;
    ds_ids            ids    = {0};
    snprintf(to, 96, "%s/small", g_dir);
    ok(ds_tokenizer_load(&t, from));
    uint8_t *used = calloc((size_t)ds_tokenizer_size(t), 1);
    ok(ds_encode(t, text, sizeof text - 1, DS_DOCUMENT, &ids));
    for (int64_t i = 0; i < ids.n; i++) used[ids.v[i]] = 1;
    ok(ds_tokenizer_trim(from, used, to));
    free(used), free(ids.v);
    ds_tokenizer_destroy(&t);
}

static void rows_move_to_another_tokenizer_and_back(void **state)
{
    char            from[512], to[96];
    ds_tokenizer   *large = NULL, *small = NULL;
    md_model       *m = NULL, *n = NULL, *back = NULL;
    di_first_report r = {0};
    (void)state;
    snprintf(from, sizeof from, "%s/experiments/teacher/model", getenv("SOURCE_DIR"));
    make_trimmed(from, to);
    ok(ds_tokenizer_load(&large, from));
    ok(ds_tokenizer_load(&small, to));
    ok(md_load(&m, from, KN_REAL));
    ok(di_move_ids(&n, m, large, small, &r));
    assert_true(r.shared == ds_tokenizer_size(small) && r.made == 0 && r.dropped == m->config.V - r.shared);
    assert_int_equal(n->config.V, ds_tokenizer_size(small));
    const int32_t one = ds_tokenizer_id(small, "e"), was = ds_tokenizer_id(large, "e");
    assert_memory_equal(weights_of(n, MD_EMBEDDING, 0) + one * n->config.C, weights_of(m, MD_EMBEDDING, 0) + was * m->config.C,
                        (size_t)m->config.C * sizeof(real));
    r = (di_first_report){0};
    ok(di_move_ids(&back, n, small, large, &r)); /* entries that the small one lacks are made of their pieces */
    assert_true(r.shared == ds_tokenizer_size(small) && r.made == ds_tokenizer_size(large) - r.shared);
    int32_t id     = 300;
    ds_ids  pieces = {0};
    rt_buf  text   = {0};
    for (; pieces.n < 2; id++) {
        pieces.n = 0;
        rt_buf_clear(&text);
        ok(ds_token_text(large, id, &text));
        ok(ds_encode(small, text.p, text.len, 0, &pieces));
    }
    for (int64_t c = 0; c < n->config.C; c++) {
        double mean = 0;
        for (int64_t i = 0; i < pieces.n; i++)
            mean += (double)weights_of(n, MD_EMBEDDING, 0)[pieces.v[i] * n->config.C + c] / (double)pieces.n;
        assert_true(fabs(mean - (double)weights_of(back, MD_EMBEDDING, 0)[(id - 1) * n->config.C + c]) < 1e-6);
    }
    free(pieces.v), rt_buf_free(&text);
    md_destroy(&m), md_destroy(&n), md_destroy(&back);
    ds_tokenizer_destroy(&large), ds_tokenizer_destroy(&small);
}

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

static void sizes_give_the_parameters_that_were_asked_for(void **state)
{
    static const int64_t asked[] = {3000000, 10000000, 60000000, 135000000, 1000000000};
    (void)state;
    for (int f = 0; md_family_word(f); f++)
        for (int i = 0; i < 5; i++) {
            md_config c  = {.family = (md_family)f, .V = 8192, .context = 64, .norm_eps = 1e-5, .tied = 1, .bos = -1};
            c.rope.theta = c.rope_local.theta = 10000;
            ok(md_config_size(&c, asked[i]));
            ok(md_config_check(&c));
            const double off = (double)md_config_parameters(&c) / (double)asked[i];
            assert_true(off > 0.9 && off < 1.05 && c.H % c.KV == 0 && c.KV < c.H && c.H * c.D == c.C && c.L >= 2 && c.C / c.L >= 6);
            if (asked[i] == 135000000) assert_true(c.C / c.L >= 16 && c.C / c.L <= 40);
        }
    md_config c = {.family = MD_LLAMA, .V = 262144, .context = 64, .norm_eps = 1e-5, .tied = 1};
    assert_int_equal(md_config_size(&c, 3000000), RT_EINVAL);
}

static int first_setup(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        g_ids[i]   = (i * 7 + i * i) % V;
        g_start[i] = i < 10 ? 0 : 10;
        g_pos[i]   = i - g_start[i];
    }
    return mkdtemp(g_dir) == NULL || kn_init() != RT_OK;
}

static int first_teardown(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_selected_is_the_model),
        cmocka_unit_test(a_permutation_computes_the_same),
        cmocka_unit_test(layers_keep_their_kind_and_ids_their_meaning),
        cmocka_unit_test(the_input_of_the_first_layer_is_the_normed_embedding),
        cmocka_unit_test(an_idle_layer_is_dropped),
        cmocka_unit_test(idle_heads_and_units_are_dropped),
        cmocka_unit_test(idle_channels_are_dropped),
        cmocka_unit_test(rows_move_to_another_tokenizer_and_back),
        cmocka_unit_test(sizes_give_the_parameters_that_were_asked_for),
    };
    return cmocka_run_group_tests(tests, first_setup, first_teardown);
}
