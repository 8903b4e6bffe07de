/* attention_tile.h -- tiles of the operator attention: their geometry and their products.  Private to autograd/.
 *
 * A tile is TQ query positions; it is multiplied by blocks of TK keys.  Scores and weights of a block are [TQ, LD].
 *
 * If the gemm backend multiplies bf16 and the operands are bf16, the other operand of each product is rounded to bf16: P and dS,
 * but not the sums of P or the scores.  q is then multiplied by a power of two, which is exact, and what is left of the scores' scale
 * multiplies the scores.
 */
#ifndef AG_ATTENTION_TILE_H
#define AG_ATTENTION_TILE_H
#include "kernels/kernels.h"

enum { AG_TQ = 96, AG_TK = 512, AG_LD = AG_TK + 16 }; /* AG_LD: padded so that rows do not share cache sets */

/* Which keys each position of a sequence of T tokens may attend to. */
typedef struct ag_sight {
    const int32_t *doc_start; /* [T]: the first position of each position's document */
    int64_t        window;    /* the last `window` positions up to a position's own; 0: all of its document */
} ag_sight;

typedef struct ag_tile {
    int64_t t0, rows, first, end; /* positions t0 .. t0+rows-1, which attend to keys in first .. end-1 */
    int64_t k0, keys;             /* the current block of keys; keys 0: before the first */
} ag_tile;

ag_tile ag_tile_at(const ag_sight *s, int64_t t0, int64_t T); /* the tile at position t0 */
int     ag_tile_next(ag_tile *q);                             /* goes to the next block of keys; 0: there is none */
/* Sets [*from, *to) to the columns of the block that row i may attend to; the range may be empty. */
void ag_tile_visible(const ag_tile *q, const ag_sight *s, int64_t i, int64_t *from, int64_t *to);
/* Returns the column up to which row i of weights must be zero outside the visible range, because products read whole groups of rows and keys. */
int64_t ag_tile_cleared(const ag_tile *q, int64_t i);

/* How the products of a head of size D are computed: the kernel, and the factors of the scores' scale that multiply q and the scores. */
typedef struct ag_tile_gemm {
    const kn_table       *k;
    const kn_gemm_kernel *g;
    int64_t               D;
    real                  q_scale, score_scale;
} ag_tile_gemm;

ag_tile_gemm ag_tile_gemm_of(const kn_table *k, kn_type t, int64_t D, double scale); /* t: type of q, k and v */

/* The operand A of a product: x itself for a kernel of reals, else x rounded to bf16 in `to`. */
kn_rows ag_tile_rows(const ag_tile_gemm *o, real *to, const real *x, const ag_tile *q);    /* x [rows, D]; to [rows, (D + 1) / 2] */
kn_rows ag_tile_weights(const ag_tile_gemm *o, real *to, const real *S, const ag_tile *q); /* S [rows, keys]; to [rows, LD / 2] */
kn_rows ag_tile_turned(const ag_tile_gemm *o, real *to, const real *S, const ag_tile *q);  /* S^T [keys, rows]; to [rows / 2, LD] */

/* S = rows [rows, D] times the keys, packed as T columns: a block of scores, only the columns that a group of rows can attend to. */
void ag_tile_scores(const ag_tile_gemm *o, real *S, kn_rows rows, const real *turned, const ag_tile *q);
/* O [rows, D] = weights times the keys, packed as T rows; from the second block on it is added to O. */
void ag_tile_mix(const ag_tile_gemm *o, real *O, kn_rows weights, const real *packed, int64_t T, const ag_tile *q);
/* dK [T, D] += turned weights times the packed rows of the tile; only the rows that can attend to a group of keys are used. */
void ag_tile_spread(const ag_tile_gemm *o, real *dK, kn_rows turned, const real *packed, const ag_tile *q);
#endif
