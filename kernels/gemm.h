/* gemm.h -- the interface of gemm backends, and calls of OpenBLAS.  Private to kernels/.
 *
 * choice.c chooses the backend of a product.  gemm.c cuts C into tiles and k into ranges.  A backend chooses the tile size and computes
 * a tile on one thread.  A backend is a file that defines one kn_gemm_backend, and an entry in the list in choice.c.
 */
#ifndef KN_GEMM_H
#define KN_GEMM_H
#include "kernels/kernels.h"

/* The largest tile is KN_MT x KN_NT; k is processed in blocks of at most KN_KT.  KN_PAD keeps rows from sharing cache sets. */
enum { KN_MT = 288, KN_NT = 512, KN_KT = 384, KN_PAD = 16, KN_LDC = KN_NT + KN_PAD };
enum { KN_PANELS = 1 << 20 }; /* reals in the shared panels of a range */
enum { KN_BLAS_K = 1024, KN_BLAS_SPACE = 32 << 10 };

/* The work space of one thread. */
typedef struct kn_gemm_space {
    real a[KN_MT * (KN_KT + KN_PAD)], b[KN_KT * KN_NT], c[KN_MT * KN_LDC], blas[KN_BLAS_SPACE];
} kn_gemm_space;

typedef struct kn_gemm_backend kn_gemm_backend;

/* A gemm and its current range: columns n0 .. n0+nb-1 and k0 .. k0+kb-1, in tiles of mt x nt, tile_columns tiles per row of tiles. */
typedef struct kn_gemm_job {
    void       *c;
    kn_type     ct;
    int64_t     ldc, M, N, K, n0, nb, k0, kb, mt, nt, tile_columns;
    kn_mat      a, b;
    const void *addend;
    real       *panels; /* [KN_PANELS], shared by all threads */

    const kn_gemm_backend *backend;
    const kn_gemm_kernel  *kernel; /* the table's kernel for the backend's operands */
} kn_gemm_job;

struct kn_gemm_backend {
    const char *name;                     /* its word in RETORT_GEMM */
    kn_type     operands;                 /* KN_REAL: it takes any; KN_BF16: it takes only products of two bf16 operands */
    const char *(*describe)(void);        /* the name, and all else that determines the bits of a result */
    rt_status (*load)(const kn_table *t); /* called before use; fails if it cannot run here */
    int (*ready)(void);                   /* returns 1 if it is loaded */
    void (*cut)(kn_gemm_job *j);          /* sets mt and nt from the shape */
    /* Packing B before the tiles of a range: the number of work items, and the function that runs one; NULL: no packing. */
    int64_t (*pack_items)(const kn_gemm_job *j);
    rt_body pack;
    /* c[m, n] = op(A)[m0 .., k0 ..] op(B)[k0 .., n0 ..] over the range's kb, + c if acc, on one thread. */
    void (*tile)(const kn_gemm_job *j, kn_gemm_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n, int acc);
};

extern const kn_gemm_backend kn_gemm_own, kn_gemm_bf16, kn_gemm_openblas;

/* Tiles over packed panels (gemm_packed.c), for a backend that uses a kernel of the table.  kn_packed_cut gives every thread the same
 * number of tiles, because sums do not depend on the tile size. */
void    kn_packed_cut(kn_gemm_job *j);
int64_t kn_packed_items(const kn_gemm_job *j);
void    kn_packed_pack(int64_t item, int thread, void *job);
void    kn_packed_tile(const kn_gemm_job *j, kn_gemm_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n, int acc);

static inline int64_t kn_parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* Copies rows r0 .. r0+rows-1, columns c0 .. c0+cols-1 of op(m) as reals, transposed as m is stored.  *ld: row stride of the copy. */
void kn_copy_block(real *to, int64_t *ld, const kn_mat *m, int64_t r0, int64_t rows, int64_t c0, int64_t cols);

/* choice.c: chooses the backends without measuring; measures if nothing else has decided; returns the backend for a product of operands
 * of these types. */
rt_status              kn_gemm_choose(const kn_table *table);
void                   kn_gemm_measure(void);
const kn_gemm_backend *kn_gemm_backend_of(kn_type a, kn_type b);

/* A backend that may be chosen, and its rate on one thread in GFLOP/s; 0: unknown. */
enum { KN_CANDIDATES = 8 };
typedef struct kn_candidate {
    const kn_gemm_backend *backend;
    double                 gflops;
} kn_candidate;

/* timing.c: sets the candidates' rates, in at most 0.2 s unless one round of all takes longer.  Leaves some backend in use.
 * Returns 0 if there was not enough memory. */
int kn_time_candidates(kn_candidate *c, int n);

/* rates.c: each returns 1 if it succeeded.  kn_rates_read sets the rates of all candidates, or of none to 0. */
int kn_rates_read(kn_candidate *c, int n);
int kn_rates_may_write(void); /* creates the folder */
int kn_rates_write(const kn_candidate *c, int n);

rt_status   kn_gemm_init(const kn_table *table);
rt_status   kn_blas_init(const kn_table *table);
const char *kn_blas_config(void); /* OpenBLAS's own description of itself; "no OpenBLAS" */
/* Calls OpenBLAS on one thread: C[M,N] = op(A)[M,K] op(B)[K,N], + C if acc.  K is at most KN_BLAS_K; `space` is
 * KN_BLAS_SPACE reals private to this thread.  After the first call, when OpenBLAS has its buffers, it allocates nothing. */
void kn_blas(real *c, int64_t ldc, const real *a, int64_t lda, int ta, const real *b, int64_t ldb, int tb, int64_t M, int64_t N, int64_t K,
             int acc, real *space);
#endif
