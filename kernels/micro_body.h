/* micro_body.h -- the inner loops of gemm, part of kernels_body.h.
 *
 * A micro tile of MR x NR sums stays in registers during the loop over k.  It is NV vectors wide; each
 * vector of B is multiplied by MR broadcast elements of A.  B is packed beforehand into panels
 * [K][NR], so that its loads are aligned and sequential; A is read with two strides.
 * Source: Goto & van de Geijn 2008, doi:10.1145/1356052.1356053 (GEBP).
 */
enum { VL = KN_VECTOR / (int)sizeof(real), MR = KN_MR, NV = KN_NV, NR = NV * VL, TURN = 8 };
_Static_assert(KN_MR <= KN_MAX_MR && KN_MAX_NR % (KN_NV * KN_VECTOR / (int)sizeof(real)) == 0, "gemm cannot cut this micro tile");

typedef real vec __attribute__((vector_size(KN_VECTOR)));
typedef real vec_at_will __attribute__((vector_size(KN_VECTOR), aligned(sizeof(real)))); /* unaligned */

/* m is a constant at every call, so the loops over m are unrolled. */
static inline __attribute__((always_inline)) void micro_rows(real *c, int64_t ldc, const real *a, int64_t rs, int64_t cs, const real *b,
                                                             const int m, int64_t K, int acc)
{
    vec s[MR][NV];
    for (int i = 0; i < m; i++)
        for (int v = 0; v < NV; v++) s[i][v] = (vec){0};
    for (int64_t k = 0; k < K; k++, a += cs, b += NR) {
        vec bv[NV];
        for (int v = 0; v < NV; v++) bv[v] = ((const vec *)b)[v];
        for (int i = 0; i < m; i++)
            for (int v = 0; v < NV; v++) s[i][v] += a[i * rs] * bv[v];
    }
    for (int i = 0; i < m; i++)
        for (int v = 0; v < NV; v++) {
            vec_at_will *to = (vec_at_will *)(c + i * ldc + v * VL);
            *to             = acc ? *to + s[i][v] : s[i][v];
        }
}

static void micro(real *c, int64_t ldc, const kn_rows *a, const real *b, int64_t M, int64_t K, int acc)
{
    const real *p = a->p;
    for (; M >= MR; M -= MR, p += a->tile, c += MR * ldc) {
        for (int i = 0; i < MR; i++) __builtin_prefetch(c + i * ldc, 1, 3); /* needed after the loop over k */
        micro_rows(c, ldc, p, a->row, a->col, b, MR, K, acc);
    }
    for (; M >= 2; M -= 2, p += 2 * a->row, c += 2 * ldc) micro_rows(c, ldc, p, a->row, a->col, b, 2, K, acc);
    if (M) micro_rows(c, ldc, p, a->row, a->col, b, 1, K, acc);
}

/* Packs rows of memory that run along M into tiles of MR columns, to[tile][k][MR], `tile` reals apart. */
static void pack_a(real *restrict to, int64_t tile, const void *x, kn_type t, int64_t ld, int64_t M, int64_t K)
{
    real row[KN_MAX_TILE] = {0};
    for (int64_t k = 0; k < K; k++, to += MR) {
        if (t == KN_REAL) memcpy(row, (const real *)x + k * ld, (size_t)M * sizeof(real));
        else from_bf16(row, (const kn_bf16 *)x + k * ld, M);
        for (int64_t i = 0, at = 0; i < M; i += MR, at += tile)
            for (int r = 0; r < MR; r++) to[at + r] = row[i + r]; /* elements beyond M are never used */
    }
}

static inline real cast(const void *x, kn_type t, int64_t i)
{
    return t == KN_REAL ? ((const real *)x)[i] : (real)bf16_to_float(((const kn_bf16 *)x)[i]);
}

/* Packs a panel from memory that runs along n: to[k][j] = x[k ld + j]. */
static inline __attribute__((always_inline)) void pack_rows(real *restrict to, const void *x, kn_type t, int64_t ld, int64_t n, int64_t K)
{
    for (int64_t k = 0; k < K; k++, to += NR) {
        if (n == NR)
            for (int64_t j = 0; j < NR; j++) to[j] = cast(x, t, k * ld + j);
        else
            for (int64_t j = 0; j < NR; j++) to[j] = j < n ? cast(x, t, k * ld + j) : 0;
    }
}

/* Packs a panel from memory that runs along k: to[k][j] = x[j ld + k], transposed in blocks of NR x TURN. */
static inline __attribute__((always_inline)) void pack_transposed(real *restrict to, const void *x, kn_type t, int64_t ld, int64_t n,
                                                                  int64_t K)
{
    real square[NR][TURN];
    memset(square, 0, sizeof square);
    for (int64_t k0 = 0; k0 < K; k0 += TURN, to += TURN * NR) {
        const int64_t w = K - k0 < TURN ? K - k0 : TURN;
        for (int64_t j = 0; j < n; j++) {
            if (w == TURN)
                for (int64_t k = 0; k < TURN; k++) square[j][k] = cast(x, t, j * ld + k0 + k);
            else
                for (int64_t k = 0; k < w; k++) square[j][k] = cast(x, t, j * ld + k0 + k);
        }
        for (int64_t k = 0; k < w; k++)
            for (int64_t j = 0; j < NR; j++) to[k * NR + j] = square[j][k];
    }
}

static void pack_b(real *to, const void *x, kn_type t, int64_t ld, int transposed, int64_t n, int64_t K)
{
    if (t == KN_REAL && transposed) pack_transposed(to, x, KN_REAL, ld, n, K);
    else if (t == KN_REAL) pack_rows(to, x, KN_REAL, ld, n, K);
    else if (transposed) pack_transposed(to, x, KN_BF16, ld, n, K);
    else pack_rows(to, x, KN_BF16, ld, n, K);
}
