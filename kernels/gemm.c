/* gemm.c -- gemm on all threads: ranges of k and of columns, tiles, output types.  A backend computes each tile. */
#include "kernels/gemm.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_K = 1024 }; /* largest range of k, in units of the kernel, if the output is accumulated in place */

static kn_gemm_space *g_space[RT_MAX_THREADS];
static real          *g_panels;

rt_status kn_gemm_init(const kn_table *table)
{
    for (int i = 0; i < rt_threads(); i++)
        if (!g_space[i])
            RT_CHECK(g_space[i] = aligned_alloc(RT_ALIGN, sizeof **g_space), RT_ENOMEM, "no memory for the work space of gemm");
    if (!g_panels) RT_TRY(rt_alloc((void **)&g_panels, KN_PANELS, sizeof(real), "panels of gemm"));
    return kn_gemm_choose(table);
}

int64_t kn_work_bytes(void) { return KN_PANELS * (int64_t)sizeof(real) + rt_threads() * (int64_t)sizeof(kn_gemm_space); }

/* ---- tiles: all threads -------------------------------------------------------------------------------- */

void kn_copy_block(real *to, int64_t *ld, const kn_mat *m, int64_t r0, int64_t rows, int64_t c0, int64_t cols)
{
    const int64_t y0 = m->trans ? c0 : r0, x0 = m->trans ? r0 : c0, h = m->trans ? cols : rows, w = m->trans ? rows : cols;
    *ld = (w + KN_PAD - 1) / KN_PAD * KN_PAD + (m->trans ? 0 : KN_PAD);
    for (int64_t y = 0; y < h; y++) kn_type_of(m->t)->to_real(to + y * *ld, m->p, (y0 + y) * m->ld + x0, w);
}

static void finish_row(const kn_gemm_job *j, const void *addend, real *row, int64_t at, int64_t n)
{
    real work[KN_NT];
    if (addend) kn_get()->add(row, row, kn_load(addend, j->ct, at, n, work), n);
    kn_commit(j->c, j->ct, at, row, n);
}

static void gemm_tile(int64_t item, int thread, void *ud)
{
    const kn_gemm_job *j  = ud;
    kn_gemm_space     *w  = g_space[thread];
    const int64_t      m0 = item / j->tile_columns * j->mt, at = item % j->tile_columns * j->nt, n0 = j->n0 + at;
    const int64_t      m = j->M - m0 < j->mt ? j->M - m0 : j->mt, n = j->nb - at < j->nt ? j->nb - at : j->nt;
    const int          direct = j->ct == KN_REAL;
    real              *c      = direct ? (real *)j->c + m0 * j->ldc + n0 : w->c;
    const void        *addend = j->k0 ? j->c : j->addend;
    if (direct && addend && addend != j->c)
        for (int64_t i = 0; i < m; i++) memcpy(c + i * j->ldc, (const real *)addend + (m0 + i) * j->ldc + n0, (size_t)n * sizeof(real));
    j->backend->tile(j, w, c, direct ? j->ldc : KN_LDC, m0, m, n0, n, direct && addend);
    for (int64_t i = 0; !direct && i < m; i++) finish_row(j, addend, w->c + i * KN_LDC, (m0 + i) * j->ldc + n0, n);
}

static void multiply_range(kn_gemm_job *j)
{
    const kn_gemm_backend *g = j->backend;
    g->cut(j);
    j->tile_columns     = kn_parts(j->nb, j->nt);
    const int64_t tiles = kn_parts(j->M, j->mt) * j->tile_columns;
    if (g->pack) rt_parallel_two(g->pack_items(j), g->pack, tiles, gemm_tile, j);
    else rt_parallel(tiles, gemm_tile, j);
}

static kn_gemm_seen *g_seen;
static void         *g_seen_ud;

void kn_gemm_watch(kn_gemm_seen *seen, void *ud)
{
    g_seen    = seen;
    g_seen_ud = ud;
}

/* For a bf16 output k is split only if one panel of all of k does not fit, so that the output is rounded once. */
void kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t M, int64_t N, int64_t K, const void *addend)
{
    kn_gemm_job j    = {.c = c, .ct = ct, .ldc = ldc, .M = M, .N = N, .K = K, .a = a, .b = b, .addend = addend, .panels = g_panels};
    j.backend        = kn_gemm_backend_of(a.t, b.t);
    j.kernel         = kn_gemm_kernel_of(j.backend->operands);
    const int64_t nr = j.kernel->nr, units = kn_parts(K, j.kernel->step);
    const int64_t most = ct == KN_REAL ? MOST_K : KN_PANELS / nr, uc = units < 1 ? 1 : units < most ? units : most;
    const int64_t kc = uc * j.kernel->step, nc = KN_PANELS / uc / nr * nr;
    RT_ASSERT(M >= 0 && N >= 0 && K >= 0 && g_panels); /* kn_init was called */
    RT_ASSERT(ldc >= N && a.ld >= (a.trans ? M : K) && b.ld >= (b.trans ? K : N));
    RT_ASSERT(kn_type_of(ct)->from_real && kn_type_of(a.t)->to_real && kn_type_of(b.t)->to_real);
    if (g_seen) g_seen(g_seen_ud, ct, &a, &b, M, N, K);
    for (j.k0 = 0; j.k0 == 0 || j.k0 < K; j.k0 += kc)
        for (j.n0 = 0; j.n0 < N; j.n0 += nc) {
            j.kb = K - j.k0 < kc ? K - j.k0 : kc;
            j.nb = N - j.n0 < nc ? N - j.n0 : nc;
            multiply_range(&j);
        }
}
