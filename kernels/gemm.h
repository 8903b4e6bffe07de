/* gemm.h -- gemm backends, and OpenBLAS itself; private to kernels/.
 *
 * gemm.c cuts C into tiles and k into ranges; a backend says how large tiles are and computes one on one thread.  A backend is
 * a file with one kn_gemm_backend and a word in the list of gemm.c.
 */
#ifndef KN_GEMM_H
#define KN_GEMM_H
#include "kernels/kernels.h"

/* The largest tile is KN_MT x KN_NT, k runs in blocks of KN_KT at most; PAD keeps rows from falling onto the same cache lines. */
enum { KN_MT = 288, KN_NT = 512, KN_KT = 384, KN_PAD = 16, KN_LDC = KN_NT + KN_PAD };
enum { KN_PANELS = 1 << 20 }; /* reals packed at once */
enum { KN_BLAS_K = 1024, KN_BLAS_SPACE = 32 << 10 };

/* One thread's work space. */
typedef struct kn_gemm_space {
    real a[KN_MT * (KN_KT + KN_PAD)], b[KN_KT * KN_NT], c[KN_MT * KN_LDC], blas[KN_BLAS_SPACE];
} kn_gemm_space;

/* One gemm, and the range of it that is computed now: columns n0 .. n0+nb, k0 .. k0+kb; tiles of mt x nt, tile_columns beside each other. */
typedef struct kn_gemm_job {
    void       *c;
    kn_type     ct;
    int64_t     ldc, M, N, K, n0, nb, k0, kb, mt, nt, tile_columns;
    kn_mat      a, b;
    const void *addend;
    real       *panels; /* [KN_PANELS], shared by all threads */
} kn_gemm_job;

typedef struct kn_gemm_backend {
    const char *name;                     /* RETORT_GEMM */
    rt_status (*load)(const kn_table *t); /* once, before use; says why it cannot run here */
    int (*ready)(void);                   /* was it loaded? */
    void (*cut)(kn_gemm_job *j);          /* sets mt and nt from the shape */
    void (*pack)(kn_gemm_job *j);         /* before the tiles of a range, on all threads; NULL: nothing is packed */
    /* c[m, n] = op(A)[m0 .., k0 ..] op(B)[k0 .., n0 ..] over the range's kb, + c when acc, on one thread. */
    void (*tile)(const kn_gemm_job *j, kn_gemm_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n, int acc);
} kn_gemm_backend;

extern const kn_gemm_backend kn_gemm_own, kn_gemm_openblas;

static inline int64_t kn_parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* Rows r0 .. r0+rows, columns c0 .. c0+cols of op(m) as reals, copied in the orientation of its memory; *ld: the copy's. */
void kn_copy_block(real *to, int64_t *ld, const kn_mat *m, int64_t r0, int64_t rows, int64_t c0, int64_t cols);

rt_status   kn_gemm_init(const kn_table *table);
rt_status   kn_blas_init(const kn_table *table);
const char *kn_blas_config(void); /* OpenBLAS's own description of itself */
/* One call of OpenBLAS on one thread: C[M,N] = op(A)[M,K] op(B)[K,N], + C when acc.  K is at most KN_BLAS_K; `space` is
 * KN_BLAS_SPACE reals of this thread's own.  It allocates nothing once OpenBLAS has its buffers (after the first call). */
void kn_blas(real *c, int64_t ldc, const real *a, int64_t lda, int ta, const real *b, int64_t ldb, int tb, int64_t M, int64_t N, int64_t K,
             int acc, real *space);
#endif
