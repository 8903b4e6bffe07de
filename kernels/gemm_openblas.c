/* gemm_openblas.c -- the gemm backend "openblas": OpenBLAS computes the tiles.
 *
 * OpenBLAS's rounding depends on the shape of a call, and its threads split a call by their number.  So it runs on one thread,
 * on tiles whose size depends only on the shape of the gemm.
 */
#include "kernels/gemm.h"
#include <stdio.h>

enum { MIN_TILES = 12, MIN_NT = 128, MIN_MT = 72 }; /* tiles are halved until there are MIN_TILES, down to these sizes */

static void openblas_cut(kn_gemm_job *j)
{
    j->mt = KN_MT, j->nt = KN_NT;
    while (kn_parts(j->M, j->mt) * kn_parts(j->nb, j->nt) < MIN_TILES && j->nt > MIN_NT) j->nt /= 2;
    while (kn_parts(j->M, j->mt) * kn_parts(j->nb, j->nt) < MIN_TILES && j->mt > MIN_MT) j->mt /= 2;
}

/* Returns a block of an operand: in place for KN_REAL, else cast into `work`. */
static const real *openblas_block(const kn_mat *m, int64_t r0, int64_t rows, int64_t c0, int64_t cols, real *work, int64_t *ld)
{
    *ld = m->ld;
    if (m->t == KN_REAL) return (const real *)m->p + (m->trans ? c0 * m->ld + r0 : r0 * m->ld + c0);
    kn_copy_block(work, ld, m, r0, rows, c0, cols);
    return work;
}

static void openblas_tile(const kn_gemm_job *j, kn_gemm_space *w, real *c, int64_t ldc, int64_t m0, int64_t m, int64_t n0, int64_t n,
                          int acc)
{
    const int64_t step = j->a.t == KN_REAL && j->b.t == KN_REAL ? KN_BLAS_K : KN_KT;
    for (int64_t k = 0, lda, ldb; k < j->kb; k += step) {
        const int64_t kt = j->kb - k < step ? j->kb - k : step;
        const real   *a  = openblas_block(&j->a, m0, m, j->k0 + k, kt, w->a, &lda),
                   *b    = openblas_block(&j->b, j->k0 + k, kt, n0, n, w->b, &ldb);
        kn_blas(c, ldc, a, lda, j->a.trans, b, ldb, j->b.trans, m, n, kt, acc || k, w->blas);
    }
}

static const char *openblas_describe(void)
{
    static char text[256];
    snprintf(text, sizeof text, "openblas, %s, %s", kn_blas_config(), kn_blas_kernel());
    return text;
}

const kn_gemm_backend kn_gemm_openblas = {.name     = "openblas",
                                          .operands = KN_REAL,
                                          .describe = openblas_describe,
                                          .load     = kn_blas_init,
                                          .ready    = kn_have_blas,
                                          .cut      = openblas_cut,
                                          .tile     = openblas_tile};
