/* micro_pairs.h -- the inner loops of a gemm of bf16 operands, part of kernels_body.h.
 *
 * A unit is a pair of bf16 of consecutive k in 32 bits, the even k in the lower half.  DOT_PAIRS(s, a, b) adds the two products of
 * the pair `a`, broadcast, with the pairs `b` to the sums `s`.  An instruction set that has an instruction for it defines KN_DOT_PAIRS and
 * KN_DOT_NAME; on others it is computed here as Intel specifies VDPBF16PS: the odd product is added first, then the even one, each
 * sum rounded to nearest.  (A product of two bf16 is exact in a float unless it over- or underflows.)  The instruction also treats
 * denormal operands as zero and flushes denormal sums to zero; so does KN_DOT_EXACT, which the table `ref` defines.  The other
 * emulations keep denormals.  Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VDPBF16PS.
 * BFDOT (Arm) rounds the sum of both products to odd, then the sum with s; its results may differ by rounding.
 */
#ifndef RT_REAL_F64
enum { PAIR_MR = KN_PAIR_MR, PAIR_NV = KN_PAIR_NV, PAIR_NR = PAIR_NV * VL };
_Static_assert(KN_PAIR_MR <= KN_MAX_MR && KN_MAX_NR % (KN_PAIR_NV * KN_VECTOR / 4) == 0, "gemm cannot cut this micro tile");

typedef uint32_t unit __attribute__((may_alias));
typedef uint32_t units __attribute__((vector_size(KN_VECTOR), may_alias));

#if defined(KN_DOT_PAIRS)
#define DOT_PAIRS KN_DOT_PAIRS
enum { PAIRS_EMULATED = 0 };
#else
enum { PAIRS_EMULATED = 1 };
#define KN_DOT_NAME "emulated"
#ifdef KN_DOT_EXACT
/* Replaces denormals by zeros of their sign. */
static inline __attribute__((always_inline)) vec flush(vec x)
{
    return (vec)((units)x & ((units)(((units)x & 0x7f800000u) != 0) | 0x80000000u));
}
#else
static inline __attribute__((always_inline)) vec flush(vec x) { return x; }
#endif
static inline __attribute__((always_inline)) vec DOT_PAIRS(vec s, uint32_t a, units b)
{
    units all = (units){0} + a; /* broadcast */
#if defined(__x86_64__)
    __asm__("" : "+v"(all));    /* keeps gcc from masking in a scalar register and broadcasting twice, at half the speed */
#endif
    s = flush(flush(s) + flush((vec)(all & 0xffff0000u)) * flush((vec)(b & 0xffff0000u)));
    return flush(s + flush((vec)(all << 16)) * flush((vec)(b << 16)));
}
#endif

/* m is a constant at every call, so the loops over m are unrolled. */
static inline __attribute__((always_inline)) void micro_pair_rows(real *c, int64_t ldc, const unit *a, int64_t rs, int64_t cs,
                                                                  const unit *b, const int m, int64_t K, int acc)
{
    vec s[PAIR_MR][PAIR_NV];
    for (int i = 0; i < m; i++)
        for (int v = 0; v < PAIR_NV; v++) s[i][v] = (vec){0};
    for (int64_t k = 0; k < K; k += 2, a += cs, b += PAIR_NR) {
        units bv[PAIR_NV];
        for (int v = 0; v < PAIR_NV; v++) bv[v] = ((const units *)b)[v];
        for (int i = 0; i < m; i++)
            for (int v = 0; v < PAIR_NV; v++) s[i][v] = DOT_PAIRS(s[i][v], a[i * rs], bv[v]);
    }
    for (int i = 0; i < m; i++)
        for (int v = 0; v < PAIR_NV; v++) {
            vec_at_will *to = (vec_at_will *)(c + i * ldc + v * VL);
            *to             = acc ? *to + s[i][v] : s[i][v];
        }
}

static void micro_pairs(real *c, int64_t ldc, const kn_rows *a, const real *b, int64_t M, int64_t K, int acc)
{
    const unit *p = (const unit *)a->p, *panel = (const unit *)b;
    for (; M >= PAIR_MR; M -= PAIR_MR, p += a->tile, c += PAIR_MR * ldc) {
        for (int i = 0; i < PAIR_MR; i++) __builtin_prefetch(c + i * ldc, 1, 3); /* needed after the loop over k */
        micro_pair_rows(c, ldc, p, a->row, a->col, panel, PAIR_MR, K, acc);
    }
    for (; M >= 2; M -= 2, p += 2 * a->row, c += 2 * ldc) micro_pair_rows(c, ldc, p, a->row, a->col, panel, 2, K, acc);
    if (M) micro_pair_rows(c, ldc, p, a->row, a->col, panel, 1, K, acc);
}

/* Returns elements at and at+1 of x as a unit; `both` = 0: the second is zero. */
static inline __attribute__((always_inline)) uint32_t unit_of(const void *x, kn_type t, int64_t at, int64_t next, int both)
{
    const kn_bf16 *h = x;
    const real    *f = x;
    if (t == KN_BF16) return h[at] | (both ? (uint32_t)h[next] << 16 : 0);
    return float_to_bf16(f[at]) | (both ? (uint32_t)float_to_bf16(f[next]) << 16 : 0);
}

/* Sets to[j] to the units of rows k and k+1 of memory that runs along j. */
static inline __attribute__((always_inline)) void pair_two_rows(unit *restrict to, const void *x, kn_type t, int64_t ld, int64_t k,
                                                                int64_t K, int64_t n)
{
    if (k + 1 < K)
        for (int64_t j = 0; j < n; j++) to[j] = unit_of(x, t, k * ld + j, (k + 1) * ld + j, 1);
    else
        for (int64_t j = 0; j < n; j++) to[j] = unit_of(x, t, k * ld + j, 0, 0);
}

static inline __attribute__((always_inline)) void pair_a_of(real *to, int64_t tile, const void *x, kn_type t, int64_t ld, int64_t M,
                                                            int64_t K)
{
    unit row[KN_MAX_TILE] = {0}, *out = (unit *)to;
    for (int64_t k = 0; k < K; k += 2, out += PAIR_MR) {
        pair_two_rows(row, x, t, ld, k, K, M);
        for (int64_t i = 0, at = 0; i < M; i += PAIR_MR, at += tile)
            for (int r = 0; r < PAIR_MR; r++) out[at + r] = row[i + r]; /* elements beyond M are never used */
    }
}

static void pair_a(real *to, int64_t tile, const void *x, kn_type t, int64_t ld, int64_t M, int64_t K)
{
    if (t == KN_BF16) pair_a_of(to, tile, x, KN_BF16, ld, M, K);
    else pair_a_of(to, tile, x, KN_REAL, ld, M, K);
}

/* Packs a panel from memory that runs along n. */
static inline __attribute__((always_inline)) void pair_rows(unit *restrict to, const void *x, kn_type t, int64_t ld, int64_t n, int64_t K)
{
    for (int64_t k = 0; k < K; k += 2, to += PAIR_NR) {
        if (n == PAIR_NR) pair_two_rows(to, x, t, ld, k, K, PAIR_NR);
        else {
            memset(to, 0, PAIR_NR * sizeof *to);
            pair_two_rows(to, x, t, ld, k, K, n);
        }
    }
}

/* Packs a panel from memory that runs along k, transposed in blocks of PAIR_NR x TURN units. */
static inline __attribute__((always_inline)) void pair_transposed(unit *restrict to, const void *x, kn_type t, int64_t ld, int64_t n,
                                                                  int64_t K)
{
    uint32_t square[PAIR_NR][TURN];
    memset(square, 0, sizeof square);
    for (int64_t k0 = 0; k0 < K; k0 += 2 * TURN, to += TURN * PAIR_NR) {
        const int64_t w = K - k0 < 2 * TURN ? K - k0 : 2 * TURN;
        for (int64_t j = 0; j < n; j++) {
            if (w == 2 * TURN)
                for (int64_t k = 0; k < TURN; k++) square[j][k] = unit_of(x, t, j * ld + k0 + 2 * k, j * ld + k0 + 2 * k + 1, 1);
            else
                for (int64_t k = 0; 2 * k < w; k++)
                    square[j][k] = unit_of(x, t, j * ld + k0 + 2 * k, j * ld + k0 + 2 * k + 1, 2 * k + 1 < w);
        }
        for (int64_t k = 0; 2 * k < w; k++)
            for (int64_t j = 0; j < PAIR_NR; j++) to[k * PAIR_NR + j] = square[j][k];
    }
}

static void pair_b(real *to, const void *x, kn_type t, int64_t ld, int transposed, int64_t n, int64_t K)
{
    unit *out = (unit *)to;
    if (t == KN_BF16 && transposed) pair_transposed(out, x, KN_BF16, ld, n, K);
    else if (t == KN_BF16) pair_rows(out, x, KN_BF16, ld, n, K);
    else if (transposed) pair_transposed(out, x, KN_REAL, ld, n, K);
    else pair_rows(out, x, KN_REAL, ld, n, K);
}

#define PAIR_KERNEL                                                                            \
    {                                                                                          \
        KN_DOT_NAME, KN_BF16, 2, PAIR_MR, PAIR_NR, PAIRS_EMULATED, micro_pairs, pair_a, pair_b \
    }
#else
#define PAIR_KERNEL                     \
    {                                   \
        .name = "none", .type = KN_BF16 \
    }
#endif
