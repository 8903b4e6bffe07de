/* blas.c -- loads OpenBLAS, with the LAPACK in it, and calls it on one thread.
 *
 * OpenBLAS reads OPENBLAS_CORETYPE when it is loaded.  Debian's 0.3.21 takes newer CPUs
 * for an SSE3 CPU and runs at a fifth of their speed, so the variable is set from CPUID before
 * dlopen.  A user's own OPENBLAS_CORETYPE takes precedence.  RETORT_BLAS names another library.
 */
#include "kernels/gemm.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
enum { BLAS_SPACE = 300 << 20 }; /* bytes; if OpenBLAS cannot allocate its buffers, it retries for ever, already in dlopen */

#ifdef RT_REAL_F64
#define GEMM_NAME "cblas_dgemm"
#else
#define GEMM_NAME "cblas_sgemm"
#endif
typedef void (*gemm_fn)(int order, int ta, int tb, int m, int n, int k, real alpha, const real *a, int lda, const real *b, int ldb,
                        real beta, real *c, int ldc);

/* LAPACK's dsyevd in the Fortran convention: all arguments by address, then the lengths of the two strings. */
typedef void (*eigen_fn)(const char *vectors, const char *half, const int *n, double *a, const int *lda, double *w, double *work,
                         const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t);

static gemm_fn     g_gemm;
static eigen_fn    g_eigen;
static const char *g_config = "no OpenBLAS", *g_kernel = "none";

/* Width of vectors: of kernel tables and of OpenBLAS's kernels.  What is in neither list is NARROW. */
enum { NARROW, AVX2, AVX512 };
static const struct {
    const char *name;
    int         width;
} cores[] = {{"Haswell", AVX2}, {"Zen", AVX2}, {"SkylakeX", AVX512}, {"Cooperlake", AVX512}, {"SapphireRapids", AVX512}};

static int width_of_table(const kn_table *t) { return !strncmp(t->isa, "avx512", 6) ? AVX512 : !strcmp(t->isa, "avx2") ? AVX2 : NARROW; }

static int width_of_core(const char *name)
{
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (!strcasecmp(name, cores[i].name)) return cores[i].width;
    return NARROW;
}

static char g_inherited[32]; /* the environment's OPENBLAS_CORETYPE */

static void choose_core(const kn_table *t)
{
    const char *given = getenv("OPENBLAS_CORETYPE"), *const right[] = {NULL, "Haswell", "SkylakeX"}, *core = right[width_of_table(t)];
    snprintf(g_inherited, sizeof g_inherited, "%s", given ? given : "");
    if (core) setenv("OPENBLAS_CORETYPE", core, 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
}

const char *kn_blas_warning(void)
{
    static char              text[160];
    static const char *const with[] = {"", "AVX2", "AVX-512"};
    const int                width  = width_of_table(kn_get());
    if (!g_gemm || !*g_inherited || width_of_core(g_kernel) >= width) return NULL;
    snprintf(text, sizeof text, "OPENBLAS_CORETYPE=%s keeps OpenBLAS from using the %s of this CPU: unset OPENBLAS_CORETYPE", g_inherited,
             with[width]);
    return text;
}

static void *symbol(void *lib, const char *name) { return dlsym(lib, name); }

static rt_status blas_load(const char *name)
{
    RT_CHECK(rt_memory_available() >= BLAS_SPACE, RT_ENOMEM,
             "OpenBLAS needs %d MB of memory and address space, but %.0f MB are available; raise 'ulimit -v' or free memory",
             BLAS_SPACE >> 20, (double)rt_memory_available() / 1048576);
    void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL), *f;
    RT_CHECK(lib, RT_ENOENT, "OpenBLAS cannot be loaded: %s; install libopenblas0-pthread, or name a library in RETORT_BLAS", dlerror());
    f = symbol(lib, GEMM_NAME);
    RT_CHECK(f, RT_EMISMATCH, "%s has no function " GEMM_NAME "; RETORT_BLAS must name a CBLAS library", name);
    memcpy(&g_gemm, &f, sizeof f);
    if ((f = symbol(lib, "dsyevd_"))) memcpy(&g_eigen, &f, sizeof f);
    char *(*text)(void) = NULL;
    if ((f = symbol(lib, "openblas_get_config"))) memcpy(&text, &f, sizeof f), g_config = text();
    if ((f = symbol(lib, "openblas_get_corename"))) memcpy(&text, &f, sizeof f), g_kernel = text();
    return RT_OK;
}

rt_status kn_blas_init(const kn_table *table)
{
    const char *own = getenv("RETORT_BLAS");
    if (g_gemm) return RT_OK;
    choose_core(table);
    return blas_load(own && *own ? own : "libopenblas.so.0");
}

int         kn_have_blas(void) { return g_gemm != NULL; }
const char *kn_blas_config(void) { return g_config; }
const char *kn_blas_kernel(void) { return g_kernel; }

/* OpenBLAS's AVX-512 builds have a kernel for gemms of at most SMALL multiplications whose operands are both not
 * transposed (sgemm_small_kernel_nn_SKYLAKEX, 0.3.21).  It calls malloc in each call.  To avoid it, kn_blas transposes the
 * operand with fewer elements, at most sqrt(SMALL K). */
enum { SMALL = 100 * 100 * 100 };
_Static_assert((int64_t)KN_BLAS_SPACE *KN_BLAS_SPACE >= (int64_t)SMALL * KN_BLAS_K, "the smaller operand of a small gemm fits");

static void transpose(real *to, const real *x, int64_t ld, int64_t rows, int64_t cols)
{
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++) to[j * rows + i] = x[i * ld + j];
}

void kn_blas(real *c, int64_t ldc, const real *a, int64_t lda, int ta, const real *b, int64_t ldb, int tb, int64_t M, int64_t N, int64_t K,
             int acc, real *space)
{
    RT_ASSERT(g_gemm && K <= KN_BLAS_K);
    if (!M || !N) return;
    if (!ta && !tb && K && M * N * K <= SMALL) {
        if (M <= N) transpose(space, a, lda, M, K), a = space, lda = M, ta = 1;
        else transpose(space, b, ldb, K, N), b = space, ldb = K, tb = 1;
    }
    g_gemm(ROW_MAJOR, ta ? TRANS : NO_TRANS, tb ? TRANS : NO_TRANS, (int)M, (int)N, (int)K, 1, a, (int)lda, b, (int)ldb, (real) !!acc, c,
           (int)ldc);
}

rt_status kn_eigen(double *a, double *w, int64_t n)
{
    const int size = (int)n, lwork = (int)(1 + 6 * n + 2 * n * n), liwork = (int)(3 + 5 * n);
    double   *work  = NULL;
    int      *iwork = NULL, info = 0;
    RT_CHECK(n >= 1 && n <= KN_MAX_EIGEN, RT_EINVAL, "cannot compute the eigenvectors of a matrix of %lld rows; expected 1 to %d rows",
             (long long)n, KN_MAX_EIGEN);
    RT_TRY(kn_blas_init(kn_get()));
    RT_CHECK(g_eigen, RT_ENOENT,
             "the loaded OpenBLAS has no LAPACK (dsyevd_); install libopenblas0-pthread, or name another library in RETORT_BLAS");
    rt_status st = RT_NEW(work, lwork);
    if (st == RT_OK) st = RT_NEW(iwork, liwork);
    if (st == RT_OK) g_eigen("V", "L", &size, a, &size, w, work, &lwork, iwork, &liwork, &info, 1, 1);
    free(work), free(iwork);
    RT_TRY(st);
    RT_CHECK(info == 0, RT_ECHECK, "LAPACK could not compute the eigenvectors of a matrix of %lld rows (dsyevd: %d)", (long long)n, info);
    return RT_OK;
}
