/* gemm_own.c -- the gemm backend "own": packed panels and the table's register tile.
 *
 * All threads pack B into panels of nr columns, once per range.  A tile then copies its rows of A, one block of k at a time,
 * into the core's cache and runs the table's micro kernel over the panels.  Packing and copying cast bf16 to `real`, so the
 * cast needs no separate pass.  Each element is summed over k in order for every tile size, so with this backend
 * an output row depends only on its own operands.
 */
#include "kernels/gemm.h"
#include <string.h>

enum { MT = 96, PACK_K = 64, PACK_N = 256 }; /* MT: largest tile height; a block of A fits in a core's cache */

_Static_assert(KN_NT % KN_MAX_NR == 0 && PACK_N % KN_MAX_NR == 0, "tiles and items begin where a panel does");

static const kn_gemm_kernel *kernel(void) { return &kn_get()->gemm; }

/* ---- panels: one thread ---------------------------------------------------------------------- */

int64_t kn_panels(int64_t N, int64_t K) { return kn_parts(N, kernel()->nr) * kernel()->nr * K; }

static void pack_panel(real *to, const kn_mat *b, int64_t n0, int64_t N, int64_t k0, int64_t K)
{
    const int64_t at = b->trans ? n0 * b->ld + k0 : k0 * b->ld + n0, n = N - n0 < kernel()->nr ? N - n0 : kernel()->nr;
    kernel()->pack_b(to, (const char *)b->p + (size_t)at * kn_size(b->t), b->t, b->ld, b->trans, n, K);
}

void kn_pack(real *to, kn_mat b, int64_t N, int64_t K)
{
    RT_ASSERT((uintptr_t)to % RT_ALIGN == 0 && b.ld >= (b.trans ? K : N));
    for (int64_t n = 0; n < N; n += kernel()->nr) pack_panel(to + n * K, &b, n, N, 0, K);
}

kn_rows kn_plain(const real *p, int64_t row, int64_t col) { return (kn_rows){p, row, col, kernel()->mr * row}; }

/* Computes a panel of n < nr columns in a temporary tile, so that nothing outside C is written. */
static void edge(real *c, int64_t ldc, kn_rows a, const real *b, int64_t M, int64_t n, int64_t K, int acc)
{
    _Alignas(RT_ALIGN) real t[KN_MAX_MR * KN_MAX_NR];
    const int64_t           mr = kernel()->mr, nr = kernel()->nr;
    for (int64_t i = 0; i < M; i += mr, a.p += a.tile) {
        const int64_t m = M - i < mr ? M - i : mr;
        kernel()->micro(t, nr, &a, b, m, K, 0);
        for (int64_t r = 0; r < m; r++)
            for (int64_t j = 0; j < n; j++) c[(i + r) * ldc + j] = (acc ? c[(i + r) * ldc + j] : 0) + t[r * nr + j];
    }
}

void kn_gemm_packed(real *c, int64_t ldc, kn_rows a, const real *panels, int64_t packed_k, int64_t M, int64_t N, int64_t K, int acc)
{
    const int64_t nr = kernel()->nr;
    int64_t       n  = 0;
    RT_ASSERT(M >= 0 && N >= 0 && K >= 0 && K <= packed_k && ldc >= N);
    for (; n + nr <= N; n += nr) kernel()->micro(c + n, ldc, &a, panels + n * packed_k, M, K, acc);
    if (n < N) edge(c + n, ldc, a, panels + n * packed_k, M, N - n, K, acc);
}

/* ---- the backend --------------------------------------------------------------------------------- */

/* Returns the address of a panel.  Panels of one block of k are contiguous, in the order in which a tile reads them. */
static real *panels_at(const kn_gemm_job *j, int64_t n, int64_t k, int64_t kt)
{
    return j->panels + kn_panels(j->nb, k) + (n - j->n0) * kt;
}

/* A work item packs a block of PACK_K rows and PACK_N columns, so that it reads whole cache lines. */
static void pack_item(int64_t item, int thread, void *ud)
{
    const kn_gemm_job *j       = ud;
    const int64_t      columns = kn_parts(j->nb, PACK_N), k1 = item / columns * PACK_K, n1 = j->n0 + item % columns * PACK_N;
    const int64_t      k0 = k1 / KN_KT * KN_KT, kt = j->kb - k0 < KN_KT ? j->kb - k0 : KN_KT, k = j->kb - k1 < PACK_K ? j->kb - k1 : PACK_K;
    const int64_t      end = j->n0 + j->nb;
    (void)thread;
    for (int64_t n = n1; n < n1 + PACK_N && n < end; n += kernel()->nr)
        pack_panel(panels_at(j, n, k0, kt) + (k1 - k0) * kernel()->nr, &j->b, n, end, j->k0 + k1, k);
}

static void own_pack(kn_gemm_job *j) { rt_parallel(kn_parts(j->kb, PACK_K) * kn_parts(j->nb, PACK_N), pack_item, j); }

/* Sets the tile size.  Sums do not depend on it, so it is chosen to give every thread the same number of tiles. */
static void own_cut(kn_gemm_job *j)
{
    const int64_t down = kn_parts(kn_parts(j->M, MT), rt_threads()) * rt_threads(), mr = kernel()->mr;
    j->mt = kn_parts(kn_parts(j->M, down), mr) * mr;
    j->nt = j->ct == KN_REAL ? j->nb : KN_NT;
}

/* Copies rows m0 .. m0+m-1 and columns k .. k+kt-1 of A to `work`: row-major, or in tiles of mr rows if A is transposed. */
static kn_rows own_rows_of(const kn_gemm_job *j, real *work, int64_t m0, int64_t m, int64_t k, int64_t kt)
{
    int64_t lda;
    if (j->a.trans) {
        const int64_t tile = kt * kernel()->mr;
        kernel()->pack_a(work, tile, (const char *)j->a.p + (size_t)(k * j->a.ld + m0) * kn_size(j->a.t), j->a.t, j->a.ld, m, kt);
        return (kn_rows){work, 1, kernel()->mr, tile};
    }
    kn_copy_block(work, &lda, &j->a, m0, m, k, kt);
    return kn_plain(work, lda, 1);
}

static void own_tile(const kn_gemm_job *j, kn_gemm_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n, int acc)
{
    for (int64_t k = 0; k < j->kb; k += KN_KT) {
        const int64_t kt = j->kb - k < KN_KT ? j->kb - k : KN_KT;
        kn_gemm_packed(c, ldc, own_rows_of(j, w->a, m0, m, j->k0 + k, kt), panels_at(j, n0, k, kt), kt, m, n, kt, acc || k);
    }
}

static rt_status own_load(const kn_table *t)
{
    (void)t;
    return RT_OK;
}
static int         ready(void) { return 1; }
static const char *own_describe(void) { return "own"; }

const kn_gemm_backend kn_gemm_own = {
    .name = "own", .describe = own_describe, .load = own_load, .ready = ready, .cut = own_cut, .pack = own_pack, .tile = own_tile};
