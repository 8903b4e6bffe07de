/* test_offline.c -- a soft shard made in process: its rows are those of the model, a document at a time, up to the rounding of
 * matrix products; its encoded states rebuild the distributions; what cannot be scored leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "core/rng.h"
#include "data/shard/columns.h"
#include "data/text.h"
#include "distill/score.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include "tests/support/check.h"
#include "tests/support/tensor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 290, C = 32, CONTEXT = 48, DOCS = 90, K = 6, M = 5, SEED = 11 };

static char      g_dir[64], g_text[2][96], g_out[96], g_sha[RT_SHA_HEX];
static md_model *g_model;

static int64_t length(int d) { return 1 + (int64_t)(rt_mix64((uint64_t)d) % CONTEXT); }
static int32_t token(int d, int64_t i) { return (int32_t)(rt_mix2((uint64_t)d, (uint64_t)i) % V); }

/* Documents from..to-1. */
static void write_text(const char *path, int from, int to, const char *tokenizer, int64_t longer)
{
    ds_writer *w;
    ds_info    info = {.vocab = V};
    int32_t    ids[CONTEXT + 1];
    uint8_t    prompt[CONTEXT + 1];
    snprintf(info.tokenizer, sizeof info.tokenizer, "%s", tokenizer);
    remove(path);
    ok(ds_writer_create(&w, path, &info));
    for (int d = from; d < to; d++) {
        const int64_t n = longer ? longer : length(d);
        for (int64_t i = 0; i < n; i++) ids[i] = token(d, i), prompt[i] = i < d % 3;
        ok(ds_writer_add(
            w, &(ds_doc){.n = n, .ids = ids, .prompt_mask = prompt, .topic = d % 2 ? "odd" : "even", .seed = 5 + (uint64_t)d, .cost = d}));
    }
    ok(ds_writer_finish(&w));
}

/* A random model, sharper than at birth, in a folder with a tokenizer. */
static void write_model(void)
{
    const md_config c = {.family     = MD_LLAMA,
                         .V          = V,
                         .C          = C,
                         .L          = 2,
                         .H          = 4,
                         .KV         = 2,
                         .D          = 8,
                         .F          = 48,
                         .context    = CONTEXT,
                         .rope.theta = 1e4,
                         .norm_eps   = 1e-5,
                         .bos        = 0,
                         .ends       = {{0}, 1}};
    ds_tokenizer   *t;
    md_model       *m;
    char            text[96];
    snprintf(text, sizeof text, "%s/text.txt", g_dir);
    FILE *f = fopen(text, "w");
    for (int i = 0; i < 400; i++) fprintf(f, "line %d of the vessel and the wine %d\n", i, i * i);
    fclose(f);
    ok(ds_tokenizer_train(&(ds_input){.names = (const char *[]){text}, .n = 1}, V, "<|end|>", g_dir, NULL));
    ok(ds_tokenizer_load(&t, g_dir));
    strcpy(g_sha, ds_tokenizer_identity(t));
    ds_tokenizer_destroy(&t);
    ok(md_create(&m, &c, KN_REAL));
    md_init(m, 3);
    real *w = md_head(m)->data;
    for (int64_t i = 0; i < V * C; i++) w[i] *= 8;
    ok(md_save(m, g_dir, KN_REAL));
    md_destroy(&m);
    ok(md_load(&g_model, g_dir, KN_REAL));
}

static int set_up(void **state)
{
    (void)state;
    strcpy(g_dir, "/tmp/test_offline_XXXXXX");
    if (!mkdtemp(g_dir) || kn_init() != RT_OK) return -1;
    for (int i = 0; i < 2; i++) snprintf(g_text[i], sizeof g_text[i], "%s/text%d.h5", g_dir, i);
    snprintf(g_out, sizeof g_out, "%s/soft.h5", g_dir);
    write_model();
    write_text(g_text[0], 0, 50, g_sha, 0);
    write_text(g_text[1], 50, DOCS, g_sha, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    md_destroy(&g_model);
    return rt_dir_remove(g_dir) != RT_OK;
}

static const rt_strings *both(void)
{
    static rt_strings t;
    return t = (rt_strings){{g_text[0], g_text[1]}, 2}, &t;
}
static di_score_opts opts(void) { return (di_score_opts){.shards = both(), .out = g_out, .k = K, .m = M, .seed = SEED, .program = "test"}; }

static double g_loss; /* as the newest scoring says */

static ds_shard *scored(const di_score_opts *o)
{
    ds_shard *s;
    di_scored r;
    remove(o->out);
    ok(di_score(g_model, o, &r));
    g_loss = r.codec_loss;
    ok(ds_shard_open(&s, o->out));
    assert_true(r.documents == ds_shard_docs(s) && r.tokens == ds_shard_tokens(s));
    ok(ds_shard_verify(s));
    return s;
}

/* The program links with --wrap=kn_gemm: while g_perturb is set, every output of a matrix product is moved by one unit in the
 * last place or left alone, as another gemm kernel would do. */
static int g_perturb;
void       __real_kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t M, int64_t N, int64_t K, const void *plus);
void       __wrap_kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t M, int64_t N, int64_t K, const void *plus);

void __wrap_kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t rows, int64_t n, int64_t inner, const void *plus)
{
    static uint64_t calls;
    const double    unit = sizeof(real) == 8 ? 0x1p-52 : 0x1p-23;
    __real_kn_gemm(c, ct, ldc, a, b, rows, n, inner, plus);
    if (!g_perturb || ct != KN_REAL) return;
    calls++;
    for (int64_t i = 0; i < rows * n; i++) {
        real     *x  = (real *)c + i / n * ldc + i % n;
        const int by = (int)(rt_mix2(calls, (uint64_t)i) % 3) - 1;
        *x += (real)(by * (double)*x * unit);
    }
}

typedef struct alone {
    int           d;
    const ds_doc *doc;
    int64_t       tails, other_tails, swaps;
} alone;

/* The row as the server would make it. */
static void compare_row(void *ud, int64_t t, real *z, int thread)
{
    alone         *a    = ud;
    const ds_rows *made = &a->doc->rows;
    int32_t        ids[K], tail[M];
    float          lp[K];
    ds_rows        own = {.n = 1, .k = K, .m = M, .topk_ids = ids, .topk_logprob = lp, .tail_ids = tail};
    (void)thread;
    if (t + 1 >= a->doc->n) return;
    const uint64_t       seed = rt_mix2(rt_mix2(SEED, (uint64_t)a->d), (uint64_t)(t + 1));
    const md_teacher_row r    = md_teacher_fill(&own, 0, z, V, token(a->d, t + 1), seed);
    for (int i = 0; i < K; i++) {
        const int32_t id = made->topk_ids[t * K + i];
        assert_true(fabsf(lp[i] - made->topk_logprob[t * K + i]) < 4e-5f);
        assert_true(fabs((double)z[id] - (double)z[ids[i]]) < 4e-5); /* another id only where the two are tied but for rounding */
        a->swaps += id != ids[i];
    }
    assert_true(fabs(r.tail_mass - (double)made->tail_mass[t]) < 4e-5);
    assert_true(fabs(r.tail_entropy - (double)made->tail_entropy[t]) < 1e-4);
    assert_true(fabs(r.actual_logprob - (double)made->actual_logprob[t]) < 4e-5);
    a->tails++;
    a->other_tails += memcmp(tail, made->tail_ids + t * M, sizeof tail) != 0; /* a last bit may move one across an aim */
}

/* Every row of a scored shard against the model's own; *swaps: entries of the top k that a tie gave to another id. */
static void compare_rows(int perturb, int64_t *swaps)
{
    di_score_opts o = opts();
    md_scorer    *scorer;
    ds_doc        doc;
    alone         a       = {.doc = &doc};
    const int     threads = rt_threads();
    o.codec_bytes         = 4; /* the text is gone through twice */
    ds_shard *s           = scored(&o);
    assert_int_equal(ds_shard_docs(s), DOCS);
    ok(md_scorer_create(&scorer, g_model, CONTEXT));
    rt_threads_set(1);
    g_perturb = perturb;
    for (a.d = 0; a.d < DOCS; a.d++) {
        ok(ds_shard_doc(s, a.d, &doc));
        assert_int_equal(doc.n, length(a.d));
        for (int64_t i = 0; i < doc.n; i++)
            assert_true(doc.ids[i] == token(a.d, i) && doc.prompt_mask[i] == (i < a.d % 3) && doc.rows.valid[i] == (i + 1 < doc.n));
        assert_true(!strcmp(doc.topic, a.d % 2 ? "odd" : "even") && doc.seed == 5 + (uint64_t)a.d && doc.cost == a.d);
        ok(md_score(scorer, doc.ids, doc.n, compare_row, &a));
    }
    g_perturb = 0;
    rt_threads_set(threads);
    assert_true(a.tails > 1000 && a.other_tails * 100 < a.tails && a.swaps * 50 < a.tails * K);
    *swaps = a.swaps;
    md_scorer_destroy(&scorer);
    ds_shard_close(&s);
}

static void rows_are_the_models(void **state)
{
    int64_t swaps;
    (void)state;
    compare_rows(0, &swaps);
}

/* Products that differ in the last bit order tied entries otherwise; that is no other row. */
static void rows_are_the_models_but_for_rounding(void **state)
{
    int64_t swaps;
    real    kept[C], *w = md_head(g_model)->data;
    (void)state;
    memcpy(kept, w + 7 * C, sizeof kept);
    memcpy(w + 7 * C, w + (V - 1) * C, sizeof kept); /* two ids that are always tied */
    compare_rows(1, &swaps);
    memcpy(w + 7 * C, kept, sizeof kept);
    assert_true(swaps > 0);
}

/* ---- encoded states ------------------------------------------------------------------------------------- */

typedef struct rebuilt {
    const ds_doc   *doc;
    const ds_codec *x;
    double          kl[CONTEXT];
} rebuilt;

static float from_bf16(uint16_t b)
{
    const uint32_t u = (uint32_t)b << 16;
    float          x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static void divergence(void *ud, int64_t t, real *z, int thread)
{
    rebuilt      *r    = ud;
    const int64_t cols = r->x->r + 1;
    float         y[C + 1];
    real          q[V];
    double        kl = 0;
    (void)thread;
    if (t + 1 >= r->doc->n) return;
    ds_codec_decode(r->x, r->doc->rows.encoded + t * r->x->bytes, y);
    for (int v = 0; v < V; v++) {
        q[v] = 0;
        for (int64_t i = 0; i < cols; i++) q[v] += (real)(from_bf16(r->x->head[v * cols + i]) * y[i]);
    }
    const double lz = md_lse(z, V), lq = md_lse(q, V);
    for (int v = 0; v < V; v++) kl += exp((double)z[v] - lz) * ((double)z[v] - lz - ((double)q[v] - lq));
    r->kl[t] = kl;
}

/* Nats a row between the model and what its encoded states of so many bytes say. */
static double mean_divergence(int64_t bytes, int64_t k, int64_t m)
{
    di_score_opts o = opts();
    md_scorer    *scorer;
    ds_doc        doc;
    rebuilt       r   = {.doc = &doc};
    double        sum = 0;
    int64_t       n   = 0;
    o.codec_bytes = bytes, o.k = k, o.m = m;
    ds_shard *s = scored(&o);
    ok(ds_shard_codec(s, &r.x));
    ok(md_scorer_create(&scorer, g_model, CONTEXT));
    for (int d = 0; d < DOCS; d++) {
        ok(ds_shard_doc(s, d, &doc));
        ok(md_score(scorer, doc.ids, doc.n, divergence, &r));
        for (int64_t t = 0; t + 1 < doc.n; t++, n++) sum += r.kl[t];
    }
    md_scorer_destroy(&scorer);
    ds_shard_close(&s);
    return sum / (double)n;
}

/* The bounds are what was measured and a little: with bits shared otherwise, or another metric, it is more. */
static void codecs_rebuild_the_distributions(void **state)
{
    (void)state;
    static const double  most[]  = {2.95, 2.36, 1.43, 0.49, 0.0495, 0.00068, 0.00068};
    static const int64_t bytes[] = {1, 2, 4, 8, 16, 32, 100};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        const double kl = mean_divergence(bytes[i], i % 2 ? K : 0, 0);
        print_message("%lld bytes: %.6f nats\n", (long long)bytes[i], kl);
        assert_true(kl >= 0 && kl < most[i]);
        assert_true(g_loss > 0.6 * kl && g_loss < 1.7 * kl); /* measured on an eighth of the rows, not those of the fit */
    }
}

/* The decoder is that of the shard it is made like, not the one that its own text would give. */
static void like_another(void **state)
{
    (void)state;
    const rt_strings first = {{g_text[0]}, 1}, second = {{g_text[1]}, 1};
    char             other[96];
    const ds_codec  *x, *y;
    di_score_opts    o = opts();
    snprintf(other, sizeof other, "%s/like.h5", g_dir);
    o.codec_bytes = 16, o.shards = &second, o.out = other;
    ds_shard    *own = scored(&o);
    const double was = g_loss;
    o.out = g_out, o.shards = &first;
    ds_shard *a = scored(&o);
    ok(ds_shard_codec(a, &x));
    ok(ds_shard_codec(own, &y));
    assert_non_null(ds_codec_differs(x, y));
    ds_shard_close(&own);
    o           = (di_score_opts){.shards = &second, .out = other, .seed = SEED, .codec_from = g_out, .program = "test"};
    ds_shard *b = scored(&o);
    ok(ds_shard_codec(b, &y));
    assert_null(ds_codec_differs(x, y));
    assert_true(x->C == C && y->loss == x->loss && ds_shard_info(b)->k == K && ds_shard_info(b)->m == M);
    print_message("lost: %.4f nats of the first text, %.4f of the second by the same decoder, %.4f by its own\n", x->loss, g_loss, was);
    assert_true(g_loss > 0.7 * was && g_loss < 1.5 * was);
    ds_shard_close(&a);
    ds_shard_close(&b);
    remove(other);
}

static void scores_are_a_function_of_their_input(void **state)
{
    (void)state;
    char          one[RT_SHA_HEX], two[RT_SHA_HEX];
    di_score_opts o       = opts();
    const int     threads = rt_threads();
    o.codec_bytes         = 6;
    for (int i = 0; i < 3; i++) {
        rt_threads_set(i == 1 ? threads : 1);
        o.seed      = i == 2;
        ds_shard *s = scored(&o);
        ok(ds_shard_digest(s, i ? two : one));
        ds_shard_close(&s);
        if (i == 1) assert_string_equal(one, two);
        if (i == 2) assert_string_not_equal(one, two);
    }
    rt_threads_set(threads);
}

/* ---- the type of the teacher ------------------------------------------------------------------------- */

static const float *logprobs(ds_shard *s, int64_t doc, ds_doc *d)
{
    ok(ds_shard_doc(s, doc, d));
    return d->rows.actual_logprob;
}

/* The largest difference of a text token's log-probability. */
static double most_apart(ds_shard *a, ds_shard *b)
{
    double most = 0;
    for (int64_t d = 0; d < DOCS; d++) {
        ds_doc       x, y;
        const float *p = logprobs(a, d, &x), *q = logprobs(b, d, &y);
        for (int64_t t = 0; t + 1 < x.n; t++) most = fmax(most, fabs((double)(p[t] - q[t])));
    }
    return most;
}

static void a_shard_says_in_which_type_it_was_made(void **state)
{
    (void)state;
    md_model     *f32 = g_model;
    di_score_opts o   = opts();
    char          other[96], backend[64];
    snprintf(other, sizeof other, "%s/bf16.h5", g_dir);
    ds_shard *a = scored(&o);
    g_model     = NULL;
    ok(md_load(&g_model, g_dir, KN_BF16));
    o.out       = other;
    ds_shard *b = scored(&o);
    md_destroy(&g_model);
    g_model = f32;
    assert_string_equal(ds_shard_info(a)->dtype, kn_type_name(KN_REAL));
    assert_string_equal(ds_shard_info(b)->dtype, "bf16");
    snprintf(backend, sizeof backend, "{\"backend\":\"%s\",", kn_gemm_name());
    assert_ptr_equal(strstr(ds_shard_info(a)->gemm, backend), ds_shard_info(a)->gemm);
    assert_string_equal(ds_shard_info(a)->gemm, ds_shard_info(b)->gemm);
    const double most = most_apart(a, b);
    print_message("largest difference between f32 and bf16: %.4f nats\n", most);
    assert_true(most > 1e-4 && most < 0.3); /* the model is sharper than at birth */
    ds_shard_close(&a);
    ds_shard_close(&b);
    remove(other);
}

/* ---- what cannot be -------------------------------------------------------------------------------- */

static void refused(const di_score_opts *o, rt_status status, const char *word)
{
    di_scored r;
    char    **names;
    int       n;
    assert_int_equal(di_score(g_model, o, &r), status);
    if (!strstr(rt_error_text(), word)) fail_msg("'%s' is not in: %s", word, rt_error_text());
    ok(rt_dir_list(&names, &n, g_dir));
    for (int i = 0; i < n; i++) assert_null(strstr(names[i], "soft.h5.tmp"));
    rt_names_free(&names, n);
}

static void what_cannot_be_scored(void **state)
{
    (void)state;
    di_score_opts    o = opts();
    char             other[96];
    const rt_strings mixed = {{g_text[0], other}, 2};
    snprintf(other, sizeof other, "%s/other.h5", g_dir);
    refused(&o, RT_EINVAL, "exists already");
    remove(g_out);
    o.k = o.m = 0;
    refused(&o, RT_EINVAL, "a soft shard has at least one of them");
    o.k = MD_TEACHER_MAX_K + 1;
    refused(&o, RT_EINVAL, "k must be from 0 to 256");
    o             = opts();
    o.codec_bytes = 5000;
    refused(&o, RT_EINVAL, "4096");
    o        = opts();
    o.shards = &mixed;
    write_text(other, 0, 2, "fedcba", 0);
    refused(&o, RT_EMISMATCH, "fedcba");
    char begin[13];
    snprintf(begin, sizeof begin, "%.12s", g_sha);
    refused(&o, RT_EMISMATCH, begin);
    write_text(other, 0, 2, g_sha, CONTEXT + 1);
    refused(&o, RT_EINVAL, "document 0 of");
    write_text(other, 0, 2, g_sha, 1); /* documents of one token: no row to fit to */
    o.shards      = &(rt_strings){{other}, 1};
    o.codec_bytes = 4;
    refused(&o, RT_ECHECK, "no row to fit");
}

/* A copy of `from` whose encoded states do not say how they were made. */
static void write_without_map(const char *path, const char *from)
{
    const ds_codec *x;
    ds_shard       *s;
    ds_writer      *w;
    ds_doc          doc;
    ok(ds_shard_open(&s, from));
    ok(ds_shard_codec(s, &x));
    ds_codec bare = *x;
    bare.map = NULL, bare.C = 0;
    remove(path);
    ok(ds_writer_create(&w, path, ds_shard_info(s)));
    ok(ds_shard_doc(s, 0, &doc));
    ok(ds_writer_add(w, &doc));
    ok(ds_writer_codec(w, &bare));
    ok(ds_writer_finish(&w));
    ds_shard_close(&s);
}

static void what_is_not_alike(void **state)
{
    (void)state;
    di_score_opts o = opts();
    char          first[96], other[96];
    snprintf(first, sizeof first, "%s/first.h5", g_dir);
    snprintf(other, sizeof other, "%s/other.h5", g_dir);
    o.codec_bytes = 16, o.out = first;
    ds_shard *s = scored(&o);
    ds_shard_close(&s);
    remove(g_out);
    o.out = g_out, o.codec_from = g_text[0];
    refused(&o, RT_EMISMATCH, "a text shard");
    write_text(other, 0, 2, "fedcba", 0);
    o.codec_from = other;
    refused(&o, RT_EMISMATCH, "fedcba");
    write_without_map(other, first);
    refused(&o, RT_EMISMATCH, "does not hold its encoder");
    real *w      = md_head(g_model)->data;
    o.codec_from = first;
    for (int64_t i = 0; i < V * C; i++) w[i] *= -1; /* another model of the same shape */
    refused(&o, RT_EMISMATCH, "which is another model or scores very");
    for (int64_t i = 0; i < V * C; i++) w[i] *= -1;
    write_text(other, 0, 3, g_sha, 1); /* no row to measure: nothing speaks against it */
    o.shards = &(rt_strings){{other}, 1};
    s        = scored(&o);
    assert_true(isnan(g_loss) && ds_shard_docs(s) == 3);
    ds_shard_close(&s);
    remove(g_out);
    real *h = find_tensor(g_model, "model.norm.weight")->data, was = h[0];
    o.shards = both(), h[0] = NAN;
    refused(&o, RT_ECHECK, "are not finite");
    h[0] = was;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_models),
        cmocka_unit_test(rows_are_the_models_but_for_rounding),
        cmocka_unit_test(codecs_rebuild_the_distributions),
        cmocka_unit_test(scores_are_a_function_of_their_input),
        cmocka_unit_test(like_another),
        cmocka_unit_test(a_shard_says_in_which_type_it_was_made),
        cmocka_unit_test(what_cannot_be_scored),
        cmocka_unit_test(what_is_not_alike),
    };
    return cmocka_run_group_tests_name("offline", tests, set_up, tear_down);
}
