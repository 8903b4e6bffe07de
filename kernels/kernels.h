/* kernels.h -- numeric kernels behind one table chosen for this CPU, types in memory, and gemm
 * (OpenBLAS is loaded only in kernels/blas.c).
 *
 * Kernels never fail, allocate or print.  Matrices are row-major.  `real` is the
 * type that arithmetic runs in: float, or double in the f64 build that checks
 * gradients.  Sums run over 16 fixed lanes, so that a kernel's result is a function
 * of its arguments and the instruction set alone.
 */
#ifndef KN_KERNELS_H
#define KN_KERNELS_H
#include "core/memory.h"
#include "core/threads.h"

#ifdef RT_REAL_F64
typedef double real;
#else
typedef float real;
#endif
typedef uint16_t kn_bf16; /* the upper half of a float */

/* How a tensor is stored: a row of the table in kernels/types.c. */
typedef enum kn_type { KN_REAL, KN_BF16, KN_I32, KN_Q8, KN_Q4, KN_TYPES } kn_type;

/* A matrix [rows, cols] in groups of `group` columns: Q = round(S x + Z), x = (Q - Z) / S.
 * 8 bits: a byte each; 4 bits: two a byte, the lower half first. */
typedef struct kn_quant {
    int      bits;
    int64_t  rows, cols, group, groups; /* groups = ceil(cols / group) a row */
    uint8_t *q;                         /* rows x cols * bits / 8 */
    float   *scale, *zero;              /* S and Z, rows x groups */
} kn_quant;

/* One pass of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2). */
typedef struct kn_adamw {
    real lr, beta1, beta2, eps, decay; /* decay: lr * weight_decay */
    real correct1, correct2;           /* 1 - beta^t */
    real scale;                        /* of the gradient: clipping */
} kn_adamw;

/* The operand of a gemm that is not packed: element (i, k) is p[i / mr tile + i % mr row + k col]. */
typedef struct kn_rows {
    const real *p;
    int64_t     row, col, tile; /* tile: mr row where all rows are at one distance (kn_plain) */
} kn_rows;

/* Divergences of a student q = softmax(z) from a teacher p = softmax(y), of a `mix` where they take one: 1 KL(q||p);
 * 2 mix KL(p||m) + (1-mix) KL(q||m), m = mix p + (1-mix) q; 3 KL(p || mix p + (1-mix) q); 4 KL(q || (1-mix) p + mix q);
 * 5 half the sum of |p - q|. */
typedef enum kn_divergence { KN_REVERSE, KN_JSD, KN_SKEW, KN_SKEW_REVERSE, KN_TV, KN_DIVERGENCES } kn_divergence;
typedef struct kn_softmaxes { /* of both rows: largest logit, log of the sum of exp(logit - largest), 1 / that sum */
    real max_z, log_z, inv_z, max_y, log_y, inv_y;
} kn_softmaxes;
typedef struct kn_divergence_sums { /* D; sum of q dD/dq; KL(p||q) */
    double value, moment, kl;
} kn_divergence_sums;

/* One register tile of a gemm: C[M, nr] = A[M, K] B for operands packed as `packed` says, sums in `real`. */
typedef struct kn_gemm_kernel {
    int64_t mr, nr; /* rows and columns of the tile */
    /* C += where acc, else C =; mr rows at a time; B a panel [K][nr], aligned. */
    void (*micro)(real *c, int64_t ldc, const kn_rows *a, const real *b, int64_t M, int64_t K, int acc);
    /* A's rows from memory x[k ld + i]: to[i / mr tile + k mr + i % mr], M <= KN_MAX_TILE. */
    void (*pack_a)(real *to, int64_t tile, const void *x, kn_type t, int64_t ld, int64_t M, int64_t K);
    /* A panel to[K][nr] of n <= nr columns, zeros beyond: x[k ld + j], or x[j ld + k] where `transposed`. */
    void (*pack_b)(real *to, const void *x, kn_type t, int64_t ld, int transposed, int64_t n, int64_t K);
} kn_gemm_kernel;

/* clang-format off */

/* Kernels over vectors: returned type, name, arguments.  The table, each instruction set's values and the test's list of checks
 * (tests/unit/test_kernels.c: check_NAME) expand it: a kernel without a check does not compile. */
#define KN_KERNELS(X)                                                                                                      \
    X(void, from_bf16, (real *y, const kn_bf16 *x, int64_t n))                                                             \
    X(void, to_bf16, (kn_bf16 *y, const real *x, int64_t n)) /* to nearest, ties to even; NaN stays NaN */                 \
    X(real, dot, (const real *a, const real *b, int64_t n))                                                                \
    X(real, dot_bf16, (const real *a, const kn_bf16 *b, int64_t n))                                                        \
    X(real, dot_u8, (const real *a, const uint8_t *b, int64_t n))                                                          \
    X(real, dot_u4, (const real *a, const uint8_t *b, int64_t n)) /* n even */                                             \
    X(real, sum, (const real *x, int64_t n))                                                                               \
    X(real, max, (const real *x, int64_t n)) /* n >= 1; NaN is passed over, -infinity where all are */                     \
    X(void, scale, (real *y, const real *x, real s, int64_t n)) /* y = s x */                                              \
    X(void, axpy, (real *y, const real *x, real s, int64_t n)) /* y += s x */                                              \
    X(void, axpby, (real *y, real b, const real *x, real a, int64_t n)) /* y = b y + a x */                                \
    X(void, add, (real *y, const real *a, const real *b, int64_t n))                                                       \
    X(void, mul, (real *y, const real *a, const real *b, int64_t n))                                                       \
    X(real, exp_sub, (real *y, const real *x, real m, int64_t n)) /* y = exp(x - m); returns the sum */                    \
    /* y = exp(y - my), its sum returned; *moment += sum of the new y times (y - my) - (z - mz). */                        \
    X(real, exp_moment, (real *y, const real *z, real my, real mz, int64_t n, real *moment))                               \
    X(void, softmax_back, (real *dx, const real *p, real delta, int64_t n)) /* dx = p (dx - delta) */                      \
    X(void, norm_back, (real *dx, const real *x, const real *w, const real *dy, real r, real m, int64_t n)) /* r (w dy - m x) */ \
    X(void, silu_mul, (real *y, const real *g, const real *u, int64_t n)) /* y = silu(g) u */                              \
    X(void, silu_mul_back, (real *dg, real *du, const real *g, const real *u, const real *dy, int64_t n))                  \
    /* Halves [D/2] of a head rotated: (a, b) -> (a c - b s, b c + a s). */                                                \
    X(void, rotate, (real *y, const real *x, const real *c, const real *s, real sign, int64_t half))                       \
    X(void, adamw, (real *w, real *m, real *v, const real *g, const kn_adamw *o, int64_t n))
/* clang-format on */

/* n <= KN_ROW_BLOCK of a row, ez and ey its exp(logit - largest): z becomes q, y becomes q dD/dq; what they add up to is
 * added to `sums`. */
typedef void kn_diverge_fn(real *z, real *y, const real *ez, const real *ey, const kn_softmaxes *s, real mix, int64_t n,
                           kn_divergence_sums *sums);

enum { KN_MAX_TILE = 128, KN_MAX_MR = 16, KN_MAX_NR = 64, KN_ROW_BLOCK = 512 };
typedef struct kn_table {
    const char    *isa;
    int            openblas; /* 1: on such machines OpenBLAS's gemm is the faster one */
    kn_gemm_kernel gemm;
    kn_diverge_fn *diverge[KN_DIVERGENCES];
#define X(type, name, args) type(*name) args;
    KN_KERNELS(X)
#undef X
} kn_table;

/* Choose the table, load OpenBLAS with the right kernel, make each thread's work space.
 * Call once, after rt_threads_set and before all else here.  RETORT_CPU=ref|avx2|avx512|neon
 * forces a table.  RT_EINVAL: this CPU cannot run it; RT_ENOENT: no OpenBLAS, and gemms are to run on it. */
rt_status       kn_init(void);
const kn_table *kn_get(void);
const kn_table *kn_at(int i);         /* every table this CPU can run, `ref` first; NULL past the end */
const char     *kn_describe(void);    /* "avx2; OpenBLAS 0.3.21 ... Haswell", "neon; no OpenBLAS" */
int             kn_have_blas(void);   /* is OpenBLAS loaded? */
const char     *kn_blas_kernel(void); /* what OpenBLAS says it runs: "Haswell"; "none" */

/* ---- typed memory ------------------------------------------------------------------------ */

/* What there is to know of a type.  Quantised types are read a row at a time: their data pointer is a kn_quant. */
typedef struct kn_type_info {
    const char *name;         /* "f32" ("f64"), "bf16", "i32", "int8", "int4" */
    size_t      block, bytes; /* elements that share `bytes` bytes */
    int         quantised;
    void (*to_real)(real *y, const void *x, int64_t at, int64_t n);       /* elements at..at+n; NULL: KN_I32, quantised types */
    void (*from_real)(void *y, int64_t at, const real *x, int64_t n);     /* the reverse; NULL likewise */
    void (*row)(real *y, const void *x, int64_t row, int64_t cols);       /* NULL: KN_I32 */
    real (*dot)(const void *w, int64_t row, const real *x, int64_t cols); /* of a row of w with x; NULL: KN_I32 */
    int (*not_finite)(const void *x, int64_t at, int64_t n); /* is one of them infinite or no number? NULL: KN_I32, quantised types */
} kn_type_info;
const kn_type_info *kn_type_of(kn_type t);
size_t              kn_size(kn_type t); /* bytes an element; 0 for quantised types */
const char         *kn_type_name(kn_type t);

/* n elements from index `at` as reals: the memory itself for KN_REAL, else cast into `work`. */
const real *kn_load(const void *x, kn_type t, int64_t at, int64_t n, real *work);
/* Where to compute n reals meant for index `at`: the memory itself, or `work`... */
real *kn_target(void *y, kn_type t, int64_t at, real *work);
/* ...and put them there (nothing to do for KN_REAL). */
void kn_commit(void *y, kn_type t, int64_t at, const real *work, int64_t n);
/* y[at..] = x, or += x. */
void kn_put(void *y, kn_type t, int64_t at, const real *x, int64_t n, int add);
void kn_row(real *y, const void *x, kn_type t, int64_t row, int64_t cols); /* any type, quantised too */
/* The first of n elements (KN_REAL or KN_BF16) that is infinite or no number; -1: none is. */
int64_t kn_not_finite(const void *x, kn_type t, int64_t n);

/* ---- gemm --------------------------------------------------------------------------------- */

typedef struct kn_mat { /* op(p): transposed when trans */
    const void *p;
    kn_type     t;
    int64_t     ld;
    int         trans;
} kn_mat;

/* C[M,N] (type ct, row length ldc) = op(A)[M,K] op(B)[K,N] + addend, the addend of C's form: NULL for none, C itself to add up.
 * Runs on all threads; sums are made in `real`, in an order that is a function of M, N, K alone. */
void kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t M, int64_t N, int64_t K, const void *addend);
/* Called with the shape of every product from here on; NULL ends it. */
void    kn_gemm_watch(void (*seen)(void *ud, const kn_mat *a, const kn_mat *b, int64_t M, int64_t N, int64_t K), void *ud);
int64_t kn_work_bytes(void); /* work space of kn_gemm, all threads together */

/* A gemm backend cuts C into tiles and computes one on one thread; kernels/gemm.h says how.  kn_init takes the one that RETORT_GEMM
 * names, else the one that suits the table. */
const char *kn_gemm_name(void);               /* the one in use: "own", "openblas" */
const char *kn_gemm_name_at(int i);           /* those that can run here; NULL past the end */
rt_status   kn_gemm_use(const char *backend); /* from here on, to compare them; RT_EINVAL names those that can run */

/* One thread: op(B)[K,N] into kn_panels(N, K) reals, 64-byte aligned, a panel of kn_get()->gemm.nr columns after the other.
 * Then, as often as wanted, C[M,N] = A[M,K] B, + C when acc; `panels` points to the row of
 * its first panel where k begins, `packed_k` is the K that was packed. */
int64_t kn_panels(int64_t N, int64_t K);
void    kn_pack(real *to, kn_mat b, int64_t N, int64_t K);
kn_rows kn_plain(const real *p, int64_t row, int64_t col); /* A is p[i row + k col] */
void    kn_gemm_packed(real *c, int64_t ldc, kn_rows a, const real *panels, int64_t packed_k, int64_t M, int64_t N, int64_t K, int acc);
/* Symmetric a[n,n], of finite numbers: w[n] its eigenvalues, ascending, and a's row i the eigenvector of w[i].  On one
 * thread.  RT_ENOENT: there is no OpenBLAS with LAPACK here. */
enum { KN_MAX_EIGEN = 16384 };
rt_status kn_eigen(double *a, double *w, int64_t n);
/* y[N] = W[N,K] x[K], W of any type: decoding. */
void kn_matvec(real *y, const void *w, kn_type t, const real *x, int64_t N, int64_t K);

#endif
