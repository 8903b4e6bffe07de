/* gemm.c -- matrix products over all threads.
 *
 * The operand that lies across the output's columns, B, is packed into panels once a product, by all
 * threads; then the output is cut into tiles by shape alone.  A tile copies its rows of A, block by block of k, into
 * the core's own cache and runs the table's micro kernel over the panels.  bf16 becomes `real` on the way into panel and
 * block, so that widening costs no pass of its own.  An element's sum runs over k in order, whatever the tile: with this
 * engine an output row depends on its own operands alone.
 *
 * The other engine hands each tile to OpenBLAS, for machines where that is faster (RETORT_PRODUCT=own|openblas).
 * OpenBLAS's bits depend on the shape of a call and its own threads cut shapes by their number: it gets one thread and
 * the same tiles.
 */
#include "kernels/gemm.h"
#include <stdlib.h>
#include <string.h>

/* A tile is MT x NT (a third as many rows for the own kernel, whose block of A must stay in a core's cache), k runs in blocks of KT. */
enum { MT = 96, MT_BLAS = 288, NT = 512, KT = 384, PAD = 16 };
enum { LDC = NT + PAD, PACK_K = 64, PACK_N = 256 };
enum { PANELS = 1 << 20, DEEP = 1024 };             /* reals packed at once; k at once where the output is added up in place */
enum { MIN_TILES = 12, MIN_NT = 128, MIN_MT = 72 }; /* OpenBLAS's tiles: finer until there is work for every core */

_Static_assert(NT % KN_MAX_NR == 0 && PACK_N % KN_MAX_NR == 0, "tiles and items begin where a panel does");

typedef struct work_space {
    real a[MT_BLAS * (KT + PAD)], b[KT * NT], c[MT_BLAS * LDC], blas[KN_BLAS_SPACE];
} work_space;
static work_space     *g_work[RT_MAX_THREADS];
static real           *g_panels;
static const kn_table *g_k;
static int             g_blas;

rt_status kn_gemm_init(const kn_table *table)
{
    const char *want = getenv("RETORT_PRODUCT");
    RT_CHECK(!want || !*want || !strcmp(want, "own") || !strcmp(want, "openblas"), RT_EINVAL,
             "RETORT_PRODUCT=%s: expected own or openblas; unset it for what suits this CPU", want);
    g_k    = table;
    g_blas = want && *want ? !strcmp(want, "openblas") : table->openblas;
    for (int i = 0; i < rt_threads(); i++)
        if (!g_work[i]) RT_CHECK(g_work[i] = aligned_alloc(RT_ALIGN, sizeof **g_work), RT_ENOMEM, "work space of the matrix product");
    if (!g_panels) RT_TRY(rt_alloc((void **)&g_panels, PANELS, sizeof(real), "panels of the matrix product"));
    const rt_status loaded = kn_blas_init(table);
    if (g_blas) RT_TRY(loaded); /* else it is there to compare with, or is not */
    return RT_OK;
}

int64_t kn_work_bytes(void) { return PANELS * (int64_t)sizeof(real) + rt_threads() * (int64_t)sizeof(work_space); }

int  kn_product_is_blas(void) { return g_blas; }
void kn_product_use_blas(int on) { g_blas = on && kn_have_blas(); }

/* ---- panels: one thread ---------------------------------------------------------------------- */

int64_t kn_panels(int64_t N, int64_t K) { return (N + g_k->nr - 1) / g_k->nr * g_k->nr * K; }

static void pack_panel(real *to, const kn_mat *b, int64_t n0, int64_t N, int64_t k0, int64_t K)
{
    const int64_t at = b->trans ? n0 * b->ld + k0 : k0 * b->ld + n0, n = N - n0 < g_k->nr ? N - n0 : g_k->nr;
    g_k->pack(to, (const char *)b->p + (size_t)at * kn_size(b->t), b->t, b->ld, b->trans, n, K);
}

void kn_pack(real *to, kn_mat b, int64_t N, int64_t K)
{
    for (int64_t n = 0; n < N; n += g_k->nr) pack_panel(to + n * K, &b, n, N, 0, K);
}

kn_rows kn_plain(const real *p, int64_t row, int64_t col) { return (kn_rows){p, row, col, g_k->mr * row}; }

/* A panel of n < nr columns goes through a tile of its own, so that nothing beyond C is written. */
static void edge(real *c, int64_t ldc, kn_rows a, const real *b, int64_t M, int64_t n, int64_t K, int acc)
{
    _Alignas(RT_ALIGN) real t[KN_MAX_MR * KN_MAX_NR];
    const int64_t           mr = g_k->mr, nr = g_k->nr;
    for (int64_t i = 0; i < M; i += mr, a.p += a.tile) {
        const int64_t m = M - i < mr ? M - i : mr;
        g_k->micro(t, nr, &a, b, m, K, 0);
        for (int64_t r = 0; r < m; r++)
            for (int64_t j = 0; j < n; j++) c[(i + r) * ldc + j] = (acc ? c[(i + r) * ldc + j] : 0) + t[r * nr + j];
    }
}

void kn_gemm_packed(real *c, int64_t ldc, kn_rows a, const real *panels, int64_t deep, int64_t M, int64_t N, int64_t K, int acc)
{
    int64_t n = 0;
    for (; n + g_k->nr <= N; n += g_k->nr) g_k->micro(c + n, ldc, &a, panels + n * deep, M, K, acc);
    if (n < N) edge(c + n, ldc, a, panels + n * deep, M, N - n, K, acc);
}

/* ---- tiles: all threads -------------------------------------------------------------------------- */

typedef struct product {
    void       *c;
    kn_type     ct;
    int64_t     ldc, M, N, K, mt, nt, across, n0, nb, k0, kb; /* n0 .. n0+nb, k0 .. k0+kb: what is packed */
    kn_mat      a, b;
    const void *plus;
} product;

static int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* Panels of one block of k stand together, in the order in which a tile reads them. */
static real *panels_at(const product *p, int64_t n, int64_t k, int64_t kt) { return g_panels + kn_panels(p->nb, k) + (n - p->n0) * kt; }

/* An item is a block of some rows and columns: what it reads comes in whole lines of the cache. */
static void pack_item(int64_t item, int thread, void *ud)
{
    const product *p      = ud;
    const int64_t  across = parts(p->nb, PACK_N), k1 = item / across * PACK_K, n1 = p->n0 + item % across * PACK_N, end = p->n0 + p->nb;
    const int64_t  k0 = k1 / KT * KT, kt = p->kb - k0 < KT ? p->kb - k0 : KT, k = p->kb - k1 < PACK_K ? p->kb - k1 : PACK_K;
    (void)thread;
    for (int64_t n = n1; n < n1 + PACK_N && n < end; n += g_k->nr)
        pack_panel(panels_at(p, n, k0, kt) + (k1 - k0) * g_k->nr, &p->b, n, end, p->k0 + k1, k);
}

/* Rows r0 .. r0+rows, columns c0 .. c0+cols of op(m) as reals, copied in the orientation of its memory. */
static void copy_block(real *to, int64_t *ld, const kn_mat *m, int64_t r0, int64_t rows, int64_t c0, int64_t cols)
{
    const int64_t y0 = m->trans ? c0 : r0, x0 = m->trans ? r0 : c0, h = m->trans ? cols : rows, w = m->trans ? rows : cols;
    *ld = (w + PAD - 1) / PAD * PAD + (m->trans ? 0 : PAD);
    for (int64_t y = 0; y < h; y++) {
        const int64_t at = (y0 + y) * m->ld + x0;
        if (m->t == KN_REAL) memcpy(to + y * *ld, (const real *)m->p + at, (size_t)w * sizeof(real));
        else g_k->widen(to + y * *ld, (const kn_bf16 *)m->p + at, w);
    }
}

/* Rows m0 .. m0+m of A, k .. k+kt, in the core's cache: as they are, or in tiles where memory runs across them. */
static kn_rows rows_of(const product *p, real *work, int64_t m0, int64_t m, int64_t k, int64_t kt)
{
    int64_t lda;
    if (p->a.trans) {
        const int64_t tile = kt * g_k->mr;
        g_k->pack_tiles(work, tile, (const char *)p->a.p + (size_t)(k * p->a.ld + m0) * kn_size(p->a.t), p->a.t, p->a.ld, m, kt);
        return (kn_rows){work, 1, g_k->mr, tile};
    }
    copy_block(work, &lda, &p->a, m0, m, k, kt);
    return kn_plain(work, lda, 1);
}

static void tile_own(const product *p, work_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n, int acc)
{
    for (int64_t k = 0; k < p->kb; k += KT) {
        const int64_t kt = p->kb - k < KT ? p->kb - k : KT;
        kn_gemm_packed(c, ldc, rows_of(p, w->a, m0, m, p->k0 + k, kt), panels_at(p, n0, k, kt), kt, m, n, kt, acc || k);
    }
}

/* An operand's block for OpenBLAS: where it lies, or widened. */
static const real *block(const kn_mat *m, int64_t r0, int64_t rows, int64_t c0, int64_t cols, real *work, int64_t *ld)
{
    *ld = m->ld;
    if (m->t == KN_REAL) return (const real *)m->p + (m->trans ? c0 * m->ld + r0 : r0 * m->ld + c0);
    copy_block(work, ld, m, r0, rows, c0, cols);
    return work;
}

static void tile_blas(const product *p, work_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n, int acc)
{
    const int64_t step = p->a.t == KN_REAL && p->b.t == KN_REAL ? KN_BLAS_K : KT;
    for (int64_t k = 0, lda, ldb; k < p->kb; k += step) {
        const int64_t kt = p->kb - k < step ? p->kb - k : step;
        const real   *a = block(&p->a, m0, m, p->k0 + k, kt, w->a, &lda), *b = block(&p->b, p->k0 + k, kt, n0, n, w->b, &ldb);
        kn_blas(c, ldc, a, lda, p->a.trans, b, ldb, p->b.trans, m, n, kt, acc || k, w->blas);
    }
}

static void round_row(const product *p, const void *plus, real *row, int64_t at, int64_t n)
{
    real work[NT];
    if (plus) g_k->add(row, row, kn_load(plus, p->ct, at, n, work), n);
    kn_commit(p->c, p->ct, at, row, n);
}

static void tile(int64_t item, int thread, void *ud)
{
    const product *p  = ud;
    work_space    *w  = g_work[thread];
    const int64_t  m0 = item / p->across * p->mt, j = item % p->across * p->nt, n0 = p->n0 + j;
    const int64_t  m = p->M - m0 < p->mt ? p->M - m0 : p->mt, n = p->nb - j < p->nt ? p->nb - j : p->nt;
    const int      direct = p->ct == KN_REAL;
    real          *c      = direct ? (real *)p->c + m0 * p->ldc + n0 : w->c;
    const void    *plus   = p->k0 ? p->c : p->plus;
    if (direct && plus && plus != p->c)
        for (int64_t i = 0; i < m; i++) memcpy(c + i * p->ldc, (const real *)plus + (m0 + i) * p->ldc + n0, (size_t)n * sizeof(real));
    (g_blas ? tile_blas : tile_own)(p, w, c, direct ? p->ldc : LDC, m0, m, n0, n, direct && plus);
    for (int64_t i = 0; !direct && i < m; i++) round_row(p, plus, w->c + i * LDC, (m0 + i) * p->ldc + n0, n);
}

/* The own kernel's sums do not depend on the cut, so that it may follow the threads: as many tiles for each.
 * OpenBLAS's do: there the cut is a function of the shape alone. */
static void cut(product *p)
{
    if (g_blas) {
        p->mt = MT_BLAS, p->nt = NT;
        while (parts(p->M, p->mt) * parts(p->nb, p->nt) < MIN_TILES && p->nt > MIN_NT) p->nt /= 2;
        while (parts(p->M, p->mt) * parts(p->nb, p->nt) < MIN_TILES && p->mt > MIN_MT) p->mt /= 2;
    } else {
        const int64_t down = parts(parts(p->M, MT), rt_threads()) * rt_threads();
        p->mt              = parts(parts(p->M, down), g_k->mr) * g_k->mr;
        p->nt              = p->ct == KN_REAL ? p->nb : NT;
    }
    p->across = parts(p->nb, p->nt);
}

static void run(product *p)
{
    cut(p);
    if (!g_blas) rt_parallel(parts(p->kb, PACK_K) * parts(p->nb, PACK_N), pack_item, p);
    rt_parallel(parts(p->M, p->mt) * p->across, tile, p);
}

static void (*g_seen)(void *ud, const kn_mat *a, const kn_mat *b, int64_t M, int64_t N, int64_t K);
static void *g_seen_ud;

void kn_gemm_watch(void (*seen)(void *ud, const kn_mat *a, const kn_mat *b, int64_t M, int64_t N, int64_t K), void *ud)
{
    g_seen    = seen;
    g_seen_ud = ud;
}

/* A bf16 output is rounded once, so that k stays whole as long as one panel fits. */
void kn_gemm(void *c, kn_type ct, int64_t ldc, kn_mat a, kn_mat b, int64_t M, int64_t N, int64_t K, const void *plus)
{
    product       p    = {.c = c, .ct = ct, .ldc = ldc, .M = M, .N = N, .K = K, .a = a, .b = b, .plus = plus};
    const int64_t most = ct == KN_REAL ? DEEP : PANELS / g_k->nr, deep = K < most ? K : most;
    const int64_t wide = PANELS / (deep ? deep : 1) / g_k->nr * g_k->nr;
    if (g_seen) g_seen(g_seen_ud, &a, &b, M, N, K);
    for (p.k0 = 0; p.k0 == 0 || p.k0 < K; p.k0 += deep)
        for (p.n0 = 0; p.n0 < N; p.n0 += wide) {
            p.kb = K - p.k0 < deep ? K - p.k0 : deep;
            p.nb = N - p.n0 < wide ? N - p.n0 : wide;
            run(&p);
        }
}
