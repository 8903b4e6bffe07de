/* gemm.c -- matrix products: OpenBLAS on one core per tile, chosen and loaded here.
 *
 * OpenBLAS reads OPENBLAS_CORETYPE when it is loaded, and Debian's 0.3.21 takes newer CPUs
 * for an SSE3 one (a fifth of their speed), so the variable is set from CPUID before
 * dlopen.  A user's own OPENBLAS_CORETYPE wins; RETORT_BLAS names another library.
 *
 * Its bits depend on the shape of a call, and its own threads cut shapes by their
 * number: so it runs with one thread, and the output is cut here, by shape alone.
 */
#include "kernels/gemm.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
enum { MT = 128, NT = 512, KT = 512 }; /* tile of C; panels of K for operands that must be widened */
enum { MATVEC_ROWS = 32 };
enum { BLAS_SPACE = 300 << 20 }; /* where its buffers get no memory, OpenBLAS tries for ever, from dlopen on */

#ifdef RT_REAL_F64
#define GEMM_NAME "cblas_dgemm"
#else
#define GEMM_NAME "cblas_sgemm"
#endif
typedef void (*gemm_fn)(int order, int ta, int tb, int m, int n, int k, real alpha, const real *a, int lda, const real *b, int ldb,
                        real beta, real *c, int ldc);

static gemm_fn         g_gemm;
static const char     *g_config = "no BLAS loaded", *g_kernel = "none";
static const kn_table *g_k;
typedef struct work_space {
    real a[MT * KT], b[KT * NT], c[MT * NT];
} work_space;
static work_space *g_work[RT_MAX_THREADS];

/* bf16 operands of up to so many elements are widened whole, once a product; larger ones in
 * panels, once a tile.  Touched only when used. */
enum { WHOLE = 4 << 20, WIDEN_BLOCK = 1 << 14 };
static real *g_whole[2];

/* ---- loading ------------------------------------------------------------------------------ */

static void choose_core(const kn_table *t)
{
    const char *core = !strcmp(t->isa, "avx512") ? "SkylakeX" : !strcmp(t->isa, "avx2") ? "Haswell" : NULL;
    if (core) setenv("OPENBLAS_CORETYPE", core, 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
}

static void *symbol(void *lib, const char *name) { return dlsym(lib, name); }

static rt_status load(const char *name)
{
    RT_CHECK(rt_memory_available() >= BLAS_SPACE, RT_ENOMEM,
             "OpenBLAS needs %d MB of memory and address space, %.0f MB are available; raise 'ulimit -v' or free memory", BLAS_SPACE >> 20,
             (double)rt_memory_available() / 1048576);
    void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL), *f;
    RT_CHECK(lib, RT_ENOENT, "OpenBLAS: %s; install libopenblas0-pthread, or name a library in RETORT_BLAS", dlerror());
    f = symbol(lib, GEMM_NAME);
    RT_CHECK(f, RT_EMISMATCH, "%s: has no " GEMM_NAME "; RETORT_BLAS must name a CBLAS", name);
    memcpy(&g_gemm, &f, sizeof f);
    char *(*text)(void) = NULL;
    if ((f = symbol(lib, "openblas_get_config"))) memcpy(&text, &f, sizeof f), g_config = text();
    if ((f = symbol(lib, "openblas_get_corename"))) memcpy(&text, &f, sizeof f), g_kernel = text();
    return RT_OK;
}

rt_status kn_gemm_init(const kn_table *table)
{
    const char *own = getenv("RETORT_BLAS");
    g_k             = table;
    for (int i = 0; i < rt_threads(); i++)
        if (!g_work[i]) RT_TRY(RT_NEW(g_work[i], 1));
    for (int i = 0; i < 2; i++)
        if (!g_whole[i])
            RT_CHECK(g_whole[i] = aligned_alloc(RT_ALIGN, WHOLE * sizeof(real)), RT_ENOMEM, "work space of the matrix product");
    if (g_gemm) return RT_OK;
    choose_core(table);
    return load(own && *own ? own : "libopenblas.so.0");
}

const char *kn_blas_config(void) { return g_config; }
const char *kn_blas_kernel(void) { return g_kernel; }

/* ---- one tile ------------------------------------------------------------------------------ */

void kn_gemm_one(real *c, int64_t ldc, const real *a, int64_t lda, int ta, const real *b, int64_t ldb, int tb, int64_t M, int64_t N,
                 int64_t K, real alpha, real beta)
{
    if (M && N)
        g_gemm(ROW_MAJOR, ta ? TRANS : NO_TRANS, tb ? TRANS : NO_TRANS, (int)M, (int)N, (int)K, alpha, a, (int)lda, b, (int)ldb, beta, c,
               (int)ldc);
}

typedef struct product {
    void   *c;
    kn_type ct;
    int64_t ldc, M, N, K, across;
    kn_mat  a, b;
    int     acc;
} product;

/* Block [r0, r0+rows) x [c0, c0+cols) of op(m) as reals: a pointer, its row length in *ld.
 * The block keeps the orientation of its memory, so that BLAS transposes it. */
static const real *block(const kn_mat *m, int64_t r0, int64_t rows, int64_t c0, int64_t cols, real *work, int64_t *ld)
{
    const int64_t y0 = m->trans ? c0 : r0, x0 = m->trans ? r0 : c0, h = m->trans ? cols : rows, w = m->trans ? rows : cols;
    if (m->t == KN_REAL) {
        *ld = m->ld;
        return (const real *)m->p + y0 * m->ld + x0;
    }
    for (int64_t y = 0; y < h; y++) g_k->widen(work + y * w, (const kn_bf16 *)m->p + (y0 + y) * m->ld + x0, w);
    *ld = w;
    return work;
}

static void tile(int64_t item, int thread, void *ud)
{
    const product *p  = ud;
    work_space    *w  = g_work[thread];
    const int64_t  m0 = item / p->across * MT, n0 = item % p->across * NT;
    const int64_t  m = p->M - m0 < MT ? p->M - m0 : MT, n = p->N - n0 < NT ? p->N - n0 : NT;
    const int      direct = p->ct == KN_REAL, whole = p->a.t == KN_REAL && p->b.t == KN_REAL;
    const int64_t  step = whole ? p->K : KT, ldc = direct ? p->ldc : n;
    real          *c = direct ? (real *)p->c + m0 * p->ldc + n0 : w->c;
    for (int64_t k0 = 0; k0 < p->K; k0 += step) {
        const int64_t k = p->K - k0 < step ? p->K - k0 : step;
        int64_t       lda, ldb;
        const real   *a = block(&p->a, m0, m, k0, k, w->a, &lda), *b = block(&p->b, k0, k, n0, n, w->b, &ldb);
        kn_gemm_one(c, ldc, a, lda, p->a.trans, b, ldb, p->b.trans, m, n, k, 1, k0 || (p->acc && direct) ? 1 : 0);
    }
    for (int64_t i = 0; !direct && i < m; i++) kn_put(p->c, p->ct, (m0 + i) * p->ldc + n0, w->c + i * n, n, p->acc);
}

typedef struct widening {
    real          *to;
    const kn_bf16 *from;
    int64_t        n;
} widening;

static void widen_block(int64_t item, int thread, void *ud)
{
    const widening *w  = ud;
    const int64_t   at = item * WIDEN_BLOCK, n = w->n - at < WIDEN_BLOCK ? w->n - at : WIDEN_BLOCK;
    (void)thread;
    g_k->widen(w->to + at, w->from + at, n);
}

/* An operand of `rows` rows in memory, as reals where it is contiguous and small enough. */
static kn_mat widened(kn_mat m, int64_t rows, int64_t cols, real *to)
{
    widening w = {to, m.p, rows * cols};
    if (m.t != KN_BF16 || m.ld != cols || w.n > WHOLE) return m;
    rt_parallel((w.n + WIDEN_BLOCK - 1) / WIDEN_BLOCK, widen_block, &w);
    return (kn_mat){to, KN_REAL, m.ld, m.trans};
}

void kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t M, int64_t N, int64_t K, int acc)
{
    a         = widened(a, a.trans ? K : M, a.trans ? M : K, g_whole[0]);
    b         = widened(b, b.trans ? N : K, b.trans ? K : N, g_whole[1]);
    product p = {.c = c, .ct = ct, .ldc = ldc, .M = M, .N = N, .K = K, .across = (N + NT - 1) / NT, .a = a, .b = b, .acc = acc};
    rt_parallel((M + MT - 1) / MT * p.across, tile, &p);
}

/* ---- matrix times vector: decoding ------------------------------------------------------------- */

typedef struct matvec {
    real       *y;
    const void *w;
    kn_type     t;
    const real *x;
    int64_t     N, K;
} matvec;

static real quant_dot(const kn_quant *w, int64_t row, const real *x)
{
    const uint8_t *q = w->q + row * w->cols * w->bits / 8;
    real           y = 0;
    for (int64_t g = 0; g < w->groups; g++) {
        const int64_t c = g * w->group, n = w->cols - c < w->group ? w->cols - c : w->group;
        const real    d = w->bits == 8 ? g_k->dot_u8(x + c, q + c, n) : g_k->dot_u4(x + c, q + c / 2, n);
        y += (d - (real)w->zero[row * w->groups + g] * g_k->sum(x + c, n)) / (real)w->scale[row * w->groups + g];
    }
    return y;
}

static void matvec_rows(int64_t item, int thread, void *ud)
{
    const matvec *m  = ud;
    const int64_t to = (item + 1) * MATVEC_ROWS < m->N ? (item + 1) * MATVEC_ROWS : m->N;
    (void)thread;
    for (int64_t i = item * MATVEC_ROWS; i < to; i++)
        m->y[i] = m->t == KN_REAL   ? g_k->dot(m->x, (const real *)m->w + i * m->K, m->K)
                  : m->t == KN_BF16 ? g_k->dot_bf16(m->x, (const kn_bf16 *)m->w + i * m->K, m->K)
                                    : quant_dot(m->w, i, m->x);
}

void kn_matvec(real *y, const void *w, kn_type t, const real *x, int64_t N, int64_t K)
{
    matvec m = {y, w, t, x, N, K};
    rt_parallel((N + MATVEC_ROWS - 1) / MATVEC_ROWS, matvec_rows, &m);
}
