/* test_export_mlx.c -- the MLX layout: weights that the format's arithmetic gives from the file are those of the quantised model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "core/json.h"
#include "model/export.h"
#include "model/safetensors.h"
#include "quant/quant.h"
#include "tests/support/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { C = 64, F = 96 };
static char g_dir[] = "/tmp/retort-mlx-XXXXXX", g_out[64], g_file[96];

static md_model *mlx_model(md_family family, int bits)
{
    const md_config c = {.family   = family,
                         .V        = 30,
                         .C        = C,
                         .L        = 2,
                         .H        = 4,
                         .KV       = 2,
                         .D        = 16,
                         .F        = F,
                         .context  = 32,
                         .rope     = {.theta = 1e4},
                         .norm_eps = 1e-5,
                         .tied     = 1,
                         .bos      = -1};
    md_model       *m = NULL;
    ok(md_create(&m, &c, KN_REAL));
    md_init(m, 5);
    if (bits) ok(qu_quantise(m, bits, 32));
    return m;
}

static void *stored(md_st *f, const char *name, const char *dtype, int64_t rows, int64_t cols)
{
    const md_st_tensor *t = md_st_find(f, name);
    void               *x;
    if (!t || strcmp(t->dtype, dtype) != 0 || t->shape[0] != rows || t->shape[1] != cols)
        fail_msg("%s is missing or has another form", name);
    ok(rt_alloc(&x, t->end - t->begin, 1, name));
    ok(md_st_read(f, t, x));
    return x;
}

/* Checks rows of the stored matrix BASE, from `first` on, with those of t. */
static void same_matrix(md_st *f, const md_tensor *t, const char *base, int64_t rows, int64_t first, int bits)
{
    char          name[128];
    const int64_t words = t->cols * bits / 32, groups = t->cols / 32;
    real          row[F];
    snprintf(name, sizeof name, "%s.weight", base);
    uint32_t *w = stored(f, name, "U32", rows, words);
    snprintf(name, sizeof name, "%s.scales", base);
    float *scale = stored(f, name, "F32", rows, groups);
    snprintf(name, sizeof name, "%s.biases", base);
    float *bias = stored(f, name, "F32", rows, groups);
    for (int64_t r = 0; r < t->rows; r++) {
        kn_type_of(t->type)->row(row, t->data, r, t->cols);
        for (int64_t c = 0; c < t->cols; c++) {
            const int64_t  at    = first + r;
            const uint32_t level = w[at * words + c * bits / 32] >> (c * bits % 32) & ((1U << bits) - 1);
            const float    x     = scale[at * groups + c / 32] * (float)level + bias[at * groups + c / 32];
            if (!(fabs((double)x - (double)row[c]) < 1e-6))
                fail_msg("%s [%d, %d]: %g, expected %g", base, (int)r, (int)c, (double)x, (double)row[c]);
        }
    }
    free(w), free(scale), free(bias);
}

static const md_tensor *mlx_tensor(const md_model *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->t[i].name, name)) return &m->t[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void the_arithmetic_of_the_file_gives_the_weights(void **state)
{
    (void)state;
    for (int bits = 4; bits <= 8; bits += 4) {
        md_model   *m = mlx_model(MD_LLAMA, bits);
        md_exported r;
        md_st      *f = NULL;
        ok(md_export_mlx(&r, m, g_out));
        assert_int_equal(r.matrices, 1 + 2 * 7);
        ok(md_st_open(&f, g_file));
        same_matrix(f, mlx_tensor(m, "model.embed_tokens.weight"), "model.embed_tokens", 30, 0, bits);
        same_matrix(f, mlx_tensor(m, "model.layers.1.mlp.down_proj.weight"), "model.layers.1.mlp.down_proj", C, 0, bits);
        float *norm = stored(f, "model.norm.weight", "F32", C, 0);
        for (int c = 0; c < C; c++) assert_true(norm[c] == 1);
        free(norm);
        md_st_close(&f);
        ok(rt_dir_remove(g_out));
        md_destroy(&m);
    }
}

static void fused_matrices_stay_fused(void **state)
{
    md_model   *m = mlx_model(MD_PHI3, 4);
    md_exported r;
    md_st      *f = NULL;
    (void)state;
    ok(md_export_mlx(&r, m, g_out));
    ok(md_st_open(&f, g_file));
    const char *qkv = "model.layers.1.self_attn.qkv_proj", *both = "model.layers.0.mlp.gate_up_proj";
    same_matrix(f, mlx_tensor(m, "model.layers.1.self_attn.q_proj.weight"), qkv, 128, 0, 4);
    same_matrix(f, mlx_tensor(m, "model.layers.1.self_attn.v_proj.weight"), qkv, 128, 96, 4);
    same_matrix(f, mlx_tensor(m, "model.layers.0.mlp.up_proj.weight"), both, 2 * F, F, 4);
    assert_null(md_st_find(f, "model.layers.1.self_attn.q_proj.weight"));
    md_st_close(&f);
    ok(rt_dir_remove(g_out));
    md_destroy(&m);
}

static void config_is_that_of_the_plain_model(void **state)
{
    md_model   *m = mlx_model(MD_QWEN3, 8);
    md_exported r;
    cJSON      *o = NULL;
    char        path[96];
    (void)state;
    ok(md_export_mlx(&r, m, g_out));
    snprintf(path, sizeof path, "%s/config.json", g_out);
    ok(rt_json_read(&o, path, 0));
    const cJSON *q = cJSON_GetObjectItemCaseSensitive(o, "quantization");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "model_type")), "qwen3");
    assert_null(cJSON_GetObjectItemCaseSensitive(o, "quantization_config"));
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(q, "bits")) == 8 &&
                cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(q, "group_size")) == 32);
    cJSON_Delete(o);
    ok(rt_dir_remove(g_out));
    md_destroy(&m);
}

static void what_mlx_does_not_hold_is_refused(void **state)
{
    md_model   *m = mlx_model(MD_LLAMA, 0);
    md_exported r;
    (void)state;
    assert_int_equal(md_export_mlx(&r, m, g_out), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "quantise the model first"));
    ok(qu_quantise(m, 4, 16));
    assert_int_equal(md_export_mlx(&r, m, g_out), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "groups of 32, 64 or 128"));
    assert_false(rt_file_exists(g_file));
    md_destroy(&m);
}

static int mlx_remove(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_arithmetic_of_the_file_gives_the_weights),
        cmocka_unit_test(fused_matrices_stay_fused),
        cmocka_unit_test(config_is_that_of_the_plain_model),
        cmocka_unit_test(what_mlx_does_not_hold_is_refused),
    };
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    snprintf(g_out, sizeof g_out, "%s/out", g_dir);
    snprintf(g_file, sizeof g_file, "%s/model.safetensors", g_out);
    return cmocka_run_group_tests(tests, NULL, mlx_remove);
}
