/* test_gemm.c -- the matrix product against a triple loop, matrix times vector in every type, eigenvectors.
 *
 * Operands of gemm are small multiples of 1/64: then each sum is exact in every type and order, and
 * results must be equal, those of OpenBLAS too, where it is there.  Called as `test_gemm small` it leaves out the large
 * products (for valgrind and emulators).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/kernels.h"
#include <math.h>
#include <string.h>

/* ---- gemm ------------------------------------------------------------------------------------------------- */

enum { PAD = 3, MAX_LD = 700 + PAD, VARIANTS = 128 };

/* A matrix in all forms that kn_gemm takes: x[trans][padded] as reals and as bf16. */
typedef struct forms {
    int64_t  rows, cols;
    double  *plain; /* [rows, cols] */
    real    *x[2][2];
    kn_bf16 *h[2][2];
} forms;

static void *memory(int64_t n, size_t size)
{
    void *p;
    if (rt_alloc(&p, n, size, "test") != RT_OK) fail_msg("%s", rt_error_text());
    return p;
}

static forms make_forms(int64_t rows, int64_t cols, uint64_t seed)
{
    forms  f = {.rows = rows, .cols = cols, .plain = memory(rows * cols, sizeof(double))};
    rt_rng r = {seed};
    for (int64_t i = 0; i < rows * cols; i++) f.plain[i] = ((double)rt_rng_below(&r, 129) - 64) / 64;
    for (int trans = 0; trans < 2; trans++)
        for (int pad = 0; pad < 2; pad++) {
            const int64_t h = trans ? cols : rows, w = trans ? rows : cols, ld = w + PAD * pad;
            real         *x = f.x[trans][pad] = memory(h * ld, sizeof(real));
            f.h[trans][pad]                   = memory(h * ld, sizeof(kn_bf16));
            for (int64_t i = 0; i < h; i++)
                for (int64_t j = 0; j < ld; j++) x[i * ld + j] = j < w ? (real)f.plain[trans ? j * cols + i : i * cols + j] : (real)NAN;
            kn_get()->to_bf16(f.h[trans][pad], x, h * ld);
        }
    return f;
}

static void free_forms(forms *f)
{
    free(f->plain);
    for (int i = 0; i < 4; i++) free(f->x[i / 2][i % 2]), free(f->h[i / 2][i % 2]);
}

static kn_mat mat(const forms *f, int trans, int pad, int bf16)
{
    const int64_t ld = (trans ? f->rows : f->cols) + PAD * pad;
    return (kn_mat){bf16 ? (const void *)f->h[trans][pad] : (const void *)f->x[trans][pad], bf16 ? KN_BF16 : KN_REAL, ld, trans};
}

static void multiply(double *c, const forms *a, const forms *b)
{
    memset(c, 0, (size_t)(a->rows * b->cols) * sizeof *c);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = 0; k < a->cols; k++)
            for (int64_t j = 0; j < b->cols; j++) c[i * b->cols + j] += a->plain[i * a->cols + k] * b->plain[k * b->cols + j];
}

/* bits of v: A transposed, B transposed, A bf16, B bf16, C bf16, acc, padded rows */
static int count_wrong(const double *want, const forms *a, const forms *b, void *c, int v)
{
    const int     bf16 = v >> 4 & 1, acc = v >> 5 & 1, pad = v >> 6 & 1;
    const int64_t M = a->rows, N = b->cols, ldc = N + PAD * pad;
    const kn_type t     = bf16 ? KN_BF16 : KN_REAL;
    const real    start = (real)0.25;
    int           wrong = 0;
    real          row[MAX_LD], work[MAX_LD];
    kn_bf16       h[MAX_LD];
    for (int64_t j = 0; j < ldc; j++) row[j] = j < N ? start : guard;
    for (int64_t i = 0; i < M; i++) kn_put(c, t, i * ldc, row, ldc, 0);
    kn_gemm(c, t, ldc, mat(a, v & 1, pad, v >> 2 & 1), mat(b, v >> 1 & 1, pad, v >> 3 & 1), M, N, a->cols, acc ? c : NULL);
    for (int64_t i = 0; i < M; i++) {
        const real *got = kn_load(c, t, i * ldc, ldc, work);
        for (int64_t j = 0; j < N; j++) row[j] = (real)(want[i * N + j] + (acc ? (double)start : 0));
        if (bf16) kn_at(0)->to_bf16(h, row, ldc), kn_at(0)->from_bf16(row, h, ldc);
        for (int64_t j = 0; j < ldc; j++) wrong += !(got[j] == row[j]);
    }
    return wrong;
}

/* From here on table t and this gemm backend. */
static void choose(int t, const char *backend)
{
    setenv("RETORT_CPU", kn_at(t)->isa, 1);
    assert_int_equal(kn_init(), RT_OK);
    assert_string_equal(kn_get()->isa, kn_at(t)->isa);
    assert_int_equal(kn_gemm_use(backend, "own"), RT_OK);
}

static void check_variants(const forms *a, const forms *b, const double *want, void *c, int first, int stride)
{
    for (int v = first; v < VARIANTS; v += stride) {
        const int wrong = count_wrong(want, a, b, c, v);
        if (wrong)
            fail_msg("%s, %s: M %lld, N %lld, K %lld, variant %02x: %d wrong", kn_get()->isa, kn_gemm_name(), (long long)a->rows,
                     (long long)b->cols, (long long)a->cols, (unsigned)v, wrong);
    }
}

static void check_shape(int64_t M, int64_t N, int64_t K, int first, int stride)
{
    forms   a = make_forms(M, K, 1), b = make_forms(K, N, 2);
    double *want = memory(M * N, sizeof *want);
    void   *c    = memory(M * (N + PAD), sizeof(real));
    multiply(want, &a, &b);
    for (int t = 0; kn_at(t); t++)
        for (int i = 0; kn_gemm_name_at(i); i++) {
            choose(t, kn_gemm_name_at(i));
            check_variants(&a, &b, want, c, first, stride);
        }
    free_forms(&a), free_forms(&b), free(want), free(c);
}

/* Small shapes in all variants; of large ones every 29th, another first one each time. */
static void gemm_is_a_triple_loop(void **state)
{
    static const int64_t m[] = {1, 5, 129, 300}, n[] = {1, 33, 513, MAX_LD - PAD}, k[] = {1, 7, 512, 600};
    (void)state;
    for (int s = 0; s < 64; s++) {
        const int64_t M = m[s / 16], N = n[s / 4 % 4], K = k[s % 4];
        const int     large = M * N * K > 1000000;
        if (large && g_small) continue;
        check_shape(M, N, K, large || g_small ? s % 29 : 0, large || g_small ? 29 : 1);
    }
    choose_best();
}

#ifndef RT_REAL_F64
/* ---- products of bf16 ----------------------------------------------------------------------------------------- */

enum { BM = 29, BN = 77, BK = 131, MOST = 2000 };

static float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

/* What VDPBF16PS computes from bf16 values in floats: the odd product is added first; denormals are zeros. */
static float dot_as_specified(const float *a, const float *b, int64_t ldb, int64_t K)
{
    float s = 0;
    for (int64_t k = 0; k < K; k += 2) {
        if (k + 1 < K) s = flushed(fmaf(flushed(a[k + 1]), flushed(b[(k + 1) * ldb]), s));
        s = flushed(fmaf(flushed(a[k]), flushed(b[k * ldb]), s));
    }
    return s;
}

/* Fills a bf16 matrix [rows, cols], and the same values as floats. */
static void fill_bf16(kn_bf16 *h, float *x, int64_t n, uint64_t seed)
{
    fill_normal(x, n, seed);
    kn_at(0)->to_bf16(h, x, n), kn_at(0)->from_bf16(x, h, n);
}

static void turn(kn_bf16 *to, const kn_bf16 *from, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) to[j * rows + i] = from[i * cols + j];
}

/* C = op(A) op(B) in bf16, with A and B stored as the bits of v say. */
static void multiply_bf16(float *c, const kn_bf16 *a, const kn_bf16 *b, int64_t M, int64_t N, int64_t K, int v)
{
    kn_bf16 *at = memory(M * K, sizeof *at), *bt = memory(K * N, sizeof *bt);
    turn(at, a, M, K), turn(bt, b, K, N);
    const kn_mat x = {v & 1 ? at : a, KN_BF16, v & 1 ? M : K, v & 1}, y = {v & 2 ? bt : b, KN_BF16, v & 2 ? K : N, v >> 1 & 1};
    kn_gemm(c, KN_REAL, N, x, y, M, N, K, NULL);
    free(at), free(bt);
}

static int64_t count_unequal(const float *got, const float *want, int64_t n)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) wrong += !(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])));
    return wrong;
}

/* An instruction may round otherwise than specified: then each sum is near the exact one. */
static int64_t count_far(const float *got, const float *a, const float *b, int64_t M, int64_t N, int64_t K)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            double sum = 0, size = 0;
            for (int64_t k = 0; k < K; k++) {
                sum += (double)a[i * K + k] * (double)b[k * N + j];
                size += fabs((double)a[i * K + k] * (double)b[k * N + j]);
            }
            wrong += !(fabs((double)got[i * N + j] - sum) <= (double)K * 0x1p-23 * size);
        }
    return wrong;
}

static void bf16_products_are_as_specified(void **state)
{
    static const int64_t depths[] = {1, 2, 15, BK, MOST};
    float               *a = memory(BM * MOST, sizeof *a), *b = memory(MOST * BN, sizeof *b), *c = memory(BM * BN, sizeof *c),
          *want = memory(BM * BN, sizeof *want);
    kn_bf16 *ha = memory(BM * MOST, sizeof *ha), *hb = memory(MOST * BN, sizeof *hb);
    (void)state;
    for (int i = 0; i < (g_small ? 4 : 5) * 4; i++) {
        const int64_t K = depths[i / 4];
        fill_bf16(ha, a, BM * K, 1), fill_bf16(hb, b, K * BN, 2);
        for (int64_t m = 0; m < BM; m++)
            for (int64_t n = 0; n < BN; n++) want[m * BN + n] = dot_as_specified(a + m * K, b + n, BN, K);
        for (int t = 0; kn_at(t); t++) {
            choose(t, "bf16");
            multiply_bf16(c, ha, hb, BM, BN, K, i % 4);
            assert_int_equal(count_far(c, a, b, BM, BN, K), 0);
            if (kn_get()->gemm_bf16.emulated && K <= BK) /* longer sums are made of parts */
                assert_int_equal(count_unequal(c, want, BM * BN), 0);
        }
    }
    choose_best();
    free(a), free(b), free(c), free(want), free(ha), free(hb);
}

/* A NaN or infinity stays in its row or column: padding neither hides nor spreads it. */
static void bf16_products_keep_nan_and_infinity(void **state)
{
    static float   a[BM * BK], b[BK * BN], c[BM * BN];
    static kn_bf16 ha[BM * BK], hb[BK * BN];
    (void)state;
    for (int v = 0; v < 4; v++)
        for (int t = 0; kn_at(t); t++) {
            choose(t, "bf16");
            memset(ha, 0xff, sizeof ha); /* NaN, which remains in the work space */
            multiply_bf16(c, ha, ha, BM - 1, BM - 9, BK + 1, v);
            fill_bf16(ha, a, BM * BK, 3), fill_bf16(hb, b, BK * BN, 4);
            ha[2 * BK + BK - 1] = 0x7fc0, ha[(BM - 1) * BK + 1] = 0x7fc0, hb[(BK - 1) * BN + 5] = 0x7f80;
            multiply_bf16(c, ha, hb, BM, BN, BK, v);
            for (int64_t m = 0; m < BM; m++)
                for (int64_t n = 0; n < BN; n++) {
                    const float x = c[m * BN + n];
                    assert_true(m == 2 || m == BM - 1 ? isnan(x) : n == 5 ? isinf(x) : isfinite(x));
                }
        }
    choose_best();
}

/* The instructions and the table ref treat denormals as zeros; the other emulations may keep them. */
static void bf16_products_flush_denormals(void **state)
{
    const kn_bf16 tiny[2] = {0x0040, 0x0040}, large[2] = {0x6000, 0x6000}, least[2] = {0x0080, 0}, half[2] = {0x3f00, 0};
    float         product, sum;
    (void)state;
    for (int t = 0; kn_at(t); t++) {
        choose(t, "bf16");
        multiply_bf16(&product, tiny, large, 1, 1, 2, 0); /* a denormal operand; the product is normal */
        multiply_bf16(&sum, least, half, 1, 1, 2, 0);     /* normal operands; the product is denormal */
        if (t && kn_get()->gemm_bf16.emulated) assert_true(product > 0 && sum == 0x1p-127f);
        else assert_true(product == 0 && sum == 0);
    }
    choose_best();
}

/* Only operands that are both bf16 are multiplied in bf16. */
static void products_of_reals_stay_in_f32(void **state)
{
    float c[2];
    (void)state;
    const float   x = 1 + 0x1p-20f, one = 1;
    const kn_bf16 h = 0x3f80;
    choose(0, "bf16");
    kn_gemm(&c[0], KN_REAL, 1, (kn_mat){&x, KN_REAL, 1, 0}, (kn_mat){&h, KN_BF16, 1, 0}, 1, 1, 1, NULL);
    kn_gemm(&c[1], KN_REAL, 1, (kn_mat){&one, KN_REAL, 1, 0}, (kn_mat){&x, KN_REAL, 1, 0}, 1, 1, 1, NULL);
    assert_true(c[0] == x && c[1] == x);
    assert_int_equal(kn_gemm_operand(KN_BF16), KN_BF16);
    assert_int_equal(kn_gemm_operand(KN_REAL), KN_REAL);
    choose(0, "own");
    assert_int_equal(kn_gemm_operand(KN_BF16), KN_REAL);
    choose_best();
}
#endif

static void threads_do_not_change_gemm(void **state)
{
    const int64_t M = g_small ? 130 : 300, N = g_small ? 520 : 700, K = g_small ? 20 : 600;
    real         *a = memory(M * K, sizeof *a), *b = memory(N * K, sizeof *b), *c[2], *y[2];
    (void)state;
    fill_normal(a, M * K, 1), fill_normal(b, N * K, 2);
    for (int t = 0; t < 2; t++) {
        c[t] = memory(M * N, sizeof(real)), y[t] = memory(N, sizeof(real));
        rt_threads_set(t + 1);
        assert_int_equal(kn_init(), RT_OK);
        kn_gemm(c[t], KN_REAL, N, (kn_mat){a, KN_REAL, K, 0}, (kn_mat){b, KN_REAL, K, 1}, M, N, K, NULL);
        kn_matvec(y[t], b, KN_REAL, a, N, K);
    }
    assert_memory_equal(c[0], c[1], (size_t)(M * N) * sizeof(real));
    assert_memory_equal(y[0], y[1], (size_t)N * sizeof(real));
    for (int t = 0; t < 2; t++) free(c[t]), free(y[t]);
    free(a), free(b);
}

/* ---- matrix times vector ---------------------------------------------------------------------------------------- */

enum { ROWS = 70, COLS = 100, GROUP = 32, GROUPS = 4 }; /* the last group is short */

static double quantise(kn_quant *q, int64_t i, int64_t j)
{
    const int v = (int)((i * 31 + j * 7) % (q->bits == 8 ? 256 : 16));
    if (q->bits == 8) q->q[i * COLS + j] = (uint8_t)v;
    else q->q[(i * COLS + j) / 2] |= (uint8_t)(v << (j % 2 * 4));
    const int64_t at = i * GROUPS + j / GROUP;
    q->scale[at]     = at % 2 ? 64 : 16;
    q->zero[at]      = (float)(at % 11);
    return ((double)v - (double)q->zero[at]) / (double)q->scale[at];
}

static void check_quantised(int bits, const real *x)
{
    static uint8_t bytes[ROWS * COLS];
    static float   scale[ROWS * GROUPS], zero[ROWS * GROUPS];
    static real    row[COLS], y[ROWS];
    static double  w[ROWS][COLS];
    kn_quant q = {.bits = bits, .rows = ROWS, .cols = COLS, .group = GROUP, .groups = GROUPS, .q = bytes, .scale = scale, .zero = zero};
    const kn_type t = bits == 8 ? KN_Q8 : KN_Q4;
    memset(bytes, 0, sizeof bytes);
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t j = 0; j < COLS; j++) w[i][j] = quantise(&q, i, j);
    kn_matvec(y, &q, t, x, ROWS, COLS);
    for (int64_t i = 0; i < ROWS; i++) {
        double want = 0;
        kn_row(row, &q, t, i, COLS);
        for (int64_t j = 0; j < COLS; j++) {
            want += w[i][j] * (double)x[j];
            assert_true((double)row[j] == w[i][j]);
        }
        if ((double)y[i] != want) fail_msg("%s: int%d, row %lld: %.9g, not %.9g", kn_get()->isa, bits, (long long)i, (double)y[i], want);
    }
}

static void check_matvec(int64_t N, const forms *w, const forms *x, const double *want)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        real y[ROWS + 1];
        for (int i = 0; i <= ROWS; i++) y[i] = guard;
        kn_matvec(y, mat(w, 0, 0, bf16).p, bf16 ? KN_BF16 : KN_REAL, x->x[0][0], N, COLS);
        for (int64_t i = 0; i < N; i++)
            if ((double)y[i] != want[i]) fail_msg("%s: bf16 %d, row %lld of %lld", kn_get()->isa, bf16, (long long)i, (long long)N);
        assert_true(y[N] == guard);
    }
}

static void matvec_takes_every_type(void **state)
{
    static const int64_t rows[] = {1, 31, 32, 33, ROWS};
    forms                w = make_forms(ROWS, COLS, 3), x = make_forms(COLS, 1, 4);
    double               want[ROWS];
    (void)state;
    multiply(want, &w, &x);
    for (int t = 0; kn_at(t); t++) {
        choose(t, "own");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_matvec(rows[i], &w, &x, want);
        check_quantised(8, x.x[0][0]), check_quantised(4, x.x[0][0]);
    }
    choose_best();
    free_forms(&w), free_forms(&x);
}

static void eigenvectors_rebuild_the_matrix(void **state)
{
    enum { N = 37 };
    static double a[N * N], e[N * N], w[N];
    uint64_t      s = 1;
    (void)state;
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++)
            a[i * N + j] = a[j * N + i] = (double)((s = s * 6364136223846793005u + 1442695040888963407u) >> 40) / 0x1p23 - 1;
    memcpy(e, a, sizeof e);
    if (kn_eigen(e, w, N) == RT_ENOENT) return; /* no OpenBLAS: said in one line */
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0, dot = 0;
            for (int k = 0; k < N; k++) sum += w[k] * e[k * N + i] * e[k * N + j], dot += e[i * N + k] * e[j * N + k];
            assert_true(fabs(sum - a[i * N + j]) < 1e-12 * N && fabs(dot - (i == j)) < 1e-12 * N);
        }
    for (int i = 1; i < N; i++) assert_true(w[i] >= w[i - 1]);
    assert_int_equal(kn_eigen(e, w, 0), RT_EINVAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_is_a_triple_loop),          cmocka_unit_test(matvec_takes_every_type),
#ifndef RT_REAL_F64
        cmocka_unit_test(bf16_products_are_as_specified), cmocka_unit_test(bf16_products_keep_nan_and_infinity),
        cmocka_unit_test(bf16_products_flush_denormals),  cmocka_unit_test(products_of_reals_stay_in_f32),
#endif
        cmocka_unit_test(threads_do_not_change_gemm),     cmocka_unit_test(eigenvectors_rebuild_the_matrix),
    };
    return begin(argc, argv) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
