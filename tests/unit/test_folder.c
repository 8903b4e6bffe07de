/* test_folder.c -- model folders that say one thing in two places, say it in another spelling, or hold what is no number:
 * each is read as it is meant, or refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "infer/infer.h"
#include "model/safetensors.h"
#include "model/score.h"
#include "quant/quant.h"
#include "tests/support/check.h"
#include "tests/support/tensor.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { V = 24, C = 8 };
static const char norm[] = "model.norm.weight", embedding[] = "model.embed_tokens.weight", own_head[] = "lm_head.weight";
static char       g_dir[] = "/tmp/retort-folder-XXXXXX";

static md_config shape(md_family family)
{
    const md_config c = {.family     = family,
                         .V          = V,
                         .C          = C,
                         .L          = 1,
                         .H          = 2,
                         .KV         = 1,
                         .D          = 4,
                         .F          = 16,
                         .context    = 32,
                         .rope.theta = 10000,
                         .norm_eps   = 1e-5,
                         .bos        = -1};
    return c;
}

static md_model *model(const md_config *c, uint64_t seed)
{
    md_model *m = NULL;
    ok(md_create(&m, c, KN_REAL));
    md_init(m, seed);
    return m;
}

/* The folder holds the model of this seed and nothing else. */
static void save(const md_config *c, uint64_t seed)
{
    md_model *m = model(c, seed);
    ok(rt_dir_remove(g_dir));
    ok(md_save(m, g_dir, KN_REAL));
    md_destroy(&m);
}

static char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", g_dir, name);
    return path;
}

static void write_text(const char *name, const char *text) { ok(rt_file_write(in_dir(name), text, strlen(text))); }

/* In the file NAME, what stands from `from` to the end of `to` becomes `text`. */
static void edit(const char *name, const char *from, const char *to, const char *text)
{
    rt_buf b = {0}, out = {0};
    ok(rt_file_read(&b, in_dir(name), 1 << 20));
    char *at = strstr(b.p, from), *end = at ? strstr(at, to) : NULL;
    if (!end) fail_msg("%s: no %s...%s", name, from, to);
    ok(rt_buf_fmt(&out, "%.*s%s%s", (int)(at - b.p), b.p, text, end + strlen(to)));
    ok(rt_file_write(in_dir(name), out.p, out.len));
    rt_buf_free(&b), rt_buf_free(&out);
}

static void refused(rt_status code, const char *words)
{
    md_model       *m  = NULL;
    const rt_status st = md_load(&m, g_dir, KN_REAL);
    if (st != code || !strstr(rt_error_text(), words)) fail_msg("expected \"%s\", status %d: %s", words, (int)st, rt_error_text());
}

static md_model *loaded(void)
{
    md_model *m = NULL;
    ok(md_load(&m, g_dir, KN_REAL));
    return m;
}

static void same_weights(const md_model *a, const md_model *b)
{
    assert_int_equal(a->n, b->n);
    for (int i = 0; i < a->n; i++) assert_memory_equal(a->t[i].data, b->t[i].data, (size_t)(a->t[i].rows * a->t[i].cols) * sizeof(real));
}

/* ---- settings ------------------------------------------------------------------------------------ */

typedef struct spelling {
    const char *keys;
    double      theta;   /* 0: refused... */
    const char *refused; /* ...with these words */
} spelling;

/* The sizes of shape() and these keys. */
static void config_with(md_family family, const char *keys)
{
    rt_buf b = {0};
    ok(rt_buf_fmt(&b,
                  "{\"model_type\": \"%s\", \"vocab_size\": %d, \"hidden_size\": %d, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, "
                  "\"num_key_value_heads\": 1, \"head_dim\": 4, \"intermediate_size\": 16, \"max_position_embeddings\": 32, %s "
                  "\"tie_word_embeddings\": false}",
                  md_family_word((int)family), V, C, keys));
    ok(rt_file_write(in_dir("config.json"), b.p, b.len));
    rt_buf_free(&b);
}

static void rotary_settings_have_many_spellings(void **state)
{
    static const spelling all[] = {
        {"", 10000, NULL},
        {"\"rope_theta\": 5e5,", 5e5, NULL},
        {"\"rope_theta\": null, \"rope_scaling\": null, \"rope_parameters\": null,", 10000, NULL},
        {"\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 5e5},", 5e5, NULL},
        {"\"rope_parameters\": {\"type\": \"default\", \"rope_theta\": 5e5},", 5e5, NULL},
        {"\"rope_scaling\": {\"rope_theta\": 5e5},", 5e5, NULL},
        {"\"rope_theta\": 5e5, \"rope_scaling\": {\"rope_type\": \"default\", \"factor\": 8.0},", 5e5, NULL},
        {"\"rope_theta\": 5e5, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 1.0},", 5e5, NULL},
        {"\"rope_theta\": 5e5, \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4.0},", 5e5, NULL},
        {"\"partial_rotary_factor\": 1.0,", 10000, NULL},
        {"\"rope_scaling\": {\"rope_type\": \"mrope\", \"type\": \"default\"},", 0, "rope_scaling.rope_type \"mrope\""},
        {"\"rope_parameters\": {\"type\": \"linear\"},", 0, "expected a positive factor"},
        {"\"rope_theta\": 0,", 0, "must be a positive number"},
        {"\"rope_scaling\": {\"type\": \"longrope\", \"original_max_position_embeddings\": 1, \"short_factor\": [1, 1], \"long_factor\": [1, 2]},",
         0, "give no finite angles"},
        {"\"rope_parameters\": {\"type\": \"llama3\", \"factor\": 8},", 0, "low_freq_factor above 0"},
        {"\"rope_parameters\": {\"rope_type\": \"default\"}, \"rope_scaling\": {\"type\": \"longrope\"},", 0,
         "rope_scaling.short_factor must be a list of 2 numbers"},
        {"\"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1, 1], \"long_factor\": [1, -2]},", 0, "must hold positive numbers"},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}},", 0, "the same rotary embedding in all layers"},
        {"\"rope_parameters\": {\"partial_rotary_factor\": 0.1},", 0, "partial_rotary_factor 0.1 in rope_parameters"},
        {"\"partial_rotary_factor\": 1.5,", 0, "partial_rotary_factor 1.5 in the top-level object"},
        {"\"rope_theta\": 1e4, \"rope_parameters\": {\"rope_theta\": 5e5},", 0, "remove one"},
        {"\"rope_theta\": 1e4, \"rope_theta\": 5e5,", 0, "\"rope_theta\" occurs twice"},
        {"\"rope_scaling\": \"linear\",", 0, "\"rope_scaling\" must be an object or null"}};
    const md_config c = shape(MD_LLAMA);
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        md_config read;
        save(&c, 1);
        config_with(MD_LLAMA, all[i].keys);
        if (all[i].refused) refused(RT_EFORMAT, all[i].refused);
        else {
            ok(md_config_read(&read, g_dir));
            if (read.rope.theta != all[i].theta) fail_msg("%s: theta %g", all[i].keys, read.rope.theta);
        }
    }
}

static void only_settings_that_change_results_are_refused(void **state)
{
    static const struct {
        md_family   family;
        const char *keys, *refused; /* NULL: accepted */
    } all[] = {{MD_LLAMA, "\"hidden_act\": \"swish\",", NULL},
               {MD_LLAMA, "\"hidden_act\": \"gelu\",", "the activation \"gelu\""},
               {MD_LLAMA, "\"attention_dropout\": 0.1, \"initializer_range\": 1, \"use_cache\": false, \"pretraining_tp\": 1,", NULL},
               {MD_LLAMA, "\"use_sliding_window\": true, \"sliding_window\": 4,", NULL},
               {MD_QWEN3, "\"use_sliding_window\": true, \"sliding_window\": -4,", "expected a positive sliding_window"},
               {MD_QWEN3, "\"use_sliding_window\": true, \"sliding_window\": 4, \"layer_types\": [\"chunked_attention\"],",
                "layer_types has \"chunked_attention\""},
               {MD_GEMMA3, "\"layer_types\": [\"full_attention\", \"full_attention\"],", "layer_types must be a list of 1 names"},
               {MD_GEMMA3, "\"use_bidirectional_attention\": true,", "use_bidirectional_attention true"},
               {MD_GEMMA2, "\"attn_logit_softcapping\": -1,", "attn_logit_softcapping must be a number of at least 0"},
               {MD_SMOLLM3, "\"no_rope_layers\": [],", "no_rope_layers must be a list"},
               {MD_PHI3, "\"mlp_bias\": true,", "mlp_bias true"},
               {MD_QWEN3, "\"use_sliding_window\": true, \"sliding_window\": 4, \"max_window_layers\": 28,", NULL},
               {MD_QWEN3, "\"use_sliding_window\": true, \"sliding_window\": 4, \"layer_types\": [\"full_attention\"],", NULL},
               {MD_QWEN3, "\"use_sliding_window\": true, \"sliding_window\": 32, \"max_window_layers\": 0,", NULL},
               {MD_QWEN3, "\"use_sliding_window\": true, \"sliding_window\": null, \"max_window_layers\": 0,", NULL},
               {MD_QWEN3, "\"use_sliding_window\": false, \"sliding_window\": 4, \"max_window_layers\": 0,", NULL},
               {MD_QWEN2, "\"attention_bias\": true,", NULL},
               {MD_LLAMA, "\"bos_token_id\": null,", NULL},
               {MD_LLAMA, "\"bos_token_id\": 1e18,", "\"bos_token_id\""},
               {MD_LLAMA, "\"bos_token_id\": 1.5,", "\"bos_token_id\" must be a whole number"},
               {MD_LLAMA, "\"quantization_config\": {\"quant_method\": \"fp8\"},", "quantization_config.quant_method \"fp8\""}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const md_config c = shape(all[i].family);
        save(&c, 1);
        config_with(all[i].family, all[i].keys);
        if (all[i].refused) refused(RT_EFORMAT, all[i].refused);
        else {
            md_model *m = loaded();
            md_destroy(&m);
        }
    }
}

/* ---- which file, which head ------------------------------------------------------------------------ */

/* Tensors from..to-1 of the model into a file of their own; their entries are added to the index. */
static void part(rt_buf *map, const md_model *m, int from, int to, const char *name)
{
    md_st_tensor list[32] = {{{0}, {0}, 0, {0}, 0, 0}};
    md_st       *f        = NULL;
    for (int i = from; i < to; i++) {
        md_st_tensor *e = &list[i - from];
        snprintf(e->name, sizeof e->name, "%s", m->t[i].name);
        snprintf(e->dtype, sizeof e->dtype, "%s", sizeof(real) == 8 ? "F64" : "F32");
        e->nd       = m->t[i].is_vector ? 1 : 2;
        e->shape[0] = m->t[i].is_vector ? m->t[i].cols : m->t[i].rows;
        e->shape[1] = m->t[i].cols;
        if (map) ok(rt_buf_fmt(map, "%s\"%s\":\"%s\"", map->len ? "," : "{\"weight_map\":{", e->name, name));
    }
    ok(md_st_begin(&f, in_dir(name), list, to - from));
    for (int i = from; i < to; i++) ok(md_st_write(f, m->t[i].data, m->t[i].rows * m->t[i].cols * (int64_t)sizeof(real)));
    ok(md_st_end(&f));
}

static void write_index(const rt_buf *map)
{
    rt_buf b = {0};
    ok(rt_buf_fmt(&b, "%s}}", map->p));
    write_text("model.safetensors.index.json", b.p);
    rt_buf_free(&b);
}

/* The model `now` in three files with names of their own, the first of which holds old weights too, of which the index says
 * nothing; files of `old` under the usual names. */
static void the_index_decides(void **state)
{
    const md_config c   = shape(MD_LLAMA);
    md_model       *now = model(&c, 1), *old = model(&c, 2), *m = NULL;
    rt_buf          map = {0};
    (void)state;
    save(&c, 1);
    assert_int_equal(remove(in_dir("model.safetensors")), 0);
    refused(RT_ENOENT, "expected model.safetensors or model.safetensors.index.json");
    part(NULL, old, 0, old->n, "model-00001-of-00001.safetensors");
    refused(RT_ENOENT, "expected model.safetensors or model.safetensors.index.json");
    memcpy(find_tensor(old, own_head)->data, find_tensor(now, own_head)->data, V * C * sizeof(real));
    part(&map, old, old->n - 1, old->n, "whole.safetensors");
    part(NULL, old, 0, old->n, "whole.safetensors");
    part(&map, now, 0, 4, "weights_a.safetensors");
    part(&map, now, 4, now->n - 1, "weights_b.safetensors");
    part(NULL, old, 0, old->n, "model-00001-of-00002.safetensors");
    write_index(&map);
    m = loaded();
    same_weights(m, now);
    md_destroy(&m);

    part(NULL, old, 0, old->n, "model.safetensors");
    refused(RT_EFORMAT, "two saves");
    assert_int_equal(remove(in_dir("model.safetensors")), 0);
    edit("model.safetensors.index.json", "whole", ".safetensors", "../x.safetensors");
    refused(RT_EFORMAT, "expected a file of the same folder");
    edit("model.safetensors.index.json", "../x", ".safetensors", "gone.safetensors");
    refused(RT_ENOENT, "gone.safetensors, which does not exist");
    edit("model.safetensors.index.json", "gone", ".safetensors", "weights_a.safetensors");
    refused(RT_EFORMAT, "lm_head.weight is in weights_a.safetensors, which does not hold it");
    edit("model.safetensors.index.json", "\"lm_head", ",", "");
    refused(RT_EFORMAT, "lm_head.weight is missing");
    write_text("model.safetensors.index.json", "[1]");
    refused(RT_EFORMAT, "expected a JSON object");
    write_text("model.safetensors.index.json", "{\"weight_map\":[1]}");
    refused(RT_EFORMAT, "no object \"weight_map\"");
    write_text("adapter_config.json", "{}");
    refused(RT_EFORMAT, "adapter_config.json");
    rt_buf_free(&map);
    md_destroy(&now), md_destroy(&old);
}

static void tied_in_config(void) { edit("config.json", "\"tie_word_embeddings\"", ",", "\"tie_word_embeddings\": true,"); }

static void a_head_of_its_own_is_used(void **state)
{
    const md_config c = shape(MD_LLAMA);
    md_model       *m = model(&c, 1), *back = NULL;
    (void)state;
    save(&c, 1);
    tied_in_config();
    back = loaded();
    assert_int_equal(back->config.tied, 0);
    same_weights(back, m);
    md_destroy(&back);

    memcpy(find_tensor(m, own_head)->data, find_tensor(m, embedding)->data, V * C * sizeof(real)); /* a copy is no other head */
    ok(md_save(m, g_dir, KN_REAL));
    tied_in_config();
    back = loaded();
    assert_int_equal(back->config.tied, 1);
    assert_null(find_tensor(back, own_head));
    md_destroy(&back);

    part(NULL, m, 1, m->n, "model.safetensors"); /* the one matrix under the head's name */
    back = loaded();
    assert_memory_equal(md_head(back)->data, find_tensor(m, embedding)->data, V * C * sizeof(real));
    md_destroy(&back), md_destroy(&m);
}

/* ---- numbers ------------------------------------------------------------------------------------- */

static void weights_are_finite(void **state)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    const md_config     c     = shape(MD_LLAMA);
    md_model           *m     = NULL;
    (void)state;
    for (int i = 0; i < 3; i++) {
        m                                                   = model(&c, 1);
        ((real *)find_tensor(m, own_head)->data)[5 * C + 3] = (real)bad[i];
        ok(md_save(m, g_dir, i ? KN_REAL : KN_BF16));
        refused(RT_EFORMAT, "lm_head.weight[5,3] is");
        md_destroy(&m);
    }
    m                                           = model(&c, 1);
    ((real *)find_tensor(m, norm)->data)[C - 1] = (real)FLT_MAX;
    ok(md_save(m, g_dir, KN_REAL));
    md_destroy(&m);
    m = loaded();
    md_destroy(&m);
    assert_int_equal(md_load(&m, g_dir, KN_BF16), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "model.norm.weight[0,7] is 3.40282e+38, which exceeds the range of bf16"));
}

static void nothing(void *ud, int64_t t, real *z, int thread)
{
    (void)t, (void)z, (void)thread;
    *(int *)ud = 1;
}

/* Finite weights whose products are not. */
static void logits_are_finite(void **state)
{
    const md_config c      = shape(MD_LLAMA);
    md_model       *m      = model(&c, 1);
    md_scorer      *s      = NULL;
    inf_session    *chat   = NULL;
    const int32_t   ids[2] = {1, 2};
    const real     *z;
    int             seen = 0;
    (void)state;
    for (int64_t i = 0; i < V * C; i++) ((real *)find_tensor(m, own_head)->data)[i] = (real)(sizeof(real) == 8 ? DBL_MAX : FLT_MAX);
    for (int64_t i = 0; i < C; i++) ((real *)find_tensor(m, norm)->data)[i] = 1000;
    ok(md_scorer_create(&s, m, 2));
    assert_int_equal(md_score(s, ids, 2, nothing, &seen), RT_ECHECK);
    assert_non_null(strstr(rt_error_text(), "logits after token 0 are not finite"));
    assert_int_equal(seen, 0);
    ok(inf_session_create(&chat, m, 2));
    assert_int_equal(inf_feed(chat, ids, 2, &z), RT_ECHECK);
    assert_non_null(strstr(rt_error_text(), "logits after token 1 are not finite"));
    md_scorer_destroy(&s);
    inf_session_destroy(&chat);
    md_destroy(&m);
}

/* ---- quantised ----------------------------------------------------------------------------------- */

static md_model *quantised(int bits)
{
    const md_config c = shape(MD_LLAMA);
    md_model       *m = model(&c, 1);
    ok(qu_quantise(m, bits, 4));
    return m;
}

/* Groups that are hard to round: each weight comes back within half a level, and a float's rounding of the largest. */
static void hard_groups(void **state)
{
    static const float groups[][4] = {{0, 1e-40f, 2e-40f, 3e-40f},
                                      {3e-39f, 3e-39f, 3e-39f, 3e-39f},
                                      {-1e-38f, 1e-38f, -1e-38f, 1e-38f},
                                      {1e-45f, 0, 0, 0},
                                      {1.5f, 1.5f, 1.5f, 1.5f},
                                      {1024, 1032, 1040, 1048},
                                      {1e30f, 1e-3f, 1e-3f, 1e-3f},
                                      {-FLT_MAX, FLT_MAX, 0, 1},
                                      {0, 0, 1, FLT_MAX},
                                      {-FLT_MAX, 0, 1, 0.9f * FLT_MAX},
                                      {FLT_MAX, FLT_MAX, FLT_MAX, FLT_MAX},
                                      {1e6f, 1e6f + 0.0625f, 1e6f, 1e6f}};
    enum { GROUPS = sizeof groups / sizeof *groups };
    const md_config c = shape(MD_LLAMA);
    (void)state;
    for (int bits = 4; bits <= 8; bits += 4) {
        md_model  *m = model(&c, 1);
        md_tensor *w = find_tensor(m, own_head);
        for (int g = 0; g < GROUPS; g++)
            for (int i = 0; i < 4; i++) ((real *)w->data)[g * C + i] = (real)groups[g][i];
        ok(qu_quantise(m, bits, 4));
        const kn_quant *q = w->data;
        for (int g = 0; g < GROUPS; g++) {
            real         y[C];
            double       most = 0;
            const double S = (double)q->scale[2 * g], Z = (double)q->zero[2 * g];
            assert_true(isnormal(S) && S > 0 && S <= 0x1p126 && isfinite(Z));
            kn_row(y, q, w->type, g, C);
            for (int i = 0; i < 4; i++) most = fmax(most, fabs((double)groups[g][i]));
            for (int i = 0; i < 4; i++)
                if (!(fabs((double)y[i] - (double)groups[g][i]) <= 0.501 / S + 2e-7 * most))
                    fail_msg("%d bits, group %d: %g for %g (S %g, Z %g)", bits, g, (double)y[i], (double)groups[g][i], S, Z);
        }
        ok(md_save(m, g_dir, KN_REAL));
        md_destroy(&m);
        ok(md_load(&m, g_dir, KN_REAL));
        md_destroy(&m);
    }
}

/* One more tensor of this name behind those of model.safetensors. */
static void append(const char *name)
{
    md_st_tensor list[64];
    md_st       *in, *out;
    int64_t      n = 0, i = 0;
    ok(md_st_open(&in, in_dir("model.safetensors")));
    for (; md_st_at(in, n); n++) list[n] = *md_st_at(in, n);
    list[n] = (md_st_tensor){.dtype = "F32", .nd = 2, .shape = {1, 2}};
    snprintf(list[n].name, sizeof list[n].name, "%s", name);
    ok(md_st_begin(&out, in_dir("model.safetensors"), list, n + 1));
    for (; md_st_at(in, i); i++) {
        const md_st_tensor *t = md_st_at(in, i);
        char               *p = calloc(1, (size_t)(t->end - t->begin));
        ok(md_st_read(in, t, p));
        ok(md_st_write(out, p, t->end - t->begin));
        free(p);
    }
    ok(md_st_write(out, (float[2]){1, 1}, 8));
    ok(md_st_end(&out));
    md_st_close(&in);
}

static void parts_belong_to_quantised_matrices(void **state)
{
    static const char *const odd[][2] = {{"lm_head.weight.scale", "beside a matrix that is not quantised"},
                                         {"lm_head.weight.zero", "beside a matrix that is not quantised"},
                                         {"model.norm.weight.scale", "belongs to a vector"},
                                         {"model.norm.weight.q", "model.norm.weight is unexpected"}};
    const md_config          c        = shape(MD_LLAMA);
    md_model                *m        = quantised(4);
    (void)state;
    for (int i = 0; i < 4; i++) {
        save(&c, 1);
        append(odd[i][0]);
        refused(RT_EFORMAT, odd[i][1]);
    }
    ok(rt_dir_remove(g_dir));
    ok(md_save(m, g_dir, KN_REAL));
    append(own_head);
    refused(RT_EFORMAT, "lm_head.weight is unexpected beside the quantised one");
    md_destroy(&m);
}

static void quantised_once(void **state)
{
    md_model *m = quantised(4);
    (void)state;
    assert_int_equal(qu_quantise(m, 8, 4), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "is already quantised to 4 bits"));
    md_destroy(&m);
}

/* To a program that knows neither the type nor the quantised matrices, the folder is no Llama, and its norms have another shape. */
static void quantised_folders_say_so(void **state)
{
    md_model *m = quantised(8), *back;
    md_st    *f = NULL;
    rt_buf    b = {0};
    (void)state;
    ok(rt_dir_remove(g_dir));
    ok(md_save(m, g_dir, KN_REAL));
    ok(rt_file_read(&b, in_dir("config.json"), 1 << 16));
    assert_null(strstr(b.p, "Llama"));
    assert_non_null(strstr(b.p, "\"model_type\": \"retort_quantized\""));
    ok(md_st_open(&f, in_dir("model.safetensors")));
    assert_int_equal(md_st_find(f, norm)->nd, 2);
    md_st_close(&f);
    back = loaded();
    assert_int_equal(back->config.family, MD_LLAMA);
    assert_int_equal(back->config.bits, 8);
    md_destroy(&back);

    edit("config.json", "\"bits\"", ",", "\"bits\": 4,");
    refused(RT_EFORMAT, "does not hold");
    edit("config.json", "\"bits\"", "}", "\"bits\": 3, \"group_size\": 4}");
    refused(RT_EFORMAT, "expected 4 or 8 bits");
    edit("config.json", "\"quantization_config\"", "},", "");
    edit("config.json", "\"retort_quantized\"", ",", "\"llama\",");
    refused(RT_EFORMAT, "is quantised, but config.json has no quantization_config");

    m->config.bits = 0; /* as the first version wrote it: a Llama with a method, norms of one dimension */
    ok(md_save(m, g_dir, KN_REAL));
    edit("config.json", "\"hidden_act\"", ",", "\"quantization_config\": {\"quant_method\": \"retort\", \"bits\": 8, \"group_size\": 4},");
    back = loaded();
    assert_int_equal(back->config.bits, 8);
    md_destroy(&back);
    rt_buf_free(&b);
    md_destroy(&m);
}

/* Only what is stored in bf16 alone may be read as bf16 before it is rounded to levels. */
static void stored_types(void **state)
{
    const md_config c    = shape(MD_LLAMA);
    md_model       *m    = model(&c, 1);
    kn_type         type = KN_I32;
    (void)state;
    ok(md_save(m, g_dir, KN_BF16));
    ok(md_stored_type(&type, g_dir));
    assert_int_equal(type, KN_BF16);
    ok(md_save(m, g_dir, KN_REAL));
    ok(md_stored_type(&type, g_dir));
    assert_int_equal(type, KN_REAL);
    md_destroy(&m);
}

static void scales_are_numbers(void **state)
{
    static const float bad[] = {0, -1, INFINITY, NAN, 1e-39f};
    (void)state;
    for (int i = 0; i < 10; i++) {
        md_model *m                     = quantised(4);
        kn_quant *q                     = find_tensor(m, own_head)->data;
        (i < 5 ? q->scale : q->zero)[7] = bad[i % 5];
        ok(md_save(m, g_dir, KN_REAL));
        if (i < 5 || !isfinite(bad[i % 5])) refused(RT_EFORMAT, "row 3, group 1 of lm_head.weight has the scale");
        md_destroy(&m);
    }
    for (int i = 0; i < 2; i++) { /* each is a number; what the levels stand for is none */
        md_model *m = quantised(4);
        kn_quant *q = find_tensor(m, own_head)->data;
        q->scale[7] = 1e-37f, q->zero[7] = i ? -1e38f : 1e38f;
        ok(md_save(m, g_dir, KN_REAL));
        refused(RT_EFORMAT, "row 3, group 1 of lm_head.weight has the scale 1e-37 and the zero point");
        md_destroy(&m);
    }
}

/* ---- safetensors --------------------------------------------------------------------------------- */

static rt_status open_header(const char *header, int64_t bytes)
{
    rt_buf   b        = {0};
    md_st   *f        = NULL;
    uint64_t n        = strlen(header);
    char     none[64] = {0};
    for (int i = 0; i < 8; i++) ok(rt_buf_add(&b, &(char){(char)(n >> 8 * i)}, 1));
    ok(rt_buf_str(&b, header));
    ok(rt_buf_add(&b, none, (size_t)bytes));
    ok(rt_file_write(in_dir("t.safetensors"), b.p, b.len));
    rt_buf_free(&b);
    const rt_status st = md_st_open(&f, in_dir("t.safetensors"));
    md_st_close(&f);
    return st;
}

#define ENTRY(name, shape, offsets) "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void headers_are_checked(void **state)
{
    static const struct {
        const char *header;
        int64_t     bytes;
        const char *refused;
    } all[] = {{"{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("b", "[]", "[8,12]") "," ENTRY("c", "[0,3]", "[8,8]") "}", 12, NULL},
               {"{\"__metadata__\":{\"format\":\"pt\"}}", 0, NULL},
               {"[1]", 0, "expected a JSON object"},
               {"7", 0, "expected a JSON object"},
               {"{\"a\":[1]}", 0, "lacks dtype, shape or data_offsets"},
               {"{" ENTRY("a", "{\"x\":2}", "[0,8]") "}", 8, "lacks dtype, shape or data_offsets"},
               {"{" ENTRY("a", "[2]", "{\"x\":0,\"y\":8}") "}", 8, "lacks dtype, shape or data_offsets"},
               {"{" ENTRY("a", "[2]", "[0,8,8]") "}", 8, "data_offsets must be two integers"},
               {"{\"a\":{\"dtype\":\"F4\",\"shape\":[65],\"data_offsets\":[0,8]}}", 8, "fewer than a bit for each of its 65 elements"},
               {"{" ENTRY("a", "[2]", "[0,8.5]") "}", 9, "data_offsets must be two integers"},
               {"{" ENTRY("a", "[2]", "[-8,0]") "}", 8, "data_offsets must be two integers"},
               {"{" ENTRY("a", "[2]", "[\"0\",8]") "}", 8, "data_offsets must be two integers"},
               {"{" ENTRY("a", "[2]", "[0,1e300]") "}", 8, "data_offsets must be two integers"},
               {"{" ENTRY("a", "[2]", "[8,0]") "}", 8, "data_offsets must be two integers"},
               {"{" ENTRY("a", "[2]", "[0,8]") "}", 4, "ends after the end of the file"},
               {"{" ENTRY("a", "[1.5]", "[0,6]") "}", 6, "wrong size"},
               {"{" ENTRY("a", "[-2]", "[0,8]") "}", 8, "wrong size"},
               {"{" ENTRY("a", "[1e300]", "[0,8]") "}", 8, "wrong size"},
               {"{" ENTRY("a", "[1,1,1,1,2]", "[0,8]") "}", 8, "more than 4 dimensions"},
               {"{" ENTRY("a", "[1099511627776,1099511627776]", "[0,8]") "}", 8, "too large"},
               {"{" ENTRY("a", "[3]", "[0,8]") "}", 8, "its shape needs 12"},
               {"{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("b", "[2]", "[4,12]") "}", 12, "the one before it ends at 8"},
               {"{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("b", "[1]", "[12,16]") "}", 16, "the one before it ends at 8"},
               {"{" ENTRY("a", "[2]", "[0,8]") "}", 12, "4 bytes follow the last tensor"},
               {"{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("a", "[2]", "[8,16]") "}", 16, "occurs twice"}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const rt_status st = open_header(all[i].header, all[i].bytes);
        if (!all[i].refused) ok(st);
        else if (st != RT_EFORMAT || !strstr(rt_error_text(), all[i].refused))
            fail_msg("%s: expected \"%s\", status %d: %s", all[i].header, all[i].refused, (int)st, rt_error_text());
    }
}

/* Looking at each pair of names would take a minute.  Under the sanitizer each allocation takes long. */
#ifdef __SANITIZE_ADDRESS__
enum { NAMES = 1000 };
#else
enum { NAMES = 100000 };
#endif
static void many_names_take_no_time(void **state)
{
    const clock_t began = clock();
    rt_buf        b     = {0};
    md_st        *f     = NULL;
    char          name[32];
    (void)state;
    for (int i = 0; i < NAMES; i++)
        ok(rt_buf_fmt(&b, "%s\"%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "{", i * 7919 % NAMES));
    ok(rt_buf_str(&b, "}"));
    ok(open_header(b.p, 0));
    ok(md_st_open(&f, in_dir("t.safetensors")));
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_string_equal(md_st_find(f, name)->name, name);
    }
    md_st_close(&f);
    rt_buf_free(&b);
    assert_true(clock() - began < 8 * CLOCKS_PER_SEC);
}

/* What replaces a file is whole before it does. */
static void writing_replaces_whole_files(void **state)
{
    const md_config c = shape(MD_LLAMA);
    md_model       *m = model(&c, 1), *back;
    md_st          *f = NULL;
    md_st_tensor    e = {.name = "x", .dtype = "F32", .nd = 1, .shape = {4}};
    (void)state;
    save(&c, 1);
    ok(md_st_begin(&f, in_dir("model.safetensors"), &e, 1));
    back = loaded();
    md_st_close(&f);
    same_weights(back, m);
    md_destroy(&back), md_destroy(&m);
}

static int finish(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rotary_settings_have_many_spellings),
                                       cmocka_unit_test(only_settings_that_change_results_are_refused),
                                       cmocka_unit_test(the_index_decides),
                                       cmocka_unit_test(a_head_of_its_own_is_used),
                                       cmocka_unit_test(weights_are_finite),
                                       cmocka_unit_test(logits_are_finite),
                                       cmocka_unit_test(hard_groups),
                                       cmocka_unit_test(parts_belong_to_quantised_matrices),
                                       cmocka_unit_test(quantised_once),
                                       cmocka_unit_test(quantised_folders_say_so),
                                       cmocka_unit_test(stored_types),
                                       cmocka_unit_test(scales_are_numbers),
                                       cmocka_unit_test(headers_are_checked),
                                       cmocka_unit_test(many_names_take_no_time),
                                       cmocka_unit_test(writing_replaces_whole_files)};
    if (kn_init() != RT_OK || !mkdtemp(g_dir)) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, finish);
}
