/* gemm_packed.c -- gemm over packed panels with a register tile of the table: the tiles of the backends "own" and "bf16".
 *
 * All threads pack B into panels of nr columns, once per range.  A tile then copies its rows of A, one block of k at a time,
 * into the core's cache and runs the micro kernel over the panels.  Packing and copying also cast, so the cast needs no separate
 * pass.  Each element is summed over k in order for every tile size, so with these backends an output row depends only on its
 * own operands.
 *
 * Offsets along k are counted in units of the kernel (kernels.h: kn_rows), which are as large as a real for every kernel.
 */
#include "kernels/gemm.h"
#include <string.h>

enum { MT = 96, LEAST_MT = 48, TILES = 4 }; /* largest and least height of a tile; tiles per thread that are worth lower ones */
enum { PACK_K = 64, PACK_N = 256 };         /* units of k and columns of B that a work item packs */

_Static_assert(KN_NT % KN_MAX_NR == 0 && PACK_N % KN_MAX_NR == 0, "tiles and items begin where a panel does");
_Static_assert(KN_KT % PACK_K == 0, "an item lies in one block of k");

/* ---- panels: one thread ---------------------------------------------------------------------- */

static int64_t panel_units(const kn_gemm_kernel *g, int64_t N, int64_t units) { return kn_parts(N, g->nr) * g->nr * units; }

int64_t kn_panels(int64_t N, int64_t K)
{
    const kn_gemm_kernel *f32 = &kn_get()->gemm, *bf16 = &kn_get()->gemm_bf16;
    const int64_t         reals = panel_units(f32, N, K), pairs = bf16->step ? panel_units(bf16, N, kn_parts(K, bf16->step)) : 0;
    return reals > pairs ? reals : pairs;
}

static void pack_panel(const kn_gemm_kernel *g, real *to, const kn_mat *b, int64_t n0, int64_t N, int64_t k0, int64_t K)
{
    const int64_t at = b->trans ? n0 * b->ld + k0 : k0 * b->ld + n0, n = N - n0 < g->nr ? N - n0 : g->nr;
    g->pack_b(to, (const char *)b->p + (size_t)at * kn_size(b->t), b->t, b->ld, b->trans, n, K);
}

void kn_pack(const kn_gemm_kernel *g, real *to, kn_mat b, int64_t N, int64_t K)
{
    RT_ASSERT((uintptr_t)to % RT_ALIGN == 0 && b.ld >= (b.trans ? K : N));
    for (int64_t n = 0; n < N; n += g->nr) pack_panel(g, to + n * kn_parts(K, g->step), &b, n, N, 0, K);
}

kn_rows kn_plain(const kn_gemm_kernel *g, const real *p, int64_t row, int64_t col) { return (kn_rows){p, row, col, g->mr * row}; }

/* Computes a panel of n < nr columns in a temporary tile, so that nothing outside C is written. */
static void edge(const kn_gemm_kernel *g, real *c, int64_t ldc, kn_rows a, const real *b, int64_t M, int64_t n, int64_t K, int acc)
{
    _Alignas(RT_ALIGN) real t[KN_MAX_MR * KN_MAX_NR];
    for (int64_t i = 0; i < M; i += g->mr, a.p += a.tile) {
        const int64_t m = M - i < g->mr ? M - i : g->mr;
        g->micro(t, g->nr, &a, b, m, K, 0);
        for (int64_t r = 0; r < m; r++)
            for (int64_t j = 0; j < n; j++) c[(i + r) * ldc + j] = (acc ? c[(i + r) * ldc + j] : 0) + t[r * g->nr + j];
    }
}

void kn_gemm_packed(const kn_gemm_kernel *g, real *c, int64_t ldc, kn_rows a, const real *panels, int64_t packed_k, int64_t M, int64_t N,
                    int64_t K, int acc)
{
    const int64_t units = kn_parts(packed_k, g->step);
    int64_t       n     = 0;
    RT_ASSERT(M >= 0 && N >= 0 && K >= 0 && K <= packed_k && ldc >= N);
    for (; n + g->nr <= N; n += g->nr) g->micro(c + n, ldc, &a, panels + n * units, M, K, acc);
    if (n < N) edge(g, c + n, ldc, a, panels + n * units, M, N - n, K, acc);
}

/* ---- the backends' functions ------------------------------------------------------------------- */

/* Returns the address of a panel.  Panels of one block of k are contiguous, in the order in which a tile reads them. */
static real *panels_at(const kn_gemm_job *j, int64_t n, int64_t u, int64_t ut)
{
    return j->panels + panel_units(j->kernel, j->nb, u) + (n - j->n0) * ut;
}

static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* A work item packs a block of PACK_K rows of units and PACK_N columns, so that it reads whole cache lines. */
void kn_packed_pack(int64_t item, int thread, void *job)
{
    const kn_gemm_job    *j       = job;
    const kn_gemm_kernel *g       = j->kernel;
    const int64_t         columns = kn_parts(j->nb, PACK_N), u1 = item / columns * PACK_K, n1 = j->n0 + item % columns * PACK_N;
    const int64_t         units = kn_parts(j->kb, g->step), u0 = u1 / KN_KT * KN_KT, ut = at_most(units - u0, KN_KT);
    const int64_t         k = at_most(j->kb - u1 * g->step, PACK_K * g->step), end = j->n0 + j->nb;
    (void)thread;
    for (int64_t n = n1; n < n1 + PACK_N && n < end; n += g->nr)
        pack_panel(g, panels_at(j, n, u0, ut) + (u1 - u0) * g->nr, &j->b, n, end, j->k0 + u1 * g->step, k);
}

int64_t kn_packed_items(const kn_gemm_job *j) { return kn_parts(kn_parts(j->kb, j->kernel->step), PACK_K) * kn_parts(j->nb, PACK_N); }

/* A few tiles per thread, so that a thread that is slower for a while takes fewer of them; the same number for each if they are equally fast. */
void kn_packed_cut(kn_gemm_job *j)
{
    const int64_t threads = rt_threads(), mr = j->kernel->mr, few = kn_parts(j->M, MT), many = kn_parts(j->M, LEAST_MT);
    const int64_t enough = threads == 1 ? 1 : TILES * threads, tiles = few > enough ? few : many < enough ? many : enough;
    j->mt = kn_parts(kn_parts(j->M, kn_parts(tiles, threads) * threads), mr) * mr;
    j->nt = j->ct == KN_REAL ? j->nb : KN_NT;
}

/* Copies rows of bf16; the odd last element of a row is followed by a zero. */
static kn_rows rows_of_pairs(const kn_gemm_kernel *g, real *work, const kn_mat *a, int64_t m0, int64_t m, int64_t k, int64_t kt)
{
    const int64_t row = kn_parts(kn_parts(kt, 2), KN_PAD) * KN_PAD + KN_PAD;
    for (int64_t i = 0; i < m; i++) {
        kn_bf16 *to = (kn_bf16 *)(work + i * row);
        memcpy(to, (const kn_bf16 *)a->p + (m0 + i) * a->ld + k, (size_t)kt * sizeof *to);
        if (kt % 2) to[kt] = 0;
    }
    return kn_plain(g, work, row, 1);
}

/* Copies rows m0 .. m0+m-1 and columns k .. k+kt-1 of A to `work`: row-major, or in tiles of mr rows if A is transposed. */
static kn_rows rows_of(const kn_gemm_job *j, real *work, int64_t m0, int64_t m, int64_t k, int64_t kt)
{
    const kn_gemm_kernel *g = j->kernel;
    int64_t               lda;
    if (j->a.trans) {
        const int64_t tile = kn_parts(kt, g->step) * g->mr;
        g->pack_a(work, tile, (const char *)j->a.p + (size_t)(k * j->a.ld + m0) * kn_size(j->a.t), j->a.t, j->a.ld, m, kt);
        return (kn_rows){work, 1, g->mr, tile};
    }
    if (g->type == KN_BF16) return rows_of_pairs(g, work, &j->a, m0, m, k, kt);
    kn_copy_block(work, &lda, &j->a, m0, m, k, kt);
    return kn_plain(g, work, lda, 1);
}

void kn_packed_tile(const kn_gemm_job *j, kn_gemm_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n, int acc)
{
    const int64_t step = j->kernel->step, block = KN_KT * step;
    for (int64_t k = 0; k < j->kb; k += block) {
        const int64_t kt = at_most(j->kb - k, block);
        kn_gemm_packed(j->kernel, c, ldc, rows_of(j, w->a, m0, m, j->k0 + k, kt), panels_at(j, n0, k / step, kn_parts(kt, step)), kt, m, n,
                       kt, acc || k);
    }
}
