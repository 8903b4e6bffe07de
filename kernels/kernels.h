/* kernels.h -- numeric kernels in one table per instruction set, tensor types, and gemm
 * (only kernels/blas.c loads OpenBLAS).
 *
 * Kernels never fail, allocate or print.  Matrices are row-major.  `real` is the
 * type of all arithmetic: float, or double in the f64 build that checks
 * gradients.  Sums use 16 fixed lanes, so a kernel's result depends only on
 * its arguments and the instruction set.
 */
#ifndef KN_KERNELS_H
#define KN_KERNELS_H
#include "core/json_write.h"
#include "core/memory.h"
#include "core/threads.h"

#ifdef RT_REAL_F64
typedef double real;
#else
typedef float real;
#endif
typedef uint16_t kn_bf16; /* the upper half of a float */

/* The type of a stored tensor; the table in kernels/types.c has one row per type. */
typedef enum kn_type { KN_REAL, KN_BF16, KN_I32, KN_Q8, KN_Q4, KN_TYPES } kn_type;

/* A quantised matrix [rows, cols] in groups of `group` columns: Q = round(S x + Z), x = (Q - Z) / S.
 * 8 bits: one level per byte; 4 bits: two levels per byte, the first in the lower half. */
typedef struct kn_quant {
    int      bits;
    int64_t  rows, cols, group, groups; /* groups: per row, ceil(cols / group) */
    uint8_t *q;                         /* rows x cols * bits / 8 bytes */
    float   *scale, *zero;              /* S and Z, [rows, groups] */
} kn_quant;

/* One pass of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2). */
typedef struct kn_adamw {
    real lr, beta1, beta2, eps, decay; /* decay: lr * weight_decay */
    real correct1, correct2;           /* 1 - beta^t */
    real scale;                        /* factor of the gradient, for clipping */
} kn_adamw;

/* The unpacked operand of a gemm: unit (i, k) is p[i / mr tile + i % mr row + k col].  A unit is what a kernel multiplies at once: a real,
 * or two bf16 of consecutive k in the memory of a real, the even k first. */
typedef struct kn_rows {
    const real *p;
    int64_t     row, col, tile; /* tile: mr row if all rows have the same stride (kn_plain) */
} kn_rows;

/* Divergences of a student q = softmax(z) from a teacher p = softmax(y), with a parameter `mix` in some.  In the order of the
 * constants: KL(q||p); mix KL(p||m) + (1-mix) KL(q||m) with m = mix p + (1-mix) q; KL(p || mix p + (1-mix) q);
 * KL(q || (1-mix) p + mix q); half the sum of |p - q|. */
typedef enum kn_divergence { KN_REVERSE, KN_JSD, KN_SKEW, KN_SKEW_REVERSE, KN_TV, KN_DIVERGENCES } kn_divergence;
typedef struct kn_softmaxes { /* per row: largest logit, log of the sum of exp(logit - largest), 1 / that sum */
    real max_z, log_z, inv_z, max_y, log_y, inv_y;
} kn_softmaxes;
typedef struct kn_divergence_sums { /* sums over the row: D; q dD/dq; KL(p||q) */
    double value, moment, kl;
} kn_divergence_sums;

/* The inner kernels of a gemm: C[M, nr] = A[M, K] B, one register tile at a time, with sums in `real`.  K counts elements; an odd K
 * is padded with a zero to whole pairs. */
typedef struct kn_gemm_kernel {
    const char *name;     /* what multiplies: "fma", "vdpbf16ps", "bfdot", "emulated" */
    kn_type     type;     /* of the multiplied operands, KN_REAL or KN_BF16 */
    int64_t     step;     /* elements of k per unit: 1; 2 for KN_BF16; 0: this build has no such kernel */
    int64_t     mr, nr;   /* rows and columns of the tile */
    int         emulated; /* 1: bf16 products are computed by operations on reals, which is slower than a kernel of reals */
    /* C += A B if acc, else C = A B; mr rows at a time.  B is a panel of units [ceil(K / step)][nr], aligned to the vector size. */
    void (*micro)(real *c, int64_t ldc, const kn_rows *a, const real *b, int64_t M, int64_t K, int acc);
    /* Packs a transposed A, read from x[k ld + i], to units to[i / mr tile + k mr + i % mr].  M <= KN_MAX_TILE. */
    void (*pack_a)(real *to, int64_t tile, const void *x, kn_type t, int64_t ld, int64_t M, int64_t K);
    /* Packs n <= nr columns of B into a panel of units [ceil(K / step)][nr], zero-padded.  Reads x[k ld + j], or x[j ld + k] if `transposed`. */
    void (*pack_b)(real *to, const void *x, kn_type t, int64_t ld, int transposed, int64_t n, int64_t K);
} kn_gemm_kernel;

/* clang-format off */

/* Kernels over vectors: returned type, name, arguments.  The members of kn_table, each instruction set's table and the list of checks
 * (tests/unit/test_kernels.c: check_NAME) expand this list, so a kernel without a check does not compile. */
#define KN_KERNELS(X)                                                                                                      \
    X(void, from_bf16, (real *y, const kn_bf16 *x, int64_t n))                                                             \
    X(void, to_bf16, (kn_bf16 *y, const real *x, int64_t n)) /* to nearest, ties to even; NaN stays NaN */                 \
    X(void, pair_bf16, (kn_bf16 *y, const real *a, const real *b, int64_t n)) /* y[2 i] = a[i], y[2 i + 1] = b[i], as to_bf16 */ \
    X(real, dot, (const real *a, const real *b, int64_t n))                                                                \
    X(real, dot_bf16, (const real *a, const kn_bf16 *b, int64_t n))                                                        \
    X(real, dot_u8, (const real *a, const uint8_t *b, int64_t n))                                                          \
    X(real, dot_u4, (const real *a, const uint8_t *b, int64_t n)) /* n even */                                             \
    X(real, sum, (const real *x, int64_t n))                                                                               \
    X(real, max, (const real *x, int64_t n)) /* n >= 1; ignores NaN; -infinity if all are NaN */                     \
    X(void, scale, (real *y, const real *x, real s, int64_t n)) /* y = s x */                                              \
    X(void, axpy, (real *y, const real *x, real s, int64_t n)) /* y += s x */                                              \
    X(void, axpby, (real *y, real b, const real *x, real a, int64_t n)) /* y = b y + a x */                                \
    X(void, add, (real *y, const real *a, const real *b, int64_t n))                                                       \
    X(void, mul, (real *y, const real *a, const real *b, int64_t n))                                                       \
    X(real, exp_sub, (real *y, const real *x, real m, int64_t n)) /* y = exp(x - m); returns the sum */                    \
    /* y = exp(y - my), returns its sum; *moment += sum of the new y times (y - my) - (z - mz), y the old one. */                        \
    X(real, exp_moment, (real *y, const real *z, real my, real mz, int64_t n, real *moment))                               \
    X(void, softmax_back, (real *dx, const real *p, real delta, int64_t n)) /* dx = p (dx - delta) */                      \
    X(void, norm_back, (real *dx, const real *x, const real *w, const real *dy, real r, real m, int64_t n)) /* r (w dy - m x) */ \
    X(void, silu_mul, (real *y, const real *g, const real *u, int64_t n)) /* y = silu(g) u */                              \
    X(void, silu_mul_back, (real *dg, real *du, const real *g, const real *u, const real *dy, int64_t n))                  \
    /* y = gelu(g) u with the tanh approximation: gelu(g) = g s(2 a), s logistic, a = sqrt(2/pi) (g + 0.044715 g^3) */      \
    X(void, gelu_mul, (real *y, const real *g, const real *u, int64_t n))                                                  \
    X(void, gelu_mul_back, (real *dg, real *du, const real *g, const real *u, const real *dy, int64_t n))                  \
    X(void, soft_cap, (real *y, const real *x, real cap, int64_t n)) /* y = cap tanh(x / cap) */                           \
    X(void, soft_cap_back, (real *dx, const real *y, real cap, int64_t n)) /* dx *= 1 - (y / cap)^2, the derivative */      \
    /* Rotates a head of two halves [D/2]: (a, b) -> (a c - sign b s, b c + sign a s). */                                                \
    X(void, rotate, (real *y, const real *x, const real *c, const real *s, real sign, int64_t half))                       \
    X(void, adamw, (real *w, real *m, real *v, const real *g, const kn_adamw *o, int64_t n))
/* clang-format on */

/* Processes n <= KN_ROW_BLOCK elements of a row; ez and ey are exp(logit - largest).  z becomes q, y becomes q dD/dq; the
 * sums over the elements are added to `sums`. */
typedef void kn_diverge_fn(real *z, real *y, const real *ez, const real *ey, const kn_softmaxes *s, real mix, int64_t n,
                           kn_divergence_sums *sums);

enum { KN_MAX_TILE = 128, KN_MAX_MR = 16, KN_MAX_NR = 64, KN_ROW_BLOCK = 512 };
typedef struct kn_table {
    const char    *isa;
    kn_gemm_kernel gemm, gemm_bf16; /* of reals; of bf16 */
    kn_diverge_fn *diverge[KN_DIVERGENCES];
#define X(type, name, args) type(*name) args;
    KN_KERNELS(X)
#undef X
} kn_table;

/* Chooses the table and the gemm backend, loads OpenBLAS with the right kernel and allocates each thread's work space.
 * Call it once, after rt_threads_set and before any other function here.  RETORT_CPU=ref|avx2|avx512|
 * avx512_bf16|neon|neon_bf16 selects a table.  RT_EINVAL: this CPU cannot run it.  RT_ENOENT: OpenBLAS is the requested backend and was not found.
 * kn_init_measured also measures the backends, for at most 0.2 s, if no rates of this machine are stored and they can be; a program that
 * computes calls it instead. */
rt_status       kn_init(void);
rt_status       kn_init_measured(void);
const kn_table *kn_get(void);
const kn_table *kn_at(int i);         /* i-th table that this CPU can run, `ref` first; NULL past the end */
const char     *kn_describe(void);    /* "avx2; OpenBLAS 0.3.21 ... Haswell", "neon; no OpenBLAS" */
int             kn_have_blas(void);   /* 1: OpenBLAS is loaded */
const char     *kn_blas_kernel(void); /* the kernel that OpenBLAS reports, e.g. "Haswell"; "none" */
/* What is wrong with the OPENBLAS_CORETYPE of the environment, and what to do; NULL: it does not keep OpenBLAS from using the vectors of
 * this CPU, or it was not set. */
const char *kn_blas_warning(void);

/* ---- typed memory ------------------------------------------------------------------------ */

/* Properties of a type.  Quantised types are read one row at a time; their data pointer is a kn_quant. */
typedef struct kn_type_info {
    const char *name;         /* "f32" ("f64"), "bf16", "i32", "int8", "int4" */
    size_t      block, bytes; /* elements that share `bytes` bytes */
    int         quantised;
    void (*to_real)(real *y, const void *x, int64_t at, int64_t n);       /* casts elements at .. at+n-1; NULL: KN_I32, quantised types */
    void (*from_real)(void *y, int64_t at, const real *x, int64_t n);     /* the reverse cast; NULL likewise */
    void (*row)(real *y, const void *x, int64_t row, int64_t cols);       /* casts one row; NULL: KN_I32 */
    real (*dot)(const void *w, int64_t row, const real *x, int64_t cols); /* dot product of a row of w with x; NULL: KN_I32 */
    int (*not_finite)(const void *x, int64_t at, int64_t n); /* 1: an element is infinite or NaN; NULL: KN_I32, quantised types */
} kn_type_info;
const kn_type_info *kn_type_of(kn_type t);
kn_type             kn_type_quantised(int bits); /* KN_Q8, KN_Q4 */
size_t              kn_size(kn_type t);          /* bytes per element; 0 for quantised types */
const char         *kn_type_name(kn_type t);

/* Returns n elements from index `at` as reals: a pointer into x for KN_REAL, else `work` [n], to which they are cast. */
const real *kn_load(const void *x, kn_type t, int64_t at, int64_t n, real *work);
/* Returns where to compute reals meant for index `at`: a pointer into y for KN_REAL, else `work`. */
real *kn_target(void *y, kn_type t, int64_t at, real *work);
/* Casts the n reals in `work` to y[at ..].  Does nothing for KN_REAL. */
void kn_commit(void *y, kn_type t, int64_t at, const real *work, int64_t n);
/* y[at ..] = x, or y[at ..] += x if `add`. */
void kn_put(void *y, kn_type t, int64_t at, const real *x, int64_t n, int add);
void kn_row(real *y, const void *x, kn_type t, int64_t row, int64_t cols); /* casts one row of any type except KN_I32 */
/* Returns the index of the first of n elements (KN_REAL or KN_BF16) that is infinite or NaN; -1 if all are finite. */
int64_t kn_not_finite(const void *x, kn_type t, int64_t n);

/* ---- gemm --------------------------------------------------------------------------------- */

typedef struct kn_mat { /* op(p): p, or p transposed if trans */
    const void *p;
    kn_type     t;
    int64_t     ld; /* row stride of p, at least the length of its rows */
    int         trans;
} kn_mat;

/* C[M,N] (type ct, row stride ldc) = op(A)[M,K] op(B)[K,N] + addend.  The addend has C's type and stride; NULL: none; C: accumulate.
 * Runs on all threads.  Sums are computed in `real`, in an order that depends only on M, N and K. */
void kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t M, int64_t N, int64_t K, const void *addend);
/* Calls `seen` with the types and shape of every later gemm.  NULL stops the calls. */
typedef void kn_gemm_seen(void *ud, kn_type ct, const kn_mat *a, const kn_mat *b, int64_t M, int64_t N, int64_t K);
void         kn_gemm_watch(kn_gemm_seen *seen, void *ud);
int64_t      kn_work_bytes(void); /* bytes of the work space of kn_gemm, for all threads together */

/* A gemm backend chooses the size of C's tiles and computes a tile on one thread (kernels/gemm.h).  The backend "bf16" multiplies
 * operands that are both bf16 as they are, sums in f32, and leaves the other products to a backend of reals.
 * RETORT_GEMM=own|bf16|openblas names the backend; bf16 then has own beside it.  Without it, or with auto, the fastest one is taken: the
 * first of bf16 (if the CPU has an instruction for it), own and openblas that no later one leads by more than 10 %.  The rates are those
 * stored in the user's cache folder (kernels/rates.c); without them the first one is taken. */
const char *kn_gemm_name(void);          /* the backend in use: "own", "bf16", "openblas" */
const char *kn_gemm_name_of_reals(void); /* the backend of all products that "bf16" does not take; else the same */
const char *kn_gemm_describe(void);      /* the ones in use, with all that determines the bits of a result besides the table */
const char *kn_gemm_why(void);           /* "set by RETORT_GEMM", "measured: own 76, openblas 75 GFLOP/s on one thread", ... */
int         kn_gemm_requested(void);     /* 1: RETORT_GEMM names it */
const char *kn_gemm_name_at(int i);      /* i-th backend that can run here; NULL past the end */
/* Changes the backends.  RT_EINVAL: one of them cannot run here.  kn_gemm_take also changes the reason. */
rt_status kn_gemm_use(const char *backend, const char *of_reals);
rt_status kn_gemm_take(const char *backend, const char *of_reals, const char *why);
/* Writes the ones in use as an object, for a record beside what they computed:
 * {"backend":"bf16","of_reals":"own","kernel":"avx512_bf16","instruction":"vdpbf16ps","tile":"12x32"}.  Equal objects mean equal bits, but
 * for other versions of the program and of OpenBLAS; "openblas" is a further member where OpenBLAS computes, its kernel. */
void kn_gemm_put(rt_json_writer *w, const char *key);

/* Returns the type in which to store a computed operand of a product with an operand of type t: KN_BF16 if the product of two bf16
 * operands is computed in bf16, else KN_REAL. */
kn_type               kn_gemm_operand(kn_type t);
const kn_gemm_kernel *kn_gemm_kernel_of(kn_type operands); /* the table's kernel for operands of type KN_REAL or KN_BF16 */

/* Gemm on one thread, with a kernel g of the table.  kn_pack packs op(B)[K,N] into at most kn_panels(N, K) reals, 64-byte aligned, as
 * consecutive panels of g->nr columns.  kn_gemm_packed computes C[M,N] = A[M,K] B, + C if acc, any number of times.  `panels`
 * points to the row of the first panel where k begins; `packed_k` is the K that was packed. */
int64_t kn_panels(int64_t N, int64_t K); /* enough for every kernel of the table */
void    kn_pack(const kn_gemm_kernel *g, real *to, kn_mat b, int64_t N, int64_t K);
kn_rows kn_plain(const kn_gemm_kernel *g, const real *p, int64_t row, int64_t col); /* unit (i, k) of A is p[i row + k col] */
void    kn_gemm_packed(const kn_gemm_kernel *g, real *c, int64_t ldc, kn_rows a, const real *panels, int64_t packed_k, int64_t M, int64_t N,
                       int64_t K, int acc);
/* Computes the eigenvalues w[n], ascending, of a symmetric matrix a[n,n] of finite numbers.  Row i of a becomes the eigenvector
 * of w[i].  Runs on one thread.  RT_ENOENT: no OpenBLAS with LAPACK was found.  RT_ECHECK: LAPACK failed. */
enum { KN_MAX_EIGEN = 16384 };
rt_status kn_eigen(double *a, double *w, int64_t n);
/* y[N] = W[N,K] x[K] for W of any type except KN_I32; used in decoding. */
void kn_matvec(real *y, const void *w, kn_type t, const real *x, int64_t N, int64_t K);

#endif
