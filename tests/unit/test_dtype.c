/* test_dtype.c -- the type of a model decides in which type its text is scored and its prompts are read, whatever gemm backend runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "infer/infer.h"
#include "model/score.h"
#include "tests/support/check.h"
#include <math.h>
#include <string.h>

enum { V = 61, C = 32, L = 2, N = 33, OF_A_LAYER = 7 }; /* N: a chunk of a prompt and one token more */

static const md_config shape = {.family     = MD_LLAMA,
                                .V          = V,
                                .C          = C,
                                .L          = L,
                                .H          = 4,
                                .KV         = 2,
                                .D          = 16,
                                .F          = 48,
                                .context    = N,
                                .rope.theta = 10000,
                                .norm_eps   = 1e-5,
                                .bos        = 1};

static md_model *model(kn_type type)
{
    md_model *m = NULL;
    ok(md_create(&m, &shape, type));
    md_init(m, 7);
    return m;
}

static const int32_t *text(void)
{
    static int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = (int32_t)(rt_mix64((uint64_t)i) % V);
    return ids;
}

static void keep(void *ud, int64_t t, real *z, int thread)
{
    (void)thread;
    memcpy((real *)ud + t * V, z, V * sizeof *z);
}

static void score_text(const md_model *m, real *z)
{
    md_scorer *s = NULL;
    ok(md_scorer_create(&s, m, N));
    ok(md_score(s, text(), N, keep, z));
    md_scorer_destroy(&s);
}

/* ---- the operands of products ------------------------------------------------------------------- */

typedef struct seen {
    int of[KN_TYPES]; /* products whose operands are both of the type */
    int mixed, heads; /* heads: with V columns */
} seen;

static void see(void *ud, kn_type ct, const kn_mat *a, const kn_mat *b, int64_t rows, int64_t n, int64_t inner)
{
    seen *s = ud;
    (void)ct, (void)rows, (void)inner;
    if (a->t == b->t) s->of[a->t]++;
    else s->mixed++;
    s->heads += n == V;
}

static void all_of(const seen *s, kn_type type, int products, int heads)
{
    assert_int_equal(s->mixed, 0);
    assert_int_equal(s->of[type], products);
    assert_int_equal(s->of[type == KN_BF16 ? KN_REAL : KN_BF16], 0);
    assert_int_equal(s->heads, heads);
}

/* No product of many rows has an operand of another type: it would then be computed in f32 though all tensors are bf16. */
static void operands_have_the_models_type(void **state)
{
    (void)state;
    static real z[N * V];
    static seen scored, prompt; /* a failed test leaves the function without kn_gemm_watch(NULL, NULL) */
    for (kn_type type = KN_REAL; type <= KN_BF16; type++) {
        md_model    *m       = model(type);
        inf_session *session = NULL;
        const real  *logits  = NULL;
        scored = prompt = (seen){{0}, 0, 0};
        ok(inf_session_create(&session, m, N));
        kn_gemm_watch(see, &scored);
        score_text(m, z);
        kn_gemm_watch(see, &prompt);
        ok(inf_feed(session, text(), N, &logits));
        kn_gemm_watch(NULL, NULL);
        all_of(&scored, type, OF_A_LAYER * L + 1, 1);
        all_of(&prompt, type, OF_A_LAYER * L, 0); /* the head multiplies one row */
        inf_session_destroy(&session);
        md_destroy(&m);
    }
}

/* ---- their numbers ---------------------------------------------------------------------------------- */

static int has_bf16(void)
{
    int found = 0;
    for (int i = 0; kn_gemm_name_at(i); i++) found |= !strcmp(kn_gemm_name_at(i), "bf16");
    return found;
}

static double most_apart(const real *a, const real *b)
{
    double most = 0;
    for (int i = 0; i < N * V; i++) most = fmax(most, fabs((double)(a[i] - b[i])));
    return most;
}

static void bf16_multiplies_only_what_is_bf16(void **state)
{
    (void)state;
    static real              z[KN_BF16 + 1][2][N * V];
    static const char *const backend[] = {"own", "bf16"};
    if (!has_bf16()) skip();
    for (kn_type type = KN_REAL; type <= KN_BF16; type++) {
        md_model *m = model(type);
        for (int b = 0; b < 2; b++) {
            ok(kn_gemm_use(backend[b], "own"));
            score_text(m, z[type][b]);
        }
        md_destroy(&m);
    }
    assert_memory_equal(z[KN_REAL][0], z[KN_REAL][1], sizeof z[KN_REAL][0]);
    const double cast = most_apart(z[KN_BF16][0], z[KN_REAL][0]), multiplied = most_apart(z[KN_BF16][1], z[KN_REAL][0]);
    print_message("largest difference from f32: %.4f, %.4f with bf16 operands\n", cast, multiplied);
    assert_true(cast > 0 && cast < 0.05 && multiplied > 0 && multiplied < 0.05);
    assert_true(most_apart(z[KN_BF16][0], z[KN_BF16][1]) > 0);
}

static int set_up(void **state)
{
    (void)state;
    return kn_init() != RT_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(operands_have_the_models_type),
                                       cmocka_unit_test(bf16_multiplies_only_what_is_bf16)};
    return cmocka_run_group_tests_name("dtype", tests, set_up, NULL);
}
